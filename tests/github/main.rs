//! Snowgate and GitHub: the real program, real git over HTTP, real Nix, and a GitHub of our own that keeps its state.

/// How most stories open: `us/packages` is on GitHub, and Snowgate has read it. What stands behind the names is done before it starts.
macro_rules! opening {
    ($place:ident, $github:ident, $packages:ident, $snowgate:ident $(, $before:expr)*) => {
        let $place = $crate::appliance::Place::new();
        let $github = $crate::double::GitHub::start(&$place);
        let $packages = $crate::packages(&$github);
        $($before;)*
        let $snowgate = $place.serve();
        $crate::settled(&$snowgate, "us/packages");
    };
}

#[path = "../support/appliance.rs"]
mod appliance;
mod browser;
mod calls;
mod checks;
mod commands;
mod deeds;
mod deliveries;
mod double;
mod examples;
mod groups;
mod labels;
mod merges;
mod opinions;
mod registration;
mod strangers;
mod weather;

use appliance::{Appliance, Place};
use double::{GitHub, INES, State};
use serde_json::Value;

const LIB: (&str, &str) = ("lib", "echo lib > $out");

fn decision(report: &Value) -> (&str, &str) {
    (report["state"].as_str().unwrap(), report["verdict"]["decision"].as_str().unwrap())
}

const MERGEABLE: (&str, &str) = ("complete", "mergeable");

/// A repository with one package on its base, and no pull requests yet.
fn packages<'a>(github: &'a GitHub<'a>) -> double::Hosted<'a> {
    let packages = github.repository("us/packages");
    packages.work.packages(&[LIB]);
    packages.work.commit("a package");
    packages.push("main");
    packages
}

/// Every repository of GitHub has been read.
fn settled(snowgate: &Appliance<'_>, name: &str) {
    snowgate.until("the repository is read", || {
        let repositories = snowgate.json("/api/repositories");
        let row = repositories.as_array().unwrap().iter().find(|row| row["name"] == name)?.clone();
        (row["read_at"].is_string() && row["error"].is_null()).then_some(())
    });
}

fn accepted(answer: &appliance::http::Answer) {
    assert_eq!((answer.status, answer.body.as_str()), (200, "{\"status\":\"accepted\"}"));
}

#[test]
fn a_pull_request_is_reviewed_when_it_is_opened_and_no_process_shows_the_token() {
    opening!(place, github, packages, snowgate);

    let head = packages.work.branch("change", &[("lib", "echo lib 2 > $out")]);
    let number = packages.open("change");
    accepted(&github.deliver(&snowgate, "pull_request", &packages.pull_event("opened", number)));
    let report = snowgate.reviewed("change", &head);
    assert_eq!(decision(&report), MERGEABLE, "{report:#}");
    assert_eq!(report["repository"], "us/packages");
    let pull = snowgate.pull("change").unwrap();
    assert_eq!((&pull["number"], &pull["author"], &pull["title"]), (&number.into(), &"ines".into(), &"Change change".into()));
    assert!(snowgate.page("/r/us/packages/pull/1").contains("Mergeable"));

    let world = github.world();
    assert!(world.asked.iter().any(|asked| asked == "git /us/packages.git/git-upload-pack"), "{:#?}", world.asked);
    assert!(world.leaks.is_empty(), "{:#?}", world.leaks);
    drop(world);
    assert!(!snowgate.said().contains("ghs_"), "{}", snowgate.said());
}

#[test]
fn a_force_push_takes_the_place_of_the_review_under_way_and_closing_ends_it() {
    let place = Place::new();
    let gate = place.gate("gate");
    let github = GitHub::start(&place);
    let packages = packages(&github);
    packages.work.branch("change", &[("lib", &format!("{}; echo 2 > $out", gate.wait()))]);
    let number = packages.open("change");
    let snowgate = place.serve();
    snowgate.building("lib");
    let first = snowgate.pull("change").unwrap()["review"]["id"].as_str().unwrap().to_owned();

    packages.work.git(&["switch", "--quiet", "change"]);
    packages.work.packages(&[("lib", &format!("{}; echo 3 > $out", gate.wait()))]);
    packages.work.git(&["commit", "--quiet", "--all", "--amend", "--message", "better"]);
    let second = packages.push("change");
    accepted(&github.deliver(&snowgate, "pull_request", &packages.pull_event("synchronize", number)));
    snowgate.until("the second head is under review", || {
        snowgate.pull("change").filter(|pull| pull["head"] == second && pull["review"]["head"] == second)
    });
    snowgate.until("the first review is cancelled", || {
        Some(snowgate.json(&format!("/api/reviews/{first}"))).filter(|report| report["state"] == "cancelled")
    });

    packages.set(number, State::Closed);
    accepted(&github.deliver(&snowgate, "pull_request", &packages.pull_event("closed", number)));
    let pull = snowgate.until("it is closed", || snowgate.pull("change").filter(|pull| pull["state"] == "closed"));
    let report = snowgate.until("its review is cancelled", || {
        let report = snowgate.json(&format!("/api/reviews/{}", pull["review"]["id"].as_str()?));
        (report["state"] == "cancelled").then_some(report)
    });
    assert_eq!(report["head"]["rev"], second);
    place.eventually("the builder is killed", || place.builders("lib").is_empty().then_some(()));
}

#[test]
fn the_review_follows_the_base_and_a_merge_is_told_from_a_closing() {
    let place = Place::new();
    let github = GitHub::start(&place);
    let packages = packages(&github);
    let merged = packages.work.branch("merged", &[("lib", "echo lib 2 > $out")]);
    let other = packages.work.branch("other", &[("tool", "echo ${lib} > $out")]);
    let last = packages.work.branch("last", &[("last", "echo 1 > $out")]);
    let number = packages.open("merged");
    packages.open("other");
    // more than the double has on a page
    packages.open("last");
    let snowgate = place.serve();
    for (branch, head) in [("merged", &merged), ("other", &other), ("last", &last)] {
        assert_eq!(decision(&snowgate.reviewed(branch, head)), MERGEABLE);
    }

    packages.work.git(&["merge", "--quiet", "--no-ff", "--message", "Merge", "merged"]);
    let base = packages.push("main");
    packages.set(number, State::Merged);
    // this one alone: what became of the pull request is read all the same
    accepted(&github.deliver(&snowgate, "push", &packages.push_event("main")));
    snowgate.until("the other is reviewed against the new base", || {
        snowgate.pull("other").filter(|pull| pull["base"] == base && pull["review"]["base"] == base)
    });
    assert_eq!(decision(&snowgate.reviewed("other", &other)), MERGEABLE);
    assert_eq!(snowgate.pull("merged").unwrap()["state"], "merged");
}

#[test]
fn a_lost_delivery_heals_and_reading_what_has_not_changed_costs_nothing() {
    let place = Place::new();
    let github = GitHub::start(&place);
    let packages = packages(&github);
    github.configure(&format!(
        "app_id = {}\nprivate_key_file = \"{}\"\npoll_seconds = 1\n",
        double::APP,
        place.path("app.pem").display()
    ));
    let snowgate = place.serve();
    settled(&snowgate, "us/packages");
    let head = packages.work.branch("change", &[("lib", "echo lib 2 > $out")]);
    let number = packages.open("change");
    assert_eq!(decision(&snowgate.reviewed("change", &head)), MERGEABLE);
    packages.set(number, State::Merged);
    snowgate.until("the merge is noticed", || snowgate.pull("change").filter(|pull| pull["state"] == "merged"));

    // so is one that GitHub could not answer about for a while
    github.world().faults = (5, 502);
    place.eventually("the faults are over", || (github.world().faults.0 == 0).then_some(()));
    let head = packages.work.branch("later", &[("lib", "echo lib 3 > $out")]);
    packages.open("later");
    assert_eq!(decision(&snowgate.reviewed("later", &head)), MERGEABLE);

    let before = github.world().asked.len();
    place.eventually("it was read some more times", || (github.world().asked.len() >= before + 20).then_some(()));
    let world = github.world();
    let dear: Vec<&String> = world.asked[before..].iter().filter(|asked| !asked.ends_with(" 304")).collect();
    // what the last change brought may still be on its way
    assert!(dear.len() <= 6, "{dear:#?}");
}

#[test]
fn a_repeated_delivery_does_nothing_and_a_forged_one_is_not_even_kept() {
    opening!(place, github, packages, snowgate);
    let head = packages.work.branch("change", &[("lib", "echo lib 2 > $out")]);
    let number = packages.open("change");
    let body = packages.pull_event("opened", number).to_string();
    let deliver = |secret: &str| github.deliver_as(&snowgate, "a-number", "pull_request", &body, secret);

    let forged = deliver("a guess");
    assert_eq!(forged.status, 401, "{}", forged.body);
    assert!(forged.body.contains("\"code\":\"bad_signature\""), "{}", forged.body);
    let unsigned =
        snowgate.post("/webhooks/github", &[("x-github-event", "pull_request"), ("x-github-delivery", "a-number")], &body);
    assert_eq!(unsigned.status, 401, "{}", unsigned.body);
    // its number is not taken
    accepted(&deliver(double::SECRET));
    let report = snowgate.reviewed("change", &head);
    assert_eq!(decision(&report), MERGEABLE);

    // what is told of the review goes on
    let asked = || github.world().asked.iter().filter(|asked| !asked.contains("/check-runs")).count();
    let before = asked();
    let again = deliver(double::SECRET);
    assert_eq!((again.status, again.body.as_str()), (200, "{\"status\":\"repeated\"}"));
    assert_eq!(asked(), before);
    // one that came is not gone when it is asked for after a restart
    let (status, _) = snowgate.stop();
    assert!(status.success());
    let snowgate = place.serve();
    let again = github.deliver_as(&snowgate, "a-number", "pull_request", &body, double::SECRET);
    assert_eq!(again.body, "{\"status\":\"repeated\"}");
    assert_eq!(snowgate.pull("change").unwrap()["review"]["id"], report["id"]);
}

#[test]
fn a_fork_of_a_writer_is_reviewed_and_its_pull_request_outlives_its_deletion() {
    let place = Place::new();
    let github = GitHub::start(&place);
    let packages = packages(&github);
    let ours = packages.work.branch("ours", &[("lib", "echo lib 2 > $out")]);
    let number = packages.open_from_fork("ours", INES);
    let snowgate = place.serve();
    assert_eq!(decision(&snowgate.reviewed("ines:ours", &ours)), MERGEABLE);

    packages.work.git(&["switch", "--quiet", "ours"]);
    packages.work.packages(&[("lib", "echo lib 4 > $out")]);
    packages.work.commit("more");
    let head = packages.push_to_fork(number);
    packages.delete_fork(number);
    accepted(&github.deliver(&snowgate, "pull_request", &packages.pull_event("synchronize", number)));
    assert_eq!(decision(&snowgate.reviewed("ines:ours", &head)), MERGEABLE);
}

#[test]
fn a_renamed_repository_keeps_its_reviews_and_one_that_is_taken_away_is_dropped() {
    let place = Place::new();
    let github = GitHub::start(&place);
    let packages = packages(&github);
    let head = packages.work.branch("change", &[("lib", "echo lib 2 > $out")]);
    let number = packages.open("change");
    let snowgate = place.serve();
    let review = snowgate.reviewed("change", &head)["id"].clone();

    packages.rename("them/set");
    accepted(&github.deliver(&snowgate, "repository", &packages.repository_event("renamed")));
    settled(&snowgate, "them/set");
    let pull = snowgate.until("the pull request goes by the new name", || {
        snowgate.pull("change").filter(|pull| pull["repository"] == "them/set" && pull["state"] == "open")
    });
    assert_eq!(pull["review"]["id"], review, "{pull:#}");
    assert!(snowgate.page("/r/them/set/pull/1").contains("Mergeable"));
    assert_eq!(snowgate.get("/r/us/packages").status, 404);

    packages.work.git(&["switch", "--quiet", "change"]);
    packages.work.packages(&[("lib", "echo lib 3 > $out")]);
    packages.work.commit("more");
    let head = packages.push("change");
    accepted(&github.deliver(&snowgate, "pull_request", &packages.pull_event("synchronize", number)));
    assert_eq!(decision(&snowgate.reviewed("change", &head)), MERGEABLE);

    github.world().installed = false;
    accepted(&github.deliver(&snowgate, "installation", &serde_json::json!({"action": "deleted", "installation": {"id": 70}})));
    snowgate
        .until("the repository is dropped", || snowgate.json("/api/repositories").as_array().unwrap().is_empty().then_some(()));
}

#[test]
fn another_default_branch_and_another_repository_are_taken_up() {
    let place = Place::new();
    let github = GitHub::start(&place);
    let packages = packages(&github);
    let head = packages.work.branch("change", &[("lib", "echo lib 2 > $out")]);
    packages.open("change");
    let snowgate = place.serve();
    let review = snowgate.reviewed("change", &head)["id"].clone();

    packages.rename_default_branch("trunk");
    accepted(&github.deliver(&snowgate, "repository", &packages.repository_event("edited")));
    let pull = snowgate.until("it asks to be merged into the other branch", || {
        snowgate.pull("change").filter(|pull| pull["base_branch"] == "trunk" && pull["state"] == "open")
    });
    // of the same two commits
    assert_eq!(pull["review"]["id"], review, "{pull:#}");
    snowgate.until("the base is the other branch", || {
        let repositories = snowgate.json("/api/repositories");
        (repositories[0]["base_branch"] == "trunk" && repositories[0]["error"].is_null()).then_some(())
    });
    packages.work.git(&["switch", "--quiet", "trunk"]);
    packages.work.packages(&[("tool", "echo tool > $out")]);
    packages.work.commit("more");
    let base = packages.push("trunk");
    accepted(&github.deliver(&snowgate, "push", &packages.push_event("trunk")));
    snowgate.until("the review follows the base", || {
        snowgate.pull("change").filter(|pull| pull["base"] == base && pull["review"]["base"] == base)
    });
    assert_eq!(decision(&snowgate.reviewed("change", &head)), MERGEABLE);

    let others = github.repository("us/others");
    others.work.packages(&[LIB]);
    others.work.commit("a package");
    others.push("main");
    let added = serde_json::json!({"action": "added", "installation": {"id": 70}});
    accepted(&github.deliver(&snowgate, "installation_repositories", &added));
    settled(&snowgate, "us/others");
}
