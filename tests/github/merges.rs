//! Merges that wait for a verdict.

use crate::accepted;
use crate::appliance::Appliance;
use crate::browser::Browser;
use crate::checks::{opened, until_told};
use crate::commands::flaky;
use crate::double::{GitHub, Hosted, INES};

fn order(github: &GitHub<'_>, packages: &Hosted<'_>, snowgate: &Appliance<'_>, number: u64, words: &str) {
    let comment = packages.say(number, Some(INES), words);
    accepted(&github.deliver(snowgate, "issue_comment", &packages.comment_event("created", comment)));
    let reactions = || Some(packages.comment(comment).reactions).filter(|all| !all.is_empty());
    assert_eq!(snowgate.until("the order is taken", reactions), ["eyes"]);
}

fn given_up(snowgate: &Appliance<'_>, packages: &Hosted<'_>, number: u64, why: &str) {
    snowgate.until(&format!("the merge is given up: {why}"), || {
        let mut ours = packages.comments().into_iter().filter(|comment| comment.by.is_none() && comment.number == number);
        ours.next_back().filter(|comment| comment.body.contains(why))
    });
}

#[test]
fn a_merge_waits_for_the_verdict_on_its_head_through_restarts_and_happens_once() {
    opening!(place, github, packages, snowgate);
    let gate = place.gate("gate");
    let head = packages.work.branch("change", &[("lib", &format!("{}; echo 2 > $out", gate.wait()))]);
    let number = opened(&github, &packages, &snowgate, "change");
    snowgate.building("lib");
    order(&github, &packages, &snowgate, number, "@snowgate merge squash");
    snowgate.kill();
    let snowgate = place.serve();
    snowgate.building("lib");
    assert_eq!(packages.merged(), Vec::<String>::new());
    // GitHub merges, and nobody hears of it
    github.world().lost_merges = 1;
    gate.open();
    let pull = snowgate.until("it is merged", || {
        (!packages.merged().is_empty()).then_some(())?;
        snowgate.pull("change").filter(|pull| pull["state"] == "merged" || github.world().lost_merges == 0)
    });
    assert_eq!(pull["head"], head);
    until_told(&snowgate, &packages, &head, "completed success: Mergeable");
    // killed before it looked again
    snowgate.kill();
    let snowgate = place.serve();
    snowgate.until("the merge is noticed", || snowgate.pull("change").filter(|pull| pull["state"] == "merged"));
    let other = packages.work.branch("other", &[("tool", "echo > $out")]);
    let number = opened(&github, &packages, &snowgate, "other");
    until_told(&snowgate, &packages, &other, "completed success: Mergeable");
    // what has its verdict is merged at once
    order(&github, &packages, &snowgate, number, "@snowgate merge");
    snowgate.until("the other is merged", || (packages.merged().len() == 2).then_some(()));
    let merged = packages.merged();
    assert_eq!(merged[0], format!("squash 1: Asked for by ines (GitHub account {}).", INES.id));
    assert!(merged[1].starts_with("merge 2: "), "{merged:?}");
    assert!(packages.comments().iter().all(|comment| comment.by.is_some()), "{:#?}", packages.comments());
}

#[test]
fn a_merge_is_given_up_and_says_why() {
    opening!(place, github, packages, snowgate, packages.allow_methods([false, true, false]));
    let gate = place.gate("gate");
    let ready = |branch: &str| {
        let head = packages.work.branch(branch, &[(branch, "echo > $out")]);
        let number = opened(&github, &packages, &snowgate, branch);
        until_told(&snowgate, &packages, &head, "completed success: Mergeable");
        number
    };

    // the head moves while it waits
    packages.work.branch("moves", &[("lib", &format!("{}; echo 2 > $out", gate.wait()))]);
    let number = opened(&github, &packages, &snowgate, "moves");
    snowgate.building("lib");
    order(&github, &packages, &snowgate, number, "@snowgate merge");
    packages.work.git(&["switch", "--quiet", "moves"]);
    packages.work.packages(&[("lib", "echo 3 > $out")]);
    packages.work.commit("more");
    let head = packages.push("moves");
    packages.work.git(&["switch", "--quiet", "main"]);
    accepted(&github.deliver(&snowgate, "pull_request", &packages.pull_event("synchronize", number)));
    given_up(&snowgate, &packages, number, "its head has moved since");
    gate.open();
    until_told(&snowgate, &packages, &head, "completed success: Mergeable");

    // the repository does not merge so, its rules forbid it, or it moved and we had not heard yet
    let number = ready("rules");
    order(&github, &packages, &snowgate, number, "@snowgate merge rebase");
    given_up(&snowgate, &packages, number, "the repository allows only: squash");
    packages.protect(Some((405, "At least 1 approving review is required by reviewers with write access.")));
    order(&github, &packages, &snowgate, number, "@snowgate merge");
    given_up(&snowgate, &packages, number, "GitHub does not merge it: At least 1 approving review is required");
    packages.protect(Some((409, "Head branch was modified. Review and try the merge again.")));
    order(&github, &packages, &snowgate, number, "@snowgate merge");
    given_up(&snowgate, &packages, number, "its head has moved: Head branch was modified");
    packages.protect(None);

    // who asked for it may not any more when the verdict comes
    let (way, script) = flaky(&place);
    let head = packages.work.branch("rights", &[("tool", &script)]);
    let number = opened(&github, &packages, &snowgate, "rights");
    until_told(&snowgate, &packages, &head, "completed failure: Blocked");
    order(&github, &packages, &snowgate, number, "@snowgate merge");
    github.world().writers.clear();
    std::fs::write(way, "").unwrap();
    accepted(&github.deliver(&snowgate, "check_run", &packages.rerequested_event(&head)));
    given_up(&snowgate, &packages, number, "who asked for it may not write to the repository any more");
    assert_eq!(packages.merged(), Vec::<String>::new());
}

#[test]
fn who_is_signed_in_has_it_merged_in_their_own_name_when_the_verdict_comes() {
    opening!(place, github, packages, snowgate, github.with_sign_in());
    // ordered from the page while it builds; the head is where it stood
    let waiting = |snowgate: &Appliance<'_>, branch: &str, fields: &str| {
        let gate = place.gate(branch);
        let head = packages.work.branch(branch, &[(branch, &format!("{}; echo > $out", gate.wait()))]);
        let number = opened(&github, &packages, snowgate, branch);
        snowgate.building(branch);
        let mut ines = Browser::of(INES, snowgate);
        let page = format!("/r/us/packages/pull/{number}");
        let answer = ines.press(&page, "merge", &format!("when=mergeable&{fields}"));
        assert_eq!(answer.status, 202, "{}", answer.body);
        assert!(answer.body.contains("merges when it is mergeable"), "{}", answer.body);
        assert!(ines.ask("GET", &page, "").body.contains("when it is mergeable</span>"));
        (gate, head, number)
    };
    let merged =
        |snowgate: &Appliance<'_>, number: usize| snowgate.until("it is merged", || packages.merged().get(number - 1).cloned());

    // also by another process than the one that heard the order
    let (gate, _, number) = waiting(&snowgate, "first", "method=squash&squash_title=First&squash_message=As+agreed.");
    snowgate.kill();
    let snowgate = place.serve();
    snowgate.building("first");
    gate.open();
    assert_eq!(merged(&snowgate, 1), format!("squash {number} by ines: First\n\nAs agreed."));

    // whose session is over, or whose token GitHub does not take, is asked about, and the App merges
    let (gate, _, number) = waiting(&snowgate, "second", "method=merge&merge_title=Second");
    github.world().took_back.push(INES);
    gate.open();
    let by_the_app = format!("Asked for by ines (GitHub account {}).", INES.id);
    assert_eq!(merged(&snowgate, 2), format!("merge {number}: Second\n\n{by_the_app}"));
    github.world().took_back.clear();
    let (gate, _, number) = waiting(&snowgate, "away", "method=merge&merge_title=Away");
    let mut ines = Browser::of(INES, &snowgate);
    let everywhere = format!("/api/users/{}/sign-out", INES.id);
    let sessions = ines.ask("GET", "/sessions", "").body;
    let token = sessions.split("name=\"csrf\" value=\"").nth(1).unwrap()[..32].to_owned();
    assert_eq!(ines.ask("POST", &everywhere, &format!("csrf={token}")).status, 202);
    assert!(github.world().revoked.contains(&INES));
    gate.open();
    assert_eq!(merged(&snowgate, 3), format!("merge {number}: Away\n\n{by_the_app}"));

    // GitHub's rules are those for a person
    let (gate, _, number) = waiting(&snowgate, "third", "method=merge");
    github.world().writers.clear();
    gate.open();
    given_up(&snowgate, &packages, number, "GitHub does not allow it: Must have push access to repository");
    github.world().writers.push(INES);

    // what was decided on one head is not done to another
    let (gate, _, number) = waiting(&snowgate, "fourth", "method=merge");
    packages.work.git(&["switch", "--quiet", "fourth"]);
    packages.work.packages(&[("fourth", "echo 2 > $out")]);
    packages.work.commit("more");
    let head = packages.push("fourth");
    packages.work.git(&["switch", "--quiet", "main"]);
    accepted(&github.deliver(&snowgate, "pull_request", &packages.pull_event("synchronize", number)));
    given_up(&snowgate, &packages, number, "its head has moved since");
    gate.open();
    until_told(&snowgate, &packages, &head, "completed success: Mergeable");
    assert_eq!(packages.merged().len(), 3, "{:#?}", packages.merged());
    assert!(!snowgate.said().contains("ghu_"), "{}", snowgate.said());
}
