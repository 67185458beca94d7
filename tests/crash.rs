//! Killed at any moment, again and again: the same outcomes are reached, nothing is built twice after it succeeded, and nothing is
//! left behind. The program, its daemons and builders are real, and so is the signal.

#[path = "support/appliance.rs"]
mod appliance;
#[path = "incremental/dice.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod dice;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use appliance::http::Events;
use appliance::{Appliance, Place};
use dice::Dice;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// Packages that depend on each other at random; some fail.
struct Graph {
    scripts: Vec<(String, String)>,
    expected: BTreeMap<String, &'static str>,
}

impl Graph {
    fn draw(dice: &mut Dice, packages: usize) -> Self {
        let mut scripts = Vec::new();
        let mut expected: BTreeMap<String, &'static str> = BTreeMap::new();
        for index in 0..packages {
            let name = format!("p{index}");
            let reach = index.min(12);
            let inputs: BTreeSet<String> =
                (0..dice.below(4).min(reach)).map(|_| format!("p{}", index - 1 - dice.below(reach))).collect();
            let fails = dice.percent(6);
            let spin = 500 + dice.below(6000);
            let mut script = format!("echo building {name}\ni=0; while [ $i -lt {spin} ]; do i=$((i+1)); done\n");
            for input in &inputs {
                script += &format!(": ${{{input}}}\n");
            }
            script += if fails { "echo no; exit 1" } else { "echo done > $out" };
            let outcome = match (inputs.iter().all(|input| expected[input] == "succeeded"), fails) {
                (false, _) => "dependency_failed",
                (true, true) => "failed",
                (true, false) => "succeeded",
            };
            expected.insert(name.clone(), outcome);
            scripts.push((name, script));
        }
        Self { scripts, expected }
    }

    fn packages(&self) -> Vec<(&str, &str)> {
        self.scripts.iter().map(|(name, script)| (name.as_str(), script.as_str())).collect()
    }
}

/// Whom the next signal hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Serve,
    Daemon,
}

fn processes(place: &Place, victim: Victim) -> Vec<u32> {
    let is_it = |command: &str| match victim {
        Victim::Serve => false,
        Victim::Daemon => command.contains("nix-daemon"),
    };
    place.processes().into_iter().filter(|(_, command)| is_it(command)).map(|(pid, _)| pid).collect()
}

fn report(snowgate: &Appliance<'_>) -> Option<Value> {
    let pull = snowgate.pull("change")?;
    let report = snowgate.json(&format!("/api/reviews/{}", pull["review"]["id"].as_str()?));
    (report["state"] == "complete").then_some(report)
}

/// Until so many builds began or ended. The review may be over before.
fn await_builds(events: &Events, mut count: usize) {
    while count > 0 {
        let Some(event) = events.next(Duration::from_secs(5)) else { return };
        if event.name.starts_with("build_") {
            count -= 1;
        }
    }
}

#[test]
fn killed_fifty_times_it_comes_to_the_same_outcomes_and_builds_nothing_twice() {
    let seed = std::env::var("SNOWGATE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7);
    println!("SNOWGATE_SEED={seed}");
    let mut dice = Dice::new(seed);
    let graph = Graph::draw(&mut dice, 400);
    let place = Place::new();
    let sample = place.repository("sample");
    sample.packages(&[("base", "echo base > $out")]);
    sample.commit("one package");
    let head = sample.branch("change", &graph.packages());

    let mut kills = BTreeMap::new();
    let mut snowgate = place.serve();
    let mut total = 0;
    while total < 50 {
        let events = snowgate.events("/api/events");
        if dice.percent(80) {
            await_builds(&events, 1 + dice.below(6));
        } else {
            for _ in 0..dice.below(8) {
                events.next(Duration::from_millis(100));
            }
        }
        drop(events);
        assert!(report(&snowgate).is_none(), "all was built before the {total} kills were over");
        let victim = [Victim::Serve, Victim::Daemon][dice.below(2)];
        match victim {
            Victim::Serve => {
                snowgate.kill();
                place.nothing_runs();
                snowgate = place.serve();
            }
            Victim::Daemon => {
                let Some(pid) = dice.one_of(&processes(&place, victim)) else { continue };
                // an error: it has ended in the meantime
                kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).ok();
            }
        }
        total += 1;
        *kills.entry(format!("{victim:?}")).or_insert(0) += 1;
    }
    println!("killed: {kills:?}");
    let report = snowgate.reviewed("change", &head);
    assert_eq!(report["state"], "complete", "{report:#}");
    let mut differing = Vec::new();
    for row in report["changes"].as_array().unwrap() {
        let attr = row["attr"].as_str().unwrap();
        if row["head"]["outcome"] != graph.expected[attr] {
            differing.push(format!("{attr}: {} instead of {}", row["head"]["outcome"], graph.expected[attr]));
        }
    }
    assert!(differing.is_empty(), "{differing:#?}");
    assert_eq!(report["changes"].as_array().unwrap().len(), graph.expected.len());

    for row in report["changes"].as_array().unwrap() {
        let name = row["head"]["drv"].as_str().unwrap().rsplit('/').next().unwrap();
        let derivation = snowgate.json(&format!("/api/derivations/{name}"));
        let attempts = derivation["attempts"].as_array().unwrap();
        // newest first
        let good = attempts.iter().position(|attempt| attempt["outcome"] == "succeeded");
        assert!(good.is_none_or(|good| good == 0), "built again after it succeeded: {derivation:#}");
        for attempt in attempts.iter().filter(|attempt| matches!(attempt["outcome"].as_str(), Some("succeeded" | "failed"))) {
            let log = snowgate.page(attempt["log_url"].as_str().unwrap_or_else(|| panic!("no log: {attempt:#}")));
            let words = format!("building {}", row["attr"].as_str().unwrap());
            assert!(log.contains(&words), "the log lacks `{words}`: {log}");
        }
    }
    let (status, _) = snowgate.stop();
    assert!(status.success());
    place.nothing_runs();
}
