//! What the graph shows of itself.

use super::{Graph, NodeId, State, Vertex};
use crate::build::request::Waiter;
use crate::build::snapshot::{QueueCounts, QueueItem};
use crate::domain::{DrvPath, ReviewId, Side};

/// How far the builds of a review are, both sides together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    pub total: u64,
    pub settled: u64,
    pub running: u64,
    pub failed: u64,
}

impl Graph {
    pub fn counts(&self) -> QueueCounts {
        let ready = self.queue.len() as u64;
        let unsettled = ready + self.blocked + self.held + self.running;
        let settled = self.ids.len() as u64 - unsettled;
        QueueCounts { ready, blocked: self.blocked, backing_off: self.held, running: self.running, settled }
    }

    pub fn progress(&self, review: &ReviewId) -> Progress {
        let mut progress = Progress::default();
        for side in [Side::Head, Side::Base] {
            if let Some(waiting) = self.waiters.get(&Waiter { review: review.clone(), side }) {
                progress.total += waiting.nodes.len() as u64;
                progress.settled += waiting.settled;
                progress.running += waiting.running;
                progress.failed += waiting.failed;
            }
        }
        progress
    }

    /// The reviews that need a derivation.
    pub fn reviews(&self, drv: &DrvPath) -> Vec<ReviewId> {
        self.ids.get(drv).map(|id| reviews(&self.nodes[*id])).unwrap_or_default()
    }

    /// Seconds that it is expected to take.
    pub fn expected_seconds(&self, drv: &DrvPath) -> f64 {
        self.ids.get(drv).map_or(0.0, |id| self.nodes[*id].expected as f64 / 1000.0)
    }

    /// What waits: the ready ones in their order, then the others.
    pub fn waiting(&self, limit: usize) -> Vec<QueueItem> {
        let mut items: Vec<QueueItem> = self.queue.front(limit).into_iter().map(|id| self.item(id)).collect();
        let others = self.nodes.iter().filter(|(_, vertex)| matches!(vertex.state, State::Blocked | State::Held));
        items.extend(others.take(limit - items.len()).map(|(id, _)| self.item(id)));
        items
    }

    fn item(&self, id: NodeId) -> QueueItem {
        let vertex = &self.nodes[id];
        QueueItem {
            drv: vertex.drv.clone(),
            system: vertex.demand.requirements.system.clone(),
            reviews: reviews(vertex),
            waits_for: vertex.missing as u64,
            expected_seconds: vertex.expected as f64 / 1000.0,
        }
    }
}

fn reviews(vertex: &Vertex) -> Vec<ReviewId> {
    let mut reviews: Vec<ReviewId> = vertex.waiters.iter().map(|waiter| waiter.review.clone()).collect();
    reviews.sort();
    reviews.dedup();
    reviews
}
