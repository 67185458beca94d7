//! The Scheduler owns the one build graph of all reviews: it gathers facts about what is wanted, admits it to the graph, and keeps
//! every fitting slot busy. Between the end of one build and the start of the next there is no database, no file and no timer.
//!
//! It starts empty; after a crash the Pools join again and the Reviewers ask again. Its mailbox needs room for two messages of each slot
//! and one of each review.

mod builders;
mod facts;
mod messages;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use actix::{
    Actor, ActorFutureExt, AsyncContext, Context, Handler, MessageResult, Recipient, ResponseActFuture, WrapFuture,
    dev::SendError,
};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use builders::{Builder, End, Ended, Join, Order, Roster};
use builders::{Run, Stations, back_off};
use facts::Facts;
pub use messages::{
    Accepted, BuilderSnapshot, Configured, Drain, Forget, QueueSnapshot, Retry, ScheduleError, Settled, Target, UnknownBuilder,
    Want,
};

use super::events::{Event, Events};
use crate::build::snapshot::Snapshot;
use crate::build::{Answer, Ending, Graph, Priority, Request, Usage, Waiter};
use crate::db::{AttemptEnd, Db, NewAttempt};
use crate::domain::{DrvPath, Outcome, ReviewId, Side};
use crate::store::Store;
use crate::store::logs::Logs;

/// What the Scheduler and the Pools work with.
#[derive(Clone)]
pub struct Deps {
    pub store: Store,
    pub logs: Logs,
    pub db: Db,
    pub events: Events,
    pub builders: Roster,
    /// How long failures are remembered.
    pub remember: Duration,
    pub patience: Patience,
}

/// How often a build is tried that breaks off through no fault of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Until it comes to an end.
    Endless,
    /// So many times; then it ends as `infrastructure`.
    Times(u32),
}

/// Running into a limit of time or memory says less than a failure: it is remembered at most so long.
const REMEMBER_LIMITS: Duration = Duration::from_secs(24 * 3600);

/// See the module.
pub struct Scheduler {
    deps: Deps,
    graph: Graph,
    stations: Stations,
    reviews: HashMap<ReviewId, Review>,
    /// Counts reviews, to tell one from a later one of the same name.
    arrivals: u64,
    started: Instant,
    alive: DropGuard,
}

/// A review that is waited for.
struct Review {
    arrival: u64,
    report_to: HashMap<Side, Recipient<Settled>>,
}

impl Scheduler {
    pub fn new(deps: Deps) -> Self {
        Self {
            stations: Stations::new(&deps.builders.configured()),
            deps,
            graph: Graph::default(),
            reviews: HashMap::new(),
            arrivals: 0,
            started: Instant::now(),
            alive: CancellationToken::new().drop_guard(),
        }
    }

    /// One change of the graph: everything that could be asked has been asked.
    fn admit(&mut self, want: Want, facts: Facts, asked_at: u64) {
        if let Some(review) = self.reviews.get_mut(&want.review) {
            review.report_to.insert(want.side, want.report_to);
        }
        let priority = Priority {
            side: want.side,
            arrived: self.started.elapsed().as_secs(),
            rebuilds: facts.accepted.to_build,
            bumped: false,
        };
        let answers = self.graph.add(Request {
            waiter: Waiter { review: want.review.clone(), side: want.side },
            priority,
            nodes: facts.nodes,
            targets: want.targets.into_iter().map(|target| target.drv).collect(),
            substituted: facts.substituted,
            retry: want.retry == Retry::BuildAgain,
            asked_at,
        });
        self.dispatch();
        self.progress([want.review]);
        self.tell(answers);
    }

    /// Fills every free slot with what fits it.
    fn dispatch(&mut self) {
        for station in self.stations.iter_mut() {
            while station.has_free_slot() {
                let Some(job) = self.graph.next(|requirements| station.builder.offer.fits(requirements)) else { break };
                let drv = job.drv.clone();
                let run = station.start(job);
                let reviews = self.graph.reviews(&drv);
                let builder = station.builder.name.clone();
                let (time, review) = (run.attempt.to_string(), reviews.first().cloned());
                self.deps.db.post_attempt_started(NewAttempt { drv: drv.clone(), time, builder: builder.clone(), review });
                self.deps.events.send(Event::BuildStarted { drv, builder, reviews });
            }
        }
    }

    /// A build came to an end, whichever.
    fn ended(&mut self, drv: &DrvPath, run: &Run, (outcome, message): (Outcome, String), usage: Usage, ctx: &mut Context<Self>) {
        let reviews = self.graph.reviews(drv);
        let text = (!message.is_empty()).then(|| message.clone());
        let answers = match outcome {
            Outcome::Infrastructure => self.broke_off(drv, &message, ctx),
            _ => self.graph.finish(drv, Ending { outcome, message: text.as_deref().map(Into::into) }),
        };
        self.dispatch();
        // the slot is busy again; now the records
        let seconds = run.began.elapsed().as_secs_f64();
        self.deps.db.post_attempt_finished(AttemptEnd {
            drv: drv.clone(),
            time: run.attempt.to_string(),
            outcome,
            seconds,
            message: text.clone(),
            usage,
        });
        if outcome.is_remembered() {
            let keep = match outcome {
                Outcome::TimedOut | Outcome::SilentTimedOut | Outcome::OutOfMemory => self.deps.remember.min(REMEMBER_LIMITS),
                _ => self.deps.remember,
            };
            self.deps.db.post_outcome(drv, outcome, text, keep);
        }
        self.deps.events.send(Event::BuildEnded { drv: drv.clone(), outcome, seconds, reviews: reviews.clone() });
        self.progress(reviews);
        self.tell(answers);
    }

    /// Another try after a while, or none any more.
    fn broke_off(&mut self, drv: &DrvPath, reason: &str, ctx: &mut Context<Self>) -> Vec<Answer> {
        let Some(tries) = self.graph.hold(drv) else { return Vec::new() };
        tracing::warn!(%drv, tries, reason, "a build broke off");
        if self.is_enough(tries) {
            return self.graph.abandon(drv, infrastructure(reason));
        }
        let drv = drv.clone();
        ctx.run_later(back_off(tries), move |act, _| {
            if act.graph.release(&drv) {
                act.dispatch();
            }
        });
        Vec::new()
    }

    fn is_enough(&self, tries: u32) -> bool {
        match self.deps.patience {
            Patience::Endless => false,
            Patience::Times(times) => tries >= times,
        }
    }

    /// A builder could not be reached. If there is no patience left, nothing is: what waits ends.
    fn unreachable(&mut self, name: &str, reason: &str, ctx: &mut Context<Self>) {
        let Some(station) = self.stations.get_mut(name) else { return };
        let Some((rest, failures)) = station.rest(reason.to_owned()) else { return };
        let stay = station.stay;
        let name = name.to_owned();
        ctx.run_later(rest, move |act, _| {
            if let Some(station) = act.stations.get_mut(&name).filter(|station| station.stay == stay) {
                station.wake();
                act.dispatch();
            }
        });
        if self.is_enough(failures) {
            let answers = self.graph.give_up(&infrastructure(reason));
            self.tell(answers);
        }
    }

    /// What a Pool ran that is gone comes to no end.
    fn lost(&mut self, drvs: Vec<DrvPath>, ctx: &mut Context<Self>) {
        for drv in drvs {
            let answers = self.broke_off(&drv, "the builder was lost", ctx);
            self.tell(answers);
        }
        self.dispatch();
    }

    fn progress(&self, reviews: impl IntoIterator<Item = ReviewId>) {
        for id in reviews {
            let progress = self.graph.progress(&id);
            self.deps.events.send(Event::Builds {
                id,
                done: progress.settled,
                running: progress.running,
                total: progress.total,
                failed: progress.failed,
            });
        }
    }

    fn tell(&mut self, answers: Vec<Answer>) {
        let mut gone: Vec<ReviewId> = Vec::new();
        for Answer { waiter: Waiter { review, side }, drv, ending, cause } in answers {
            let Some(report_to) = self.reviews.get(&review).and_then(|review| review.report_to.get(&side)) else { continue };
            let settled = Settled {
                review,
                side,
                drv,
                outcome: ending.outcome,
                message: ending.message.as_deref().map(str::to_owned),
                root_outcome: cause.as_ref().map(|cause| cause.outcome),
                root_cause: cause.map(|cause| cause.drv.clone()),
            };
            match report_to.try_send(settled) {
                Ok(()) => {}
                // bounded all the same: there are no more of these than there are targets
                Err(SendError::Full(settled)) => report_to.do_send(settled),
                Err(SendError::Closed(settled)) => gone.push(settled.review),
            }
        }
        for review in gone {
            self.forget(&review);
        }
    }

    /// A review none of whose requests was admitted need not be forgotten by anybody else.
    fn drop_unheard(&mut self, review: &ReviewId) {
        if self.reviews.get(review).is_some_and(|review| review.report_to.is_empty()) {
            self.reviews.remove(review);
        }
    }

    fn forget(&mut self, review: &ReviewId) {
        self.reviews.remove(review);
        for drv in self.graph.forget(review) {
            self.stations.cancel(&drv);
        }
    }
}

fn infrastructure(reason: &str) -> Ending {
    Ending { outcome: Outcome::Infrastructure, message: Some(reason.into()) }
}

impl Actor for Scheduler {
    type Context = Context<Self>;
}

impl Handler<Want> for Scheduler {
    type Result = ResponseActFuture<Self, Result<Accepted, ScheduleError>>;

    fn handle(&mut self, want: Want, _: &mut Context<Self>) -> Self::Result {
        let arrivals = &mut self.arrivals;
        let review = self.reviews.entry(want.review.clone()).or_insert_with(|| {
            *arrivals += 1;
            Review { arrival: *arrivals, report_to: HashMap::new() }
        });
        let arrival = review.arrival;
        let asked_at = self.graph.moment();
        let facts = facts::gather(self.deps.clone(), self.stations.offers(), want.targets.clone(), want.retry);
        Box::pin(facts.into_actor(self).map(move |facts, act, _| {
            if act.reviews.get(&want.review).is_none_or(|review| review.arrival != arrival) {
                return Err(ScheduleError::Forgotten);
            }
            let facts = facts.inspect_err(|_| act.drop_unheard(&want.review))?;
            let accepted = facts.accepted;
            act.admit(want, facts, asked_at);
            Ok(accepted)
        }))
    }
}

impl Handler<Forget> for Scheduler {
    type Result = ();
    fn handle(&mut self, forget: Forget, _: &mut Context<Self>) {
        self.forget(&forget.review);
    }
}

impl Handler<Join> for Scheduler {
    type Result = MessageResult<Join>;

    fn handle(&mut self, join: Join, ctx: &mut Context<Self>) -> Self::Result {
        let name = join.builder.name.clone();
        let draining = self.deps.builders.is_drained(&name);
        let (left, stay) = self.stations.join(join.builder, join.orders, draining);
        self.lost(left, ctx);
        let gone = async move { join.alive.cancelled().await };
        ctx.spawn(gone.into_actor(self).map(move |(), act, ctx| {
            if let Some(station) = act.stations.get_mut(&name).filter(|station| station.stay == stay) {
                let left = station.leave();
                act.lost(left, ctx);
            }
        }));
        MessageResult(self.alive.token().clone())
    }
}

impl Handler<Drain> for Scheduler {
    type Result = Result<(), UnknownBuilder>;

    fn handle(&mut self, drain: Drain, _: &mut Context<Self>) -> Self::Result {
        let station = self.stations.get_mut(&drain.builder).ok_or(UnknownBuilder(drain.builder))?;
        station.drain(drain.on);
        self.deps.builders.drain(&station.builder.name, drain.on);
        self.dispatch();
        Ok(())
    }
}

impl Handler<Configured> for Scheduler {
    type Result = ();

    fn handle(&mut self, configured: Configured, _: &mut Context<Self>) {
        self.stations.configure(&configured.0);
        self.deps.builders.configure(configured.0);
        self.dispatch();
    }
}

impl Handler<Ended> for Scheduler {
    type Result = ();

    fn handle(&mut self, ended: Ended, ctx: &mut Context<Self>) {
        let Some(station) = self.stations.get_mut(&ended.builder) else { return };
        // news of an attempt that was given up for lost
        if station.running.get(&ended.drv).is_none_or(|run| run.attempt != ended.attempt) {
            return;
        }
        let Some(run) = station.running.remove(&ended.drv) else { return };
        let (outcome, message) = match ended.end {
            End::Built { outcome, message } => {
                station.is_well();
                (outcome, message)
            }
            End::Broke(reason) => (Outcome::Infrastructure, reason),
            End::Unreachable(reason) => {
                self.unreachable(&ended.builder, &reason, ctx);
                (Outcome::Infrastructure, reason)
            }
        };
        self.ended(&ended.drv, &run, (outcome, message), ended.usage, ctx);
    }
}

impl Handler<QueueSnapshot> for Scheduler {
    type Result = MessageResult<QueueSnapshot>;

    fn handle(&mut self, ask: QueueSnapshot, _: &mut Context<Self>) -> Self::Result {
        let waiting = self.graph.waiting(ask.waiting);
        MessageResult(Snapshot { waiting, running: self.stations.running(&self.graph), counts: self.graph.counts() })
    }
}

impl Handler<BuilderSnapshot> for Scheduler {
    type Result = MessageResult<BuilderSnapshot>;
    fn handle(&mut self, _: BuilderSnapshot, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.stations.rows())
    }
}
