//! The way of a review: merge, evaluate both sides, compare, describe, build, weigh, decide.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use actix::Recipient;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::draft::Draft;
use super::inputs::{Known, When};
use super::{Build, Desk, Done, Fault, Order, WhichTree, closures, jobsets};
use crate::actors::evaluator::What;
use crate::actors::scheduler::Settled;
use crate::config::repository::Jobset;
use crate::domain::{Detail, Side, System, TreeId};
use crate::eval::NotDescribed;
use crate::review::report::{Merge, State};
use crate::review::{DetailKey, compare};

/// What [`Run::details`] learnt of one side.
#[derive(Default)]
pub(super) struct DescribedSide {
    pub(super) details: HashMap<DetailKey, Detail>,
    pub(super) failed: HashMap<DetailKey, NotDescribed>,
}

pub(super) struct Run {
    pub(super) desk: Desk,
    pub(super) order: Order,
    pub(super) cancelled: CancellationToken,
    pub(super) inbox: mpsc::UnboundedReceiver<Settled>,
    pub(super) report_to: Recipient<Settled>,
    pub(super) draft: Draft,
    pub(super) known: Known,
    pub(super) jobsets: Vec<Jobset>,
    pub(super) trees: BTreeMap<Side, TreeId>,
}

pub async fn run(
    desk: Desk,
    order: Order,
    cancelled: CancellationToken,
    inbox: mpsc::UnboundedReceiver<Settled>,
    report_to: Recipient<Settled>,
) -> Done {
    let draft = Draft::new(&order);
    let stop = cancelled.clone();
    let mut run = Run {
        desk,
        order,
        cancelled,
        inbox,
        report_to,
        draft,
        known: Known::default(),
        jobsets: Vec::new(),
        trees: BTreeMap::new(),
    };
    let ended = tokio::select! {
        ended = run.go() => ended,
        () = stop.cancelled() => Err(Fault::Cancelled),
    };
    let (state, fault) = match ended {
        Ok(()) => (State::Complete, None),
        Err(Fault::Cancelled) => (State::Cancelled, Some(Fault::Cancelled)),
        Err(fault) => (State::Error, Some(fault)),
    };
    run.draft.header.state = state;
    run.draft.header.error = fault.as_ref().map(ToString::to_string);
    if let Err(error) = run.draft.publish(&run.desk).await {
        tracing::error!("the report of review {} can't be stored: {error}", run.order.id);
        return Done { state: State::Error, fault: Some(fault.unwrap_or(Fault::House(error.to_string()))) };
    }
    Done { state, fault }
}

impl Run {
    pub(super) async fn go(&mut self) -> Result<(), Fault> {
        let queued = jiff::Timestamp::now().duration_since(self.order.created_at);
        self.draft.header.timings.queued_seconds = Some(queued.as_secs_f64().max(0.0));
        let alarms = self.desk.db.alarms_of_review(&self.order.id).await.map_err(house)?;
        self.draft.header.alarms = alarms.into_iter().map(|alarm| alarm.alarm.summary).collect();
        if !self.merge().await? {
            return Ok(());
        }
        let started = Instant::now();
        let (base, head) = self.evaluate().await?;
        self.draft.header.timings.eval_seconds = Some(started.elapsed().as_secs_f64());
        self.note_base(&base);
        let started = Instant::now();
        // seconds for a hundred thousand attributes, in which the house would answer nobody
        let asked = self.desk.db.asked_builds(&self.order.id).await.map_err(house)?;
        let compared = tokio::task::spawn_blocking(move || match asked.is_empty() {
            true => compare(&base, &head),
            false => compare(&base, &head).with_asked(&base, &head, &asked),
        });
        self.draft.comparison = compared.await.map_err(house)?;
        self.draft.header.timings.diff_seconds = Some(started.elapsed().as_secs_f64());
        self.draft.facts.building = self.order.wishes.build == Build::Changed;
        if self.draft.facts.building && !self.draft.comparison.rows.is_empty() {
            self.draft.header.state = State::Building;
        }
        self.publish().await?;
        self.describe().await?;
        if self.draft.facts.building {
            let started = Instant::now();
            self.build().await?;
            self.draft.header.timings.build_seconds = Some(started.elapsed().as_secs_f64());
            self.blame(When::Now).await?;
            self.keep_standings().await?;
            self.search_history().await?;
            closures::add(&self.desk.store, &self.draft.comparison, &mut self.draft.facts).await.map_err(house)?;
            self.compare_sources().await?;
            self.keep_growth().await?;
            self.keep_closure_sizes().await?;
        }
        Ok(())
    }

    pub(super) async fn publish(&mut self) -> Result<(), Fault> {
        self.blame(When::IfDue).await?;
        self.draft.publish(&self.desk).await.map_err(house)
    }

    /// What would land; false where nothing can.
    pub(super) async fn merge(&mut self) -> Result<bool, Fault> {
        let git = self.order.git.clone();
        let (base, head) = (&self.order.base.rev, &self.order.head.rev);
        let base_tree = git.tree_of(base).await.map_err(house)?;
        let merge = match self.order.wishes.tree {
            WhichTree::Head => Merge { tree: Some(git.tree_of(head).await.map_err(house)?), conflicts: Vec::new() },
            WhichTree::Merge => {
                let merged = git.merge(base, head).await.map_err(house)?;
                Merge { tree: merged.tree, conflicts: merged.conflicts }
            }
        };
        self.draft.header.merge = merge.clone();
        let Some(tree) = merge.tree else { return Ok(false) };
        let (jobsets, policy) = jobsets::read(&git, &base_tree, &tree, &self.order.wishes.selection).await?;
        self.draft.header.policy = policy;
        self.jobsets = jobsets;
        self.trees = BTreeMap::from([(Side::Base, base_tree), (Side::Head, tree)]);
        self.publish().await?;
        Ok(true)
    }

    pub(super) fn what(&self, side: Side, jobset: &Jobset, system: &System) -> What {
        What {
            repository: self.order.git.clone(),
            tree: self.trees[&side].clone(),
            jobset: jobset.clone(),
            system: system.clone(),
            options: self.order.wishes.selection.options.clone(),
        }
    }
}

pub(super) fn house(error: impl std::fmt::Display) -> Fault {
    Fault::House(error.to_string())
}
