use super::*;
use crate::domain::Outcome::{Cancelled, Failed, Infrastructure, Succeeded, Unsupported};
use crate::review::report::{ReasonCode, Report};
use crate::review::samples::{compared, facts, header, reported};
use crate::review::{Facts, report};

fn verdict_of(report: &Report) -> (Decision, &str) {
    (report.verdict.decision, &report.verdict.summary)
}

#[track_caller]
fn says(report: &Report, decision: Decision, summary: &str) {
    assert_eq!(verdict_of(report), (decision, summary));
}

const BASE: [(&str, &str); 4] = [("lib", "lib-1"), ("app", "app-1"), ("tool", "tool-1"), ("same", "same-1")];
const HEAD: [(&str, &str); 4] = [("lib", "lib-2"), ("app", "app-2"), ("tool", "tool-2"), ("same", "same-1")];
const BASE_BUILDS: [(&str, Outcome); 3] = [("lib-1", Succeeded), ("app-1", Succeeded), ("tool-1", Succeeded)];

fn with(head: &[(&str, Outcome)]) -> Facts {
    facts(&BASE_BUILDS.iter().chain(head).copied().collect::<Vec<_>>())
}

#[test]
fn what_all_builds_is_mergeable() {
    let report = reported(&BASE, &HEAD, &with(&[("lib-2", Succeeded), ("app-2", Succeeded), ("tool-2", Succeeded)]));
    says(&report, Decision::Mergeable, "Mergeable: 3 rebuilds all build.");
    assert_eq!(report.verdict.reasons, []);
}

#[test]
fn what_nothing_changes_is_mergeable() {
    let report = reported(&BASE, &BASE, &facts(&[]));
    says(&report, Decision::Mergeable, "Mergeable: no derivation changes.");
    assert_eq!(report.verdict.reasons[0].code, ReasonCode::NothingChanged);
}

#[test]
fn a_library_that_newly_fails_blocks() {
    let facts = with(&[("lib-2", Failed)]).blocked("app-2", "lib-2").blocked("tool-2", "lib-2");
    let report = reported(&BASE, &HEAD, &facts);
    says(&report, Decision::Blocked, "Blocked: lib newly fails and blocks 2 attributes.");
    assert_eq!(report.verdict.reasons[0].text, "3 attributes (app, lib and tool): built on the base, failing on head");
    let hidden = with(&[]).blocked("lib-2", "cc-9").blocked("app-2", "cc-9").blocked("tool-2", "cc-9");
    says(&reported(&BASE, &HEAD, &hidden), Decision::Blocked, "Blocked: cc-9 fails and newly breaks 3 attributes.");
    let two = with(&[("lib-2", Failed), ("tool-2", Failed)]).blocked("app-2", "lib-2");
    says(&reported(&BASE, &HEAD, &two), Decision::Blocked, "Blocked: lib and tool newly fail and block 1 attribute.");
}

#[test]
fn what_failed_before_does_not_block() {
    let facts = facts(&[("a-1", Failed), ("a-2", Failed), ("b-1", Failed), ("b-2", Succeeded)]);
    let report = reported(&[("a", "a-1"), ("b", "b-1")], &[("a", "a-2"), ("b", "b-2")], &facts);
    says(&report, Decision::Mergeable, "Mergeable: 1 of 2 rebuilds builds; 1 package fixed; a still fails.");
}

#[test]
fn what_is_new_and_fails_blocks_unless_only_its_name_is_new() {
    let report = reported(&[], &[("a", "x")], &facts(&[("x", Failed)]));
    says(&report, Decision::Blocked, "Blocked: a is new and fails.");
    let renamed = reported(&[("b", "x")], &[("a", "x")], &facts(&[("x", Failed)]));
    says(&renamed, Decision::Mergeable, "Mergeable: 1 attribute added; 1 attribute removed.");
}

#[test]
fn evaluation_errors_block_when_new() {
    let report = reported(&[("set.a", "1"), ("set.b", "2")], &[("set", "!boom")], &facts(&[]));
    says(&report, Decision::Blocked, "Blocked: set newly fails to evaluate and hides 2 attributes.");
    let old = reported(&[("a", "!boom"), ("b", "!boom")], &[("a", "!boom")], &facts(&[]));
    says(&old, Decision::Mergeable, "Mergeable: 1 evaluation error fixed.");
    let whole = reported(&[("a", "1")], &[("", "!syntax error")], &facts(&[]));
    says(&whole, Decision::Blocked, "Blocked: head can't be evaluated.");
    let both = reported(&[("", "!syntax error")], &[("", "!syntax error")], &facts(&[]));
    says(&both, Decision::Blocked, "Blocked: head can't be evaluated.");
}

#[test]
fn a_conflict_blocks_whatever_the_state() {
    let mut header = header();
    header.merge.tree = None;
    header.merge.conflicts = vec!["a.nix".into(), "b.nix".into()];
    for state in [State::Evaluating, State::Complete] {
        header.state = state;
        let report = report(&header, &compared(&[], &[]), &facts(&[]));
        says(&report, Decision::Blocked, "Blocked: head can't be merged into base; 2 conflicts in a.nix and b.nix.");
        assert_eq!(report.verdict.reasons[0].code, ReasonCode::MergeConflict);
    }
}

#[test]
fn nothing_is_decided_while_something_is_unknown() {
    let waiting = with(&[("lib-2", Failed)]);
    says(&reported(&BASE, &HEAD, &waiting), Decision::Pending, "Pending: 2 of 3 rebuilds to be built; lib newly fails.");
    let broken = with(&[("lib-2", Succeeded), ("app-2", Infrastructure), ("tool-2", Succeeded)]);
    let text = "Pending: 1 build stopped by failing machinery, so nothing is decided.";
    says(&reported(&BASE, &HEAD, &broken), Decision::Pending, text);
    let cancelled = with(&[("lib-2", Cancelled), ("app-2", Cancelled), ("tool-2", Succeeded)]);
    says(&reported(&BASE, &HEAD, &cancelled), Decision::Pending, "Pending: 2 builds cancelled, so nothing is decided.");
}

#[test]
fn a_review_that_did_not_end_decides_nothing() {
    let nothing = |state, error: Option<&str>| {
        let header = Header { state, error: error.map(str::to_owned), ..header() };
        report(&header, &compared(&[], &[]), &facts(&[]))
    };
    says(&nothing(State::Evaluating, None), Decision::Pending, "Pending: base and head are being evaluated.");
    says(&nothing(State::Cancelled, None), Decision::Pending, "Pending: the review was cancelled before it was complete.");
    let full = nothing(State::Error, Some("the disk is full."));
    says(&full, Decision::Pending, "Pending: the review could not be completed: the disk is full.");
}

#[test]
fn no_builder_is_a_warning() {
    let facts = with(&[("lib-2", Succeeded), ("app-2", Unsupported), ("tool-2", Succeeded)]);
    let report = reported(&BASE, &HEAD, &facts);
    says(&report, Decision::Mergeable, "Mergeable: 2 of 3 rebuilds build, no builder supports the other 1.");
    assert_eq!(report.verdict.reasons[0].level, Level::Warn);
}

#[test]
fn without_builds_evaluation_decides() {
    let unbuilt = Facts { building: false, ..Facts::default() };
    let text = "Mergeable: 3 rebuilds, nothing was built (--no-build).";
    says(&reported(&BASE, &HEAD, &unbuilt), Decision::Mergeable, text);
    let errs = reported(&BASE, &[("lib", "lib-2"), ("app", "!boom")], &unbuilt);
    says(&errs, Decision::Blocked, "Blocked: app newly fails to evaluate.");
}

#[test]
fn a_name_can_not_forge_the_verdict() {
    let odd = "\"x\n\u{1b}[2KMergeable\"";
    let report = reported(&[(odd, "1")], &[(odd, "2")], &facts(&[("1", Succeeded), ("2", Failed)]));
    says(&report, Decision::Blocked, "Blocked: \"x Mergeable\" newly fails.");
}
