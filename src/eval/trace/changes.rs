//! PURE: what an evaluation can see of a difference between two trees.
//!
//! Entries are seen as a checkout shows them to Nix: by type, executable bit, bytes, target and listing. A submodule is an empty
//! directory. Of a path that is not UTF-8 there are no keys, since no trace can name it, but its directory's listing is one.

use std::collections::HashSet;

use super::key::{Changes, Key};
use crate::git::{EntryKind, RawChange, RawEntry};

/// A type as `readDir` and `lstat` show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    File,
    Link,
    Directory,
}

fn type_of(entry: &Option<RawEntry>) -> Option<Type> {
    entry.as_ref().map(|entry| match entry.kind {
        EntryKind::File | EntryKind::Executable => Type::File,
        EntryKind::Link => Type::Link,
        EntryKind::Directory | EntryKind::Submodule => Type::Directory,
    })
}

/// The keys whose values differ, no more and no less, but for [`Key::Skeleton`] and [`Key::Binding`].
pub fn changed_keys(changes: &[RawChange]) -> Changes {
    let mut keys = HashSet::new();
    for change in changes {
        let (old, new) = (type_of(&change.old), type_of(&change.new));
        if old != new {
            keys.extend(parent(&change.path).map(Key::Listing));
        }
        let Ok(path) = std::str::from_utf8(&change.path) else { continue };
        let path = || path.to_owned();
        if old != new {
            // what was or will be nothing, or something else, answers otherwise to every question
            keys.extend([Key::Stat(path()), Key::Content(path()), Key::Listing(path()), Key::Link(path())]);
            continue;
        }
        let (Some(before), Some(after)) = (&change.old, &change.new) else { continue };
        if before.kind != after.kind && old == Some(Type::File) {
            keys.insert(Key::Stat(path()));
        }
        if before.id != after.id {
            match old {
                Some(Type::File) => keys.extend([Key::Content(path())]),
                // a read that follows the link sees the change too
                Some(Type::Link) => keys.extend([Key::Link(path()), Key::Content(path())]),
                // its entries speak for themselves
                Some(Type::Directory) | None => {}
            }
        }
    }
    Changes { keys }
}

/// The directory of a path, if traces can name it.
fn parent(path: &[u8]) -> Option<String> {
    let end = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    std::str::from_utf8(&path[..end]).ok().map(str::to_owned)
}

#[cfg(test)]
#[path = "changes_tests.rs"]
mod tests;
