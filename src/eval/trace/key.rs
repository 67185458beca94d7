//! What an evaluation can learn of a tree.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

/// One thing that can be learnt of a tree. Paths are relative to its root, without `.` or `..`; the root is the empty path. A path
/// that does not exist has keys too: that it is absent is what was learnt.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Key {
    /// Whether it exists, its type, whether it is executable.
    Stat(String),
    /// A file's bytes.
    Content(String),
    /// The names and types of a directory's entries.
    Listing(String),
    /// Where a symbolic link leads.
    Link(String),
    /// A Nix file as the parser sees it, but for the bodies of its tracked bindings.
    Skeleton(String),
    /// The body of one tracked binding of a Nix file.
    Binding(String, String),
}

impl Key {
    pub fn path(&self) -> &str {
        match self {
            Key::Stat(path) | Key::Content(path) | Key::Listing(path) | Key::Link(path) => path,
            Key::Skeleton(path) | Key::Binding(path, _) => path,
        }
    }

    /// Of its names.
    pub fn bytes(&self) -> usize {
        match self {
            Key::Binding(path, binding) => path.len() + binding.len(),
            Key::Stat(_) | Key::Content(_) | Key::Listing(_) | Key::Link(_) | Key::Skeleton(_) => self.path().len(),
        }
    }
}

/// How one tree differs from another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    pub keys: HashSet<Key>,
}
