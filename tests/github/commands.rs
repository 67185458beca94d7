//! What writers order in comments.

use crate::appliance::{Appliance, Place};
use crate::checks::{opened, until_told};
use crate::double::comments::Comment;
use crate::double::{GitHub, Hosted, INES, STRANGER, User};
use crate::{LIB, MERGEABLE, accepted, decision, packages, settled};

const YES: &str = "+1";
const NO: &str = "-1";
const BEGUN: &str = "eyes";
const CONFUSED: &str = "confused";

fn say(github: &GitHub<'_>, packages: &Hosted<'_>, snowgate: &Appliance<'_>, number: u64, by: User, words: &str) -> u64 {
    let comment = packages.say(number, Some(by), words);
    accepted(&github.deliver(snowgate, "issue_comment", &packages.comment_event("created", comment)));
    comment
}

fn reacted(snowgate: &Appliance<'_>, packages: &Hosted<'_>, comment: u64) -> Vec<String> {
    snowgate.until("the comment has a reaction", || Some(packages.comment(comment).reactions).filter(|all| !all.is_empty()))
}

fn replies(packages: &Hosted<'_>) -> Vec<Comment> {
    packages.comments().into_iter().filter(|comment| comment.by.is_none()).collect()
}

fn replied(snowgate: &Appliance<'_>, packages: &Hosted<'_>, count: usize) -> String {
    snowgate.until("there is a reply", || Some(replies(packages)).filter(|all| all.len() == count))[count - 1].body.clone()
}

/// Reviews that GitHub was told of, for a head.
fn reviews(packages: &Hosted<'_>, head: &str) -> usize {
    let ids = packages.checks().into_iter().filter(|run| run.head == head);
    let ids = ids.flat_map(|run| run.said.into_iter().map(|said| said["external_id"].as_str().unwrap().to_owned()));
    ids.collect::<std::collections::BTreeSet<_>>().len()
}

/// Fails until somebody opens the way.
pub fn flaky(place: &Place) -> (std::path::PathBuf, String) {
    let everybodys = place.path("everybodys");
    std::fs::create_dir(&everybodys).unwrap();
    std::fs::set_permissions(&everybodys, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let way = everybodys.join("way");
    let script = format!("[ -e {} ] || exit 1; echo > $out", way.display());
    (way, script)
}

#[test]
fn a_writer_orders_by_comments_and_each_is_answered_once() {
    opening!(place, github, packages, snowgate);
    let gate = place.gate("gate");
    let (way, script) = flaky(&place);
    let head = packages.work.branch("flaky", &[("lib", &script), ("tool", "echo > $out")]);
    let number = opened(&github, &packages, &snowgate, "flaky");
    until_told(&snowgate, &packages, &head, "completed failure: Blocked");
    let say = |by: User, words: &str| say(&github, &packages, &snowgate, number, by, words);
    let reacted = |comment: u64| reacted(&snowgate, &packages, comment);

    // what is not for us to hear, and who is not to be heard
    let shown = say(INES, "> @snowgate rerun\n\n`@snowgate rerun`\n\n<!-- @snowgate rerun -->");
    let bots = say(User { login: "renovate[bot]", id: 300 }, "@snowgate rerun");
    let strangers = say(STRANGER, "@snowgate rerun");
    snowgate
        .until("the stranger is not heard", || snowgate.said().contains("stranger may not write to us/packages").then_some(()));
    let edited = packages.say(number, Some(INES), "@snowgate rerun");
    packages.edit(edited, "@snowgate cancel");
    assert_eq!(
        github.deliver(&snowgate, "issue_comment", &packages.comment_event("edited", edited)).body,
        "{\"status\":\"ignored\"}"
    );
    accepted(&github.deliver(&snowgate, "issue_comment", &packages.comment_event("created", edited)));

    // help, and what can't be done
    assert_eq!(reacted(say(INES, "@snowgate help")), [YES]);
    assert!(replied(&snowgate, &packages, 1).contains("`@snowgate build ATTR…`"));
    assert_eq!(reacted(say(INES, "@snowgate destroy")), [CONFUSED]);
    assert!(replied(&snowgate, &packages, 2).starts_with("There is no such command."));
    assert_eq!(reacted(say(INES, "@snowgate cancel")), [NO]);
    assert!(replied(&snowgate, &packages, 3).starts_with("The review is over."));
    assert_eq!(reacted(say(INES, "@snowgate build tool")), [NO]);
    assert!(replied(&snowgate, &packages, 4).starts_with("Built already, and succeeded: `tool`."));
    assert_eq!(reviews(&packages, &head), 1);

    // what failed is built again
    std::fs::write(way, "").unwrap();
    let build = say(INES, "It was the network.\n\n@snowgate build lib");
    assert_eq!(reacted(build), [BEGUN]);
    until_told(&snowgate, &packages, &head, "completed success: Mergeable");
    accepted(&github.deliver(&snowgate, "issue_comment", &packages.comment_event("created", build)));
    assert_eq!(reacted(say(INES, "@snowgate rerun")), [BEGUN]);
    snowgate.until("it is reviewed once more", || (reviews(&packages, &head) == 3).then_some(()));

    // what is under way is given up
    let slow = packages.work.branch("slow", &[("late", &format!("{}; echo late > $out", gate.wait()))]);
    let slow_number = opened(&github, &packages, &snowgate, "slow");
    snowgate.building("late");
    let comment = packages.say(slow_number, Some(INES), "@snowgate cancel");
    accepted(&github.deliver(&snowgate, "issue_comment", &packages.comment_event("created", comment)));
    assert_eq!(reacted(comment), [YES]);
    until_told(&snowgate, &packages, &slow, "completed cancelled");

    for unheard in [shown, bots, strangers, edited] {
        assert_eq!(packages.comment(unheard).reactions, Vec::<String>::new());
    }
    assert_eq!(packages.comment(build).reactions, [BEGUN]);
    assert_eq!((replies(&packages).len(), reviews(&packages, &head)), (4, 3));
}

#[test]
fn a_writer_allows_a_strangers_change() {
    opening!(place, github, packages, snowgate);
    let head = packages.work.branch("theirs", &[("lib", "echo 2 > $out")]);
    let number = packages.open_from_fork("theirs", STRANGER);
    accepted(&github.deliver(&snowgate, "pull_request", &packages.pull_event("opened", number)));
    snowgate.until("it waits", || snowgate.pull("stranger:theirs").filter(|pull| pull["review"]["id"].is_string()));
    let merge = say(&github, &packages, &snowgate, number, INES, "@snowgate merge");
    assert_eq!(reacted(&snowgate, &packages, merge), [NO]);
    let theirs = say(&github, &packages, &snowgate, number, STRANGER, "@snowgate allow");
    let ours = say(&github, &packages, &snowgate, number, INES, "@snowgate allow");
    assert_eq!(reacted(&snowgate, &packages, ours), [BEGUN]);
    until_told(&snowgate, &packages, &head, "completed success: Mergeable");
    assert_eq!(packages.comment(theirs).reactions, Vec::<String>::new());
}

#[test]
fn what_was_said_of_one_head_is_not_done_to_the_next() {
    const WAITS: &str = "completed action_required: Waits";
    opening!(place, github, packages, snowgate);
    let read = packages.work.branch("theirs", &[("lib", "echo 2 > $out")]);
    let number = packages.open_from_fork("theirs", STRANGER);
    accepted(&github.deliver(&snowgate, "pull_request", &packages.pull_event("opened", number)));
    until_told(&snowgate, &packages, &read, WAITS);

    // the stranger is quicker than the Clerk
    github.world().refuse_comments = true;
    let overtaken = say(&github, &packages, &snowgate, number, INES, "@snowgate allow");
    packages.work.git(&["switch", "--quiet", "theirs"]);
    packages.work.packages(&[("lib", "echo 3 > $out")]);
    packages.work.commit("more");
    let pushed = packages.push_to_fork(number);
    packages.work.git(&["switch", "--quiet", "main"]);
    accepted(&github.deliver(&snowgate, "pull_request", &packages.pull_event("synchronize", number)));
    until_told(&snowgate, &packages, &pushed, WAITS);
    snowgate.kill();
    github.world().refuse_comments = false;
    let snowgate = place.serve();
    assert_eq!(reacted(&snowgate, &packages, overtaken), [NO]);
    let reply = replied(&snowgate, &packages, 1);
    let way_out = format!("read it, and say `@the-gate allow {}`.", &pushed[..7]);
    assert!(reply.contains(&way_out) || reply.contains(&way_out.replace("the-gate", "snowgate")), "{reply}");

    // or than the delivery
    let said = |words: &str| {
        let comment = packages.say(number, Some(INES), words);
        packages.delay(comment);
        accepted(&github.deliver(&snowgate, "issue_comment", &packages.comment_event("created", comment)));
        reacted(&snowgate, &packages, comment)
    };
    assert_eq!(said("@snowgate allow"), [NO]);
    assert_eq!(said(&format!("@snowgate allow {read}")), [NO]);
    assert!(replied(&snowgate, &packages, 3).contains("is not the head of this pull request"));
    assert!(snowgate.page(&format!("/r/us/packages/pull/{number}")).contains("Waits for a writer"));

    // who names the head has read it
    assert_eq!(said(&format!("@snowgate allow {}", &pushed[..7])), [BEGUN]);
    until_told(&snowgate, &packages, &pushed, "completed success: Mergeable");
    assert_eq!(said("@snowgate merge squash"), [NO]);
    assert_eq!(said(&format!("@snowgate merge squash {}", &read[..9])), [NO]);
    assert_eq!(packages.merged(), Vec::<String>::new());
    assert_eq!(said(&format!("@snowgate merge squash {pushed}")), [BEGUN]);
    snowgate.until("it is merged", || (packages.merged().len() == 1).then_some(()));
}

#[test]
fn a_kill_in_between_and_lost_answers_carry_nothing_out_twice() {
    opening!(place, github, packages, snowgate);
    let (way, script) = flaky(&place);
    let head = packages.work.branch("flaky", &[("lib", &script)]);
    let number = opened(&github, &packages, &snowgate, "flaky");
    until_told(&snowgate, &packages, &head, "completed failure: Blocked");

    // it is begun, and then nobody can be told
    github.world().refuse_reactions = true;
    let rerun = say(&github, &packages, &snowgate, number, INES, "@snowgate rerun\n@snowgate help");
    snowgate.until("it is begun again", || (reviews(&packages, &head) == 2).then_some(()));
    snowgate.kill();
    std::fs::write(way, "").unwrap();
    let snowgate = place.serve();
    // and the answer to the reply is lost
    github.world().lost_replies = 1;
    github.world().refuse_reactions = false;
    replied(&snowgate, &packages, 1);
    assert_eq!(reacted(&snowgate, &packages, rerun), [BEGUN]);

    // one that came while nobody answered is not lost either
    github.world().faults = (u32::MAX, 500);
    let help = say(&github, &packages, &snowgate, number, INES, "@snowgate help");
    snowgate.kill();
    github.world().faults = (0, 500);
    let snowgate = place.serve();
    assert_eq!(reacted(&snowgate, &packages, help), [YES]);
    replied(&snowgate, &packages, 2);
    assert_eq!((replies(&packages).len(), reviews(&packages, &head)), (2, 2));
}

#[test]
fn what_a_change_does_not_alter_is_built_when_a_writer_names_it() {
    let place = Place::new();
    let gate = place.gate("gate");
    let github = GitHub::start(&place);
    let packages = packages(&github);
    packages.work.packages(&[
        LIB,
        ("other", "echo other > $out"),
        ("broken", "exit 1"),
        ("slow", &format!("{}; echo > $out", gate.wait())),
    ]);
    packages.work.commit("more packages");
    packages.push("main");
    let snowgate = place.serve();
    settled(&snowgate, "us/packages");
    let head = packages.work.branch("change", &[("lib", "echo 2 > $out")]);
    let number = opened(&github, &packages, &snowgate, "change");
    until_told(&snowgate, &packages, &head, "completed success: Mergeable");
    let build = say(&github, &packages, &snowgate, number, INES, "@snowgate build other broken slow nothing");
    assert_eq!(reacted(&snowgate, &packages, build), [YES]);
    let reply = replied(&snowgate, &packages, 1);
    assert!(reply.starts_with("Not changed by this pull request, and built all the same"), "{reply}");

    // also by another process than the one that heard of it
    snowgate.building("slow");
    snowgate.kill();
    let snowgate = place.serve();
    snowgate.building("slow");
    gate.open();
    let report = snowgate.until("all of them are built", || {
        let report = snowgate.reviewed("change", &head);
        (report["changes"].as_array().unwrap().len() == 4).then_some(report)
    });
    let of = |attr: &str| {
        let changes = report["changes"].as_array().unwrap();
        let change = changes.iter().find(|change| change["attr"] == attr).unwrap_or_else(|| panic!("{attr}: {report:#}"));
        (change["change"].as_str().unwrap().to_owned(), change["category"].as_str().unwrap().to_owned())
    };
    let words = |change: &str, category: &str| (change.to_owned(), category.to_owned());
    assert_eq!(of("lib"), words("changed", "still_succeeding"));
    assert_eq!(of("other"), words("same", "still_succeeding"));
    assert_eq!(of("slow"), words("same", "still_succeeding"));
    // nobody takes it for the change's doing
    assert_eq!(of("broken"), words("same", "still_failing"));
    assert_eq!(decision(&report), MERGEABLE);
    assert_eq!((&report["counts"]["changed"], &report["counts"]["rebuilds"]), (&1.into(), &1.into()), "{:#}", report["counts"]);
    assert!(snowgate.page(&format!("/r/us/packages/pull/{number}")).contains("not changed; built because somebody asked"));
    until_told(&snowgate, &packages, &head, "completed success: Mergeable");

    // asked for again, what failed is built again, and the rest stays where it is
    let build = say(&github, &packages, &snowgate, number, INES, "@snowgate build broken");
    assert_eq!(reacted(&snowgate, &packages, build), [BEGUN]);
    snowgate.until("it is reviewed again", || (reviews(&packages, &head) == 3).then_some(()));
    assert_eq!(snowgate.reviewed("change", &head)["changes"].as_array().unwrap().len(), 4);
}
