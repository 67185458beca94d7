//! What is known of evaluations: trace sets, evaluations by difference, their bounds, and what becomes of altered rows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;

use super::*;
use crate::db::*;
use crate::domain::*;
use crate::eval::Found;
use crate::eval::stored::samples;
use crate::eval::trace::{Key, Node, TraceSet};

fn tree(number: usize) -> TreeId {
    format!("{number:040x}").parse().unwrap()
}

/// Of `packages` packages, each of the age that `age` says.
fn evaluation(number: usize, packages: usize, age: impl Fn(usize) -> u32) -> Arc<Evaluation> {
    let attrs = samples::large(packages, age).into_iter().filter_map(|(path, found)| match found {
        Found::Value(attr) => Some((path, attr)),
        Found::Set(_) | Found::Nothing => None,
    });
    Arc::new(Evaluation {
        tree: tree(number),
        jobset: "default".into(),
        system: "x86_64-linux".into(),
        attrs: attrs.collect(),
        stats: EvalStats { cpu_seconds: 12.25, ..EvalStats::default() },
    })
}

/// Differs little from its neighbours.
pub(super) fn numbered_evaluation(number: usize) -> Arc<Evaluation> {
    evaluation(number, 300, |package| if package == number % 300 { 1 + number as u32 } else { number as u32 / 25 })
}

/// Has nothing in common with any other.
pub(super) fn unlike_evaluation(number: usize) -> Arc<Evaluation> {
    evaluation(number, 3000, |_| number as u32)
}

pub(super) fn set(number: usize, packages: usize) -> Arc<TraceSet> {
    let mut set = TraceSet::new(tree(number), samples::large(packages, |_| 0), 1000);
    set.keys.push(Key::Content("default.nix".into()));
    set.nodes.push(Node { own: vec![0], ..Node::default() });
    set.results.values_mut().step_by(2).for_each(|traced| traced.node = Some(0));
    Arc::new(set)
}

struct Saved {
    db: Db,
    house: House,
}

impl Saved {
    fn new() -> Self {
        let house = House::new();
        Self { db: house.open(), house }
    }

    async fn set(&self, key: &str, set: &Arc<TraceSet>) {
        self.db.save_trace_set(key, &"default".into(), &"x86_64-linux".into(), set.clone()).await.unwrap();
    }

    async fn trees(&self, key: &str) -> Vec<TreeId> {
        self.db.trace_sets(key).await.unwrap().into_iter().map(|row| row.tree).collect()
    }

    async fn evaluation(&self, key: &str, evaluation: &Arc<Evaluation>) {
        self.db.save_evaluation(key, "trace key", evaluation.clone()).await.unwrap();
    }

    async fn stored(&self, key: &str) -> Option<Arc<Evaluation>> {
        self.db.evaluation(key).await.unwrap().map(Arc::new)
    }

    /// Something else has the database open and alters it.
    fn sql(&self, statement: &str) -> usize {
        let mut connection = SqliteConnection::establish(self.house.state.db().to_str().unwrap()).unwrap();
        // a fault does not ask whether what it leaves refers to something
        for pragma in ["busy_timeout = 10000", "foreign_keys = OFF"] {
            diesel::sql_query(format!("PRAGMA {pragma}")).execute(&mut connection).unwrap();
        }
        diesel::sql_query(statement).execute(&mut connection).unwrap()
    }

    fn numbers(&self, query: &str) -> Vec<i64> {
        #[derive(QueryableByName)]
        struct Number {
            #[diesel(sql_type = diesel::sql_types::BigInt)]
            number: i64,
        }
        let mut connection = SqliteConnection::establish(self.house.state.db().to_str().unwrap()).unwrap();
        let rows: Vec<Number> = diesel::sql_query(query).load(&mut connection).unwrap();
        rows.into_iter().map(|row| row.number).collect()
    }
}

#[actix::test]
async fn a_trace_set_is_listed_and_comes_back_as_it_was() {
    let saved = Saved::new();
    let first = set(1, 300);
    saved.set("key", &first).await;
    let [row] = &saved.db.trace_sets("key").await.unwrap()[..] else { panic!() };
    assert_eq!((&row.tree, row.attrs, row.untraced), (&first.tree, first.results.len() as u64, first.untraced() as u64));
    assert_eq!(saved.db.trace_set("key", row.id).await.unwrap().as_ref(), Some(&*first));
    assert_eq!(saved.db.trace_set("other", row.id).await.unwrap(), None);
    assert_eq!(saved.db.trace_sets("other").await.unwrap(), []);
    // more of it is known: it is saved again, as another
    let more = Arc::new(TraceSet { full_millis: 7, ..(*first).clone() });
    saved.set("key", &more).await;
    let [again] = &saved.db.trace_sets("key").await.unwrap()[..] else { panic!() };
    assert_ne!(row.id, again.id);
    assert_eq!(saved.db.trace_set("key", row.id).await.unwrap(), None);
    assert_eq!(saved.db.trace_set("key", again.id).await.unwrap().as_ref(), Some(&*more));
}

#[actix::test]
async fn a_key_has_four_sets_those_that_were_used_last() {
    let saved = Saved::new();
    for number in 1..=4 {
        saved.set("key", &set(number, 10)).await;
    }
    saved.set("another key", &set(9, 10)).await;
    saved.sql("UPDATE trace_sets SET used_at = used_at - 1000000");
    let oldest = saved.db.trace_sets("key").await.unwrap().pop().unwrap();
    assert_eq!(oldest.tree, tree(1));
    saved.db.trace_set("key", oldest.id).await.unwrap().unwrap();
    saved.set("key", &set(5, 10)).await;
    assert_eq!(saved.trees("key").await, [5, 1, 4, 3].map(tree));
    assert_eq!(saved.trees("another key").await, [tree(9)]);
}

#[actix::test]
async fn an_altered_trace_set_is_none() {
    let saved = Saved::new();
    let alterations = [
        "UPDATE trace_sets SET blob = substr(blob, 1, length(blob) - 1)",
        "UPDATE trace_sets SET blob = x''",
        "UPDATE trace_sets SET blob = 'text'",
        "UPDATE trace_sets SET blob = CAST(substr(blob, 1, 99) || x'00' || substr(blob, 101) AS BLOB)",
        // another format
        "UPDATE trace_sets SET blob = CAST(substr(blob, 1, 4) || x'63000000' || substr(blob, 9) AS BLOB)",
        // of another tree, of another key
        "UPDATE trace_sets SET tree = '4b825dc642cb6eb9a060e54bf8d69288fbee4904'",
        "UPDATE trace_sets SET key = 'b' WHERE key = 'key'",
        "UPDATE trace_sets SET blob = (SELECT blob FROM trace_sets WHERE key = 'other')",
    ];
    for alteration in alterations {
        saved.set("key", &set(1, 100)).await;
        saved.set("other", &set(2, 100)).await;
        assert!(saved.sql(alteration) > 0);
        for key in ["key", "b"] {
            for row in saved.db.trace_sets(key).await.unwrap() {
                assert_eq!(saved.db.trace_set(key, row.id).await.unwrap(), None, "{alteration}");
            }
            saved.db.flush().await.unwrap();
            assert_eq!(saved.trees(key).await, [], "{alteration}: it is dropped");
        }
        saved.db.drop_all_traces().await.unwrap();
    }
}

#[actix::test]
async fn evaluations_that_differ_little_are_stored_by_difference() {
    let saved = Saved::new();
    // every tenth rebuilds everything; the others two packages each
    let all: Vec<_> = (0..30)
        .map(|number| {
            evaluation(number, 2000, |package| if package < 2 * number { number as u32 } else { number as u32 / 10 * 100 })
        })
        .collect();
    for (number, evaluation) in all.iter().enumerate() {
        saved.evaluation(&number.to_string(), evaluation).await;
    }
    for (number, evaluation) in all.iter().enumerate() {
        assert_eq!(saved.stored(&number.to_string()).await.as_ref(), Some(evaluation));
    }
    let anchors = saved.numbers("SELECT CAST(tree AS INTEGER) AS number FROM evaluations WHERE anchor IS NULL ORDER BY id");
    assert_eq!(anchors.len(), 3, "{anchors:?}");
    let differences = saved.numbers("SELECT bytes AS number FROM evaluations WHERE anchor IS NOT NULL");
    let full = saved.numbers("SELECT bytes AS number FROM evaluations WHERE anchor IS NULL");
    assert!(differences.iter().all(|bytes| bytes * 10 < full[0]), "{full:?} {differences:?}");
    // another jobset's are not looked at
    saved.db.save_evaluation("x", "another trace key", all[0].clone()).await.unwrap();
    assert_eq!(saved.numbers("SELECT COUNT(*) AS number FROM evaluations WHERE anchor IS NULL"), [4]);
}

#[actix::test]
async fn an_anchor_stays_as_long_as_it_is_referred_to() {
    let saved = Saved::new();
    let (first, second) = (evaluation(1, 1000, |_| 0), evaluation(2, 1000, |package| u32::from(package == 7)));
    saved.evaluation("1", &first).await;
    saved.evaluation("2", &second).await;
    // it is replaced by something quite different
    let other = evaluation(1, 1000, |_| 5);
    saved.evaluation("1", &other).await;
    assert_eq!(saved.stored("1").await, Some(other.clone()));
    assert_eq!(saved.stored("2").await, Some(second));
    assert_eq!(saved.db.stats().await.unwrap().evaluations, 2);
    assert_eq!(saved.db.cache_stats().await.unwrap().evaluations, 2);
    assert_eq!(saved.numbers("SELECT COUNT(*) AS number FROM evaluations"), [3]);
    // nobody needs it any more
    saved.evaluation("2", &other).await;
    saved.evaluation("3", &other).await;
    assert_eq!(saved.numbers("SELECT COUNT(*) AS number FROM evaluations WHERE key IS NULL"), [0]);
    assert_eq!(saved.stored("2").await, Some(other.clone()));
    assert_eq!(saved.stored("3").await, Some(other));
}

#[actix::test]
async fn an_altered_evaluation_is_none_and_all_that_refers_to_it() {
    let saved = Saved::new();
    let first = evaluation(1, 1000, |_| 0);
    let others: Vec<_> = (2..5).map(|number| evaluation(number, 1000, |package| u32::from(package == number))).collect();
    let whole = "CAST(substr(blob, 1, 60) || x'00ff00' || substr(blob, 64) AS BLOB)";
    for (alteration, left) in [
        (format!("UPDATE evaluations SET blob = {whole} WHERE key = '3'"), vec!["1", "2", "4"]),
        (format!("UPDATE evaluations SET blob = {whole} WHERE anchor IS NULL"), vec![]),
        (
            "UPDATE evaluations SET blob = (SELECT blob FROM evaluations WHERE key = '2') WHERE key = '3'".into(),
            vec!["1", "2", "4"],
        ),
        ("UPDATE evaluations SET key = 'x' WHERE key = '3'".into(), vec!["1", "2", "4"]),
        ("UPDATE evaluations SET anchor = NULL, sketch = x'' WHERE key = '3'".into(), vec!["1", "2", "4"]),
        ("UPDATE evaluations SET anchor = 99999 WHERE key = '3'".into(), vec!["1", "2", "4"]),
        ("UPDATE evaluations SET sealed_for = 'x' WHERE key = '1'".into(), vec![]),
    ] {
        saved.evaluation("1", &first).await;
        for (number, other) in (2..).zip(&others) {
            saved.evaluation(&format!("{number}"), other).await;
        }
        saved.sql(&alteration);
        let mut found = Vec::new();
        for key in ["2", "3", "4", "x", "1"] {
            let stored = saved.stored(key).await;
            saved.db.flush().await.unwrap();
            let Some(stored) = stored else { continue };
            let number: usize = key.parse().unwrap();
            assert_eq!(&stored, if number == 1 { &first } else { &others[number - 2] }, "{alteration}");
            found.push(key);
        }
        found.sort_unstable();
        assert_eq!(found, left, "{alteration}");
        saved.db.drop_all_traces().await.unwrap();
    }
}

#[actix::test]
async fn an_altered_anchor_is_found_when_something_is_stored_against_it() {
    let saved = Saved::new();
    let first = evaluation(1, 1000, |_| 0);
    saved.evaluation("1", &first).await;
    saved.sql("UPDATE evaluations SET blob = CAST(substr(blob, 1, 99) || x'00' || substr(blob, 101) AS BLOB)");
    saved.evaluation("2", &first).await;
    saved.db.flush().await.unwrap();
    assert_eq!(saved.stored("1").await, None);
    assert_eq!(saved.stored("2").await, Some(first));
    assert_eq!(saved.numbers("SELECT COUNT(*) AS number FROM evaluations"), [1]);
}

#[actix::test]
async fn what_was_not_used_for_longest_goes_when_there_is_too_much() {
    let saved = Saved::new();
    let day = 24 * 60 * 60;
    saved.db.bound_cache(CacheBounds { bytes: 1 << 30, age: Duration::from_secs(10 * day) });
    saved.set("a", &set(1, 1000)).await;
    saved.evaluation("1", &evaluation(1, 1000, |_| 0)).await;
    saved.sql(&format!("UPDATE trace_sets SET used_at = used_at - {}", 11 * day * 1000));
    saved.set("b", &set(2, 1000)).await;
    assert_eq!((saved.trees("a").await, saved.trees("b").await), (vec![], vec![tree(2)]));
    // the evaluation is older than the set
    saved.sql("UPDATE evaluations SET used_at = used_at - 100000");
    let bytes = saved.db.cache_stats().await.unwrap();
    saved.db.bound_cache(CacheBounds { bytes: 2 * bytes.trace_bytes, ..CacheBounds::default() });
    saved.set("c", &set(3, 1000)).await;
    assert_eq!(saved.stored("1").await, None);
    let stats = saved.db.cache_stats().await.unwrap();
    assert_eq!((stats.trace_sets, stats.evaluations, stats.evaluation_bytes), (2, 0, 0));
    // no room for anything: what was saved goes at once
    saved.db.bound_cache(CacheBounds { bytes: 1, ..CacheBounds::default() });
    saved.set("d", &set(4, 1000)).await;
    assert_eq!(saved.db.cache_stats().await.unwrap(), CacheStats::default());
}

#[actix::test]
async fn what_was_made_from_traces_goes_with_them() {
    let saved = Saved::new();
    let first = evaluation(1, 100, |_| 0);
    for key in ["trace key", "other"] {
        saved.set(key, &set(1, 100)).await;
        saved.set(key, &set(2, 100)).await;
    }
    saved.evaluation("1", &first).await;
    saved.evaluation("2", &first).await;
    saved.db.save_evaluation("3", "other", first.clone()).await.unwrap();
    assert_eq!(saved.db.drop_traces("trace key").await.unwrap(), Dropped { trace_sets: 2, evaluations: 2 });
    assert_eq!((saved.stored("1").await, saved.stored("3").await), (None, Some(first)));
    assert_eq!(saved.trees("other").await.len(), 2);
    assert_eq!(saved.db.drop_all_traces().await.unwrap(), Dropped { trace_sets: 2, evaluations: 1 });
    assert_eq!(saved.db.cache_stats().await.unwrap(), CacheStats::default());
}

#[actix::test]
async fn a_database_of_before_loses_its_evaluations_and_nothing_else() {
    use diesel_migrations::MigrationHarness;
    let saved = Saved::new();
    saved.db.remember(&drv(1), Outcome::Failed, None, DEFAULT_REMEMBER).await.unwrap();
    let Saved { db, house } = saved;
    db.close().await;
    let mut connection = SqliteConnection::establish(house.state.db().to_str().unwrap()).unwrap();
    // that of the traces, and all that came after it
    while connection.revert_last_migration(crate::db::open::MIGRATIONS).unwrap().to_string() != "20261121000000" {}
    diesel::sql_query("INSERT INTO evaluations VALUES ('key', 'tree', 'default', 'x86_64-linux', 1, 1, x'28b52ffd')")
        .execute(&mut connection)
        .unwrap();
    drop(connection);
    let saved = Saved { db: house.open(), house };
    assert_eq!(saved.stored("key").await, None);
    assert_eq!(saved.db.outcomes(&[drv(1)]).await.unwrap().len(), 1);
    let first = evaluation(1, 10, |_| 0);
    saved.evaluation("key", &first).await;
    assert_eq!(saved.stored("key").await, Some(first));
}

#[actix::test]
async fn an_alarm_stands_until_somebody_has_seen_it() {
    let saved = Saved::new();
    let alarm = NewEvalAlarm {
        trace_key: "key".into(),
        tree: tree(1),
        jobset: "default".into(),
        system: "x86_64-linux".into(),
        review: Some("r1".into()),
        summary: "2 attributes differ".into(),
        attrs: 2,
        kept: Some("/state/alarms/1.json.zst".into()),
    };
    let first = saved.db.add_eval_alarm(alarm.clone()).await.unwrap();
    let second = saved.db.add_eval_alarm(NewEvalAlarm { review: None, kept: None, ..alarm.clone() }).await.unwrap();
    let listed = saved.db.eval_alarms().await.unwrap();
    assert_eq!(listed.iter().map(|alarm| alarm.id).collect::<Vec<_>>(), [second, first]);
    assert_eq!((&listed[1].alarm, listed[1].acknowledged_at), (&alarm, None));
    assert!(saved.db.acknowledge_eval_alarm(first).await.unwrap());
    let at = saved.db.eval_alarms().await.unwrap()[1].acknowledged_at;
    assert!(at.is_some());
    assert!(saved.db.acknowledge_eval_alarm(first).await.unwrap(), "a second time changes nothing");
    assert_eq!(saved.db.eval_alarms().await.unwrap()[1].acknowledged_at, at);
    assert!(!saved.db.acknowledge_eval_alarm(12345).await.unwrap());
    assert_eq!(saved.db.open_eval_alarms().await.unwrap(), 1);
}

#[test]
fn likeness_is_that_of_the_derivations() {
    use crate::eval::stored::evaluation::Sketch;
    let of = |changed: usize| Sketch::of(&evaluation(1, 4000, |package| u32::from(package < changed)));
    let base = of(0);
    for (changed, most, least) in [(0, 1.0, 1.0), (40, 1.0, 0.93), (1000, 0.72, 0.48), (4000, 0.0, 0.0)] {
        let likeness = base.likeness(&of(changed));
        assert!(likeness <= most && likeness >= least, "{changed}: {likeness}");
        assert_eq!(Sketch::from_bytes(&base.to_bytes()), base);
    }
    let none = Sketch::of(&Evaluation { attrs: BTreeMap::new(), ..(*evaluation(1, 1, |_| 0)).clone() });
    assert_eq!((none.likeness(&none), none.likeness(&base)), (1.0, 0.0));
    assert_eq!(Sketch::from_bytes(b"12345").likeness(&base), 0.0);
}

/// `SNOWGATE_EVALUATIONS`: a directory of evaluations as zstd-compressed JSON, in the order of their names; without it, generated ones.
#[actix::test]
#[ignore = "figures, of a release build"]
async fn figures() {
    let real = std::env::var_os("SNOWGATE_EVALUATIONS").map(|directory| {
        let mut files: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let read = |file| serde_json::from_slice(&zstd::decode_all(std::fs::File::open(file).unwrap()).unwrap()).unwrap();
        files.iter().map(read).collect::<Vec<Evaluation>>()
    });
    let history = real.unwrap_or_else(|| {
        let of = |number| evaluation(number, 12_000, |package| u32::from(package < number * 3) * number as u32);
        (0..20).map(|number| (*of(number)).clone()).collect()
    });
    let saved = Saved::new();
    let mut times = Vec::new();
    let mut reads = Vec::new();
    // each evaluation of the history again and again; each tenth time every hash is another
    for number in 0..1000 {
        let mut evaluation = history[number % history.len()].clone();
        evaluation.tree = tree(number);
        rebuild(&mut evaluation, number / 10);
        let evaluation = Arc::new(evaluation);
        let started = cpu_time();
        saved.evaluation(&number.to_string(), &evaluation).await;
        times.push(cpu_time() - started);
        if number % 10 == 7 {
            let started = cpu_time();
            let stored = saved.stored(&number.to_string()).await;
            reads.push(cpu_time() - started);
            assert_eq!(stored, Some(evaluation));
        }
    }
    let stats = saved.db.cache_stats().await.unwrap();
    let full = saved.numbers("SELECT bytes AS number FROM evaluations WHERE anchor IS NULL");
    let mut differences = saved.numbers("SELECT bytes AS number FROM evaluations WHERE anchor IS NOT NULL");
    differences.sort_unstable();
    times.sort_unstable();
    reads.sort_unstable();
    println!(
        "{} attributes, {} evaluations in {} bytes: {} in full of {} on average, {} differences of {} (median) and {} (largest)",
        history[0].attrs.len(),
        stats.evaluations,
        stats.evaluation_bytes,
        full.len(),
        full.iter().sum::<i64>() / full.len() as i64,
        differences.len(),
        differences[differences.len() / 2],
        differences[differences.len() - 1],
    );
    println!(
        "the database has {} bytes; CPU time: {:?} to save (median), {:?} (longest), {:?} to read",
        std::fs::metadata(saved.house.state.db()).unwrap().len(),
        times[times.len() / 2],
        times[times.len() - 1],
        reads[reads.len() / 2],
    );
}

/// Nearly every store path gets another hash, the same for the same `age`.
fn rebuild(evaluation: &mut Evaluation, age: usize) {
    if age == 0 {
        return;
    }
    for attr in evaluation.attrs.values_mut() {
        let Attr::Derivation(job) = attr else { continue };
        let again = |path: &StorePath| {
            let hash = samples::hash_of(&format!("{age} {}", path.hash()));
            format!("{}/{hash}-{}", path.store_dir(), path.name()).parse::<StorePath>().unwrap()
        };
        job.drv = DrvPath::try_from(again(job.drv.path())).unwrap();
        job.outputs.values_mut().flatten().for_each(|path| *path = again(path));
    }
}

/// Of all threads.
fn cpu_time() -> Duration {
    // SAFETY: getrusage(2) fills a whole structure, for which zero is a valid value.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_SELF, &mut usage), 0);
        usage
    };
    let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    time(usage.ru_utime) + time(usage.ru_stime)
}
