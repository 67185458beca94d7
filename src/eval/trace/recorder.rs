//! Records what attributes read: plans, divides the plan among processes, gathers what they cost.

use std::sync::Arc;
use std::time::Instant;

use futures_util::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;

use super::chain::{Chain, Common, Done, Forking, Item, names, surroundings};
use super::control::Control;
use super::copies::Copies;
use super::needs::Needs;
use super::probe::{Positions, Probed, Tracing};
use super::set::{Fragment, TraceSet};
use super::shape::{self, Part, Plan};
use super::survey::{Asked, Surveyed, survey};
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
        let start = Start::of(&request.jobset, &request.system);
        let common = Common {
            launch: &launch,
            checkout: request.checkout.clone(),
            surroundings: surroundings(&launch, &copies),
            tracked: &tracked,
            limits: self.limits,
            places: &self.places,
            control,
            forking,
            items: &[],
            fragments,
        };
        let mut spent = Spent::default();
        let plan = match forking {
            Forking::Yes if self.surveys.come_before(set) => match survey(&common, set, &start).await? {
                Surveyed { stopped: true, spent, .. } => {
                    let Spent { cpu_seconds, peak_memory_bytes } = spent;
                    return Ok(Recorded { cpu_seconds, peak_memory_bytes, stopped: true, ..Recorded::default() });
                }
                surveyed => {
                    spent = surveyed.spent;
                    let needs = Needs::new(set, &surveyed.said);
                    // seconds, for a hundred thousand attributes
                    let plan = tokio::task::spawn_blocking(move || needs.plan()).await;
                    plan.map_err(|error| EvalFailure::Start(format!("there is no plan of a recording: {error}")))?
                }
            },
            Forking::Yes | Forking::No => shape::by_sets(set),
        };
        let (items, groups) = asked_in(&plan, &start, Asked::Result);
        let common = Common { items: &items, ..common };
        let wanted: Vec<bool> = items
            .iter()
            .map(|item| item.part == Part::Recorded && set.results.get(&item.path).is_some_and(|traced| !set.is_traced(traced)))
            .collect();
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
        for done in chains.await? {
            let Done { spent: more, forks, finished, skipped, unknown, stopped, needs: _ } = done;
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

/// The plan's groups, and what the driver is asked for in them.
pub fn asked_in(plan: &Plan, start: &Start, asked: Asked) -> (Vec<Item>, Vec<Group>) {
    let mut items = Vec::new();
    let mut groups = Vec::with_capacity(plan.groups.len());
    for group in &plan.groups {
        let first = items.len();
        for (path, part) in &group.items {
            let (kind, argument) = match start {
                Start::Outputs(outputs) if path.is_root() => {
                    ("present", format!("[ {} ]", outputs.iter().map(names).collect::<Vec<_>>().join(" ")))
                }
                Start::Root | Start::Named(_) if path.is_root() => ("root", "[ ]".into()),
                Start::Outputs(forced) | Start::Named(forced) if forced.contains(path) => ("forced", names(path)),
                Start::Root | Start::Outputs(_) | Start::Named(_) => ("attr", names(path)),
            };
            let needs = if asked == Asked::Needs && !path.is_root() { " n = true;" } else { "" };
            items.push(Item { path: path.clone(), asked: format!("k = \"{kind}\"; p = {argument};{needs}"), part: *part });
        }
        let items = (first..items.len()).collect();
        groups.push(Group::new(group.parent, items, group.millis));
    }
    (items, groups)
}
