//! Evaluations that need not be done again.

use diesel::prelude::*;

use super::columns::{compressed, expanded, now};
use super::schema::evaluations as e;
use super::{Db, DbError};
use crate::domain::{Evaluation, TreeId};

const WHAT: &str = "an evaluation";

/// A key's last use is noted at most this often, so that reading does not become writing.
const USE_NOTED_AFTER: i64 = 60 * 60 * 1000;

impl Db {
    /// The evaluation stored under a key: the caller's hash of everything it depends on.
    pub async fn evaluation(&self, key: &str) -> Result<Option<Evaluation>, DbError> {
        let wanted = key.to_owned();
        let found: Option<(i64, Evaluation)> = self
            .threads
            .read(move |connection| {
                let found: Option<(i64, Vec<u8>)> =
                    e::table.find(&wanted).select((e::used_at, e::json)).first(connection).optional()?;
                Ok(found.map(|(used_at, json)| Ok::<_, DbError>((used_at, expanded(WHAT, &json)?))).transpose()?)
            })
            .await?;
        Ok(found.map(|(used_at, evaluation)| {
            let (key, now) = (key.to_owned(), now());
            if now - used_at > USE_NOTED_AFTER {
                self.threads.post("the use of an evaluation", move |connection| {
                    diesel::update(e::table.find(&key)).set(e::used_at.eq(now)).execute(connection)?;
                    Ok(())
                });
            }
            evaluation
        }))
    }

    /// Replaces what is stored under the key.
    pub async fn save_evaluation(&self, key: &str, tree: &TreeId, evaluation: &Evaluation) -> Result<(), DbError> {
        let (key, tree) = (key.to_owned(), tree.clone());
        let (jobset, system) = (evaluation.jobset.clone(), evaluation.system.clone());
        let evaluation = evaluation.clone();
        // on a reading thread: the writer and the caller's arbiter have better things to do than to compress
        let json = self.threads.read(move |_| Ok(compressed(WHAT, &evaluation)?)).await?;
        self.threads
            .write(move |connection| {
                let now = now();
                let values = (
                    e::tree.eq(tree.as_str()),
                    e::jobset.eq(jobset.as_str()),
                    e::system.eq(system.as_str()),
                    e::saved_at.eq(now),
                    e::used_at.eq(now),
                    e::json.eq(&json),
                );
                diesel::insert_into(e::table)
                    .values((e::key.eq(&key), values))
                    .on_conflict(e::key)
                    .do_update()
                    .set(values)
                    .execute(connection)?;
                Ok(())
            })
            .await
    }
}
