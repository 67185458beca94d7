//! Merge queues: what is about to land is checked as it will land.

use crate::accepted;
use crate::checks::until_told;
use crate::commands::flaky;

#[test]
fn a_merge_queues_groups_are_reviewed_on_what_they_were_made_on() {
    opening!(place, github, packages, snowgate);
    let gate = place.gate("gate");
    packages.work.branch("good", &[("tool", "echo tool > $out")]);
    packages.work.branch("bad", &[("lib", "echo the very reason; exit 1")]);
    packages.work.branch("slow", &[("late", &format!("{}; echo late > $out", gate.wait()))]);
    let [good, bad, slow] = ["good", "bad", "slow"].map(|branch| packages.open(branch));

    // the second is made on the first, and is told of what is its own
    let (first, first_head) = packages.enqueue(good, "main");
    let (second, second_head) = packages.enqueue(bad, &first);
    for (group, head) in [(&first, &first_head), (&second, &second_head)] {
        accepted(&github.deliver(&snowgate, "merge_group", &packages.group_event("checks_requested", group, head)));
    }
    let run = until_told(&snowgate, &packages, &first_head, "completed success: Mergeable");
    let report = snowgate.json(&format!("/api/reviews/{}", run.now()["external_id"].as_str().unwrap()));
    assert_eq!(report["base"]["rev"], packages.work.git(&["rev-parse", "main"]), "{report:#}");
    let run = until_told(&snowgate, &packages, &second_head, "completed failure: Blocked");
    let report = snowgate.json(&format!("/api/reviews/{}", run.now()["external_id"].as_str().unwrap()));
    assert_eq!((&report["base"]["rev"], &report["counts"]["changed"]), (&first_head.into(), &1.into()), "{report:#}");
    assert_eq!(report["number"], serde_json::Value::Null);
    let page = run.now()["details_url"].as_str().unwrap();
    assert!(snowgate.page(page.split_at(page.find("/reviews/").unwrap()).1).contains("the very reason"));

    // one that is given up is cancelled; a restart takes up the one that is not
    let (third, third_head) = packages.enqueue(slow, "main");
    accepted(&github.deliver(&snowgate, "merge_group", &packages.group_event("checks_requested", &third, &third_head)));
    let run = until_told(&snowgate, &packages, &third_head, "in_progress: 1 rebuild: building");
    let review = run.now()["external_id"].clone();
    snowgate.kill();
    let snowgate = place.serve();
    snowgate.building("late");
    packages.dequeue(&third);
    accepted(&github.deliver(&snowgate, "merge_group", &packages.group_event("destroyed", &third, &third_head)));
    let run = until_told(&snowgate, &packages, &third_head, "completed cancelled");
    assert_eq!(run.now()["external_id"], review);
    // our copy of the repository has the branches of those that there are
    let mirror = place.path("state/mirrors/1000.git");
    let branches = || packages.work.git(&["--git-dir", mirror.to_str().unwrap(), "for-each-ref", "refs/heads/gh-readonly-queue"]);
    snowgate.until("its branch is dropped", || (!branches().contains(&third)).then_some(()));
    assert!(branches().contains(&first) && branches().contains(&second), "{}", branches());
    // and nobody takes the groups for pull requests
    assert_eq!(snowgate.json("/api/pulls?state=all").as_array().unwrap().len(), 3);
}

#[test]
fn rerun_on_the_check_run_of_a_group_reviews_the_group_again() {
    opening!(place, github, packages, snowgate);
    let (way, script) = flaky(&place);
    packages.work.branch("flaky", &[("tool", &script)]);
    let number = packages.open("flaky");
    let (group, head) = packages.enqueue(number, "main");
    accepted(&github.deliver(&snowgate, "merge_group", &packages.group_event("checks_requested", &group, &head)));
    let failed = until_told(&snowgate, &packages, &head, "completed failure: Blocked");
    let own = packages.head_of(number);
    until_told(&snowgate, &packages, &own, "completed failure: Blocked");

    std::fs::write(way, "").unwrap();
    accepted(&github.deliver(&snowgate, "check_run", &packages.rerequested_event(&head)));
    let succeeded = until_told(&snowgate, &packages, &head, "completed success: Mergeable");
    assert_ne!(failed.now()["external_id"], succeeded.now()["external_id"]);
    // the pull request's own head is another commit, and nobody asked about it
    until_told(&snowgate, &packages, &own, "completed failure: Blocked");
}
