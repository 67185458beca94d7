//! After a build: its outputs come home, and with them what they refer to and our store lacks.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::slot::Slot;
use super::words::{self, Stopped};
use super::{Pair, in_order};
use crate::domain::StorePath;
use crate::store::{CopyError, Fetch, PathInfo, copy};

impl Slot {
    /// Our store has them when this returns; how many bytes were copied.
    pub(super) async fn bring_home(&self, pair: &mut Pair, outputs: BTreeSet<StorePath>) -> Result<u64, Stopped> {
        let mut wanted: HashMap<StorePath, Arc<PathInfo>> = HashMap::new();
        let mut front = outputs;
        loop {
            let ours = pair.here.held_and_valid(&front, &front, Fetch::Nothing).await.map_err(|error| words::here(&error))?;
            let lacking: Vec<StorePath> = front.difference(&ours).cloned().collect();
            if lacking.is_empty() {
                break;
            }
            let infos = pair.there.path_infos(&lacking).await.map_err(|error| words::there(self.name(), &error))?;
            if let Some(gone) = lacking.iter().find(|path| !infos.contains_key(*path)) {
                return Err(Stopped::Broke(format!("{} has built {gone} and does not have it any more", self.name())));
            }
            let references: BTreeSet<StorePath> = infos.values().flat_map(|info| info.references.iter().cloned()).collect();
            wanted.extend(infos.into_iter().map(|(path, info)| (path, Arc::new(info))));
            front = references.into_iter().filter(|path| !wanted.contains_key(path)).collect();
        }
        if wanted.is_empty() {
            return Ok(0);
        }
        copy(&mut pair.there, &mut pair.here, &in_order(wanted)).await.map_err(|error| match error {
            CopyError::Giver(error) => words::there(self.name(), &error),
            CopyError::Taker(error) => words::here(&error),
        })
    }
}
