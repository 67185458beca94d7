//! The store as the house asks it: short questions over one shared connection, builds over fresh ones.

use std::collections::{BTreeMap, BTreeSet};

use super::{ClientSettings, Closure, Connection, Nix, PathInfo, StoreError};
use crate::domain::{DrvPath, OutputName, StorePath};

/// A store. Clones share one connection for queries, made when first needed and made anew when it broke.
#[derive(Clone)]
pub struct Store {}

/// What a build of some derivations would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missing {
    pub will_build: BTreeSet<DrvPath>,
    pub will_substitute: BTreeSet<StorePath>,
    /// Derivations that are not in the store.
    pub unknown: BTreeSet<StorePath>,
    pub download_bytes: u64,
    pub nar_bytes: u64,
}

/// Whether binary caches answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BinaryCaches {
    Reachable,
    /// With what Nix said.
    Unreachable(String),
}

impl Store {
    pub fn new(nix: &Nix, settings: ClientSettings) -> Store {
        let _ = (nix, settings);
        todo!()
    }

    /// The same store with other settings, and a query connection of its own.
    pub fn with(&self, change: impl FnOnce(&mut ClientSettings)) -> Store {
        let _ = change;
        todo!()
    }

    pub fn settings(&self) -> &ClientSettings {
        todo!()
    }

    /// A fresh connection, its settings sent.
    pub async fn connect(&self) -> Result<Connection, StoreError> {
        todo!()
    }

    /// Which of these are valid. One request, however many they are.
    pub async fn valid_paths(&self, paths: &BTreeSet<StorePath>) -> Result<BTreeSet<StorePath>, StoreError> {
        let _ = paths;
        todo!()
    }

    pub async fn missing(&self, drvs: &[DrvPath]) -> Result<Missing, StoreError> {
        let _ = drvs;
        todo!()
    }

    /// What is known of each valid path; others are left out.
    pub async fn path_infos(&self, paths: &BTreeSet<StorePath>) -> Result<BTreeMap<StorePath, PathInfo>, StoreError> {
        let _ = paths;
        todo!()
    }

    /// Everything that `roots` need at run time; `None` if one of them is not valid.
    pub async fn closure(&self, roots: &BTreeSet<StorePath>) -> Result<Option<Closure>, StoreError> {
        let _ = roots;
        todo!()
    }

    /// Keeps paths from garbage collection for as long as this store (or a clone) lives.
    pub async fn add_temp_roots(&self, paths: &BTreeSet<StorePath>) -> Result<(), StoreError> {
        let _ = paths;
        todo!()
    }

    /// The outputs of a derivation; `None` where the path is known only after the build.
    pub async fn output_map(&self, drv: &DrvPath) -> Result<BTreeMap<OutputName, Option<StorePath>>, StoreError> {
        let _ = drv;
        todo!()
    }

    /// Asks the binary caches for a path that nobody has: one connection, a short time-out, one attempt.
    pub async fn probe_substituters(&self) -> Result<BinaryCaches, StoreError> {
        todo!()
    }
}
