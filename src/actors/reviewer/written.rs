//! What the evaluator was asked to write to the store, read back. What an attribute says of itself (`drvPath`, `outputs`, `outPath`)
//! anybody can set to anything; the derivation in the store is what is built.

use std::collections::{BTreeMap, BTreeSet};

use super::Fault;
use crate::domain::{DrvPath, Job, OutputName, StorePath};
use crate::store::Derivation;
use crate::store::derivation::DerivationError;

pub type Outputs = BTreeMap<OutputName, Option<StorePath>>;

/// The outputs of each derivation; `None` where the store does not have it.
pub async fn outputs(drvs: BTreeSet<DrvPath>) -> Result<BTreeMap<DrvPath, Option<Outputs>>, Fault> {
    let house = |error: &dyn std::fmt::Display| Fault::House(error.to_string());
    let read = tokio::task::spawn_blocking(move || {
        drvs.into_iter().map(|drv| outputs_of(&drv).map(|outputs| (drv, outputs))).collect::<Result<_, _>>()
    });
    read.await.map_err(|panic| house(&panic))?.map_err(|error: DerivationError| house(&error))
}

fn outputs_of(drv: &DrvPath) -> Result<Option<Outputs>, DerivationError> {
    match Derivation::read(drv) {
        Ok(derivation) => Ok(Some(derivation.outputs.into_iter().map(|(name, output)| (name, output.path)).collect())),
        Err(DerivationError::Unreadable { fault, .. }) if fault.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// An attribute may offer fewer outputs than its derivation has, but none that it does not have.
pub fn is_true(job: &Job, outputs: &Outputs) -> bool {
    job.outputs.iter().all(|(name, path)| outputs.get(name) == Some(path))
}
