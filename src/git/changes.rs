//! How two trees differ, entry by entry, as a checkout on disk shows it.

use std::collections::{BTreeMap, HashMap};

use super::raw::{EntryKind, RawEntry, RawHeader};
use super::{GitError, Repository};
use crate::domain::{ObjectId, TreeId};

/// A path whose entry differs. Never the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawChange {
    /// Relative to the root; any bytes but NUL.
    pub path: Vec<u8>,
    /// `None`: there was nothing.
    pub old: Option<RawEntry>,
    pub new: Option<RawEntry>,
}

/// Which tree of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Which {
    Old,
    New,
}

impl RawChange {
    fn entry(&self, which: Which) -> Option<&RawEntry> {
        match which {
            Which::Old => self.old.as_ref(),
            Which::New => self.new.as_ref(),
        }
    }

    fn kind(&self, which: Which) -> Option<EntryKind> {
        self.entry(which).map(|entry| entry.kind)
    }

    fn forget(&mut self, which: Which) {
        match which {
            Which::Old => self.old = None,
            Which::New => self.new = None,
        }
    }
}

impl Repository {
    /// Every path whose entry differs, directories included, each once, sorted by bytes. Directories that hold no file at any depth
    /// count as absent: git's index has none, so that they are never checked out.
    pub async fn tree_changes(&self, a: &TreeId, b: &TreeId) -> Result<Vec<RawChange>, GitError> {
        if a == b {
            return Ok(Vec::new());
        }
        let args =
            ["diff-tree", "-r", "-t", "--raw", "-z", "--no-abbrev", "--no-renames", "--no-ext-diff", "--ignore-submodules=none"];
        let listing = self.objects().run(args.into_iter().chain([a.as_str(), b.as_str()])).await?.success()?;
        let mut changes = parse(&listing)?;
        self.drop_empty_directories(&mut changes).await?;
        changes.retain(|_, change| change.old != change.new);
        Ok(changes.into_values().collect())
    }

    async fn drop_empty_directories(&self, changes: &mut BTreeMap<Vec<u8>, RawChange>) -> Result<(), GitError> {
        for (which, other) in [(Which::Old, Which::New), (Which::New, Which::Old)] {
            let mut empty = Vec::new();
            let mut unsure = Vec::new();
            for path in directories_without_a_changed_file(changes, which) {
                let Some((change, entry)) = changes.get(&path).and_then(|change| Some((change, change.entry(which)?))) else {
                    continue;
                };
                // what is a directory on one side only is listed to its last file
                if change.kind(other) == Some(EntryKind::Directory) {
                    unsure.push((path, entry.id.clone()));
                } else {
                    empty.push(path);
                }
            }
            let hold = self.hold_files(unsure.iter().map(|(_, id)| id.clone()).collect()).await?;
            empty.extend(unsure.into_iter().zip(hold).filter(|(_, holds)| !holds).map(|((path, _), _)| path));
            for path in empty {
                changes.entry(path).and_modify(|change| change.forget(which));
            }
        }
        Ok(())
    }

    /// For each tree, whether there is anything but trees in it, at any depth.
    async fn hold_files(&self, trees: Vec<ObjectId>) -> Result<Vec<bool>, GitError> {
        let mut holds = vec![false; trees.len()];
        // trees to read, with the place of the one that was asked for
        let mut todo: Vec<(usize, ObjectId)> = trees.into_iter().enumerate().collect();
        while !todo.is_empty() {
            let names: Vec<Vec<u8>> = todo.iter().map(|(_, id)| id.as_str().into()).collect();
            let objects = self.read_objects(&[], &names).await?;
            let mut below = Vec::new();
            for ((place, id), object) in todo.into_iter().zip(objects) {
                let Some(object) = object.filter(|object| object.kind == "tree") else {
                    return Err(GitError::Failed { command: "cat-file".into(), message: format!("{id} is not a tree") });
                };
                for entry in entries(&object.bytes) {
                    match entry {
                        Some((EntryKind::Directory, id)) => below.push((place, id)),
                        Some(_) => holds[place] = true,
                        None => {
                            let message = format!("the tree {id} is damaged");
                            return Err(GitError::Failed { command: "cat-file".into(), message });
                        }
                    }
                }
            }
            below.retain(|(place, _)| !holds[*place]);
            todo = below;
        }
        Ok(holds)
    }
}

/// Directories of one side in which no changed entry of that side is a file, a link or a submodule: the only ones that can be empty
/// there.
fn directories_without_a_changed_file(changes: &BTreeMap<Vec<u8>, RawChange>, which: Which) -> Vec<Vec<u8>> {
    let mut sure: HashMap<&[u8], bool> = HashMap::new();
    for (path, change) in changes {
        match change.kind(which) {
            Some(EntryKind::Directory) => {
                sure.entry(path).or_insert(false);
            }
            Some(_) => {
                for parent in parents(path) {
                    // what lies above has been marked by the same or an earlier file
                    if sure.insert(parent, true) == Some(true) {
                        break;
                    }
                }
            }
            None => {}
        }
    }
    sure.into_iter().filter(|(_, sure)| !sure).map(|(path, _)| path.to_vec()).collect()
}

/// The directories above a path, the nearest first, the root not among them.
fn parents(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let slashes = (0..path.len()).rev().filter(|at| path[*at] == b'/');
    slashes.map(|at| &path[..at])
}

/// `:MODE MODE ID ID LETTER\0PATH\0`, repeated. A path that is a file on one side and a directory on the other comes twice.
fn parse(listing: &[u8]) -> Result<BTreeMap<Vec<u8>, RawChange>, GitError> {
    let odd = |header: &[u8]| GitError::Failed {
        command: "diff-tree".into(),
        message: format!("printed `{}`", String::from_utf8_lossy(header)),
    };
    let mut changes: BTreeMap<Vec<u8>, RawChange> = BTreeMap::new();
    let mut parts = listing.split(|byte| *byte == 0);
    while let Some(header) = parts.next().filter(|header| !header.is_empty()) {
        let (Some(RawHeader { old, new, .. }), Some(path)) = (RawHeader::of(header), parts.next()) else {
            return Err(odd(header));
        };
        let path = path.to_vec();
        let change = changes.entry(path.clone()).or_insert(RawChange { path, old: None, new: None });
        // twice on one side: a tree with two entries of one name, which git refuses to check out
        if (old.is_some() && change.old.is_some()) || (new.is_some() && change.new.is_some()) {
            return Err(odd(header));
        }
        change.old = change.old.take().or(old);
        change.new = change.new.take().or(new);
    }
    Ok(changes)
}

/// The entries of a tree object, `MODE NAME\0` and twenty bytes each; `None` for what is damaged.
fn entries(mut bytes: &[u8]) -> impl Iterator<Item = Option<(EntryKind, ObjectId)>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let entry = (|| {
            let nul = bytes.iter().position(|byte| *byte == 0)?;
            let space = bytes[..nul].iter().position(|byte| *byte == b' ')?;
            let mode = std::str::from_utf8(&bytes[..space]).ok()?;
            let id = data_encoding::HEXLOWER.encode(bytes.get(nul + 1..nul + 21)?).parse().ok()?;
            bytes = &bytes[nul + 21..];
            Some((EntryKind::of_mode(mode)?, id))
        })();
        if entry.is_none() {
            bytes = &[];
        }
        Some(entry)
    })
}
