//! Who is to blame: rows that fail, gathered by the one derivation that failed by itself.

use std::collections::{BTreeSet, HashMap};

use super::facts::{DetailKey, Facts};
use super::report::{Category, Change, Failure};
use crate::domain::{AttrPath, DrvPath, Outcome};

impl Change {
    /// All names of the row, the shortest first.
    pub fn attrs(&self) -> impl Iterator<Item = &AttrPath> {
        std::iter::once(&self.attr).chain(&self.aliases)
    }

    /// What names the row's details and history.
    pub fn key(&self) -> DetailKey {
        (self.jobset.clone(), self.system.clone(), self.attr.clone())
    }

    /// The derivation that failed by itself, where head is known to fail.
    pub fn cause(&self) -> Option<&DrvPath> {
        let head = self.head.as_ref()?;
        head.outcome?.is_failure().then(|| head.root_cause.as_ref().unwrap_or(&head.drv))
    }
}

/// A root cause and the rows that fail because of it.
#[derive(Debug, Clone)]
pub struct Cause<'a> {
    pub drv: &'a DrvPath,
    /// The row of the derivation itself, where an attribute names it.
    pub own: Option<&'a Change>,
    pub blocked: Vec<&'a Change>,
}

impl<'a> Cause<'a> {
    /// The attribute that names the derivation, else the derivation's name.
    pub fn name(&self) -> String {
        self.own.map_or_else(|| self.drv.name().to_owned(), |own| own.attr.to_string())
    }

    /// Names of the attributes that it blocks; its own are not among them.
    pub fn blocked_attrs(&self) -> BTreeSet<&'a AttrPath> {
        let own: BTreeSet<_> = self.own.iter().flat_map(|change| change.attrs()).collect();
        self.blocked.iter().flat_map(|change| change.attrs()).filter(|attr| !own.contains(attr)).collect()
    }
}

/// The given rows by root cause: what blocks most comes first.
pub fn causes<'a>(changes: impl IntoIterator<Item = &'a Change>) -> Vec<Cause<'a>> {
    let mut causes: Vec<Cause<'a>> = Vec::new();
    let mut place: HashMap<&DrvPath, usize> = HashMap::new();
    for change in changes {
        let Some(drv) = change.cause() else { continue };
        let at = *place.entry(drv).or_insert_with(|| {
            causes.push(Cause { drv, own: None, blocked: Vec::new() });
            causes.len() - 1
        });
        let is_own = change.head.as_ref().is_some_and(|head| head.drv == *drv);
        if is_own && causes[at].own.is_none() {
            causes[at].own = Some(change);
        } else {
            causes[at].blocked.push(change);
        }
    }
    causes.sort_by_cached_key(|cause| (std::cmp::Reverse(cause.blocked_attrs().len()), cause.drv));
    causes
}

/// Every root cause on head: those that the change is answerable for first, then by how much they block.
pub fn failures(changes: &[Change], facts: &Facts) -> Vec<Failure> {
    let mut failures: Vec<(u8, Failure)> = causes(changes).iter().map(|cause| (weight(cause), failure(cause, facts))).collect();
    failures.sort_by_key(|(weight, _)| *weight);
    failures.into_iter().map(|(_, failure)| failure).collect()
}

fn weight(cause: &Cause) -> u8 {
    let of = |change: &&Change| match change.category {
        Category::NewlyFailing => 0,
        Category::NewFailing => 1,
        Category::Pending => 2,
        Category::StillFailing => 3,
        Category::NewlySucceeding
        | Category::StillSucceeding
        | Category::NewSucceeding
        | Category::Removed
        | Category::NotBuilt => 4,
    };
    cause.own.iter().chain(&cause.blocked).map(of).min().unwrap_or(4)
}

fn failure(cause: &Cause, facts: &Facts) -> Failure {
    let fact = facts.outcomes.get(cause.drv);
    let own: Vec<&AttrPath> = cause.own.iter().flat_map(|change| change.attrs()).collect();
    Failure {
        drv: cause.drv.clone(),
        // a dependant that fails names its root cause before the outcome of that is among the facts
        outcome: fact.map_or(Outcome::Failed, |fact| fact.outcome),
        attrs: own.into_iter().chain(cause.blocked_attrs()).cloned().collect(),
        log_tail: fact.and_then(|fact| fact.log_tail.clone()),
        log_url: fact.and_then(|fact| fact.log_url.clone()),
        decisive: fact.and_then(|fact| fact.decisive.clone()),
        history: cause.own.iter().chain(&cause.blocked).find_map(|change| facts.histories.get(&change.key())).cloned(),
    }
}
