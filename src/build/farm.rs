//! The farm: the graph, the builders, and what becomes of a build that ended, whichever way.
//!
//! Invariants, which the random walks check: what runs has all its dependencies; a derivation has one attempt at a time; nothing that
//! is ready waits while a fitting slot is free; everything ends.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::builders::Rest;
use super::demand::{Demand, Past, Shortage};
use super::snapshot::QueueItem;
use super::{Answer, Builder, Builders, Ending, Graph, Job, Lane, Request, Requirements};
use crate::domain::{DrvPath, Outcome, ReviewId};

/// How often a build is tried that breaks off through no fault of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Until it comes to an end.
    Endless,
    /// So many times with everybody who could do it; then it ends as `infrastructure`.
    Times(u32),
}

/// See the module.
#[derive(Debug)]
pub struct Farm {
    pub(super) graph: Graph,
    builders: Builders,
    running: HashMap<DrvPath, (Arc<str>, Lane)>,
    patience: Patience,
}

/// An attempt that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    pub builder: Arc<str>,
    pub job: Job,
}

/// What an attempt's end leads to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct After {
    pub answers: Vec<Answer>,
    pub next: Next,
    /// The builder is to be left alone, until [`Farm::wake`].
    pub rest: Option<Rest>,
}

/// What becomes of a derivation whose attempt ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Next {
    /// Nothing: that was its end, or nobody waits for it.
    #[default]
    Settled,
    /// It is ready, for another builder or for the same one when that is well again.
    Again,
    /// It is ready, for a builder with more of what it ran out of, if anybody still waits. That end does not count.
    Larger,
    /// It broke off with everybody who could build it: [`Farm::release`] ends the wait.
    Later { round: u32 },
}

impl Farm {
    pub fn new(builders: &[Builder], patience: Patience) -> Self {
        let mut farm = Self { graph: Graph::default(), builders: Builders::default(), running: HashMap::new(), patience };
        farm.builders.configure(builders);
        farm
    }

    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    pub fn builders(&self) -> &Builders {
        &self.builders
    }

    /// Adds what is wanted. Targets whose end is known already are answered at once.
    pub fn add(&mut self, mut request: Request) -> Vec<Answer> {
        // requirements are few and nodes are many
        let mut lacking: BTreeMap<Arc<Requirements>, Option<Arc<str>>> = BTreeMap::new();
        for node in &mut request.nodes {
            let lacks = lacking.entry(node.requirements.clone()).or_insert_with(|| {
                let demand = Demand { requirements: node.requirements.clone(), past: None };
                self.builders.unsupported(&demand).map(Into::into)
            });
            if let Some(reason) = lacks {
                node.known = Some(Ending { outcome: Outcome::Unsupported, message: Some(reason.clone()) });
            }
        }
        self.graph.add(request)
    }

    /// What waits, at most so many: the ready ones in their order, then the others.
    pub fn waiting(&self, limit: usize) -> Vec<QueueItem> {
        self.graph.waiting(limit, |demand| self.builders.wait(demand))
    }

    /// The next attempt, as long as something is ready and a fitting slot is free.
    pub fn start(&mut self) -> Option<Start> {
        let (id, builder, lane) = self.builders.choose(self.graph.heads())?;
        let job = self.graph.start(id);
        self.builders.take(&builder, lane);
        self.running.insert(job.drv.clone(), (builder.clone(), lane));
        Some(Start { builder, job })
    }

    /// An attempt came to an end that says something of the derivation, or was cancelled.
    pub fn built(&mut self, drv: &DrvPath, ending: Ending) -> After {
        let Some(builder) = self.vacate(drv) else { return After::default() };
        if ending.outcome == Outcome::Infrastructure {
            return self.try_elsewhere(drv, &builder, ending.message.as_deref().unwrap_or_default());
        }
        self.builders.is_well(&builder);
        if let Some(shortage) = self.shortage(drv, &builder, ending.outcome) {
            self.graph.enlarge(drv, shortage, ending);
            return After { next: Next::Larger, ..After::default() };
        }
        After { answers: self.graph.finish(drv, ending), ..After::default() }
    }

    /// An attempt broke off, and it is not known whose fault that is.
    pub fn broke(&mut self, drv: &DrvPath, reason: &str) -> After {
        let Some(builder) = self.vacate(drv) else { return After::default() };
        self.try_elsewhere(drv, &builder, reason)
    }

    /// An attempt came to nothing because its builder can't build now. That builder is left alone until [`Farm::wake`].
    pub fn unreachable(&mut self, drv: &DrvPath, reason: &str) -> After {
        let Some(builder) = self.vacate(drv) else { return After::default() };
        let rest = self.builders.rest(&builder, reason);
        let mut after = match self.graph.again(drv, None) {
            None => After::default(),
            Some(_) => self.settle_unsupported(drv).unwrap_or(After { next: Next::Again, ..After::default() }),
        };
        if let Patience::Times(times) = self.patience {
            let builders = &self.builders;
            let prospect = |demand: &Demand| match builders.has_hope_for(demand, times) {
                true => Ok(()),
                false => Err(infrastructure(reason)),
            };
            after.answers.extend(self.graph.give_up(prospect));
        }
        After { rest, ..after }
    }

    /// Ends the wait of [`Next::Later`]. Whether there was one.
    pub fn release(&mut self, drv: &DrvPath, round: u32) -> bool {
        self.graph.release(drv, round)
    }

    /// The end of a rest.
    pub fn wake(&mut self, builder: &str, rest: u64) {
        self.builders.wake(builder, rest);
    }

    /// A builder is there. Returns what it ran when it was there before: those attempts are lost.
    pub fn join(&mut self, builder: &Builder) -> Vec<(DrvPath, After)> {
        let lost = self.leave(&builder.name);
        self.builders.join(builder);
        lost
    }

    /// A builder is gone, and what it ran comes to no end.
    pub fn leave(&mut self, name: &str) -> Vec<(DrvPath, After)> {
        let ran = self.running.iter().filter(|(_, (builder, _))| builder.as_ref() == name);
        let mut lost: Vec<DrvPath> = ran.map(|(drv, _)| drv.clone()).collect();
        lost.sort();
        self.builders.leave(name);
        lost.into_iter().map(|drv| (drv.clone(), self.broke(&drv, "the builder was lost"))).collect()
    }

    pub fn drain(&mut self, builder: &str, on: bool) {
        self.builders.drain(builder, on);
    }

    /// These are the configured builders from now on. What none of them can build ends.
    pub fn configure(&mut self, builders: &[Builder]) -> Vec<Answer> {
        self.builders.configure(builders);
        let builders = &self.builders;
        self.graph.give_up(|demand| builders.unsupported(demand).map_or(Ok(()), |reason| Err(unsupported(reason))))
    }

    /// The review waits for nothing any more. Returns what is to be cancelled, and where: those ends are still to be told.
    pub fn forget(&mut self, review: &ReviewId) -> Vec<(Arc<str>, DrvPath)> {
        let cancelled = self.graph.forget(review).into_iter();
        cancelled.filter_map(|drv| Some((self.running.get(&drv)?.0.clone(), drv))).collect()
    }

    /// The review goes before all that are not raised. Whether it waits for anything.
    pub fn raise(&mut self, review: &ReviewId) -> bool {
        self.graph.raise(review)
    }

    /// Its slot is free. On which builder; `None` if it does not run.
    fn vacate(&mut self, drv: &DrvPath) -> Option<Arc<str>> {
        let (builder, lane) = self.running.remove(drv)?;
        self.builders.free(&builder, lane);
        Some(builder)
    }

    /// What the derivation ran out of, if it had no second attempt yet and a configured builder has more of it.
    fn shortage(&self, drv: &DrvPath, builder: &str, outcome: Outcome) -> Option<Shortage> {
        let demand = self.graph.demand(drv)?;
        let shortage = Shortage::of(outcome, &self.builders.get(builder)?.builder)?;
        let past = Past { short_of: Some(shortage), ..Past::default() };
        let larger = Demand { requirements: demand.requirements.clone(), past: Some(Arc::new(past)) };
        (demand.short_of().is_none() && self.builders.unsupported(&larger).is_none()).then_some(shortage)
    }

    /// At once, with somebody else; after a while, when it broke off with everybody.
    fn try_elsewhere(&mut self, drv: &DrvPath, builder: &str, reason: &str) -> After {
        self.graph.broke(drv, reason);
        let Some(demand) = self.graph.again(drv, Some(builder)) else { return After::default() };
        if self.builders.has_another_for(demand) {
            return After { next: Next::Again, ..After::default() };
        }
        if let Some(after) = self.settle_unsupported(drv) {
            return after;
        }
        match (self.graph.hold(drv), self.patience) {
            (None, _) => After::default(),
            (Some(round), Patience::Times(times)) if round >= times => {
                After { answers: self.graph.abandon(drv, infrastructure(reason)), ..After::default() }
            }
            (Some(round), _) => After { next: Next::Later { round }, ..After::default() },
        }
    }

    /// The end of what is ready and that no configured builder can build any more.
    fn settle_unsupported(&mut self, drv: &DrvPath) -> Option<After> {
        let reason = self.builders.unsupported(self.graph.demand(drv)?)?;
        Some(After { answers: self.graph.abandon(drv, unsupported(reason)), ..After::default() })
    }
}

fn infrastructure(reason: &str) -> Ending {
    Ending { outcome: Outcome::Infrastructure, message: Some(reason.into()) }
}

fn unsupported(reason: String) -> Ending {
    Ending { outcome: Outcome::Unsupported, message: Some(reason.into()) }
}
