//! Before a build: what the builder lacks of what it needs goes there.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::recipe::Recipe;
use super::slot::Slot;
use super::words::{self, Stopped};
use super::{Pair, in_order};
use crate::domain::{DrvPath, StorePath};
use crate::store::{Connection, CopyError, Fetch, PathInfo, copy};

/// What is remembered of our store's paths at most.
const KNOWN: usize = 200_000;

/// How the builder is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// It is handed what is to be run: it trusts us that this makes these outputs.
    Basic,
    /// It gets the derivation with all that it was made of, and sees for itself. It may then have to build what we lack as well.
    Closure,
}

impl Slot {
    /// The builder has all inputs when this returns. Also returns the bytes that were copied.
    pub(super) async fn send(
        &self,
        pair: &mut Pair,
        drv: &DrvPath,
        recipe: &Recipe,
        distrusted: bool,
    ) -> Result<(Route, u64), Stopped> {
        let here = |error| words::here(&error);
        let there = |error| words::there(self.name(), &error);
        let inputs = &recipe.inputs;
        let mut ours = pair.here.held_and_valid(inputs, inputs, Fetch::Nothing).await.map_err(here)?;
        if ours.len() < inputs.len() && self.deps.store.settings().substitute {
            ours = pair.here.valid_paths(inputs, Fetch::FromCaches).await.map_err(here)?;
        }
        let trusts = recipe.fixed || (!distrusted && pair.there.trusted() != Some(false));
        let route = if trusts && recipe.resolved && ours.len() == inputs.len() { Route::Basic } else { Route::Closure };
        let mut roots = ours;
        if route == Route::Closure {
            roots.insert(drv.path().clone());
        }
        let closure = self.closure(&mut pair.here, &roots).await?;
        let all: BTreeSet<StorePath> = closure.keys().cloned().collect();
        let fetch = if self.reach.described.use_substitutes { Fetch::FromCaches } else { Fetch::Nothing };
        let theirs = pair.there.held_and_valid(&roots, &all, fetch).await.map_err(there)?;
        if theirs.len() == all.len() {
            return Ok((route, 0));
        }
        let _turn = self.shared.uploads.lock().await;
        // whoever had the turn before may have sent it
        let theirs = pair.there.valid_paths(&all, Fetch::Nothing).await.map_err(there)?;
        let lacking = closure.into_iter().filter(|(path, _)| !theirs.contains(path)).collect();
        let copied = copy(&mut pair.here, &mut pair.there, &in_order(lacking)).await.map_err(|error| match error {
            CopyError::Giver(error) => {
                // a path that was collected meanwhile: what is known of it is not true any more
                self.shared.forget();
                words::here(&error)
            }
            CopyError::Taker(error) => words::there(self.name(), &error),
        })?;
        Ok((route, copied))
    }

    /// What `roots` need, themselves included.
    async fn closure(
        &self,
        store: &mut Connection,
        roots: &BTreeSet<StorePath>,
    ) -> Result<HashMap<StorePath, Arc<PathInfo>>, Stopped> {
        let mut closure: HashMap<StorePath, Arc<PathInfo>> = HashMap::new();
        let mut front: Vec<StorePath> = roots.iter().cloned().collect();
        while !front.is_empty() {
            let mut unknown = Vec::new();
            let mut next = BTreeSet::new();
            let mut see = |path: StorePath, info: Arc<PathInfo>, next: &mut BTreeSet<StorePath>| {
                next.extend(info.references.iter().cloned());
                closure.insert(path, info);
            };
            for path in front {
                let known = self.shared.known.borrow().get(&path).cloned();
                match known {
                    Some(info) => see(path, info, &mut next),
                    None => unknown.push(path),
                }
            }
            if !unknown.is_empty() {
                let infos = store.path_infos(&unknown).await.map_err(|error| words::here(&error))?;
                if let Some(gone) = unknown.iter().find(|path| !infos.contains_key(*path)) {
                    self.shared.forget();
                    return Err(Stopped::Broke(format!("{gone} is needed and is not in the store any more")));
                }
                let mut known = self.shared.known.borrow_mut();
                if known.len() > KNOWN {
                    known.clear();
                }
                for (path, info) in infos {
                    let info = Arc::new(info);
                    known.insert(path.clone(), info.clone());
                    see(path, info, &mut next);
                }
            }
            front = next.into_iter().filter(|path| !closure.contains_key(path)).collect();
        }
        Ok(closure)
    }
}
