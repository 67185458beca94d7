//! A story: a tree is recorded, edited, and what the recording knows of the edited tree is held against a full evaluation of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use snowgate::domain::AttrPath;
use snowgate::eval::Found;
use snowgate::eval::trace::{Key, Known, TraceSet};

use super::dice::Dice;
use super::engine::{House, Recording};
use super::package_sets::{Root, package_set};
use super::trees::{self, Entry, Tree};
use super::{edits, number};

/// What a number of stories came to.
#[derive(Debug, Default)]
pub struct Tally {
    pub recordings: usize,
    pub evaluations: usize,
    pub results: usize,
    pub reused: usize,
    pub changed: usize,
    pub untraced: usize,
    pub otherwise: usize,
    pub unknown: BTreeMap<String, usize>,
}

impl Tally {
    pub fn recorded(&mut self, recording: &Recording) {
        self.recordings += 1;
        self.untraced += recording.set.untraced();
        self.otherwise += recording.otherwise.len();
        for reason in &recording.recorded.unknown {
            *self.unknown.entry(reason.chars().filter(|c| !c.is_ascii_digit()).take(60).collect()).or_default() += 1;
        }
    }
}

/// How what is known, and what an evaluation with it finds, differs from the truth. `None` where it does not.
pub async fn lie(house: &House, set: &TraceSet, tree: &Tree, root: Root, tally: &mut Tally) -> Option<String> {
    let id = house.write(tree);
    let known = house.known(set, &id).await;
    let full = house.full(&id, root).await;
    let again = house.evaluate(&id, root, Some(known.clone())).await;
    let (full, again) = match (full, again) {
        (Ok(full), Ok(again)) => (full, again),
        (Err(full), Err(again)) if full == again => return None,
        (Err(_), Ok(_)) if known.found.contains_key(&AttrPath::root()) => {
            return Some("a tree that can't be evaluated is known".into());
        }
        (full, again) => return Some(format!("in full {:?}, again {:?}", full.map(|_| ()), again.map(|_| ()))),
    };
    tally.evaluations += 1;
    tally.results += full.found.len();
    tally.reused += full.found.keys().filter(|path| known.found.contains_key(path)).count();
    tally.changed +=
        full.found.iter().filter(|(path, found)| set.results.get(path).is_none_or(|traced| traced.found != **found)).count();
    told_apart(&known, &full.found, set).or_else(|| {
        (again.found != full.found || again.evaluation.attrs != full.evaluation.attrs)
            .then(|| format!("evaluated with what is known: {:#?}\nin full: {:#?}", again.found, full.found))
    })
}

/// Something that is known and not true.
fn told_apart(known: &Known, truth: &BTreeMap<AttrPath, Found>, set: &TraceSet) -> Option<String> {
    let mut text = String::new();
    for (path, found) in &known.found {
        if let Some(found_now) = truth.get(path).filter(|now| *now != found) {
            let _ = writeln!(text, "{path}\n  known: {found:?}\n  true:  {found_now:?}\n  its reads: {:?}", reads(set, path));
        }
    }
    (!text.is_empty()).then_some(text)
}

/// All that an attribute read.
pub fn reads(set: &TraceSet, path: &AttrPath) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut at = set.results.get(path).and_then(|traced| traced.node);
    while let Some(node) = at {
        let node = &set.nodes[node as usize];
        keys.extend(node.own.iter().map(|key| set.keys[*key as usize].clone()));
        at = node.parent;
    }
    keys.sort();
    keys
}

/// The smallest pair of trees of which it still holds.
pub async fn minimal(house: &House, mut from: Tree, mut to: Tree, root: Root) -> (Tree, Tree) {
    let lies = async |from: &Tree, to: &Tree| {
        let id = house.write(from);
        let Ok(recording) = house.trace(&id, root).await else { return false };
        lie(house, &recording.set, to, root, &mut Tally::default()).await.is_some()
    };
    if !lies(&from, &to).await {
        return (from, to);
    }
    loop {
        let before = (from.clone(), to.clone());
        let paths: std::collections::BTreeSet<String> = from.paths().into_iter().chain(to.paths()).collect();
        for path in &paths {
            // as if it had not been edited
            let mut same = to.clone();
            match from.get(path) {
                Some(entry) => same.put(path, entry.clone()),
                None => same.remove(path),
            }
            if same != to && lies(&from, &same).await {
                to = same;
            }
            let (mut less_from, mut less_to) = (from.clone(), to.clone());
            less_from.remove(path);
            less_to.remove(path);
            if (&less_from, &less_to) != (&from, &to) && lies(&less_from, &less_to).await {
                (from, to) = (less_from, less_to);
            }
        }
        for path in &paths {
            let mut at = 0;
            while let Some(line) = from.text(path).and_then(|text| text.lines().nth(at)).map(str::to_owned) {
                let (mut less_from, mut less_to) = (from.clone(), to.clone());
                for tree in [&mut less_from, &mut less_to] {
                    if let Some(kept) = tree.text(path).map(|text| without_line(text, &line)) {
                        tree.set_text(path, kept);
                    }
                }
                if (&less_from, &less_to) != (&from, &to) && lies(&less_from, &less_to).await {
                    (from, to) = (less_from, less_to);
                } else {
                    at += 1;
                }
            }
        }
        if (&from, &to) == (&before.0, &before.1) {
            return (from, to);
        }
    }
}

/// The first such line, where there is one, goes.
fn without_line(text: &str, line: &str) -> String {
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    if let Some(at) = lines.iter().position(|other| other.trim_end_matches(['\n', '\r']) == line) {
        lines.remove(at);
    }
    lines.concat()
}

/// Panics with all that a person needs to find the fault.
pub async fn report(house: &House, seed: u64, from: &Tree, to: &Tree, root: Root, what: &[String], lie_told: &str) -> ! {
    let (small_from, small_to) = minimal(house, from.clone(), to.clone(), root).await;
    let id = house.write(&small_from);
    let again = match house.trace(&id, root).await {
        Ok(recording) => lie(house, &recording.set, &small_to, root, &mut Tally::default()).await,
        Err(_) => None,
    };
    panic!(
        "seed {seed}: {what:?}\n{lie_told}\n\nas small as it gets:\n{}\nedited:\n{}\n{}",
        trees::print(&small_from),
        trees::difference(&small_from, &small_to),
        again.as_deref().unwrap_or("(not told again when made smaller)")
    );
}

/// One recorded tree, some edits of it, some edits of these, a merge of two.
pub async fn tell(house: &House, seed: u64, tally: &mut Tally) {
    let dice = &mut Dice::new(seed);
    let (tree, root) = package_set(dice);
    let id = house.write(&tree);
    let Ok(recording) = house.trace(&id, root).await else { return };
    tally.recorded(&recording);
    let set = recording.set;
    let mut edited: Vec<Tree> = Vec::new();
    for _ in 0..number("SNOWGATE_EDITS", 4) {
        let mut to = tree.clone();
        let mut what = edits::edit(dice, &mut to);
        match (dice.below(6), edited.last()) {
            (0, Some(other)) => {
                to = edits::merge(&tree, other, &to);
                what.push("merged with the one before".into());
            }
            (1, Some(other)) => {
                to = other.clone();
                what = edits::edit(dice, &mut to);
                what.push("after the one before".into());
            }
            _ => {}
        }
        if let Some(text) = lie(house, &set, &to, root, tally).await {
            report(house, seed, &tree, &to, root, &what, &text).await;
        }
        edited.push(to);
    }
}

/// Fifty commits, one after the other; what is known is carried along, and only what changed is recorded again.
pub async fn chain(house: &House, seed: u64, commits: usize, tally: &mut Tally) {
    let dice = &mut Dice::new(seed);
    let (mut tree, root) = package_set(dice);
    let id = house.write(&tree);
    let Ok(recording) = house.trace(&id, root).await else { return };
    tally.recorded(&recording);
    let mut set = recording.set;
    let mut earlier: Vec<(TraceSet, Tree)> = Vec::new();
    let mut healthy = tree.clone();
    for commit in 0..commits {
        let mut next = tree.clone();
        let mut what = edits::edit(dice, &mut next);
        if set.results.len() < 4 {
            next = healthy.clone();
            what = vec!["revert".into()];
        } else {
            healthy = tree.clone();
        }
        if let Some(text) = lie(house, &set, &next, root, tally).await {
            panic!(
                "seed {seed}, commit {commit}: {what:?}\n{text}\nbefore:\n{}\nedited:\n{}",
                trees::print(&tree),
                trees::difference(&tree, &next)
            );
        }
        // a set of long ago is as good
        if let Some((old, from)) = earlier.get(dice.below(8))
            && let Some(text) = lie(house, old, &next, root, tally).await
        {
            report(house, seed, from, &next, root, &what, &text).await;
        }
        let id = house.write(&next);
        let changes = house.changes(&set, &id).await;
        let known = house.known(&set, &id).await;
        let Ok(evaluated) = house.evaluate(&id, root, Some(known)).await else { continue };
        let advanced = set.clone().advance(id.clone(), &changes, evaluated.found);
        let recording = house.record(&id, root, advanced).await.unwrap();
        tally.recorded(&recording);
        if dice.percent(20) {
            earlier.push((std::mem::replace(&mut set, recording.set), tree));
        } else {
            set = recording.set;
        }
        if dice.percent(60) {
            set.compact();
        }
        tree = next;
    }
}

/// Each thing that was read, changed by itself: whoever read it is dirty.
pub async fn each_key_alone(house: &House, seed: u64) -> usize {
    let dice = &mut Dice::new(seed);
    let (tree, root) = package_set(dice);
    let id = house.write(&tree);
    let Ok(recording) = house.trace(&id, root).await else { return 0 };
    let set = recording.set;
    let changed: Vec<(Key, Tree)> = set.keys.iter().filter_map(|key| Some((key.clone(), otherwise(&tree, key)?))).collect();
    let ids = house.repo.write(&changed.iter().map(|(_, tree)| tree).collect::<Vec<_>>());
    for ((key, to), id) in changed.iter().zip(ids) {
        let changes = house.changes(&set, &id).await;
        assert!(changes.keys.contains(key), "seed {seed}: {key:?} is not among {changes:?}");
        let known = set.known(&changes);
        for path in set.results.keys().filter(|path| reads(&set, path).contains(key)) {
            assert!(!known.found.contains_key(path), "seed {seed}: {path} read {key:?} and is known");
        }
        if dice.percent(10)
            && let Some(text) = lie(house, &set, to, root, &mut Tally::default()).await
        {
            report(house, seed, &tree, to, root, &[format!("{key:?}")], &text).await;
        }
    }
    changed.len()
}

/// The tree in which this has another value, and as little else as can be.
fn otherwise(tree: &Tree, key: &Key) -> Option<Tree> {
    let path = key.path();
    let mut other = tree.clone();
    match (key, tree.get(path)) {
        (Key::Content(_), Some(Entry::File { text, executable })) => {
            other.put(path, Entry::File { text: format!("{text} "), executable: *executable });
        }
        (Key::Stat(_), Some(Entry::File { text, executable })) => {
            other.put(path, Entry::File { text: text.clone(), executable: !executable });
        }
        (Key::Link(_), Some(Entry::Link(to))) => other.put(path, Entry::Link(format!("{to}x"))),
        (Key::Listing(_), _) if path.is_empty() => other.put("zz", Entry::file("")),
        (Key::Listing(_), _) if tree.is_directory(path) => other.put(&format!("{path}/zz"), Entry::file("")),
        (Key::Skeleton(_), Some(Entry::File { text, executable })) => {
            // a token that stands in no tracked binding
            let text = format!("({text})");
            other.put(path, Entry::File { text, executable: *executable });
        }
        (Key::Binding(..), _) => return None,
        // there is something where there was nothing, or something else
        _ => other.put(path, Entry::file("something")),
    }
    (other != *tree).then_some(other)
}
