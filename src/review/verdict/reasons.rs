//! Each finding with its weight, the heaviest first.

use std::collections::BTreeSet;

use super::Findings;
use crate::domain::{AttrPath, Level, Outcome};
use crate::review::plain;
use crate::review::report::{Category, Change, ChangeKind, EvalErrorRow, EvalErrorStatus, Reason, ReasonCode, State};
use crate::review::sources::SourceChange;
use crate::review::words::{count, listing, thousands};

pub fn reasons(findings: &Findings) -> Vec<Reason> {
    let mut reasons = Vec::new();
    reasons.extend(conflict(findings));
    reasons.extend(stopped(findings));
    reasons.extend(findings.header.alarms.iter().map(|alarm| self_check(alarm)));
    reasons.extend(findings.whole_failures().map(whole_failure));
    reasons.extend(evaluation(findings));
    reasons.extend(builds(findings));
    reasons.extend(undone(findings));
    reasons.extend(sources(findings));
    reasons.extend(removed(findings));
    reasons.extend(many_rebuilds(findings));
    reasons.extend(nothing_changed(findings));
    reasons.sort_by_key(|reason| match reason.level {
        Level::Block => 0,
        Level::Warn => 1,
        Level::Info => 2,
    });
    reasons
}

fn reason(code: ReasonCode, level: Level, text: String, attrs: BTreeSet<&AttrPath>) -> Reason {
    Reason { code, level, text: plain::line(&text), attrs: attrs.into_iter().cloned().collect() }
}

fn conflict(findings: &Findings) -> Option<Reason> {
    let conflicts = &findings.header.merge.conflicts;
    let text = || format!("head can't be merged into base: {} {}", listing(conflicts, 5), conflict_verb(conflicts.len()));
    (!conflicts.is_empty()).then(|| reason(ReasonCode::MergeConflict, Level::Block, text(), BTreeSet::new()))
}

fn conflict_verb(files: usize) -> &'static str {
    if files == 1 { "conflicts" } else { "conflict" }
}

fn stopped(findings: &Findings) -> Option<Reason> {
    match findings.header.state {
        State::Error => {
            let why = findings.header.error.as_deref().unwrap_or("the review could not be completed");
            Some(reason(ReasonCode::Infrastructure, Level::Warn, why.to_owned(), BTreeSet::new()))
        }
        State::Cancelled => {
            let text = "the review was cancelled before it was complete".to_owned();
            Some(reason(ReasonCode::Cancelled, Level::Warn, text, BTreeSet::new()))
        }
        State::Evaluating | State::Building | State::Complete => None,
    }
}

/// What a full evaluation proved wrong, for a review that relied on it or takes the place of one that did.
pub fn self_check(alarm: &str) -> Reason {
    let text = format!("an evaluation of this change from recordings was wrong, and it was evaluated again in full: {alarm}");
    reason(ReasonCode::SelfCheck, Level::Warn, text, BTreeSet::new())
}

fn whole_failure(error: &EvalErrorRow) -> Reason {
    let text = format!("jobset {} can't be evaluated on {}: {}", error.jobset, error.system, error.message);
    reason(ReasonCode::EvaluationFailed, Level::Block, text, BTreeSet::new())
}

fn evaluation(findings: &Findings) -> Vec<Reason> {
    let mut found = Vec::new();
    let of = |status| -> BTreeSet<&AttrPath> {
        findings.errors(status).map(|error| &error.attr).filter(|attr| !attr.is_root()).collect()
    };
    let mut say = |status, code, level, verb: &str| {
        let attrs = of(status);
        if !attrs.is_empty() {
            found.push(reason(code, level, format!("{} {verb}", named(&attrs)), attrs));
        }
    };
    let level = findings.header.policy.new_eval_errors;
    say(EvalErrorStatus::New, ReasonCode::NewEvalErrors, level, "evaluated before, or new, and can't be evaluated on head");
    say(EvalErrorStatus::Fixed, ReasonCode::FixedEvalErrors, Level::Info, "an evaluation error on the base, which is gone");
    found
}

fn builds(findings: &Findings) -> Vec<Reason> {
    let policy = &findings.header.policy;
    let mut found = Vec::new();
    let mut say = |code, level, changes: Vec<&Change>, verb: &str| {
        let attrs = attrs_of(changes);
        if !attrs.is_empty() {
            found.push(reason(code, level, format!("{} {verb}", named(&attrs)), attrs));
        }
    };
    let (brought, renamed) = findings.of(Category::NewFailing).partition(|change| change.rebuild);
    say(
        ReasonCode::NewlyFailing,
        policy.newly_failing,
        findings.of(Category::NewlyFailing).collect(),
        "built on the base, failing on head",
    );
    say(ReasonCode::NewFailing, policy.new_failing, brought, "new, and failing");
    // the very derivation fails on the base under another name: the change did not bring the failure
    say(ReasonCode::NewFailing, Level::Info, renamed, "a new name for a derivation that the base has too and that fails");
    say(
        ReasonCode::StillFailing,
        policy.still_failing,
        findings.of(Category::StillFailing).collect(),
        "failing on the base and on head",
    );
    say(
        ReasonCode::NewlySucceeding,
        Level::Info,
        findings.of(Category::NewlySucceeding).collect(),
        "broken on the base, built on head",
    );
    found
}

/// What was not built, and why.
fn undone(findings: &Findings) -> Vec<Reason> {
    let mut found = Vec::new();
    let mut say = |code, level, changes: Vec<&Change>, verb: &str| {
        let attrs = attrs_of(changes);
        if !attrs.is_empty() {
            found.push(reason(code, level, format!("{} {verb}", named(&attrs)), attrs));
        }
    };
    say(ReasonCode::Pending, Level::Info, findings.of(Category::Pending).collect(), "waiting for builds");
    if !findings.building {
        let rebuilds = findings.of(Category::NotBuilt).filter(|change| change.rebuild).collect();
        say(ReasonCode::NotBuilt, Level::Info, rebuilds, "not built: builds were not asked for");
        return found;
    }
    let not = |outcome| findings.not_built(outcome).collect::<Vec<_>>();
    let because =
        |text: &str, outcome| findings.said(outcome).map_or_else(|| text.to_owned(), |said| format!("{text}: {}", first(said)));
    let unsupported = because("not built: no builder for the system or its features", Outcome::Unsupported);
    say(ReasonCode::NotBuilt, Level::Warn, not(Outcome::Unsupported), &unsupported);
    let failed = because("not built: the machinery failed, not the change", Outcome::Infrastructure);
    say(ReasonCode::Infrastructure, Level::Warn, not(Outcome::Infrastructure), &failed);
    say(ReasonCode::Cancelled, Level::Warn, not(Outcome::Cancelled), "not built: cancelled");
    found
}

/// The part of a message that a sentence has room for: the innermost error, where Nix gives a trace.
fn first(said: &str) -> String {
    let lines = plain::lines(said);
    let error = lines.iter().rev().find_map(|line| line.trim().strip_prefix("error: ").map(str::to_owned));
    error.unwrap_or_else(|| lines.into_iter().find(|line| !line.trim().is_empty()).unwrap_or_default())
}

/// Other bytes from the same address, of the same version.
fn sources(findings: &Findings) -> Vec<Reason> {
    let silent = findings.facts.sources.iter().filter(|source| !source.version_changed);
    let say = |source: &SourceChange| {
        let from = source.urls.first().map_or("", String::as_str);
        let text = format!(
            "{}: its hash changed, and neither its address nor the version did; fetched from {from}, made of it: {}",
            source.name,
            listing(&source.attrs, 3)
        );
        reason(ReasonCode::SourceHashChanged, Level::Warn, text, source.attrs.iter().collect())
    };
    silent.map(say).collect()
}

fn removed(findings: &Findings) -> Option<Reason> {
    let attrs = attrs_of(findings.changes.iter().filter(|change| change.change == ChangeKind::Removed));
    let text = || format!("{} removed", named(&attrs));
    (!attrs.is_empty()).then(|| reason(ReasonCode::Removed, findings.header.policy.removed, text(), attrs.clone()))
}

/// Everybody who builds from the branch would wait for them.
fn many_rebuilds(findings: &Findings) -> Option<Reason> {
    let (most, rebuilds) = (findings.header.policy.staging_rebuilds?, findings.counts.rebuilds);
    let text = || format!("{}, and more than {} belong on a staging branch", count(rebuilds, "rebuild"), thousands(most));
    (rebuilds > most).then(|| reason(ReasonCode::ManyRebuilds, Level::Warn, text(), BTreeSet::new()))
}

fn nothing_changed(findings: &Findings) -> Option<Reason> {
    let header = findings.header;
    let judged = matches!(header.state, State::Building | State::Complete) && header.merge.conflicts.is_empty();
    let same = findings.changes.is_empty() && findings.eval_errors.iter().all(|error| error.status == EvalErrorStatus::Still);
    let text = || "no derivation changes".to_owned();
    (judged && same && findings.whole_failures().next().is_none())
        .then(|| reason(ReasonCode::NothingChanged, Level::Info, text(), BTreeSet::new()))
}

fn attrs_of<'a>(changes: impl IntoIterator<Item = &'a Change>) -> BTreeSet<&'a AttrPath> {
    changes.into_iter().flat_map(Change::attrs).collect()
}

/// `libfoo:`, `41 attributes (a, b, c and 38 others):`; what follows is said of each of them.
fn named(attrs: &BTreeSet<&AttrPath>) -> String {
    let names: Vec<_> = attrs.iter().collect();
    match names.as_slice() {
        [only] => format!("{only}:"),
        names => format!("{} ({}):", count(names.len() as u64, "attribute"), listing(names, 3)),
    }
}
