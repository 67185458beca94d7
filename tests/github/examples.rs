//! GitHub's own example payloads: npm's `@octokit/webhooks-examples`, which `assets/setup/octokit` brings.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::appliance::Place;
use crate::double::{GitHub, SECRET, described};
use crate::{MERGEABLE, decision, packages};

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

#[test]
fn every_example_is_accepted_in_any_order_and_changes_nothing_that_is_read() {
    let place = Place::new();
    let github = GitHub::start(&place);
    let packages = packages(&github);
    let head = packages.work.branch("change", &[("lib", "echo lib 2 > $out")]);
    packages.open("change");
    let snowgate = place.serve();
    assert_eq!(decision(&snowgate.reviewed("change", &head)), MERGEABLE);
    let before = snowgate.json("/api/pulls?state=all");

    let mut examples = examples();
    // GitHub's order, and two others
    for round in 0..3 {
        let (mut accepted, mut ignored, mut took) = (0, 0, Vec::new());
        for (id, name, payload) in &examples {
            let began = Instant::now();
            let answer = github.deliver_as(&snowgate, &format!("{round}-{id}"), name, payload, SECRET);
            took.push(began.elapsed());
            assert_eq!(answer.status, 200, "{id}: {}", answer.body);
            match answer.body.as_str() {
                "{\"status\":\"accepted\"}" => accepted += 1,
                "{\"status\":\"ignored\"}" => ignored += 1,
                other => panic!("{id}: {other}"),
            }
        }
        assert!(accepted > 100 && ignored > 300, "{accepted} accepted, {ignored} ignored");
        took.sort_unstable();
        let (half, most) = (took[took.len() / 2], took[took.len() * 99 / 100]);
        let rate = took.len() as f64 / took.iter().sum::<Duration>().as_secs_f64();
        eprintln!("{accepted} accepted, {ignored} ignored; answers: p50 {half:?}, p99 {most:?}, {rate:.0} a second");
        if round == 0 {
            examples.reverse();
        } else {
            examples.sort_by_key(|(id, _, payload)| (payload.len() % 101, id.clone()));
        }
    }
    // none of them is about a repository that is here
    let again = snowgate.until("the last is looked at", || Some(snowgate.json("/api/pulls?state=all")));
    assert_eq!(again, before);
}
