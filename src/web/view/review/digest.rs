//! What the overview tells of all rows, whatever a reader asks for: worked out once for each report, like its index.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use super::glance::delta;
use crate::domain::{AttrPath, DrvPath};
use crate::review::report::{Category, Change, EvalErrorRow, EvalErrorStatus, Failure, Report};
use crate::web::view::parts::{CATEGORIES, category_place};

/// Rows, failures and errors are meant by their places in the report.
pub struct Digest {
    /// Rows of each of [`CATEGORIES`].
    pub by_category: [usize; CATEGORIES.len()],
    pub fixed_new_removed: [(Category, Vec<u32>); 3],
    /// Rows whose closure is of another size, the largest change first.
    pub resized: Vec<u32>,
    /// Failures that block an attribute which the base builds or does not have.
    pub newly: Vec<Blocking>,
    pub still: Vec<Blocking>,
    /// Those that say the same of the same place are together: a fault in a common file breaks many attributes alike. By status, then
    /// by attribute.
    pub errors: Vec<(EvalErrorStatus, Vec<u32>)>,
    pub errors_by_status: [(EvalErrorStatus, usize); 3],
}

/// A failure, and what comes of it.
pub struct Blocking {
    pub failure: u32,
    /// Places in [`Failure::attrs`], those that newly fail first.
    pub named: Vec<u32>,
    /// Attributes that it blocks: those that newly fail, where it is new.
    pub blocked: usize,
    /// And those that failed before.
    pub blocked_before: usize,
    /// Attributes that the base builds.
    pub built: u64,
}

impl Digest {
    pub fn of(report: &Report, rows_of_head: &HashMap<DrvPath, Vec<u32>>, rows_of_cause: &HashMap<DrvPath, Vec<u32>>) -> Self {
        let changes = &report.changes;
        let rows = || changes.iter().zip(0_u32..);
        let mut by_category = [0; CATEGORIES.len()];
        changes.iter().for_each(|change| by_category[category_place(change.category)] += 1);
        let of_category = |category| {
            (category, rows().filter(|(change, _)| change.category == category).map(|(_, row)| row).collect::<Vec<u32>>())
        };
        let mut resized: Vec<(u128, u32)> =
            rows().filter_map(|(change, row)| Some((resized(change)?, row))).filter(|(by, _)| *by > 0).collect();
        resized.sort_by_key(|(by, _)| Reverse(*by));
        let newly_failing: HashSet<&AttrPath> = changes
            .iter()
            .filter(|change| matches!(change.category, Category::NewlyFailing | Category::NewFailing))
            .flat_map(|change| std::iter::once(&change.attr).chain(&change.aliases))
            .collect();
        let (mut newly, mut still) = (Vec::new(), Vec::new());
        for (failure, place) in report.failures.iter().zip(0_u32..) {
            // a derivation does not block itself
            let own = rows_of_head.get(&failure.drv).into_iter().flatten();
            let own: HashSet<&AttrPath> = own.flat_map(|row| changes[*row as usize].attrs()).collect();
            let because = rows_of_cause.get(&failure.drv).into_iter().flatten().map(|row| &changes[*row as usize]);
            let built = because.filter(|change| change.category == Category::NewlyFailing);
            let built = built.map(|change| change.attrs().count() as u64).sum();
            let blocking = Blocking::of(place, failure, &own, &newly_failing, built);
            if blocking.1 { newly.push(blocking.0) } else { still.push(blocking.0) }
        }
        let errors_by_status = [EvalErrorStatus::New, EvalErrorStatus::Fixed, EvalErrorStatus::Still]
            .map(|status| (status, report.eval_errors.iter().filter(|row| row.status == status).count()));
        Self {
            by_category,
            fixed_new_removed: [Category::NewlySucceeding, Category::NewSucceeding, Category::Removed].map(of_category),
            resized: resized.into_iter().map(|(_, row)| row).collect(),
            newly,
            still,
            errors: alike(&report.eval_errors),
            errors_by_status,
        }
    }
}

impl Blocking {
    /// And whether it is new.
    fn of(
        place: u32,
        failure: &Failure,
        own: &HashSet<&AttrPath>,
        newly_failing: &HashSet<&AttrPath>,
        built: u64,
    ) -> (Self, bool) {
        let is_new: Vec<bool> = failure.attrs.iter().map(|attr| newly_failing.contains(attr)).collect();
        let of_new = is_new.contains(&true);
        let mut named: Vec<u32> = (0..).take(failure.attrs.len()).collect();
        if of_new {
            named.sort_by_key(|at| !is_new[*at as usize]);
        }
        let others = || failure.attrs.iter().zip(&is_new).filter(|(attr, _)| !own.contains(attr));
        let blocked = others().filter(|(_, is_new)| !of_new || **is_new).count();
        let blocked_before = others().count() - blocked;
        (Self { failure: place, named, blocked, blocked_before, built }, of_new)
    }
}

/// By how much the closure of what both sides have grew or shrank.
fn resized(change: &Change) -> Option<u128> {
    (change.base.is_some() && change.head.is_some()).then_some(())?;
    change.closure.as_ref().map(|closure| delta(closure).unsigned_abs())
}

fn alike(errors: &[EvalErrorRow]) -> Vec<(EvalErrorStatus, Vec<u32>)> {
    let mut order: Vec<u32> = (0..).take(errors.len()).collect();
    let row = |at: &u32| &errors[*at as usize];
    order.sort_by(|a, b| (row(a).status, &row(a).attr).cmp(&(row(b).status, &row(b).attr)));
    let mut groups: Vec<(EvalErrorStatus, Vec<u32>)> = Vec::new();
    let mut place = HashMap::new();
    for at in order {
        let error = row(&at);
        let key = (error.status, &error.jobset, &error.system, &error.message, &error.position);
        let group = *place.entry(key).or_insert(groups.len());
        if group == groups.len() {
            groups.push((error.status, Vec::new()));
        }
        groups[group].1.push(at);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::super::Reported;
    use crate::web::view::samples;

    #[test]
    fn what_fails_newly_is_named_first_and_nothing_blocks_itself() {
        let reported = Reported::new(samples::blocked());
        let digest = reported.digest();
        assert_eq!(digest.newly.len() + digest.still.len(), reported.failures.len());
        let first = &digest.newly[0];
        let failure = &reported.failures[first.failure as usize];
        let own: usize = reported.rows_of(&failure.drv).map(|change| change.attrs().count()).sum();
        assert_eq!(first.blocked + first.blocked_before + own, failure.attrs.len());
        assert!(first.built > 0 && first.named.len() == failure.attrs.len());
        assert_eq!(digest.by_category.iter().sum::<usize>(), reported.changes.len());
        let growth =
            |row: &u32| reported.changes[*row as usize].closure.as_ref().map(|closure| super::delta(closure).unsigned_abs());
        assert!(digest.resized.windows(2).all(|pair| growth(&pair[0]) >= growth(&pair[1])));
    }
}
