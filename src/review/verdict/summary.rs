//! The verdict in one sentence. It begins with the decision and says what decided.

use std::collections::BTreeSet;

use super::Findings;
use crate::domain::{AttrPath, Level, Outcome, Side};
use crate::review::failures::{Cause, causes};
use crate::review::report::{Category, Change, ChangeKind, Decision, EvalErrorStatus, State};
use crate::review::words::{count, listing, thousands};

pub fn summary(findings: &Findings, decision: Decision) -> String {
    let (word, parts) = match decision {
        Decision::Blocked => ("Blocked", blockers(findings)),
        Decision::Mergeable => ("Mergeable", merits(findings)),
        Decision::Pending => ("Pending", waits(findings)),
    };
    format!("{word}: {}.", parts.join("; "))
}

/// What blocks.
fn blockers(findings: &Findings) -> Vec<String> {
    let conflicts = &findings.header.merge.conflicts;
    if !conflicts.is_empty() {
        return vec![format!(
            "head can't be merged into base; {} in {}",
            plural(conflicts.len(), "conflict"),
            listing(conflicts, 3)
        )];
    }
    let policy = &findings.header.policy;
    let mut parts = Vec::new();
    parts.extend(wholes(findings));
    if policy.newly_failing == Level::Block {
        parts.extend(newly_failing(findings));
    }
    if policy.new_failing == Level::Block {
        parts.extend(new_failing(findings));
    }
    if policy.new_eval_errors == Level::Block {
        parts.extend(new_errors(findings));
    }
    if policy.still_failing == Level::Block {
        parts.extend(rows(findings, Category::StillFailing, "still fails", "still fail"));
    }
    if policy.removed == Level::Block {
        parts.extend(removed(findings));
    }
    parts
}

fn merits(findings: &Findings) -> Vec<String> {
    let counts = findings.counts;
    let mut parts = Vec::new();
    parts.extend(rebuilds(findings));
    parts.extend(newly_failing(findings).filter(|_| findings.header.policy.newly_failing != Level::Block));
    parts.extend(new_failing(findings).filter(|_| findings.header.policy.new_failing != Level::Block));
    parts.extend(new_errors(findings));
    if counts.newly_succeeding > 0 {
        parts.push(format!("{} fixed", count(counts.newly_succeeding, "package")));
    }
    parts.extend(rows(findings, Category::StillFailing, "still fails", "still fail"));
    if counts.rebuilds == 0 && counts.added > 0 {
        parts.push(format!("{} added", count(of_kind(findings, ChangeKind::Added), "attribute")));
    }
    parts.extend(removed(findings));
    if counts.eval_errors_fixed > 0 {
        parts.push(format!("{} fixed", count(counts.eval_errors_fixed, "evaluation error")));
    }
    if parts.is_empty() {
        parts.push(if findings.changes.is_empty() { "no derivation changes" } else { "nothing to rebuild" }.to_owned());
    }
    parts
}

fn rebuilds(findings: &Findings) -> Option<String> {
    let all = findings.counts.rebuilds;
    let rebuilds = count(all, "rebuild");
    if all == 0 {
        return None;
    }
    if !findings.building {
        return Some(format!("{rebuilds}, nothing was built (--no-build)"));
    }
    let unsupported = findings.not_built(Outcome::Unsupported).filter(|change| change.rebuild).count() as u64;
    let built = findings.changes.iter().filter(|change| change.rebuild && is_built(change)).count() as u64;
    let builds = match (built == all, all) {
        (true, 1) => format!("{rebuilds}, which builds"),
        (true, _) => format!("{rebuilds} all build"),
        (false, _) => format!("{} of {rebuilds} {}", thousands(built), if built == 1 { "builds" } else { "build" }),
    };
    let rest = (unsupported > 0).then(|| format!(", no builder supports the other {}", thousands(unsupported)));
    Some(builds + rest.as_deref().unwrap_or(""))
}

fn is_built(change: &Change) -> bool {
    change.head.as_ref().and_then(|head| head.outcome).is_some_and(Outcome::is_success)
}

fn waits(findings: &Findings) -> Vec<String> {
    let header = findings.header;
    let mut parts = match header.state {
        State::Evaluating => return vec!["base and head are being evaluated".to_owned()],
        State::Error => {
            let why = header.error.as_deref().map_or(String::new(), |why| format!(": {}", why.trim_end_matches('.')));
            return vec![format!("the review could not be completed{why}")];
        }
        State::Cancelled => vec!["the review was cancelled before it was complete".to_owned()],
        State::Building | State::Complete => progress(findings),
    };
    parts.extend(wholes(findings));
    parts.extend(newly_failing(findings));
    parts.extend(new_failing(findings));
    parts.extend(new_errors(findings));
    parts
}

fn progress(findings: &Findings) -> Vec<String> {
    let mut parts = Vec::new();
    let waiting = findings.of(Category::Pending).count() as u64;
    if waiting > 0 {
        parts.push(format!("{} of {} to be built", thousands(waiting), count(findings.counts.rebuilds.max(waiting), "rebuild")));
    }
    for (outcome, why) in [(Outcome::Infrastructure, "stopped by failing machinery"), (Outcome::Cancelled, "cancelled")] {
        let stopped = findings.not_built(outcome).count();
        if stopped > 0 {
            parts.push(format!("{} {why}, so nothing is decided", plural(stopped, "build")));
        }
    }
    parts
}

/// `head can't be evaluated`, where nothing of it can; else which jobsets can't.
fn wholes(findings: &Findings) -> Vec<String> {
    let evaluations = findings.header.evaluations.iter().filter(|row| row.side == Side::Head);
    let jobsets: BTreeSet<_> = evaluations.map(|row| (&row.jobset, &row.system)).collect();
    let failed: BTreeSet<_> = findings.whole_failures().map(|error| (&error.jobset, &error.system)).collect();
    match failed.len() {
        0 => Vec::new(),
        _ if jobsets.is_subset(&failed) => vec!["head can't be evaluated".to_owned()],
        _ => failed.iter().map(|(jobset, system)| format!("jobset {jobset} on {system} can't be evaluated")).collect(),
    }
}

fn new_errors(findings: &Findings) -> Option<String> {
    let errors: Vec<_> = findings.errors(EvalErrorStatus::New).filter(|error| !error.attr.is_root()).collect();
    let attrs: BTreeSet<_> = errors.iter().map(|error| &error.attr).collect();
    let attrs: Vec<_> = attrs.into_iter().collect();
    let hidden: u64 = errors.iter().map(|error| error.hides).sum();
    let hides = match (hidden, attrs.len()) {
        (0, _) => String::new(),
        (hidden, 1) => format!(" and hides {}", count(hidden, "attribute")),
        (hidden, _) => format!(" and hide {}", count(hidden, "attribute")),
    };
    match attrs.as_slice() {
        [] => None,
        [only] => Some(format!("{only} newly fails to evaluate{hides}")),
        attrs => Some(format!("{} newly fail to evaluate{hides}", listing(attrs, 3))),
    }
}

/// `libfoo newly fails and blocks 41 attributes`
fn newly_failing(findings: &Findings) -> Option<String> {
    let causes = causes(findings.of(Category::NewlyFailing));
    let blocked: BTreeSet<&AttrPath> = causes.iter().flat_map(Cause::blocked_attrs).collect();
    let names: Vec<String> = names_of(&causes);
    let blocks = count(blocked.len() as u64, "attribute");
    match (causes.as_slice(), names.as_slice()) {
        ([], _) => None,
        ([only], _) if only.own.is_none() => Some(format!("{} fails and newly breaks {blocks}", only.name())),
        (_, [name]) if blocked.is_empty() => Some(format!("{name} newly fails")),
        (_, [name]) => Some(format!("{name} newly fails and blocks {blocks}")),
        (_, names) if blocked.is_empty() => Some(format!("{} newly fail", listing(names, 3))),
        (_, names) => Some(format!("{} newly fail and block {blocks}", listing(names, 3))),
    }
}

/// In order, each once: the same attribute may fail on two systems.
fn names_of(causes: &[Cause]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    causes.iter().map(Cause::name).filter(|name| seen.insert(name.clone())).collect()
}

fn new_failing(findings: &Findings) -> Option<String> {
    let changes = findings.of(Category::NewFailing).filter(|change| change.rebuild);
    let attrs: Vec<&AttrPath> = changes.map(|change| &change.attr).collect::<BTreeSet<_>>().into_iter().collect();
    match attrs.as_slice() {
        [] => None,
        [only] => Some(format!("{only} is new and fails")),
        attrs => Some(format!("{} are new and fail", listing(attrs, 3))),
    }
}

fn rows(findings: &Findings, category: Category, one: &str, many: &str) -> Option<String> {
    let attrs: Vec<&AttrPath> = findings.of(category).map(|change| &change.attr).collect::<BTreeSet<_>>().into_iter().collect();
    match attrs.as_slice() {
        [] => None,
        [only] => Some(format!("{only} {one}")),
        attrs => Some(format!("{} {many}", count(attrs.len() as u64, "package"))),
    }
}

fn removed(findings: &Findings) -> Option<String> {
    let removed = of_kind(findings, ChangeKind::Removed);
    (removed > 0).then(|| format!("{} removed", count(removed, "attribute")))
}

/// Attributes, not rows: who reads "removed" thinks of names.
fn of_kind(findings: &Findings, kind: ChangeKind) -> u64 {
    findings.changes.iter().filter(|change| change.change == kind).map(|change| change.attrs().count() as u64).sum()
}

fn plural(number: usize, noun: &str) -> String {
    count(number as u64, noun)
}
