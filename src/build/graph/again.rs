//! Builds that ended and are tried again: elsewhere, later, or on a larger builder.

use std::sync::Arc;

use super::{Answer, Ending, Graph, NodeId, State};
use crate::build::demand::{Demand, Past, Shortage};
use crate::domain::DrvPath;

impl Graph {
    /// A running derivation came to no end, through no fault of its own: it may start again at once. With the name of the builder it is
    /// to avoid. Returns what it asks of a builder now; `None` if nobody waits for it any more.
    pub fn again(&mut self, drv: &DrvPath, broke_on: Option<&str>) -> Option<&Demand> {
        let id = self.unfinished(drv)?;
        if let Some(builder) = broke_on {
            let vertex = &mut self.nodes[id];
            let mut past = vertex.demand.past.as_deref().cloned().unwrap_or_default();
            past.broke_on.insert(builder.to_owned());
            vertex.demand.past = Some(Arc::new(past));
        }
        self.change(id, State::Ready);
        Some(&self.nodes[id].demand)
    }

    /// Keeps the reason for whoever looks at the queue.
    pub fn broke(&mut self, drv: &DrvPath, reason: &str) {
        if let Some(id) = self.ids.get(drv) {
            self.nodes[*id].broke = Some(reason.into());
        }
    }

    /// A running derivation ran out of something that a larger builder has more of: it may start again there at once, and that attempt
    /// counts.
    pub fn enlarge(&mut self, drv: &DrvPath, shortage: Shortage, first_end: Ending) {
        let Some(id) = self.unfinished(drv) else { return };
        let vertex = &mut self.nodes[id];
        vertex.demand.past = Some(Arc::new(Past { short_of: Some(shortage), ..Past::default() }));
        vertex.first_end = Some(Box::new(first_end));
        self.change(id, State::Ready);
    }

    /// What is ready waits for [`Graph::release`] instead, and may then start anywhere. Returns how often that has happened to it.
    pub fn hold(&mut self, drv: &DrvPath) -> Option<u32> {
        let id = self.ids.get(drv).copied().filter(|id| self.nodes[*id].state == State::Ready)?;
        self.change(id, State::Held);
        let vertex = &mut self.nodes[id];
        let short_of = vertex.demand.short_of();
        vertex.demand.past = short_of.map(|_| Arc::new(Past { short_of, ..Past::default() }));
        vertex.rounds += 1;
        Some(vertex.rounds)
    }

    /// Ends the wait that [`Graph::hold`] began and numbered. Whether there was one.
    pub fn release(&mut self, drv: &DrvPath, round: u32) -> bool {
        let is_held = |id: &NodeId| self.nodes[*id].state == State::Held && self.nodes[*id].rounds == round;
        let held = self.ids.get(drv).copied().filter(is_held);
        if let Some(id) = held {
            self.change(id, State::Ready);
        }
        held.is_some()
    }

    /// Whatever waits and is said to have no prospect ends so, and with it all that waits for it. What has ended before, on a smaller
    /// builder, ends as it did then.
    pub fn give_up(&mut self, prospect: impl Fn(&Demand) -> Result<(), Ending>) -> Vec<Answer> {
        let waits = |state: &State| matches!(state, State::Blocked | State::Ready | State::Held);
        let waiting = self.nodes.iter().filter(|(_, vertex)| waits(&vertex.state));
        let hopeless = waiting.filter_map(|(id, vertex)| {
            let ending = prospect(&vertex.demand).err()?;
            Some((id, vertex.first_end.as_deref().cloned().unwrap_or(ending)))
        });
        let mut hopeless: Vec<(NodeId, Ending)> = hopeless.collect();
        // what waits for others last: it names the one that it waits for
        hopeless.sort_by_key(|(id, _)| self.nodes[*id].missing);
        let mut answers = Vec::new();
        for (id, ending) in hopeless {
            if waits(&self.nodes[id].state) {
                self.settle(id, ending, None, &mut answers);
            }
        }
        answers
    }

    /// As [`Graph::give_up`], of one derivation.
    pub fn abandon(&mut self, drv: &DrvPath, ending: Ending) -> Vec<Answer> {
        let mut answers = Vec::new();
        if let Some(&id) = self.ids.get(drv)
            && matches!(self.nodes[id].state, State::Ready | State::Held)
        {
            let ending = self.nodes[id].first_end.as_deref().cloned().unwrap_or(ending);
            self.settle(id, ending, None, &mut answers);
        }
        answers
    }

    /// A running derivation whose attempt has ended. One that nobody waits for leaves the graph.
    fn unfinished(&mut self, drv: &DrvPath) -> Option<NodeId> {
        let id = self.running_id(drv)?;
        if self.nodes[id].waiters.is_empty() {
            self.remove(id);
            return None;
        }
        Some(id)
    }
}
