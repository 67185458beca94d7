//! The Scheduler owns the one build graph of all reviews: it gathers facts about what is wanted, admits it to the graph, and keeps
//! every fitting slot busy. What is decided, the farm decides (`build/farm.rs`). Between the end of one build and the start of the
//! next there is no database, no file and no timer.
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
use jiff::Timestamp;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use builders::{Builder, End, Ended, Join, Order, Roster};
use builders::{Pools, Run, back_off};
use facts::Facts;
pub use messages::{
    Accepted, BuilderSnapshot, Bump, Configured, Drain, DrainError, Forget, QueueSnapshot, Retry, ScheduleError, Settled, Target,
    Want,
};

use super::events::{Event, Events};
pub use crate::build::Patience;
use crate::build::snapshot::{BuilderRow, BuilderState, Snapshot};
use crate::build::{After, Answer, Ending, Farm, Next, Priority, Request, Station, Usage, Waiter};
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

/// Running into a limit of time or memory says less than a failure: it is remembered at most so long.
const REMEMBER_LIMITS: Duration = Duration::from_secs(24 * 3600);

/// See the module.
pub struct Scheduler {
    deps: Deps,
    farm: Farm,
    pools: Pools,
    reviews: HashMap<ReviewId, Review>,
    /// When the latest rest of each builder ends; some have ended.
    rests: HashMap<String, Timestamp>,
    /// Counts reviews, to tell one from a later one of the same name.
    arrivals: u64,
    started: Instant,
    alive: DropGuard,
}

/// A review that is waited for.
struct Review {
    arrival: u64,
    is_raised: bool,
    report_to: HashMap<Side, Recipient<Settled>>,
}

impl Scheduler {
    pub fn new(deps: Deps) -> Self {
        let mut farm = Farm::new(&deps.builders.configured(), deps.patience);
        deps.builders.drained().iter().for_each(|name| farm.drain(name, true));
        Self {
            deps,
            farm,
            pools: Pools::default(),
            reviews: HashMap::new(),
            rests: HashMap::new(),
            arrivals: 0,
            started: Instant::now(),
            alive: CancellationToken::new().drop_guard(),
        }
    }

    /// One change of the graph: everything that could be asked has been asked.
    fn admit(&mut self, want: Want, facts: Facts, asked_at: u64) {
        let review = self.reviews.get_mut(&want.review);
        let bumped = review.as_ref().is_some_and(|review| review.is_raised);
        if let Some(review) = review {
            review.report_to.insert(want.side, want.report_to);
        }
        let priority =
            Priority { side: want.side, arrived: self.started.elapsed().as_secs(), rebuilds: facts.accepted.to_build, bumped };
        let answers = self.farm.add(Request {
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

    /// Fills every free slot with what fits it. Nothing here waits: the records are posted.
    fn dispatch(&mut self) {
        while let Some(start) = self.farm.start() {
            let drv = start.job.drv.clone();
            let run = self.pools.start(start);
            let reviews = self.farm.graph().reviews(&drv);
            let builder = run.builder.to_string();
            let (time, review) = (run.attempt.to_string(), reviews.first().cloned());
            self.deps.db.post_attempt_started(NewAttempt { drv: drv.clone(), time, builder: builder.clone(), review });
            self.deps.events.send(Event::BuildStarted { drv, builder, reviews });
        }
    }

    /// An attempt came to an end, whichever.
    fn ended(&mut self, run: Run, Ended { drv, end, usage, .. }: Ended, ctx: &mut Context<Self>) {
        let reviews = self.farm.graph().reviews(&drv);
        let (after, outcome, message) = match end {
            End::Built { outcome, message } => {
                let text = (!message.is_empty()).then_some(message);
                let ending = Ending { outcome, message: text.as_deref().map(Into::into) };
                (self.farm.built(&drv, ending), outcome, text)
            }
            End::Broke(reason) => (self.farm.broke(&drv, &reason), Outcome::Infrastructure, Some(reason)),
            End::Unreachable(reason) => (self.farm.unreachable(&drv, &reason), Outcome::Infrastructure, Some(reason)),
        };
        self.dispatch();
        // the slot is busy again; now the records
        if outcome == Outcome::Infrastructure {
            tracing::warn!(%drv, builder = %run.builder, reason = message.as_deref(), "a build broke off");
        }
        let seconds = run.began.elapsed().as_secs_f64();
        let remembers = after.next == Next::Settled && outcome.is_remembered();
        self.deps.db.post_attempt_finished(AttemptEnd {
            drv: drv.clone(),
            time: run.attempt.to_string(),
            outcome,
            seconds,
            message: if after.next == Next::Larger { Some(once_more(message.as_deref())) } else { message.clone() },
            usage,
        });
        if remembers {
            let keep = match outcome {
                Outcome::TimedOut | Outcome::SilentTimedOut | Outcome::OutOfMemory => self.deps.remember.min(REMEMBER_LIMITS),
                _ => self.deps.remember,
            };
            self.deps.db.post_outcome(&drv, outcome, message, keep);
        }
        self.deps.events.send(Event::BuildEnded { drv: drv.clone(), outcome, seconds, reviews: reviews.clone() });
        self.progress(reviews);
        self.follow(drv, &run.builder, after, ctx);
    }

    /// What an end leads to, later or elsewhere.
    fn follow(&mut self, drv: DrvPath, builder: &str, after: After, ctx: &mut Context<Self>) {
        if let Next::Later { round } = after.next {
            ctx.run_later(back_off(round), move |act, _| {
                if act.farm.release(&drv, round) {
                    act.dispatch();
                }
            });
        }
        if let Some(rest) = after.rest {
            let (builder, pause) = (builder.to_owned(), back_off(rest.failures));
            self.rests.insert(builder.clone(), Timestamp::now() + pause);
            self.deps.events.send(Event::Builders);
            ctx.run_later(pause, move |act, _| {
                act.farm.wake(&builder, rest.number);
                act.dispatch();
                act.deps.events.send(Event::Builders);
            });
        }
        self.tell(after.answers);
    }

    /// What a Pool ran that is gone comes to no end.
    fn lost(&mut self, builder: &str, lost: Vec<(DrvPath, After)>, ctx: &mut Context<Self>) {
        let runs: Vec<_> = lost.iter().map(|(drv, _)| self.pools.lose(drv)).collect();
        self.dispatch();
        for ((drv, after), run) in lost.into_iter().zip(runs) {
            if let Some(run) = run {
                self.record_lost(&drv, run);
            }
            self.follow(drv, builder, after, ctx);
        }
    }

    fn record_lost(&self, drv: &DrvPath, run: Run) {
        let (outcome, seconds) = (Outcome::Infrastructure, run.began.elapsed().as_secs_f64());
        let message = Some("the builder was lost".to_owned());
        let (time, usage) = (run.attempt.to_string(), Usage::default());
        self.deps.db.post_attempt_finished(AttemptEnd { drv: drv.clone(), time, outcome, seconds, message, usage });
        let reviews = self.farm.graph().reviews(drv);
        self.deps.events.send(Event::BuildEnded { drv: drv.clone(), outcome, seconds, reviews: reviews.clone() });
        self.progress(reviews);
    }

    fn progress(&self, reviews: impl IntoIterator<Item = ReviewId>) {
        for id in reviews {
            let progress = self.farm.graph().progress(&id);
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
        for (builder, drv) in self.farm.forget(review) {
            self.pools.cancel(&builder, drv);
        }
    }
}

/// The end of an attempt that is not the last.
fn once_more(message: Option<&str>) -> String {
    match message {
        Some(message) => format!("{message}; it is tried once more on a larger builder"),
        None => "it is tried once more on a larger builder".to_owned(),
    }
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
            Review { arrival: *arrivals, is_raised: false, report_to: HashMap::new() }
        });
        let arrival = review.arrival;
        let asked_at = self.farm.graph().moment();
        let facts = facts::gather(self.deps.clone(), want.targets.clone(), want.retry);
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

impl Handler<Bump> for Scheduler {
    type Result = bool;

    fn handle(&mut self, bump: Bump, _: &mut Context<Self>) -> bool {
        let Some(review) = self.reviews.get_mut(&bump.review) else { return false };
        review.is_raised = true;
        self.deps.events.send(Event::Builders);
        // what is running is left alone: the next free slot is its
        self.farm.raise(&bump.review)
    }
}

impl Handler<Join> for Scheduler {
    type Result = MessageResult<Join>;

    fn handle(&mut self, join: Join, ctx: &mut Context<Self>) -> Self::Result {
        let name = join.builder.name.clone();
        let stay = self.pools.join(&name, join.orders);
        let lost = self.farm.join(&join.builder);
        self.lost(&name, lost, ctx);
        self.deps.events.send(Event::Builders);
        let gone = async move { join.alive.cancelled().await };
        ctx.spawn(gone.into_actor(self).map(move |(), act, ctx| {
            if act.pools.leave(&name, stay) {
                let lost = act.farm.leave(&name);
                act.lost(&name, lost, ctx);
                act.deps.events.send(Event::Builders);
            }
        }));
        MessageResult(self.alive.token().clone())
    }
}

impl Handler<Drain> for Scheduler {
    type Result = ResponseActFuture<Self, Result<(), DrainError>>;

    fn handle(&mut self, Drain { builder, on }: Drain, _: &mut Context<Self>) -> Self::Result {
        if self.farm.builders().get(&builder).is_none() {
            return Box::pin(actix::fut::err(DrainError::UnknownBuilder(builder)));
        }
        let db = self.deps.db.clone();
        // who was told that it is drained finds it so after a crash
        let written = async move { db.drain_builder(&builder, on).await.map(|()| builder) };
        Box::pin(written.into_actor(self).map(move |written, act, _| {
            let builder = written?;
            act.farm.drain(&builder, on);
            act.deps.builders.drain(&builder, on);
            act.dispatch();
            act.deps.events.send(Event::Builders);
            Ok(())
        }))
    }
}

impl Handler<Configured> for Scheduler {
    type Result = ();

    fn handle(&mut self, configured: Configured, _: &mut Context<Self>) {
        let answers = self.farm.configure(&configured.0);
        self.deps.builders.configure(configured.0);
        self.dispatch();
        self.deps.events.send(Event::Builders);
        self.tell(answers);
    }
}

impl Handler<Ended> for Scheduler {
    type Result = ();

    fn handle(&mut self, ended: Ended, ctx: &mut Context<Self>) {
        if let Some(run) = self.pools.end(&ended.builder, &ended.drv, ended.attempt) {
            self.ended(run, ended, ctx);
        }
    }
}

impl Handler<QueueSnapshot> for Scheduler {
    type Result = MessageResult<QueueSnapshot>;

    fn handle(&mut self, ask: QueueSnapshot, _: &mut Context<Self>) -> Self::Result {
        let graph = self.farm.graph();
        let mut reviews = graph.open_reviews();
        for item in &mut reviews {
            item.raised = self.reviews.get(&item.id).is_some_and(|review| review.is_raised);
        }
        let waiting = self.farm.waiting(ask.waiting);
        MessageResult(Snapshot { waiting, running: self.pools.running(graph), reviews, counts: graph.counts() })
    }
}

impl Handler<BuilderSnapshot> for Scheduler {
    type Result = MessageResult<BuilderSnapshot>;
    fn handle(&mut self, _: BuilderSnapshot, _: &mut Context<Self>) -> Self::Result {
        let row = |station: &Station| {
            let mut row = BuilderRow::from(station);
            row.until = self.rests.get(&row.name).copied().filter(|_| row.state == BuilderState::BackingOff);
            row
        };
        MessageResult(self.farm.builders().iter().map(|(_, station)| row(station)).collect())
    }
}
