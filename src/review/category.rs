//! What a row is called once outcomes are known.
//!
//! - The base's result for the same attribute decides between *newly* and *still*; a base that could not evaluate the attribute
//!   counts as failing. Only an attribute that the base lacks is *new*.
//! - An outcome that will come is waited for: `pending`. One that can't come (no builder supports the derivation, the build was
//!   cancelled or stopped by its machine, nothing is built for a mere rename or at all) leaves head `not_built`.
//! - Where the base's outcome can't be known, a failing head is *newly* failing: the gate fails closed. A head that builds is then
//!   *still* succeeding: no repair is claimed that nobody saw.

use super::Policy;
use super::compare::Row;
use super::facts::Facts;
use super::report::Category;
use crate::config::repository::BaseBuilds;
use crate::domain::DrvPath;

enum Standing {
    Builds,
    Fails,
    NotYetKnown,
    Unknowable,
}

fn standing(facts: &Facts, drv: &DrvPath) -> Standing {
    match facts.outcome(drv) {
        None => Standing::NotYetKnown,
        Some(outcome) if outcome.is_success() => Standing::Builds,
        Some(outcome) if outcome.is_failure() => Standing::Fails,
        Some(_nobodys_fault) => Standing::Unknowable,
    }
}

/// The category depends on the outcome of the base, and that is not known.
pub(super) fn awaits_base(row: &Row, facts: &Facts, policy: &Policy) -> bool {
    let (Some(base), Some(head)) = (&row.base, &row.head) else { return false };
    if !facts.building || facts.outcome(&base.drv).is_some() {
        return false;
    }
    match standing(facts, &head.drv) {
        Standing::Fails => true,
        Standing::Builds | Standing::NotYetKnown => row.rebuild && policy.base == BaseBuilds::All,
        Standing::Unknowable => false,
    }
}

pub fn category(row: &Row, facts: &Facts, policy: &Policy) -> Category {
    let Some(head) = &row.head else { return Category::Removed };
    if !facts.building {
        return Category::NotBuilt;
    }
    let builds = match standing(facts, &head.drv) {
        Standing::Builds => true,
        Standing::Fails => false,
        Standing::NotYetKnown if row.is_to_be_built() => return Category::Pending,
        Standing::NotYetKnown | Standing::Unknowable => return Category::NotBuilt,
    };
    let base = match &row.base {
        Some(_) if awaits_base(row, facts, policy) => return Category::Pending,
        Some(job) => standing(facts, &job.drv),
        None if row.base_errored => Standing::Fails,
        None => return if builds { Category::NewSucceeding } else { Category::NewFailing },
    };
    match (base, builds) {
        (Standing::Fails, true) => Category::NewlySucceeding,
        (Standing::Fails, false) => Category::StillFailing,
        (Standing::Builds | Standing::NotYetKnown | Standing::Unknowable, true) => Category::StillSucceeding,
        (Standing::Builds | Standing::NotYetKnown | Standing::Unknowable, false) => Category::NewlyFailing,
    }
}

#[cfg(test)]
mod tests;
