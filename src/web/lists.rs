//! What the lists showed last, for as long as nothing was written to the database: many ask for the same list far more often than it
//! changes, and to read it takes longer than to write the page.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::fault::Fault;
use super::kept::{Kept, Question};
use super::view::pulls::Row;
use crate::db::{Db, DbError, Opinions, PullFilter, RepositoryRow};
use crate::domain::RepositoryName;

/// Anybody may ask for the list of any name: no more than so many are kept.
const MOST: usize = 64;

pub struct Lists {
    pulls: Kept<AsOf<PullFilter>, Vec<Row>>,
    repositories: Kept<AsOf<()>, Vec<RepositoryRow>>,
    on_forge: Kept<AsOf<()>, BTreeSet<RepositoryName>>,
    opinions: Kept<AsOf<()>, Opinions>,
}

/// A question, and the number of [`Db::written`] before it was answered.
#[derive(PartialEq)]
struct AsOf<Q> {
    written: u64,
    of: Q,
}

impl<Q: PartialEq> Question for AsOf<Q> {
    fn takes_the_place_of(&self, other: &Self) -> bool {
        self.written > other.written
    }
}

impl Default for Lists {
    fn default() -> Self {
        Self { pulls: Kept::new(MOST), repositories: Kept::new(1), on_forge: Kept::new(1), opinions: Kept::new(1) }
    }
}

impl Lists {
    /// As [`Db::pulls`].
    pub async fn pulls(&self, db: &Db, filter: PullFilter) -> Result<Arc<Vec<Row>>, Fault> {
        answer(&self.pulls, db, filter.clone(), async || db.pulls(filter).await).await
    }

    /// As [`Db::repositories`].
    pub async fn repositories(&self, db: &Db) -> Result<Arc<Vec<RepositoryRow>>, Fault> {
        answer(&self.repositories, db, (), async || db.repositories().await).await
    }

    /// As [`Db::opinions`].
    pub async fn opinions(&self, db: &Db) -> Result<Arc<Opinions>, Fault> {
        answer(&self.opinions, db, (), async || db.opinions().await).await
    }

    /// The repositories where a person may do something in their own name.
    pub async fn on_forge(&self, db: &Db) -> Result<Arc<BTreeSet<RepositoryName>>, Fault> {
        let names = async || Ok(db.github_repositories().await?.into_iter().map(|(name, _)| name).collect());
        answer(&self.on_forge, db, (), names).await
    }
}

async fn answer<Q: PartialEq, A>(
    kept: &Kept<AsOf<Q>, A>,
    db: &Db,
    of: Q,
    read: impl AsyncFnOnce() -> Result<A, DbError>,
) -> Result<Arc<A>, Fault> {
    let question = AsOf { written: db.written(), of };
    match kept.get(&question) {
        Some(answer) => Ok(answer),
        None => Ok(kept.put(question, read().await?)),
    }
}
