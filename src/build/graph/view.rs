//! What the graph shows of itself.

use std::collections::BTreeMap;

use super::{Graph, NodeId, State, Vertex};
use crate::build::demand::Demand;
use crate::build::request::Waiter;
use crate::build::snapshot::{DependencyState, QueueCounts, QueueItem, ReviewItem, Wait};
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

    /// What waits: the ready ones in their order, then the others. `builders` tells what keeps a ready one.
    pub fn waiting(&self, limit: usize, builders: impl Fn(&Demand) -> Wait) -> Vec<QueueItem> {
        let mut items: Vec<QueueItem> = self.queue.front(limit).into_iter().map(|id| self.item(id, &builders)).collect();
        let others = self.nodes.iter().filter(|(_, vertex)| matches!(vertex.state, State::Blocked | State::Held));
        items.extend(others.take(limit - items.len()).map(|(id, _)| self.item(id, &builders)));
        items
    }

    fn item(&self, id: NodeId, builders: impl Fn(&Demand) -> Wait) -> QueueItem {
        let vertex = &self.nodes[id];
        QueueItem {
            drv: vertex.drv.clone(),
            system: vertex.demand.requirements.system.clone(),
            reviews: reviews(vertex),
            waits_for: vertex.missing as u64,
            wait: self.wait(vertex, builders),
            expected_seconds: vertex.expected as f64 / 1000.0,
        }
    }

    fn wait(&self, vertex: &Vertex, builders: impl Fn(&Demand) -> Wait) -> Wait {
        let mut at = vertex;
        for _ in 0..LONGEST_WAY {
            match self.first_in_the_way(at) {
                Some(next) => at = next,
                None => break,
            }
        }
        match &at.state {
            State::Held if at.drv == vertex.drv => {
                Wait::Try { tries: vertex.rounds.into(), reason: vertex.broke.as_deref().map(str::to_owned) }
            }
            _ if at.drv == vertex.drv => builders(&vertex.demand),
            state => Wait::Dependency { drv: at.drv.clone(), state: dependency(state) },
        }
    }

    /// An input that is not there yet; one that is being built, if there is one.
    fn first_in_the_way(&self, vertex: &Vertex) -> Option<&Vertex> {
        let inputs = vertex.inputs.iter().filter(|_| vertex.missing > 0).filter_map(|id| self.nodes.get(*id));
        inputs.filter(|input| !input.state.is_settled()).min_by_key(|input| !input.state.is_running())
    }

    /// Those with something left to build, in the order in which they come.
    pub fn open_reviews(&self) -> Vec<ReviewItem> {
        let mut deadlines = BTreeMap::new();
        for (waiter, waiting) in &self.waiters {
            let deadline = deadlines.entry(&waiter.review).or_insert(waiting.deadline);
            *deadline = (*deadline).min(waiting.deadline);
        }
        let mut reviews: Vec<_> = deadlines.into_iter().map(|(id, deadline)| (deadline, id)).collect();
        reviews.sort();
        let item = |(_, id): (_, &ReviewId)| {
            let Progress { total, settled, running, failed } = self.progress(id);
            ReviewItem { id: id.clone(), raised: false, total, settled, running, failed }
        };
        reviews.into_iter().map(item).filter(|item| item.settled < item.total).collect()
    }
}

/// How far the way to what a derivation waits for is followed.
const LONGEST_WAY: usize = 100;

fn dependency(state: &State) -> DependencyState {
    match state {
        State::Running | State::Cancelling => DependencyState::Running,
        State::Ready => DependencyState::Ready,
        State::Held => DependencyState::BackingOff,
        State::Blocked | State::Settled(_) => DependencyState::Blocked,
    }
}

fn reviews(vertex: &Vertex) -> Vec<ReviewId> {
    let mut reviews: Vec<ReviewId> = vertex.waiters.iter().map(|waiter| waiter.review.clone()).collect();
    reviews.sort();
    reviews.dedup();
    reviews
}
