//! Comparison and facts become the report.

use super::category::category;
use super::closure::closure_change;
use super::compare::{Comparison, Row};
use super::facts::{Facts, Header};
use super::failures::failures;
use super::report::{Category, Change, ChangeKind, ChangeSide, Counts, EvalErrorRow, EvalErrorStatus, Report, SCHEMA};
use super::verdict::{Findings, verdict};
use crate::domain::{Detail, Job};

/// The report of a review as far as its facts go: call it again whenever more is known.
pub fn report(header: &Header, comparison: &Comparison, facts: &Facts) -> Report {
    let changes: Vec<Change> = comparison.rows.iter().map(|row| change(row, header, facts)).collect();
    let counts = counts(&changes, &comparison.eval_errors, comparison.unchanged);
    let failures = failures(&changes, facts);
    let verdict = verdict(&Findings {
        facts,
        header,
        changes: &changes,
        eval_errors: &comparison.eval_errors,
        counts: &counts,
        building: facts.building,
    });
    Report {
        schema: SCHEMA,
        id: header.id.clone(),
        repository: header.repository.clone(),
        created_at: header.created_at.clone(),
        base: header.base.clone(),
        head: header.head.clone(),
        merge: header.merge.clone(),
        state: header.state,
        verdict,
        counts,
        evaluations: header.evaluations.clone(),
        changes,
        eval_errors: comparison.eval_errors.clone(),
        failures,
        sources: facts.sources.clone(),
        timings: header.timings.clone(),
    }
}

fn change(row: &Row, header: &Header, facts: &Facts) -> Change {
    let key = (row.jobset.clone(), row.system.clone(), row.attr.clone());
    let closure = |job: &Option<Job>| facts.closures.get(&job.as_ref()?.drv);
    Change {
        jobset: row.jobset.clone(),
        attr: row.attr.clone(),
        aliases: row.aliases.clone(),
        system: row.system.clone(),
        change: row.change,
        category: category(row, facts, &header.policy),
        rebuild: row.rebuild,
        base: row.base.as_ref().map(|job| side(job, facts.base_details.get(&key), facts)),
        head: row.head.as_ref().map(|job| side(job, facts.head_details.get(&key), facts)),
        closure: closure(&row.base).zip(closure(&row.head)).map(|(base, head)| closure_change(base, head)),
    }
}

fn side(job: &Job, detail: Option<&Detail>, facts: &Facts) -> ChangeSide {
    let fact = facts.outcomes.get(&job.drv);
    let (pname, version) = job.drv.pname_version();
    ChangeSide {
        drv: job.drv.clone(),
        outputs: job.outputs.clone(),
        pname: detail.and_then(|detail| detail.pname.clone()).or_else(|| Some(pname.to_owned())),
        version: detail.and_then(|detail| detail.version.clone()).or_else(|| version.map(str::to_owned)),
        outcome: fact.map(|fact| fact.outcome),
        root_cause: fact.and_then(|fact| fact.root_cause.clone()),
        meta: detail.map(|detail| detail.meta.clone()).unwrap_or_default(),
    }
}

/// Rows are counted; evaluation errors are counted by attribute.
fn counts(changes: &[Change], errors: &[EvalErrorRow], unchanged: u64) -> Counts {
    let mut counts = Counts { unchanged, ..Counts::default() };
    for change in changes {
        match change.change {
            ChangeKind::Added => counts.added += 1,
            ChangeKind::Removed => counts.removed += 1,
            ChangeKind::Changed => counts.changed += 1,
            // counted with what is unchanged
            ChangeKind::Same => {}
        }
        counts.rebuilds += u64::from(change.rebuild);
        match change.category {
            Category::NewlyFailing => counts.newly_failing += 1,
            Category::StillFailing => counts.still_failing += 1,
            Category::NewlySucceeding => counts.newly_succeeding += 1,
            Category::StillSucceeding => counts.still_succeeding += 1,
            Category::NewFailing => counts.new_failing += 1,
            Category::NewSucceeding => counts.new_succeeding += 1,
            Category::Pending => counts.pending += 1,
            Category::Removed | Category::NotBuilt => {}
        }
    }
    for error in errors {
        match error.status {
            EvalErrorStatus::New => counts.eval_errors_new += 1,
            EvalErrorStatus::Fixed => counts.eval_errors_fixed += 1,
            EvalErrorStatus::Still => counts.eval_errors_still += 1,
        }
    }
    counts
}

#[cfg(test)]
mod tests;
