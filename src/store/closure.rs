//! What a store path refers to, and how much all of that weighs.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{DrvPath, StorePath};

/// What the store knows of a valid path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathInfo {
    pub deriver: Option<DrvPath>,
    /// May contain the path itself.
    pub references: BTreeSet<StorePath>,
    pub nar_bytes: u64,
    /// The SHA-256 of the NAR, in hexadecimal.
    pub nar_hash: String,
}

/// Everything that a set of paths needs at run time, those paths included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Closure {
    /// NAR size of each path.
    pub paths: BTreeMap<StorePath, u64>,
}

impl Closure {
    pub fn bytes(&self) -> u64 {
        self.paths.values().fold(0, |sum, bytes| sum.saturating_add(*bytes))
    }
}
