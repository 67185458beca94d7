//! PURE: what a recording evaluator read, from the stream of its accesses. Marks that it makes itself stand in the same stream:
//! which item is finished, where a process forked and where it ended.
//!
//! Reads go to the item that is finished next; where they are not all known already from above, a node is made for them. A forked
//! process goes on from its parent's node, and what it read ends with it. So each node's reads, with those above it, are all that
//! the process had read that evaluated the node's items: more than an item needs, perhaps, and never less.
//!
//! It fails closed: after a read of which no tree can say whether it is still true, no item of that process and of those forked
//! from it has a node; after a mark that makes no sense, no item of the stream has one.

use std::collections::HashMap;

use super::frames::{Access, Frame};
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
    /// Instrumented files, by path in the tree, with their names in marks.
    pub instrumented: HashMap<String, String>,
}

/// What a path of the tree is in the checkout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Link,
    Directory,
    /// A file, or nothing.
    Other,
}

pub type KindOf = Box<dyn FnMut(&str) -> Kind + Send>;

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
    kind_of: KindOf,
    keys: Vec<Key>,
    index: HashMap<Key, u32>,
    /// For each key, whether a process on the stack has read it.
    read: Vec<bool>,
    nodes: Vec<ReadNode>,
    /// The first process and those forked from each other; the last one runs, the others wait for it.
    stack: Vec<Process>,
    /// An instrumented file was opened, and nothing but its mark tells what for.
    opened: Option<String>,
    /// The driver was read.
    begun: bool,
    broken: bool,
    /// Why items have no node, each reason once.
    unknown: Vec<String>,
}

#[derive(Debug, Default)]
struct Process {
    fork: Option<u64>,
    node: Option<usize>,
    /// Since the last node: reads that nothing above has.
    pending: Vec<u32>,
    /// All that this process added to `read`.
    added: Vec<u32>,
    unknown: bool,
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

impl Reads {
    pub fn new(surroundings: Surroundings, kind_of: KindOf) -> Self {
        let instrumented = surroundings.instrumented.iter().map(|(path, name)| (name.clone(), path.clone())).collect();
        Self {
            surroundings,
            instrumented,
            kind_of,
            keys: Vec::new(),
            index: HashMap::new(),
            read: Vec::new(),
            nodes: Vec::new(),
            stack: vec![Process::default()],
            opened: None,
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
            if (self.kind_of)(parent) == Kind::Link {
                return self.poison(&format!("through a symbolic link: {path}"));
            }
            self.add(Key::Stat(parent.to_owned()));
        }
        let kind = (self.kind_of)(path);
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
        let id = match self.index.get(&key) {
            Some(id) => *id,
            None => {
                let id = self.keys.len() as u32;
                self.keys.push(key.clone());
                self.index.insert(key, id);
                self.read.push(false);
                id
            }
        };
        let Some(process) = self.stack.last_mut() else { return };
        if !std::mem::replace(&mut self.read[id as usize], true) {
            process.pending.push(id);
            process.added.push(id);
        }
    }

    fn poison(&mut self, reason: &str) {
        if let Some(process) = self.stack.last_mut() {
            process.unknown = true;
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
        node.filter(|_| !self.broken && !self.stack.iter().any(|process| process.unknown))
    }

    fn fork(&mut self, id: u64) {
        let node = self.close();
        self.stack.push(Process { fork: Some(id), node, ..Process::default() });
    }

    fn pop(&mut self) {
        self.opened = None;
        for id in self.stack.pop().into_iter().flat_map(|process| process.added) {
            self.read[id as usize] = false;
        }
    }
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
mod tests {
    use super::*;

    fn reads() -> Reads {
        let surroundings = Surroundings {
            tree: "/snowgate/source".into(),
            marks: "/snowgate/marks".into(),
            nonce: "N".into(),
            driver: "/snowgate/driver.nix".into(),
            constant: vec!["/usr".into(), "/nix/store/x-source".into()],
            instrumented: HashMap::from([("all.nix".into(), "7".into())]),
        };
        let kind_of = |path: &str| match path {
            "link" | "a/link" => Kind::Link,
            "directory" => Kind::Directory,
            _ => Kind::Other,
        };
        let mut reads = Reads::new(surroundings, Box::new(kind_of));
        assert_eq!(play(&mut reads, "c /etc/terminfo ! socket c /snowgate/driver.nix"), []);
        reads
    }

    fn see(reads: &mut Reads, kind: &str, path: &[u8]) -> Option<Event> {
        let access = match kind.to_ascii_lowercase().as_str() {
            "c" => Access::Content,
            "d" => Access::Directory,
            "s" => Access::Stat,
            "l" => Access::Link,
            _ => return reads.take(&Frame::Unknown(format!("{kind} {}", String::from_utf8_lossy(path)))),
        };
        reads.take(&Frame::Seen { access, follows: kind.chars().all(|c| c.is_ascii_uppercase()), path: path.to_owned() })
    }

    /// `c a/b`: the content of a file of the tree; `m t.1`: a mark; other paths are absolute.
    fn play(reads: &mut Reads, script: &str) -> Vec<Event> {
        script
            .split_whitespace()
            .collect::<Vec<_>>()
            .chunks(2)
            .filter_map(|access| {
                let (kind, path) = (access[0], access[1]);
                let (kind, path) = match kind {
                    "m" => ("s", format!("/snowgate/marks/N.{path}")),
                    "f" => ("s", format!("/snowgate/marks/{path}")),
                    _ if path.starts_with('/') => (kind, path.to_owned()),
                    _ => (kind, format!("/snowgate/source/{path}")),
                };
                see(reads, kind, path.as_bytes())
            })
            .collect()
    }

    /// All that a node and those above it read, in order of the names.
    fn all(reads: &Reads, node: usize) -> Vec<String> {
        let mut all: Vec<Key> = Vec::new();
        let mut at = Some(node);
        while let Some(node) = at {
            all.extend(reads.nodes()[node].own.iter().map(|key| reads.key(*key).clone()));
            at = reads.nodes()[node].parent;
        }
        all.sort();
        all.iter()
            .map(|key| match key {
                Key::Stat(path) => format!("s {path}"),
                Key::Content(path) => format!("c {path}"),
                Key::Listing(path) => format!("d {path}"),
                Key::Link(path) => format!("l {path}"),
                Key::Skeleton(path) => format!("k {path}"),
                Key::Binding(path, binding) => format!("b {path} {binding}"),
            })
            .collect()
    }

    fn node(events: &[Event], item: usize) -> Option<usize> {
        let found: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                Event::Item(i, node) if *i == item => Some(*node),
                _ => None,
            })
            .collect();
        assert_eq!(found.len(), 1, "item {item} is finished once: {events:?}");
        found[0]
    }

    #[test]
    fn reads_go_to_the_item_that_is_finished_next() {
        let mut reads = reads();
        let events = play(&mut reads, "c x m t.0 c x s y m t.1 c x m t.2");
        let (first, second) = (node(&events, 0).unwrap(), node(&events, 1).unwrap());
        assert_eq!(all(&reads, first), ["s x", "c x"]);
        assert_eq!(all(&reads, second), ["s x", "s y", "c x"]);
        assert_eq!(reads.nodes()[second].parent, Some(first));
        assert_eq!(node(&events, 2), Some(second), "an item that reads nothing new is of the same node");
    }

    #[test]
    fn an_item_without_reads_has_a_node_too() {
        let mut reads = reads();
        let events = play(&mut reads, "m t.0 c x m t.1");
        assert_eq!(all(&reads, node(&events, 0).unwrap()), Vec::<String>::new());
        assert_eq!(all(&reads, node(&events, 1).unwrap()), ["s x", "c x"]);
    }

    #[test]
    fn every_directory_above_is_looked_at() {
        let mut reads = reads();
        let events = play(&mut reads, "c a/b/c d a/d s e/absent l f m t.0");
        assert_eq!(
            all(&reads, node(&events, 0).unwrap()),
            ["s a", "s a/b", "s a/b/c", "s a/d", "s e", "s e/absent", "s f", "c a/b/c", "d a/d", "l f"]
        );
    }

    #[test]
    fn the_tree_itself_can_be_listed() {
        let mut reads = reads();
        assert_eq!(see(&mut reads, "d", b"/snowgate/source"), None);
        let events = play(&mut reads, "m t.0");
        assert_eq!(all(&reads, node(&events, 0).unwrap()), ["d "]);
    }

    #[test]
    fn a_directory_that_is_open_can_be_listed() {
        let mut reads = reads();
        let events = play(&mut reads, "c directory m t.0");
        assert_eq!(all(&reads, node(&events, 0).unwrap()), ["s directory", "d directory"]);
    }

    #[test]
    fn what_a_forked_process_read_ends_with_it() {
        let mut reads = reads();
        let events = play(
            &mut reads,
            "c base m t.0 m fork.1 c x m t.1 m fork.2 c y m t.2 m exit m back.2 c z m t.3 m exit m back.1 m fork.3 c y m t.4 m exit m back.3 c w m t.5",
        );
        let all = |item| all(&reads, node(&events, item).unwrap());
        assert_eq!(all(0), ["s base", "c base"]);
        assert_eq!(all(1), ["s base", "s x", "c base", "c x"]);
        assert_eq!(all(2), ["s base", "s x", "s y", "c base", "c x", "c y"]);
        assert_eq!(all(3), ["s base", "s x", "s z", "c base", "c x", "c z"]);
        assert_eq!(all(4), ["s base", "s y", "c base", "c y"]);
        assert_eq!(all(5), ["s base", "s w", "c base", "c w"]);
        let ended: Vec<_> = events.iter().filter(|event| matches!(event, Event::Ended(_))).collect();
        assert_eq!(ended, [&Event::Ended(2), &Event::Ended(1), &Event::Ended(3)]);
    }

    #[test]
    fn what_was_read_before_a_fork_belongs_to_parent_and_child() {
        let mut reads = reads();
        let events = play(&mut reads, "c base m fork.1 m t.0 m exit m t.1");
        assert_eq!(all(&reads, node(&events, 0).unwrap()), ["s base", "c base"]);
        assert_eq!(node(&events, 0), node(&events, 1));
    }

    #[test]
    fn what_a_child_read_for_no_item_is_forgotten() {
        let mut reads = reads();
        let events = play(&mut reads, "m t.0 m fork.1 c x m exit m back.1 m t.1");
        assert_eq!(all(&reads, node(&events, 1).unwrap()), Vec::<String>::new());
        let events = play(&mut reads, "c x m t.2");
        assert_eq!(all(&reads, node(&events, 2).unwrap()), ["s x", "c x"], "what is read again is known again");
    }

    #[test]
    fn a_child_that_died_costs_what_was_open() {
        for end in ["m died.1.11 m back.1", "m back.1"] {
            let mut reads = reads();
            let events = play(&mut reads, &format!("c base m t.0 m fork.1 c x m t.1 c y {end} c z m t.2"));
            assert!(events.contains(&Event::Ended(1)));
            assert_eq!(all(&reads, node(&events, 1).unwrap()), ["s base", "s x", "c base", "c x"]);
            assert_eq!(all(&reads, node(&events, 2).unwrap()), ["s base", "s z", "c base", "c z"]);
        }
    }

    #[test]
    fn a_mark_that_makes_no_sense_ends_all_trust() {
        for nonsense in
            ["m exit", "m died.3.9", "m t.x", "m fork.", "m what", "m fork.1 m fork.2 m died.1.9", "m fork.1 m fork.2 m back.1"]
        {
            let mut reads = reads();
            let events = play(&mut reads, &format!("m t.0 {nonsense} m t.1"));
            assert!(node(&events, 0).is_some());
            assert_eq!(node(&events, 1), None, "{nonsense}");
        }
    }

    #[test]
    fn an_unknown_read_makes_this_process_and_those_below_unknown() {
        for unknown in [
            "c /etc/passwd",
            "s /home/x",
            "c /nix/store/other",
            "d /snowgate",
            "d /",
            "! a-call-that-nobody-knows",
            "c link/x",
            "c a/link/x",
            "S link",
            "C a/link",
            "c a//b",
            "c a/../b",
            "s .git/HEAD",
            "c /usr/../etc/passwd",
            "c /snowgate/sourcery",
        ] {
            let mut reads = reads();
            let events = play(&mut reads, &format!("m t.0 m fork.1 {unknown} m t.1 m fork.2 m t.2 m exit m t.3 m exit m t.4"));
            let known: Vec<bool> = (0..5).map(|item| node(&events, item).is_some()).collect();
            assert_eq!(known, [true, false, false, false, true], "{unknown}");
            assert_eq!(reads.unknown().len(), 1);
        }
        let mut reads = reads();
        assert_eq!(see(&mut reads, "c", b"/snowgate/source/\xff"), None);
        assert_eq!(play(&mut reads, "m t.0"), [Event::Item(0, None)]);
    }

    #[test]
    fn constant_places_are_no_reads() {
        let mut reads = reads();
        let script = "c /usr/lib/libc.so s /nix/store/x-source/a d /nix/store/x-source s / s /snowgate s /snowgate/marks s /nix s /nix/store f other s link l link s a/link m t.0";
        let events = play(&mut reads, script);
        assert_eq!(all(&reads, node(&events, 0).unwrap()), ["s a", "s a/link", "s link", "l link"]);
    }

    #[test]
    fn an_import_of_an_instrumented_file_reads_its_skeleton() {
        let mut reads = reads();
        let events = play(&mut reads, "c all.nix s /snowgate f i.7 f b.7.x m t.0 m fork.1 f b.7.y.z m t.1 m exit");
        assert_eq!(all(&reads, node(&events, 0).unwrap()), ["s all.nix", "k all.nix", "b all.nix x"]);
        assert_eq!(all(&reads, node(&events, 1).unwrap()), ["s all.nix", "k all.nix", "b all.nix x", "b all.nix y.z"]);
    }

    #[test]
    fn any_other_open_of_an_instrumented_file_reads_all_of_it() {
        for script in [
            "c all.nix m t.0",
            "c all.nix s x f i.7 m t.0",
            "c all.nix c all.nix f i.7 m t.0",
            "c all.nix f i.8 m t.0",
            "c all.nix f b.7.x m t.0",
        ] {
            let mut reads = reads();
            let events = play(&mut reads, script);
            assert!(all(&reads, node(&events, 0).unwrap()).contains(&"c all.nix".to_owned()), "{script}");
        }
        let mut reads = reads();
        let events = play(&mut reads, "c all.nix m fork.1 m t.0 m exit m t.1");
        assert_eq!(all(&reads, node(&events, 0).unwrap()), ["s all.nix", "c all.nix"]);
        assert_eq!(node(&events, 0), node(&events, 1));
    }
}
