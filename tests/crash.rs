//! Killed at any moment, again and again: the same outcomes are reached, nothing is built twice after it succeeded, and nothing is
//! left behind. The program, its daemons and builders are real, and so is the signal.

#[path = "support/appliance.rs"]
mod appliance;
#[path = "incremental/dice.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod dice;
#[path = "support/groups.rs"]
mod groups;
#[path = "support/sshd.rs"]
mod sshd;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use appliance::http::Events;
use appliance::{Appliance, Place};
use dice::Dice;
use groups::groups_of;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use sshd::Host;

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
    Worker,
    /// The connection to a machine elsewhere.
    Ssh,
}

/// `snowgate worker`, which its service manager starts again whenever it ends.
struct Worker<'a> {
    place: &'a Place,
    socket: PathBuf,
    child: Child,
}

impl<'a> Worker<'a> {
    fn start(place: &'a Place) -> Self {
        let socket = place.path("worker.sock");
        let child = Self::spawn(place);
        let worker = Self { place, socket, child };
        worker.listens();
        worker
    }

    fn spawn(place: &Place) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_snowgate"));
        command.args(["worker", "--config"]).arg(place.configuration()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn listens(&self) {
        let answers = || std::os::unix::net::UnixStream::connect(&self.socket).ok();
        self.place.eventually("the worker listens", answers);
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = Self::spawn(self.place);
        self.listens();
    }

    fn stop(mut self) {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Waits until nobody is left of what the appliance started, but for the worker.
fn nothing_runs(place: &Place, worker: Option<&Worker<'_>>) {
    let worker = worker.map(|worker| worker.child.id());
    place.eventually("no process is left", || place.processes().iter().all(|(pid, _)| Some(*pid) == worker).then_some(()));
}

fn connections(place: &Place) -> Vec<u32> {
    place.processes().into_iter().filter(|(_, command)| command.starts_with("ssh ")).map(|(pid, _)| pid).collect()
}

/// The daemons, without the builders that they have forked and that are about to become another program: a signal to one of those
/// would be the build's own failure.
fn daemons(place: &Place) -> Vec<u32> {
    let all: Vec<(u32, String)> = place.processes().into_iter().filter(|(_, command)| command.contains("nix-daemon")).collect();
    let parent = |pid: u32| -> Option<u32> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
    };
    let forked = |pid: u32| parent(pid).is_none_or(|parent| all.iter().any(|(other, _)| *other == parent));
    all.iter().map(|(pid, _)| *pid).filter(|pid| !forked(*pid)).collect()
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

/// Builds a graph while one of `victims` is killed at random, fifty times in all; then compares.
fn trial(place: &Place, mut worker: Option<Worker<'_>>, packages: usize, victims: &[Victim]) {
    let seed = std::env::var("SNOWGATE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7);
    println!("SNOWGATE_SEED={seed}");
    let mut dice = Dice::new(seed);
    let graph = Graph::draw(&mut dice, packages);
    let sample = place.repository("sample");
    sample.packages(&[("base", "echo base > $out")]);
    sample.commit("one package");
    let head = sample.branch("change", &graph.packages());

    let mut kills = BTreeMap::new();
    let mut ran = BTreeSet::new();
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
        ran.extend(worker.as_ref().map(|worker| worker.child.id()));
        ran.insert(snowgate.pid());
        let victim = victims[dice.below(victims.len())];
        match victim {
            Victim::Serve => {
                snowgate.kill();
                nothing_runs(place, worker.as_ref());
                snowgate = place.serve();
            }
            Victim::Worker => worker.as_mut().expect("whoever is killed is there").kill(),
            Victim::Daemon | Victim::Ssh => {
                let there = if victim == Victim::Ssh { connections(place) } else { daemons(place) };
                let Some(pid) = dice.one_of(&there) else { continue };
                // an error: it has ended in the meantime
                kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).ok();
            }
        }
        total += 1;
        *kills.entry(format!("{victim:?}")).or_insert(0) += 1;
    }
    println!("killed: {kills:?}");
    let report = snowgate.reviewed("change", &head);
    is_as_predicted(&graph, &report);
    let builders = attempts_are_right(&snowgate, &report);
    println!("built: {builders:?}");
    let (status, _) = snowgate.stop();
    assert!(status.success());
    nothing_runs(place, worker.as_ref());
    if let Some(worker) = worker {
        worker.stop();
    }
    let left: Vec<PathBuf> = ran.into_iter().flat_map(groups_of).collect();
    assert!(left.is_empty(), "control groups are left: {left:#?}");
}

fn is_as_predicted(graph: &Graph, report: &Value) {
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
}

/// Nothing was built after it had succeeded, and each end has a log. How many succeeded on each builder.
fn attempts_are_right(snowgate: &Appliance<'_>, report: &Value) -> BTreeMap<String, usize> {
    let mut builders = BTreeMap::new();
    for row in report["changes"].as_array().unwrap() {
        let name = row["head"]["drv"].as_str().unwrap().rsplit('/').next().unwrap();
        let derivation = snowgate.json(&format!("/api/derivations/{name}"));
        let attempts = derivation["attempts"].as_array().unwrap();
        // newest first
        let good = attempts.iter().position(|attempt| attempt["outcome"] == "succeeded");
        assert!(good.is_none_or(|good| good == 0), "built again after it succeeded: {derivation:#}");
        if good.is_some() {
            *builders.entry(attempts[0]["builder"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        // a daemon can be killed between the end of a build and the news of it: then the next attempt finds it done
        let ended = attempts.iter().any(|attempt| matches!(attempt["outcome"].as_str(), Some("succeeded" | "failed")));
        let logs: Vec<String> = attempts.iter().filter_map(|attempt| Some(snowgate.page(attempt["log_url"].as_str()?))).collect();
        let words = format!("building {}", row["attr"].as_str().unwrap());
        // the last second of what broke off may be lost, and may be all that there was
        let broke_off = attempts.iter().any(|attempt| attempt["outcome"] == "infrastructure");
        assert!(
            !ended || broke_off || logs.iter().any(|log| log.contains(&words)),
            "no log has `{words}`: {derivation:#} {logs:#?}"
        );
    }
    builders
}

#[test]
fn killed_fifty_times_it_comes_to_the_same_outcomes_and_builds_nothing_twice() {
    trial(&Place::new(), None, 550, &[Victim::Serve, Victim::Daemon]);
}

#[test]
fn nor_do_a_worker_and_connections_that_are_killed_change_what_is_built() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("not tested: a worker needs root");
        return;
    }
    let elsewhere = tempfile::Builder::new().prefix("snowgate-hosts-").tempdir().unwrap();
    let nix = snowgate::store::Nix::discover(&BTreeMap::new()).expect("these tests need a real Nix on PATH");
    let host = Host::for_own_store(&elsewhere.path().canonicalize().unwrap(), &nix.program("nix-daemon"), "elsewhere");
    let place = Place::new();
    let socket = place.path("worker.sock");
    place.build(&format!("worker = \"{}\"\n\n[worker]\nusers = [\"0\"]\n\n{}", socket.display(), host.described("max_jobs = 2")));
    let worker = Worker::start(&place);
    trial(&place, Some(worker), 600, &[Victim::Serve, Victim::Daemon, Victim::Worker, Victim::Ssh]);
}
