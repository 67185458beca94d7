//! What people say on GitHub of a pull request, as far as it counts here.

use crate::accepted;
use crate::checks::{opened, until_told};
use crate::double::{INES, STRANGER};

#[test]
fn approvals_are_of_the_head_that_they_were_given_for_and_requested_changes_stand_until_they_are_dismissed() {
    opening!(place, github, packages, snowgate);
    let head = packages.work.branch("change", &[("lib", "echo 2 > $out")]);
    let number = opened(&github, &packages, &snowgate, "change");
    until_told(&snowgate, &packages, &head, "completed success: Mergeable");
    let page = format!("/r/us/packages/pull/{number}");
    let (approved, requested) = ("approved by ines", "changes requested by ines");
    let until = |what: &str, path: &str, words: &str, there: bool| {
        snowgate.until(what, || (snowgate.page(path).contains(words) == there).then_some(()));
    };
    until("it can be merged", "/", "Ready to merge", true);

    // a stranger's word does not count
    let event = packages.reviewed_by(number, STRANGER, "CHANGES_REQUESTED");
    accepted(&github.deliver(&snowgate, "pull_request_review", &event));
    let event = packages.reviewed_by(number, INES, "APPROVED");
    accepted(&github.deliver(&snowgate, "pull_request_review", &event));
    until("the approval is on the page", &page, approved, true);
    assert!(snowgate.page("/r/us/packages").contains(approved));
    let review = snowgate.pull("change").unwrap()["review"]["id"].as_str().unwrap().to_owned();
    let opinions = snowgate.json(&format!("/api/reviews/{review}"))["opinions"].clone();
    assert_eq!(opinions.as_array().unwrap().len(), 1, "{opinions:#}");
    let (by, stance) = ((&opinions[0]["by"], &opinions[0]["login"]), &opinions[0]["stance"]);
    assert_eq!((by, stance), ((&INES.id.into(), &"ines".into()), &"approves".into()), "{opinions:#}");
    assert_eq!((&opinions[0]["head"], &opinions[0]["counts"]), (&head.as_str().into(), &true.into()), "{opinions:#}");
    let list = snowgate.page("/");
    assert!(list.contains("Ready to merge") && list.contains(approved) && !list.contains("changes requested"), "{list}");

    packages.work.git(&["switch", "--quiet", "change"]);
    packages.work.packages(&[("lib", "echo 3 > $out")]);
    packages.work.commit("more");
    let new = packages.push("change");
    packages.work.git(&["switch", "--quiet", "main"]);
    accepted(&github.deliver(&snowgate, "pull_request", &packages.pull_event("synchronize", number)));
    until_told(&snowgate, &packages, &new, "completed success: Mergeable");
    until("the new head can be merged", "/", "Ready to merge", true);
    assert!(!snowgate.page(&page).contains(approved) && !snowgate.page("/").contains(approved));

    let event = packages.reviewed_by(number, INES, "CHANGES_REQUESTED");
    accepted(&github.deliver(&snowgate, "pull_request_review", &event));
    until("it can't be merged", "/", "Ready to merge", false);
    assert!(snowgate.page("/").contains(requested) && snowgate.page(&page).contains(requested));
    // a comment takes nothing back
    let listed = || github.world().asked.iter().filter(|asked| asked.ends_with("/reviews 200")).count();
    let before = listed();
    let event = packages.reviewed_by(number, INES, "COMMENTED");
    accepted(&github.deliver(&snowgate, "pull_request_review", &event));
    snowgate.until("the comment is read", || (listed() > before).then_some(()));
    assert!(!snowgate.page("/").contains("Ready to merge"));

    accepted(&github.deliver(&snowgate, "pull_request_review", &packages.dismiss(number, INES)));
    until("it can be merged again", "/", "Ready to merge", true);
    assert!(!snowgate.page(&page).contains(requested));
    let timeline = snowgate.page(&format!("{page}?view=timeline"));
    assert!(timeline.contains(&format!("</b>: by ines, {}</div>", &head[..8])), "{timeline}");
    assert_eq!(timeline.matches("<b>Changes were requested</b>").count(), 1, "{timeline}");
    assert!(timeline.contains("<b>Counts no more</b>: the changes requested by ines</div>"), "{timeline}");
    assert!(timeline.contains("<b>The forge said that something changed</b>: pull_request, synchronize"), "{timeline}");
}
