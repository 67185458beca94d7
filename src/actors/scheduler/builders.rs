//! The Scheduler's side of its builders: who is there, what runs where, and who has to be left alone for a while.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use actix::{Message, Recipient};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::build::snapshot::{BuilderRow, BuilderState, RunningItem};
use crate::build::{Graph, Job, Offer};
use crate::domain::{DrvPath, Outcome};
use crate::store::logs::AttemptTime;

/// A builder as the configuration names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Builder {
    pub name: String,
    pub offer: Offer,
    /// Builds at once.
    pub slots: usize,
}

/// A Pool is ready to build for its builder. The answer ends with the Scheduler; what the Pool runs is nobody's then.
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
}

#[derive(Debug)]
pub enum End {
    Built {
        outcome: Outcome,
        message: String,
    },
    /// The builder could not be reached: it is left alone for a while.
    Unreachable(String),
    /// The connection or the Pool's own work broke off.
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
        Self(builders.iter().map(|builder| (builder.name.clone(), Station::absent(builder.clone()))).collect())
    }

    /// Returns what an earlier stay left running, and this stay's number.
    pub fn join(&mut self, builder: Builder, orders: Recipient<Order>) -> (Vec<DrvPath>, u64) {
        let station = self.0.entry(builder.name.clone()).or_insert_with(|| Station::absent(builder.clone()));
        let left = station.leave();
        station.builder = builder;
        station.orders = Some(orders);
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
        Self { builder, orders: None, stay: 0, running: HashMap::new(), failures: 0, resting: None }
    }

    pub fn has_free_slot(&self) -> bool {
        self.orders.is_some() && self.resting.is_none() && self.running.len() < self.builder.slots
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
            (Some(_), None) => (BuilderState::Ready, None),
        };
        BuilderRow {
            name: self.builder.name.clone(),
            systems: self.builder.offer.systems.iter().cloned().collect(),
            slots: self.builder.slots as u64,
            running: self.running.len() as u64,
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
