//! Derivations, read from their files in the store.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use crate::domain::{DrvPath, OutputName, StorePath, System};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derivation {
    pub outputs: BTreeMap<OutputName, DerivationOutput>,
    pub input_drvs: BTreeMap<DrvPath, BTreeSet<OutputName>>,
    pub input_srcs: BTreeSet<StorePath>,
    pub system: System,
    pub builder: String,
    pub args: Vec<String>,
    pub env: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DerivationOutput {
    /// `None`: known only after the build (content-addressed derivations).
    pub path: Option<StorePath>,
    /// The content is fixed by a hash, so that the builder may use the network.
    pub fixed: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum DerivationError {
    #[error("cannot read {drv}: {fault}")]
    Unreadable { drv: DrvPath, fault: io::Error },
    #[error("{drv} is not a derivation as Nix writes it: {fault}")]
    Malformed { drv: DrvPath, fault: String },
}

impl Derivation {
    /// Reads and parses the file in the store (blocking; some ten microseconds).
    pub fn read(path: &DrvPath) -> Result<Derivation, DerivationError> {
        todo!("{path}")
    }

    /// `requiredSystemFeatures`, also from structured attributes.
    pub fn features(&self) -> BTreeSet<String> {
        todo!()
    }

    /// `preferLocalBuild`, also from structured attributes.
    pub fn prefers_local(&self) -> bool {
        todo!()
    }

    pub fn is_fixed_output(&self) -> bool {
        self.outputs.values().any(|output| output.fixed)
    }
}
