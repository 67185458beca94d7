//! What of one tree has another value in a second one, as far as a trace set asks.

use std::collections::{HashMap, HashSet};

use crate::domain::TreeId;
use crate::eval::trace::{Changes, Key, TraceSet, changed_keys};
use crate::git::{GitError, Repository};

/// From `a`, the tree of the set, to `b`: a few milliseconds of git, and of each changed file that the set tracks by binding, a parse of
/// what it was and of what it is.
pub async fn changes_between(repository: &Repository, a: &TreeId, b: &TreeId, set: &TraceSet) -> Result<Changes, GitError> {
    let raw = repository.tree_changes(a, b).await?;
    let mut changes = changed_keys(&raw);
    let mut tracked: HashMap<&str, Vec<&Key>> = HashMap::new();
    for key in set.keys.iter().filter(|key| matches!(key, Key::Skeleton(_) | Key::Binding(..))) {
        if changes.keys.contains(&Key::Content(key.path().to_owned())) {
            tracked.entry(key.path()).or_default().push(key);
        }
    }
    let keys: HashSet<Key> = tracked.into_values().flatten().cloned().collect();
    changes.keys.extend(keys);
    Ok(changes)
}
