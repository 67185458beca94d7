//! What GitHub answered before, and what to ask with whether it is still so. What was not asked for longest makes room for what is new.

use std::collections::{BTreeMap, HashMap};

use http::HeaderValue;

use super::client::{As, More};

/// A page of a hundred pull requests takes some tens of kilobytes, most answers some hundred bytes: with so many, a hundred megabytes at
/// most. A repository has one for each page of its list, each contributor and each pull request that was touched.
const MOST: usize = 20_000;

/// What was read, as much of it as we read.
#[derive(Clone)]
pub(super) struct Known {
    pub etag: HeaderValue,
    pub json: Vec<u8>,
    pub more: More,
}

/// In whose name, and which path.
pub(super) type Question = (As, String);

pub(super) struct Memory {
    most: usize,
    /// With when it was asked for last.
    known: HashMap<Question, (u64, Known)>,
    by_use: BTreeMap<u64, Question>,
    uses: u64,
}

impl Default for Memory {
    fn default() -> Self {
        Self::of(MOST)
    }
}

impl Memory {
    fn of(most: usize) -> Self {
        Self { most, known: HashMap::new(), by_use: BTreeMap::new(), uses: 0 }
    }

    pub fn recall(&mut self, question: &Question) -> Option<Known> {
        let (used, known) = self.known.get_mut(question)?;
        let known = known.clone();
        let question = self.by_use.remove(used)?;
        self.uses += 1;
        *used = self.uses;
        self.by_use.insert(self.uses, question);
        Some(known)
    }

    pub fn keep(&mut self, question: Question, known: Known) {
        self.forget(&question);
        self.uses += 1;
        self.by_use.insert(self.uses, question.clone());
        self.known.insert(question, (self.uses, known));
        while self.known.len() > self.most
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.known.remove(&oldest);
        }
    }

    pub fn forget(&mut self, question: &Question) {
        if let Some((used, _)) = self.known.remove(question) {
            self.by_use.remove(&used);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(number: usize) -> Question {
        (As::App, format!("/{number}"))
    }

    fn known(number: usize) -> Known {
        Known { etag: HeaderValue::from_static("\"x\""), json: number.to_string().into_bytes(), more: More::Nothing }
    }

    #[test]
    fn what_was_not_asked_for_longest_makes_room() {
        let mut memory = Memory::of(3);
        (0..3).for_each(|number| memory.keep(question(number), known(number)));
        assert_eq!(memory.recall(&question(0)).unwrap().json, b"0");
        memory.keep(question(3), known(3));
        assert!(memory.recall(&question(1)).is_none(), "it was the oldest");
        assert!([0, 2, 3].into_iter().all(|number| memory.recall(&question(number)).is_some()));
        // the same again takes no more room
        (0..9).for_each(|_| memory.keep(question(2), known(2)));
        memory.forget(&question(3));
        assert_eq!((memory.known.len(), memory.by_use.len()), (2, 2));
        (10..1_000).for_each(|number| memory.keep(question(number), known(number)));
        assert_eq!((memory.known.len(), memory.by_use.len()), (3, 3));
    }
}
