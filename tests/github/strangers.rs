//! Changes of people who may not write: nothing of them runs on this machine before the configuration says so.

use std::os::unix::fs::PermissionsExt;

use crate::appliance::{Appliance, Place};
use crate::checks::until_told;
use crate::double::{GitHub, Hosted, INES, STRANGER, User};
use crate::{MERGEABLE, accepted, decision, packages, settled};

/// What a form of this page needs: `(cookie, token)`.
fn token(snowgate: &Appliance<'_>, page: &str) -> (String, String) {
    let answer = snowgate.get(page);
    let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let token = cookie.split('=').nth(1).unwrap().to_owned();
    (cookie, token)
}

#[test]
fn a_strangers_change_waits_whatever_happens_until_the_policy_trusts_its_author() {
    let place = Place::new();
    let github = GitHub::start(&place);
    let packages = packages(&github);
    // whoever builds may write there
    let trace = place.path("trace");
    std::fs::write(&trace, "").unwrap();
    std::fs::set_permissions(&trace, std::fs::Permissions::from_mode(0o666)).unwrap();
    let ran = || !std::fs::read_to_string(&trace).unwrap().is_empty();
    packages.work.branch("theirs", &[("lib", &format!("echo it ran >> {}; echo 2 > $out", trace.display()))]);
    let number = packages.open_from_fork("theirs", STRANGER);
    let ours = packages.work.branch("ours", &[("lib", "echo lib 2 > $out")]);
    packages.open_from_fork("ours", INES);
    let snowgate = place.serve();
    assert_eq!(decision(&snowgate.reviewed("ines:ours", &ours)), MERGEABLE);
    let review = |snowgate: &Appliance<'_>| snowgate.pull("stranger:theirs").unwrap()["review"].clone();
    let first = review(&snowgate);
    let sentence = "Waits for a writer's permission: its author may not write to the repository.";
    assert_eq!((&first["state"], &first["summary"]), (&"evaluating".into(), &sentence.into()), "{first:#}");
    let page = snowgate.page(&format!("/r/us/packages/pull/{number}"));
    assert!(page.contains("Waits for a writer") && page.contains("[github.policy]") && !page.contains("Run again"), "{page}");
    assert!(snowgate.page("/").contains("waits for permission"));

    // nobody begins it by way of the buttons of other reviews
    let (cookie, token) = token(&snowgate, "/r/us/packages/pull/2");
    let id = first["id"].as_str().unwrap();
    for action in ["rerun", "cancel"] {
        let headers = [("cookie", cookie.as_str()), ("x-csrf-token", token.as_str())];
        let answer = snowgate.post(&format!("/api/reviews/{id}/{action}"), &headers, "");
        assert_eq!(answer.status, 409, "{}", answer.body);
        assert!(answer.body.contains("waits for a writer's permission"), "{}", answer.body);
    }

    // a push: the new head waits as the old one did
    packages.work.git(&["switch", "--quiet", "theirs"]);
    packages.work.write("more", "");
    packages.work.commit("more");
    let head = packages.push_to_fork(number);
    accepted(&github.deliver(&snowgate, "pull_request", &packages.pull_event("synchronize", number)));
    snowgate.until("the new head waits", || Some(review(&snowgate)).filter(|review| review["head"] == head));
    assert_eq!(review(&snowgate)["summary"], sentence);
    let old = snowgate.json(&format!("/api/reviews/{id}"));
    assert_eq!(old["state"], "cancelled", "{old:#}");

    // a restart takes up what was under way, and this was not
    let waiting = review(&snowgate);
    let (status, _) = snowgate.stop();
    assert!(status.success());
    let snowgate = place.serve();
    let again = packages.work.branch("again", &[("lib", "echo lib 3 > $out")]);
    packages.open("again");
    accepted(&github.deliver(&snowgate, "push", &packages.push_event("again")));
    assert_eq!(decision(&snowgate.reviewed("again", &again)), MERGEABLE);
    assert_eq!(review(&snowgate), waiting);
    assert!(!ran());

    // the one who runs the server trusts this account
    github.trust(&format!("trusted = [{}]", STRANGER.id));
    place.configuration();
    snowgate.until("another review is begun", || Some(review(&snowgate)).filter(|review| review["id"] != waiting["id"]));
    assert_eq!(decision(&snowgate.reviewed("stranger:theirs", &head)), MERGEABLE);
    assert!(ran());
}

/// A stranger's pull request that waits: its number and its head.
fn waiting(github: &GitHub<'_>, packages: &Hosted<'_>, snowgate: &Appliance<'_>) -> (u64, String) {
    settled(snowgate, "us/packages");
    let head = packages.work.branch("theirs", &[("lib", "echo lib 2 > $out")]);
    let number = packages.open_from_fork("theirs", STRANGER);
    accepted(&github.deliver(snowgate, "pull_request", &packages.pull_event("opened", number)));
    until_told(snowgate, packages, &head, WAITS);
    (number, head)
}

/// Somebody else's push.
fn pushed(github: &GitHub<'_>, packages: &Hosted<'_>, snowgate: &Appliance<'_>, number: u64) -> String {
    packages.work.git(&["switch", "--quiet", "theirs"]);
    packages.work.packages(&[("lib", "echo lib 3 > $out")]);
    packages.work.commit("more");
    let head = packages.push_to_fork(number);
    accepted(&github.deliver(snowgate, "pull_request", &packages.pull_event("synchronize", number)));
    head
}

const WAITS: &str = "completed action_required: Waits";
const GOOD: &str = "completed success: Mergeable";

#[test]
fn a_permission_on_the_page_is_for_the_head_that_was_read_and_outlives_a_move_of_the_base() {
    let place = Place::new();
    let github = GitHub::start(&place);
    let packages = packages(&github);
    let snowgate = place.serve();
    let (number, head) = waiting(&github, &packages, &snowgate);
    let review = |snowgate: &Appliance<'_>| snowgate.pull("stranger:theirs").unwrap()["review"].clone();
    let press = |snowgate: &Appliance<'_>, id: &serde_json::Value| {
        let (cookie, token) = token(snowgate, &format!("/r/us/packages/pull/{number}"));
        let headers = [("cookie", cookie.as_str()), ("x-csrf-token", token.as_str())];
        snowgate.post(&format!("/api/reviews/{}/allow", id.as_str().unwrap()), &headers, "")
    };
    let read = review(&snowgate)["id"].clone();
    let answer = press(&snowgate, &read);
    assert_eq!(answer.status, 202, "{}", answer.body);
    until_told(&snowgate, &packages, &head, GOOD);
    assert_eq!(review(&snowgate)["id"], read, "it is the review that waited");
    assert_eq!(press(&snowgate, &read).status, 409, "once is enough");

    packages.work.git(&["switch", "--quiet", "main"]);
    packages.work.write("news", "");
    packages.work.commit("news");
    packages.push("main");
    accepted(&github.deliver(&snowgate, "push", &packages.push_event("main")));
    snowgate.until("the base moved", || Some(review(&snowgate)).filter(|review| review["id"] != read));
    snowgate.reviewed("stranger:theirs", &head);

    // pushed after it was read: the one that was allowed opens nothing
    let next = pushed(&github, &packages, &snowgate, number);
    until_told(&snowgate, &packages, &next, WAITS);
    let answer = press(&snowgate, &read);
    assert!(answer.status == 409 && answer.body.contains("moved"), "{}", answer.body);
    assert_eq!(review(&snowgate)["summary"], "Waits for a writer's permission: its author may not write to the repository.");
}

#[test]
fn the_button_of_the_check_run_allows_for_a_writer_alone() {
    let place = Place::new();
    let github = GitHub::start(&place);
    let packages = packages(&github);
    github.trust("ask_again = \"never\"");
    place.configuration();
    let snowgate = place.serve();
    let (number, head) = waiting(&github, &packages, &snowgate);
    let actions = packages.check(&head, "snowgate").unwrap().now()["actions"].clone();
    assert_eq!((&actions[0]["label"], &actions[0]["identifier"]), (&"Allow".into(), &"allow".into()), "{actions}");

    accepted(&github.deliver(&snowgate, "check_run", &packages.requested_event(&head, "allow", STRANGER)));
    snowgate
        .until("the stranger is not heard", || snowgate.said().contains("stranger may not write to us/packages").then_some(()));
    // a number that GitHub gave to another login
    let renamed = User { login: INES.login, id: STRANGER.id };
    accepted(&github.deliver(&snowgate, "check_run", &packages.requested_event(&head, "allow", renamed)));
    snowgate
        .until("nor who goes by a writer's name", || snowgate.said().contains("ines may not write to us/packages").then_some(()));
    let page = snowgate.page(&format!("/r/us/packages/pull/{number}"));
    assert!(page.contains("Waits for a writer"), "{page}");

    accepted(&github.deliver(&snowgate, "check_run", &packages.requested_event(&head, "allow", INES)));
    until_told(&snowgate, &packages, &head, GOOD);
    // the configuration asks once for a pull request
    let next = pushed(&github, &packages, &snowgate, number);
    until_told(&snowgate, &packages, &next, GOOD);
}
