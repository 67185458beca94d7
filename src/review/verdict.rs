//! Whether to merge, and why. The gate fails closed: what could not be decided is `pending`, never `mergeable`.

mod reasons;
mod summary;

pub use reasons::self_check;

use super::facts::{Facts, Header};
use super::report::{Category, Change, Counts, Decision, EvalErrorRow, EvalErrorStatus, State, Verdict};
use crate::domain::{Level, Outcome};

/// What a verdict is made of.
pub struct Findings<'a> {
    pub header: &'a Header,
    pub changes: &'a [Change],
    pub eval_errors: &'a [EvalErrorRow],
    pub counts: &'a Counts,
    /// False with `--no-build`.
    pub building: bool,
    pub facts: &'a Facts,
}

pub fn verdict(findings: &Findings) -> Verdict {
    let reasons = reasons::reasons(findings);
    let blocks = reasons.iter().any(|reason| reason.level == Level::Block);
    let decision = match findings.header.state {
        _ if !findings.header.merge.conflicts.is_empty() => Decision::Blocked,
        State::Evaluating | State::Cancelled | State::Error => Decision::Pending,
        State::Building | State::Complete if findings.is_undecided() => Decision::Pending,
        State::Building | State::Complete if blocks => Decision::Blocked,
        State::Building | State::Complete => Decision::Mergeable,
    };
    let summary = super::plain::line(&summary::summary(findings, decision));
    Verdict { decision, summary, reasons }
}

impl<'a> Findings<'a> {
    fn of(&self, category: Category) -> impl Iterator<Item = &'a Change> {
        self.changes.iter().filter(move |change| change.category == category)
    }

    /// Head was not built, and this is how its build ended.
    fn not_built(&self, outcome: Outcome) -> impl Iterator<Item = &'a Change> {
        self.of(Category::NotBuilt).filter(move |change| change.head.as_ref().is_some_and(|head| head.outcome == Some(outcome)))
    }

    /// What the machinery said of the first of them: with many, it is the same fault as a rule.
    fn said(&self, outcome: Outcome) -> Option<&'a str> {
        let drvs = self.not_built(outcome).filter_map(|change| Some(&change.head.as_ref()?.drv));
        let mut texts = drvs.filter_map(|drv| self.facts.outcomes.get(drv)?.log_tail.as_deref());
        texts.find(|text| !text.trim().is_empty())
    }

    fn errors(&self, status: EvalErrorStatus) -> impl Iterator<Item = &'a EvalErrorRow> {
        self.eval_errors.iter().filter(move |error| error.status == status)
    }

    /// Something that would decide is not known: not yet, or not without another run.
    fn is_undecided(&self) -> bool {
        self.counts.pending > 0
            || self.building
                && [Outcome::Infrastructure, Outcome::Cancelled]
                    .into_iter()
                    .any(|outcome| self.not_built(outcome).next().is_some())
    }

    /// The whole jobset can't be evaluated on head.
    fn whole_failures(&self) -> impl Iterator<Item = &'a EvalErrorRow> {
        self.eval_errors.iter().filter(|error| error.attr.is_root() && error.status != EvalErrorStatus::Fixed)
    }
}

#[cfg(test)]
mod tests;
