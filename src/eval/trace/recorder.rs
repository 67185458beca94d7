//! Records what attributes read: plans, divides the plan among processes, gathers what they cost.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use futures_util::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;

use super::chain::{Chain, Common, Done, Forking, Item, names, surroundings};
use super::control::Control;
use super::copies::Copies;
use super::probe::{Positions, Probed, Tracing};
use super::set::{Fragment, TraceSet};
use super::shape::{self, Plan};
use super::work::{Group, State, Work};
use crate::domain::AttrPath;
use crate::eval::evaluator::Evaluator;
use crate::eval::launch::StoreView;
use crate::eval::start::Start;
use crate::eval::terms::{EvalFailure, Request};
use crate::eval::worker::Spent;

/// What a recording came to. What it learnt went through the channel.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    /// Of all its processes.
    pub cpu_seconds: f64,
    pub wall_seconds: f64,
    /// Of the largest process.
    pub peak_memory_bytes: u64,
    pub forks: u64,
    /// Attributes whose results were told.
    pub finished: usize,
    /// They are evaluated each time: a process died of them, or took too long.
    pub skipped: Vec<AttrPath>,
    /// Why attributes have no node, some reasons.
    pub unknown: Vec<String>,
    /// The control ended it.
    pub stopped: bool,
    /// Why this machine records nothing.
    pub off: Option<String>,
}

/// Processes where none can be forked.
const CHAINS: usize = 8;

impl Evaluator {
    /// Records the attributes of `set` whose reads are not known, at the set's tree, of which `request` has a checkout, in
    /// `request.workers` processes. What is learnt is sent in parts that can each be grafted on the set.
    pub async fn record(
        &self,
        request: &Request,
        set: &TraceSet,
        control: &dyn Control,
        fragments: mpsc::UnboundedSender<Fragment>,
    ) -> Result<Recorded, EvalFailure> {
        let started = Instant::now();
        let Probed { tracing, positions } = self.probed().await;
        let forking = match tracing {
            Tracing::Off(reason) => return Ok(Recorded { off: Some(reason.clone()), ..Recorded::default() }),
            Tracing::Forks => Forking::Yes,
            Tracing::Chains(_) => Forking::No,
        };
        // the copies of files that are followed by binding say nothing of their lines
        let tracked = match positions {
            Positions::Lazy => self.tracked.clone(),
            Positions::Eager => Arc::default(),
        };
        let copies = Copies::write(&tracked, &request.checkout, &self.directory)
            .map_err(|error| EvalFailure::Start(format!("no copies of tracked files: {error}")))?;
        let launch = self.traced(self.launch(request, &StoreView::Memory).await?, copies.files());
        let plan = shape::by_sets(set);
        let start = Start::of(&request.jobset, &request.system);
        let (items, index) = items(&plan, &start);
        let common = Common {
            launch: &launch,
            checkout: request.checkout.clone(),
            surroundings: surroundings(&launch, &copies),
            tracked: &tracked,
            limits: self.limits,
            places: &self.places,
            control,
            forking,
            items: &items,
            fragments,
        };
        let groups = groups(&plan, &index);
        let wanted: Vec<bool> =
            items.iter().map(|item| set.results.get(&item.path).is_some_and(|traced| !set.is_traced(traced))).collect();
        let processes = match forking {
            Forking::Yes => request.workers,
            // what one process reads, all that it evaluates later has read: several of them, one after the other, keep that small
            Forking::No => request.workers.max(CHAINS),
        };
        let shares = shape::divide(&plan, processes);
        let chains = shares.into_iter().map(|share| {
            let mut states = vec![State::Unwanted; items.len()];
            for (_, group) in groups.iter().enumerate().filter(|(group, _)| share[*group]) {
                for item in group.items.iter().filter(|item| wanted[**item]) {
                    states[*item] = State::Wanted;
                }
            }
            Chain::new(&common, Work::new(groups.clone(), states)).run()
        });
        let chains: Vec<_> = chains.collect();
        let chains = futures_util::stream::iter(chains).buffer_unordered(request.workers.max(1)).try_collect::<Vec<Done>>();
        let mut recorded = Recorded::default();
        let mut spent = Spent::default();
        for done in chains.await? {
            let Done { spent: more, forks, finished, skipped, unknown, stopped } = done;
            spent = spent.join(more);
            recorded.forks += forks;
            recorded.finished += finished;
            recorded.skipped.extend(skipped);
            recorded.unknown.extend(unknown);
            recorded.stopped |= stopped;
        }
        recorded.cpu_seconds = spent.cpu_seconds;
        recorded.peak_memory_bytes = spent.peak_memory_bytes;
        recorded.wall_seconds = started.elapsed().as_secs_f64();
        Ok(recorded)
    }
}

/// Each attribute of the plan as the driver is asked for it, and its place in the list.
fn items(plan: &Plan, start: &Start) -> (Vec<Item>, HashMap<AttrPath, usize>) {
    let mut items = Vec::new();
    let mut index = HashMap::new();
    for path in plan.groups.iter().flat_map(|group| &group.items) {
        index.entry(path.clone()).or_insert_with(|| {
            let (kind, argument) = match start {
                Start::Outputs(outputs) if path.is_root() => {
                    ("present", format!("[ {} ]", outputs.iter().map(names).collect::<Vec<_>>().join(" ")))
                }
                Start::Root | Start::Named(_) if path.is_root() => ("root", "[ ]".into()),
                Start::Outputs(forced) | Start::Named(forced) if forced.contains(path) => ("forced", names(path)),
                Start::Root | Start::Outputs(_) | Start::Named(_) => ("attr", names(path)),
            };
            items.push(Item { path: path.clone(), asked: format!("k = \"{kind}\"; p = {argument};") });
            items.len() - 1
        });
    }
    (items, index)
}

fn groups(plan: &Plan, index: &HashMap<AttrPath, usize>) -> Vec<Group> {
    let item = |path: &AttrPath| index.get(path).copied();
    let groups = plan.groups.iter();
    groups.map(|group| Group::new(group.parent, group.items.iter().filter_map(item).collect(), group.millis)).collect()
}
