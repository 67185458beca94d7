//! PURE: what a recording evaluator read, from the stream of its accesses. Marks that it makes itself stand in the same stream:
//! which item is finished, where a process forked and where it ended.
//!
//! Reads go to the item that is finished next; where they are not all known already from above, a node is made for them. A forked
//! process goes on from its parent's node, and what it read ends with it. So each node's reads, with those above it, are all that
//! the process had read that evaluated the node's items: more than an item needs, perhaps, and never less.
//!
//! It fails closed: after a read of which no tree can say whether it is still true, no item of that process and of those forked
//! from it has a node; after a mark that makes no sense, no item of the stream has one.
//!
//! Forked processes share their caches (of what was fetched and unpacked) and may share the descriptors of them. So whoever has come
//! near a cache has read what all had read that came near it before.

use std::collections::HashMap;

use super::frames::{Access, Frame, OWN_PLACE};
use super::key::Key;

/// What is known of the evaluator before it runs.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Where the tree stands.
    pub tree: String,
    /// Where marks are made: an empty directory.
    pub marks: String,
    /// Begins our own marks; no evaluated code knows it.
    pub nonce: String,
    /// The driver's file: until it is read, the program sets itself up, as it does for every evaluation with the same key.
    pub driver: String,
    /// Files and directories that are the same for every evaluation with the same key, with all below them.
    pub constant: Vec<String>,
    /// Instrumented files, by path in the tree, with their names in marks, which no evaluated code knows that has not read them.
    pub instrumented: HashMap<String, String>,
    pub bounds: Bounds,
}

/// What is kept of one stream. Of what a process reads beyond that, nothing is known.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Different ones.
    pub keys: usize,
    /// In the names of keys.
    pub bytes: usize,
    /// In all nodes together: some thousand for each forked process.
    pub reads: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds { keys: 1_000_000, bytes: 64 << 20, reads: 64_000_000 }
    }
}

/// What a path of the tree is in the checkout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Link,
    Directory,
    /// A file, or nothing.
    Other,
}

/// What is asked of the files themselves.
pub trait Files: Send {
    /// Of a path of the tree.
    fn kind(&mut self, path: &str) -> Kind;
    /// Whether the code in the file at this path, as the evaluator sees it, may learn the time. False where there is no file.
    fn may_tell_time(&mut self, seen: &str) -> bool;
}

/// What one access meant, where it meant more than a read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An item is finished. Without a node, what it read is not known.
    Item(usize, Option<usize>),
    /// A forked process ended, by the id of its fork.
    Ended(u64),
}

/// Reads that a process made between two items.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ReadNode {
    pub parent: Option<usize>,
    /// Indices into [`Reads::key`]'s keys.
    pub own: Vec<u32>,
}

pub struct Reads {
    surroundings: Surroundings,
    /// Names in marks to paths.
    instrumented: HashMap<String, String>,
    files: Box<dyn Files>,
    keys: Vec<Key>,
    index: HashMap<Key, u32>,
    /// In the names of the keys.
    bytes: usize,
    /// In all nodes, and still to come to one.
    kept: usize,
    /// For each key, whether a process on the stack has read it.
    read: Vec<bool>,
    nodes: Vec<ReadNode>,
    /// The first process and those forked from each other; the last one runs, the others wait for it.
    stack: Vec<Process>,
    /// An instrumented file was opened, and nothing but its mark tells what for.
    opened: Option<String>,
    /// What had been read by the processes that came near a cache and have ended.
    cached: Cached,
    /// The driver was read.
    begun: bool,
    broken: bool,
    /// Why items have no node, each reason once.
    unknown: Vec<String>,
}

#[derive(Debug, Default)]
struct Cached {
    reads: Vec<u32>,
    /// By key, whether it is among them.
    has: Vec<bool>,
    unknown: bool,
}

#[derive(Debug, Default)]
struct Process {
    fork: Option<u64>,
    node: Option<usize>,
    /// Since the last node: reads that nothing above has.
    pending: Vec<u32>,
    /// All that this process added to `read`.
    added: Vec<u32>,
    /// So are those forked from it.
    unknown: bool,
    /// It, or one that it was forked from, has come near a cache.
    caches: bool,
}

/// A mark's meaning.
enum Mark<'a> {
    Forked(u64),
    Exit,
    Died(u64),
    Back(u64),
    Item(usize),
    Import(&'a str),
    Binding(&'a str, &'a str),
    /// Somebody looked for a file that is never there.
    Nothing,
}

/// No more reasons are kept than a person reads.
const REASONS: usize = 20;

const FROM_A_CACHE: &str = "a cache that was filled from something unknown";

impl Reads {
    pub fn new(surroundings: Surroundings, files: Box<dyn Files>) -> Self {
        let instrumented = surroundings.instrumented.iter().map(|(path, name)| (name.clone(), path.clone())).collect();
        Self {
            surroundings,
            instrumented,
            files,
            keys: Vec::new(),
            index: HashMap::new(),
            bytes: 0,
            kept: 0,
            read: Vec::new(),
            nodes: Vec::new(),
            stack: vec![Process::default()],
            opened: None,
            cached: Cached::default(),
            begun: false,
            broken: false,
            unknown: Vec::new(),
        }
    }

    pub fn key(&self, index: u32) -> &Key {
        &self.keys[index as usize]
    }

    /// Parents before their children. They only grow in number.
    pub fn nodes(&self) -> &[ReadNode] {
        &self.nodes
    }

    /// Why items have no node.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// The next frame of the stream.
    pub fn take(&mut self, frame: &Frame) -> Option<Event> {
        let (access, follows, path) = match frame {
            Frame::Seen { access, follows, path } => (*access, *follows, path),
            Frame::Unknown(_) if !self.begun => return None,
            Frame::Unknown(reason) => {
                self.opened();
                self.poison(reason);
                return None;
            }
        };
        let Ok(path) = std::str::from_utf8(path) else {
            self.opened();
            self.poison(&format!("a path that is not UTF-8: {}", String::from_utf8_lossy(path)));
            return None;
        };
        if let Some(name) = below(path, &self.surroundings.marks).filter(|name| !name.is_empty()) {
            let name = name.to_owned();
            return self.mark(&name);
        }
        if path == self.surroundings.driver {
            // its place on the search path is looked at earlier
            self.begun |= access == Access::Content;
            return None;
        }
        if self.is_constant(access, path) {
            self.constant(access, path);
            return None;
        }
        self.opened();
        match below(path, &self.surroundings.tree).map(str::to_owned) {
            Some(relative) => self.access(access, follows, &relative),
            None if !self.begun => {}
            None => self.poison(&format!("a path outside the tree: {path}")),
        }
        None
    }

    fn is_constant(&self, access: Access, path: &str) -> bool {
        let Surroundings { tree, marks, constant, .. } = &self.surroundings;
        let above = |place: &str| path == "/" || below(place, path).is_some();
        let is_parent = path != tree && (above(tree) || above(marks) || constant.iter().any(|place| above(place)));
        path == marks
            || is_plain(path.trim_start_matches('/')) && constant.iter().any(|place| below(path, place).is_some())
            || access == Access::Stat && is_parent
    }

    /// What is the same for all evaluations may still be a cache of what is not, or name the time.
    fn constant(&mut self, access: Access, path: &str) {
        if !self.begun {
            return;
        }
        if below(path, OWN_PLACE).is_some_and(|name| !name.is_empty()) {
            self.come_near_caches();
        } else if access == Access::Content && is_file_of_others(path) && self.files.may_tell_time(path) {
            self.poison(&format!("what may tell the time: {path}"));
        }
    }

    fn access(&mut self, access: Access, follows: bool, path: &str) {
        if !is_plain(path) {
            return self.poison(&format!("an odd path: {path}"));
        }
        // what git keeps there is not of the tree
        if path.split('/').next() == Some(".git") {
            return self.poison(&format!("git's own files: {path}"));
        }
        for (end, _) in path.match_indices('/') {
            let parent = &path[..end];
            if self.files.kind(parent) == Kind::Link {
                return self.poison(&format!("through a symbolic link: {path}"));
            }
            self.add(Key::Stat(parent.to_owned()));
        }
        let kind = self.files.kind(path);
        if follows && kind == Kind::Link {
            return self.poison(&format!("a symbolic link was followed: {path}"));
        }
        if !path.is_empty() {
            self.add(Key::Stat(path.to_owned()));
        }
        match access {
            Access::Stat => {}
            // a directory that is open can be listed, whatever it was opened for
            Access::Content if kind == Kind::Directory => self.add(Key::Listing(path.to_owned())),
            Access::Content if self.files.may_tell_time(&format!("{}/{path}", self.surroundings.tree)) => {
                self.poison(&format!("what may tell the time: {path}"));
            }
            Access::Content if self.surroundings.instrumented.contains_key(path) => self.opened = Some(path.to_owned()),
            Access::Content => self.add(Key::Content(path.to_owned())),
            Access::Directory => self.add(Key::Listing(path.to_owned())),
            Access::Link => self.add(Key::Link(path.to_owned())),
        }
    }

    /// An instrumented file that was opened and not imported: its bytes were read.
    fn opened(&mut self) {
        if let Some(path) = self.opened.take() {
            self.add(Key::Content(path));
        }
    }

    fn add(&mut self, key: Key) {
        if self.stack.last().is_none_or(|process| process.unknown) {
            return;
        }
        if let Some(id) = self.index.get(&key) {
            return self.read(*id);
        }
        let Bounds { keys, bytes, .. } = self.surroundings.bounds;
        let length = key.bytes();
        if self.keys.len() >= keys || self.bytes + length > bytes {
            return self.poison("more was read than is kept");
        }
        let id = self.keys.len() as u32;
        self.bytes += length;
        self.keys.push(key.clone());
        self.index.insert(key, id);
        self.read.push(false);
        self.read(id);
    }

    fn read(&mut self, id: u32) {
        if self.read[id as usize] {
            return;
        }
        if self.kept >= self.surroundings.bounds.reads {
            return self.poison("more was read than is kept");
        }
        if let Some(process) = self.stack.last_mut() {
            self.read[id as usize] = true;
            self.kept += 1;
            process.pending.push(id);
            process.added.push(id);
        }
    }

    /// The running process may find what others had put there.
    fn come_near_caches(&mut self) {
        let Some(process) = self.stack.last_mut() else { return };
        if std::mem::replace(&mut process.caches, true) {
            return;
        }
        if self.cached.unknown {
            self.poison(FROM_A_CACHE);
        }
        for index in 0..self.cached.reads.len() {
            self.read(self.cached.reads[index]);
        }
    }

    /// What the running process, which ends, may have left in caches: all that it had read, and those it was forked from.
    fn leave_in_caches(&mut self) {
        self.cached.has.resize(self.keys.len(), false);
        for process in &self.stack {
            self.cached.unknown |= process.unknown;
            for id in &process.added {
                if !std::mem::replace(&mut self.cached.has[*id as usize], true) {
                    self.cached.reads.push(*id);
                }
            }
        }
    }

    fn poison(&mut self, reason: &str) {
        if let Some(process) = self.stack.last_mut() {
            process.unknown = true;
            process.pending = Vec::new();
        }
        if self.unknown.len() < REASONS && !self.unknown.iter().any(|known| known == reason) {
            self.unknown.push(reason.to_owned());
        }
    }

    fn mark(&mut self, name: &str) -> Option<Event> {
        match self.understand(name) {
            Some(Mark::Import(name)) => {
                let path = self.instrumented.get(name).cloned();
                match path {
                    Some(path) if self.opened.as_ref() == Some(&path) => {
                        self.opened = None;
                        self.add(Key::Skeleton(path));
                    }
                    // evaluated again without being read again
                    Some(path) => {
                        self.opened();
                        self.add(Key::Skeleton(path));
                    }
                    None => self.opened(),
                }
                return None;
            }
            Some(Mark::Binding(file, binding)) => {
                let key = self.instrumented.get(file).map(|path| Key::Binding(path.clone(), binding.to_owned()));
                self.opened();
                if let Some(key) = key {
                    self.add(key);
                }
                return None;
            }
            Some(Mark::Nothing) => {
                self.opened();
                return None;
            }
            Some(Mark::Forked(id)) => {
                self.opened();
                self.fork(id);
                return None;
            }
            _ if self.stack.is_empty() => {}
            Some(Mark::Item(item)) => {
                self.opened();
                return Some(Event::Item(item, self.finish_item()));
            }
            Some(Mark::Exit) => {
                if let Some(id) = self.stack.last().and_then(|process| process.fork) {
                    self.pop();
                    return Some(Event::Ended(id));
                }
            }
            // of a process that is known to have ended already this says nothing
            Some(Mark::Back(id)) if self.stack.iter().all(|process| process.fork != Some(id)) => return None,
            Some(Mark::Died(id) | Mark::Back(id)) if self.runs(id) => {
                self.pop();
                return Some(Event::Ended(id));
            }
            Some(Mark::Died(_) | Mark::Back(_)) => {}
            None => {}
        }
        self.broken = true;
        self.poison(&format!("a mark that makes no sense: {name}"));
        None
    }

    fn runs(&self, fork: u64) -> bool {
        self.stack.last().is_some_and(|process| process.fork == Some(fork))
    }

    fn understand<'a>(&self, name: &'a str) -> Option<Mark<'a>> {
        let Some(own) = name.strip_prefix(&self.surroundings.nonce).and_then(|rest| rest.strip_prefix('.')) else {
            return Some(match name.split_once('.') {
                Some(("i", file)) => Mark::Import(file),
                Some(("b", rest)) => rest.split_once('.').map_or(Mark::Nothing, |(file, binding)| Mark::Binding(file, binding)),
                _ => Mark::Nothing,
            });
        };
        let (kind, rest) = own.split_once('.').unwrap_or((own, ""));
        match kind {
            "fork" => rest.parse().ok().map(Mark::Forked),
            "exit" => Some(Mark::Exit),
            "died" => rest.split('.').next()?.parse().ok().map(Mark::Died),
            "back" => rest.parse().ok().map(Mark::Back),
            "t" => rest.parse().ok().map(Mark::Item),
            _ => None,
        }
    }

    /// The node of what the running process has read; `None` if that is not known.
    fn close(&mut self) -> Option<usize> {
        let process = self.stack.last_mut()?;
        if !process.pending.is_empty() || process.node.is_none() {
            let node = ReadNode { parent: process.node, own: std::mem::take(&mut process.pending) };
            process.node = Some(self.nodes.len());
            self.nodes.push(node);
        }
        process.node
    }

    fn finish_item(&mut self) -> Option<usize> {
        let node = self.close();
        node.filter(|_| !self.broken && !self.stack.last().is_none_or(|process| process.unknown))
    }

    fn fork(&mut self, id: u64) {
        let node = self.close();
        let (unknown, caches) = self.stack.last().map_or((true, true), |process| (process.unknown, process.caches));
        self.stack.push(Process { fork: Some(id), node, unknown, caches, ..Process::default() });
    }

    fn pop(&mut self) {
        self.opened = None;
        let caches = self.stack.last().is_some_and(|process| process.caches);
        if caches {
            self.leave_in_caches();
        }
        let Some(ended) = self.stack.pop() else { return };
        for id in &ended.added {
            self.read[*id as usize] = false;
        }
        // who waited for it shares its caches from now on, if it had any
        if self.stack.last().is_some_and(|process| process.caches) {
            if ended.unknown {
                self.poison(FROM_A_CACHE);
            }
            for id in ended.added {
                self.read(id);
            }
        }
    }
}

/// The kernel's are no code.
fn is_file_of_others(path: &str) -> bool {
    ["/proc", "/dev"].iter().all(|place| below(path, place).is_none())
}

/// `path` relative to `place`, if it is that place or below it.
fn below<'a>(path: &'a str, place: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(place)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

/// Relative, each component a name.
fn is_plain(path: &str) -> bool {
    path.is_empty() || path.split('/').all(|name| !matches!(name, "" | "." | ".."))
}

#[cfg(test)]
#[path = "reads_tests.rs"]
mod tests;
