//! PURE: how an evaluation is gone about: what is taken as known, in how many processes, in batches of what size.

use std::sync::Arc;

use super::trace::Known;

/// Attributes in one run at most: long enough that the language costs nothing, short enough that workers share the work.
const BATCH_NAMES: usize = 64;

/// Batches that each process should find where little is to be evaluated, so that they end at about the same time.
const BATCHES_EACH: usize = 8;

/// What a process is worth at least, in CPU milliseconds: each begins with reading the same core of a package set, some 600 ms for
/// one of ten thousand packages, of which no other process has anything.
const WORTH_A_PROCESS: u64 = 3000;

/// From this share of a full evaluation's cost on, everything is evaluated: what is left to gain is less than what such an estimate
/// is wrong by, and a full evaluation relies on nothing.
const NEARLY_ALL: f64 = 0.9;

/// Costs are known in milliseconds of each group of attributes: of what is cheaper than this together, they say nothing.
const TELLING: u64 = 1000;

#[derive(Debug, Clone)]
pub struct Plan {
    /// `None`: everything is evaluated.
    pub known: Option<Arc<Known>>,
    pub processes: usize,
    pub batch_names: usize,
}

impl Plan {
    /// Everything, in as many processes as there may be.
    pub fn full(workers: usize) -> Plan {
        Plan { known: None, processes: workers.max(1), batch_names: BATCH_NAMES }
    }

    pub fn new(known: Option<Arc<Known>>, workers: usize) -> Plan {
        let Some(known) = known.filter(|known| is_worth_it(known)) else { return Plan::full(workers) };
        let most = cost(&known).map_or(workers, |millis| usize::try_from(1 + millis / WORTH_A_PROCESS).unwrap_or(workers));
        let processes = most.clamp(1, workers.max(1));
        let batch_names = match processes {
            1 => BATCH_NAMES,
            processes => (known.dirty / (processes * BATCHES_EACH)).clamp(1, BATCH_NAMES),
        };
        Plan { known: Some(known), processes, batch_names }
    }
}

fn is_worth_it(known: &Known) -> bool {
    let all = known.dirty + known.found.len();
    let share = match cost(known) {
        Some(millis) if known.full_millis >= TELLING => millis as f64 / known.full_millis as f64,
        Some(_) | None => known.dirty as f64 / all.max(1) as f64,
    };
    !known.found.is_empty() && share < NEARLY_ALL
}

/// In CPU milliseconds; where nothing was recorded of it, the dirty attributes' share of all.
fn cost(known: &Known) -> Option<u64> {
    let all = (known.dirty + known.found.len()).max(1) as u64;
    known.dirty_millis.or_else(|| (known.full_millis > 0).then(|| known.full_millis * known.dirty as u64 / all))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::AttrPath;
    use crate::eval::frontier::Found;

    fn known(clean: usize, dirty: usize, dirty_millis: Option<u64>) -> Arc<Known> {
        let found = (0..clean).map(|i| (AttrPath::new([format!("n{i}")]), Found::Nothing)).collect();
        Arc::new(Known { found, dirty, dirty_millis, full_millis: 10_000 })
    }

    #[test]
    fn little_is_one_process_s_work() {
        let known = known(1000, 10, Some(700));
        let plan = Plan::new(Some(known), 8);
        assert_eq!((plan.processes, plan.known.is_some()), (1, true));
    }

    #[test]
    fn much_is_shared_in_batches_that_balance() {
        let known = known(1000, 160, Some(7000));
        let plan = Plan::new(Some(known), 2);
        assert_eq!((plan.processes, plan.batch_names), (2, 10));
    }

    #[test]
    fn of_what_is_cheap_the_number_counts() {
        let mut known = Known::clone(&known(10, 2, Some(26)));
        known.full_millis = 26;
        assert!(Plan::new(Some(Arc::new(known)), 1).known.is_some());
    }

    #[test]
    fn nearly_everything_is_everything() {
        for known in [known(1000, 10, Some(9_500)), known(10, 1000, None), known(0, 0, None)] {
            let plan = Plan::new(Some(known), 4);
            assert_eq!((plan.known.is_none(), plan.processes, plan.batch_names), (true, 4, BATCH_NAMES));
        }
    }
}
