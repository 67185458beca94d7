//! Why a path is in a closure: the shortest chain of references that leads to it. The references come from the store, a round at a time.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::StorePath;

/// A search outwards from some outputs. Ask for what [`Search::front`] refers to, and hand it to [`Search::found`].
pub struct Search {
    target: StorePath,
    /// By which path each was reached; `None`: it is one of the outputs.
    reached_by: BTreeMap<StorePath, Option<StorePath>>,
    front: BTreeSet<StorePath>,
}

impl Search {
    pub fn new(outputs: impl IntoIterator<Item = StorePath>, target: StorePath) -> Self {
        let front: BTreeSet<StorePath> = outputs.into_iter().collect();
        Self { target, reached_by: front.iter().map(|path| (path.clone(), None)).collect(), front }
    }

    /// Whose references are to be found next. Empty: there is nothing more to find.
    pub fn front(&self) -> &BTreeSet<StorePath> {
        &self.front
    }

    /// The references of each path of the front that the store has.
    pub fn found(&mut self, references: &BTreeMap<StorePath, BTreeSet<StorePath>>) {
        let mut next = BTreeSet::new();
        for (path, references) in references {
            for reference in references {
                if !self.reached_by.contains_key(reference) {
                    self.reached_by.insert(reference.clone(), Some(path.clone()));
                    next.insert(reference.clone());
                }
            }
        }
        self.front = if self.reached_by.contains_key(&self.target) { BTreeSet::new() } else { next };
    }

    /// From an output to the path, once the front is empty; `None`: nothing refers to it.
    pub fn chain(&self) -> Option<Vec<StorePath>> {
        let mut chain = Vec::new();
        let mut at = Some(&self.target);
        while let Some(path) = at {
            chain.push(path.clone());
            at = self.reached_by.get(path)?.as_ref();
        }
        chain.reverse();
        Some(chain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::samples::path;

    fn chain(references: &[(&str, &[&str])], from: &str, to: &str) -> Option<Vec<String>> {
        let named = |name: &str| path(name, name);
        let all: BTreeMap<StorePath, BTreeSet<StorePath>> =
            references.iter().map(|(name, below)| (named(name), below.iter().map(|name| named(name)).collect())).collect();
        let mut search = Search::new([named(from)], named(to));
        while !search.front().is_empty() {
            let front = all.iter().filter(|(path, _)| search.front().contains(*path));
            search.found(&front.map(|(path, below)| (path.clone(), below.clone())).collect());
        }
        Some(search.chain()?.iter().map(|path| path.name().to_owned()).collect())
    }

    #[test]
    fn the_shortest_chain_is_found_and_a_path_may_refer_to_itself() {
        let references: &[(&str, &[&str])] =
            &[("app", &["app", "lib", "gui"]), ("gui", &["far"]), ("far", &["gcc"]), ("lib", &["gcc"]), ("gcc", &[])];
        assert_eq!(chain(references, "app", "gcc"), Some(vec!["app".into(), "lib".into(), "gcc".into()]));
        assert_eq!(chain(references, "app", "app"), Some(vec!["app".into()]));
        assert_eq!(chain(references, "app", "perl"), None);
    }
}
