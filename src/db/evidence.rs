//! What a review found besides its report, and how derivations stood.

use std::collections::HashMap;
use std::sync::Arc;

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::columns::{self, CHUNK, compressed, expanded, now, parsed};
use super::schema::{evidence as v, standings as s};
use super::threads::Fault;
use super::{Db, DbError};
use crate::domain::{DrvPath, Outcome, ReviewId};

/// A part of the evidence, stored and read by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// [`crate::review::blame::Blame`]
    Tree,
    /// [`crate::review::growth::Growth`]
    Closures,
}

impl Part {
    fn word(self) -> &'static str {
        match self {
            Part::Tree => "tree",
            Part::Closures => "closures",
        }
    }
}

/// How long it is known how a derivation stood: half a year.
const STANDS: i64 = 180 * 24 * 60 * 60 * 1000;

impl Db {
    /// Replaces one part of a review's evidence.
    pub async fn save_evidence<T: Serialize + Send + Sync + 'static>(
        &self,
        review: &ReviewId,
        part: Part,
        evidence: Arc<T>,
    ) -> Result<(), DbError> {
        let review = review.clone();
        // on a reading thread: the writer and the caller's arbiter have better things to do than to compress
        let json = self.threads.read(move |_| Ok(compressed("the evidence of a review", &*evidence)?)).await?;
        self.threads
            .write(move |connection| {
                diesel::insert_into(v::table)
                    .values((v::review.eq(review.as_str()), v::part.eq(part.word()), v::json.eq(&json)))
                    .on_conflict((v::review, v::part))
                    .do_update()
                    .set(v::json.eq(&json))
                    .execute(connection)?;
                Ok(())
            })
            .await
    }

    /// One part of a review's evidence; `None` where there is none (yet).
    pub async fn evidence<T: DeserializeOwned + Send + 'static>(
        &self,
        review: &ReviewId,
        part: Part,
    ) -> Result<Option<T>, DbError> {
        let review = review.clone();
        self.threads
            .read(move |connection| {
                let row = v::table.find((review.as_str(), part.word())).select(v::json);
                let json: Option<Vec<u8>> = row.first(connection).optional()?;
                Ok(json.map(|json| expanded("the evidence of a review", &json)).transpose()?)
            })
            .await
    }

    /// Notes how derivations stand.
    pub async fn save_standings(&self, standings: Vec<(DrvPath, Outcome)>) -> Result<(), DbError> {
        self.threads
            .write(move |connection| {
                let at = now();
                for (drv, outcome) in &standings {
                    let values = (s::outcome.eq(outcome.as_str()), s::at.eq(at));
                    diesel::insert_into(s::table)
                        .values((s::drv.eq(drv.as_str()), values))
                        .on_conflict(s::drv)
                        .do_update()
                        .set(values)
                        .execute(connection)?;
                }
                Ok(())
            })
            .await
    }

    /// How any number of derivations stood; of those that no review asked about, nothing.
    pub async fn standings(&self, drvs: &[DrvPath]) -> Result<HashMap<DrvPath, Outcome>, DbError> {
        let drvs = drvs.to_vec();
        self.threads
            .read(move |connection| {
                let mut found = HashMap::new();
                for chunk in drvs.chunks(CHUNK) {
                    let rows: Vec<(String, String)> = s::table
                        .filter(s::drv.eq_any(chunk.iter().map(DrvPath::as_str)))
                        .select((s::drv, s::outcome))
                        .load(connection)?;
                    for (drv, outcome) in rows {
                        found.insert(parsed("a standing", &drv)?, columns::outcome("a standing", &outcome)?);
                    }
                }
                Ok(found)
            })
            .await
    }
}

/// What is too old to be asked for; done at start.
pub(super) fn forgetting() -> impl FnMut(&mut SqliteConnection) -> Result<(), Fault> + Send + 'static {
    let before = now().saturating_sub(STANDS);
    move |connection| {
        diesel::delete(s::table.filter(s::at.lt(before))).execute(connection)?;
        Ok(())
    }
}
