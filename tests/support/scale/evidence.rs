//! What the generated review keeps besides its report, so that each of its tabs has as much to show as that of a real one.

use std::sync::Arc;

use snowgate::build::Usage;
use snowgate::db::{AttemptEnd, Db, NewAttempt, Part, What};
use snowgate::domain::{DrvPath, Outcome, RepositoryName, ReviewId};
use snowgate::review::growth::Growth;
use snowgate::review::inputs::{Inputs, MadeOf};
use snowgate::review::{Comparison, Facts};

use super::{drv, store_path};

/// Derivations that many of the packages are made of.
const SHARED: u32 = 300;
const HAPPENINGS: usize = 400;

/// What the closures are made of.
pub async fn store(db: &Db, review: &ReviewId, comparison: &Comparison, facts: &Facts) {
    let inputs = inputs(comparison);
    let weights = inputs.outputs().map(|output| (output.clone(), 2_000_000 + output.as_str().len() as u64)).collect();
    let growth = Growth::of(comparison, facts, &inputs, &weights);
    db.save_evidence(review, Part::Closures, Arc::new(growth)).await.expect("evidence");
}

/// Each package needs three of the shared derivations, which need each other.
fn inputs(comparison: &Comparison) -> Inputs {
    let mut inputs = Inputs::default();
    let shared: Vec<u32> =
        (0..SHARED).map(|n| inputs.number(&drv(4_000_000_000 + u64::from(n), &format!("shared-{n}")))).collect();
    for (n, id) in shared.iter().enumerate() {
        let needs = if n == 0 { Vec::new() } else { vec![shared[n / 2], shared[n / 3]] };
        let outputs = vec![store_path(5_000_000_000 + n as u64, &format!("shared-{n}"))];
        inputs.put(*id, MadeOf { needs, outputs, ..MadeOf::default() });
    }
    for (i, drv) in drvs(comparison).enumerate() {
        let id = inputs.number(drv);
        let needs = [i, i * 7 + 1, i * 31 + 2].map(|n| shared[n % shared.len()]).to_vec();
        inputs.put(id, MadeOf { needs, ..MadeOf::default() });
    }
    inputs
}

fn drvs(comparison: &Comparison) -> impl Iterator<Item = &DrvPath> {
    comparison.rows.iter().flat_map(|row| [&row.base, &row.head]).flatten().map(|job| &job.drv)
}

/// Each derivation was built once.
pub async fn attempts(db: &Db, review: &ReviewId, comparison: &Comparison) {
    for (i, drv) in drvs(comparison).enumerate() {
        let time = "20260101T000000.000Z".to_owned();
        let (builder, review) = ("here".to_owned(), Some(review.clone()));
        db.post_attempt_started(NewAttempt { drv: drv.clone(), time: time.clone(), builder, review });
        let seconds = (i * 7919 % 3000) as f64 / 7.0;
        let (outcome, usage) = (Outcome::Succeeded, Usage::default());
        db.post_attempt_finished(AttemptEnd { drv: drv.clone(), time, outcome, seconds, message: None, usage });
    }
}

/// A pull request that was pushed to for a year.
pub async fn happenings(db: &Db, repository: &RepositoryName, number: u64, review: &ReviewId) {
    for i in 0..HAPPENINGS {
        let (what, detail) = [(What::Ordered, "rerun"), (What::Approved, "by ines"), (What::ChangesRequested, "by tomás")][i % 3];
        db.happened(repository, number, Some(review.clone()), what, detail.to_owned()).await.expect("noted");
    }
}
