//! The Scheduler's side of its Pools: what they and it tell each other, and which attempts are under way.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix::{Message, Recipient};
use tokio_util::sync::CancellationToken;

pub use crate::build::Builder;
use crate::build::snapshot::RunningItem;
use crate::build::{Graph, Job, Start, Usage};
use crate::domain::{DrvPath, Outcome};
use crate::store::logs::AttemptTime;

/// What the house says of its builders. Shared by one Scheduler and the next, so that a crash changes nothing of it.
#[derive(Debug, Clone, Default)]
pub struct Roster(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    configured: Vec<Builder>,
    drained: BTreeSet<String>,
}

impl Roster {
    pub fn new(configured: Vec<Builder>) -> Self {
        Self(Arc::new(Mutex::new(Entries { configured, drained: BTreeSet::new() })))
    }

    /// Those of these names take nothing new, configured or not.
    pub fn with_drained(self, names: Vec<String>) -> Self {
        self.entries().drained = names.into_iter().collect();
        self
    }

    /// The configured builders, whether they are there or not: what none of them can build is unsupported.
    pub fn configured(&self) -> Vec<Builder> {
        self.entries().configured.clone()
    }

    pub(super) fn configure(&self, builders: Vec<Builder>) {
        self.entries().configured = builders;
    }

    pub(super) fn drained(&self) -> Vec<String> {
        self.entries().drained.iter().cloned().collect()
    }

    pub(super) fn drain(&self, name: &str, on: bool) {
        let mut entries = self.entries();
        if on {
            entries.drained.insert(name.to_owned());
        } else {
            entries.drained.remove(name);
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        // whoever panicked while holding it had not begun to change it
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A Pool is ready to build for its builder. The answer ends with the Scheduler; what the Pool runs is nobody's then.
///
/// A Pool joins when it starts, whether its host answers or not: that shows with the first build, which is told as
/// [`End::Unreachable`]. It gets orders while its builder is configured.
#[derive(Clone, Message)]
#[rtype(result = "CancellationToken")]
pub struct Join {
    pub builder: Builder,
    pub orders: Recipient<Order>,
    /// Ends with the Pool.
    pub alive: CancellationToken,
}

/// What a Pool is told. It obeys at once: the Scheduler keeps count of the slots.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum Order {
    Start {
        job: Job,
        attempt: AttemptTime,
    },
    /// Its end is still told.
    Cancel(DrvPath),
}

/// The end of what was ordered.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Ended {
    pub builder: String,
    pub drv: DrvPath,
    pub attempt: AttemptTime,
    pub end: End,
    pub usage: Usage,
}

#[derive(Debug)]
pub enum End {
    Built {
        outcome: Outcome,
        message: String,
    },
    /// The builder can't build now (it does not answer, its disk is full): it is left alone for a while, and its builds go elsewhere.
    Unreachable(String),
    /// The connection or the Pool's own work broke off. The builder is not to blame yet; the derivation is tried elsewhere first.
    Broke(String),
}

/// The Pools that are there, and what was ordered of them.
#[derive(Default)]
pub(super) struct Pools {
    there: HashMap<String, There>,
    runs: HashMap<DrvPath, Run>,
    /// Counts stays.
    stays: u64,
    /// The latest attempts, so that the next one of the same derivation does not have the same name.
    latest: HashMap<DrvPath, AttemptTime>,
}

struct There {
    orders: Recipient<Order>,
    /// Tells one stay from the next.
    stay: u64,
}

/// An attempt under way.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub builder: Arc<str>,
    pub attempt: AttemptTime,
    /// The clock of durations.
    pub began: Instant,
}

impl Pools {
    /// Returns the number of this stay.
    pub fn join(&mut self, name: &str, orders: Recipient<Order>) -> u64 {
        self.stays += 1;
        self.there.insert(name.to_owned(), There { orders, stay: self.stays });
        self.stays
    }

    /// Whether this stay had not ended before.
    pub fn leave(&mut self, name: &str, stay: u64) -> bool {
        let ends = self.there.get(name).is_some_and(|there| there.stay == stay);
        if ends {
            self.there.remove(name);
        }
        ends
    }

    pub fn start(&mut self, Start { builder, job }: Start) -> Run {
        let run = Run { attempt: self.name_attempt(&job.drv), began: Instant::now(), builder };
        self.runs.insert(job.drv.clone(), run.clone());
        self.order(&run.builder, Order::Start { job, attempt: run.attempt });
        run
    }

    pub fn cancel(&self, builder: &str, drv: DrvPath) {
        self.order(builder, Order::Cancel(drv));
    }

    /// An attempt ended. `None` is news of one that was given up for lost.
    pub fn end(&mut self, builder: &str, drv: &DrvPath, attempt: AttemptTime) -> Option<Run> {
        self.runs.get(drv).filter(|run| run.attempt == attempt && run.builder.as_ref() == builder)?;
        self.lose(drv)
    }

    pub fn lose(&mut self, drv: &DrvPath) -> Option<Run> {
        let run = self.runs.remove(drv)?;
        self.latest.insert(drv.clone(), run.attempt);
        Some(run)
    }

    fn order(&self, builder: &str, order: Order) {
        if let Some(there) = self.there.get(builder) {
            // at most one order per slot and one cancellation of it are under way: this can't grow beyond that. If the Pool is gone,
            // its token says so
            there.orders.do_send(order);
        }
    }

    /// Now, or just after the latest attempt of the same derivation.
    fn name_attempt(&mut self, drv: &DrvPath) -> AttemptTime {
        let now = AttemptTime::now();
        // those of which the clock has moved on
        if self.latest.len() > 64 {
            self.latest.retain(|_, latest| *latest >= now);
        }
        self.latest.remove(drv).map_or(now, |latest| now.max(latest.next()))
    }

    pub fn running(&self, graph: &Graph) -> Vec<RunningItem> {
        let item = |(drv, run): (&DrvPath, &Run)| RunningItem {
            drv: drv.clone(),
            builder: run.builder.to_string(),
            since: run.attempt.timestamp(),
            reviews: graph.reviews(drv),
            attempt: run.attempt.to_string(),
            expected_seconds: graph.expected_seconds(drv),
        };
        let mut items: Vec<RunningItem> = self.runs.iter().map(item).collect();
        items.sort_by(|a, b| (a.since, &a.drv).cmp(&(b.since, &b.drv)));
        items
    }
}

/// One second after the first failure, twice as long after each further one, at most five minutes.
pub(super) fn back_off(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.saturating_sub(1).min(9)).min(Duration::from_secs(300))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_grows_and_is_capped() {
        let seconds: Vec<u64> = [1, 2, 3, 9, 10, 1000].map(|failures| back_off(failures).as_secs()).into();
        assert_eq!(seconds, [1, 2, 4, 256, 300, 300]);
    }
}
