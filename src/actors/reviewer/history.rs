//! How derivations stand, kept for later reviews; and since when the base fails, from what earlier ones kept.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Fault;
use super::run::{Run, house};
use crate::db::{BranchKey, Evaluated};
use crate::domain::{Attr, AttrPath, DrvPath, Evaluation, Job, JobsetName, Outcome, Side, StorePath, System};
use crate::review::category::category;
use crate::review::history::{Point, Stand, history};
use crate::review::report::Category;

/// Commits of the base branch that are looked at.
const DEPTH: usize = 500;
/// Evaluations that are read for it, the latest; each takes milliseconds.
const EVALUATIONS: usize = 100;

/// The failing attributes of one jobset on one system, each with what is known of it so far, the base first.
type Stands = BTreeMap<AttrPath, Vec<Stand>>;

impl Run {
    /// The state of the base branch goes into its history: a branch's page and the search read it. The review does not wait for it.
    pub(super) fn note_base(&self, base: &[Evaluation]) {
        // a one-shot review is of a repository that is not stored
        let (Some(branch), Some(_)) = (&self.order.base.reference, self.order.number) else { return };
        let key = BranchKey { repository: self.order.repository.clone(), branch: branch.clone() };
        let of = |evaluation: &Evaluation| {
            let (jobset, system) = (evaluation.jobset.clone(), evaluation.system.clone());
            let one = move |(attr, is): (&AttrPath, &Attr)| Evaluated {
                jobset: jobset.clone(),
                system: system.clone(),
                attr: attr.clone(),
                drv: match is {
                    Attr::Derivation(job) => Some(job.drv.clone()),
                    Attr::Failed(_) => None,
                },
            };
            evaluation.attrs.iter().map(one).collect::<Vec<_>>()
        };
        let all: Vec<Evaluated> = base.iter().flat_map(of).collect();
        let seconds: f64 =
            self.draft.header.evaluations.iter().filter(|row| row.side == Side::Base).map(|row| row.wall_seconds).sum();
        let evaluated = self.draft.header.evaluations.iter().any(|row| row.side == Side::Base && row.attrs_evaluated > 0);
        let (db, rev) = (self.desk.db.clone(), self.order.base.rev.clone());
        tokio::spawn(async move {
            if let Err(error) = db.note_point(&key, &rev, all, evaluated.then_some(seconds)).await {
                tracing::warn!("the state of {} at {rev} can't be noted: {error}", key.branch);
            }
        });
    }

    /// How large the closures of this review's outputs are, for graphs.
    pub(super) async fn keep_closure_sizes(&self) -> Result<(), Fault> {
        let sizes = self.draft.facts.closures.iter().map(|(drv, closure)| (drv.clone(), closure.bytes)).collect();
        self.desk.db.save_closure_sizes(sizes).await.map_err(house)
    }

    /// What this review knows of derivations, for those that come after it.
    pub(super) async fn keep_standings(&self) -> Result<(), Fault> {
        let says_something = |outcome: Outcome| outcome.is_success() || outcome.is_failure();
        let known = self.draft.facts.outcomes.iter().filter(|(_, fact)| says_something(fact.outcome));
        let standings: Vec<(DrvPath, Outcome)> = known.map(|(drv, fact)| (drv.clone(), fact.outcome)).collect();
        self.desk.db.save_standings(standings).await.map_err(house)
    }

    /// Since when what still fails has been failing on the base branch.
    pub(super) async fn search_history(&mut self) -> Result<(), Fault> {
        let mut failing: BTreeMap<(JobsetName, System), Stands> = BTreeMap::new();
        for row in &self.draft.comparison.rows {
            if category(row, &self.draft.facts, &self.draft.header.policy) == Category::StillFailing && row.base.is_some() {
                let of = failing.entry((row.jobset.clone(), row.system.clone())).or_default();
                of.insert(row.attr.clone(), Vec::new());
            }
        }
        if failing.is_empty() {
            return Ok(());
        }
        // the verdict need not wait for it
        self.publish().await?;
        let commits = self.order.git.first_parents(&self.order.base.rev, DEPTH).await.map_err(house)?;
        let points: Vec<Point> = commits
            .iter()
            .map(|commit| Point {
                rev: commit.id.clone(),
                committed_at: commit.committed_at.to_string(),
                subject: commit.subject.clone(),
            })
            .collect();
        for ((jobset, system), mut stands) in failing {
            let trees = commits.iter().map(|commit| commit.tree.clone()).collect::<Vec<_>>();
            let keys = self.desk.db.evaluations_of(&trees, &jobset, &system).await.map_err(house)?;
            let mut read = 0;
            for tree in &trees {
                let open = |stands: &&Vec<Stand>| !stands.last().is_some_and(|stand| stand.ends_the_search());
                if read == EVALUATIONS || !stands.values().any(|stands| open(&stands)) {
                    break;
                }
                let evaluation = match keys.get(tree) {
                    Some(key) => self.desk.db.evaluation(key).await.map_err(house)?,
                    None => None,
                };
                let Some(evaluation) = evaluation else {
                    stands.values_mut().filter(|stands| open(&&**stands)).for_each(|stands| stands.push(Stand::Unknown));
                    continue;
                };
                read += 1;
                let open: Vec<AttrPath> = stands.iter().filter(|(_, of)| open(of)).map(|(attr, _)| attr.clone()).collect();
                let jobs = open.iter().filter_map(|attr| match evaluation.attrs.get(attr) {
                    Some(Attr::Derivation(job)) => Some(job),
                    Some(Attr::Failed(_)) | None => None,
                });
                let known = self.how_they_stand(jobs).await?;
                for attr in open {
                    let stand = match evaluation.attrs.get(&attr) {
                        Some(Attr::Derivation(job)) => known.get(&job.drv).copied().unwrap_or(Stand::Unknown),
                        Some(Attr::Failed(_)) => Stand::Broken,
                        None => Stand::Absent,
                    };
                    stands.entry(attr).or_default().push(stand);
                }
            }
            for (attr, stands) in &stands {
                if let Some(history) = history(attr, &points, stands) {
                    let key = (jobset.clone(), system.clone(), attr.clone());
                    self.draft.facts.histories.insert(key, history);
                }
            }
        }
        Ok(())
    }

    /// From this review, from earlier ones, from the failures that are remembered, and from what is in the store.
    async fn how_they_stand<'a>(&self, jobs: impl Iterator<Item = &'a Job>) -> Result<HashMap<DrvPath, Stand>, Fault> {
        let mut known = HashMap::new();
        let mut open: Vec<&Job> = Vec::new();
        for job in jobs {
            match self.draft.facts.outcome(&job.drv).and_then(stand) {
                Some(stand) => {
                    known.insert(job.drv.clone(), stand);
                }
                None => open.push(job),
            }
        }
        let drvs: Vec<DrvPath> = open.iter().map(|job| job.drv.clone()).collect();
        let standings = self.desk.db.standings(&drvs).await.map_err(house)?;
        let remembered = self.desk.db.outcomes(&drvs).await.map_err(house)?;
        let outputs: BTreeSet<StorePath> = open.iter().flat_map(|job| job.outputs.values().flatten().cloned()).collect();
        let there = self.desk.store.valid_paths(&outputs).await.map_err(house)?;
        for job in open {
            let is_there = !job.outputs.is_empty()
                && job.outputs.values().all(|path| path.as_ref().is_some_and(|path| there.contains(path)));
            let outcome = remembered.get(&job.drv).map(|remembered| remembered.outcome).or(standings.get(&job.drv).copied());
            if let Some(stand) = if is_there { Some(Stand::Good) } else { outcome.and_then(stand) } {
                known.insert(job.drv.clone(), stand);
            }
        }
        Ok(known)
    }
}

fn stand(outcome: Outcome) -> Option<Stand> {
    match outcome {
        outcome if outcome.is_success() => Some(Stand::Good),
        outcome if outcome.is_failure() => Some(Stand::Broken),
        _nobodys_fault => None,
    }
}
