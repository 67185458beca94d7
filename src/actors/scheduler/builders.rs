//! The Scheduler's side of its builders: who is there, what runs where, and who has to be left alone for a while.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix::{Message, Recipient};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

pub use crate::build::Builder;
use crate::build::snapshot::{BuilderRow, BuilderState, RunningItem};
use crate::build::{Graph, Job, Offer, Usage};
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

    /// The configured builders, whether they are there or not: what none of them can build is unsupported.
    pub fn configured(&self) -> Vec<Builder> {
        self.entries().configured.clone()
    }

    pub(super) fn configure(&self, builders: Vec<Builder>) {
        self.entries().configured = builders;
    }

    pub(super) fn is_drained(&self, name: &str) -> bool {
        self.entries().drained.contains(name)
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

/// One builder.
pub(super) struct Station {
    pub builder: Builder,
    /// `None`: not there.
    orders: Option<Recipient<Order>>,
    /// Tells one stay from the next.
    pub stay: u64,
    pub running: HashMap<DrvPath, Run>,
    /// Failures to reach it, in a row.
    failures: u32,
    /// Why it is left alone.
    resting: Option<String>,
    /// Takes nothing new.
    draining: bool,
    pub is_configured: bool,
}

/// An attempt under way.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub attempt: AttemptTime,
    pub since: Timestamp,
    /// The clock of durations.
    pub began: std::time::Instant,
}

#[derive(Default)]
pub(super) struct Stations(BTreeMap<String, Station>);

impl Stations {
    pub fn new(builders: &[Builder]) -> Self {
        let mut stations = Self::default();
        stations.configure(builders);
        stations
    }

    /// These are the configured builders from now on. One that is there and not among them stays until it leaves.
    pub fn configure(&mut self, builders: &[Builder]) {
        self.0.values_mut().for_each(|station| station.is_configured = false);
        for builder in builders {
            let station = self.0.entry(builder.name.clone()).or_insert_with(|| Station::absent(builder.clone()));
            station.builder = builder.clone();
            station.is_configured = true;
        }
        self.0.retain(|_, station| station.is_configured || station.orders.is_some());
    }

    /// What the configured ones offer.
    pub fn offers(&self) -> Vec<Offer> {
        self.0.values().filter(|station| station.is_configured).map(|station| station.builder.offer.clone()).collect()
    }

    /// Returns what an earlier stay left running, and this stay's number.
    pub fn join(&mut self, builder: Builder, orders: Recipient<Order>, draining: bool) -> (Vec<DrvPath>, u64) {
        let station = self.0.entry(builder.name.clone()).or_insert_with(|| Station::absent(builder.clone()));
        let left = station.leave();
        station.builder = builder;
        station.orders = Some(orders);
        station.draining = draining;
        station.stay += 1;
        (left, station.stay)
    }

    pub fn get_mut(&mut self, name: &str) -> Option<&mut Station> {
        self.0.get_mut(name)
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Station> {
        self.0.values_mut()
    }

    /// Tells whoever runs it.
    pub fn cancel(&self, drv: &DrvPath) {
        for station in self.0.values().filter(|station| station.running.contains_key(drv)) {
            station.order(Order::Cancel(drv.clone()));
        }
    }

    pub fn rows(&self) -> Vec<BuilderRow> {
        self.0.values().map(Station::row).collect()
    }

    pub fn running(&self, graph: &Graph) -> Vec<RunningItem> {
        let runs = self.0.values().flat_map(|station| station.running.iter().map(move |(drv, run)| (station, drv, run)));
        let item = |(station, drv, run): (&Station, &DrvPath, &Run)| RunningItem {
            drv: drv.clone(),
            builder: station.builder.name.clone(),
            since: run.since,
            reviews: graph.reviews(drv),
            attempt: run.attempt.to_string(),
            expected_seconds: graph.expected_seconds(drv),
        };
        let mut items: Vec<RunningItem> = runs.map(item).collect();
        items.sort_by(|a, b| (a.since, &a.drv).cmp(&(b.since, &b.drv)));
        items
    }
}

impl Station {
    fn absent(builder: Builder) -> Self {
        Self {
            builder,
            orders: None,
            stay: 0,
            running: HashMap::new(),
            failures: 0,
            resting: None,
            draining: false,
            is_configured: false,
        }
    }

    pub fn has_free_slot(&self) -> bool {
        self.orders.is_some() && self.resting.is_none() && !self.draining && self.running.len() < self.builder.slots
    }

    pub fn start(&mut self, job: Job) -> Run {
        let run = Run { attempt: AttemptTime::now(), since: Timestamp::now(), began: std::time::Instant::now() };
        self.running.insert(job.drv.clone(), run.clone());
        self.order(Order::Start { job, attempt: run.attempt });
        run
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            // at most one order per slot and one cancellation of it are under way: this can't grow beyond that. If the Pool is gone,
            // its token says so
            orders.do_send(order);
        }
    }

    /// It is gone. What it ran comes to no end.
    pub fn leave(&mut self) -> Vec<DrvPath> {
        self.orders = None;
        self.running.drain().map(|(drv, _)| drv).collect()
    }

    /// It could not be reached: how long it is left alone, and how often in a row that has happened. `None`: it is left alone already.
    pub fn rest(&mut self, reason: String) -> Option<(Duration, u32)> {
        if self.resting.is_some() {
            return None;
        }
        self.failures += 1;
        self.resting = Some(reason);
        Some((back_off(self.failures), self.failures))
    }

    pub fn drain(&mut self, on: bool) {
        self.draining = on;
    }

    pub fn wake(&mut self) {
        self.resting = None;
    }

    pub fn is_well(&mut self) {
        self.failures = 0;
    }

    fn row(&self) -> BuilderRow {
        let (state, reason) = match (&self.orders, &self.resting) {
            (None, _) => (BuilderState::Absent, None),
            (Some(_), Some(reason)) => (BuilderState::BackingOff, Some(reason.clone())),
            (Some(_), None) if self.draining => (BuilderState::Draining, None),
            (Some(_), None) => (BuilderState::Ready, None),
        };
        BuilderRow {
            name: self.builder.name.clone(),
            systems: self.builder.offer.systems.iter().cloned().collect(),
            slots: self.builder.slots as u64,
            running: self.running.len() as u64,
            downloads: self.builder.downloads as u64,
            speed: self.builder.speed,
            memory_bytes: self.builder.memory,
            features: self.builder.offer.features.iter().cloned().collect(),
            mandatory: self.builder.offer.mandatory.iter().cloned().collect(),
            state,
            reason,
        }
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
