//! What the pages and the interface show of the queue and the builders.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Builder, Lane, Station};
use crate::domain::{DrvPath, ReviewId, System};

/// The queue at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Snapshot {
    /// Ready ones first, in the order in which they will start; then those that wait for others. At most as many as were asked for.
    pub waiting: Vec<QueueItem>,
    pub running: Vec<RunningItem>,
    /// In the order in which their builds start, where they have a choice.
    pub reviews: Vec<ReviewItem>,
    /// Always of everything.
    pub counts: QueueCounts,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct QueueCounts {
    /// Could start now, had a builder a free slot.
    pub ready: u64,
    /// Wait for dependencies.
    pub blocked: u64,
    /// Wait for another try after an infrastructure failure.
    pub backing_off: u64,
    pub running: u64,
    /// Settled and still of interest to a review.
    pub settled: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QueueItem {
    pub drv: DrvPath,
    pub system: System,
    pub reviews: Vec<ReviewId>,
    /// How many of its direct dependencies are not there yet.
    pub waits_for: u64,
    pub wait: Wait,
    pub expected_seconds: f64,
}

/// What keeps a derivation from being built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "for")]
pub enum Wait {
    /// All slots are taken of those builders that take it now.
    Slot { lane: Lane, names: Vec<String> },
    /// None that can build it takes anything now. `features`: what it requires besides its system.
    Builder { features: Vec<String>, away: Vec<Away> },
    /// One of those that it needs, the first of all in the way: that one waits for no other.
    Dependency { drv: DrvPath, state: DependencyState },
    /// The time for another try. `tries`: how often it came to nothing with every builder.
    Try { tries: u64, reason: Option<String> },
}

/// A builder that takes nothing now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Away {
    pub name: String,
    pub state: BuilderState,
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DependencyState {
    Running,
    Ready,
    /// Waits for another try.
    BackingOff,
    /// Waits for others, at the end of a very long chain.
    Blocked,
}

/// A review some of whose builds have not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReviewItem {
    pub id: ReviewId,
    /// Goes first, because somebody said so.
    pub raised: bool,
    pub total: u64,
    pub settled: u64,
    pub running: u64,
    pub failed: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunningItem {
    pub drv: DrvPath,
    pub builder: String,
    pub since: Timestamp,
    pub reviews: Vec<ReviewId>,
    /// The attempt's time stamp, as in the address of its log.
    pub attempt: String,
    pub expected_seconds: f64,
}

/// One builder, as the page of builders shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BuilderRow {
    pub name: String,
    pub systems: Vec<System>,
    pub slots: u64,
    /// Of the slots.
    pub running: u64,
    /// Fixed-output derivations at once, beside the slots.
    pub downloads: u64,
    pub downloading: u64,
    pub speed: f64,
    /// What one build may use; `None`: as much as there is.
    pub memory_bytes: Option<u64>,
    pub features: Vec<String>,
    pub mandatory: Vec<String>,
    pub state: BuilderState,
    /// Why it is not simply ready.
    pub reason: Option<String>,
    /// How often in a row it could build nothing.
    pub failures: u64,
    /// Until when it is left alone.
    pub until: Option<Timestamp>,
}

impl From<&Station> for BuilderRow {
    fn from(station: &Station) -> Self {
        let Builder { name, offer, slots, downloads, speed, memory } = &station.builder;
        let (state, reason) = state(station);
        Self {
            name: name.clone(),
            systems: offer.systems.iter().cloned().collect(),
            slots: *slots as u64,
            running: station.builds as u64,
            downloads: *downloads as u64,
            downloading: station.downloads as u64,
            speed: *speed,
            memory_bytes: *memory,
            features: offer.features.iter().cloned().collect(),
            mandatory: offer.mandatory.iter().cloned().collect(),
            state,
            reason,
            failures: station.failures.into(),
            // known to whoever has a clock
            until: None,
        }
    }
}

impl Away {
    pub(super) fn of(station: &Station) -> Self {
        let (state, reason) = state(station);
        Self { name: station.builder.name.clone(), state, reason }
    }
}

/// How a builder is, and why it is not simply ready.
fn state(station: &Station) -> (BuilderState, Option<String>) {
    match (station.is_there, &station.resting) {
        _ if station.is_draining => (BuilderState::Draining, None),
        (false, _) => (BuilderState::Absent, None),
        (true, _) if !station.is_configured => (BuilderState::Draining, Some("it is no longer configured".to_owned())),
        (true, Some(reason)) => (BuilderState::BackingOff, Some(reason.clone())),
        (true, None) => (BuilderState::Ready, None),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BuilderState {
    Ready,
    /// Takes nothing until its back-off ends.
    BackingOff,
    /// Takes nothing new, because somebody said so.
    Draining,
    /// Configured, and not there (yet).
    Absent,
}
