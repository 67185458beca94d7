//! What may come in whatever order, twice, too large, or signed with another secret.

use std::io::{BufRead, BufReader, Write};

use serde_json::Value;

use crate::appliance::{Appliance, Place};
use crate::double::{GitHub, SECRET, State};
use crate::{MERGEABLE, accepted, decision, packages};

/// What is known of pull requests, but for when it was read.
fn known(snowgate: &Appliance<'_>) -> Vec<Value> {
    let mut pulls = snowgate.json("/api/pulls?state=all");
    let mut pulls = std::mem::take(pulls.as_array_mut().unwrap());
    for pull in &mut pulls {
        pull.as_object_mut().unwrap().remove("updated_at");
    }
    pulls.sort_by_key(|pull| pull["number"].as_u64());
    pulls
}

#[test]
fn a_history_replayed_in_any_order_with_losses_and_repetitions_ends_where_it_ended() {
    opening!(place, github, packages, snowgate);
    let mut history = Vec::new();
    let mut deliver = |event: &'static str, payload: Value| {
        accepted(&github.deliver(&snowgate, event, &payload));
        history.push((event, payload));
    };

    let first = packages.work.branch("moved", &[("lib", "echo lib 2 > $out")]);
    packages.work.branch("merged", &[("tool", "echo tool > $out")]);
    packages.work.branch("closed", &[("other", "echo other > $out")]);
    let [moved, merged, closed] = ["moved", "merged", "closed"].map(|branch| packages.open(branch));
    for number in [moved, merged, closed] {
        deliver("pull_request", packages.pull_event("opened", number));
    }
    assert_eq!(decision(&snowgate.reviewed("moved", &first)), MERGEABLE);
    packages.work.git(&["switch", "--quiet", "moved"]);
    packages.work.packages(&[("lib", "echo lib 3 > $out")]);
    packages.work.git(&["commit", "--quiet", "--all", "--amend", "--message", "better"]);
    let second = packages.push("moved");
    deliver("push", packages.push_event("moved"));
    deliver("pull_request", packages.pull_event("synchronize", moved));
    packages.set(closed, State::Closed);
    deliver("pull_request", packages.pull_event("closed", closed));
    packages.work.git(&["switch", "--quiet", "main"]);
    packages.work.git(&["merge", "--quiet", "--no-ff", "--message", "Merge", "merged"]);
    let base = packages.push("main");
    packages.set(merged, State::Merged);
    deliver("push", packages.push_event("main"));
    deliver("pull_request", packages.pull_event("closed", merged));
    snowgate.until("it is reviewed against the new base", || {
        snowgate.pull("moved").filter(|pull| pull["review"]["base"] == base && pull["review"]["head"] == second)
    });
    assert_eq!(decision(&snowgate.reviewed("moved", &second)), MERGEABLE);
    let ended = |branch: &str, state: &str| snowgate.pull(branch).filter(|pull| pull["state"] == state);
    snowgate.until("the end", || ended("closed", "closed").and(ended("merged", "merged")));
    let before = known(&snowgate);
    assert_eq!(before.len(), 3, "{before:#?}");

    // a generator of its own, so that a failure can be repeated
    let mut drawn: u64 = 0x5eed;
    let mut below = move |bound: usize| {
        drawn = drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(drawn >> 33).unwrap() % bound
    };
    for round in 0..5 {
        for _ in 0..2 * history.len() {
            let (event, payload) = &history[below(history.len())];
            accepted(&github.deliver(&snowgate, event, payload));
        }
        // the readings of one repository come one after the other: one that began after all of them saw this
        let mark = format!("mark-{round}");
        let head = packages.work.branch(&mark, &[("mark", &format!("echo {round} > $out"))]);
        let number = packages.open(&mark);
        accepted(&github.deliver(&snowgate, "pull_request", &packages.pull_event("opened", number)));
        assert_eq!(decision(&snowgate.reviewed(&mark, &head)), MERGEABLE);
        assert_eq!(known(&snowgate)[..3], before, "round {round}");
    }
}

#[test]
fn a_delivery_may_have_25_mebibytes_and_no_more() {
    let place = Place::new();
    let github = GitHub::start(&place);
    packages(&github);
    let snowgate = place.serve();
    let of_size = |size: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(size - 8));
    let largest = of_size(25 << 20);
    assert_eq!(github.deliver_as(&snowgate, "1", "push", &largest, SECRET).status, 200);
    // refused by its announced size, before any of it is read
    let mut stream = std::net::TcpStream::connect(snowgate.address()).unwrap();
    let announced =
        format!("POST /webhooks/github HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n\r\n", snowgate.address(), (25 << 20) + 1);
    stream.write_all(announced.as_bytes()).unwrap();
    let mut first = String::new();
    BufReader::new(stream).read_line(&mut first).unwrap();
    assert!(first.starts_with("HTTP/1.1 413 "), "{first}");
    // and it still answers
    assert_eq!(github.deliver_as(&snowgate, "1", "push", &largest, SECRET).body, "{\"status\":\"repeated\"}");
    assert_eq!(github.deliver_as(&snowgate, "3", "push", "no JSON", SECRET).status, 400);
}

#[test]
fn while_the_secret_is_replaced_both_count() {
    let place = Place::new();
    let github = GitHub::start(&place);
    packages(&github);
    std::fs::write(place.path("new-secret"), "of now").unwrap();
    github.rotated_to("new-secret");
    let snowgate = place.serve();
    for (id, secret, status) in [("1", "of now", 200), ("2", SECRET, 200), ("3", "of nobody", 401)] {
        let answer = github.deliver_as(&snowgate, id, "ping", "{}", secret);
        assert_eq!(answer.status, status, "{secret}: {}", answer.body);
    }
}
