//! Adding a request to the graph: new nodes are linked, old ones joined, those whose end no longer holds opened again.

use std::collections::{HashMap, HashSet};

use super::{Ending, Graph, NodeId, State, Vertex, Waiting};
use crate::build::demand::Demand;
use crate::build::priority::Deadline;
use crate::build::request::{Answer, Node, Request, Waiter};
use crate::domain::{DrvPath, Outcome, Side};

/// A node of the request with its place in the graph.
struct Admitted {
    id: NodeId,
    /// Of the node's inputs, those in the graph.
    inputs: Vec<NodeId>,
    known: Option<Ending>,
    is_new: bool,
}

impl Graph {
    /// Adds what is wanted. Targets whose end is known already are answered at once, the others by [`Graph::finish`].
    pub fn add(&mut self, request: Request) -> Vec<Answer> {
        let Request { waiter, priority, nodes, targets, substituted, retry, asked_at } = request;
        let since = self.welcome(&waiter, priority.deadline());
        for id in targets.iter().filter_map(|drv| self.ids.get(drv)) {
            // what this waiter has asked before is answered together with this
            self.nodes[*id].asked.retain(|other| *other != waiter);
        }
        let admitted = self.admit(nodes, &waiter);
        let order = inputs_first(&admitted);
        let mut answers = Vec::new();
        let mut front: Vec<NodeId> = admitted.iter().map(|node| node.id).collect();
        for &at in &order {
            let node = &admitted[at];
            let reopened = !node.is_new && self.holds_no_longer(node, asked_at, retry.then_some(since));
            if reopened {
                front.extend(self.live_dependants(node.id));
                self.reopen(node.id);
            }
            self.link(node);
            self.judge(node, reopened, &mut answers);
        }
        self.lengthen_paths(&admitted, &order);
        self.join_all_that_is_waited_for(front);
        let lacking: HashSet<NodeId> = admitted.iter().map(|node| node.id).collect();
        for drv in targets {
            let id = self.ids.get(&drv).copied().filter(|id| lacking.contains(id));
            let there = if substituted.contains(&drv) { Outcome::Substituted } else { Outcome::Succeeded };
            answers.extend(self.ask(drv, id, there, &waiter));
        }
        answers
    }

    /// The moment at which the waiter's review first asked for anything.
    fn welcome(&mut self, waiter: &Waiter, deadline: Deadline) -> u64 {
        let sides = [Side::Head, Side::Base].map(|side| Waiter { side, ..waiter.clone() });
        let since =
            sides.iter().filter_map(|side| self.waiters.get(side)).map(|waiting| waiting.since).min().unwrap_or(self.moment);
        let fresh = || Waiting { deadline, since, nodes: Default::default(), settled: 0, failed: 0, running: 0 };
        self.waiters.entry(waiter.clone()).or_insert_with(fresh);
        since
    }

    fn admit(&mut self, nodes: Vec<Node>, waiter: &Waiter) -> Vec<Admitted> {
        let mut admitted = Vec::with_capacity(nodes.len());
        let mut inputs = Vec::with_capacity(nodes.len());
        for node in nodes {
            let (id, is_new) = self.find_or_insert(&node);
            self.join(id, waiter);
            admitted.push(Admitted { id, inputs: Vec::new(), known: node.known, is_new });
            inputs.push(node.inputs);
        }
        for (node, inputs) in admitted.iter_mut().zip(inputs) {
            node.inputs = inputs.iter().filter_map(|input| self.ids.get(input)).copied().filter(|id| *id != node.id).collect();
            node.inputs.sort();
            node.inputs.dedup();
        }
        admitted
    }

    fn find_or_insert(&mut self, node: &Node) -> (NodeId, bool) {
        if let Some(&id) = self.ids.get(&node.drv) {
            let vertex = &mut self.nodes[id];
            vertex.timeout = vertex.timeout.max(node.timeout);
            vertex.max_silent = vertex.max_silent.max(node.max_silent);
            return (id, false);
        }
        let expected = u64::try_from(node.expected.as_millis()).unwrap_or(u64::MAX >> 20);
        let id = self.nodes.insert(Vertex {
            drv: node.drv.clone(),
            demand: Demand { requirements: node.requirements.clone(), past: None },
            expected,
            timeout: node.timeout,
            max_silent: node.max_silent,
            state: State::Blocked,
            inputs: Vec::new(),
            dependants: Vec::new(),
            missing: 0,
            critical_path: expected,
            sequence: self.sequence,
            key: None,
            rounds: 0,
            broke: None,
            first_end: None,
            waiters: Vec::new(),
            asked: Vec::new(),
        });
        self.sequence += 1;
        self.blocked += 1;
        self.ids.insert(node.drv.clone(), id);
        (id, true)
    }

    /// `waiter` needs this node from now on. Whether it did not before.
    fn join(&mut self, id: NodeId, waiter: &Waiter) -> bool {
        let Some(waiting) = self.waiters.get_mut(waiter) else { return false };
        if !waiting.nodes.insert(id) {
            return false;
        }
        let vertex = &mut self.nodes[id];
        waiting.count(&vertex.state, |counter| *counter += 1);
        vertex.waiters.push(waiter.clone());
        self.place(id);
        true
    }

    /// Whether a settled node has to be built after all. Its inputs have been looked at before.
    fn holds_no_longer(&self, node: &Admitted, asked_at: u64, retry_before: Option<u64>) -> bool {
        let State::Settled(settlement) = &self.nodes[node.id].state else { return false };
        let retried = retry_before.is_some_and(|since| settlement.at <= since);
        match settlement.ending.outcome {
            // the store lacked when asked what had been built before: it was collected as garbage. What is being built from it
            // is left alone; its daemon builds what it lacks
            Outcome::Succeeded | Outcome::Substituted => {
                let dependants = self.nodes[node.id].dependants.iter().filter_map(|dependant| self.nodes.get(*dependant));
                settlement.at <= asked_at && !dependants.into_iter().any(|dependant| dependant.state.is_running())
            }
            // said nothing about the derivation
            Outcome::Unsupported | Outcome::Cancelled | Outcome::Infrastructure => true,
            Outcome::DependencyFailed => retried || !node.inputs.iter().any(|input| self.nodes[*input].state.fault().is_some()),
            Outcome::Failed
            | Outcome::TimedOut
            | Outcome::SilentTimedOut
            | Outcome::LogLimit
            | Outcome::OutputLimit
            | Outcome::OutOfMemory
            | Outcome::HashMismatch => retried,
        }
    }

    fn reopen(&mut self, id: NodeId) {
        if self.nodes[id].state.is_success() {
            for dependant in self.live_dependants(id) {
                self.nodes[dependant].missing += 1;
                if matches!(self.nodes[dependant].state, State::Ready | State::Held) {
                    self.change(dependant, State::Blocked);
                }
            }
        }
        let missing =
            self.nodes[id].inputs.iter().filter_map(|input| self.nodes.get(*input)).filter(|input| !input.state.is_success());
        let missing = missing.count();
        let vertex = &mut self.nodes[id];
        vertex.missing = missing;
        (vertex.rounds, vertex.first_end, vertex.demand.past) = (0, None, None);
        self.change(id, State::Blocked);
    }

    /// Makes the edges to inputs that are not there yet. What runs has all it needs, or its daemon builds it.
    fn link(&mut self, node: &Admitted) {
        if self.nodes[node.id].state.is_running() {
            return;
        }
        let known = &self.nodes[node.id].inputs;
        let new: Vec<NodeId> = node.inputs.iter().copied().filter(|input| known.binary_search(input).is_err()).collect();
        if new.is_empty() {
            return;
        }
        for &input in &new {
            self.add_dependant(input, node.id);
            if !self.nodes[input].state.is_success() {
                self.nodes[node.id].missing += 1;
            }
        }
        let inputs = &mut self.nodes[node.id].inputs;
        inputs.extend(new);
        inputs.sort();
    }

    fn add_dependant(&mut self, input: NodeId, id: NodeId) {
        let mut dependants = std::mem::take(&mut self.nodes[input].dependants);
        if dependants.len() >= 32 && dependants.len() == dependants.capacity() {
            // before it grows: those that have left the graph are forgotten, so that a hub does not grow with every review
            dependants.retain(|dependant| self.nodes.contains(*dependant));
        }
        dependants.push(id);
        self.nodes[input].dependants = dependants;
    }

    /// Decides what becomes of a node that is not settled and does not run.
    fn judge(&mut self, node: &Admitted, reopened: bool, answers: &mut Vec<Answer>) {
        let vertex = &self.nodes[node.id];
        if vertex.state.is_settled() || vertex.state.is_running() {
            return;
        }
        if let Some(known) = node.known.as_ref().filter(|_| node.is_new || reopened) {
            return self.settle(node.id, known.clone(), None, answers);
        }
        let fault = vertex.inputs.iter().filter_map(|input| self.nodes.get(*input)).find(|input| input.state.fault().is_some());
        if let Some((input, settlement)) = fault.and_then(|input| Some((input, input.state.fault()?))) {
            let root =
                |settlement: &super::Settlement| super::Cause { drv: input.drv.clone(), outcome: settlement.ending.outcome };
            let cause = settlement.cause.clone().unwrap_or_else(|| root(settlement).into());
            let outcome = super::consequence(settlement.ending.outcome);
            let ending = Ending { outcome, message: settlement.ending.message.clone() };
            return self.settle(node.id, ending, Some(cause), answers);
        }
        match (&vertex.state, vertex.missing) {
            (State::Blocked, 0) => self.change(node.id, State::Ready),
            (State::Ready, 1..) => self.change(node.id, State::Blocked),
            (State::Held, 1..) => self.change(node.id, State::Blocked),
            (State::Blocked | State::Ready | State::Held | State::Running | State::Cancelling | State::Settled(_), _) => {}
        }
    }

    /// Critical paths grow with new dependants, from the ends of the chains to their beginnings. They never shrink while a node is in
    /// the graph: an estimate may be stale, not wrong in a way that matters.
    fn lengthen_paths(&mut self, admitted: &[Admitted], order: &[usize]) {
        for &at in order.iter().rev() {
            let node = &admitted[at];
            let beyond = self.nodes[node.id].critical_path;
            for &input in &node.inputs {
                let vertex = &mut self.nodes[input];
                let path = vertex.expected.saturating_add(beyond);
                if path > vertex.critical_path && !vertex.state.is_settled() {
                    vertex.critical_path = path;
                    self.place(input);
                }
            }
        }
    }

    /// Whoever waits for a node needs all that it waits for. That does not follow from the requests: one may lack what the store got
    /// in the meantime and the graph has not heard of, and what has vanished is opened again under those who had it. Without this,
    /// another review's leaving would take it away from them.
    fn join_all_that_is_waited_for(&mut self, mut front: Vec<NodeId>) {
        while let Some(id) = front.pop() {
            let vertex = &self.nodes[id];
            if vertex.state.is_settled() {
                continue;
            }
            let (inputs, waiters) = (vertex.inputs.clone(), vertex.waiters.clone());
            for input in inputs {
                if self.nodes.get(input).is_some_and(|vertex| !vertex.state.is_success()) {
                    let joined = waiters.iter().filter(|waiter| self.join(input, waiter)).count();
                    if joined > 0 {
                        front.push(input);
                    }
                }
            }
        }
    }

    /// The answer for a target if it is known; otherwise it will come. A target that the store does not lack has no `id`.
    fn ask(&mut self, drv: DrvPath, id: Option<NodeId>, there: Outcome, waiter: &Waiter) -> Option<Answer> {
        let Some(id) = id else {
            return Some(Answer { waiter: waiter.clone(), drv, ending: Ending::new(there), cause: None });
        };
        let vertex = &mut self.nodes[id];
        match &vertex.state {
            State::Settled(settlement) => {
                let (ending, cause) = (settlement.ending.clone(), settlement.cause.clone());
                Some(Answer { waiter: waiter.clone(), drv, ending, cause })
            }
            State::Blocked | State::Ready | State::Held | State::Running | State::Cancelling => {
                if !vertex.asked.contains(waiter) {
                    vertex.asked.push(waiter.clone());
                }
                None
            }
        }
    }
}

/// The order in which inputs come before what depends on them. Derivations name their inputs by hash, so that there is no cycle.
fn inputs_first(admitted: &[Admitted]) -> Vec<usize> {
    let places: HashMap<NodeId, usize> = admitted.iter().enumerate().map(|(at, node)| (node.id, at)).collect();
    let mut dependants: Vec<Vec<usize>> = vec![Vec::new(); admitted.len()];
    let mut missing: Vec<usize> = vec![0; admitted.len()];
    for (at, node) in admitted.iter().enumerate() {
        for input in node.inputs.iter().filter_map(|input| places.get(input)) {
            dependants[*input].push(at);
            missing[at] += 1;
        }
    }
    let mut order: Vec<usize> = (0..admitted.len()).filter(|at| missing[*at] == 0).collect();
    let mut next = 0;
    while let Some(&at) = order.get(next) {
        next += 1;
        for &dependant in &dependants[at] {
            missing[dependant] -= 1;
            if missing[dependant] == 0 {
                order.push(dependant);
            }
        }
    }
    order
}
