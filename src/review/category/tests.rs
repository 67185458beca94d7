use super::*;
use crate::review::samples::{compared, facts};

use Outcome::{Cancelled, Failed, Infrastructure, Substituted, Succeeded, TimedOut, Unsupported};

use crate::domain::Outcome;

fn of(base: &[(&str, &str)], head: &[(&str, &str)], facts: &Facts, policy: &Policy) -> Category {
    category(&compared(base, head).rows[0], facts, policy)
}

#[test]
fn each_pair_of_outcomes() {
    let failing = Policy { base: BaseBuilds::Failing, ..Policy::default() };
    let all = Policy { base: BaseBuilds::All, ..Policy::default() };
    // (base, head, with the base of failures built, with every base built)
    let table = [
        (Some(Succeeded), Some(Succeeded), Category::StillSucceeding, Category::StillSucceeding),
        (Some(Substituted), Some(Failed), Category::NewlyFailing, Category::NewlyFailing),
        (Some(Succeeded), Some(TimedOut), Category::NewlyFailing, Category::NewlyFailing),
        (Some(Failed), Some(Substituted), Category::NewlySucceeding, Category::NewlySucceeding),
        (Some(TimedOut), Some(Failed), Category::StillFailing, Category::StillFailing),
        (None, Some(Failed), Category::Pending, Category::Pending),
        (None, Some(Succeeded), Category::StillSucceeding, Category::Pending),
        (None, None, Category::Pending, Category::Pending),
        (Some(Succeeded), None, Category::Pending, Category::Pending),
        (Some(Infrastructure), Some(Failed), Category::NewlyFailing, Category::NewlyFailing),
        (Some(Unsupported), Some(Succeeded), Category::StillSucceeding, Category::StillSucceeding),
        (Some(Succeeded), Some(Unsupported), Category::NotBuilt, Category::NotBuilt),
        (Some(Succeeded), Some(Cancelled), Category::NotBuilt, Category::NotBuilt),
        (None, Some(Infrastructure), Category::NotBuilt, Category::NotBuilt),
    ];
    for (base, head, expected, expected_all) in table {
        let known: Vec<_> = base.map(|outcome| ("x", outcome)).into_iter().chain(head.map(|outcome| ("y", outcome))).collect();
        let facts = facts(&known);
        assert_eq!(of(&[("a", "x")], &[("a", "y")], &facts, &failing), expected, "{base:?} -> {head:?}");
        assert_eq!(of(&[("a", "x")], &[("a", "y")], &facts, &all), expected_all, "{base:?} -> {head:?}, all");
    }
}

#[test]
fn what_is_the_same_fails_still_and_never_newly() {
    let side = [crate::review::samples::evaluation(&[("a", "x")])];
    let asked = [crate::review::samples::attr("a")].into();
    let row = crate::review::compare(&side, &side).with_asked(&side, &side, &asked).rows.remove(0);
    let table = [
        (None, Category::Pending),
        (Some(Succeeded), Category::StillSucceeding),
        (Some(Failed), Category::StillFailing),
        (Some(Cancelled), Category::NotBuilt),
    ];
    for (outcome, expected) in table {
        let known: Vec<_> = outcome.into_iter().map(|outcome| ("x", outcome)).collect();
        assert_eq!(category(&row, &facts(&known), &Policy::default()), expected, "{outcome:?}");
    }
}

#[test]
fn only_what_the_base_lacks_is_new() {
    let policy = Policy::default();
    for (outcome, lacking, broken) in
        [(Succeeded, Category::NewSucceeding, Category::NewlySucceeding), (Failed, Category::NewFailing, Category::StillFailing)]
    {
        let facts = facts(&[("x", outcome)]);
        assert_eq!(of(&[], &[("a", "x")], &facts, &policy), lacking);
        assert_eq!(of(&[("a", "!boom")], &[("a", "x")], &facts, &policy), broken, "it was there, and broken");
    }
    assert_eq!(of(&[], &[("a", "x")], &facts(&[]), &policy), Category::Pending);
    assert_eq!(of(&[("a", "x")], &[], &facts(&[("x", Failed)]), &policy), Category::Removed);
}

#[test]
fn a_rename_is_never_waited_for() {
    let policy = Policy::default();
    let renamed = |facts: &Facts| of(&[("b", "x")], &[("a", "x")], facts, &policy);
    assert_eq!(renamed(&facts(&[])), Category::NotBuilt);
    assert_eq!(renamed(&facts(&[("x", Succeeded)])), Category::NewSucceeding);
}

#[test]
fn without_builds_nothing_is_waited_for() {
    let facts = Facts { building: false, ..facts(&[("y", Failed)]) };
    assert_eq!(of(&[("a", "x")], &[("a", "y")], &facts, &Policy::default()), Category::NotBuilt);
    assert_eq!(of(&[("a", "x")], &[], &facts, &Policy::default()), Category::Removed);
}
