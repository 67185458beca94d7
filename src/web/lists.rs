//! What the lists showed last, for as long as nothing was written to the database: many ask for the same list far more often than it
//! changes, and to read it takes longer than to write the page.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use super::fault::Fault;
use super::view::pulls::Row;
use crate::db::{Db, Opinions, PullFilter, RepositoryRow};
use crate::domain::RepositoryName;

#[derive(Default)]
pub struct Lists {
    pulls: Kept<PullFilter, Vec<Row>>,
    repositories: Kept<(), Vec<RepositoryRow>>,
    on_forge: Kept<(), BTreeSet<RepositoryName>>,
    opinions: Kept<(), Opinions>,
}

impl Lists {
    /// As [`Db::pulls`].
    pub async fn pulls(&self, db: &Db, filter: PullFilter) -> Result<Arc<Vec<Row>>, Fault> {
        let as_of = db.written();
        match self.pulls.of(as_of, &filter) {
            Some(rows) => Ok(rows),
            None => Ok(self.pulls.keep(as_of, filter.clone(), db.pulls(filter).await?)),
        }
    }

    /// As [`Db::repositories`].
    pub async fn repositories(&self, db: &Db) -> Result<Arc<Vec<RepositoryRow>>, Fault> {
        let as_of = db.written();
        match self.repositories.of(as_of, &()) {
            Some(rows) => Ok(rows),
            None => Ok(self.repositories.keep(as_of, (), db.repositories().await?)),
        }
    }

    /// As [`Db::opinions`].
    pub async fn opinions(&self, db: &Db) -> Result<Arc<Opinions>, Fault> {
        let as_of = db.written();
        match self.opinions.of(as_of, &()) {
            Some(opinions) => Ok(opinions),
            None => Ok(self.opinions.keep(as_of, (), db.opinions().await?)),
        }
    }

    /// The repositories where a person may do something in their own name.
    pub async fn on_forge(&self, db: &Db) -> Result<Arc<BTreeSet<RepositoryName>>, Fault> {
        let as_of = db.written();
        if let Some(names) = self.on_forge.of(as_of, &()) {
            return Ok(names);
        }
        let names = db.github_repositories().await?.into_iter().map(|(name, _)| name).collect();
        Ok(self.on_forge.keep(as_of, (), names))
    }
}

/// Anybody may ask for the list of any name: no more than so many are kept.
const MOST: usize = 64;

/// Answers by question, as of a number of [`Db::written`].
struct Kept<K, V>(Mutex<(u64, HashMap<K, Arc<V>>)>);

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V> Kept<K, V> {
    fn of(&self, as_of: u64, question: &K) -> Option<Arc<V>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.0 == as_of { kept.1.get(question).cloned() } else { None }
    }

    /// `as_of`: from before the answer was read.
    fn keep(&self, as_of: u64, question: K, answer: V) -> Arc<V> {
        let answer = Arc::new(answer);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.0 < as_of || kept.1.len() >= MOST {
            *kept = (as_of, HashMap::new());
        }
        // a slow reader's answer is older than what is kept
        if kept.0 == as_of {
            kept.1.insert(question, answer.clone());
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_holds_until_something_is_written() {
        let kept = Kept::<u32, &str>::default();
        kept.keep(1, 7, "old");
        assert_eq!(kept.of(1, &7).as_deref(), Some(&"old"));
        assert_eq!(kept.of(2, &7), None);
        kept.keep(2, 7, "new");
        assert_eq!(*kept.keep(1, 7, "late"), "late");
        assert_eq!(kept.of(2, &7).as_deref(), Some(&"new"));
        (0..200).for_each(|n| drop(kept.keep(2, n, "many")));
        assert!(kept.0.lock().unwrap().1.len() <= MOST);
    }
}
