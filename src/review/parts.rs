//! What both renderings of a report show, in the order of a reviewer's questions. Each change is in exactly one part.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::domain::{AttrPath, DrvPath, JobsetName, Outcome, Side, System};
use crate::review::costs::Costs;
use crate::review::failures::{Cause, causes};
use crate::review::plain;
use crate::review::report::{Category, Change, ChangeKind, EvalErrorRow, EvalErrorStatus, Failure, Report};
use crate::review::words::thousands;

pub struct Parts<'a> {
    pub report: &'a Report,
    failures: HashMap<&'a DrvPath, &'a Failure>,
    /// The row of each head derivation.
    rows: HashMap<&'a DrvPath, &'a Change>,
    pub names: Names,
    pub newly_failing: Vec<Cause<'a>>,
    pub still_failing: Vec<Cause<'a>>,
    pub newly_succeeding: Vec<&'a Change>,
    pub new_failing: Vec<Cause<'a>>,
    /// New, and not known to fail.
    pub new: Vec<&'a Change>,
    pub removed: Vec<&'a Change>,
    pub still_succeeding: Vec<&'a Change>,
    pub pending: Vec<&'a Change>,
    /// Rebuilds that were not built.
    pub not_built: Vec<&'a Change>,
    /// The derivation differs, its outputs do not.
    pub same_outputs: Vec<&'a Change>,
    /// What grew or shrank, the most first.
    pub closures: Vec<&'a Change>,
    /// How many closures were compared.
    pub closures_compared: usize,
    pub errors_new: Vec<SameError<'a>>,
    pub errors_fixed: Vec<SameError<'a>>,
}

/// Evaluation errors with one message: a fault in a common file breaks many attributes alike.
pub struct SameError<'a> {
    pub message: Vec<String>,
    pub rows: Vec<&'a EvalErrorRow>,
}

impl SameError<'_> {
    pub fn hides(&self) -> u64 {
        self.rows.iter().map(|row| row.hides).sum()
    }
}

impl<'a> Parts<'a> {
    pub fn of(report: &'a Report) -> Self {
        let of = |category| report.changes.iter().filter(move |change| change.category == category);
        let is_new = |change: &&Change| change.change == ChangeKind::Added;
        let open = |category| of(category).filter(|change| change.change != ChangeKind::Added);
        let mut closures: Vec<&Change> = report.changes.iter().filter(|change| growth(change) != 0).collect();
        closures.sort_by_key(|change| (std::cmp::Reverse(growth(change).abs()), &change.attr));
        let unbuilt = |rebuild| open(Category::NotBuilt).filter(move |change| change.rebuild == rebuild).collect();
        let new = [Category::NewSucceeding, Category::Pending, Category::NotBuilt];
        Self {
            report,
            failures: report.failures.iter().map(|failure| (&failure.drv, failure)).collect(),
            rows: report.changes.iter().filter_map(|change| Some((&change.head.as_ref()?.drv, change))).collect(),
            names: Names::of(report),
            newly_failing: causes(of(Category::NewlyFailing)),
            still_failing: causes(of(Category::StillFailing)),
            newly_succeeding: of(Category::NewlySucceeding).collect(),
            new_failing: causes(of(Category::NewFailing)),
            new: new.into_iter().flat_map(|category| of(category).filter(is_new)).collect(),
            removed: of(Category::Removed).collect(),
            still_succeeding: of(Category::StillSucceeding).collect(),
            pending: open(Category::Pending).collect(),
            not_built: unbuilt(true),
            same_outputs: unbuilt(false),
            closures,
            closures_compared: report.changes.iter().filter(|change| change.closure.is_some()).count(),
            errors_new: same_errors(report, EvalErrorStatus::New),
            errors_fixed: same_errors(report, EvalErrorStatus::Fixed),
        }
    }

    /// The row that names the cause, in whichever section it stands.
    pub fn row_of(&self, cause: &Cause<'a>) -> Option<&'a Change> {
        cause.own.or_else(|| self.rows.get(cause.drv).copied())
    }

    pub fn failure(&self, cause: &Cause) -> Option<&'a Failure> {
        self.failures.get(cause.drv).copied()
    }
}

/// How the rebuilds of head ended: `4 build, 44 fail, 1 not built`.
pub fn breakdown(report: &Report) -> String {
    let (mut build, mut fail, mut wait, mut rest) = (0, 0, 0, 0);
    for change in report.changes.iter().filter(|change| change.rebuild) {
        match change.head.as_ref().and_then(|head| head.outcome) {
            Some(outcome) if outcome.is_success() => build += 1,
            Some(outcome) if outcome.is_failure() => fail += 1,
            None if change.category == Category::Pending => wait += 1,
            None | Some(_) => rest += 1,
        }
    }
    let words = [(build, "build"), (fail, "fail"), (wait, "to be built"), (rest, "not built")];
    let parts = words.into_iter().filter(|(number, _)| *number > 0).map(|(number, word)| format!("{} {word}", thousands(number)));
    parts.collect::<Vec<_>>().join(", ")
}

/// What failed by itself, for the line of a cause.
pub fn outcome(parts: &Parts, cause: &Cause) -> Outcome {
    parts.failure(cause).map_or(Outcome::Failed, |failure| failure.outcome)
}

/// Rows of a few causes together.
pub fn rows(causes: &[Cause]) -> usize {
    causes.iter().map(|cause| cause.blocked.len() + usize::from(cause.own.is_some())).sum()
}

/// In bytes.
pub fn growth(change: &Change) -> i64 {
    change.closure.as_ref().map_or(0, |closure| closure.head_bytes.cast_signed() - closure.base_bytes.cast_signed())
}

fn same_errors(report: &Report, status: EvalErrorStatus) -> Vec<SameError<'_>> {
    let mut groups: Vec<SameError> = Vec::new();
    let mut place: BTreeMap<&str, usize> = BTreeMap::new();
    for row in report.eval_errors.iter().filter(|row| row.status == status) {
        let at = *place.entry(&row.message).or_insert(groups.len());
        if at == groups.len() {
            groups.push(SameError { message: plain::lines(&row.message), rows: Vec::new() });
        }
        groups[at].rows.push(row);
    }
    groups
}

/// How attributes are named in one report: with jobset and system where there are several.
pub struct Names {
    jobsets: bool,
    systems: bool,
}

impl Names {
    fn of(report: &Report) -> Self {
        let mut jobsets: BTreeSet<&JobsetName> = BTreeSet::new();
        let mut systems: BTreeSet<&System> = BTreeSet::new();
        let evaluations = report.evaluations.iter().map(|row| (&row.jobset, &row.system));
        let changes = report.changes.iter().map(|row| (&row.jobset, &row.system));
        let errors = report.eval_errors.iter().map(|row| (&row.jobset, &row.system));
        for (jobset, system) in evaluations.chain(changes).chain(errors) {
            jobsets.insert(jobset);
            systems.insert(system);
        }
        Self { jobsets: jobsets.len() > 1, systems: systems.len() > 1 }
    }

    pub fn change(&self, change: &Change) -> String {
        self.attr(&change.attr) + &self.place(&change.jobset, &change.system)
    }

    pub fn error(&self, error: &EvalErrorRow) -> String {
        self.attr(&error.attr) + &self.place(&error.jobset, &error.system)
    }

    pub fn attr(&self, attr: &AttrPath) -> String {
        if attr.is_root() { "(the whole jobset)".to_owned() } else { plain::line(&attr.to_string()) }
    }

    /// ` [i686-linux]`, ` [jobset, i686-linux]`, or nothing where there is only one of each.
    fn place(&self, jobset: &JobsetName, system: &System) -> String {
        let parts: Vec<&str> = [(self.jobsets, jobset.as_str()), (self.systems, system.as_str())]
            .into_iter()
            .filter(|(say, _)| *say)
            .map(|(_, text)| text)
            .collect();
        if parts.is_empty() { String::new() } else { format!(" [{}]", plain::line(&parts.join(", "))) }
    }
}

/// `1.2 → 1.3`; one version where it stays or only one side has it.
pub fn versions(change: &Change) -> Option<String> {
    let version = |side: &Option<crate::review::report::ChangeSide>| side.as_ref()?.version.as_deref().map(plain::line);
    match (version(&change.base), version(&change.head)) {
        (Some(base), Some(head)) if base != head => Some(format!("{base} → {head}")),
        (_, Some(version)) | (Some(version), None) => Some(version),
        (None, None) => None,
    }
}

/// `12.3 MiB`
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in UNITS {
        if value < 1000.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

/// `+12.3 MiB`
pub fn signed_bytes(delta: i64) -> String {
    format!("{}{}", if delta < 0 { "−" } else { "+" }, bytes(delta.unsigned_abs()))
}

/// `20 ms`, `1.2 s`, `3 min 20 s`, `2 h 5 min`
pub fn seconds(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds < 0.9995 => format!("{:.0} ms", seconds * 1000.0),
        _ if seconds < 59.95 => format!("{seconds:.1} s"),
        0..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// The parts of `Timings` that are known, as short phrases.
pub fn timings(report: &Report) -> Vec<String> {
    let timings = &report.timings;
    let known = [
        ("queued", timings.queued_seconds.filter(|time| *time >= 1.0)),
        ("evaluation", timings.eval_seconds),
        ("comparison", timings.diff_seconds),
        ("builds", timings.build_seconds),
    ];
    known.into_iter().filter_map(|(what, time)| Some(format!("{what} {}", seconds(time?)))).collect()
}

/// What the evaluation of each side took and cost, a line each.
pub fn evaluations(report: &Report) -> Vec<String> {
    let sides = [("Base", Side::Base), ("Head", Side::Head)];
    sides
        .into_iter()
        .filter_map(|(name, side)| Some(format!("{name}: {}", Costs::of(report, side)?.words(seconds, bytes))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_well() {
        assert_eq!([0, 999, 1023, 45_000_000].map(bytes), ["0 B", "999 B", "1.0 KiB", "42.9 MiB"]);
        assert_eq!([-2048, 5].map(signed_bytes), ["−2.0 KiB", "+5 B"]);
        assert_eq!([0.0201, 1.0, 59.96, 200.0, 7500.0].map(seconds), ["20 ms", "1.0 s", "1 min 0 s", "3 min 20 s", "2 h 5 min"]);
    }
}
