//! What GitHub is told of reviews: check runs, in whatever weather.

use std::time::Instant;

use crate::appliance::Appliance;
use crate::double::{GitHub, Hosted, State, checks::CheckRun};
use crate::{MERGEABLE, accepted, decision};

const NAME: &str = "snowgate";

pub fn opened(github: &GitHub<'_>, packages: &Hosted<'_>, snowgate: &Appliance<'_>, branch: &str) -> u64 {
    let number = packages.open(branch);
    accepted(&github.deliver(snowgate, "pull_request", &packages.pull_event("opened", number)));
    number
}

pub fn until_told(snowgate: &Appliance<'_>, packages: &Hosted<'_>, head: &str, words: &str) -> CheckRun {
    snowgate.until(&format!("the check run of {head} says `{words}`"), || {
        packages.check(head, NAME).filter(|run| run.told().last().unwrap().starts_with(words))
    })
}

#[test]
fn a_check_run_follows_the_review_from_its_beginning_to_its_verdict() {
    opening!(place, github, packages, snowgate);
    let gate = place.gate("gate");
    let head = packages.work.branch("change", &[("lib", &format!("{}; echo 2 > $out", gate.wait()))]);
    let began = Instant::now();
    opened(&github, &packages, &snowgate, "change");
    snowgate.until("there is a check run", || packages.check(&head, NAME));
    println!("a check run was there {} ms after the delivery", began.elapsed().as_millis());

    let run = until_told(&snowgate, &packages, &head, "in_progress: 1 rebuild: building");
    let review = snowgate.pull("change").unwrap()["review"]["id"].as_str().unwrap().to_owned();
    let page = run.now()["details_url"].as_str().unwrap();
    assert!(page.ends_with(&format!("/reviews/{review}")), "{page}");
    gate.open();
    assert_eq!(decision(&snowgate.reviewed("change", &head)), MERGEABLE);
    let run = until_told(&snowgate, &packages, &head, "completed success: Mergeable");
    let summary = run.now()["output"]["summary"].as_str().unwrap();
    assert!(summary.contains("**Mergeable:**") && summary.contains(page), "{summary}");
    assert_eq!(packages.checks().len(), 1, "{:#?}", packages.checks());
    assert!(github.world().leaks.is_empty());
}

#[test]
fn a_failure_is_told_with_its_cause_and_a_check_run_of_its_own_where_that_is_wanted() {
    opening!(place, github, packages, snowgate, github.checks("failures"));
    let head = packages.work.branch("break", &[("lib", "echo the very reason; exit 3"), ("tool", "echo > $out")]);
    opened(&github, &packages, &snowgate, "break");
    let run = until_told(&snowgate, &packages, &head, "completed failure: Blocked");
    assert!(run.now()["output"]["summary"].as_str().unwrap().contains("the very reason"));
    let own = format!("snowgate: lib ({})", system());
    let run = snowgate.until("the failure has a check run", || packages.check(&head, &own));
    assert_eq!(run.told(), ["completed failure: Newly failing: failed"]);
    assert!(run.now()["output"]["summary"].as_str().unwrap().contains("```text\nthe very reason"));
    assert_eq!(packages.checks().len(), 2, "{:#?}", packages.checks());
}

fn system() -> String {
    format!("{}-linux", std::env::consts::ARCH)
}

#[test]
fn rerun_on_github_begins_the_review_again_and_another_check_run_follows_it() {
    opening!(place, github, packages, snowgate);
    // it fails the first time
    let everybodys = place.path("everybodys");
    std::fs::create_dir(&everybodys).unwrap();
    std::fs::set_permissions(&everybodys, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let tried = everybodys.join("tried");
    let head =
        packages.work.branch("flaky", &[("lib", &format!("[ -e {0} ] || {{ : > {0}; exit 1; }}; echo > $out", tried.display()))]);
    opened(&github, &packages, &snowgate, "flaky");
    until_told(&snowgate, &packages, &head, "completed failure: Blocked");
    accepted(&github.deliver(&snowgate, "check_run", &packages.rerequested_event(&head)));
    until_told(&snowgate, &packages, &head, "completed success: Mergeable");
    assert_eq!(packages.checks().len(), 2, "{:#?}", packages.checks());
}

#[test]
fn what_is_given_up_is_cancelled_and_the_new_head_has_a_check_run_of_its_own() {
    opening!(place, github, packages, snowgate);
    let gate = place.gate("gate");
    let first = packages.work.branch("change", &[("lib", &format!("{}; echo 2 > $out", gate.wait()))]);
    let number = opened(&github, &packages, &snowgate, "change");
    until_told(&snowgate, &packages, &first, "in_progress");
    packages.work.git(&["switch", "--quiet", "change"]);
    packages.work.packages(&[("lib", &format!("{}; echo 3 > $out", gate.wait()))]);
    packages.work.git(&["commit", "--quiet", "--all", "--amend", "--message", "better"]);
    let second = packages.push("change");
    accepted(&github.deliver(&snowgate, "pull_request", &packages.pull_event("synchronize", number)));
    until_told(&snowgate, &packages, &first, "completed cancelled");
    until_told(&snowgate, &packages, &second, "in_progress: 1 rebuild: building");
    packages.set(number, State::Closed);
    accepted(&github.deliver(&snowgate, "pull_request", &packages.pull_event("closed", number)));
    until_told(&snowgate, &packages, &second, "completed cancelled");
}

#[test]
fn an_outage_a_lost_answer_and_a_restart_lose_nothing_and_make_nothing_twice() {
    opening!(place, github, packages, snowgate);
    let gate = place.gate("gate");
    let head = packages.work.branch("change", &[("lib", &format!("{}; echo 2 > $out", gate.wait()))]);
    // it is created, and nobody hears of it
    github.world().lost = 1;
    opened(&github, &packages, &snowgate, "change");
    until_told(&snowgate, &packages, &head, "in_progress: 1 rebuild: building");
    assert_eq!(packages.checks().len(), 1, "{:#?}", packages.checks());

    github.world().faults = (u32::MAX, 500);
    gate.open();
    snowgate.reviewed("change", &head);
    snowgate.kill();
    let snowgate = place.serve();
    github.world().faults = (0, 500);
    github.world().too_many = 2;
    until_told(&snowgate, &packages, &head, "completed success: Mergeable");
    let runs = packages.checks();
    assert_eq!(runs.len(), 1, "{runs:#?}");
    assert!(runs[0].said.len() < 8, "what overtook each other was told in full: {:#?}", runs[0].told());
}
