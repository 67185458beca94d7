//! What has to be known of a derivation before another machine can build it.

use std::collections::BTreeSet;

use crate::domain::{DrvPath, StorePath};
use crate::store::{BasicDerivation, Derivation};

pub(super) struct Recipe {
    pub basic: BasicDerivation,
    /// The outputs it needs of other derivations, and its sources.
    pub inputs: BTreeSet<StorePath>,
    pub outputs: BTreeSet<StorePath>,
    /// Its output is named by its content, so that nobody need be trusted for it.
    pub fixed: bool,
    /// What other derivations come to is known; if not, the other machine has to find out.
    pub resolved: bool,
}

impl Recipe {
    /// Reads the derivation and those it needs, on a thread where that may take its time.
    pub async fn read(drv: &DrvPath) -> Result<Self, String> {
        let drv = drv.clone();
        let read = tokio::task::spawn_blocking(move || Self::of(&drv)).await;
        read.map_err(|panic| panic.to_string())?
    }

    fn of(drv: &DrvPath) -> Result<Self, String> {
        let text = std::fs::read(drv).map_err(|fault| format!("cannot read {drv}: {fault}"))?;
        let malformed = |fault: String| format!("{drv} is not a derivation as Nix writes it: {fault}");
        let derivation = Derivation::parse(&text).map_err(malformed)?;
        let basic = BasicDerivation::parse(&text).map_err(malformed)?;
        let mut inputs = derivation.input_srcs.clone();
        let mut resolved = true;
        for (input, wanted) in &derivation.input_drvs {
            let outputs = Derivation::read(input).map_err(|fault| fault.to_string())?.outputs;
            for name in wanted {
                match outputs.get(name).and_then(|output| output.path.clone()) {
                    Some(path) => inputs.extend([path]),
                    None => resolved = false,
                }
            }
        }
        Ok(Self {
            basic,
            inputs,
            outputs: derivation.outputs.values().filter_map(|output| output.path.clone()).collect(),
            fixed: derivation.is_fixed_output(),
            resolved,
        })
    }
}
