use super::*;
use crate::db::PullOrder;
use crate::web::view::samples;

fn pull(number: u64) -> PullRow {
    PullRow {
        repository: "local/packages".into(),
        number,
        title: format!("change {number}"),
        author: if number.is_multiple_of(2) { "Ada & Co".into() } else { "Grace".into() },
        branch: format!("branch-{number}"),
        head: samples::commit(number),
        base_branch: "main".into(),
        base: samples::commit(0),
        state: PullState::Open,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        additions: 3,
        deletions: 1,
        review: None,
    }
}

fn review(of: &PullRow, decision: Decision) -> ReviewRow {
    ReviewRow {
        id: format!("{:016x}", of.number).as_str().into(),
        repository: of.repository.clone(),
        number: Some(of.number),
        base_rev: of.base.clone(),
        base_ref: None,
        head_rev: of.head.clone(),
        head_ref: None,
        tree: None,
        state: if decision == Decision::Pending { State::Building } else { State::Complete },
        decision,
        summary: "A summary.".into(),
        rebuilds: of.number,
        newly_failing: u64::from(decision == Decision::Blocked) * 7,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        superseded_by: None,
        waits_since: None,
        error: None,
    }
}

/// Number 1 is not reviewed; the others are mergeable, blocked and pending in turn.
fn rows(number: u64) -> Vec<Row> {
    let decisions = [Decision::Mergeable, Decision::Blocked, Decision::Pending];
    let row = |n| {
        let pull = pull(n);
        let review = (n > 1).then(|| review(&pull, decisions[(n % 3) as usize]));
        (pull, review)
    };
    (1..=number).map(row).collect()
}

fn rendered(rows: &[Row], query: &PullsQuery, may_not: Option<&str>) -> String {
    let visitor = Visitor { csrf: "0123", may_not };
    let on = BTreeSet::from(["local/packages".into()]);
    let opinions = Opinions::new();
    let merging = Merging { visitor: &visitor, on: &on, opinions: &opinions };
    let rows = rows.iter().collect::<Vec<_>>();
    let view = PullsPage { rows: &rows, repositories: &[], query, merging, now: Timestamp::UNIX_EPOCH };
    pulls_page(&view).into_string()
}

fn asked(pairs: &[(&str, &str)]) -> PullsQuery {
    let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>();
    PullsQuery::parse(&pairs).unwrap()
}

fn between<'a>(page: &'a str, from: &str, to: &str) -> &'a str {
    let from = page.find(from).unwrap();
    &page[from..from + page[from..].find(to).unwrap()]
}

#[test]
fn what_is_ready_comes_first_with_a_button_that_names_the_head_it_shows() {
    let rows = rows(12);
    let page = rendered(&rows, &asked(&[]), None);
    let ready = between(&page, "id=\"ready\"", "id=\"list\"");
    let list = between(&page, "id=\"list\"", "</section>");
    assert_eq!((ready.matches(" data-row>").count(), list.matches(" data-row>").count()), (4, 8));
    assert!(ready.contains(&format!(
        "form=\"merge\" formaction=\"/api/reviews/{:016x}/merge\" name=\"head\" value=\"{}\"",
        3,
        samples::commit(3)
    )));
    assert!(!list.contains("formaction"));
    let barred = rendered(&rows, &asked(&[]), Some("Sign in to merge."));
    assert!(between(&barred, "id=\"ready\"", "id=\"list\"").contains(" disabled title=\"Sign in to merge.\""));
}

#[test]
fn a_review_of_another_head_is_not_ready() {
    let mut rows = rows(3);
    rows[2].0.head = samples::commit(99);
    assert!(!rendered(&rows, &asked(&[]), None).contains("formaction"));
}

#[test]
fn a_failure_is_one_click_from_its_log() {
    let page = rendered(&rows(4), &asked(&[]), None);
    assert!(page.contains("href=\"/r/local/packages/pull/4#failures\""));
}

#[test]
fn filters_narrow_the_list() {
    let rows = rows(12);
    let count = |pairs: &[(&str, &str)]| rendered(&rows, &asked(pairs), None).matches(" data-row>").count();
    assert_eq!(count(&[("verdict", "mergeable")]), 4);
    // four that are pending, and the one that is not reviewed
    assert_eq!(count(&[("verdict", "pending")]), 5);
    assert_eq!(count(&[("author", "Ada & Co")]), 6);
    assert_eq!(count(&[("author", "Ada & Co"), ("verdict", "blocked")]), 2);
    assert_eq!(count(&[("q", "CHANGE 12")]), 1);
    assert_eq!(count(&[("repository", "local/other")]), 0);
}

#[test]
fn a_long_list_has_pages_and_leaves_out_nothing() {
    let rows = rows(300);
    let pages = (1..=4).map(|page| rendered(&rows, &asked(&[("page", &page.to_string())]), None));
    let listed = pages.map(|page| between(&page, "id=\"list\"", "</section>").matches(" data-row>").count());
    assert_eq!(listed.sum::<usize>(), 200);
    let first = rendered(&rows, &asked(&[]), None);
    assert!(first.contains("All 100 that are ready"));
    assert_eq!(asked(&[("order", "verdict")]).order, PullOrder::Verdict);
}

#[test]
fn what_no_forge_has_has_no_button() {
    let visitor = Visitor { csrf: "0123", may_not: None };
    let rows = rows(3);
    let rows = rows.iter().collect::<Vec<_>>();
    let (on, opinions) = (BTreeSet::new(), Opinions::new());
    let merging = Merging { visitor: &visitor, on: &on, opinions: &opinions };
    let query = asked(&[]);
    let view = PullsPage { rows: &rows, repositories: &[], query: &query, merging, now: Timestamp::UNIX_EPOCH };
    let page = pulls_page(&view).into_string();
    assert!(page.contains("Ready to merge") && !page.contains("formaction"));
}
