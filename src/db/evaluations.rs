//! Evaluations that need not be done again. The trees of a repository differ little from each other, and so do their evaluations: one
//! is stored in full (an anchor), most are stored as the difference to the anchor that they are most like. An anchor stays as long as
//! a difference refers to it.

use std::collections::HashMap;
use std::sync::Arc;

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;

use super::cache::collect;
use super::columns::{CHUNK, count, integer, now, parsed, unreadable};
use super::schema::evaluations as e;
use super::threads::Fault;
use super::{Db, DbError};
use crate::domain::{Evaluation, JobsetName, System, TreeId};
use crate::eval::stored::evaluation::{self as stored, Anchor, Content, Sketch};
use crate::eval::stored::{Unreadable, Unstorable};

const WHAT: &str = "an evaluation";

/// A key's last use is noted at most this often, so that reading does not become writing.
const USE_NOTED_AFTER: i64 = 60 * 60 * 1000;

/// Anchors of one trace key that are looked at, the latest of them.
const ANCHORS: i64 = 200;

/// An evaluation of which less is the same as in any anchor becomes one.
const LITTLE_LIKENESS: f64 = 0.3;

/// What was read under a key.
struct Stored {
    id: i64,
    used_at: i64,
    evaluation: Result<Evaluation, Fallen>,
}

/// What can't be read: all that refers to it can't be, either.
struct Fallen {
    id: i64,
    reason: Unreadable,
}

/// An evaluation as it will be stored.
struct Sealed {
    blob: Vec<u8>,
    anchor: Option<i64>,
    sketch: Option<Vec<u8>>,
    /// An anchor that was found to be unreadable.
    fallen: Option<Fallen>,
}

impl Db {
    /// The evaluation stored under a key: the caller's hash of everything it depends on. One that can't be read is none: it is
    /// dropped, with a warning.
    pub async fn evaluation(&self, key: &str) -> Result<Option<Evaluation>, DbError> {
        let key = key.to_owned();
        let found = self.threads.read(move |connection| Ok(read(connection, &key)?)).await?;
        let Some(Stored { id, used_at, evaluation }) = found else { return Ok(None) };
        match evaluation {
            Ok(evaluation) => {
                let now = now();
                if now - used_at > USE_NOTED_AFTER {
                    self.threads.post("the use of an evaluation", move |connection| {
                        diesel::update(e::table.find(id)).set(e::used_at.eq(now)).execute(connection)?;
                        Ok(())
                    });
                }
                Ok(Some(evaluation))
            }
            Err(fallen) => {
                self.drop_fallen(fallen);
                Ok(None)
            }
        }
    }

    /// The keys under which evaluations of these trees are stored, the latest of each tree.
    pub async fn evaluations_of(
        &self,
        trees: &[TreeId],
        jobset: &JobsetName,
        system: &System,
    ) -> Result<HashMap<TreeId, String>, DbError> {
        let (trees, jobset, system) = (trees.to_vec(), jobset.clone(), system.clone());
        self.threads
            .read(move |connection| {
                let mut found = HashMap::new();
                for chunk in trees.chunks(CHUNK) {
                    let rows: Vec<(String, Option<String>)> = e::table
                        .filter(e::tree.eq_any(chunk.iter().map(TreeId::as_str)))
                        .filter(e::jobset.eq(jobset.as_str()))
                        .filter(e::system.eq(system.as_str()))
                        .filter(e::key.is_not_null())
                        .order((e::saved_at, e::id))
                        .select((e::tree, e::key))
                        .load(connection)?;
                    for (tree, key) in rows {
                        found.extend(key.map(|key| Ok::<_, DbError>((parsed(WHAT, &tree)?, key))).transpose()?);
                    }
                }
                Ok(found)
            })
            .await
    }

    fn drop_fallen(&self, Fallen { id, reason }: Fallen) {
        tracing::warn!("a stored evaluation is dropped: {reason}");
        self.threads.post("the end of an evaluation", move |connection| {
            diesel::delete(e::table.filter(e::id.eq(id).or(e::anchor.eq(id)))).execute(connection)?;
            Ok(())
        });
    }

    /// Replaces what is stored under the key. `trace_key`: of all evaluations that may be like it.
    pub async fn save_evaluation(&self, key: &str, trace_key: &str, evaluation: Arc<Evaluation>) -> Result<(), DbError> {
        if self.try_to_save(key, trace_key, &evaluation, Form::Smallest).await? == Saved::No {
            // the anchor went while the difference to it was made
            self.try_to_save(key, trace_key, &evaluation, Form::Full).await?;
        }
        Ok(())
    }

    async fn try_to_save(&self, key: &str, trace_key: &str, evaluation: &Arc<Evaluation>, form: Form) -> Result<Saved, DbError> {
        let (key, trace_key, bounds) = (key.to_owned(), trace_key.to_owned(), self.cache_bounds());
        let (wanted, of, whole) = (key.clone(), trace_key.clone(), evaluation.clone());
        // on a reading thread: the writer and the caller's arbiter have better things to do than to compress
        let mut sealed = self.threads.read(move |connection| seal(connection, &wanted, &of, &whole, form)).await?;
        sealed.fallen.take().into_iter().for_each(|fallen| self.drop_fallen(fallen));
        let evaluation = evaluation.clone();
        self.threads
            .write(move |connection| {
                if let Some(anchor) = sealed.anchor {
                    let there: i64 = e::table.filter(e::id.eq(anchor)).count().get_result(connection)?;
                    if there == 0 {
                        return Ok(Saved::No);
                    }
                }
                make_room(connection, &key)?;
                let now = now();
                diesel::insert_into(e::table)
                    .values((
                        e::key.eq(&key),
                        e::sealed_for.eq(&key),
                        e::trace_key.eq(&trace_key),
                        e::tree.eq(evaluation.tree.as_str()),
                        e::jobset.eq(evaluation.jobset.as_str()),
                        e::system.eq(evaluation.system.as_str()),
                        e::saved_at.eq(now),
                        e::used_at.eq(now),
                        e::anchor.eq(sealed.anchor),
                        e::sketch.eq(&sealed.sketch),
                        e::bytes.eq(integer(sealed.blob.len() as u64)),
                        e::blob.eq(&sealed.blob),
                    ))
                    .execute(connection)?;
                collect(connection, bounds)?;
                Ok(Saved::Yes)
            })
            .await
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Smallest,
    Full,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Saved {
    Yes,
    No,
}

fn read(connection: &mut SqliteConnection, key: &str) -> QueryResult<Option<Stored>> {
    let row = e::table.filter(e::key.eq(key)).select((e::id, e::used_at, e::anchor, e::blob));
    let found: Option<(i64, i64, Option<i64>, Vec<u8>)> = row.first(connection).optional()?;
    let Some((id, used_at, anchor, blob)) = found else { return Ok(None) };
    let anchor = anchor.map(|anchor| read_anchor(connection, anchor)).transpose()?;
    let evaluation =
        anchor.transpose().and_then(|anchor| stored::read(key, &blob, anchor.as_ref()).map_err(|reason| Fallen { id, reason }));
    Ok(Some(Stored { id, used_at, evaluation }))
}

fn read_anchor(connection: &mut SqliteConnection, id: i64) -> QueryResult<Result<Anchor, Fallen>> {
    let row = e::table.find(id).select((e::sealed_for, e::blob));
    let found: Option<(String, Vec<u8>)> = row.first(connection).optional()?;
    let (sealed_for, blob) = found.unwrap_or_default();
    Ok(Anchor::read(&sealed_for, &blob).map_err(|reason| Fallen { id, reason }))
}

fn seal(
    connection: &mut SqliteConnection,
    key: &str,
    trace_key: &str,
    evaluation: &Evaluation,
    form: Form,
) -> Result<Sealed, Fault> {
    let content = Content::of(evaluation);
    let sketch = Sketch::of(evaluation);
    let mut fallen = None;
    let nearest = match form {
        Form::Smallest => nearest(connection, key, trace_key, &sketch)?,
        Form::Full => None,
    };
    if let Some((id, bytes)) = nearest {
        match read_anchor(connection, id)? {
            Ok(anchor) => {
                let blob = content.difference(key, &anchor).map_err(unstorable)?;
                if is_worth_it(blob.len() as u64, spent(connection, id)?, bytes) {
                    return Ok(Sealed { blob, anchor: Some(id), sketch: None, fallen: None });
                }
            }
            Err(unreadable) => fallen = Some(unreadable),
        }
    }
    let blob = content.full(key).map_err(unstorable)?;
    Ok(Sealed { blob, anchor: None, sketch: Some(sketch.to_bytes()), fallen })
}

fn unstorable(reason: Unstorable) -> DbError {
    unreadable(WHAT, reason.to_string())
}

/// The anchor that an evaluation is most like, and its size; of several the latest.
fn nearest(connection: &mut SqliteConnection, key: &str, trace_key: &str, sketch: &Sketch) -> Result<Option<(i64, u64)>, Fault> {
    let anchors: Vec<(i64, i64, Option<Vec<u8>>)> = e::table
        .filter(e::trace_key.eq(trace_key))
        .filter(e::anchor.is_null())
        // what is about to be replaced would stay for the sake of what replaces it
        .filter(e::key.is_null().or(e::key.ne(key)))
        .order((e::saved_at.desc(), e::id.desc()))
        .limit(ANCHORS)
        .select((e::id, e::bytes, e::sketch))
        .load(connection)?;
    let mut nearest = None;
    let mut most = LITTLE_LIKENESS;
    for (id, bytes, other) in anchors {
        let likeness = Sketch::from_bytes(&other.unwrap_or_default()).likeness(sketch);
        if likeness > most {
            most = likeness;
            nearest = Some((id, count(bytes)));
        }
    }
    Ok(nearest)
}

/// What the differences to an anchor take together.
fn spent(connection: &mut SqliteConnection, anchor: i64) -> QueryResult<u64> {
    let differences: Vec<i64> = e::table.filter(e::anchor.eq(anchor)).select(e::bytes).load(connection)?;
    Ok(differences.into_iter().map(count).sum())
}

/// As one rents until the rents have come to the price, and then buys: whatever comes, what is stored is at most about twice of what
/// the best choice of anchors would have taken.
fn is_worth_it(difference: u64, spent: u64, full: u64) -> bool {
    difference <= full / 2 && spent + difference <= full
}

/// What was stored under the key goes, or is no more than the anchor of others.
fn make_room(connection: &mut SqliteConnection, key: &str) -> QueryResult<()> {
    let old: Option<i64> = e::table.filter(e::key.eq(key)).select(e::id).first(connection).optional()?;
    let Some(old) = old else { return Ok(()) };
    let differences: i64 = e::table.filter(e::anchor.eq(old)).count().get_result(connection)?;
    if differences == 0 {
        diesel::delete(e::table.find(old)).execute(connection)?;
    } else {
        diesel::update(e::table.find(old)).set(e::key.eq(None::<String>)).execute(connection)?;
    }
    Ok(())
}
