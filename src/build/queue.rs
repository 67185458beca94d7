//! What could be built now, in the order in which it should be. One ready set per kind of requirement, so that a builder looks only
//! at the head of those that it can build.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Requirements;
use super::graph::NodeId;

/// The place of a ready derivation. Smaller is built first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The most urgent of those who wait; see [`super::Priority::deadline`].
    pub deadline: u64,
    /// Milliseconds of the longest chain of builds that begins here: long chains start first.
    pub critical_path: Reverse<u64>,
    /// First come, first served.
    pub sequence: u64,
}

#[derive(Debug, Default)]
pub struct Queue {
    kinds: BTreeMap<Arc<Requirements>, BTreeSet<(Key, NodeId)>>,
    len: usize,
}

impl Queue {
    pub fn insert(&mut self, requirements: &Arc<Requirements>, key: Key, id: NodeId) {
        if self.kinds.entry(requirements.clone()).or_default().insert((key, id)) {
            self.len += 1;
        }
    }

    pub fn remove(&mut self, requirements: &Arc<Requirements>, key: Key, id: NodeId) {
        if let Some(kind) = self.kinds.get_mut(requirements) {
            if kind.remove(&(key, id)) {
                self.len -= 1;
            }
            if kind.is_empty() {
                self.kinds.remove(requirements);
            }
        }
    }

    /// The first that fits; it stays in the queue.
    pub fn first(&self, fits: impl Fn(&Requirements) -> bool) -> Option<NodeId> {
        let heads = self.kinds.iter().filter(|(requirements, _)| fits(requirements)).filter_map(|(_, kind)| kind.first());
        heads.min().map(|(_, id)| *id)
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
