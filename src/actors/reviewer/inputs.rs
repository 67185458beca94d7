//! The derivations that changed attributes are made of, read from the store; and from them what stands between a failing attribute and
//! its cause.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Fault;
use super::run::{Run, house};
use crate::db::Part;
use crate::domain::{Detail, DrvPath, Outcome, StorePath};
use crate::review::blame::Blame;
use crate::review::growth::Growth;
use crate::review::inputs::{Id, Inputs, MadeOf};
use crate::review::sources::{Fetched, changed_sources};
use crate::review::{DetailKey, Facts};
use crate::store::Derivation;
use crate::store::derivation::DerivationError;

/// While builds go on, the tree of failures is worked out at most so often.
const PAUSE: Duration = Duration::from_secs(10);

/// When to work out the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    IfDue,
    Now,
}

/// What was read so far.
#[derive(Default)]
pub struct Known {
    inputs: Inputs,
    /// How many attributes failed because of others when the tree was worked out last, and when that was.
    blamed: Option<(usize, Instant)>,
}

impl Run {
    /// Stores what stands between the failing attributes of head and what failed by itself.
    pub(super) async fn blame(&mut self, when: When) -> Result<(), Fault> {
        let heads = self.draft.comparison.rows.iter().filter_map(|row| row.head.as_ref()).map(|job| &job.drv);
        let failing: BTreeSet<DrvPath> =
            heads.filter(|drv| self.draft.facts.outcome(drv) == Some(Outcome::DependencyFailed)).cloned().collect();
        let is_due = match self.known.blamed {
            None => !failing.is_empty(),
            Some((number, at)) => number != failing.len() && (when == When::Now || at.elapsed() >= PAUSE),
        };
        if !is_due {
            return Ok(());
        }
        let number = failing.len();
        let roots = self.read_below(failing).await?;
        let outcomes: HashMap<DrvPath, Outcome> =
            self.draft.facts.outcomes.iter().map(|(drv, fact)| (drv.clone(), fact.outcome)).collect();
        let blame = self.blamed(&roots, &outcomes, HashSet::new()).await?;
        // what the store has needs nothing: no failure of those below it reaches those above it
        let inputs = &self.known.inputs;
        let made = blame.paths().filter_map(|drv| inputs.node(inputs.id(drv)?).made_of.as_ref());
        let outputs: BTreeSet<StorePath> = made.flat_map(|made| &made.outputs).cloned().collect();
        let there = self.desk.store.valid_paths(&outputs).await.map_err(house)?;
        let blame = if there.is_empty() { blame } else { self.blamed(&roots, &outcomes, there.into_iter().collect()).await? };
        self.desk.db.save_evidence(&self.order.id, Part::Tree, Arc::new(blame)).await.map_err(house)?;
        self.known.blamed = Some((number, Instant::now()));
        Ok(())
    }

    /// Reads what the changed attributes are made of, on both sides.
    pub(super) async fn read_inputs(&mut self) -> Result<(), Fault> {
        let rows = self.draft.comparison.rows.iter().filter(|row| row.base.is_some() && row.head.is_some());
        let drvs = rows.flat_map(|row| [&row.base, &row.head]).flatten().map(|job| job.drv.clone()).collect();
        self.read_below(drvs).await.map(drop)
    }

    /// Finds sources whose hash changed while nothing else did.
    pub(super) async fn compare_sources(&mut self) -> Result<(), Fault> {
        self.read_inputs().await?;
        let inputs = std::mem::take(&mut self.known.inputs);
        let comparison = self.draft.comparison.clone();
        let versions = |details: &HashMap<DetailKey, Detail>| -> HashMap<DetailKey, String> {
            details.iter().filter_map(|(key, detail)| Some((key.clone(), detail.version.clone()?))).collect()
        };
        let (base, head) = (versions(&self.draft.facts.base_details), versions(&self.draft.facts.head_details));
        let worked_out = tokio::task::spawn_blocking(move || {
            let sources = changed_sources(&comparison, &inputs, |key| (base.get(key).cloned(), head.get(key).cloned()));
            (inputs, sources)
        });
        let (inputs, sources) = worked_out.await.map_err(house)?;
        self.known.inputs = inputs;
        self.draft.facts.sources = sources;
        Ok(())
    }

    /// Stores what the closures are made of.
    pub(super) async fn keep_growth(&mut self) -> Result<(), Fault> {
        self.read_inputs().await?;
        let outputs: BTreeSet<StorePath> = self.known.inputs.outputs().cloned().collect();
        let infos = self.desk.store.path_infos(&outputs).await.map_err(house)?;
        let weights: BTreeMap<StorePath, u64> = infos.into_iter().map(|(path, info)| (path, info.nar_bytes)).collect();
        let inputs = std::mem::take(&mut self.known.inputs);
        // copies: a review that is cancelled meanwhile still reports what it knew
        let comparison = self.draft.comparison.clone();
        let facts = Facts { closures: self.draft.facts.closures.clone(), ..Facts::default() };
        let worked_out = tokio::task::spawn_blocking(move || {
            let growth = Growth::of(&comparison, &facts, &inputs, &weights);
            (inputs, growth)
        });
        let (inputs, growth) = worked_out.await.map_err(house)?;
        self.known.inputs = inputs;
        self.desk.db.save_evidence(&self.order.id, Part::Closures, Arc::new(growth)).await.map_err(house)
    }

    async fn blamed(
        &mut self,
        roots: &[Id],
        outcomes: &HashMap<DrvPath, Outcome>,
        there: HashSet<StorePath>,
    ) -> Result<Blame, Fault> {
        let inputs = std::mem::take(&mut self.known.inputs);
        let (roots, outcomes) = (roots.to_vec(), outcomes.clone());
        // tens of thousands of derivations, during which the house would answer nobody
        let worked_out = tokio::task::spawn_blocking(move || {
            let blame = Blame::of(&inputs, roots, &outcomes, &there);
            (inputs, blame)
        });
        let (inputs, blame) = worked_out.await.map_err(house)?;
        self.known.inputs = inputs;
        Ok(blame)
    }

    /// Reads what these are made of, as far as it was not read before and the store has it; their numbers.
    pub(super) async fn read_below(&mut self, roots: BTreeSet<DrvPath>) -> Result<Vec<Id>, Fault> {
        let mut inputs = std::mem::take(&mut self.known.inputs);
        let read = tokio::task::spawn_blocking(move || {
            let roots: Vec<Id> = roots.iter().map(|drv| inputs.number(drv)).collect();
            read_below(&mut inputs, &roots);
            (inputs, roots)
        });
        let (inputs, roots) = read.await.map_err(house)?;
        self.known.inputs = inputs;
        Ok(roots)
    }
}

fn read_below(inputs: &mut Inputs, roots: &[Id]) {
    let mut seen: HashSet<Id> = HashSet::new();
    let mut stack = roots.to_vec();
    while let Some(id) = stack.pop() {
        if !seen.insert(id) {
            continue;
        }
        if inputs.node(id).made_of.is_none() {
            match Derivation::read(&inputs.node(id).drv) {
                Ok(derivation) => {
                    let needs = derivation.input_drvs.keys().map(|drv| inputs.number(drv)).collect();
                    let outputs = derivation.outputs.values().filter_map(|output| output.path.clone()).collect();
                    inputs.put(id, MadeOf { needs, outputs, fetched: fetched(&derivation) });
                }
                // a base that was never built was never written
                Err(DerivationError::Unreadable { .. }) => {}
                Err(error @ DerivationError::Malformed { .. }) => tracing::warn!("{error}"),
            }
        }
        stack.extend(inputs.needs(id));
    }
}

/// What says what is fetched, besides the address and the hash.
const WHAT: [&str; 15] = [
    "name",
    "rev",
    "ref",
    "tag",
    "branchName",
    "module",
    "rootDir",
    "sparseCheckout",
    "nonConeMode",
    "fetchSubmodules",
    "fetchLFS",
    "leaveDotGit",
    "deepClone",
    "postFetch",
    "outputHashMode",
];

fn fetched(derivation: &Derivation) -> Option<Fetched> {
    if !derivation.is_fixed_output() {
        return None;
    }
    let words = |name: &str| derivation.words(name);
    let urls: BTreeSet<String> = ["url", "urls"].into_iter().flat_map(words).collect();
    let what: BTreeMap<String, String> =
        WHAT.into_iter().map(|name| (name.to_owned(), words(name).join(" "))).filter(|(_, text)| !text.is_empty()).collect();
    let hash = words("outputHash").join(" ");
    let output = derivation.outputs.values().find_map(|output| output.path.clone());
    Some(Fetched { urls, what, hash, output })
}
