//! What git knows for traces: how two trees differ as far as a trace set asks, and which files of a tree are tracked by binding.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::{ObjectId, TreeId};
use crate::eval::trace::bindings::{Split, Tracked, TrackedFile, split};
use crate::eval::trace::frames::MARKS;
use crate::eval::trace::{Changes, Key, TraceSet, changed_keys};
use crate::git::{Blob, EntryKind, GitError, RawChange, RawEntry, Repository};

/// A recording process sees so many files through markers at most: each is mounted over the file itself.
const TRACKED_FILES: usize = 500;

/// Files that are held in memory at once to find those.
const AT_ONCE: usize = 1000;

/// Files that Nix is asked of in one comparison at most; of what more changed in parts, all has changed.
const ASKED: usize = 16;

/// Whether Nix takes a text for a file of its language.
pub trait Syntax {
    fn takes(&self, text: &[u8]) -> impl Future<Output = bool> + Send;
}

/// From `a`, the tree of the set, to `b`: a few milliseconds of git, and of each changed file that the set tracks by binding, a parse
/// of what it was and of what it is, and where only parts changed, Nix's own: a fault in one value, such as a variable that nothing
/// binds, is one of the whole file.
pub async fn changes_between(
    repository: &Repository,
    syntax: &impl Syntax,
    a: &TreeId,
    b: &TreeId,
    set: &TraceSet,
) -> Result<Changes, GitError> {
    let raw = repository.tree_changes(a, b).await?;
    let mut changes = changed_keys(&raw);
    let tracked = changed_and_tracked(set, &changes);
    if tracked.is_empty() {
        return Ok(changes);
    }
    let versions: HashMap<&str, &RawChange> =
        raw.iter().filter_map(|change| Some((std::str::from_utf8(&change.path).ok()?, change))).collect();
    let blobs: Vec<ObjectId> = tracked.keys().filter_map(|path| versions.get(path)).flat_map(|change| ids(change)).collect();
    let bytes = repository.read_blobs(&blobs).await?;
    let bytes: HashMap<ObjectId, Vec<u8>> = blobs.into_iter().zip(bytes).filter_map(|(id, bytes)| Some((id, bytes?))).collect();
    let splits = beside_the_arbiter(move || {
        let split = |(id, bytes): (ObjectId, Vec<u8>)| (id, (split(&bytes), bytes));
        bytes.into_iter().map(split).collect::<HashMap<ObjectId, (Option<Split>, Vec<u8>)>>()
    });
    let splits = splits.await?;
    let mut asked = 0;
    for (path, keys) in tracked {
        let of = |entry: Option<&RawEntry>| entry.and_then(|entry| splits.get(&entry.id));
        let change = versions.get(path);
        let (old, new) = (change.and_then(|change| of(change.old.as_ref())), change.and_then(|change| of(change.new.as_ref())));
        let old = old.and_then(|(split, _)| split.as_ref());
        let new = match new {
            Some((Some(split), text)) if old.is_some_and(|old| changed_in_parts(old, split)) => {
                asked += 1;
                (asked <= ASKED && syntax.takes(text).await).then_some(split)
            }
            Some((split, _)) => split.as_ref(),
            None => None,
        };
        changes.keys.extend(keys.into_iter().filter(|key| differs(key, old, new)).cloned());
    }
    Ok(changes)
}

/// The set's keys of bindings and skeletons in files whose content changed.
fn changed_and_tracked<'a>(set: &'a TraceSet, changes: &Changes) -> HashMap<&'a str, Vec<&'a Key>> {
    let contents: HashSet<&str> = changes
        .keys
        .iter()
        .filter_map(|key| match key {
            Key::Content(path) => Some(path.as_str()),
            Key::Stat(_) | Key::Listing(_) | Key::Link(_) | Key::Skeleton(_) | Key::Binding(..) => None,
        })
        .collect();
    let mut tracked: HashMap<&str, Vec<&Key>> = HashMap::new();
    for key in &set.keys {
        if matches!(key, Key::Skeleton(_) | Key::Binding(..)) && contents.contains(key.path()) {
            tracked.entry(key.path()).or_default().push(key);
        }
    }
    tracked
}

fn ids(change: &RawChange) -> impl Iterator<Item = ObjectId> {
    [&change.old, &change.new].into_iter().flatten().map(|entry| entry.id.clone())
}

fn changed_in_parts(old: &Split, new: &Split) -> bool {
    old.skeleton == new.skeleton && old.bodies != new.bodies
}

/// Whether a part of a file has another value. With another skeleton, or where either version can't be split, all of it has.
fn differs(key: &Key, old: Option<&Split>, new: Option<&Split>) -> bool {
    let (Some(old), Some(new)) = (old, new) else { return true };
    if old.skeleton != new.skeleton {
        return true;
    }
    match key {
        Key::Binding(_, binding) => {
            let body = |split: &Split| binding.parse::<usize>().ok().and_then(|index| split.bodies.get(index).copied());
            body(old).is_none() || body(old) != body(new)
        }
        Key::Skeleton(_) => false,
        Key::Stat(_) | Key::Content(_) | Key::Listing(_) | Key::Link(_) => true,
    }
}

/// What was found of the Nix files of each repository's last tree, so that only what is new is read.
#[derive(Default)]
pub struct Tracking(Mutex<HashMap<PathBuf, Files>>);

/// By path and blob; `None`: not to be tracked.
type Files = HashMap<(String, ObjectId), Option<Arc<TrackedFile>>>;

impl Tracking {
    /// The files of a tree that a recording tracks by binding, those with the most bindings.
    pub async fn files(&self, repository: &Repository, tree: &TreeId) -> Result<Tracked, GitError> {
        let candidates: Vec<(String, ObjectId)> = repository.blobs(tree).await?.into_iter().filter_map(candidate).collect();
        let mut before = self.of().remove(repository.common_dir()).unwrap_or_default();
        let (mut files, mut unknown) = (Files::with_capacity(candidates.len()), Vec::new());
        for candidate in candidates {
            match before.remove(&candidate) {
                Some(file) => drop(files.insert(candidate, file)),
                None => unknown.push(candidate),
            }
        }
        for some in unknown.chunks(AT_ONCE) {
            let ids: Vec<ObjectId> = some.iter().map(|(_, id)| id.clone()).collect();
            let bytes = repository.read_blobs(&ids).await?;
            let read: Vec<_> = some.iter().cloned().zip(bytes).collect();
            let of = |((path, id), bytes): ((String, ObjectId), Option<Vec<u8>>)| {
                let file = bytes.and_then(|bytes| TrackedFile::new(path.clone(), &bytes, MARKS));
                ((path, id), file.map(Arc::new))
            };
            files.extend(beside_the_arbiter(move || read.into_iter().map(of).collect::<Files>()).await?);
        }
        let mut tracked: Vec<Arc<TrackedFile>> = files.values().flatten().cloned().collect();
        tracked.sort_by(|a, b| b.bindings.cmp(&a.bindings).then_with(|| a.path.cmp(&b.path)));
        tracked.truncate(TRACKED_FILES);
        self.of().insert(repository.common_dir().to_owned(), files);
        Ok(Tracked { files: tracked })
    }

    fn of(&self) -> MutexGuard<'_, HashMap<PathBuf, Files>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `flake.nix` is not: Nix reads some of it without evaluating it, and takes no `assert` there.
fn candidate(blob: Blob) -> Option<(String, ObjectId)> {
    let path = String::from_utf8(blob.path).ok()?;
    let is_file = matches!(blob.kind, EntryKind::File | EntryKind::Executable);
    let name = path.rsplit('/').next()?;
    (is_file && name.ends_with(".nix") && name != "flake.nix").then_some((path, blob.id))
}

async fn beside_the_arbiter<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, GitError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| GitError::Io { what: "reading Nix files".into(), source: std::io::Error::other(error) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::trace::Node;
    use crate::git::fixture::Fixture;

    fn file(bindings: &[(&str, &str)]) -> String {
        let fillers = (0..24).map(|n| format!("  filler{n} = f {n};\n"));
        let bindings = bindings.iter().map(|(name, value)| format!("  {name} = {value};\n"));
        format!("{{ f }}:\n{{\n{}}}\n", fillers.chain(bindings).collect::<String>())
    }

    /// Takes everything but one variable.
    struct NoUnbound;

    impl Syntax for NoUnbound {
        async fn takes(&self, text: &[u8]) -> bool {
            !String::from_utf8_lossy(text).contains("unbound")
        }
    }

    /// A set that has read all that there is of a file.
    fn set(tree: TreeId, path: &str) -> TraceSet {
        let mut set = TraceSet::new(tree, Default::default(), 0);
        set.keys = vec![Key::Skeleton(path.into()), Key::Content("other".into())];
        set.keys.extend((0..26).map(|n: u32| Key::Binding(path.into(), n.to_string())));
        set.nodes = vec![Node::default()];
        set
    }

    #[tokio::test]
    async fn a_file_tracked_by_binding_changes_in_parts() {
        let fixture = Fixture::with(&[("all.nix", &file(&[("a", "1"), ("b", "2")])), ("other", "1")]);
        let base = fixture.tree("HEAD");
        let set = set(base.clone(), "all.nix");
        let repository = fixture.open().await;
        let changed = async |text: Option<String>| {
            match text {
                Some(text) => fixture.commit("change", &[("all.nix", &text)]),
                None => {
                    std::fs::remove_file(fixture.path().join("all.nix")).unwrap();
                    fixture.commit("removed", &[])
                }
            };
            let changes = changes_between(&repository, &NoUnbound, &base, &fixture.tree("HEAD"), &set).await.unwrap();
            assert!(!changes.keys.contains(&Key::Content("other".into())));
            assert!(changes.keys.contains(&Key::Content("all.nix".into())));
            let parts = changes.keys.into_iter().filter(|key| matches!(key, Key::Skeleton(_) | Key::Binding(..)));
            parts.collect::<HashSet<Key>>()
        };
        let binding = |n: u32| HashSet::from([Key::Binding("all.nix".into(), n.to_string())]);
        let all: HashSet<Key> = set.keys.iter().filter(|key| key.path() == "all.nix").cloned().collect();
        assert_eq!(changed(Some(file(&[("a", "11"), ("b", "2")]))).await, binding(24));
        assert_eq!(changed(Some(file(&[("a", "1 # one"), ("b", "\n2")]).replace("# one;", "# one\n;"))).await, HashSet::new());
        assert_eq!(changed(Some(file(&[("a", "1"), ("c", "2")]))).await, all);
        assert_eq!(changed(Some(file(&[("a", "1"), ("b", "2"), ("c", "3")]))).await, all);
        assert_eq!(changed(Some(file(&[("a", "1"), ("b", ")")]))).await, all);
        assert_eq!(changed(Some(file(&[("a", "unbound"), ("b", "2")]))).await, all);
        assert_eq!(changed(Some("{ }".into())).await, all);
        assert_eq!(changed(None).await, all);
    }

    #[tokio::test]
    async fn files_of_many_bindings_are_tracked() {
        let many = file(&[]);
        let large = format!("{many}{}", " ".repeat(17 << 20));
        let fixture = Fixture::with(&[
            ("pkgs/all.nix", &many),
            ("large.nix", &large),
            ("flake.nix", &many),
            ("few.nix", "{ a = 1; }"),
            ("broken.nix", "{"),
            ("text", &many),
        ]);
        std::os::unix::fs::symlink("pkgs/all.nix", fixture.path().join("link.nix")).unwrap();
        fixture.commit("link", &[]);
        let (tracking, repository) = (Tracking::default(), fixture.open().await);
        let tracked = async || {
            let tracked = tracking.files(&repository, &fixture.tree("HEAD")).await.unwrap();
            tracked.files.iter().map(|file| (file.path.clone(), file.bindings)).collect::<Vec<_>>()
        };
        assert_eq!(tracked().await, [("pkgs/all.nix".into(), 24)]);
        // again, from what is known; and after a change
        assert_eq!(tracked().await, [("pkgs/all.nix".into(), 24)]);
        fixture.commit("more", &[("pkgs/all.nix", &file(&[("a", "1")])), ("same.nix", &many)]);
        assert_eq!(tracked().await, [("pkgs/all.nix".into(), 25), ("same.nix".into(), 24)]);
    }
}
