//! What could be built now, in the order in which it should be. One ready set per kind of demand, so that a builder looks only
//! at the head of those that it can build.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::Demand;
use super::graph::NodeId;
use super::priority::Deadline;

/// The place of a ready derivation. Smaller is built first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The most urgent of those who wait; see [`super::Priority::deadline`].
    pub deadline: Deadline,
    /// Milliseconds of the longest chain of builds that begins here: long chains start first.
    pub critical_path: Reverse<u64>,
    /// First come, first served.
    pub sequence: u64,
}

#[derive(Debug, Default)]
pub struct Queue {
    kinds: BTreeMap<Demand, BTreeSet<(Key, NodeId)>>,
    len: usize,
}

impl Queue {
    pub fn insert(&mut self, demand: &Demand, key: Key, id: NodeId) {
        let is_new = match self.kinds.get_mut(demand) {
            Some(kind) => kind.insert((key, id)),
            None => self.kinds.entry(demand.clone()).or_default().insert((key, id)),
        };
        self.len += usize::from(is_new);
    }

    pub fn remove(&mut self, demand: &Demand, key: Key, id: NodeId) {
        if let Some(kind) = self.kinds.get_mut(demand) {
            if kind.remove(&(key, id)) {
                self.len -= 1;
            }
            if kind.is_empty() {
                self.kinds.remove(demand);
            }
        }
    }

    /// The first of each kind.
    pub fn heads(&self) -> impl Iterator<Item = (&Demand, Key, NodeId)> {
        self.kinds.iter().filter_map(|(demand, kind)| kind.first().map(|(key, id)| (demand, *key, *id)))
    }

    /// The first `limit` of all kinds.
    pub fn front(&self, limit: usize) -> Vec<NodeId> {
        let mut front: Vec<&(Key, NodeId)> = self.kinds.values().flat_map(|kind| kind.iter().take(limit)).collect();
        front.sort();
        front.into_iter().take(limit).map(|(_, id)| *id).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn len(&self) -> usize {
        self.len
    }
}
