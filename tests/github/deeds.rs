//! What people do to pull requests in their own name.

use crate::accepted;
use crate::browser::Browser;
use crate::checks::{opened, until_told};
use crate::double::{INES, STRANGER};

#[test]
fn people_approve_and_merge_in_their_own_name_and_githubs_rules_hold() {
    opening!(place, github, packages, snowgate, github.with_sign_in(), packages.allow_methods([true, true, false]));
    let head = packages.work.branch("change", &[("lib", "echo 2 > $out")]);
    let number = opened(&github, &packages, &snowgate, "change");
    until_told(&snowgate, &packages, &head, "completed success: Mergeable");
    let page = format!("/r/us/packages/pull/{number}");
    let mut ines = Browser::of(INES, &snowgate);
    let mut stranger = Browser::of(STRANGER, &snowgate);

    let answer = ines.press(&page, "approve", "body=Looks+good.");
    assert_eq!(answer.status, 202, "{}", answer.body);
    let answer = stranger.press(&page, "comment", "body=Hm.&report=yes");
    assert_eq!(answer.status, 202, "{}", answer.body);
    let answer = ines.press(&page, "request-changes", "body=");
    assert_eq!(answer.status, 400, "{}", answer.body);
    let judged = packages.judged();
    assert_eq!(judged[0], format!("ines APPROVE {head}: Looks good."));
    assert!(judged[1].starts_with(&format!("stranger COMMENT {head}: Hm.\n\n**Mergeable:**")), "{judged:#?}");
    assert_eq!(judged.len(), 2);

    // GitHub's own rules, in a sentence
    let answer = stranger.press(&page, "merge", "method=merge");
    assert_eq!(answer.status, 409, "{}", answer.body);
    assert!(answer.body.contains("GitHub does not allow it: Must have push access"), "{}", answer.body);
    // what waits for a verdict is asked for by writers: GitHub would refuse it later, and the App say so each time
    let answer = stranger.press(&page, "merge", "when=mergeable&method=merge");
    assert_eq!(answer.status, 403, "{}", answer.body);
    assert!(answer.body.contains("not_a_writer"), "{}", answer.body);
    packages.protect(Some((405, "Required status check \"ci\" is expected.")));
    let answer = ines.press(&page, "merge", "method=merge");
    assert_eq!(answer.status, 409, "{}", answer.body);
    assert!(answer.body.contains("GitHub does not merge it: Required status check"), "{}", answer.body);
    packages.protect(None);

    // decided on a head that is not there any more
    let old = snowgate.pull("change").unwrap()["review"]["id"].as_str().unwrap().to_owned();
    let old_page = ines.ask("GET", &page, "").body;
    let token = old_page.split("name=\"csrf\" value=\"").nth(1).unwrap()[..32].to_owned();
    packages.work.git(&["switch", "--quiet", "change"]);
    packages.work.packages(&[("lib", "echo 3 > $out")]);
    packages.work.commit("more");
    let new = packages.push("change");
    packages.work.git(&["switch", "--quiet", "main"]);
    // GitHub has moved, and nobody told us yet
    let answer = ines.press(&page, "merge", "method=merge");
    assert_eq!(answer.status, 409, "{}", answer.body);
    assert!(answer.body.contains("Its head has moved"), "{}", answer.body);
    accepted(&github.deliver(&snowgate, "pull_request", &packages.pull_event("synchronize", number)));
    until_told(&snowgate, &packages, &new, "completed success: Mergeable");
    let answer = ines.ask("POST", &format!("/api/reviews/{old}/merge"), &format!("csrf={token}&head={head}"));
    assert_eq!(answer.status, 409, "{}", answer.body);
    assert!(answer.body.contains("look at its newest review"), "{}", answer.body);
    assert_eq!(packages.merged(), Vec::<String>::new());

    // what the repository allows, in the words that GitHub would write; they can be altered
    let asked = github.world().asked.len();
    let form = ines.ask("GET", &page, "").body;
    assert!(form.contains("<option value=\"squash\">") && !form.contains("<option value=\"rebase\">"), "{form}");
    assert!(form.contains(&format!("name=\"squash_title\" value=\"Change change (#{number})\"")), "{form}");
    assert!(form.contains(&format!("value=\"Merge pull request #{number} from us/change\"")), "{form}");
    let since = github.world().asked[asked..].to_vec();
    assert!(since.iter().all(|call| call.contains("/check-runs")), "the page asked GitHub: {since:#?}");
    let fields = "method=squash&merge_title=Not+this&squash_title=A+title&squash_message=Why%0D%0Aindeed";
    let answer = ines.press(&page, "merge", fields);
    assert_eq!(answer.status, 202, "{}", answer.body);
    assert_eq!(packages.merged(), [format!("squash {number} by ines: A title\n\nWhy\nindeed")]);
    // nobody in particular does nothing
    let answer = Browser::new(&snowgate).ask("POST", &format!("/api/reviews/{old}/approve"), "");
    assert_eq!(answer.status, 401, "{}", answer.body);
    assert!(!snowgate.said().contains("ghu_"), "{}", snowgate.said());
}
