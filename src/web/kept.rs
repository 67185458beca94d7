//! What was read or worked out last, for the next page that shows it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::db::ReviewRow;

/// What is asked, with all that the answer depends on: the same question has the same answer.
pub trait Question: PartialEq {
    /// Once this is asked, the other is asked no more.
    fn takes_the_place_of(&self, other: &Self) -> bool;
}

/// The row of a review, read a moment ago, says whether what is kept of the review still holds.
impl Question for ReviewRow {
    fn takes_the_place_of(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

/// The answers that were wanted last.
pub struct Kept<Q, A> {
    /// What all together may weigh.
    most: usize,
    weigh: fn(&A) -> usize,
    kept: Mutex<VecDeque<(Q, Arc<A>)>>,
}

impl<Q: Question, A> Kept<Q, A> {
    /// So many answers.
    pub fn new(most: usize) -> Self {
        Self::weighing(most, |_| 1)
    }

    /// As many as weigh so much.
    pub fn weighing(most: usize, weigh: fn(&A) -> usize) -> Self {
        Self { most, weigh, kept: Mutex::default() }
    }

    pub fn get(&self, question: &Q) -> Option<Arc<A>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(of, _)| of == question)?;
        let entry = kept.remove(at)?;
        let answer = entry.1.clone();
        kept.push_front(entry);
        Some(answer)
    }

    pub fn put(&self, question: Q, answer: A) -> Arc<A> {
        let answer = Arc::new(answer);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(of, _)| *of != question && !question.takes_the_place_of(of));
        // a slow reader's answer may be to what is asked no more
        if kept.iter().any(|(of, _)| of.takes_the_place_of(&question)) {
            return answer;
        }
        kept.push_front((question, answer.clone()));
        let mut weight = 0;
        kept.retain(|(_, answer)| {
            weight += (self.weigh)(answer);
            weight <= self.most
        });
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As of when, and what.
    #[derive(Debug, Clone, Copy, PartialEq)]
    struct Asked(u64, u64);

    impl Question for Asked {
        fn takes_the_place_of(&self, other: &Self) -> bool {
            self.0 > other.0
        }
    }

    #[test]
    fn an_answer_holds_until_its_question_is_asked_no_more() {
        let kept = Kept::new(4);
        kept.put(Asked(1, 7), "old");
        assert_eq!(kept.get(&Asked(1, 7)).as_deref(), Some(&"old"));
        assert_eq!(kept.get(&Asked(2, 7)), None);
        kept.put(Asked(2, 7), "new");
        assert_eq!(*kept.put(Asked(1, 7), "late"), "late");
        assert_eq!((kept.get(&Asked(1, 7)), kept.get(&Asked(2, 7)).as_deref()), (None, Some(&"new")));
    }

    #[test]
    fn what_was_wanted_last_is_kept() {
        let kept = Kept::weighing(10, |text: &&str| text.len());
        kept.put(Asked(1, 1), "abcd");
        kept.put(Asked(1, 2), "efgh");
        assert!(kept.get(&Asked(1, 1)).is_some());
        kept.put(Asked(1, 3), "ijk");
        assert_eq!([1, 2, 3].map(|of| kept.get(&Asked(1, of)).is_some()), [true, false, true]);
        // what weighs more than all may is not kept
        assert_eq!(*kept.put(Asked(1, 4), "more than all"), "more than all");
        assert!(kept.get(&Asked(1, 4)).is_none());
    }
}
