//! Both sides of a review evaluated: every jobset on each of its systems.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::run::{Run, house};
use super::{Fault, Records};
use crate::actors::evaluator::{Evaluate, EvaluateError, Hurry, Record, Recording};
use crate::config::repository::Jobset;
use crate::domain::{Attr, AttrPath, EvalError, EvalStats, Evaluation, Side, System};
use crate::eval::EvalFailure;
use crate::eval::trace::Always;
use crate::review::report::EvaluationRow;

impl Run {
    /// Every jobset on each of its systems.
    pub(super) async fn evaluate(&mut self) -> Result<(Vec<Evaluation>, Vec<Evaluation>), Fault> {
        let sides: &[&[Side]] = match self.order.wishes.record {
            Records::Otherwise => &[&[Side::Head, Side::Base]],
            // what is recorded of the base spares head the most
            Records::Now => &[&[Side::Base], &[Side::Head]],
        };
        let (mut base, mut head) = (Vec::new(), Vec::new());
        for sides in sides {
            for (side, mut evaluation) in self.evaluate_sides(sides).await? {
                if side == Side::Base && self.order.wishes.record == Records::Now {
                    let recording = self.record(&evaluation).await?;
                    Arc::make_mut(&mut evaluation).stats.trace_cpu_seconds = recording.cpu_seconds;
                }
                self.draft.header.evaluations.push(EvaluationRow::new(side, &evaluation));
                match side {
                    Side::Base => base.push(Arc::unwrap_or_clone(evaluation)),
                    Side::Head => head.push(Arc::unwrap_or_clone(evaluation)),
                }
            }
        }
        self.draft.header.evaluations.sort_by_key(|row| (row.jobset.clone(), row.system.clone(), row.side));
        Ok((base, head))
    }

    /// All at once.
    async fn evaluate_sides(&self, sides: &[Side]) -> Result<Vec<(Side, Arc<Evaluation>)>, Fault> {
        let mut asked = Vec::new();
        for jobset in &self.jobsets {
            for system in &jobset.systems {
                asked.extend(sides.iter().map(|side| (*side, jobset, system)));
            }
        }
        let evaluated = asked.iter().map(|(side, jobset, system)| self.evaluate_one(*side, jobset, system));
        let evaluated = futures_util::future::try_join_all(evaluated).await?;
        Ok(asked.into_iter().map(|(side, ..)| side).zip(evaluated).collect())
    }

    /// Records what a side's evaluation read. What can't be recorded is evaluated.
    async fn record(&self, evaluation: &Evaluation) -> Result<Recording, Fault> {
        let Some(jobset) = self.jobsets.iter().find(|jobset| jobset.name == evaluation.jobset) else {
            return Ok(Recording::default());
        };
        let record = Record {
            what: self.what(Side::Base, jobset, &evaluation.system),
            reuse: self.order.wishes.reuse,
            hurry: Hurry::Somebody,
            review: Some(self.order.id.clone()),
            control: Arc::new(Always),
            cancelled: self.cancelled.clone(),
        };
        match self.desk.evaluator.ask(record).await.map_err(house)? {
            Ok(recording) => Ok(recording),
            Err(EvaluateError::Cancelled) => Err(Fault::Cancelled),
            Err(error @ (EvaluateError::Failure(_) | EvaluateError::House(_))) => {
                self.desk.events.notice(format!("what the base read is not recorded: {error}"));
                Ok(Recording::default())
            }
        }
    }

    pub(super) async fn evaluate_one(&self, side: Side, jobset: &Jobset, system: &System) -> Result<Arc<Evaluation>, Fault> {
        let evaluate = Evaluate {
            what: self.what(side, jobset, system),
            reuse: self.order.wishes.reuse,
            review: self.order.id.clone(),
            side,
            cancelled: self.cancelled.clone(),
        };
        match self.desk.evaluator.ask(evaluate).await.map_err(house)? {
            Ok(evaluation) => Ok(evaluation),
            // the change brings the jobset's file
            Err(EvaluateError::Failure(EvalFailure::NoSuchFile(_))) if side == Side::Base => {
                Ok(Arc::new(self.empty(side, jobset, system)))
            }
            // what the change does to its own jobset is a finding, not the end of the review
            Err(EvaluateError::Failure(failure @ (EvalFailure::NoSuchFile(_) | EvalFailure::Jobset(_))))
                if side == Side::Head =>
            {
                if self.fails_on_base_too(jobset, system, &failure).await {
                    return Err(Fault::Configuration(failure.to_string()));
                }
                let mut evaluation = self.empty(side, jobset, system);
                let error = EvalError { message: failure.to_string(), position: None };
                evaluation.attrs.insert(AttrPath::root(), Attr::Failed(error));
                Ok(Arc::new(evaluation))
            }
            Err(EvaluateError::Failure(failure @ (EvalFailure::NoSuchFile(_) | EvalFailure::Jobset(_)))) => {
                Err(Fault::Configuration(failure.to_string()))
            }
            Err(EvaluateError::Cancelled) => Err(Fault::Cancelled),
            Err(error @ (EvaluateError::Failure(EvalFailure::Start(_)) | EvaluateError::House(_))) => Err(house(error)),
        }
    }

    /// A jobset that neither side can prepare is a mistake of whoever asks.
    pub(super) async fn fails_on_base_too(&self, jobset: &Jobset, system: &System, failure: &EvalFailure) -> bool {
        let evaluate = Evaluate {
            what: self.what(Side::Base, jobset, system),
            reuse: self.order.wishes.reuse,
            review: self.order.id.clone(),
            side: Side::Base,
            cancelled: self.cancelled.clone(),
        };
        match self.desk.evaluator.ask(evaluate).await {
            Ok(Err(EvaluateError::Failure(base))) => base == *failure,
            _ => false,
        }
    }

    pub(super) fn empty(&self, side: Side, jobset: &Jobset, system: &System) -> Evaluation {
        Evaluation {
            tree: self.trees[&side].clone(),
            jobset: jobset.name.clone(),
            system: system.clone(),
            attrs: BTreeMap::new(),
            stats: EvalStats::default(),
        }
    }
}
