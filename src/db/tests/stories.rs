use std::collections::BTreeMap;
use std::time::Duration;

use diesel::RunQueryDsl;

use super::*;
use crate::build::Usage;
use crate::db::*;
use crate::domain::*;
use crate::review::report::*;

const NAME: &str = "local/packages";

fn repository() -> RepositoryRow {
    RepositoryRow {
        name: NAME.into(),
        path: "/srv/packages".into(),
        base_branch: "main".into(),
        url: None,
        read_at: None,
        error: None,
    }
}

fn pull(number: u64, head: char) -> PullRow {
    let at = jiff::Timestamp::from_second(1_700_000_000 + i64::try_from(number).unwrap()).unwrap();
    PullRow {
        repository: NAME.into(),
        number,
        title: format!("update {number}"),
        author: "Ada".into(),
        branch: format!("branch-{number}"),
        head: commit(head),
        base_branch: "main".into(),
        base: commit('0'),
        state: PullState::Open,
        created_at: at,
        updated_at: at,
        additions: 3,
        deletions: 1,
        review: None,
    }
}

fn review(id: &str, number: Option<u64>) -> NewReview {
    NewReview {
        id: id.into(),
        repository: NAME.into(),
        number,
        base_rev: commit('0'),
        base_ref: Some("main".into()),
        head_rev: commit('a'),
        head_ref: None,
        tree: None,
    }
}

fn report(id: &str, state: State, rebuilds: u64) -> Report {
    Report {
        schema: SCHEMA,
        id: id.into(),
        repository: NAME.into(),
        created_at: "2026-11-20T12:00:00Z".into(),
        base: Revision { rev: commit('0'), reference: Some("main".into()) },
        head: Revision { rev: commit('a'), reference: None },
        merge: Merge { tree: Some("1".repeat(40).parse().unwrap()), conflicts: vec![] },
        state,
        verdict: Verdict { decision: Decision::Blocked, summary: "Blocked: 2 newly failing.".into(), reasons: vec![] },
        counts: Counts { rebuilds, newly_failing: 2, ..Counts::default() },
        evaluations: vec![],
        changes: vec![],
        eval_errors: vec![],
        failures: vec![],
        sources: Vec::new(),
        timings: Timings::default(),
    }
}

#[actix::test]
async fn eleven_thousand_attributes_are_asked_for_at_once() {
    let house = House::new();
    let db = house.open();
    let all: Vec<_> = (0..11_000).map(drv).collect();
    for (number, drv) in all.iter().enumerate() {
        db.post_outcome(drv, Outcome::Failed, Some(number.to_string()), DEFAULT_REMEMBER);
    }
    db.flush().await.unwrap();
    let found = db.outcomes(&all).await.unwrap();
    assert_eq!(found.len(), 11_000);
    assert_eq!(found[&drv(7)].message.as_deref(), Some("7"));
    db.forget_outcomes(&all[..10_999]).await.unwrap();
    assert_eq!(db.outcomes(&all).await.unwrap().len(), 1);
    let pnames: Vec<_> = (0..40_000).map(|n| format!("p{n}")).collect();
    assert!(db.expected_seconds(&pnames).await.unwrap().is_empty());
}

#[actix::test]
async fn a_failure_is_forgotten_in_time() {
    let house = House::new();
    let db = house.open();
    db.remember(&drv(1), Outcome::Failed, None, Duration::ZERO).await.unwrap();
    db.remember(&drv(2), Outcome::TimedOut, Some("after 10 s".into()), Duration::MAX).await.unwrap();
    let found = db.outcomes(&[drv(1), drv(2), drv(3)]).await.unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), [&drv(2)]);
    assert_eq!((found[&drv(2)].outcome, found[&drv(2)].message.as_deref()), (Outcome::TimedOut, Some("after 10 s")));
    // the later word counts
    db.remember(&drv(2), Outcome::HashMismatch, None, DEFAULT_REMEMBER).await.unwrap();
    assert_eq!(db.outcomes(&[drv(2)]).await.unwrap()[&drv(2)].outcome, Outcome::HashMismatch);
}

#[actix::test]
async fn what_is_posted_is_written_when_the_last_handle_goes() {
    let house = House::new();
    let db = house.open();
    for number in 0..3_000 {
        db.post_outcome(&drv(number), Outcome::Failed, None, DEFAULT_REMEMBER);
    }
    drop(db);
    let db = house.open();
    assert_eq!(db.stats().await.unwrap().remembered_outcomes, 3_000);
}

#[actix::test]
async fn one_bad_write_does_not_spoil_its_neighbours() {
    let house = House::new();
    let db = house.open();
    let attempt = NewAttempt { drv: drv(1), time: "20261120T124000.123Z".into(), builder: "local".into(), review: None };
    db.post_outcome(&drv(1), Outcome::Failed, None, DEFAULT_REMEMBER);
    db.post_attempt_started(attempt.clone());
    db.post_attempt_started(attempt.clone());
    db.post_outcome(&drv(2), Outcome::Failed, None, DEFAULT_REMEMBER);
    db.flush().await.unwrap();
    assert_eq!(db.outcomes(&[drv(1), drv(2)]).await.unwrap().len(), 2);
    assert_eq!(db.attempts(drv(1).base_name()).await.unwrap().len(), 1);
    let error = db.start_attempt(attempt).await.unwrap_err().to_string();
    assert!(error.contains("UNIQUE"), "{error}");
}

#[actix::test]
async fn a_full_disk_is_one_sentence_and_loses_nothing() {
    let house = House::new();
    let db = house.open();
    db.remember(&drv(1), Outcome::Failed, None, DEFAULT_REMEMBER).await.unwrap();
    // SQLite's own bound, which fails as a full disk does, the transaction rolled back by SQLite itself
    let limit =
        |pages: &'static str| db.threads.write(move |connection| Ok(diesel::sql_query(pages).execute(connection).map(drop)?));
    limit("PRAGMA max_page_count = 1").await.unwrap();
    let large = Some("x".repeat(1 << 20));
    for number in 2..5 {
        db.post_outcome(&drv(number), Outcome::Failed, large.clone(), DEFAULT_REMEMBER);
    }
    let error = db.remember(&drv(5), Outcome::Failed, large.clone(), DEFAULT_REMEMBER).await.unwrap_err();
    assert!(matches!(error, DbError::Full(_)), "{error}");
    assert!(error.to_string().starts_with("no space is left for the database /"), "{error}");
    // what needs no space goes on, and so does all when there is some again
    db.forget_outcomes(&[drv(9)]).await.unwrap();
    assert_eq!(db.outcomes(&[drv(1), drv(2), drv(5)]).await.unwrap().len(), 1);
    limit("PRAGMA max_page_count = 1000000").await.unwrap();
    db.remember(&drv(5), Outcome::Failed, large, DEFAULT_REMEMBER).await.unwrap();
    assert_eq!(db.outcomes(&[drv(1), drv(5)]).await.unwrap().len(), 2);
}

#[actix::test]
async fn a_panic_in_a_query_is_its_own() {
    let house = House::new();
    let db = house.open();
    let error = db.threads.read::<()>(|_| panic!("a query's")).await.unwrap_err().to_string();
    assert!(error.contains("a query panicked"), "{error}");
    let error = db.threads.write::<()>(|_| panic!("a query's")).await.unwrap_err().to_string();
    assert!(error.contains("a query panicked"), "{error}");
    db.remember(&drv(1), Outcome::Failed, None, DEFAULT_REMEMBER).await.unwrap();
    assert_eq!(db.outcomes(&[drv(1)]).await.unwrap().len(), 1);
}

#[actix::test]
async fn readers_see_what_was_answered_while_others_write() {
    let house = House::new();
    let db = house.open();
    let writers = (0..8).map(|writer| {
        let db = db.clone();
        async move {
            for number in (writer * 100)..(writer * 100 + 100) {
                db.remember(&drv(number), Outcome::Failed, None, DEFAULT_REMEMBER).await.unwrap();
                assert_eq!(db.outcomes(&[drv(number)]).await.unwrap().len(), 1);
            }
        }
    });
    futures_util::future::join_all(writers).await;
    assert_eq!(db.stats().await.unwrap().remembered_outcomes, 800);
}

#[actix::test]
async fn attempts_have_a_beginning_and_an_end_and_teach() {
    const USAGE: Usage = Usage {
        cpu_seconds: Some(0.5),
        peak_memory_bytes: Some(1 << 40),
        io_read_bytes: Some(1),
        io_written_bytes: Some(2),
        copied_in_bytes: Some(3),
        copied_out_bytes: Some(4),
    };
    let house = House::new();
    let db = house.open();
    let start = |number: usize, time: &str| NewAttempt {
        drv: drv(number),
        time: time.into(),
        builder: "local".into(),
        review: Some("r1".into()),
    };
    let end = |number: usize, time: &str, outcome, seconds| AttemptEnd {
        drv: drv(number),
        time: time.into(),
        outcome,
        seconds,
        message: None,
        usage: USAGE,
    };
    db.start_attempt(start(1, "t1")).await.unwrap();
    assert_eq!(db.unfinished_attempts().await.unwrap().len(), 1);
    db.finish_attempt(end(1, "t1", Outcome::Succeeded, 10.0)).await.unwrap();
    db.finish_attempt(end(1, "t1", Outcome::Succeeded, 99.0)).await.unwrap();
    db.start_attempt(start(1, "t2")).await.unwrap();
    db.finish_attempt(end(1, "t2", Outcome::Failed, 1000.0)).await.unwrap();
    db.start_attempt(start(1, "t3")).await.unwrap();
    db.finish_attempt(end(1, "t3", Outcome::Succeeded, 20.0)).await.unwrap();
    db.start_attempt(start(1, "t4")).await.unwrap();

    let pname = drv(1).pname_version().0.to_owned();
    assert_eq!(pname, "package");
    let expected = db.expected_seconds(&[pname.clone(), "unheard-of".into()]).await.unwrap();
    assert_eq!(expected.len(), 1);
    assert!((expected[&pname] - 14.0).abs() < 1e-9, "{expected:?}");

    let rows = db.attempts(drv(1).base_name()).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.time.as_str()).collect::<Vec<_>>(), ["t4", "t3", "t2", "t1"]);
    assert_eq!(rows[3].seconds, Some(10.0));
    assert_eq!(rows[3].usage, USAGE);
    assert_eq!(rows[0].usage, Usage::default());
    assert_eq!(rows[0].outcome, None);
    assert_eq!(db.abandon_attempts().await.unwrap(), 1);
    assert!(db.unfinished_attempts().await.unwrap().is_empty());
    assert_eq!(db.attempts(drv(1).base_name()).await.unwrap()[0].outcome, Some(Outcome::Infrastructure));
    let stats = db.stats().await.unwrap();
    assert_eq!(stats.attempts[&Outcome::Succeeded], (2, 30.0));
    assert!(stats.database_bytes > 0);
}

#[actix::test]
async fn a_branch_keeps_its_number() {
    let house = House::new();
    let db = house.open();
    let name = RepositoryName::from(NAME);
    assert!(matches!(db.pull_number(&name, "a").await, Err(DbError::NoSuchRepository(_))));
    assert!(matches!(db.upsert_pull(pull(1, 'a')).await, Err(DbError::NoSuchRepository(_))));
    db.upsert_repository(repository()).await.unwrap();
    assert_eq!(db.pull_number(&name, "a").await.unwrap(), 1);
    assert_eq!(db.pull_number(&name, "b").await.unwrap(), 2);
    drop(db);
    let db = house.open();
    assert_eq!(db.pull_number(&name, "a").await.unwrap(), 1);
    db.upsert_pull(pull(7, 'a')).await.unwrap();
    assert_eq!(db.pull_number(&name, "c").await.unwrap(), 8);
}

#[actix::test]
async fn repositories_are_kept_by_name() {
    use std::os::unix::ffi::OsStringExt;
    let house = House::new();
    let db = house.open();
    let odd = RepositoryRow { path: std::ffi::OsString::from_vec(b"/srv/\xff".to_vec()).into(), ..repository() };
    db.upsert_repository(repository()).await.unwrap();
    db.upsert_repository(odd.clone()).await.unwrap();
    db.upsert_repository(RepositoryRow { name: "local/a".into(), error: Some("gone".into()), ..repository() }).await.unwrap();
    let names: Vec<_> = db.repositories().await.unwrap().into_iter().map(|row| row.name).collect();
    assert_eq!(names, ["local/a".into(), NAME.into()]);
    assert_eq!(db.repository(&NAME.into()).await.unwrap(), Some(odd));
    db.upsert_pull(pull(1, 'a')).await.unwrap();
    db.remove_repository(&NAME.into()).await.unwrap();
    assert!(db.pulls(PullFilter::default()).await.unwrap().is_empty());
}

#[actix::test]
async fn reading_a_pull_request_again_changes_nothing() {
    let house = House::new();
    let db = house.open();
    let name = RepositoryName::from(NAME);
    db.upsert_repository(repository()).await.unwrap();
    db.upsert_pull(pull(1, 'a')).await.unwrap();
    db.create_review(review("r1", Some(1))).await.unwrap();
    let later = jiff::Timestamp::from_second(1_800_000_000).unwrap();
    db.upsert_pull(PullRow { created_at: later, updated_at: later, ..pull(1, 'a') }).await.unwrap();
    let stored = db.pull(&name, 1).await.unwrap().unwrap();
    assert_eq!(stored, PullRow { review: Some("r1".into()), ..pull(1, 'a') });
    // a push is a change, and what was reviewed is not what stands there now
    db.upsert_pull(PullRow { updated_at: later, ..pull(1, 'b') }).await.unwrap();
    let stored = db.pull(&name, 1).await.unwrap().unwrap();
    assert_eq!((stored.review, stored.updated_at, stored.created_at), (None, later, pull(1, 'a').created_at));
    db.close_pull(&name, 1, PullState::Merged).await.unwrap();
    assert_eq!(db.pull(&name, 1).await.unwrap().unwrap().state, PullState::Merged);
    assert_eq!(db.pull(&name, 2).await.unwrap(), None);
}

#[actix::test]
async fn a_list_is_filtered_and_ordered() {
    let house = House::new();
    let db = house.open();
    db.upsert_repository(repository()).await.unwrap();
    for (number, rebuilds) in [(1, Some(30)), (2, None), (3, Some(0)), (4, Some(7))] {
        db.upsert_pull(pull(number, 'a')).await.unwrap();
        if let Some(rebuilds) = rebuilds {
            let id = format!("r{number}");
            db.create_review(review(&id, Some(number))).await.unwrap();
            db.save_report(&report(&id, State::Complete, rebuilds)).await.unwrap();
        }
    }
    db.close_pull(&NAME.into(), 4, PullState::Closed).await.unwrap();
    let numbers = async |filter| -> Vec<u64> { db.pulls(filter).await.unwrap().iter().map(|(pull, _)| pull.number).collect() };
    let open = PullFilter { state: Some(PullState::Open), ..PullFilter::default() };
    assert_eq!(numbers(PullFilter { order: PullOrder::Rebuilds, ..open.clone() }).await, [3, 1, 2]);
    assert_eq!(numbers(PullFilter { order: PullOrder::Number, ..PullFilter::default() }).await, [4, 3, 2, 1]);
    assert_eq!(numbers(PullFilter { order: PullOrder::Created, ..open.clone() }).await, [3, 2, 1]);
    assert_eq!(numbers(PullFilter::default()).await, [4, 3, 2, 1]);
    assert_eq!(numbers(PullFilter { repository: Some("local/other".into()), ..open }).await, [0; 0]);
    let (_, review) = db.pulls(PullFilter::default()).await.unwrap().remove(1);
    assert_eq!(review.unwrap().newly_failing, 2);
}

#[actix::test]
async fn a_push_supersedes_the_review_under_way() {
    let house = House::new();
    let db = house.open();
    db.upsert_repository(repository()).await.unwrap();
    db.upsert_pull(pull(1, 'a')).await.unwrap();
    assert!(db.create_review(review("r1", Some(1))).await.unwrap().is_empty());
    db.save_report(&report("r1", State::Complete, 1)).await.unwrap();
    assert!(db.create_review(review("r2", Some(1))).await.unwrap().is_empty());
    db.save_report(&report("r2", State::Building, 1)).await.unwrap();
    assert_eq!(db.create_review(review("r3", Some(1))).await.unwrap(), ["r2".into()]);
    // its actor has not heard yet
    db.save_report(&report("r2", State::Building, 9)).await.unwrap();
    db.set_review_state(&"r2".into(), State::Building, None).await.unwrap();

    let by_age = db.reviews_of(&NAME.into(), 1).await.unwrap();
    let seen: Vec<_> = by_age.iter().map(|row| (row.id.as_str(), row.state, row.superseded_by.clone())).collect();
    assert_eq!(
        seen,
        [
            ("r3", State::Evaluating, None),
            ("r2", State::Cancelled, Some("r3".into())),
            ("r1", State::Complete, Some("r2".into())),
        ]
    );
    assert_eq!(by_age[1].rebuilds, 1);
    // the report that was stored last says that it is being built
    let stored = db.report(&"r2".into()).await.unwrap().unwrap();
    assert_eq!((stored.state, stored.verdict.decision), (State::Cancelled, Decision::Pending));
    assert_eq!(stored.verdict.summary, by_age[1].summary);
    assert_eq!(db.pull(&NAME.into(), 1).await.unwrap().unwrap().review, Some("r3".into()));
    assert_eq!(db.open_reviews().await.unwrap().len(), 1);
    assert_eq!(db.latest_reviews(2).await.unwrap().len(), 2);
}

#[actix::test]
async fn a_report_comes_back_as_it_was() {
    let house = House::new();
    let db = house.open();
    assert!(matches!(db.save_report(&report("r1", State::Complete, 5)).await, Err(DbError::NoSuchReview(_))));
    // a one-shot review: neither its repository nor a pull request is stored
    db.create_review(review("r1", None)).await.unwrap();
    assert_eq!(db.report(&"r1".into()).await.unwrap(), None);
    db.save_report(&report("r1", State::Building, 4)).await.unwrap();
    db.save_report(&report("r1", State::Complete, 5)).await.unwrap();
    assert_eq!(db.report(&"r1".into()).await.unwrap(), Some(report("r1", State::Complete, 5)));
    let row = db.review(&"r1".into()).await.unwrap().unwrap();
    assert_eq!((row.state, row.decision, row.rebuilds, row.newly_failing), (State::Complete, Decision::Blocked, 5, 2));
    assert_eq!((row.summary.as_str(), row.error), ("Blocked: 2 newly failing.", None));
    assert_eq!(row.tree, report("r1", State::Complete, 5).merge.tree);
    db.set_review_state(&"r1".into(), State::Error, Some("the disk is full".into())).await.unwrap();
    assert_eq!(db.review(&"r1".into()).await.unwrap().unwrap().error.as_deref(), Some("the disk is full"));
    assert_eq!(db.review(&"r2".into()).await.unwrap(), None);
}

#[actix::test]
async fn an_evaluation_of_a_large_set_comes_back_as_it_was() {
    let house = House::new();
    let db = house.open();
    let job = |number| Job { drv: drv(number), outputs: BTreeMap::from([("out".into(), None)]), system: "x86_64-linux".into() };
    let error = EvalError { message: "no".into(), position: Some(Position { file: "a.nix".into(), line: 1, column: 2 }) };
    let mut attrs: BTreeMap<_, _> = (0..12_000)
        .map(|number| (AttrPath::new([format!("p{number}"), "odd.name".into()]), Attr::Derivation(job(number))))
        .collect();
    attrs.insert(AttrPath::root(), Attr::Failed(error));
    let tree: TreeId = "2".repeat(40).parse().unwrap();
    let evaluation = Evaluation {
        tree,
        jobset: "default".into(),
        system: "x86_64-linux".into(),
        attrs,
        stats: EvalStats { cpu_seconds: 12.25, ..EvalStats::default() },
    };
    assert_eq!(db.evaluation("key").await.unwrap(), None);
    let evaluation = std::sync::Arc::new(evaluation);
    db.save_evaluation("key", "trace key", evaluation.clone()).await.unwrap();
    db.save_evaluation("key", "trace key", evaluation.clone()).await.unwrap();
    assert_eq!(db.evaluation("key").await.unwrap().as_ref(), Some(&*evaluation));
    assert_eq!(db.stats().await.unwrap().evaluations, 1);
}

#[actix::test]
async fn a_report_is_shared_with_its_readers_for_as_long_as_it_holds() {
    let house = House::new();
    let db = house.open();
    db.create_review(review("r1", None)).await.unwrap();
    let stored = std::sync::Arc::new(report("r1", State::Building, 7));
    db.store_report(stored.clone()).await.unwrap();
    let read = db.shared_report(&"r1".into()).await.unwrap().unwrap();
    assert!(std::sync::Arc::ptr_eq(&stored, &read));
    db.set_review_state(&"r1".into(), State::Cancelled, None).await.unwrap();
    assert_eq!(db.shared_report(&"r1".into()).await.unwrap().unwrap().state, State::Cancelled);
    // of a review that is not there nothing is kept
    db.store_report(std::sync::Arc::new(report("r2", State::Building, 7))).await.unwrap_err();
    assert_eq!(db.shared_report(&"r2".into()).await.unwrap(), None);
}
