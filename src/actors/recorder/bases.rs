//! Recording bases: which is next, and what becomes of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::agenda::{Base, Doing, Target};
use super::{Recorder, Step};
use crate::actors::evaluator::{EvaluateError, Hurry, Record, Recording, Reuse, What};
use crate::actors::reviewer::{self, Selection};
use crate::domain::{CommitId, RepositoryName};
use crate::eval::trace::Order;

/// So long a recording waits with all that it has in memory; then it ends, and begins again from what was stored.
const WAITS: Duration = Duration::from_secs(120);

/// One jobset of a base on one system.
struct Job {
    target: Target,
    what: What,
    rev: CommitId,
}

impl Recorder {
    /// Records the base that was recorded longest ago.
    pub(super) async fn record_one(&self) -> Step {
        if !self.agenda.records() {
            return Step::Nothing;
        }
        let Some(job) = self.next().await else { return Step::Nothing };
        if self.agenda.in_demand() {
            return Step::Preempted;
        }
        self.does(Doing::Recording(job.name()));
        let (orders, control) = watch::channel(Order::Go);
        // whatever ends us ends it
        let cancelled = CancellationToken::new();
        let _ended = cancelled.clone().drop_guard();
        let record = Record {
            what: job.what.clone(),
            reuse: Reuse::Known,
            hurry: Hurry::Nobody,
            review: None,
            control: Arc::new(control),
            cancelled: cancelled.clone(),
        };
        let asked = self.evaluator.ask(record);
        tokio::pin!(asked);
        let (answer, stopped) = tokio::select! {
            answer = &mut asked => (answer, false),
            // it ends at the next boundary, and keeps what it has
            () = self.conduct(&job, &orders) => (asked.await, true),
        };
        match answer {
            Ok(Ok(recording)) => self.recorded(job, recording, stopped),
            Ok(Err(EvaluateError::Cancelled)) => Step::Preempted,
            // of the base itself: the next push may put it right
            Ok(Err(EvaluateError::Failure(failure))) => {
                tracing::info!("{} is not recorded: {failure}", job.name());
                self.agenda.recorded(job.target, &job.what);
                Step::Done
            }
            Ok(Err(EvaluateError::House(reason))) => {
                tracing::warn!("{} is not recorded now: {reason}", job.name());
                Step::Failed
            }
            // the house closes
            Err(_) => Step::Failed,
        }
    }

    /// Gives the orders; returns when it has given the last one, to stop.
    async fn conduct(&self, job: &Job, orders: &watch::Sender<Order>) {
        loop {
            tokio::select! {
                () = self.agenda.demanded() => {}
                () = self.superseded(job) => break,
            }
            orders.send_replace(Order::Pause);
            self.does(Doing::Waiting);
            let began = std::time::Instant::now();
            let leisure = tokio::time::timeout(WAITS, self.agenda.at_leisure()).await;
            self.agenda.count(|totals| totals.paused_seconds += began.elapsed().as_secs_f64());
            if leisure.is_err() || !self.is_current(job) {
                break;
            }
            orders.send_replace(Order::Go);
            self.does(Doing::Recording(job.name()));
        }
        orders.send_replace(Order::Stop);
    }

    /// Completes when the job is not wanted any more.
    async fn superseded(&self, job: &Job) {
        let mut moved = self.agenda.moved();
        // an error: nobody will say any more
        drop(moved.wait_for(|_| !self.is_current(job)).await);
    }

    fn is_current(&self, job: &Job) -> bool {
        self.agenda.records() && self.agenda.is_current(&job.target.repository, &job.rev)
    }

    fn recorded(&self, job: Job, recording: Recording, stopped: bool) -> Step {
        self.agenda.count(|totals| {
            totals.recordings += u64::from(recording.recorded > 0 || recording.unknown == 0);
            totals.attributes += recording.recorded;
            totals.cpu_seconds += recording.cpu_seconds;
        });
        match &recording.impossible {
            Some(why) => tracing::debug!("{} can't be recorded: {why}", job.name()),
            None => {
                let tracked = recording.tracked_files;
                self.agenda.recorded_under(recording.trace_key, job.target.repository.clone(), tracked);
                let Recording { recorded, unknown, paths, .. } = recording;
                tracing::info!(
                    "{}: recorded what {recorded} attributes read; of {unknown} of {paths} it is not known",
                    job.name()
                );
            }
        }
        if stopped {
            return Step::Preempted;
        }
        self.agenda.recorded(job.target, &job.what);
        Step::Done
    }

    /// Of what is not recorded, what was recorded longest ago; what never was, first.
    async fn next(&self) -> Option<Job> {
        let mut jobs = Vec::new();
        for (repository, base) in self.agenda.bases() {
            match jobs_of(&repository, &base).await {
                Ok(of_base) => jobs.extend(of_base),
                // a fault of its `snowgate.toml`, say: each review says it
                Err(fault) => tracing::debug!("the base of {repository} can't be recorded: {fault}"),
            }
        }
        jobs.retain(|job| !self.agenda.is_recorded(&job.target, &job.what));
        jobs.into_iter().min_by_key(|job| self.agenda.last_recorded(&job.target))
    }
}

/// The jobsets are those that a review of a change to nothing else would evaluate.
async fn jobs_of(repository: &RepositoryName, base: &Base) -> Result<Vec<Job>, reviewer::Fault> {
    let tree = base.git.tree_of(&base.rev).await.map_err(|error| reviewer::Fault::House(error.to_string()))?;
    let selection = Selection { options: base.options.clone(), ..Selection::default() };
    let jobs = reviewer::whats(&base.git, &tree, &tree, &selection).await?.into_iter().map(|what| Job {
        target: Target { repository: repository.clone(), jobset: what.jobset.name.clone(), system: what.system.clone() },
        what,
        rev: base.rev.clone(),
    });
    Ok(jobs.collect())
}

impl Job {
    fn name(&self) -> String {
        let Target { repository, jobset, system } = &self.target;
        format!("{repository} {jobset} {system}")
    }
}
