//! The Recorder works in the background: it records what the attributes of each base read, so that reviews evaluate only what a
//! change can alter, and it checks evaluations that relied on recordings. One thing at a time, on processor time that nobody else
//! wants; while a review waits for an evaluation, it stands back.

pub mod agenda;
mod bases;
pub mod check;
pub mod idle;
pub mod kept;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use actix::{Actor, AsyncContext, Context, WrapFuture};

use agenda::{Agenda, Doing};

use super::evaluator::Evaluator;
use super::events::{Event, Events};
use super::intake::Intake;
use super::post::Post;
use crate::db::Db;

pub const MAILBOX: usize = 16;

/// After something failed that may heal by itself: a full disk, a Nix that is being replaced.
const PAUSE: Duration = Duration::from_secs(60);

/// At the start, repositories are being opened.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// What a Recorder works with.
#[derive(Clone)]
pub struct Recorder {
    pub agenda: Agenda,
    pub evaluator: Post<Evaluator>,
    /// Told which reviews to begin again.
    pub intake: Post<Intake>,
    pub db: Db,
    pub events: Events,
    /// Where both sides of an alarm are kept.
    pub alarms: PathBuf,
}

/// How far one piece of work came.
enum Step {
    Done,
    /// A review came first; the rest is left.
    Preempted,
    /// The house could not: the reason is in the journal.
    Failed,
    /// There is nothing to do.
    Nothing,
    /// Something wrong was found: what follows from it comes next.
    Alarm,
}

/// When to look again for alarms that were not followed to their end; `None`: there are none.
struct Unsettled {
    due: Option<Instant>,
    pause: Duration,
}

/// Whether all that follows from alarms is done.
enum Settled {
    All,
    NotYet,
}

impl Recorder {
    async fn work(self) {
        let mut unsettled = Unsettled { due: Some(Instant::now()), pause: FIRST_PAUSE };
        loop {
            match self.step(&mut unsettled).await {
                Step::Done | Step::Alarm => {}
                Step::Preempted => self.stand_back().await,
                Step::Failed => tokio::time::sleep(PAUSE).await,
                Step::Nothing => {
                    self.does(if self.agenda.records() { Doing::Nothing } else { Doing::Off });
                    let due = unsettled.due.map(tokio::time::Instant::from_std);
                    tokio::select! {
                        () = self.agenda.changed() => {}
                        () = tokio::time::sleep_until(due.unwrap_or_else(tokio::time::Instant::now)), if due.is_some() => {}
                    }
                }
            }
        }
    }

    /// What matters most: that nothing wrong stays in use, then that nothing wrong is found, then that the next review is quick.
    async fn step(&self, unsettled: &mut Unsettled) -> Step {
        if unsettled.due.is_some_and(|due| due <= Instant::now()) {
            unsettled.due = match self.settle().await {
                Settled::All => None,
                Settled::NotYet => Some(Instant::now() + unsettled.pause),
            };
            unsettled.pause = (unsettled.pause * 2).min(PAUSE);
        }
        match self.check_one().await {
            Step::Nothing => self.record_one().await,
            Step::Alarm => {
                *unsettled = Unsettled { due: Some(Instant::now()), pause: FIRST_PAUSE };
                Step::Alarm
            }
            step @ (Step::Done | Step::Preempted | Step::Failed) => step,
        }
    }

    /// Until no review waits for an evaluation.
    async fn stand_back(&self) {
        if !self.agenda.in_demand() {
            return;
        }
        self.does(Doing::Waiting);
        let began = Instant::now();
        self.agenda.at_leisure().await;
        self.agenda.count(|totals| totals.paused_seconds += began.elapsed().as_secs_f64());
    }

    fn does(&self, doing: Doing) {
        if self.agenda.does(doing) {
            self.events.send(Event::Background);
        }
    }
}

impl Actor for Recorder {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        let work = self.clone().work();
        context.spawn(work.into_actor(self));
    }
}
