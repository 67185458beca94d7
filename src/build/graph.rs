//! The one build graph of all reviews. Each derivation is a node, however many reviews wait for it; it is built at most once at a
//! time, and leaves the graph with the last review that needs it.
//!
//! Invariants, which the random walks check: a node starts only when all it depends on is there; what waits for a failure is
//! settled with it; every target is answered exactly once; whoever needs a node needs all that it waits for; nothing is left when
//! nobody waits.

mod admit;
mod again;
mod slots;
mod view;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod walk;

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

pub use slots::NodeId;
use slots::Slots;
pub use view::Progress;

use super::demand::Demand;
use super::priority::Deadline;
use super::queue::{Key, Queue};
use super::request::{Answer, Cause, Ending, Waiter};
use crate::domain::{DrvPath, Outcome, ReviewId, Side};

/// See the module.
#[derive(Debug, Default)]
pub struct Graph {
    nodes: Slots,
    ids: HashMap<DrvPath, NodeId>,
    waiters: BTreeMap<Waiter, Waiting>,
    queue: Queue,
    /// Counts settlements.
    moment: u64,
    /// Counts nodes.
    sequence: u64,
    blocked: u64,
    held: u64,
    running: u64,
}

/// What the graph keeps of a waiter.
#[derive(Debug)]
struct Waiting {
    deadline: Deadline,
    /// The moment of its review's first request.
    since: u64,
    nodes: HashSet<NodeId>,
    settled: u64,
    failed: u64,
    running: u64,
}

/// A derivation in the graph.
#[derive(Debug)]
struct Vertex {
    drv: DrvPath,
    demand: Demand,
    expected: u64,
    timeout: Option<Duration>,
    max_silent: Option<Duration>,
    state: State,
    /// Sorted. Ids of nodes that have left the graph may remain.
    inputs: Vec<NodeId>,
    /// Ids of nodes that have left the graph may remain.
    dependants: Vec<NodeId>,
    /// How many of `inputs` have not succeeded.
    missing: usize,
    critical_path: u64,
    sequence: u64,
    /// Where it stands in the queue while it is ready.
    key: Option<Key>,
    /// How often it has come to no end everywhere.
    rounds: u32,
    /// Why it came to no end the last time.
    broke: Option<Arc<str>>,
    /// How its first attempt ended, if it is to have another on a larger builder.
    first_end: Option<Box<Ending>>,
    /// Who needs it.
    waiters: Vec<Waiter>,
    /// Whose target it is, and who has had no answer yet.
    asked: Vec<Waiter>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Waits for its inputs.
    Blocked,
    Ready,
    /// Waits for another try.
    Held,
    Running,
    /// Running, and the last who needed it left. It may have come back since; then it runs again.
    Cancelling,
    Settled(Arc<Settlement>),
}

#[derive(Debug, PartialEq, Eq)]
struct Settlement {
    ending: Ending,
    cause: Option<Arc<Cause>>,
    /// The graph's moment.
    at: u64,
}

impl State {
    fn is_settled(&self) -> bool {
        matches!(self, State::Settled(_))
    }

    fn is_running(&self) -> bool {
        matches!(self, State::Running | State::Cancelling)
    }

    fn is_success(&self) -> bool {
        matches!(self, State::Settled(settlement) if settlement.ending.outcome.is_success())
    }

    /// Settled, and its outputs will not come.
    fn fault(&self) -> Option<&Arc<Settlement>> {
        match self {
            State::Settled(settlement) if !settlement.ending.outcome.is_success() => Some(settlement),
            State::Settled(_) | State::Blocked | State::Ready | State::Held | State::Running | State::Cancelling => None,
        }
    }
}

/// What a builder is told of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    pub drv: DrvPath,
    pub timeout: Option<Duration>,
    pub max_silent: Option<Duration>,
}

impl Graph {
    /// A point in the graph's own time, for [`super::Request::asked_at`].
    pub fn moment(&self) -> u64 {
        self.moment
    }

    /// The first of each ready set, for [`Graph::start`].
    pub fn heads(&self) -> impl Iterator<Item = (&Demand, Key, NodeId)> {
        self.queue.heads()
    }

    /// Starts what is ready.
    pub fn start(&mut self, id: NodeId) -> Job {
        debug_assert_eq!(self.nodes[id].state, State::Ready);
        self.change(id, State::Running);
        let vertex = &self.nodes[id];
        Job { drv: vertex.drv.clone(), timeout: vertex.timeout, max_silent: vertex.max_silent }
    }

    /// What a derivation asks of a builder.
    pub fn demand(&self, drv: &DrvPath) -> Option<&Demand> {
        self.ids.get(drv).map(|id| &self.nodes[*id].demand)
    }

    /// A running derivation ended. What it was wanted for is answered, what waited for it becomes ready or fails with it.
    /// Anything that does not run is not touched.
    pub fn finish(&mut self, drv: &DrvPath, ending: Ending) -> Vec<Answer> {
        let mut answers = Vec::new();
        let Some(id) = self.running_id(drv) else { return answers };
        if self.nodes[id].waiters.is_empty() {
            self.remove(id);
        } else if ending.outcome == Outcome::Cancelled && self.nodes[id].state == State::Cancelling {
            // cancelled for one review, wanted again by the next before its end was heard of
            self.change(id, State::Ready);
        } else {
            self.settle(id, ending, None, &mut answers);
        }
        answers
    }

    /// The review waits for nothing any more. Returns what runs for nobody now and is to be cancelled: its end must still be told to
    /// [`Graph::finish`].
    pub fn forget(&mut self, review: &ReviewId) -> Vec<DrvPath> {
        let mut cancel = Vec::new();
        for side in [Side::Head, Side::Base] {
            let waiter = Waiter { review: review.clone(), side };
            let Some(waiting) = self.waiters.remove(&waiter) else { continue };
            for id in waiting.nodes {
                let vertex = &mut self.nodes[id];
                vertex.waiters.retain(|other| *other != waiter);
                vertex.asked.retain(|other| *other != waiter);
                if !vertex.waiters.is_empty() {
                    self.place(id);
                } else if vertex.state == State::Running {
                    cancel.push(vertex.drv.clone());
                    self.change(id, State::Cancelling);
                } else if vertex.state != State::Cancelling {
                    self.remove(id);
                }
            }
        }
        cancel
    }

    /// The review goes before all that are not raised. Whether it waits for anything.
    pub fn raise(&mut self, review: &ReviewId) -> bool {
        let mut waits = false;
        for side in [Side::Head, Side::Base] {
            let Some(waiting) = self.waiters.get_mut(&Waiter { review: review.clone(), side }) else { continue };
            waiting.deadline = waiting.deadline.raised();
            let nodes: Vec<NodeId> = waiting.nodes.iter().copied().collect();
            waits |= waiting.settled < nodes.len() as u64;
            nodes.into_iter().for_each(|id| self.place(id));
        }
        waits
    }

    fn running_id(&self, drv: &DrvPath) -> Option<NodeId> {
        self.ids.get(drv).copied().filter(|id| self.nodes[*id].state.is_running())
    }

    /// Settles a node and, if it failed, everything that waits for it.
    fn settle(&mut self, id: NodeId, ending: Ending, cause: Option<Arc<Cause>>, answers: &mut Vec<Answer>) {
        self.moment += 1;
        if ending.outcome.is_success() {
            self.settle_one(id, ending, None, answers);
            for dependant in self.live_dependants(id) {
                let vertex = &mut self.nodes[dependant];
                vertex.missing = vertex.missing.saturating_sub(1);
                if vertex.missing == 0 && vertex.state == State::Blocked {
                    self.change(dependant, State::Ready);
                }
            }
            return;
        }
        let root = cause.clone().unwrap_or_else(|| Arc::new(Cause { drv: self.nodes[id].drv.clone(), outcome: ending.outcome }));
        let follows = Ending { outcome: consequence(ending.outcome), message: ending.message.clone() };
        self.settle_one(id, ending, cause, answers);
        let mut front = vec![id];
        while let Some(failed) = front.pop() {
            for dependant in self.live_dependants(failed) {
                let state = &self.nodes[dependant].state;
                if !state.is_settled() && !state.is_running() {
                    self.settle_one(dependant, follows.clone(), Some(root.clone()), answers);
                    front.push(dependant);
                }
            }
        }
    }

    fn settle_one(&mut self, id: NodeId, ending: Ending, cause: Option<Arc<Cause>>, answers: &mut Vec<Answer>) {
        for waiter in std::mem::take(&mut self.nodes[id].asked) {
            let drv = self.nodes[id].drv.clone();
            answers.push(Answer { waiter, drv, ending: ending.clone(), cause: cause.clone() });
        }
        self.change(id, State::Settled(Arc::new(Settlement { ending, cause, at: self.moment })));
    }

    fn live_dependants(&self, id: NodeId) -> Vec<NodeId> {
        self.nodes[id].dependants.iter().copied().filter(|dependant| self.nodes.contains(*dependant)).collect()
    }

    /// The only way to change a state: keeps the queue and the counters true.
    fn change(&mut self, id: NodeId, state: State) {
        self.count(id, false);
        self.nodes[id].state = state;
        self.count(id, true);
        self.place(id);
    }

    /// Adds a node to the counters, or takes it out.
    fn count(&mut self, id: NodeId, add: bool) {
        let step = |counter: &mut u64| *counter = if add { *counter + 1 } else { *counter - 1 };
        let vertex = &self.nodes[id];
        match &vertex.state {
            State::Blocked => step(&mut self.blocked),
            State::Held => step(&mut self.held),
            State::Running | State::Cancelling => step(&mut self.running),
            State::Ready | State::Settled(_) => {}
        }
        for waiter in &vertex.waiters {
            if let Some(waiting) = self.waiters.get_mut(waiter) {
                waiting.count(&vertex.state, step);
            }
        }
    }

    /// Puts a node where it belongs in the queue, or takes it out.
    fn place(&mut self, id: NodeId) {
        let vertex = &self.nodes[id];
        let key = (vertex.state == State::Ready).then(|| Key {
            deadline: vertex
                .waiters
                .iter()
                .filter_map(|w| self.waiters.get(w))
                .map(|w| w.deadline)
                .min()
                .unwrap_or(Deadline::Never),
            critical_path: Reverse(vertex.critical_path),
            sequence: vertex.sequence,
        });
        if key == vertex.key {
            return;
        }
        if let Some(old) = vertex.key {
            self.queue.remove(&vertex.demand, old, id);
        }
        if let Some(new) = key {
            self.queue.insert(&vertex.demand, new, id);
        }
        self.nodes[id].key = key;
    }

    /// Takes a node that nobody needs out of the graph. Its neighbours keep its id, which is never given again.
    fn remove(&mut self, id: NodeId) {
        self.count(id, false);
        if let Some(vertex) = self.nodes.remove(id) {
            if let Some(key) = vertex.key {
                self.queue.remove(&vertex.demand, key, id);
            }
            self.ids.remove(&vertex.drv);
        }
    }
}

impl Waiting {
    fn count(&mut self, state: &State, step: impl Fn(&mut u64)) {
        match state {
            State::Settled(settlement) => {
                step(&mut self.settled);
                if settlement.ending.outcome.is_failure() {
                    step(&mut self.failed);
                }
            }
            State::Running | State::Cancelling => step(&mut self.running),
            State::Blocked | State::Ready | State::Held => {}
        }
    }
}

/// How a derivation ends that waits for one that ended so. What is nobody's fault stays nobody's fault.
fn consequence(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Unsupported | Outcome::Cancelled | Outcome::Infrastructure => outcome,
        Outcome::Succeeded
        | Outcome::Substituted
        | Outcome::Failed
        | Outcome::DependencyFailed
        | Outcome::TimedOut
        | Outcome::SilentTimedOut
        | Outcome::LogLimit
        | Outcome::OutputLimit
        | Outcome::OutOfMemory
        | Outcome::HashMismatch => Outcome::DependencyFailed,
    }
}
