//! Held against real trees, really checked out, one after the other into one slot.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::domain::TreeId;
use crate::git::Worktrees;
use crate::git::fixture::Fixture;

#[derive(Debug, Clone, PartialEq)]
enum Entry {
    File(u8),
    Executable(u8),
    Link(u8),
    Submodule(u8),
    Directory(BTreeMap<Vec<u8>, Entry>),
}

/// Names whose order differs between files and directories, and one that is no UTF-8.
const NAMES: [&[u8]; 5] = [b"c", b"c-", b"c.x", b"a b", b"\xff"];

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop::sample::select(&NAMES[..]).prop_map(<[u8]>::to_vec)
}

fn entry() -> impl Strategy<Value = Entry> {
    let leaf = prop_oneof![
        4 => (0..3u8).prop_map(Entry::File),
        2 => (0..2u8).prop_map(Entry::Executable),
        2 => (0..2u8).prop_map(Entry::Link),
        1 => (0..2u8).prop_map(Entry::Submodule),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| prop::collection::btree_map(name(), inner, 0..4).prop_map(Entry::Directory))
}

fn root() -> impl Strategy<Value = BTreeMap<Vec<u8>, Entry>> {
    prop::collection::btree_map(name(), entry(), 0..5)
}

/// Two trees that have much in common: the second is the first with some paths set or removed.
fn pair() -> impl Strategy<Value = (BTreeMap<Vec<u8>, Entry>, BTreeMap<Vec<u8>, Entry>)> {
    let edit = (prop::collection::vec(name(), 1..4), prop::option::of(entry()));
    (root(), prop::collection::vec(edit, 0..4)).prop_map(|(first, edits)| {
        let mut second = first.clone();
        for (path, entry) in edits {
            set(&mut second, &path, entry);
        }
        (first, second)
    })
}

fn set(directory: &mut BTreeMap<Vec<u8>, Entry>, path: &[Vec<u8>], entry: Option<Entry>) {
    let Some((first, rest)) = path.split_first() else { return };
    match (rest, entry) {
        ([], Some(entry)) => drop(directory.insert(first.clone(), entry)),
        ([], None) => drop(directory.remove(first)),
        (rest, entry) => {
            let below = directory.entry(first.clone()).or_insert_with(|| Entry::Directory(BTreeMap::new()));
            if !matches!(below, Entry::Directory(_)) {
                *below = Entry::Directory(BTreeMap::new());
            }
            if let Entry::Directory(below) = below {
                set(below, rest, entry);
            }
        }
    }
}

fn git(dir: &Path, args: &[&str], input: &[u8]) -> String {
    let mut child = Command::new("git").current_dir(dir).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Empty directories too, as no index would have them.
fn write_tree(dir: &Path, blobs: &[String], entries: &BTreeMap<Vec<u8>, Entry>) -> String {
    let mut lines = Vec::new();
    for (name, entry) in entries {
        let (mode, kind, id) = match entry {
            Entry::File(content) => ("100644", "blob", blobs[usize::from(*content)].clone()),
            Entry::Executable(content) => ("100755", "blob", blobs[usize::from(*content)].clone()),
            Entry::Link(target) => ("120000", "blob", blobs[usize::from(*target)].clone()),
            Entry::Submodule(commit) => ("160000", "commit", format!("{commit:040}1")[1..].to_owned()),
            Entry::Directory(below) => ("040000", "tree", write_tree(dir, blobs, below)),
        };
        lines.extend(format!("{mode} {kind} {id}\t").bytes());
        lines.extend(name);
        lines.push(0);
    }
    git(dir, &["mktree", "-z", "--missing"], &lines)
}

/// What is at a path, no symbolic link followed.
#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Nothing,
    File { executable: bool, bytes: Vec<u8> },
    Link(std::path::PathBuf),
    Directory(BTreeMap<Vec<u8>, &'static str>),
}

fn kind(metadata: &std::fs::Metadata) -> &'static str {
    match metadata.file_type() {
        kind if kind.is_dir() => "directory",
        kind if kind.is_symlink() => "link",
        _ => "file",
    }
}

fn look(root: &Path, path: &str) -> Seen {
    let mut at = root.to_owned();
    for name in path.split('/').filter(|name| !name.is_empty()) {
        if !at.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
            return Seen::Nothing;
        }
        at.push(name);
    }
    let Ok(metadata) = at.symlink_metadata() else { return Seen::Nothing };
    match kind(&metadata) {
        "directory" => {
            let entries = std::fs::read_dir(&at).unwrap().map(|entry| {
                let entry = entry.unwrap();
                (entry.file_name().as_bytes().to_vec(), kind(&entry.path().symlink_metadata().unwrap()))
            });
            Seen::Directory(entries.collect())
        }
        "link" => Seen::Link(at.read_link().unwrap()),
        _ => Seen::File { executable: metadata.permissions().mode() & 0o100 != 0, bytes: std::fs::read(&at).unwrap() },
    }
}

/// Whether a question has another answer.
fn differs(key: &Key, a: &Seen, b: &Seen) -> bool {
    let same_type = std::mem::discriminant(a) == std::mem::discriminant(b);
    !same_type
        || match (key, a, b) {
            (Key::Stat(_), Seen::File { executable: a, .. }, Seen::File { executable: b, .. }) => a != b,
            (Key::Content(_), Seen::File { bytes: a, .. }, Seen::File { bytes: b, .. }) => a != b,
            (Key::Content(_) | Key::Link(_), Seen::Link(a), Seen::Link(b)) => a != b,
            (Key::Listing(_), Seen::Directory(a), Seen::Directory(b)) => a != b,
            _ => false,
        }
}

/// Every path on disk that traces can name, with an absent one beside and below each.
fn paths(root: &Path) -> BTreeSet<String> {
    fn walk(dir: &Path, path: &str, found: &mut BTreeSet<String>) {
        let join = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
        found.insert(path.to_owned());
        found.extend(NAMES.iter().filter_map(|name| std::str::from_utf8(name).ok()).map(join));
        for entry in dir.read_dir().into_iter().flatten() {
            let entry = entry.unwrap();
            if let Some(name) = entry.file_name().to_str() {
                found.extend([join(name), join(&format!("{name}/absent"))]);
                if entry.file_type().unwrap().is_dir() {
                    walk(&entry.path(), &join(name), found);
                }
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(root, "", &mut found);
    found
}

/// Everything that a trace could know of a tree.
async fn snapshot(trees: &Worktrees, repository: &crate::git::Repository, tree: &TreeId) -> BTreeMap<String, Seen> {
    let checkout = trees.checkout(repository, tree).await.unwrap();
    paths(&checkout).into_iter().map(|path| (path.clone(), look(&checkout, &path))).collect()
}

#[test]
fn what_differs_on_disk_is_changed_and_nothing_else() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let fixture = Fixture::new();
    let repository = runtime.block_on(fixture.open());
    let trees = Worktrees::open(&fixture.beside("trees"), 1).unwrap();
    let blobs: Vec<String> =
        (0..3).map(|content| git(fixture.path(), &["hash-object", "-w", "--stdin"], format!("c{content}").as_bytes())).collect();
    let mut runner = TestRunner::new(Config { cases: 120, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&pair(), |(first, second)| {
        let [first, second]: [TreeId; 2] = [first, second].map(|tree| write_tree(fixture.path(), &blobs, &tree).parse().unwrap());
        let (raw, before, after) = runtime.block_on(async {
            let before = snapshot(&trees, &repository, &first).await;
            (repository.tree_changes(&first, &second).await.unwrap(), before, snapshot(&trees, &repository, &second).await)
        });
        let changed = changed_keys(&raw).keys;
        let nothing = Seen::Nothing;
        let all: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let mut expected = HashSet::new();
        for path in all {
            let (a, b) = (before.get(path).unwrap_or(&nothing), after.get(path).unwrap_or(&nothing));
            for key in [Key::Stat(path.clone()), Key::Content(path.clone()), Key::Listing(path.clone()), Key::Link(path.clone())]
            {
                if differs(&key, a, b) {
                    expected.insert(key);
                }
            }
        }
        prop_assert_eq!(&changed, &expected, "{:?}", raw);
        Ok(())
    });
    outcome.unwrap();
}

/// The same, of one example that a reader can check.
#[test]
fn each_kind_of_change_has_its_keys() {
    let id = |digit: char| digit.to_string().repeat(40).parse().unwrap();
    let entry = |kind, digit| Some(RawEntry { kind, id: id(digit) });
    let keys = |path: &[u8], old, new| changed_keys(&[RawChange { path: path.to_vec(), old, new }]).keys;
    let set = |keys: &[Key]| keys.iter().cloned().collect::<HashSet<Key>>();
    use EntryKind::{Directory, Executable, File, Link, Submodule};
    let all = |path: &str| [Key::Stat(path.into()), Key::Content(path.into()), Key::Listing(path.into()), Key::Link(path.into())];

    assert_eq!(keys(b"d/f", entry(File, 'a'), entry(File, 'b')), set(&[Key::Content("d/f".into())]));
    assert_eq!(keys(b"d/f", entry(File, 'a'), entry(Executable, 'a')), set(&[Key::Stat("d/f".into())]));
    assert_eq!(keys(b"f", entry(Link, 'a'), entry(Link, 'b')), set(&[Key::Link("f".into()), Key::Content("f".into())]));
    assert_eq!(keys(b"d", entry(Directory, 'a'), entry(Directory, 'b')), set(&[]));
    assert_eq!(keys(b"d", entry(Directory, 'a'), entry(Submodule, 'b')), set(&[]));
    assert_eq!(keys(b"d", entry(Submodule, 'a'), entry(Submodule, 'b')), set(&[]));
    let with_parent = |parent: &str, path| set(&[&all(path)[..], &[Key::Listing(parent.into())]].concat());
    assert_eq!(keys(b"d/f", None, entry(File, 'a')), with_parent("d", "d/f"));
    assert_eq!(keys(b"f", entry(File, 'a'), None), with_parent("", "f"));
    assert_eq!(keys(b"f", entry(File, 'a'), entry(Link, 'a')), with_parent("", "f"));
    assert_eq!(keys(b"d/\xff", None, entry(File, 'a')), set(&[Key::Listing("d".into())]));
    assert_eq!(keys(b"\xff/f", None, entry(File, 'a')), set(&[]));
}

#[test]
fn names_on_disk_are_bytes() {
    // the walk above would be blind to the fault it looks for if this file system refused such a name
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(OsStr::from_bytes(b"\xff")), "").unwrap();
    assert!(matches!(look(dir.path(), ""), Seen::Directory(entries) if entries.contains_key(&b"\xff"[..])));
}
