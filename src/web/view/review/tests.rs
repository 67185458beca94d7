use super::super::samples;
use super::*;
use crate::domain::CommitId;
use crate::review::decisive::Excerpt;
use crate::review::report::{Category, Decision, EvalErrorRow, EvalErrorStatus, Report};

fn rendered_with(report: &Report, query: &ReviewQuery) -> String {
    let pull = PullRow {
        repository: report.repository.clone(),
        number: 3,
        title: "Update <libfoo> to 2.0".into(),
        author: "Ada & Co".into(),
        branch: "update-libfoo".into(),
        head: report.head.rev.clone(),
        base_branch: "main".into(),
        base: report.base.rev.clone(),
        state: crate::db::PullState::Open,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        additions: 12,
        deletions: 3,
        review: Some(report.id.clone()),
    };
    let visitor = Visitor { csrf: "0123", may_not: None };
    let reported = Reported::new(report.clone());
    let view = ReviewPage {
        report: &reported,
        table: Some(&Table::of(&reported, query, None)),
        evidence: Evidence::default(),
        row: None,
        pull: Some(&pull),
        reviews: &[],
        query,
        alarms: &[],
        visitor,
        diff: None,
        happenings: &[],
        opinions: &[],
        standing: Standing::Served,
        deeds: Deeds::None,
        now: Timestamp::UNIX_EPOCH,
    };
    review_page(&view).into_string()
}

fn query(pairs: &[(&str, &str)]) -> ReviewQuery {
    let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>();
    ReviewQuery::parse(&pairs).unwrap()
}

fn rendered(report: &Report) -> String {
    rendered_with(report, &query(&[]))
}

/// Where each piece stands; panics if one is missing.
fn order(page: &str, pieces: &[&str]) -> Vec<usize> {
    pieces.iter().map(|piece| page.find(piece).unwrap_or_else(|| panic!("{piece} is not on the page"))).collect()
}

#[test]
fn the_verdict_comes_first_then_what_newly_fails_then_the_rest() {
    let page = rendered(&samples::blocked());
    let places = order(
        &page,
        &[
            "Do not merge yet: 9 attributes newly fail",
            "9 attributes that the base builds fail.",
            "What newly fails, and why",
            "What still fails, as on the base",
            "Fixed, new and removed",
            "Closures that grew or shrank",
            ">Packages<",
            ">Evaluation errors<",
            ">Evaluation and timings<",
        ],
    );
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn a_failure_shows_its_cause_what_it_blocks_its_log_and_the_way_to_all_of_it() {
    let page = rendered(&samples::blocked());
    let card = &page[page.find("<article").unwrap()..page.find("</article>").unwrap()];
    assert!(card.contains(">libfoo-2.0</a>"));
    assert!(card.contains("9 attributes"));
    assert!(
        card.contains("use of undeclared identifier &#39;FOO_&lt;MAX&gt;&#39;")
            || card.contains("undeclared identifier 'FOO_&lt;MAX&gt;'")
    );
    assert!(card.contains("class=\"f1 b\""), "the log's colours are kept");
    // the line that decides is marked, and its number leads to that very line of the whole log
    assert!(card.contains("-libfoo-2.0.drv?attempt=20261120T124000.123Z&amp;line=3004#L3004\""), "{card}");
    let decides = &card[card.find("<li class=\"decides\"").unwrap()..];
    assert!(decides[..decides.find("</li>").unwrap()].contains("src/parse.c:114:9: error:"));
    assert!(card.contains("-libfoo-2.0.drv#log\""));
    // the cause that only blocks what was broken before is not under what newly fails
    assert!(page.find("What still fails").unwrap() < page.find(">broken-since-ever-0.1</a>").unwrap());
}

#[test]
fn what_comes_from_outside_is_text() {
    let mut report = samples::blocked();
    let hostile = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>";
    report.verdict.summary = hostile.into();
    for reason in &mut report.verdict.reasons {
        reason.text = hostile.into();
    }
    report.merge.conflicts = vec![hostile.into()];
    report.head.reference = Some(hostile.into());
    report.repository = crate::domain::RepositoryName::new(hostile);
    for error in &mut report.eval_errors {
        error.message = hostile.into();
        error.attr = AttrPath::new([hostile]);
    }
    for failure in &mut report.failures {
        failure.log_tail = Some(format!("\u{1b}]0;{hostile}\u{7}{hostile}"));
        failure.log_url = Some("javascript:alert(3)".into());
        failure.decisive = Excerpt::of(hostile.into(), &[&format!("\u{1b}]0;{hostile}\u{7}error: {hostile}")], 1);
        failure.attrs = vec![AttrPath::new([hostile])];
    }
    for change in &mut report.changes {
        change.attr = AttrPath::new([hostile]);
        change.aliases = vec![AttrPath::new([hostile])];
        for side in [&mut change.base, &mut change.head].into_iter().flatten() {
            side.version = Some(hostile.into());
        }
        if let Some(closure) = &mut change.closure {
            closure.added = vec![hostile.into()];
        }
    }
    let page = rendered(&report);
    assert!(!page.contains("<script>") && !page.contains("<img"), "markup from outside");
    assert!(!page.contains("javascript:"));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;"));
}

#[test]
fn nothing_is_styled_or_run_inline() {
    for report in [samples::blocked(), samples::mergeable(), samples::begun(), samples::large(300)] {
        let page = rendered(&report);
        assert!(!page.contains(" style=") && !page.contains("<style") && !page.contains(" onclick="));
        assert_eq!(page.matches("<script").count(), page.matches("<script src=\"/assets/").count());
        assert!(!page.contains("https://") && !page.contains("http://"), "something from elsewhere");
    }
}

#[test]
fn ids_are_unique() {
    let page = rendered(&samples::large(500));
    let mut ids = page.match_indices(" id=\"").map(|(at, start)| &page[at + start.len()..]).collect::<Vec<_>>();
    for id in &mut ids {
        *id = &id[..id.find('"').unwrap()];
    }
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all);
}

#[test]
fn a_long_list_says_what_it_shows_and_every_row_is_on_some_page() {
    let report = samples::large(1_234);
    let first = rendered(&report);
    assert!(first.contains("1–100 of 1,234 changes"));
    let mut rows = 0;
    for page in 1..=13 {
        let page = rendered_with(&report, &query(&[("page", &page.to_string())]));
        rows += page[page.find("id=\"packages\"").unwrap()..page.find("id=\"errors\"").unwrap()].matches("<tr data-row>").count();
    }
    assert_eq!(rows, 1_234);
    let causes = report.failures.len();
    assert!(first.contains(&format!("1–25 of {causes} root causes")));
}

#[test]
fn filters_narrow_the_table_and_say_so() {
    let report = samples::blocked();
    let table = |pairs: &[(&str, &str)]| {
        let page = rendered_with(&report, &query(pairs));
        page[page.find("id=\"packages\"").unwrap()..page.find("id=\"errors\"").unwrap()].to_owned()
    };
    let removed = table(&[("category", "removed")]);
    assert_eq!(removed.matches("<tr data-row>").count(), 1);
    assert!(removed.contains("1 of 26 changes") && removed.contains("oldtool"));
    let alias = table(&[("q", "ZZ.alias")]);
    assert_eq!(alias.matches("<tr data-row>").count(), 1);
    let cause = table(&[("cause", samples::drv(7_001, "libfoo-2.0").base_name())]);
    assert_eq!(cause.matches("<tr data-row>").count(), 8);
    assert!(table(&[("q", "no such thing")]).contains("No change matches."));
}

#[test]
fn errors_that_were_there_before_wait_until_they_are_asked_for() {
    let report = samples::blocked();
    let page = rendered(&report);
    assert!(page.contains("attribute &#39;ghc96&#39; missing") || page.contains("attribute 'ghc96' missing"));
    assert!(!page.contains("marked as broken"));
    assert!(rendered_with(&report, &query(&[("errors", "still")])).contains("marked as broken"));
}

#[test]
fn errors_that_are_alike_are_one_line_and_say_where() {
    let mut report = samples::blocked();
    let first = report.eval_errors.iter().find(|error| error.status == EvalErrorStatus::New).unwrap().clone();
    let more = (0..600).map(|n| EvalErrorRow { attr: AttrPath::new([format!("haskell-{n}")]), ..first.clone() });
    report.eval_errors.extend(more);
    let page = rendered_with(&report, &query(&[("errors", "new")]));
    let errors = &page[page.find("id=\"errors\"").unwrap()..page.find("id=\"costs\"").unwrap()];
    assert_eq!(errors.matches("<div class=\"log\">").count(), 1);
    assert!(errors.contains("at <code>pkgs/top-level.nix:114:9</code>"), "{errors}");
    assert!(errors.contains("and 596 more") && errors.contains("and 96 more, which the JSON"), "{errors}");
}

#[test]
fn a_review_that_moves_can_be_cancelled_and_one_that_ended_run_again() {
    assert!(rendered(&samples::begun()).contains("/api/reviews/00c0ffee00c0ffee/cancel"));
    let page = rendered(&samples::mergeable());
    assert!(page.contains("/api/reviews/00c0ffee00c0ffee/rerun"));
    assert!(!page.contains("id=\"progress\""));
}

#[test]
fn every_decision_and_category_has_words_besides_its_colour() {
    let page = rendered(&samples::blocked());
    for category in super::super::parts::CATEGORIES {
        let (.., words) = super::super::parts::category_look(category);
        assert!(page.contains(words), "{words}");
    }
    for (report, words) in [(samples::mergeable(), "Mergeable"), (samples::blocked(), "Blocked"), (samples::begun(), "Under way")]
    {
        assert!(rendered(&report).contains(&format!(">{words}</h2>")));
        assert_eq!(report.verdict.decision == Decision::Blocked, words == "Blocked");
    }
}

#[test]
fn ten_thousand_changes_render_at_once() {
    let report = samples::large(10_000);
    let begun = std::time::Instant::now();
    let page = rendered_with(&report, &query(&[("q", "package9")]));
    eprintln!("10,000 changes: {:?}, {} bytes", begun.elapsed(), page.len());
    assert!(page.len() < 600_000, "a page of a long review stays small: {}", page.len());
}

#[test]
fn a_revision_is_cut_for_the_eye_only() {
    let rev: CommitId = samples::commit(0xabc);
    let page = rendered(&samples::mergeable());
    assert!(page.contains(samples::commit(1).as_str()) && !page.contains(rev.as_str()));
    assert_eq!(samples::change(1, "x", Category::Removed).head, None);
}
