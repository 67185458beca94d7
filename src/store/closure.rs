//! What a store path refers to, and how much all of that weighs.

use std::collections::{BTreeMap, BTreeSet};

use super::StoreError;
use super::wire::Wire;
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

impl PathInfo {
    pub(super) async fn read(wire: &mut Wire) -> Result<Self, StoreError> {
        // odd derivers exist: a path without `.drv` is no news for us
        let deriver = wire.optional_store_path().await?.and_then(|path| path.try_into().ok());
        let nar_hash = wire.text().await?;
        let references = wire.store_paths().await?;
        let _registered = wire.number().await?;
        let nar_bytes = wire.number().await?;
        let _ultimate = wire.number().await?;
        for _signature in 0..wire.length().await? {
            wire.bytes().await?;
        }
        let _content_address = wire.bytes().await?;
        Ok(Self { deriver, references, nar_bytes, nar_hash })
    }
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
