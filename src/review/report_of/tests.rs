use proptest::prelude::*;

use super::*;
use crate::domain::Outcome;
use crate::review::report::{Decision, ReasonCode};
use crate::review::samples::{attr, closure, compared, drv, facts, header, reported};

use Outcome::{DependencyFailed, Failed, Succeeded};

#[test]
fn a_root_cause_names_every_attribute_it_blocks() {
    let base = [("lib", "lib-1"), ("lib_1", "lib-1"), ("app", "app-1"), ("tool", "tool-1"), ("old", "old-1")];
    let head = [("lib", "lib-2"), ("lib_1", "lib-2"), ("app", "app-2"), ("tool", "tool-2"), ("old", "old-2")];
    let facts = facts(&[
        ("lib-1", Succeeded),
        ("app-1", Succeeded),
        ("tool-1", Succeeded),
        ("old-1", Failed),
        ("lib-2", Failed),
        ("old-2", Failed),
    ])
    .blocked("app-2", "lib-2")
    .blocked("tool-2", "lib-2")
    .log("lib-2", "cc: error");
    let report = reported(&base, &head, &facts);
    let [lib, old] = report.failures.as_slice() else { panic!("{:?}", report.failures) };
    assert_eq!(lib.drv, drv("lib-2"));
    assert_eq!(lib.attrs, [attr("lib"), attr("lib_1"), attr("app"), attr("tool")]);
    assert_eq!(lib.log_tail.as_deref(), Some("cc: error"));
    assert_eq!(old.attrs, [attr("old")], "what still fails comes last");
    assert_eq!((report.counts.newly_failing, report.counts.still_failing), (3, 1));
    let app = &report.changes[0];
    assert_eq!(app.head.as_ref().unwrap().root_cause, Some(drv("lib-2")));
    assert_eq!(app.head.as_ref().unwrap().outcome, Some(DependencyFailed));
    assert_eq!(app.head.as_ref().unwrap().version.as_deref(), Some("2"));
}

#[test]
fn closures_are_compared_where_both_are_known() {
    let mut facts = facts(&[("a-1", Succeeded), ("a-2", Succeeded)]);
    facts.closures.insert(drv("a-1"), closure(&[("a-1", "1", 10)]));
    assert!(reported(&[("a", "a-1")], &[("a", "a-2")], &facts).changes[0].closure.is_none());
    facts.closures.insert(drv("a-2"), closure(&[("a-2", "2", 11), ("z-1", "z", 5)]));
    let change = reported(&[("a", "a-1")], &[("a", "a-2")], &facts).changes[0].closure.clone().unwrap();
    assert_eq!((change.base_bytes, change.head_bytes), (10, 16));
    assert_eq!((change.added, change.removed), (vec!["a-2".to_owned(), "z-1".to_owned()], vec!["a-1".to_owned()]));
}

#[test]
fn the_report_survives_json_and_says_null_for_what_is_unknown() {
    let report = reported(&[("a", "a-1")], &[("a", "a-2"), ("b", "!boom")], &facts(&[]));
    let json = serde_json::to_value(&report).unwrap();
    for pointer in ["/changes/0/closure", "/changes/0/head/outcome", "/changes/0/head/root_cause", "/timings/eval_seconds"] {
        assert_eq!(json.pointer(pointer), Some(&serde_json::Value::Null), "{pointer}");
    }
    assert_eq!(serde_json::from_value::<Report>(json).unwrap(), report);
}

fn any_side() -> impl Strategy<Value = Vec<(String, String)>> {
    proptest::collection::vec(("[a-h]", prop_oneof![5 => "[1-9]", 1 => Just("!boom".to_owned())]), 0..10)
}

fn any_facts() -> impl Strategy<Value = Facts> {
    let outcome = proptest::sample::select(Outcome::ALL.to_vec());
    let outcomes = proptest::collection::hash_map("[1-9]", outcome, 0..9);
    (outcomes, proptest::bool::weighted(0.9)).prop_map(|(outcomes, building)| Facts {
        outcomes: outcomes.into_iter().map(|(name, outcome)| (drv(&name), outcome.into())).collect(),
        building,
        ..Facts::default()
    })
}

fn borrowed(side: &[(String, String)]) -> Vec<(&str, &str)> {
    side.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect()
}

proptest! {
    #[test]
    fn counts_add_up(base in any_side(), head in any_side(), facts in any_facts()) {
        let report = reported(&borrowed(&base), &borrowed(&head), &facts);
        let counts = &report.counts;
        let rows = report.changes.len() as u64;
        let not_built = report.changes.iter().filter(|change| change.category == Category::NotBuilt).count() as u64;
        prop_assert_eq!(counts.added + counts.removed + counts.changed, rows);
        prop_assert_eq!(
            counts.newly_failing + counts.still_failing + counts.newly_succeeding + counts.still_succeeding
                + counts.new_succeeding + counts.new_failing + counts.pending + counts.removed + not_built,
            rows
        );
        prop_assert_eq!(counts.eval_errors_new + counts.eval_errors_fixed + counts.eval_errors_still, report.eval_errors.len() as u64);
        prop_assert!(counts.rebuilds <= counts.added + counts.changed);
    }

    #[test]
    fn the_gate_fails_closed(base in any_side(), head in any_side(), facts in any_facts()) {
        let report = reported(&borrowed(&base), &borrowed(&head), &facts);
        let counts = &report.counts;
        if report.verdict.decision == Decision::Mergeable {
            prop_assert_eq!(counts.newly_failing + counts.pending + counts.eval_errors_new, 0);
            for change in report.changes.iter().filter(|change| change.rebuild && facts.building) {
                let outcome = change.head.as_ref().and_then(|head| head.outcome);
                let excused = outcome == Some(Outcome::Unsupported) || change.category == Category::StillFailing;
                prop_assert!(excused || outcome.is_some_and(Outcome::is_success), "{:?}", change);
            }
        }
        let blocks = report.verdict.reasons.iter().any(|reason| reason.level == crate::domain::Level::Block);
        prop_assert!(!blocks || report.verdict.decision != Decision::Mergeable);
        prop_assert!(report.verdict.decision != Decision::Blocked || blocks);
    }

    #[test]
    fn a_settled_review_asks_for_nothing(base in any_side(), head in any_side(), facts in any_facts()) {
        let comparison = compared(&borrowed(&base), &borrowed(&head));
        let mut facts = facts;
        for drv in comparison.head_targets() {
            facts.outcomes.entry(drv).or_insert(Succeeded.into());
        }
        for drv in comparison.base_targets_for(&facts, &header().policy) {
            facts.outcomes.entry(drv).or_insert(Succeeded.into());
        }
        prop_assert_eq!(comparison.base_targets_for(&facts, &header().policy), []);
        prop_assert_eq!(report(&header(), &comparison, &facts).counts.pending, 0);
    }

    #[test]
    fn every_failing_row_has_its_root_cause(base in any_side(), head in any_side(), facts in any_facts()) {
        let report = reported(&borrowed(&base), &borrowed(&head), &facts);
        let blamed: Vec<_> = report.failures.iter().flat_map(|failure| &failure.attrs).collect();
        for change in &report.changes {
            let fails = matches!(change.category, Category::NewlyFailing | Category::StillFailing | Category::NewFailing);
            prop_assert!(!fails || blamed.contains(&&change.attr));
        }
        let same = |code| report.verdict.reasons.iter().filter(|reason| reason.code == code).count();
        prop_assert!(same(ReasonCode::NewlyFailing) <= 1);
    }
}
