//! The self-check: an evaluation that relied on recordings is done again in full, and both are held against each other.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::agenda::{Agenda, Doing};
use super::kept::keep;
use super::{Recorder, Settled, Step};
use crate::actors::evaluator::{Distrust, EvaluateError, InFull, What};
use crate::actors::events::Event;
use crate::actors::intake::orders::{self, Seen};
use crate::db::{EvalAlarm, NewEvalAlarm};
use crate::domain::{Evaluation, ReviewId};
use crate::eval::Evaluated;
use crate::eval::self_check::{Difference, differences, steady, summary};

/// So often a check gives way to reviews; then it goes on beside them, on processor time that they leave.
const GIVES_WAY: u32 = 3;

/// An evaluation that was drawn.
#[derive(Clone)]
pub struct Check {
    pub what: What,
    /// Under which the recordings are kept that it relied on.
    pub trace_key: String,
    pub evaluation: Arc<Evaluation>,
    /// The review that it was made for first.
    pub review: Option<ReviewId>,
    gave_way: u32,
}

impl Recorder {
    /// Carries out the check that has waited longest.
    pub(super) async fn check_one(&self) -> Step {
        let Some(mut taken) = Taken::next(&self.agenda) else { return Step::Nothing };
        let Some(check) = &mut taken.check else { return Step::Nothing };
        let step = self.carry_out(check).await;
        match step {
            Step::Done | Step::Alarm => taken.check = None,
            Step::Preempted | Step::Failed | Step::Nothing => {}
        }
        step
    }

    async fn carry_out(&self, check: &mut Check) -> Step {
        self.does(Doing::Checking(check.name()));
        let full = match self.in_full(check).await {
            Ok(full) => full,
            Err(step) => return step,
        };
        let attributes = full.evaluation.attrs.len();
        let found = differences(&full.evaluation.attrs, &check.evaluation.attrs);
        if found.is_empty() {
            self.agenda.count(|totals| totals.checks += 1);
            tracing::debug!("{}: the same from recordings and in full", check.name());
            return Step::Done;
        }
        // an attribute that is not the same twice is no fault of recordings
        check.gave_way = GIVES_WAY;
        let again = match self.in_full(check).await {
            Ok(again) => again,
            Err(step) => return step,
        };
        self.agenda.count(|totals| totals.checks += 1);
        let unsteady = found.len();
        let found = steady(found, &again.evaluation.attrs);
        if found.is_empty() {
            tracing::warn!(
                "{}: two full evaluations differ in {unsteady} attributes; this says nothing of recordings",
                check.name()
            );
            return Step::Done;
        }
        self.agenda.count(|totals| totals.failures += 1);
        let summary = summary(&found, attributes);
        tracing::error!("{}: an evaluation from recordings is wrong: {summary}", check.name());
        self.alarm(check, &full.evaluation, &found, summary).await
    }

    /// Nothing that may be wrong is left in use: what was recorded under the key goes, and what was made from it; then those who
    /// relied on it are told. The row comes first, so that a kill in between leaves something to go on from.
    async fn alarm(&self, check: &Check, full: &Evaluation, found: &[Difference], summary: String) -> Step {
        let (directory, differences) = (self.alarms.clone(), found.to_vec());
        let (full, incremental) = (full.clone(), check.evaluation.clone());
        let kept = tokio::task::spawn_blocking(move || keep(&directory, &differences, &full, &incremental)).await;
        let kept = match kept {
            Ok(Ok(kept)) => Some(kept),
            Ok(Err(error)) => {
                tracing::error!("both sides of the alarm can't be kept: {error}");
                None
            }
            Err(panic) => {
                tracing::error!("both sides of the alarm can't be kept: {panic}");
                None
            }
        };
        let alarm = NewEvalAlarm {
            trace_key: check.trace_key.clone(),
            tree: check.what.tree.clone(),
            jobset: check.what.jobset.name.clone(),
            system: check.what.system.clone(),
            review: check.review.clone(),
            summary,
            attrs: found.len() as u64,
            kept,
        };
        let raised = self.db.add_eval_alarm(alarm).await;
        self.events.send(Event::Background);
        match raised {
            Ok(_) => Step::Alarm,
            Err(error) => {
                tracing::error!("the alarm can't be stored: {error}");
                Step::Failed
            }
        }
    }

    /// Does what each alarm asks for. Also at the start: the house may have been killed in the middle of it.
    pub(super) async fn settle(&self) -> Settled {
        match self.settle_all().await {
            Ok(Seen::All) => Settled::All,
            Ok(Seen::NotAll) => Settled::NotYet,
            Err(error) => {
                tracing::error!("an alarm of the self-check can't be followed: {error:#}");
                Settled::NotYet
            }
        }
    }

    async fn settle_all(&self) -> anyhow::Result<Seen> {
        let mut all = Seen::All;
        for EvalAlarm { id, alarm, .. } in self.db.unsettled_alarms().await? {
            // once: what was recorded since relies on nothing of before
            if !self.agenda.is_distrusted(id) {
                self.evaluator.ask(Distrust { trace_key: alarm.trace_key.clone() }).await??;
                self.agenda.distrusted(id);
            }
            let again = orders::Distrust { alarm: id, summary: alarm.summary, system: alarm.system };
            match self.intake.ask(again).await?? {
                Seen::All => self.db.settle_alarm(id).await?,
                Seen::NotAll => all = Seen::NotAll,
            }
        }
        Ok(all)
    }

    /// A full evaluation. Otherwise what became of the check.
    async fn in_full(&self, check: &mut Check) -> Result<Evaluated, Step> {
        let cancelled = CancellationToken::new();
        let _stop = cancelled.clone().drop_guard();
        let ask = self.evaluator.ask(InFull { what: check.what.clone(), cancelled });
        let gives_way = check.gave_way < GIVES_WAY;
        let full = tokio::select! {
            full = ask => full,
            () = self.agenda.demanded(), if gives_way => {
                check.gave_way += 1;
                return Err(Step::Preempted);
            }
        };
        match full {
            Ok(Ok(full)) if full.lasting => Ok(full),
            // an error that stands for a limit of this machine proves nothing
            Ok(Ok(_)) => {
                tracing::info!("{}: the full evaluation met a limit, so nothing is compared", check.name());
                Err(Step::Done)
            }
            Ok(Err(EvaluateError::Failure(failure))) => {
                tracing::warn!("{}: not checked: {failure}", check.name());
                Err(Step::Done)
            }
            Ok(Err(EvaluateError::House(reason))) => {
                tracing::warn!("{}: not checked now: {reason}", check.name());
                Err(Step::Failed)
            }
            // the house closes, or the Evaluator began anew
            Ok(Err(EvaluateError::Cancelled)) | Err(_) => Err(Step::Failed),
        }
    }
}

/// A check that is being carried out. It goes back to those that wait, whatever ends us, unless it is taken out.
struct Taken {
    agenda: Agenda,
    check: Option<Check>,
}

impl Taken {
    fn next(agenda: &Agenda) -> Option<Taken> {
        let check = agenda.next_check()?;
        Some(Taken { agenda: agenda.clone(), check: Some(check) })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(check) = self.check.take() {
            self.agenda.check_later(check);
        }
    }
}

impl Check {
    pub fn new(what: What, trace_key: String, evaluation: Arc<Evaluation>, review: Option<ReviewId>) -> Self {
        Self { what, trace_key, evaluation, review, gave_way: 0 }
    }

    fn name(&self) -> String {
        let What { repository, jobset, system, tree, .. } = &self.what;
        let name = repository.path().file_name().unwrap_or_default().to_string_lossy();
        format!("{name} {} {system} at {tree}", jobset.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::repository::{Jobset, JobsetSource};
    use crate::domain::{EvalStats, System};
    use crate::git::fixture::Fixture;

    #[tokio::test]
    async fn a_check_is_not_lost_whatever_ends_the_one_who_carries_it_out() {
        let fixture = Fixture::with(&[("default.nix", "{ }")]);
        let (tree, system) = (fixture.tree("HEAD"), System::new("x86_64-linux"));
        let jobset = Jobset {
            name: "default".into(),
            source: JobsetSource::File("default.nix".into()),
            attrs: vec![],
            systems: vec![],
            args: [].into(),
            argstrs: [].into(),
            force_recurse: false,
        };
        let evaluation = Evaluation {
            tree: tree.clone(),
            jobset: jobset.name.clone(),
            system: system.clone(),
            attrs: [].into(),
            stats: EvalStats::default(),
        };
        let what = What { repository: fixture.open().await, tree, jobset, system, options: [].into() };
        let agenda = Agenda::default();
        agenda.check(Check::new(what, "key".into(), Arc::new(evaluation), None));
        drop(Taken::next(&agenda));
        let mut taken = Taken::next(&agenda).unwrap();
        assert!(Taken::next(&agenda).is_none(), "one at a time");
        taken.check = None;
        drop(taken);
        assert!(Taken::next(&agenda).is_none(), "it is done");
    }
}
