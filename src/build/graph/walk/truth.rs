//! What has to be true after each step, worked out slowly and from the walk's own account.

use super::super::{NodeId, State, Vertex};
use super::Walk;
use crate::build::{Builder, Lane, Requirements, Start};
use crate::domain::{DrvPath, Outcome};

/// Those whose offer fits and that have a lane for it.
pub fn fitting(builders: &[Builder], required: &Requirements) -> Vec<String> {
    let has_lane = |builder: &Builder| if required.fixed_output { builder.downloads > 0 } else { builder.slots > 0 };
    let fitting = builders.iter().filter(|builder| builder.offer.fits(required) && has_lane(builder));
    fitting.map(|builder| builder.name.clone()).collect()
}

impl Walk {
    /// The ready ones, each with the builders that could take it now.
    pub fn ready(&self) -> Vec<(NodeId, Vec<String>)> {
        let ready = self.farm.graph.nodes.iter().filter(|(_, vertex)| vertex.state == State::Ready);
        ready.map(|(id, vertex)| (id, self.takers(vertex))).filter(|(_, takers)| !takers.is_empty()).collect()
    }

    /// Who is there, fits, and has a free slot; without those where it broke off, if others are there that fit.
    fn takers(&self, vertex: &Vertex) -> Vec<String> {
        let fitting: Vec<&String> = self.suited(vertex).filter(|name| self.is_available(name)).collect();
        let is_new = |name: &&&String| !vertex.demand.broke_on(name);
        let avoids = fitting.iter().any(|name| is_new(&name));
        let eligible = fitting.iter().filter(|name| !avoids || is_new(name));
        let lane = Lane::of(&vertex.demand);
        eligible.filter(|name| self.has_free_slot(name, lane)).map(|name| (*name).clone()).collect()
    }

    fn is_available(&self, name: &str) -> bool {
        self.configured.contains(name)
            && self.there.contains(name)
            && !self.draining.contains(name)
            && !self.resting.contains_key(name)
    }

    pub fn has_first_end(&self, drv: &DrvPath) -> bool {
        self.farm.graph.nodes[self.farm.graph.ids[drv]].first_end.is_some()
    }

    /// Those that could do it, were they there.
    fn suited<'a>(&'a self, vertex: &'a Vertex) -> impl Iterator<Item = &'a String> {
        let i = self.index(&vertex.drv);
        let short = vertex.first_end.as_ref().map(|_| &self.short[&i]);
        self.fitting[i].iter().filter(move |name| {
            short.is_none_or(|(outcome, than)| {
                let (builder, than) = (&self.builders[*name], &self.builders[than]);
                let is_larger = than.memory.is_some() && builder.memory.is_none_or(|memory| Some(memory) > than.memory);
                is_larger || (*outcome == Outcome::TimedOut && builder.speed > than.speed)
            })
        })
    }

    fn has_free_slot(&self, name: &str, lane: Lane) -> bool {
        let of = |required: &Requirements| if required.fixed_output { Lane::Downloads } else { Lane::Builds };
        let taken = self.running.iter().filter(|(i, on)| *on == name && of(&self.requirements[**i]) == lane).count();
        let builder = &self.builders[name];
        taken < if lane == Lane::Downloads { builder.downloads } else { builder.slots }
    }

    /// An attempt began; `before` is what [`Walk::ready`] said.
    pub fn check_choice(&self, start: &Start, before: &[(NodeId, Vec<String>)]) {
        let graph = &self.farm.graph;
        let id = graph.ids[&start.job.drv];
        let vertex = &graph.nodes[id];
        assert!(!vertex.waiters.is_empty(), "built for nobody");
        for input in vertex.inputs.iter().filter_map(|input| graph.nodes.get(*input)) {
            assert!(input.state.is_success(), "started before its input {}", input.drv);
        }
        let takers = before.iter().find(|(ready, _)| *ready == id).map(|(_, takers)| takers.as_slice()).unwrap_or_default();
        assert!(takers.iter().any(|taker| *taker == *start.builder), "{} can't take {}: ", start.builder, vertex.drv);
        let weakest = takers.iter().map(|taker| self.weight(taker)).min();
        assert_eq!(weakest, Some(self.weight(&start.builder)), "a stronger builder than needed");
        // who can only go there goes first
        let only_there = |(other, takers): &(NodeId, Vec<String>)| *other != id && self.is_alone(*other, takers, &start.builder);
        if self.has_weaker(vertex, &start.builder) {
            let passed_over = before.iter().find(|ready| only_there(ready));
            assert!(passed_over.is_none(), "{} took what a weaker one can build, before {passed_over:?}", start.builder);
        }
    }

    /// Whether this is the only available builder for it, busy or not.
    fn is_alone(&self, id: NodeId, takers: &[String], builder: &str) -> bool {
        let is_taker = takers.len() == 1 && takers[0] == builder;
        is_taker && self.suited(&self.farm.graph.nodes[id]).filter(|name| self.is_available(name)).count() == 1
    }

    fn has_weaker(&self, vertex: &Vertex, than: &str) -> bool {
        let mut eligible = self.suited(vertex).filter(|name| self.is_available(name) && !vertex.demand.broke_on(name));
        eligible.any(|name| self.weight(name) < self.weight(than))
    }

    fn weight(&self, name: &str) -> (u64, usize) {
        let builder = &self.builders[name];
        (builder.memory.unwrap_or(u64::MAX), builder.offer.features.len())
    }

    /// The slow account of the truth.
    pub fn check(&self) {
        let graph = &self.farm.graph;
        let (mut blocked, mut ready, mut held, mut running) = (0, 0, 0, 0);
        for (id, vertex) in graph.nodes.iter() {
            assert_eq!(graph.ids.get(&vertex.drv), Some(&id));
            let inputs: Vec<_> = vertex.inputs.iter().filter_map(|input| graph.nodes.get(*input)).collect();
            let missing = inputs.iter().filter(|input| !input.state.is_success()).count();
            assert_eq!(vertex.key.is_some(), vertex.state == State::Ready);
            assert!(vertex.asked.iter().all(|waiter| vertex.waiters.contains(waiter)));
            assert!(!vertex.waiters.is_empty() || vertex.state == State::Cancelling, "{} is kept for nobody", vertex.drv);
            for waiter in &vertex.waiters {
                assert!(graph.waiters[waiter].nodes.contains(&id));
            }
            if vertex.state.is_settled() {
                assert!(vertex.asked.is_empty());
                continue;
            }
            assert_eq!(vertex.missing, missing, "{} waits for {missing}", vertex.drv);
            assert!(inputs.iter().all(|input| input.state.fault().is_none()), "{} waits for a failure", vertex.drv);
            for input in inputs.iter().filter(|input| !input.state.is_success()) {
                assert!(
                    vertex.waiters.iter().all(|waiter| input.waiters.contains(waiter)),
                    "who needs {} needs {}",
                    vertex.drv,
                    input.drv
                );
            }
            match vertex.state {
                State::Blocked => blocked += 1,
                State::Ready => ready += 1,
                State::Held => held += 1,
                State::Running | State::Cancelling => running += 1,
                State::Settled(_) => {}
            }
            assert!(
                (vertex.state == State::Blocked) == (missing > 0),
                "{} is {:?} and waits for {missing}",
                vertex.drv,
                vertex.state
            );
            if !vertex.state.is_running() {
                let configured = self.suited(vertex).any(|name| self.configured.contains(name));
                assert!(configured, "{} waits for nobody", vertex.drv);
            }
        }
        let waits = self.ready();
        assert!(waits.is_empty(), "ready, and a fitting slot is free: {waits:?}");
        let counts = graph.counts();
        assert_eq!((counts.blocked, counts.ready, counts.backing_off, counts.running), (blocked, ready, held, running));
        assert_eq!(running as usize, self.running.len());
        for (waiter, waiting) in &graph.waiters {
            let of =
                |test: &dyn Fn(&State) -> bool| waiting.nodes.iter().filter(|id| test(&graph.nodes[**id].state)).count() as u64;
            assert_eq!(waiting.settled, of(&State::is_settled), "{waiter:?}");
            assert_eq!(waiting.running, of(&State::is_running), "{waiter:?}");
        }
        for (waiter, target) in &self.open {
            assert!(graph.nodes[graph.ids[&self.drvs[*target]]].asked.contains(waiter), "nobody will answer {waiter:?}");
        }
    }
}
