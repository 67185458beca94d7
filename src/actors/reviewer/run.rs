//! The way of a review: merge, evaluate both sides, compare, describe, build, weigh, decide.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use actix::Recipient;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::draft::Draft;
use super::{Build, Desk, Done, Fault, LogUrls, Order, WhichTree, closures, jobsets, written};
use crate::actors::evaluator::{Derivations, Describe, Evaluate, EvaluateError, What};
use crate::actors::scheduler::{Retry, Settled, Target, Want};
use crate::config::repository::Jobset;
use crate::domain::{Attr, AttrPath, Detail, DrvPath, EvalError, EvalStats, Evaluation, Job, Outcome, Side, System, TreeId};
use crate::eval::{EvalFailure, NotDescribed};
use crate::review::report::{EvaluationRow, Merge, State};
use crate::review::{DetailKey, Fact, compare};
use crate::store::logs::LogRange;

/// Lines of a failed build's log that the report shows.
const TAIL_LINES: usize = 25;

/// What [`Run::details`] learnt of one side.
#[derive(Default)]
struct DescribedSide {
    details: HashMap<DetailKey, Detail>,
    failed: HashMap<DetailKey, NotDescribed>,
}

struct Run {
    desk: Desk,
    order: Order,
    cancelled: CancellationToken,
    inbox: mpsc::UnboundedReceiver<Settled>,
    report_to: Recipient<Settled>,
    draft: Draft,
    jobsets: Vec<Jobset>,
    trees: BTreeMap<Side, TreeId>,
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
    let mut run = Run { desk, order, cancelled, inbox, report_to, draft, jobsets: Vec::new(), trees: BTreeMap::new() };
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
    async fn go(&mut self) -> Result<(), Fault> {
        let queued = jiff::Timestamp::now().duration_since(self.order.created_at);
        self.draft.header.timings.queued_seconds = Some(queued.as_secs_f64().max(0.0));
        if !self.merge().await? {
            return Ok(());
        }
        let started = Instant::now();
        let (base, head) = self.evaluate().await?;
        self.draft.header.timings.eval_seconds = Some(started.elapsed().as_secs_f64());
        let started = Instant::now();
        // seconds for a hundred thousand attributes, in which the house would answer nobody
        self.draft.comparison = tokio::task::spawn_blocking(move || compare(&base, &head)).await.map_err(house)?;
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
            closures::add(&self.desk.store, &self.draft.comparison, &mut self.draft.facts).await.map_err(house)?;
        }
        Ok(())
    }

    async fn publish(&mut self) -> Result<(), Fault> {
        self.draft.publish(&self.desk).await.map_err(house)
    }

    /// What would land; false where nothing can.
    async fn merge(&mut self) -> Result<bool, Fault> {
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

    fn what(&self, side: Side, jobset: &Jobset, system: &System) -> What {
        What {
            repository: self.order.git.clone(),
            tree: self.trees[&side].clone(),
            jobset: jobset.clone(),
            system: system.clone(),
            options: self.order.wishes.selection.options.clone(),
        }
    }

    /// Every jobset on each of its systems, both sides at once.
    async fn evaluate(&mut self) -> Result<(Vec<Evaluation>, Vec<Evaluation>), Fault> {
        let mut asked = Vec::new();
        for jobset in &self.jobsets {
            for system in &jobset.systems {
                for side in [Side::Head, Side::Base] {
                    asked.push((side, jobset.clone(), system.clone()));
                }
            }
        }
        let evaluated = asked.iter().map(|(side, jobset, system)| self.evaluate_one(*side, jobset, system));
        let evaluated = futures_util::future::try_join_all(evaluated).await?;
        let (mut base, mut head) = (Vec::new(), Vec::new());
        for ((side, _, _), evaluation) in asked.iter().zip(evaluated) {
            self.draft.header.evaluations.push(EvaluationRow::new(*side, &evaluation));
            match side {
                Side::Base => base.push(Arc::unwrap_or_clone(evaluation)),
                Side::Head => head.push(Arc::unwrap_or_clone(evaluation)),
            }
        }
        self.draft.header.evaluations.sort_by_key(|row| (row.jobset.clone(), row.system.clone(), row.side));
        Ok((base, head))
    }

    async fn evaluate_one(&self, side: Side, jobset: &Jobset, system: &System) -> Result<Arc<Evaluation>, Fault> {
        let evaluate = Evaluate {
            what: self.what(side, jobset, system),
            reuse: self.order.wishes.reuse,
            review: self.order.id.clone(),
            side,
            cancelled: self.cancelled.clone(),
        };
        match self.desk.evaluator.ask(evaluate).await.map_err(house)? {
            Ok(evaluation) => Ok(evaluation),
            // the change brings the jobset's file
            Err(EvaluateError::Failure(EvalFailure::NoSuchFile(_))) if side == Side::Base => {
                Ok(Arc::new(self.empty(side, jobset, system)))
            }
            // what the change does to its own jobset is a finding, not the end of the review
            Err(EvaluateError::Failure(failure @ (EvalFailure::NoSuchFile(_) | EvalFailure::Jobset(_))))
                if side == Side::Head =>
            {
                if self.fails_on_base_too(jobset, system, &failure).await {
                    return Err(Fault::Configuration(failure.to_string()));
                }
                let mut evaluation = self.empty(side, jobset, system);
                let error = EvalError { message: failure.to_string(), position: None };
                evaluation.attrs.insert(AttrPath::root(), Attr::Failed(error));
                Ok(Arc::new(evaluation))
            }
            Err(EvaluateError::Failure(failure @ (EvalFailure::NoSuchFile(_) | EvalFailure::Jobset(_)))) => {
                Err(Fault::Configuration(failure.to_string()))
            }
            Err(EvaluateError::Cancelled) => Err(Fault::Cancelled),
            Err(error @ (EvaluateError::Failure(EvalFailure::Start(_)) | EvaluateError::House(_))) => Err(house(error)),
        }
    }

    /// A jobset that neither side can prepare is a mistake of whoever asks.
    async fn fails_on_base_too(&self, jobset: &Jobset, system: &System, failure: &EvalFailure) -> bool {
        let evaluate = Evaluate {
            what: self.what(Side::Base, jobset, system),
            reuse: self.order.wishes.reuse,
            review: self.order.id.clone(),
            side: Side::Base,
            cancelled: self.cancelled.clone(),
        };
        match self.desk.evaluator.ask(evaluate).await {
            Ok(Err(EvaluateError::Failure(base))) => base == *failure,
            _ => false,
        }
    }

    fn empty(&self, side: Side, jobset: &Jobset, system: &System) -> Evaluation {
        Evaluation {
            tree: self.trees[&side].clone(),
            jobset: jobset.name.clone(),
            system: system.clone(),
            attrs: BTreeMap::new(),
            stats: EvalStats::default(),
        }
    }

    /// Names, versions and `meta` of what changed; what may be built on head is written to the store.
    async fn describe(&mut self) -> Result<(), Fault> {
        let derivations = if self.draft.facts.building { Derivations::Written } else { Derivations::Computed };
        let head: BTreeSet<DetailKey> = self.draft.comparison.details_wanted(Side::Head).into_iter().collect();
        let base: BTreeSet<DetailKey> = self.draft.comparison.details_wanted(Side::Base).into_iter().collect();
        let (head, base) = tokio::join!(
            self.details(Side::Head, |key| head.contains(key), derivations),
            self.details(Side::Base, |key| base.contains(key), Derivations::Computed),
        );
        let head = head?;
        self.draft.facts.head_details = head.details;
        self.draft.facts.base_details = base?.details;
        if self.draft.facts.building {
            let drvs = self.draft.comparison.rows.iter().filter_map(|row| row.head.as_ref()).map(|job| job.drv.clone()).collect();
            self.read_back(Side::Head, drvs, &head.failed).await?;
        }
        Ok(())
    }

    /// Holds what the attributes of one side said of themselves against the derivations that were written. What was not written
    /// can't be built, which is that attribute's outcome and not the end of the review.
    async fn read_back(
        &mut self,
        side: Side,
        drvs: BTreeSet<DrvPath>,
        failed: &HashMap<DetailKey, NotDescribed>,
    ) -> Result<(), Fault> {
        let written = written::outputs(drvs).await?;
        for row in &mut self.draft.comparison.rows {
            let job = match side {
                Side::Base => &mut row.base,
                Side::Head => &mut row.head,
            };
            let Some(job) = job else { continue };
            match written.get(&job.drv) {
                None => {}
                Some(Some(outputs)) if written::is_true(job, outputs) => {}
                Some(Some(outputs)) => {
                    // only its build tells
                    job.outputs = outputs.clone();
                    row.rebuild = true;
                }
                // the very derivation of the base under another name: nothing is built for it
                Some(None) if !row.rebuild && side == Side::Head => {}
                Some(None) => {
                    let (outcome, why) = match failed.get(&(row.jobset.clone(), row.system.clone(), row.attr.clone())) {
                        Some(NotDescribed::Unsteady(why)) => (Outcome::Failed, why.as_str()),
                        Some(NotDescribed::Error(error)) => (Outcome::Infrastructure, error.message.as_str()),
                        None => (Outcome::Failed, "the attribute names a derivation that its evaluation does not make"),
                    };
                    let fact = Fact { log_tail: Some(why.to_owned()), ..Fact::from(outcome) };
                    self.draft.facts.outcomes.entry(job.drv.clone()).or_insert(fact);
                }
            }
        }
        Ok(())
    }

    /// The attributes of one side that `wanted` names, described.
    async fn details(
        &self,
        side: Side,
        wanted: impl Fn(&DetailKey) -> bool,
        derivations: Derivations,
    ) -> Result<DescribedSide, Fault> {
        let mut described = DescribedSide::default();
        for jobset in &self.jobsets {
            for system in &jobset.systems {
                let attrs = self.attrs_of(side, jobset, system, &wanted);
                if attrs.is_empty() {
                    continue;
                }
                let describe =
                    Describe { what: self.what(side, jobset, system), attrs, derivations, cancelled: self.cancelled.clone() };
                let details = match self.desk.evaluator.ask(describe).await.map_err(house)? {
                    Ok(details) => details,
                    Err(EvaluateError::Cancelled) => return Err(Fault::Cancelled),
                    Err(error) => return Err(house(error)),
                };
                if let Some((attr, error)) = details.failed.iter().next() {
                    tracing::warn!(%attr, "not described: {error}");
                }
                let key = |attr: &AttrPath| (jobset.name.clone(), system.clone(), attr.clone());
                described.details.extend(details.details.iter().map(|(attr, detail)| (key(attr), detail.clone())));
                described.failed.extend(details.failed.iter().map(|(attr, error)| (key(attr), error.clone())));
            }
        }
        Ok(described)
    }

    fn attrs_of(
        &self,
        side: Side,
        jobset: &Jobset,
        system: &System,
        wanted: &impl Fn(&DetailKey) -> bool,
    ) -> Vec<(AttrPath, DrvPath)> {
        let rows = self.draft.comparison.rows.iter().filter(|row| row.jobset == jobset.name && row.system == *system);
        rows.filter(|row| wanted(&(row.jobset.clone(), row.system.clone(), row.attr.clone())))
            .filter_map(|row| Some((row.attr.clone(), self.job(side, row)?.drv.clone())))
            .collect()
    }

    fn job<'a>(&self, side: Side, row: &'a crate::review::Row) -> Option<&'a Job> {
        match side {
            Side::Base => row.base.as_ref(),
            Side::Head => row.head.as_ref(),
        }
    }

    /// Head first; then of the base what the categories still need.
    async fn build(&mut self) -> Result<(), Fault> {
        let lookups: BTreeSet<DrvPath> = self.draft.comparison.head_lookups().into_iter().collect();
        self.look_up(Side::Head, &lookups).await?;
        let mut targets = self.draft.comparison.head_targets();
        targets.retain(|drv| self.draft.facts.outcome(drv).is_none());
        self.want(Side::Head, targets).await?;
        let mut asked = BTreeSet::new();
        loop {
            let needed = self.draft.comparison.base_targets_for(&self.draft.facts, &self.draft.header.policy);
            // what was asked for and is still not known never will be
            let new: BTreeSet<DrvPath> = needed.into_iter().filter(|drv| !asked.contains(drv)).collect();
            if new.is_empty() {
                return Ok(());
            }
            asked.extend(new.iter().cloned());
            self.look_up(Side::Base, &new).await?;
            let unknown: BTreeSet<DrvPath> = new.into_iter().filter(|drv| self.draft.facts.outcome(drv).is_none()).collect();
            if unknown.is_empty() {
                continue;
            }
            let wanted: BTreeSet<DetailKey> = self
                .draft
                .comparison
                .rows
                .iter()
                .filter(|row| row.base.as_ref().is_some_and(|job| unknown.contains(&job.drv)))
                .map(|row| (row.jobset.clone(), row.system.clone(), row.attr.clone()))
                .collect();
            let described = self.details(Side::Base, |key| wanted.contains(key), Derivations::Written).await?;
            self.read_back(Side::Base, unknown.clone(), &described.failed).await?;
            let targets = unknown.into_iter().filter(|drv| self.draft.facts.outcome(drv).is_none()).collect();
            self.want(Side::Base, targets).await?;
        }
    }

    /// What needs no build to be known: valid outputs, remembered failures.
    async fn look_up(&mut self, side: Side, drvs: &BTreeSet<DrvPath>) -> Result<(), Fault> {
        let rows = self.draft.comparison.rows.iter();
        let jobs: Vec<Job> = rows.filter_map(|row| self.job(side, row)).filter(|job| drvs.contains(&job.drv)).cloned().collect();
        let outputs: BTreeSet<_> = jobs.iter().flat_map(|job| job.outputs.values().flatten().cloned()).collect();
        let valid = self.desk.store.valid_paths(&outputs).await.map_err(house)?;
        let mut rest = Vec::new();
        for job in jobs {
            if !job.outputs.is_empty() && job.outputs.values().all(|path| path.as_ref().is_some_and(|path| valid.contains(path)))
            {
                self.draft.facts.outcomes.insert(job.drv, Fact::from(Outcome::Succeeded));
            } else {
                rest.push(job.drv);
            }
        }
        if self.order.wishes.retry == Retry::BuildAgain {
            return Ok(());
        }
        for (drv, remembered) in self.desk.db.outcomes(&rest).await.map_err(house)? {
            let fact = self.fact(&drv, remembered.outcome, None, remembered.message).await;
            self.draft.facts.outcomes.insert(drv, fact);
        }
        Ok(())
    }

    /// Has derivations built, and waits until each is settled.
    async fn want(&mut self, side: Side, drvs: Vec<DrvPath>) -> Result<(), Fault> {
        let mut open: HashMap<DrvPath, Target> = self.targets(side, drvs);
        while !open.is_empty() {
            let scheduler = self.desk.scheduler.clone();
            let replaced = scheduler.replaced();
            tokio::pin!(replaced);
            let want = Want {
                review: self.order.id.clone(),
                side,
                targets: open.values().cloned().collect(),
                retry: self.order.wishes.retry,
                report_to: self.report_to.clone(),
            };
            scheduler.ask(want).await.map_err(house)?.map_err(house)?;
            let mut unpublished = false;
            while !open.is_empty() {
                tokio::select! {
                    settled = self.inbox.recv() => {
                        let Some(settled) = settled else { return Err(Fault::Cancelled) };
                        open.remove(&settled.drv);
                        self.settle(settled).await?;
                        unpublished = true;
                    }
                    () = tokio::time::sleep_until(self.draft.due().into()), if unpublished => {
                        self.publish().await?;
                        unpublished = false;
                    }
                    // its successor knows nothing of what was wanted
                    () = &mut replaced => break,
                }
            }
        }
        Ok(())
    }

    fn targets(&self, side: Side, drvs: Vec<DrvPath>) -> HashMap<DrvPath, Target> {
        let details = match side {
            Side::Base => &self.draft.facts.base_details,
            Side::Head => &self.draft.facts.head_details,
        };
        let mut targets: HashMap<DrvPath, Target> = drvs.into_iter().map(|drv| (drv.clone(), Target::new(drv))).collect();
        for row in &self.draft.comparison.rows {
            let key = (row.jobset.clone(), row.system.clone(), row.attr.clone());
            let (Some(job), Some(detail)) = (self.job(side, row), details.get(&key)) else { continue };
            if let Some(target) = targets.get_mut(&job.drv) {
                // the longest among those who wait
                target.timeout = target.timeout.max(detail.timeout);
                target.max_silent = target.max_silent.max(detail.max_silent);
            }
        }
        targets
    }

    async fn settle(&mut self, settled: Settled) -> Result<(), Fault> {
        let fact = self.fact(&settled.drv, settled.outcome, settled.root_cause.clone(), settled.message).await;
        if let Some(cause) = &settled.root_cause
            && !self.draft.facts.outcomes.contains_key(cause)
        {
            let remembered = self.desk.db.outcomes(std::slice::from_ref(cause)).await.map_err(house)?;
            let message = remembered.get(cause).and_then(|remembered| remembered.message.clone());
            let outcome = settled.root_outcome.unwrap_or(Outcome::Failed);
            let cause_fact = self.fact(cause, outcome, None, message).await;
            self.draft.facts.outcomes.insert(cause.clone(), cause_fact);
        }
        self.draft.facts.outcomes.insert(settled.drv, fact);
        Ok(())
    }

    async fn fact(&self, drv: &DrvPath, outcome: Outcome, root_cause: Option<DrvPath>, message: Option<String>) -> Fact {
        let mut fact = Fact { outcome, root_cause, log_tail: None, log_url: None };
        if outcome.is_failure() && fact.root_cause.is_none() {
            // a log that can't be read is no reason to lose the outcome
            let log = self.desk.logs.read(drv.base_name(), None, LogRange::Tail(TAIL_LINES)).await.unwrap_or_else(|error| {
                tracing::warn!("the log of {drv} can't be read: {error}");
                None
            });
            if let Some(log) = log {
                fact.log_tail = Some(String::from_utf8_lossy(&log.bytes).into_owned()).filter(|tail| !tail.trim().is_empty());
                fact.log_url = match self.desk.log_urls {
                    LogUrls::Server => Some(format!("/api/logs/{}", drv.base_name())),
                    LogUrls::Files => self.desk.logs.latest_file(drv).map(|file| format!("file://{}", file.display())),
                };
            }
        }
        if fact.log_tail.is_none() && !outcome.is_success() {
            fact.log_tail = message;
        }
        fact
    }
}

fn house(error: impl std::fmt::Display) -> Fault {
    Fault::House(error.to_string())
}
