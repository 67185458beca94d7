//! Changes of people who may not write: nothing of them runs on this machine before the configuration says so.

use std::os::unix::fs::PermissionsExt;

use crate::appliance::{Appliance, Place};
use crate::double::{GitHub, INES, STRANGER};
use crate::{MERGEABLE, accepted, decision, packages};

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
