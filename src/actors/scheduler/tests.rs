//! The Scheduler and a Pool end to end: real Nix, a real database, real logs; only the reviews are played.

mod house;

use std::time::Duration;

use house::{House, Reach, STOPS_ITSELF, builder};

use super::{
    Accepted, Builder, BuilderSnapshot, Bump, Configured, Drain, Forget, Patience, QueueSnapshot, Retry, ScheduleError, Target,
    Want,
};
use crate::build::snapshot::BuilderState;
use crate::domain::{DrvPath, Outcome, ReviewId, Side};
use crate::store::logs::LogRange;

fn review(name: &str) -> ReviewId {
    ReviewId::new(name)
}

#[actix::test]
async fn a_graph_is_built_and_a_failure_names_its_root_cause() {
    let house = House::new().open();
    let drvs = house.instantiate(
        r#"let a = sh "a" "echo building a; echo > $out"; b = sh "b" "echo broken b; exit 1";
               c = mk "c" "cat ${a} > $out" { inherit b; }; d = mk "d" "echo > $out" { inherit c; }; e = mk "e" "echo > $out" { inherit a; };
           in [ a b d e ]"#,
    );
    let [a, b, d, e] = <[DrvPath; 4]>::try_from(drvs).unwrap();
    let accepted = house.want("r", Side::Head, &[&a, &b, &d, &e], Retry::Remembered).await;
    assert_eq!(accepted, Ok(Accepted { to_build: 5, to_substitute: 0 }));
    let settled = house.settled(4).await;
    assert_eq!(settled[&a].outcome, Outcome::Succeeded);
    assert_eq!(settled[&e].outcome, Outcome::Succeeded);
    assert_eq!((settled[&b].outcome, &settled[&b].root_cause), (Outcome::Failed, &None));
    assert!(settled[&b].message.as_ref().unwrap().contains("exit code 1"), "{:?}", settled[&b]);
    assert_eq!((settled[&d].outcome, &settled[&d].root_cause), (Outcome::DependencyFailed, &Some(b.clone())));
    assert_eq!(settled[&d].root_outcome, Some(Outcome::Failed));
    assert_eq!(house.attempts_begun().len(), 3, "{:?}", house.attempts_begun());

    let log = house.deps.logs.read(b.base_name(), None, LogRange::All).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&log.bytes).starts_with("broken b\n"));
    house.deps.db.flush().await.unwrap();
    let attempts = house.deps.db.attempts(b.base_name()).await.unwrap();
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0].outcome, Some(Outcome::Failed));
    assert_eq!(attempts[0].time, log.attempt.to_string());
    assert_eq!(attempts[0].review, Some(review("r")));
}

#[actix::test]
async fn what_is_there_already_is_answered_without_a_build() {
    let house = House::new().open();
    let a = house.instantiate_one(r#"sh "a" "echo > $out""#);
    house.want("r", Side::Head, &[&a], Retry::Remembered).await.unwrap();
    house.settled(1).await;
    house.scheduler.ask(Forget { review: review("r") }).await.unwrap();
    let accepted = house.want("s", Side::Base, &[&a], Retry::Remembered).await;
    assert_eq!(accepted, Ok(Accepted::default()));
    assert_eq!(house.settled(1).await[&a].outcome, Outcome::Succeeded);
    assert_eq!(house.attempts_begun(), [a]);
}

#[actix::test]
async fn a_failure_is_remembered_by_the_next_process_unless_it_is_to_be_retried() {
    let house = House::new().open();
    let drvs = house.instantiate(r#"let a = sh "a" "exit 3"; in [ a (mk "b" "echo > $out" { inherit a; }) ]"#);
    let [a, b] = <[DrvPath; 2]>::try_from(drvs).unwrap();
    house.want("r", Side::Head, &[&a], Retry::Remembered).await.unwrap();
    house.settled(1).await;
    let house = house.reopen().await;
    house.want("r", Side::Head, &[&b], Retry::Remembered).await.unwrap();
    let settled = house.settled(1).await;
    assert_eq!((settled[&b].outcome, &settled[&b].root_cause), (Outcome::DependencyFailed, &Some(a.clone())));
    assert!(settled[&b].message.as_ref().unwrap().contains("exit code 3"));
    assert!(house.attempts_begun().is_empty());
    house.want("s", Side::Head, &[&b], Retry::BuildAgain).await.unwrap();
    house.settled(1).await;
    assert_eq!(house.attempts_begun(), [a]);
}

#[actix::test]
async fn what_a_binary_cache_has_counts_as_substituted() {
    let house = House::new().with_binary_cache().open();
    let drvs = house.instantiate(r#"let a = sh "a" "echo > $out"; in [ a (mk "b" "read x < ${a}; echo > $out" { }) ]"#);
    let [a, b] = <[DrvPath; 2]>::try_from(drvs).unwrap();
    house.build_into_cache(&a);
    let accepted = house.want("r", Side::Head, &[&a, &b], Retry::Remembered).await;
    assert_eq!(accepted, Ok(Accepted { to_build: 1, to_substitute: 1 }));
    let settled = house.settled(2).await;
    assert_eq!(settled[&a].outcome, Outcome::Substituted);
    assert_eq!(settled[&b].outcome, Outcome::Succeeded, "{:?}", settled[&b]);
    assert_eq!(house.attempts_begun(), [b]);
}

#[actix::test]
async fn two_reviews_share_one_attempt() {
    let house = House::new().open();
    let fifo = house.fifo("go");
    let a = house.instantiate_one(&format!(r#"sh "a" "read line < {}; echo $line > $out""#, fifo.display()));
    house.want("r", Side::Head, &[&a], Retry::Remembered).await.unwrap();
    house.want("s", Side::Base, &[&a], Retry::Remembered).await.unwrap();
    house::write_line(fifo).await;
    let reviews: Vec<ReviewId> = [house.next_settled().await, house.next_settled().await].map(|settled| settled.review).into();
    assert_eq!(reviews, [review("r"), review("s")]);
    assert_eq!(house.attempts_begun(), [a]);
}

#[actix::test]
async fn the_longest_limit_of_a_target_stops_its_build() {
    let house = House::new().open();
    let drvs = house.instantiate(&format!(r#"[ (sh "slow" "{STOPS_ITSELF}") (sh "silent" "echo a; {STOPS_ITSELF}") ]"#));
    let [slow, silent] = <[DrvPath; 2]>::try_from(drvs).unwrap();
    let second = Some(Duration::from_secs(1));
    let targets = vec![
        Target { drv: slow.clone(), timeout: second, max_silent: None },
        Target { drv: silent.clone(), timeout: None, max_silent: second },
    ];
    let want = Want { review: review("r"), side: Side::Head, targets, retry: Retry::Remembered, report_to: house.recipient() };
    house.scheduler.ask(want).await.unwrap().unwrap();
    let settled = house.settled(2).await;
    assert_eq!(settled[&slow].outcome, Outcome::TimedOut, "{:?}", settled[&slow]);
    assert_eq!(settled[&silent].outcome, Outcome::SilentTimedOut, "{:?}", settled[&silent]);
}

#[actix::test]
async fn when_the_last_review_leaves_the_builder_is_killed() {
    let house = House::new().open();
    let fifo = house.fifo("pid");
    let a = house.instantiate_one(&format!(r#"sh "a" "echo $$ > {}; {STOPS_ITSELF}""#, fifo.display()));
    house.want("r", Side::Head, &[&a], Retry::Remembered).await.unwrap();
    house.want("s", Side::Head, &[&a], Retry::Remembered).await.unwrap();
    let builder = house::Process::named_by(fifo).await;
    house.scheduler.ask(Forget { review: review("r") }).await.unwrap();
    assert!(builder.runs(), "another review still waits");
    house.scheduler.ask(Forget { review: review("s") }).await.unwrap();
    builder.ended().await;
    assert_eq!(house.ended(&a).await, Outcome::Cancelled);
    // and the slot is free
    let b = house.instantiate_one(r#"sh "b" "echo > $out""#);
    house.want("t", Side::Head, &[&b], Retry::Remembered).await.unwrap();
    assert_eq!(house.settled(1).await[&b].outcome, Outcome::Succeeded);
}

#[actix::test]
async fn what_no_builder_offers_is_unsupported_and_says_what_is_missing() {
    let house = House::new().open();
    let drvs = house.instantiate(
        r#"let a = mk "a" "echo > $out" { requiredSystemFeatures = [ "moonlight" ]; };
           in [ a (mk "b" "echo > $out" { system = "riscv64-none"; }) (mk "c" "echo > $out" { inherit a; }) ]"#,
    );
    let [a, b, c] = <[DrvPath; 3]>::try_from(drvs).unwrap();
    house.want("r", Side::Head, &[&a, &b, &c], Retry::Remembered).await.unwrap();
    let settled = house.settled(3).await;
    assert!([&a, &b, &c].iter().all(|drv| settled[drv].outcome == Outcome::Unsupported));
    assert!(settled[&a].message.as_ref().unwrap().ends_with("has the feature moonlight"));
    assert!(settled[&b].message.as_ref().unwrap().starts_with("no builder for the system riscv64-none"));
    assert_eq!((&settled[&c].root_cause, &settled[&c].message), (&Some(a.clone()), &settled[&a].message));
}

#[actix::test]
async fn a_derivation_that_is_not_in_the_store_is_named() {
    let house = House::new().open();
    let a = house.instantiate_one(r#"sh "a" "echo > $out""#);
    std::fs::remove_file(a.as_str()).unwrap();
    house.nix_store(&["--delete", "--ignore-liveness", a.as_str()]);
    let answer = house.want("r", Side::Head, &[&a], Retry::Remembered).await;
    assert_eq!(answer, Err(ScheduleError::NotInstantiated(a)));
}

#[actix::test]
async fn a_store_that_can_not_be_reached_ends_as_infrastructure_when_patience_does() {
    let house = House::new().patience(Patience::Times(1)).unreachable_builds().open();
    let drvs = house.instantiate(r#"let a = sh "a" "echo > $out"; in [ a (mk "b" "echo > $out" { inherit a; }) (sh "c" "") ]"#);
    house.want("r", Side::Head, &drvs.iter().collect::<Vec<_>>(), Retry::Remembered).await.unwrap();
    let settled = house.settled(3).await;
    assert!(settled.values().all(|settled| settled.outcome == Outcome::Infrastructure), "{settled:?}");
    let rows = house.scheduler.ask(BuilderSnapshot).await.unwrap();
    assert_eq!(rows[0].state, BuilderState::BackingOff);
    assert!(rows[0].reason.as_ref().unwrap().contains("cannot reach the Nix store"), "{rows:?}");
}

#[actix::test]
async fn the_builds_of_a_pool_that_died_are_done_by_the_next() {
    let house = House::new().open();
    let fifo = house.fifo("pid");
    let once = format!("if [ -e {0} ]; then echo $$ > {0}; {STOPS_ITSELF}; fi; echo > $out", fifo.display());
    let a = house.instantiate_one(&format!(r#"sh "a" "{once}""#));
    house.want("r", Side::Head, &[&a], Retry::Remembered).await.unwrap();
    let builder = house::Process::named_by(fifo.clone()).await;
    std::fs::remove_file(fifo).unwrap();
    house.pool.tell(house::Crash);
    builder.ended().await;
    assert_eq!(house.settled(1).await[&a].outcome, Outcome::Succeeded);
    assert_eq!(house.attempts_begun(), [a.clone(), a]);
}

#[actix::test]
async fn a_scheduler_that_crashed_is_asked_again_and_the_pool_works_for_the_next() {
    let house = House::new().open();
    let fifo = house.fifo("pid");
    let once = format!("if [ -e {0} ]; then echo $$ > {0}; {STOPS_ITSELF}; fi; echo > $out", fifo.display());
    let a = house.instantiate_one(&format!(r#"sh "a" "{once}""#));
    house.want("r", Side::Head, &[&a], Retry::Remembered).await.unwrap();
    let builder = house::Process::named_by(fifo.clone()).await;
    std::fs::remove_file(fifo).unwrap();
    let replaced = house.scheduler.replaced();
    house.scheduler.tell(house::Crash);
    builder.ended().await;
    replaced.await;
    house.want("r", Side::Head, &[&a], Retry::Remembered).await.unwrap();
    assert_eq!(house.settled(1).await[&a].outcome, Outcome::Succeeded);
}

#[actix::test]
async fn what_timed_out_has_one_more_try_on_a_larger_builder() {
    let small = Builder { memory: Some(1 << 30), ..builder("local") };
    let house = House::new().builders(&[(small, Reach::Here), (builder("local-big"), Reach::Here)]).open();
    let drvs = house.instantiate(&format!(r#"[ (sh "slow" "{STOPS_ITSELF}") (sh "quick" "echo > $out") ]"#));
    let [slow, quick] = <[DrvPath; 2]>::try_from(drvs).unwrap();
    let limited = |drv: &DrvPath| Target { timeout: Some(Duration::from_secs(1)), ..Target::new(drv.clone()) };
    let targets = vec![limited(&slow), Target::new(quick.clone())];
    let want = Want { review: review("r"), side: Side::Head, targets, retry: Retry::Remembered, report_to: house.recipient() };
    house.scheduler.ask(want).await.unwrap().unwrap();
    let settled = house.settled(2).await;
    assert_eq!(settled[&slow].outcome, Outcome::TimedOut);
    let timed_out = Some(Outcome::TimedOut);
    assert_eq!(house.attempts(&slow).await, [("local-big".into(), timed_out), ("local".into(), timed_out)]);
    assert_eq!(house.attempts(&quick).await, [("local".into(), Some(Outcome::Succeeded))], "the smaller one takes what it can");
    assert_eq!(house.deps.db.outcomes(std::slice::from_ref(&slow)).await.unwrap()[&slow].outcome, Outcome::TimedOut);
}

#[actix::test]
async fn what_one_builder_can_not_begin_is_built_by_another_at_once() {
    // alike, so that the first by name is asked first
    let house = House::new().builders(&[(builder("a-far"), Reach::Nowhere), (builder("local"), Reach::Here)]).open();
    let drvs = house.instantiate(r#"[ (sh "a" "echo > $out") (sh "b" "echo > $out") (sh "c" "echo > $out") ]"#);
    house.want("r", Side::Head, &drvs.iter().collect::<Vec<_>>(), Retry::Remembered).await.unwrap();
    let settled = house.settled(3).await;
    assert!(settled.values().all(|settled| settled.outcome == Outcome::Succeeded), "{settled:?}");
    let rows = house.scheduler.ask(BuilderSnapshot).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.state).collect::<Vec<_>>(), [BuilderState::BackingOff, BuilderState::Ready]);
    let mut attempts = Vec::new();
    for drv in &drvs {
        attempts.extend(house.attempts(drv).await);
    }
    assert!(attempts.contains(&("a-far".into(), Some(Outcome::Infrastructure))), "{attempts:?}");
}

#[actix::test]
async fn a_fixed_output_derivation_does_not_wait_for_a_slot() {
    let one = Builder { slots: 1, downloads: 1, ..builder("local") };
    let house = House::new().builders(&[(one, Reach::Here)]).open();
    let fifo = house.fifo("go");
    let drvs = house.instantiate(&format!(
        r#"[ (sh "slow" "read line < {}; echo > $out")
             (mk "source" "echo hello > $out" {{ outputHashMode = "flat"; outputHashAlgo = "sha256";
               outputHash = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"; }}) ]"#,
        fifo.display()
    ));
    let [slow, source] = <[DrvPath; 2]>::try_from(drvs).unwrap();
    house.want("r", Side::Head, &[&slow], Retry::Remembered).await.unwrap();
    house.want("s", Side::Head, &[&source], Retry::Remembered).await.unwrap();
    let settled = house.next_settled().await;
    assert_eq!((settled.drv, settled.outcome), (source, Outcome::Succeeded), "{:?}", settled.message);
    house::write_line(fifo).await;
    assert_eq!(house.settled(1).await[&slow].outcome, Outcome::Succeeded);
}

#[actix::test]
async fn a_drained_builder_ends_what_it_runs_and_takes_nothing_more() {
    let house = House::new().open();
    let fifo = house.fifo("go");
    let a = house.instantiate_one(&format!(r#"sh "a" "read line < {}; echo > $out""#, fifo.display()));
    let b = house.instantiate_one(r#"sh "b" "echo > $out""#);
    let drain = |on| house.scheduler.ask(Drain { builder: "local".into(), on });
    house.want("r", Side::Head, &[&a], Retry::Remembered).await.unwrap();
    drain(true).await.unwrap().unwrap();
    house.want("s", Side::Head, &[&b], Retry::Remembered).await.unwrap();
    assert_eq!(house.scheduler.ask(BuilderSnapshot).await.unwrap()[0].state, BuilderState::Draining);
    house::write_line(fifo).await;
    assert_eq!(house.settled(1).await[&a].outcome, Outcome::Succeeded);
    let queue = house.scheduler.ask(QueueSnapshot { waiting: 10 }).await.unwrap();
    assert_eq!((queue.counts.ready, queue.running.len()), (1, 0), "it waits, and is not unsupported");
    drain(false).await.unwrap().unwrap();
    assert_eq!(house.settled(1).await[&b].outcome, Outcome::Succeeded);
    let unknown = house.scheduler.ask(Drain { builder: "x".into(), on: true }).await.unwrap();
    assert_eq!(unknown.unwrap_err().to_string(), "there is no builder named x");
}

#[actix::test]
async fn what_waits_for_a_builder_that_is_configured_away_is_unsupported() {
    let house = House::new().open();
    let fifo = house.fifo("go");
    let script = format!("read line < {}; echo > $out", fifo.display());
    let drvs = house.instantiate(&format!(r#"let a = sh "a" "{script}"; in [ a (mk "b" "echo > $out" {{ inherit a; }}) ]"#));
    let [a, b] = <[DrvPath; 2]>::try_from(drvs).unwrap();
    house.want("r", Side::Head, &[&a, &b], Retry::Remembered).await.unwrap();
    house.scheduler.ask(Configured(Vec::new())).await.unwrap();
    assert_eq!(house.settled(1).await[&b].outcome, Outcome::Unsupported);
    house::write_line(fifo).await;
    assert_eq!(house.settled(1).await[&a].outcome, Outcome::Succeeded, "what runs comes to its end");
}

#[actix::test]
async fn a_raised_review_is_next() {
    let one = Builder { slots: 1, ..builder("local") };
    let house = House::new().builders(&[(one, Reach::Here)]).open();
    let fifo = house.fifo("go");
    let drvs = house.instantiate(&format!(
        r#"[ (sh "first" "read line < {}; echo > $out") (sh "a" "echo > $out") (sh "b" "echo > $out") (sh "c" "echo > $out") ]"#,
        fifo.display()
    ));
    let [first, a, b, c] = <[DrvPath; 4]>::try_from(drvs).unwrap();
    house.want("r", Side::Head, &[&first], Retry::Remembered).await.unwrap();
    house.want("small", Side::Head, &[&a], Retry::Remembered).await.unwrap();
    house.want("large", Side::Head, &[&b, &c], Retry::Remembered).await.unwrap();
    assert!(house.scheduler.ask(Bump { review: review("large") }).await.unwrap());
    assert!(!house.scheduler.ask(Bump { review: review("unheard-of") }).await.unwrap());
    house::write_line(fifo).await;
    house.settled(4).await;
    let mut begun = house.attempts_begun();
    assert_eq!(begun.pop(), Some(a));
}
