//! Two sets of evaluations become rows: what was added, removed, changed; and evaluation errors: new, fixed, still.
//!
//! What becomes of an attribute, by what it was and what it is (`tests::each_transition`):
//!
//! | base \ head | derivation                         | error       | absent        |
//! |-------------|------------------------------------|-------------|---------------|
//! | derivation  | the same: no row¹; else: changed   | error new   | removed       |
//! | error       | added, error fixed                 | error still | error fixed   |
//! | absent      | added                              | error new   | –             |
//!
//! ¹ but where somebody asked for it to be built: `same`.
//!
//! Whatever lies below an attribute that errs shares its error: when a set that held derivations throws on head they are not
//! removed but hidden by a new error, and when it threw on the base what appears below it was broken, not lacking.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::Policy;
use super::category::awaits_base;
use super::facts::{DetailKey, Facts};
use super::report::{ChangeKind, EvalErrorRow, EvalErrorStatus};
use crate::domain::{Attr, AttrPath, DrvPath, EvalError, Evaluation, Job, JobsetName, Side, StorePath, System};

/// What differs between the evaluations of base and head, before anything is built.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Ordered by jobset, system, attribute.
    pub rows: Vec<Row>,
    /// Derivations that are the same on both sides, counted once for each jobset and system.
    pub unchanged: u64,
    /// Ordered by jobset, system, attribute.
    pub eval_errors: Vec<EvalErrorRow>,
}

/// The attributes of one jobset on one system that share a derivation on head and share one on the base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub jobset: JobsetName,
    pub system: System,
    /// The shortest name.
    pub attr: AttrPath,
    pub aliases: Vec<AttrPath>,
    pub change: ChangeKind,
    /// At least one head output is absent from all base outputs.
    pub rebuild: bool,
    pub base: Option<Job>,
    /// The base has the attribute, or a set that it lies in, as an evaluation error.
    pub base_errored: bool,
    pub head: Option<Job>,
}

impl Row {
    /// Its head derivation is to be built.
    pub fn is_to_be_built(&self) -> bool {
        self.rebuild || self.change == ChangeKind::Same
    }

    fn key(&self) -> DetailKey {
        (self.jobset.clone(), self.system.clone(), self.attr.clone())
    }
}

/// The evaluations of one jobset on one system: of base and head.
type Sides<'a> = (Option<&'a Evaluation>, Option<&'a Evaluation>);

/// Pairs the evaluations by jobset and system. A jobset that only one side has is added or removed as a whole.
pub fn compare(base: &[Evaluation], head: &[Evaluation]) -> Comparison {
    let on_base = BaseStore::of(base);
    let mut pairs: BTreeMap<(&JobsetName, &System), Sides> = BTreeMap::new();
    for evaluation in base {
        pairs.entry((&evaluation.jobset, &evaluation.system)).or_default().0 = Some(evaluation);
    }
    for evaluation in head {
        pairs.entry((&evaluation.jobset, &evaluation.system)).or_default().1 = Some(evaluation);
    }
    let mut comparison = Comparison::default();
    for ((jobset, system), (base, head)) in pairs {
        let pair = Pair { jobset, system, base: Half::of(base), head: Half::of(head) };
        comparison.unchanged += pair.unchanged();
        comparison.rows.extend(pair.rows(&on_base));
        comparison.eval_errors.extend(pair.errors());
    }
    comparison
}

/// Everything that the base can put into a store, of all its evaluations: a derivation that merely moved to another name or
/// jobset costs nothing.
struct BaseStore<'a> {
    outputs: HashSet<&'a StorePath>,
    drvs: HashSet<&'a DrvPath>,
}

impl<'a> BaseStore<'a> {
    fn of(base: &'a [Evaluation]) -> Self {
        let mut store = Self { outputs: HashSet::new(), drvs: HashSet::new() };
        for attr in base.iter().flat_map(|evaluation| evaluation.attrs.values()) {
            if let Attr::Derivation(job) = attr {
                store.outputs.extend(job.outputs.values().flatten());
                store.drvs.insert(&job.drv);
            }
        }
        store
    }

    fn lacks(&self, job: &Job) -> bool {
        !self.drvs.contains(&job.drv)
            && (job.outputs.is_empty()
                || job.outputs.values().any(|path| path.as_ref().is_none_or(|path| !self.outputs.contains(path))))
    }
}

/// One evaluation, by what its attributes are.
#[derive(Default)]
struct Half<'a> {
    jobs: BTreeMap<&'a AttrPath, &'a Job>,
    errors: BTreeMap<&'a AttrPath, &'a EvalError>,
    by_names: HashMap<&'a [String], (&'a AttrPath, &'a EvalError)>,
}

impl<'a> Half<'a> {
    fn of(evaluation: Option<&'a Evaluation>) -> Self {
        let mut half = Self::default();
        for (path, attr) in evaluation.into_iter().flat_map(|evaluation| &evaluation.attrs) {
            match attr {
                Attr::Derivation(job) => {
                    half.jobs.insert(path, job);
                }
                Attr::Failed(error) => {
                    half.errors.insert(path, error);
                    half.by_names.insert(path.names(), (path, error));
                }
            }
        }
        half
    }

    /// The error of the attribute itself, else of the nearest set that it lies in.
    fn error_at(&self, path: &AttrPath) -> Option<(&'a AttrPath, &'a EvalError)> {
        if self.by_names.is_empty() {
            return None;
        }
        (0..=path.names().len()).rev().find_map(|length| self.by_names.get(&path.names()[..length]).copied())
    }
}

/// Attributes of one row: (head derivation, base derivation, whether the base erred).
type RowKey<'a> = (Option<&'a DrvPath>, Option<&'a DrvPath>, bool);

/// One jobset on one system, on both sides.
struct Pair<'a> {
    jobset: &'a JobsetName,
    system: &'a System,
    base: Half<'a>,
    head: Half<'a>,
}

impl<'a> Pair<'a> {
    fn unchanged(&self) -> u64 {
        let same = |(path, job): &(&&AttrPath, &&Job)| self.base.jobs.get(**path).is_some_and(|base| base.drv == job.drv);
        self.head.jobs.iter().filter(same).map(|(_, job)| &job.drv).collect::<HashSet<_>>().len() as u64
    }

    fn rows(&self, on_base: &BaseStore) -> Vec<Row> {
        let mut groups: BTreeMap<RowKey, Vec<&'a AttrPath>> = BTreeMap::new();
        for (path, head) in &self.head.jobs {
            let base = self.base.jobs.get(path).map(|job| &job.drv);
            if base != Some(&head.drv) {
                let errored = base.is_none() && self.base.error_at(path).is_some();
                groups.entry((Some(&head.drv), base, errored)).or_default().push(path);
            }
        }
        for (path, base) in &self.base.jobs {
            if !self.head.jobs.contains_key(path) && self.head.error_at(path).is_none() {
                groups.entry((None, Some(&base.drv), false)).or_default().push(path);
            }
        }
        let mut rows: Vec<Row> = groups.into_iter().map(|(key, paths)| self.row(key, paths, on_base)).collect();
        rows.sort_by(|a, b| a.attr.cmp(&b.attr));
        rows
    }

    fn row(&self, (head, base, base_errored): RowKey, mut paths: Vec<&'a AttrPath>, on_base: &BaseStore) -> Row {
        paths.sort_by_cached_key(|path| (path.to_string().chars().count(), *path));
        let rebuild = paths.iter().filter_map(|path| self.head.jobs.get(path)).any(|job| on_base.lacks(job));
        let attr = paths[0];
        Row {
            jobset: self.jobset.clone(),
            system: self.system.clone(),
            attr: attr.clone(),
            aliases: paths[1..].iter().map(|path| (*path).clone()).collect(),
            change: match (base, head) {
                (Some(_), Some(_)) => ChangeKind::Changed,
                (Some(_), None) => ChangeKind::Removed,
                (None, _) => ChangeKind::Added,
            },
            rebuild,
            base: self.base.jobs.get(attr).map(|job| (*job).clone()),
            base_errored,
            head: self.head.jobs.get(attr).map(|job| (*job).clone()),
        }
    }

    fn errors(&self) -> Vec<EvalErrorRow> {
        let mut hidden: HashMap<&AttrPath, u64> = HashMap::new();
        for path in self.base.jobs.keys().filter(|path| !self.head.jobs.contains_key(*path)) {
            if let Some((at, _)) = self.head.error_at(path).filter(|(at, _)| at != path) {
                *hidden.entry(at).or_default() += 1;
            }
        }
        let paths: BTreeSet<&AttrPath> = self.base.errors.keys().chain(self.head.errors.keys()).copied().collect();
        let row = |path: &'a AttrPath| {
            let (status, error) = match (self.base.error_at(path), self.head.error_at(path)) {
                (None, Some((_, error))) => (EvalErrorStatus::New, error),
                (Some((_, error)), None) => (EvalErrorStatus::Fixed, error),
                (Some(_), Some((_, error))) => (EvalErrorStatus::Still, error),
                (None, None) => return None, // not reached: the path comes from one of the two
            };
            Some(EvalErrorRow {
                jobset: self.jobset.clone(),
                attr: path.clone(),
                system: self.system.clone(),
                status,
                message: error.message.clone(),
                position: error.position.clone(),
                hides: hidden.get(path).copied().unwrap_or(0),
            })
        };
        paths.into_iter().filter_map(row).collect()
    }
}

impl Comparison {
    /// Rows for attributes that are the same on both sides, and that somebody wants to see built.
    pub fn with_asked(mut self, base: &[Evaluation], head: &[Evaluation], asked: &BTreeSet<AttrPath>) -> Self {
        for head in head {
            let base = base.iter().find(|base| (&base.jobset, &base.system) == (&head.jobset, &head.system));
            let rows = asked.iter().filter_map(|attr| {
                let (Attr::Derivation(on_head), Attr::Derivation(on_base)) = (head.attrs.get(attr)?, base?.attrs.get(attr)?)
                else {
                    return None;
                };
                (on_head.drv == on_base.drv).then(|| Row {
                    jobset: head.jobset.clone(),
                    system: head.system.clone(),
                    attr: attr.clone(),
                    aliases: Vec::new(),
                    change: ChangeKind::Same,
                    rebuild: false,
                    base: Some(on_base.clone()),
                    base_errored: false,
                    head: Some(on_head.clone()),
                })
            });
            self.rows.extend(rows);
        }
        self.rows.sort_by(|a, b| (&a.jobset, &a.system, &a.attr).cmp(&(&b.jobset, &b.system, &b.attr)));
        self
    }

    /// What has to be built: the head derivation of every rebuild, and what somebody asked for, each once.
    pub fn head_targets(&self) -> Vec<DrvPath> {
        once(self.rows.iter().filter(|row| row.is_to_be_built()).filter_map(|row| row.head.as_ref()))
    }

    /// Head derivations that are no rebuild: nothing is built for them, but where their outcome is known already (the outputs are
    /// valid, a failure is remembered) it belongs in the facts.
    pub fn head_lookups(&self) -> Vec<DrvPath> {
        once(self.rows.iter().filter(|row| !row.is_to_be_built()).filter_map(|row| row.head.as_ref()))
    }

    /// The base derivations that have to be built now, since the category of a row depends on their unknown outcome. Call it
    /// again as outcomes of head come in; a derivation whose outcome is in the facts is not named again.
    pub fn base_targets_for(&self, facts: &Facts, policy: &Policy) -> Vec<DrvPath> {
        once(self.rows.iter().filter(|row| awaits_base(row, facts, policy)).filter_map(|row| row.base.as_ref()))
    }

    /// The attributes whose details (package name, version, meta) the report shows.
    pub fn details_wanted(&self, side: Side) -> Vec<DetailKey> {
        let has = |row: &&Row| match side {
            Side::Base => row.base.is_some(),
            Side::Head => row.head.is_some(),
        };
        self.rows.iter().filter(has).map(Row::key).collect()
    }
}

/// Each derivation once, in the order of its first row.
fn once<'a>(jobs: impl Iterator<Item = &'a Job>) -> Vec<DrvPath> {
    let mut seen = HashSet::new();
    jobs.map(|job| &job.drv).filter(|drv| seen.insert(*drv)).cloned().collect()
}

#[cfg(test)]
mod tests;
