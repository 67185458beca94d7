//! What a store path refers to, and how much all of that weighs.

use std::collections::{BTreeMap, BTreeSet};

use super::StoreError;
use super::wire::{Put, Wire};
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
    pub signatures: Vec<String>,
    /// What its name was made of, where that is its content; empty where it is not.
    pub content_address: String,
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
        let mut signatures = Vec::new();
        for _ in 0..wire.length().await? {
            signatures.push(wire.text().await?);
        }
        let content_address = wire.text().await?;
        Ok(Self { deriver, references, nar_bytes, nar_hash, signatures, content_address })
    }

    /// As protocol 1.16 has it, which is what `AddMultipleToStore` takes whatever was agreed on.
    pub(super) fn put(&self, wire: &mut Put<'_>) {
        wire.string(self.deriver.as_ref().map_or("", DrvPath::as_str)).string(&self.nar_hash);
        wire.strings(self.references.iter().map(StorePath::as_str));
        // registered when it arrives; the receiver did not build it, so that it is not "ultimately trusted" there
        const REGISTERED: u64 = 0;
        const ULTIMATE: u64 = 0;
        wire.number(REGISTERED).number(self.nar_bytes).number(ULTIMATE);
        wire.strings(self.signatures.iter().map(String::as_str)).string(&self.content_address);
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
