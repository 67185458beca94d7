//! Runtime closures of what changed, both sides: every path is asked for once, however many closures it is in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::{DrvPath, Job, StorePath};
use crate::review::{Closure, Comparison, Facts};
use crate::store::{PathInfo, Store, StoreError};

/// Adds to `facts` the closures of rows that both sides have and that were built.
pub async fn add(store: &Store, comparison: &Comparison, facts: &mut Facts) -> Result<(), StoreError> {
    let built = |job: &Job, facts: &Facts| facts.outcome(&job.drv).is_some_and(|outcome| outcome.is_success());
    let mut wanted: BTreeMap<DrvPath, BTreeSet<StorePath>> = BTreeMap::new();
    for row in &comparison.rows {
        let (Some(base), Some(head)) = (&row.base, &row.head) else { continue };
        if built(base, facts) && built(head, facts) {
            for job in [base, head] {
                wanted.insert(job.drv.clone(), job.outputs.values().flatten().cloned().collect());
            }
        }
    }
    let known = paths_below(store, wanted.values().flatten().cloned().collect()).await?;
    for (drv, roots) in wanted {
        // an output that only a binary cache holds has no closure here
        if roots.iter().all(|root| known.contains_key(root)) {
            facts.closures.insert(drv, Arc::new(closure(&roots, &known)));
        }
    }
    Ok(())
}

async fn paths_below(store: &Store, mut front: BTreeSet<StorePath>) -> Result<BTreeMap<StorePath, PathInfo>, StoreError> {
    let mut known = BTreeMap::new();
    while !front.is_empty() {
        let found = store.path_infos(&front).await?;
        let next = found.values().flat_map(|info| &info.references).cloned().collect::<BTreeSet<_>>();
        known.extend(found);
        front = next.into_iter().filter(|path| !known.contains_key(path)).collect();
    }
    Ok(known)
}

fn closure(roots: &BTreeSet<StorePath>, known: &BTreeMap<StorePath, PathInfo>) -> Closure {
    let mut closure = Closure::default();
    let mut stack: Vec<&StorePath> = roots.iter().collect();
    while let Some(path) = stack.pop() {
        let Some(info) = known.get(path) else { continue };
        if closure.paths.insert(path.clone(), info.nar_bytes).is_none() {
            closure.bytes += info.nar_bytes;
            stack.extend(info.references.iter().filter(|reference| !closure.paths.contains_key(reference)));
        }
    }
    closure
}
