//! What changed is described: names, versions, `meta`; and what may be built is written to the store.

use std::collections::{BTreeSet, HashMap};

use super::run::{DescribedSide, Run, house};
use super::{Fault, written};
use crate::actors::evaluator::{Derivations, Describe, EvaluateError};
use crate::config::repository::Jobset;
use crate::domain::{AttrPath, DrvPath, Job, Outcome, Side, System};
use crate::eval::NotDescribed;
use crate::review::{DetailKey, Fact};

impl Run {
    /// Names, versions and `meta` of what changed; what may be built on head is written to the store.
    pub(super) async fn describe(&mut self) -> Result<(), Fault> {
        let derivations = if self.draft.facts.building { Derivations::Written } else { Derivations::Computed };
        let head: BTreeSet<DetailKey> = self.draft.comparison.details_wanted(Side::Head).into_iter().collect();
        let base: BTreeSet<DetailKey> = self.draft.comparison.details_wanted(Side::Base).into_iter().collect();
        let (head, base) = tokio::join!(
            self.details(Side::Head, |key| head.contains(key), derivations),
            // what the base is made of is evidence too: closures of builds, sources whose hash changed
            self.details(Side::Base, |key| base.contains(key), derivations),
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
    pub(super) async fn read_back(
        &mut self,
        side: Side,
        drvs: BTreeSet<DrvPath>,
        failed: &HashMap<DetailKey, NotDescribed>,
    ) -> Result<(), Fault> {
        let written = written::outputs(drvs).await?;
        for row in &mut self.draft.comparison.rows {
            let is_to_be_built = row.is_to_be_built();
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
                Some(None) if !is_to_be_built && side == Side::Head => {}
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
    pub(super) async fn details(
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

    pub(super) fn attrs_of(
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

    pub(super) fn job<'a>(&self, side: Side, row: &'a crate::review::Row) -> Option<&'a Job> {
        match side {
            Side::Base => row.base.as_ref(),
            Side::Head => row.head.as_ref(),
        }
    }
}
