//! What a repository goes through in ordinary weather, and in bad.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::checks::{opened, until_told};
use crate::{MERGEABLE, accepted, decision, settled};

#[test]
fn a_change_of_words_alone_builds_nothing_and_is_mergeable() {
    opening!(place, github, packages, snowgate);
    packages.work.git(&["switch", "--quiet", "--create", "words", "main"]);
    packages.work.write("README.md", "Words.\n");
    let head = packages.work.commit("words");
    packages.work.git(&["switch", "--quiet", "main"]);
    opened(&github, &packages, &snowgate, "words");
    let run = until_told(&snowgate, &packages, &head, "completed success: Mergeable");
    assert!(run.now()["output"]["summary"].as_str().unwrap().contains("no derivation changes"), "{:#}", run.now());
    let report = snowgate.reviewed("words", &head);
    assert_eq!((&report["counts"]["rebuilds"], &report["counts"]["changed"]), (&0.into(), &0.into()), "{report:#}");
}

#[test]
fn two_pull_requests_that_need_the_same_build_share_it() {
    opening!(place, github, packages, snowgate);
    let gate = place.gate("gate");
    let script = format!("{}; echo 2 > $out", gate.wait());
    let first = packages.work.branch("first", &[("lib", &script)]);
    let second = packages.work.branch("second", &[("lib", &script), ("tool", "echo ${lib} > $out")]);
    opened(&github, &packages, &snowgate, "first");
    snowgate.building("lib");
    opened(&github, &packages, &snowgate, "second");
    until_told(&snowgate, &packages, &second, "in_progress: 2 rebuilds: building");
    assert_eq!(place.builders("lib").len(), 1, "{:#?}", place.processes());
    // one passes, and that is enough
    gate.pass();
    assert_eq!(decision(&snowgate.reviewed("first", &first)), MERGEABLE);
    assert_eq!(decision(&snowgate.reviewed("second", &second)), MERGEABLE);
}

#[test]
fn a_used_up_rate_limit_is_waited_for_and_nothing_is_lost() {
    opening!(place, github, packages, snowgate);
    let gate = place.gate("gate");
    let head = packages.work.branch("change", &[("lib", &format!("{}; echo 2 > $out", gate.wait()))]);
    opened(&github, &packages, &snowgate, "change");
    until_told(&snowgate, &packages, &head, "in_progress: 1 rebuild: building");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    github.world().used_up_until = now + 4;
    gate.open();
    assert_eq!(decision(&snowgate.reviewed("change", &head)), MERGEABLE);
    until_told(&snowgate, &packages, &head, "completed success: Mergeable");
    // who was told once when it is over did not ask again and again
    let world = github.world();
    let refused = world.asked.iter().filter(|asked| asked.ends_with(" 403")).count();
    assert!((1..=3).contains(&refused), "{:#?}", world.asked);
}

#[test]
fn a_suspended_installation_is_left_alone_and_taken_up_again() {
    opening!(place, github, packages, snowgate);
    github.world().suspended = true;
    let told = |action: &str| json!({"action": action, "installation": {"id": 70}});
    accepted(&github.deliver(&snowgate, "installation", &told("suspend")));
    snowgate.until("the repository is left", || snowgate.json("/api/repositories").as_array().unwrap().is_empty().then_some(()));
    let head = packages.work.branch("change", &[("lib", "echo 2 > $out")]);
    packages.open("change");
    github.world().suspended = false;
    accepted(&github.deliver(&snowgate, "installation", &told("unsuspend")));
    settled(&snowgate, "us/packages");
    assert_eq!(decision(&snowgate.reviewed("change", &head)), MERGEABLE);
    until_told(&snowgate, &packages, &head, "completed success: Mergeable");
}

#[test]
fn an_installation_that_is_taken_away_is_not_asked_in_vain_its_reviews_stay_and_it_can_come_back() {
    opening!(place, github, packages, snowgate, github.also("poll_seconds = 1"));
    let gate = place.gate("gate");
    let done = packages.work.branch("done", &[("lib", "echo 2 > $out")]);
    opened(&github, &packages, &snowgate, "done");
    until_told(&snowgate, &packages, &done, "completed success: Mergeable");
    let open = packages.work.branch("open", &[("tool", &format!("{}; echo > $out", gate.wait()))]);
    opened(&github, &packages, &snowgate, "open");
    until_told(&snowgate, &packages, &open, "in_progress: 1 rebuild: building");
    let reviews = ["done", "open"].map(|branch| snowgate.pull(branch).unwrap()["review"]["id"].as_str().unwrap().to_owned());

    // nobody tells, either
    github.world().installed = false;
    snowgate.until("the repository is left", || snowgate.json("/api/repositories").as_array().unwrap().is_empty().then_some(()));
    let cancelled =
        || Some(snowgate.json(&format!("/api/reviews/{}", reviews[1]))).filter(|report| report["state"] == "cancelled");
    snowgate.until("the review that was under way is over", cancelled);
    // of the one that ended, everything is there
    assert_eq!(decision(&snowgate.json(&format!("/api/reviews/{}", reviews[0]))), MERGEABLE);
    for (number, review) in (1..).zip(&reviews) {
        assert_eq!(snowgate.get(&format!("/reviews/{review}")).status, 303);
        let page = snowgate.page(&format!("/r/us/packages/pull/{number}?review={review}"));
        assert!(page.contains("us/packages is not served any more."), "{page}");
    }
    assert!(snowgate.page("/r/us/packages/pull/1").contains("Mergeable"));
    // GitHub is asked who is there, each second, and nothing else
    let before = github.world().asked.len();
    place.eventually("the roll is called some more times", || (github.world().asked.len() >= before + 4).then_some(()));
    let asked = github.world().asked[before..].to_vec();
    assert!(asked.iter().all(|call| call.starts_with("GET /app/installations ")), "{asked:#?}");

    github.world().installed = true;
    settled(&snowgate, "us/packages");
    gate.open();
    assert_eq!(decision(&snowgate.reviewed("open", &open)), MERGEABLE);
    until_told(&snowgate, &packages, &open, "completed success: Mergeable");
    assert_eq!(decision(&snowgate.reviewed("done", &done)), MERGEABLE);
    assert!(!snowgate.page("/r/us/packages/pull/1").contains("not served any more"));
}
