//! Trace sets: what each attribute of a jobset read, at several trees.

use std::collections::BTreeMap;
use std::sync::Arc;

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;
use jiff::Timestamp;

use super::cache::collect;
use super::columns::{self, count, integer, now, parsed};
use super::schema::{evaluations as e, trace_sets as t};
use super::threads::Fault;
use super::{Db, DbError};
use crate::domain::{JobsetName, System, TreeId};
use crate::eval::trace::TraceSet;

const WHAT: &str = "a trace set";

/// Of one key: base branches, and the trees of the last pushes to them.
const SETS: i64 = 4;

/// A set's last use is noted at most this often, in milliseconds: seldom enough that reading does not become writing, often enough
/// to tell which of a key's few sets is of no more use.
const USE_NOTED_AFTER: i64 = 60 * 1000;

/// A trace set without its contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceSetRow {
    /// Each save gives another, and none is used again.
    pub id: i64,
    pub tree: TreeId,
    pub jobset: JobsetName,
    pub system: System,
    /// Results that it holds.
    pub attrs: u64,
    /// How many of them are not traced, or no longer.
    pub untraced: u64,
    pub saved_at: Timestamp,
    pub used_at: Timestamp,
    /// As stored.
    pub bytes: u64,
}

/// What was dropped with the traces of a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    pub trace_sets: u64,
    pub evaluations: u64,
}

type Raw = (i64, String, String, String, i64, i64, i64, i64, i64);

fn row((id, tree, jobset, system, attrs, untraced, saved_at, used_at, bytes): Raw) -> Result<TraceSetRow, DbError> {
    Ok(TraceSetRow {
        id,
        tree: parsed(WHAT, &tree)?,
        jobset: JobsetName::new(jobset),
        system: System::new(system),
        attrs: count(attrs),
        untraced: count(untraced),
        saved_at: columns::time(WHAT, saved_at)?,
        used_at: columns::time(WHAT, used_at)?,
        bytes: count(bytes),
    })
}

impl Db {
    /// The sets of a trace key, the one that was used last first. Their contents are not touched.
    pub async fn trace_sets(&self, key: &str) -> Result<Vec<TraceSetRow>, DbError> {
        let key = key.to_owned();
        self.threads
            .read(move |connection| {
                let columns = (t::id, t::tree, t::jobset, t::system, t::attrs, t::untraced, t::saved_at, t::used_at, t::bytes);
                let of_key = t::table.filter(t::key.eq(&key)).order((t::used_at.desc(), t::id.desc()));
                let rows: Vec<Raw> = of_key.select(columns).load(connection)?;
                Ok(rows.into_iter().map(row).collect::<Result<_, _>>()?)
            })
            .await
    }

    /// Every trace key with its sets, the one that was used last first. Their contents are not touched.
    pub async fn all_trace_sets(&self) -> Result<BTreeMap<String, Vec<TraceSetRow>>, DbError> {
        self.threads
            .read(|connection| {
                let columns = (t::id, t::tree, t::jobset, t::system, t::attrs, t::untraced, t::saved_at, t::used_at, t::bytes);
                let all = t::table.order((t::used_at.desc(), t::id.desc()));
                let rows: Vec<(String, Raw)> = all.select((t::key, columns)).load(connection)?;
                let mut by_key: BTreeMap<String, Vec<TraceSetRow>> = BTreeMap::new();
                for (key, raw) in rows {
                    by_key.entry(key).or_default().push(row(raw)?);
                }
                Ok(by_key)
            })
            .await
    }

    /// A set of a trace key; see [`TraceSetRow::id`]. One that can't be read is none: it is dropped, with a warning.
    pub async fn trace_set(&self, key: &str, id: i64) -> Result<Option<TraceSet>, DbError> {
        let wanted = key.to_owned();
        let found = self
            .threads
            .read(move |connection| {
                let row = t::table.find(id).filter(t::key.eq(&wanted)).select((t::tree, t::used_at, t::blob));
                let found: Option<(String, i64, Vec<u8>)> = row.first(connection).optional()?;
                Ok(found.map(|(tree, used_at, blob)| {
                    let set = TraceSet::decode(&wanted, &blob).map_err(|error| error.to_string());
                    // its results are compared with what git says of the tree in the list
                    (
                        used_at,
                        set.and_then(|set| if set.tree.as_str() == tree { Ok(set) } else { Err("it is of another tree".into()) }),
                    )
                }))
            })
            .await?;
        let Some((used_at, set)) = found else { return Ok(None) };
        match set {
            Ok(set) => {
                let now = now();
                if now - used_at > USE_NOTED_AFTER {
                    self.threads.post("the use of a trace set", move |connection| {
                        diesel::update(t::table.find(id)).set(t::used_at.eq(now)).execute(connection)?;
                        Ok(())
                    });
                }
                Ok(Some(set))
            }
            Err(reason) => {
                tracing::warn!("a stored trace set is dropped: {reason}");
                self.threads.post("the end of a trace set", move |connection| {
                    diesel::delete(t::table.find(id)).execute(connection)?;
                    Ok(())
                });
                Ok(None)
            }
        }
    }

    /// Replaces the set of its key and tree; of the key's other sets the least recently used goes where there are too many.
    pub async fn save_trace_set(
        &self,
        key: &str,
        jobset: &JobsetName,
        system: &System,
        set: Arc<TraceSet>,
    ) -> Result<(), DbError> {
        let (key, jobset, system, bounds) = (key.to_owned(), jobset.clone(), system.clone(), self.cache_bounds());
        let tree = set.tree.clone();
        let (attrs, untraced) = (integer(set.results.len() as u64), integer(set.untraced() as u64));
        let sealed_for = key.clone();
        // on a reading thread: the writer and the caller's arbiter have better things to do than to compress
        let blob = self
            .threads
            .read(move |_| Ok(set.encode(&sealed_for).map_err(|error| columns::unreadable(WHAT, error.to_string()))?))
            .await?;
        self.threads
            .write(move |connection| {
                let now = now();
                // not updated: what was read by its id stays what it was
                diesel::delete(t::table.filter(t::key.eq(&key)).filter(t::tree.eq(tree.as_str()))).execute(connection)?;
                diesel::insert_into(t::table)
                    .values((
                        t::key.eq(&key),
                        t::tree.eq(tree.as_str()),
                        t::jobset.eq(jobset.as_str()),
                        t::system.eq(system.as_str()),
                        t::attrs.eq(attrs),
                        t::untraced.eq(untraced),
                        t::saved_at.eq(now),
                        t::used_at.eq(now),
                        t::bytes.eq(integer(blob.len() as u64)),
                        t::blob.eq(&blob),
                    ))
                    .execute(connection)?;
                keep_few(connection, &key, &tree)?;
                collect(connection, bounds)
            })
            .await
    }

    /// Forgets all that was recorded under a trace key, and the evaluations that may have been made from it.
    pub async fn drop_traces(&self, key: &str) -> Result<Dropped, DbError> {
        let key = key.to_owned();
        self.threads
            .write(move |connection| {
                Ok(Dropped {
                    trace_sets: diesel::delete(t::table.filter(t::key.eq(&key))).execute(connection)? as u64,
                    evaluations: diesel::delete(e::table.filter(e::trace_key.eq(&key))).execute(connection)? as u64,
                })
            })
            .await
    }

    /// [`Db::drop_traces`] of every key.
    pub async fn drop_all_traces(&self) -> Result<Dropped, DbError> {
        self.threads
            .write(|connection| {
                Ok(Dropped {
                    trace_sets: diesel::delete(t::table).execute(connection)? as u64,
                    evaluations: diesel::delete(e::table).execute(connection)? as u64,
                })
            })
            .await
    }
}

/// `saved` stays, though others may have been used in the same millisecond.
fn keep_few(connection: &mut SqliteConnection, key: &str, saved: &TreeId) -> Result<(), Fault> {
    let others = t::table.filter(t::key.eq(key)).filter(t::tree.ne(saved.as_str()));
    let too_many: Vec<i64> =
        others.order((t::used_at.desc(), t::id.desc())).offset(SETS - 1).limit(i64::MAX).select(t::id).load(connection)?;
    diesel::delete(t::table.filter(t::id.eq_any(too_many))).execute(connection)?;
    Ok(())
}
