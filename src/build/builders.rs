//! Who builds: which builders are configured and there, how many of their slots are taken, and which of them takes what is ready.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::demand::{Demand, Size, Speed};
use super::graph::NodeId;
use super::queue::Key;
use super::snapshot::{Away, Wait};
use super::{Builder, unsupported};

/// From this many milliseconds on, a chain of builds is long: the faster of two like builders takes it. Shorter ones leave it free.
const LONG_CHAIN: u64 = 60_000;

/// See the module.
#[derive(Debug, Default)]
pub struct Builders {
    stations: BTreeMap<Arc<str>, Station>,
    /// By name: who comes back is drained still.
    drained: BTreeSet<String>,
    /// Counts rests.
    rests: u64,
}

/// A builder and how it is.
#[derive(Debug)]
pub struct Station {
    pub builder: Builder,
    pub is_configured: bool,
    pub is_there: bool,
    /// Takes nothing new.
    pub is_draining: bool,
    /// Why it is left alone for a while.
    pub resting: Option<String>,
    /// How often in a row it could not build anything.
    pub failures: u32,
    /// Tells one rest from the next.
    rest: u64,
    pub builds: usize,
    pub downloads: usize,
}

/// A builder is to be left alone for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    /// How often in a row it could build nothing.
    pub failures: u32,
    /// For [`Builders::wake`].
    pub number: u64,
}

/// Fixed-output derivations wait for the network and don't take the slots of those that compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    Builds,
    Downloads,
}

impl Lane {
    pub fn of(demand: &Demand) -> Self {
        if demand.requirements.fixed_output { Self::Downloads } else { Self::Builds }
    }
}

/// Whom a node goes to first: the weakest that can do it, so that the strong stay free for what only they can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Strength {
    size: Size,
    /// Beyond what is needed, which is the same for all that fit.
    features: usize,
    pace: Pace,
}

/// Of builders that are alike but for their speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Pace {
    SlowFirst(Speed),
    FastFirst(Reverse<Speed>),
}

impl Station {
    fn absent(builder: Builder) -> Self {
        Self {
            builder,
            is_configured: false,
            is_there: false,
            is_draining: false,
            resting: None,
            failures: 0,
            rest: 0,
            builds: 0,
            downloads: 0,
        }
    }

    /// Would take something, had it a free slot.
    pub fn is_available(&self) -> bool {
        self.is_configured && self.is_there && !self.is_draining && self.resting.is_none()
    }

    /// Taken, and all there are.
    fn load(&self, lane: Lane) -> (usize, usize) {
        match lane {
            Lane::Builds => (self.builds, self.builder.slots),
            Lane::Downloads => (self.downloads, self.builder.downloads),
        }
    }

    fn is_free(&self, lane: Lane) -> bool {
        let (taken, all) = self.load(lane);
        taken < all
    }

    fn strength(&self, critical_path: u64) -> Strength {
        let speed = self.builder.pace();
        let pace = if critical_path < LONG_CHAIN { Pace::SlowFirst(speed) } else { Pace::FastFirst(Reverse(speed)) };
        Strength { size: self.builder.size(), features: self.builder.offer.features.len(), pace }
    }

    fn count(&mut self, lane: Lane) -> &mut usize {
        match lane {
            Lane::Builds => &mut self.builds,
            Lane::Downloads => &mut self.downloads,
        }
    }
}

impl Builders {
    pub fn get(&self, name: &str) -> Option<&Station> {
        self.stations.get(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Station)> {
        self.stations.iter()
    }

    /// These are the configured builders from now on. One that is there and not among them takes nothing more, and is forgotten when it leaves.
    pub fn configure(&mut self, builders: &[Builder]) {
        self.stations.values_mut().for_each(|station| station.is_configured = false);
        for builder in builders {
            let station = self.station(builder);
            station.builder = builder.clone();
            station.is_configured = true;
        }
        self.stations.retain(|_, station| station.is_configured || station.is_there);
    }

    /// It is there, with all its slots free; whether it can build now shows when it tries.
    pub fn join(&mut self, builder: &Builder) {
        let station = self.station(builder);
        station.builder = builder.clone();
        station.is_there = true;
        station.resting = None;
        (station.builds, station.downloads) = (0, 0);
    }

    pub fn leave(&mut self, name: &str) {
        let Some(station) = self.stations.get_mut(name) else { return };
        station.is_there = false;
        (station.builds, station.downloads) = (0, 0);
        if !station.is_configured {
            self.stations.remove(name);
        }
    }

    /// While it is on, the builder of this name takes nothing new, whenever it comes.
    pub fn drain(&mut self, name: &str, on: bool) {
        if on {
            self.drained.insert(name.to_owned());
        } else {
            self.drained.remove(name);
        }
        if let Some(station) = self.stations.get_mut(name) {
            station.is_draining = on;
        }
    }

    /// It can build nothing now. `None`: it is left alone already.
    pub fn rest(&mut self, name: &str, reason: &str) -> Option<Rest> {
        let station = self.stations.get_mut(name).filter(|station| station.resting.is_none())?;
        self.rests += 1;
        station.rest = self.rests;
        station.resting = Some(reason.to_owned());
        station.failures += 1;
        Some(Rest { failures: station.failures, number: station.rest })
    }

    pub fn wake(&mut self, name: &str, rest: u64) {
        if let Some(station) = self.stations.get_mut(name).filter(|station| station.rest == rest) {
            station.resting = None;
        }
    }

    pub fn is_well(&mut self, name: &str) {
        if let Some(station) = self.stations.get_mut(name) {
            station.failures = 0;
        }
    }

    pub fn take(&mut self, name: &str, lane: Lane) {
        if let Some(station) = self.stations.get_mut(name) {
            *station.count(lane) += 1;
        }
    }

    pub fn free(&mut self, name: &str, lane: Lane) {
        if let Some(station) = self.stations.get_mut(name) {
            let count = station.count(lane);
            *count = count.saturating_sub(1);
        }
    }

    fn station(&mut self, builder: &Builder) -> &mut Station {
        let absent = || Station { is_draining: self.drained.contains(&builder.name), ..Station::absent(builder.clone()) };
        self.stations.entry(builder.name.as_str().into()).or_insert_with(absent)
    }

    /// Why no configured builder can ever do this, in words for a person; `None` if one can.
    pub fn unsupported(&self, demand: &Demand) -> Option<String> {
        let configured = || self.stations.values().filter(|station| station.is_configured).map(|station| &station.builder);
        if configured().any(|builder| builder.suits(demand)) {
            return None;
        }
        let offers: Vec<_> = configured().map(|builder| builder.offer.clone()).collect();
        Some(unsupported(&offers, &demand.requirements).unwrap_or_else(|| {
            let what = if demand.requirements.fixed_output { "fixed-output derivations" } else { "builds" };
            format!("no builder for {} has a slot for {what}", demand.requirements.system)
        }))
    }

    /// Whether somebody may yet do this: not all who could have been out of reach so often in a row.
    pub fn has_hope_for(&self, demand: &Demand, failures: u32) -> bool {
        let given_up = |station: &Station| station.resting.is_some() && station.failures >= failures;
        self.stations.values().any(|station| station.is_configured && station.builder.suits(demand) && !given_up(station))
    }

    /// Whether somebody who is there would take it, and it has not broken off there.
    pub fn has_another_for(&self, demand: &Demand) -> bool {
        self.stations
            .iter()
            .any(|(name, station)| station.is_available() && station.builder.suits(demand) && !demand.broke_on(name))
    }

    /// What keeps something from being built that waits for nothing else.
    pub fn wait(&self, demand: &Demand) -> Wait {
        let suiting = || self.stations.values().filter(|station| station.is_configured && station.builder.suits(demand));
        let names: Vec<String> =
            suiting().filter(|station| station.is_available()).map(|station| station.builder.name.clone()).collect();
        if names.is_empty() {
            let features = demand.requirements.features.iter().cloned().collect();
            return Wait::Builder { features, away: suiting().map(Away::of).collect() };
        }
        Wait::Slot { lane: Lane::of(demand), names }
    }

    /// Of the first of each ready set, the one to start and where.
    ///
    /// A node has its place with the weakest available builder that fits. What has a free slot there goes first; a stronger builder
    /// takes other work when nothing that has its place with it waits. So no fitting slot stays empty.
    pub fn choose<'a>(&self, heads: impl Iterator<Item = (&'a Demand, Key, NodeId)>) -> Option<(NodeId, Arc<str>, Lane)> {
        if !self
            .stations
            .values()
            .any(|station| station.is_available() && [Lane::Builds, Lane::Downloads].iter().any(|lane| station.is_free(*lane)))
        {
            return None;
        }
        let placed = heads.filter_map(|(demand, key, node)| {
            let (is_displaced, name) = self.place(demand, key)?;
            Some(((is_displaced, key, node), name, Lane::of(demand)))
        });
        let ((_, _, node), name, lane) = placed.min_by_key(|(order, _, _)| *order)?;
        Some((node, name.clone(), lane))
    }

    /// The free builder that takes it, and whether a weaker one would have, were it not busy.
    fn place(&self, demand: &Demand, key: Key) -> Option<(bool, &Arc<str>)> {
        let lane = Lane::of(demand);
        let avoids = self.has_another_for(demand);
        let fitting = self.stations.iter().filter(|(name, station)| {
            station.is_available() && station.builder.suits(demand) && !(avoids && demand.broke_on(name))
        });
        let mut weakest: Option<Strength> = None;
        let mut best: Option<(Strength, f64, &Arc<str>)> = None;
        for (name, station) in fitting {
            let strength = station.strength(key.critical_path.0);
            weakest = Some(weakest.map_or(strength, |weakest| weakest.min(strength)));
            if station.is_free(lane) {
                let (taken, all) = station.load(lane);
                // of equals, the one with less to do
                let load = taken as f64 / all as f64;
                if best.is_none_or(|(least, busy, _)| strength < least || (strength == least && load < busy)) {
                    best = Some((strength, load, name));
                }
            }
        }
        best.map(|(strength, _, name)| (weakest.is_some_and(|weakest| weakest < strength), name))
    }
}
