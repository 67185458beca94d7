//! What is asked of the graph, and what it answers.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::{Priority, Requirements};
use crate::domain::{DrvPath, Outcome, ReviewId, Side};

/// Who waits for builds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Waiter {
    pub review: ReviewId,
    pub side: Side,
}

/// A derivation that is not in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub drv: DrvPath,
    /// Derivations whose outputs it needs. Those that are neither in the request nor in the graph are in the store already.
    pub inputs: Vec<DrvPath>,
    pub requirements: Arc<Requirements>,
    pub expected: Duration,
    pub timeout: Option<Duration>,
    pub max_silent: Option<Duration>,
    /// What is known without building: a remembered failure, or that no builder supports it.
    pub known: Option<Ending>,
}

/// How a derivation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    pub outcome: Outcome,
    pub message: Option<Arc<str>>,
}

impl Ending {
    pub fn new(outcome: Outcome) -> Self {
        Self { outcome, message: None }
    }
}

/// One waiter wants targets built.
#[derive(Debug, Clone)]
pub struct Request {
    pub waiter: Waiter,
    /// Of the first request of this waiter; later ones change nothing.
    pub priority: Priority,
    /// All that the targets need and the store does not have, in any order.
    pub nodes: Vec<Node>,
    /// Those not among `nodes` are in the store already …
    pub targets: Vec<DrvPath>,
    /// … or can be had from a binary cache.
    pub substituted: HashSet<DrvPath>,
    /// Build again what had failed before this review first asked for anything.
    pub retry: bool,
    /// [`super::Graph::moment`] when the store was asked what it lacks: what succeeded before and is lacking has vanished since.
    pub asked_at: u64,
}

/// The end of one target of one waiter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub waiter: Waiter,
    pub drv: DrvPath,
    pub ending: Ending,
    /// The derivation at fault and how that one ended, where it is another one.
    pub cause: Option<Arc<Cause>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    pub drv: DrvPath,
    pub outcome: Outcome,
}
