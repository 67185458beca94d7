//! GitHub's own example payloads: npm's `@octokit/webhooks-examples`, which `assets/setup/octokit` brings.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::appliance::{Appliance, Place};
use crate::double::{GitHub, SECRET, described};
use crate::{LIB, MERGEABLE, accepted, decision, packages, settled};

/// `(number, event, payload)`
fn examples() -> Vec<(String, String, String)> {
    let mut all = Vec::new();
    for server in ["api.github.com", "ghes-31", "ghes-32", "ghes-33", "ghes-34", "ghes-35"] {
        let text = described::file(&format!("webhooks-examples/{server}/index.json"));
        let events: Vec<Value> = serde_json::from_str(&text).unwrap();
        for event in events {
            let name = event["name"].as_str().unwrap();
            for (number, example) in event["examples"].as_array().unwrap().iter().enumerate() {
                all.push((format!("{server}-{name}-{number}"), name.to_owned(), example.to_string()));
            }
        }
    }
    all
}

/// Numbers that come again: a failure can be repeated.
struct Drawn(u64);

impl Drawn {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn shuffle<T>(&mut self, all: &mut [T]) {
        for last in (1..all.len()).rev() {
            all.swap(last, self.below(last + 1));
        }
    }
}

/// What is known once everything that was delivered has been looked at.
fn known(github: &GitHub<'_>, snowgate: &Appliance<'_>, round: usize) -> (Value, Vec<Value>) {
    // what the App sees is asked for once more, and whoever is new then was new after all of them
    let name = format!("us/mark-{round}");
    let mark = github.repository(&name);
    mark.work.packages(&[LIB]);
    mark.work.commit("a package");
    mark.push("main");
    let added = serde_json::json!({"action": "added", "installation": {"id": 70}});
    accepted(&github.deliver(snowgate, "installation_repositories", &added));
    // as GitHub tells: the last of the examples may have had it read before there was anything in it
    accepted(&github.deliver(snowgate, "push", &mark.push_event("main")));
    settled(snowgate, &name);
    let repositories = snowgate.json("/api/repositories");
    let mut others: Vec<Value> = repositories
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| !row["name"].as_str().unwrap().starts_with("us/mark"))
        .cloned()
        .collect();
    for row in &mut others {
        row.as_object_mut().unwrap().remove("read_at");
    }
    (snowgate.json("/api/pulls?state=all"), others)
}

/// Deliveries a second, and who makes them.
const RATE: u32 = 200;
const CLIENTS: usize = 8;

/// Delivers all of them, each at its time however long those before it take; from when it was due to its answer.
fn replayed(github: &GitHub<'_>, snowgate: &Appliance<'_>, round: usize, examples: &[(String, String, String)]) -> Vec<Duration> {
    let began = Instant::now();
    let (next, accepted, ignored) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let client = || {
        let mut took = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some((id, name, payload)) = examples.get(at) else { return took };
            let due = began + Duration::from_secs(1) / RATE * u32::try_from(at).unwrap();
            while let Some(left) = due.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                std::thread::park_timeout(left);
            }
            let answer = github.deliver_as(snowgate, &format!("{round}-{id}"), name, payload, SECRET);
            took.push(due.elapsed());
            assert_eq!(answer.status, 200, "{id}: {}", answer.body);
            let count = match answer.body.as_str() {
                "{\"status\":\"accepted\"}" => &accepted,
                "{\"status\":\"ignored\"}" => &ignored,
                other => panic!("{id}: {other}"),
            };
            count.fetch_add(1, Ordering::Relaxed);
        }
    };
    let mut took: Vec<Duration> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let rate = took.len() as f64 / began.elapsed().as_secs_f64();
    let (accepted, ignored) = (accepted.into_inner(), ignored.into_inner());
    assert!(accepted > 100 && ignored > 300, "{accepted} accepted, {ignored} ignored");
    took.sort_unstable();
    let (half, most) = (took[took.len() / 2], took[took.len() * 99 / 100]);
    println!("round {round}: {accepted} accepted, {ignored} ignored at {rate:.0} a second; answers: p50 {half:?}, p99 {most:?}");
    took
}

#[test]
fn every_example_is_accepted_in_any_order_and_ends_as_the_ordered_replay_ended() {
    let place = Place::new();
    let github = GitHub::start(&place);
    let packages = packages(&github);
    let head = packages.work.branch("change", &[("lib", "echo lib 2 > $out")]);
    packages.open("change");
    let snowgate = place.serve();
    assert_eq!(decision(&snowgate.reviewed("change", &head)), MERGEABLE);
    let before = known(&github, &snowgate, 0);

    let mut examples = examples();
    let mut took = replayed(&github, &snowgate, 1, &examples);
    let ended = known(&github, &snowgate, 1);
    // none of them is about a repository that is here
    assert_eq!(ended, before);
    let seed = 0x5eed;
    println!("the orders are drawn from {seed}");
    let mut drawn = Drawn(seed);
    for round in 2..7 {
        drawn.shuffle(&mut examples);
        took.extend(replayed(&github, &snowgate, round, &examples));
        assert_eq!(known(&github, &snowgate, round), ended, "round {round}");
    }
    took.sort_unstable();
    let (half, most) = (took[took.len() / 2], took[took.len() * 99 / 100]);
    println!("{} deliveries at {RATE} a second; answers: p50 {half:?}, p99 {most:?}", took.len());
}
