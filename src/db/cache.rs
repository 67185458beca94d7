//! What is known of evaluations (trace sets and evaluations) within its bounds: what was not used for longest goes first. Applied at
//! each save. The file does not become smaller by it: SQLite uses the room again.

use std::collections::{HashMap, HashSet};
use std::sync::PoisonError;
use std::time::Duration;

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;

use super::columns::{CHUNK, count, integer, now};
use super::schema::{evaluations as e, trace_sets as t};
use super::threads::Fault;
use super::{Db, DbError};
use crate::config::server::Eval;

/// Of what is known of evaluations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheBounds {
    /// All together.
    pub bytes: u64,
    /// Since it was last used.
    pub age: Duration,
}

impl From<&Eval> for CacheBounds {
    fn from(eval: &Eval) -> Self {
        Self { bytes: eval.traces_max_bytes(), age: eval.traces_max_age() }
    }
}

impl Default for CacheBounds {
    fn default() -> Self {
        Self::from(&Eval::default())
    }
}

/// How much is known of evaluations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheStats {
    pub trace_sets: u64,
    pub trace_bytes: u64,
    pub evaluations: u64,
    pub evaluation_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    what: What,
    used_at: i64,
    bytes: u64,
    /// The evaluation that this one is the difference to.
    anchor: Option<i64>,
    /// Replaced: only as an anchor of others is it of use.
    replaced: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum What {
    TraceSet(i64),
    Evaluation(i64),
}

impl Db {
    /// In force from the next save on; without it, the default.
    pub fn bound_cache(&self, bounds: CacheBounds) {
        *self.cache_bounds.lock().unwrap_or_else(PoisonError::into_inner) = bounds;
    }

    pub(super) fn cache_bounds(&self) -> CacheBounds {
        *self.cache_bounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub async fn cache_stats(&self) -> Result<CacheStats, DbError> {
        self.threads
            .read(|connection| {
                let entries = entries(connection)?;
                let mut stats = CacheStats::default();
                for Entry { what, bytes, replaced, .. } in entries {
                    match what {
                        What::TraceSet(_) => {
                            stats.trace_sets += 1;
                            stats.trace_bytes += bytes;
                        }
                        What::Evaluation(_) => {
                            stats.evaluations += u64::from(!replaced);
                            stats.evaluation_bytes += bytes;
                        }
                    }
                }
                Ok(stats)
            })
            .await
    }
}

/// Drops what is beyond the bounds. A part of each save.
pub(super) fn collect(connection: &mut SqliteConnection, bounds: CacheBounds) -> Result<(), Fault> {
    let entries = entries(connection)?;
    let doomed = doomed(&entries, now(), bounds);
    let (mut sets, mut evaluations) = (Vec::new(), Vec::new());
    for entry in doomed {
        match entry.what {
            What::TraceSet(id) => sets.push(id),
            What::Evaluation(id) => evaluations.push(id),
        }
    }
    for chunk in sets.chunks(CHUNK) {
        diesel::delete(t::table.filter(t::id.eq_any(chunk))).execute(connection)?;
    }
    // in order: differences before their anchors
    for chunk in evaluations.chunks(CHUNK) {
        diesel::delete(e::table.filter(e::id.eq_any(chunk))).execute(connection)?;
    }
    Ok(())
}

fn entries(connection: &mut SqliteConnection) -> Result<Vec<Entry>, Fault> {
    let sets: Vec<(i64, i64, i64)> = t::table.select((t::id, t::used_at, t::bytes)).load(connection)?;
    let evaluations: Vec<(i64, i64, i64, Option<i64>, bool)> =
        e::table.select((e::id, e::used_at, e::bytes, e::anchor, e::key.is_null())).load(connection)?;
    let sets = sets.into_iter().map(|(id, used_at, bytes)| Entry {
        what: What::TraceSet(id),
        used_at,
        bytes: count(bytes),
        anchor: None,
        replaced: false,
    });
    let evaluations = evaluations.into_iter().map(|(id, used_at, bytes, anchor, replaced)| Entry {
        what: What::Evaluation(id),
        used_at,
        bytes: count(bytes),
        anchor,
        replaced,
    });
    Ok(sets.chain(evaluations).collect())
}

/// PURE: what goes, differences before their anchors.
fn doomed(entries: &[Entry], now: i64, bounds: CacheBounds) -> Vec<Entry> {
    let mut stays = entries.to_vec();
    let mut all = Vec::new();
    loop {
        let doomed = next_doomed(&stays, now, bounds);
        if doomed.is_empty() {
            return all;
        }
        let gone: HashSet<What> = doomed.iter().map(|entry| entry.what).collect();
        stays.retain(|entry| !gone.contains(&entry.what));
        // an anchor may have lost its last difference
        all.extend(doomed);
    }
}

/// An anchor is as good as used whenever one of its differences was.
fn next_doomed(entries: &[Entry], now: i64, bounds: CacheBounds) -> Vec<Entry> {
    let mut last_use: HashMap<i64, i64> = HashMap::new();
    for entry in entries {
        if let Some(anchor) = entry.anchor {
            let last = last_use.entry(anchor).or_insert(entry.used_at);
            *last = entry.used_at.max(*last);
        }
    }
    let used_at = |entry: &Entry| {
        let own = if entry.replaced { i64::MIN } else { entry.used_at };
        match entry.what {
            What::TraceSet(_) => own,
            What::Evaluation(id) => last_use.get(&id).map_or(own, |last| own.max(*last)),
        }
    };
    let mut order: Vec<(i64, bool, Entry)> =
        entries.iter().map(|entry| (used_at(entry), entry.anchor.is_none(), *entry)).collect();
    order.sort_by_key(|(used_at, in_full, _)| (*used_at, *in_full));
    let mut bytes: u64 = entries.iter().map(|entry| entry.bytes).sum();
    let since = now.saturating_sub(integer(u64::try_from(bounds.age.as_millis()).unwrap_or(u64::MAX)));
    let mut doomed = Vec::new();
    for (used_at, _, entry) in order {
        if used_at != i64::MIN && used_at >= since && bytes <= bounds.bytes {
            break;
        }
        bytes -= entry.bytes;
        doomed.push(entry);
    }
    doomed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries() -> impl Strategy<Value = Vec<Entry>> {
        let entry = (any::<bool>(), 0..100i64, 0..50u64, any::<bool>(), any::<Option<prop::sample::Index>>());
        prop::collection::vec(entry, 0..30).prop_map(|drawn| {
            let mut entries: Vec<Entry> = Vec::new();
            for (id, (set, used_at, bytes, replaced, anchor)) in (0..).zip(drawn) {
                let in_full: Vec<i64> = entries
                    .iter()
                    .filter_map(|entry| match entry.what {
                        What::Evaluation(id) if entry.anchor.is_none() => Some(id),
                        What::Evaluation(_) | What::TraceSet(_) => None,
                    })
                    .collect();
                let anchor = anchor.filter(|_| !set && !in_full.is_empty()).map(|anchor| in_full[anchor.index(in_full.len())]);
                let what = if set { What::TraceSet(id) } else { What::Evaluation(id) };
                entries.push(Entry { what, used_at, bytes, anchor, replaced: replaced && !set && anchor.is_none() });
            }
            entries
        })
    }

    proptest! {
        #[test]
        fn what_stays_is_within_its_bounds_and_whole(entries in entries(), now in 0..150i64, bytes in 0..600u64, age in 0..150u64) {
            let bounds = CacheBounds { bytes, age: Duration::from_millis(age) };
            let doomed = doomed(&entries, now, bounds);
            let stays: Vec<Entry> = entries.iter().filter(|entry| !doomed.contains(entry)).copied().collect();
            prop_assert!(stays.iter().map(|entry| entry.bytes).sum::<u64>() <= bytes);
            let there: HashSet<i64> = stays.iter().filter_map(|entry| match entry.what {
                What::Evaluation(id) => Some(id),
                What::TraceSet(_) => None,
            }).collect();
            let needed: HashSet<i64> = stays.iter().filter_map(|entry| entry.anchor).collect();
            prop_assert!(needed.is_subset(&there), "an anchor went before its differences");
            for entry in &stays {
                let is_needed = matches!(entry.what, What::Evaluation(id) if needed.contains(&id));
                prop_assert!(is_needed || (!entry.replaced && entry.used_at >= now - age as i64));
            }
            // the order is that in which they can be deleted one by one
            for (place, entry) in doomed.iter().enumerate() {
                prop_assert!(!doomed[..place].iter().any(|earlier| matches!(earlier.what, What::Evaluation(id) if entry.anchor == Some(id))));
            }
            // nothing goes that need not: without the last one that went, it would be too much or too old
            if let Some(last) = doomed.last() {
                let without: u64 = stays.iter().map(|entry| entry.bytes).sum::<u64>() + last.bytes;
                let old = last.replaced || last.used_at < now - age as i64;
                prop_assert!(old || without > bytes);
            }
        }
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let set = |id, used_at| Entry { what: What::TraceSet(id), used_at, bytes: 10, anchor: None, replaced: false };
        let bounds = CacheBounds { bytes: 20, age: Duration::from_millis(100) };
        assert_eq!(doomed(&[set(1, 50), set(2, 40), set(3, 60)], 100, bounds), [set(2, 40)]);
        assert_eq!(doomed(&[set(1, 50), set(2, 60)], 155, bounds), [set(1, 50)]);
        assert_eq!(doomed(&[set(1, 50), set(2, 60)], 100, bounds), []);
    }
}
