//! Builds for a review: what is known already, what is asked of the Scheduler, what settles.

use std::collections::{BTreeSet, HashMap};

use super::run::{Run, house};
use super::{Fault, LogUrls};
use crate::actors::evaluator::Derivations;
use crate::actors::scheduler::{Retry, Settled, Target, Want};
use crate::domain::{DrvPath, Job, Outcome, Side};
use crate::review::decisive::{Excerpt, SEARCHED_LINES};
use crate::review::{DetailKey, Fact};
use crate::store::logs::LogRange;

/// Lines of a failed build's log that the report shows.
const TAIL_LINES: usize = 25;

impl Run {
    /// Head first; then of the base what the categories still need.
    pub(super) async fn build(&mut self) -> Result<(), Fault> {
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
    pub(super) async fn look_up(&mut self, side: Side, drvs: &BTreeSet<DrvPath>) -> Result<(), Fault> {
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
    pub(super) async fn want(&mut self, side: Side, drvs: Vec<DrvPath>) -> Result<(), Fault> {
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

    pub(super) fn targets(&self, side: Side, drvs: Vec<DrvPath>) -> HashMap<DrvPath, Target> {
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

    pub(super) async fn settle(&mut self, settled: Settled) -> Result<(), Fault> {
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

    pub(super) async fn fact(
        &self,
        drv: &DrvPath,
        outcome: Outcome,
        root_cause: Option<DrvPath>,
        message: Option<String>,
    ) -> Fact {
        let mut fact = Fact { root_cause, ..Fact::from(outcome) };
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
                fact.decisive = self.decisive(drv, outcome).await;
            }
        }
        if fact.log_tail.is_none() && !outcome.is_success() {
            fact.log_tail = message;
        }
        fact
    }

    /// Of a build that its own commands ended. What was stopped from outside (time, memory, limits) was doing whatever its last
    /// lines say.
    async fn decisive(&self, drv: &DrvPath, outcome: Outcome) -> Option<Excerpt> {
        if !matches!(outcome, Outcome::Failed | Outcome::HashMismatch) {
            return None;
        }
        let page = self.desk.logs.page(drv.base_name(), None, None, SEARCHED_LINES).await.ok().flatten()?;
        let chosen = tokio::task::spawn_blocking(move || {
            let text = String::from_utf8_lossy(&page.text);
            let lines: Vec<&str> = text.lines().collect();
            Excerpt::of(page.attempt.to_string(), &lines, page.total)
        });
        chosen.await.ok().flatten()
    }
}
