//! The graph in small stories.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::super::{Answer, Ending, Graph, Node, Priority, Request, Requirements, Waiter};
use super::walk::drv;
use crate::domain::{DrvPath, Outcome, ReviewId, Side, System};

fn node(i: usize, inputs: &[usize]) -> Node {
    Node {
        drv: drv(i),
        inputs: inputs.iter().map(|input| drv(*input)).collect(),
        requirements: Arc::new(Requirements { system: System::new("s"), features: BTreeSet::new(), fixed_output: false }),
        expected: Duration::from_secs(10),
        timeout: None,
        max_silent: None,
        known: None,
    }
}

fn request(review: &str, nodes: Vec<Node>, targets: &[usize]) -> Request {
    Request {
        waiter: Waiter { review: ReviewId::new(review), side: Side::Head },
        priority: Priority { side: Side::Head, arrived: 0, rebuilds: nodes.len() as u64, bumped: false },
        nodes,
        targets: targets.iter().map(|target| drv(*target)).collect(),
        substituted: HashSet::new(),
        retry: false,
        asked_at: 0,
    }
}

fn next(graph: &mut Graph) -> Option<DrvPath> {
    next_that_fits(graph, |_| true)
}

fn next_that_fits(graph: &mut Graph, fits: impl Fn(&Requirements) -> bool) -> Option<DrvPath> {
    let heads = graph.heads().filter(|(demand, _, _)| fits(&demand.requirements));
    let id = heads.map(|(_, key, id)| (key, id)).min()?.1;
    Some(graph.start(id).drv)
}

/// `(review, target, outcome, root cause)`, sorted.
fn told(answers: Vec<Answer>) -> Vec<(String, DrvPath, Outcome, Option<DrvPath>)> {
    let tell = |a: Answer| (a.waiter.review.to_string(), a.drv, a.ending.outcome, a.cause.map(|cause| cause.drv.clone()));
    let mut told: Vec<_> = answers.into_iter().map(tell).collect();
    told.sort();
    told
}

#[test]
fn two_reviews_share_one_attempt_and_each_is_answered() {
    let mut graph = Graph::default();
    assert_eq!(graph.add(request("a", vec![node(0, &[])], &[0])), []);
    assert_eq!(graph.add(request("b", vec![node(0, &[]), node(1, &[0])], &[0, 1])), []);
    assert_eq!(next(&mut graph), Some(drv(0)));
    assert_eq!(next(&mut graph), None);
    let answers = graph.finish(&drv(0), Ending::new(Outcome::Succeeded));
    assert_eq!(told(answers), [("a".into(), drv(0), Outcome::Succeeded, None), ("b".into(), drv(0), Outcome::Succeeded, None)]);
    assert_eq!(next(&mut graph), Some(drv(1)));
    let answers = graph.finish(&drv(1), Ending::new(Outcome::Succeeded));
    assert_eq!(told(answers), [("b".into(), drv(1), Outcome::Succeeded, None)]);
}

#[test]
fn a_failure_settles_all_that_waits_for_it_with_its_root_cause() {
    let mut graph = Graph::default();
    let nodes = vec![node(3, &[1, 2]), node(2, &[]), node(1, &[0]), node(0, &[])];
    graph.add(request("a", nodes, &[0, 1, 3]));
    assert_eq!(next(&mut graph), Some(drv(0)), "the longest chain starts first");
    let answers = graph.finish(&drv(0), Ending::new(Outcome::Failed));
    assert_eq!(
        told(answers),
        [
            ("a".into(), drv(0), Outcome::Failed, None),
            ("a".into(), drv(1), Outcome::DependencyFailed, Some(drv(0))),
            ("a".into(), drv(3), Outcome::DependencyFailed, Some(drv(0))),
        ]
    );
}

#[test]
fn what_is_settled_is_answered_at_once() {
    let mut graph = Graph::default();
    graph.add(request("a", vec![node(0, &[]), node(1, &[0])], &[1]));
    next(&mut graph);
    graph.finish(&drv(0), Ending::new(Outcome::Failed));
    let answers = graph.add(request("b", vec![node(0, &[]), node(1, &[0]), node(2, &[1])], &[2, 9]));
    assert_eq!(
        told(answers),
        [("b".into(), drv(2), Outcome::DependencyFailed, Some(drv(0))), ("b".into(), drv(9), Outcome::Succeeded, None),]
    );
    assert_eq!(next(&mut graph), None);
}

#[test]
fn a_remembered_failure_is_not_built_again_unless_asked() {
    let mut graph = Graph::default();
    let known = Node { known: Some(Ending::new(Outcome::TimedOut)), ..node(0, &[]) };
    let answers = graph.add(request("a", vec![known, node(1, &[0])], &[1]));
    assert_eq!(told(answers), [("a".into(), drv(1), Outcome::DependencyFailed, Some(drv(0)))]);
    assert_eq!(next(&mut graph), None);
    let again = Request { retry: true, ..request("b", vec![node(0, &[]), node(1, &[0])], &[1]) };
    assert_eq!(graph.add(again), []);
    assert_eq!(next(&mut graph), Some(drv(0)));
}

#[test]
fn a_retry_does_not_repeat_what_failed_during_it() {
    let mut graph = Graph::default();
    let retry = |nodes, targets: &[usize]| Request { retry: true, ..request("a", nodes, targets) };
    graph.add(retry(vec![node(0, &[])], &[0]));
    next(&mut graph);
    graph.finish(&drv(0), Ending::new(Outcome::Failed));
    let answers = graph.add(retry(vec![node(0, &[]), node(1, &[0])], &[1]));
    assert_eq!(told(answers), [("a".into(), drv(1), Outcome::DependencyFailed, Some(drv(0)))]);
}

#[test]
fn what_is_nobodys_fault_stays_so_for_dependants_and_is_tried_again_for_the_next() {
    let mut graph = Graph::default();
    let unsupported = || Node { known: Some(Ending::new(Outcome::Unsupported)), ..node(0, &[]) };
    let answers = graph.add(request("a", vec![unsupported(), node(1, &[0])], &[1]));
    assert_eq!(told(answers), [("a".into(), drv(1), Outcome::Unsupported, Some(drv(0)))]);
    assert_eq!(graph.add(request("b", vec![node(0, &[]), node(1, &[0])], &[1])), []);
    assert_eq!(next(&mut graph), Some(drv(0)));
}

#[test]
fn the_last_who_leaves_cancels_and_who_comes_back_in_time_gets_a_new_attempt() {
    let mut graph = Graph::default();
    graph.add(request("a", vec![node(0, &[])], &[0]));
    graph.add(request("b", vec![node(0, &[]), node(1, &[0])], &[1]));
    next(&mut graph);
    assert_eq!(graph.forget(&ReviewId::new("a")), []);
    assert_eq!(graph.forget(&ReviewId::new("b")), [drv(0)]);
    assert_eq!(graph.counts().blocked, 0);
    graph.add(request("c", vec![node(0, &[])], &[0]));
    assert_eq!(next(&mut graph), None, "the first attempt has not ended yet");
    assert_eq!(graph.finish(&drv(0), Ending::new(Outcome::Cancelled)), []);
    assert_eq!(next(&mut graph), Some(drv(0)));
}

#[test]
fn what_broke_off_waits_for_its_release() {
    let mut graph = Graph::default();
    graph.add(request("a", vec![node(0, &[]), node(1, &[0])], &[1]));
    next(&mut graph);
    assert!(graph.again(&drv(0), Some("builder")).unwrap().broke_on("builder"));
    assert_eq!(graph.hold(&drv(0)), Some(1));
    assert_eq!(next(&mut graph), None);
    assert!(!graph.demand(&drv(0)).unwrap().broke_on("builder"));
    assert!(graph.release(&drv(0), 1));
    next(&mut graph);
    graph.again(&drv(0), None);
    assert_eq!(graph.hold(&drv(0)), Some(2));
    assert!(!graph.release(&drv(0), 1), "that was an earlier wait");
    let answers = graph.give_up(|_| Err(Ending::new(Outcome::Infrastructure)));
    assert_eq!(told(answers), [("a".into(), drv(1), Outcome::Infrastructure, Some(drv(0)))]);
}

#[test]
fn a_small_review_goes_before_a_large_one_and_a_head_before_a_base() {
    let mut graph = Graph::default();
    let base = |nodes| {
        let mut request = request("b", nodes, &[0]);
        request.waiter.side = Side::Base;
        request.priority.side = Side::Base;
        request
    };
    graph.add(base(vec![node(0, &[])]));
    graph.add(request("large", (1..9).map(|i| node(i, &[])).collect(), &[1]));
    graph.add(request("small", vec![node(9, &[])], &[9]));
    assert_eq!(next(&mut graph), Some(drv(9)));
    // wanted by the small one too, it overtakes
    graph.add(request("small", vec![node(5, &[])], &[5]));
    assert_eq!(next(&mut graph), Some(drv(5)));
    assert_eq!(next(&mut graph), Some(drv(1)));
}

#[test]
fn one_builder_takes_only_what_fits_it() {
    let mut graph = Graph::default();
    let other = Requirements { system: System::new("other"), features: BTreeSet::new(), fixed_output: false };
    let foreign = Node { requirements: Arc::new(other), ..node(0, &[]) };
    graph.add(request("a", vec![foreign, node(1, &[])], &[0, 1]));
    let own = |required: &Requirements| required.system.as_str() == "s";
    assert_eq!(next_that_fits(&mut graph, own), Some(drv(1)));
    assert_eq!(next_that_fits(&mut graph, own), None);
    assert_eq!(graph.counts().ready, 1);
}

#[test]
fn what_vanished_from_the_store_is_built_again() {
    let mut graph = Graph::default();
    graph.add(request("a", vec![node(0, &[])], &[0]));
    next(&mut graph);
    graph.finish(&drv(0), Ending::new(Outcome::Succeeded));
    let stale = request("b", vec![node(0, &[])], &[0]);
    assert_eq!(told(graph.add(stale)), [("b".into(), drv(0), Outcome::Succeeded, None)], "asked before it was built");
    let fresh = Request { asked_at: graph.moment(), ..request("b", vec![node(0, &[])], &[0]) };
    assert_eq!(graph.add(fresh), []);
    assert_eq!(next(&mut graph), Some(drv(0)));
}

#[test]
fn a_hundred_thousand_nodes_are_no_burden() {
    // every step is at most logarithmic, so that this is a matter of seconds even unoptimised; a quadratic step would take hours
    const N: usize = 100_000;
    let mut graph = Graph::default();
    let nodes = (0..N).map(|i| node(i, if i == 0 { &[] } else { &[0] })).collect();
    let all: Vec<usize> = (0..N).collect();
    graph.add(request("a", nodes, &all));
    let mut answered = 0;
    while let Some(drv) = next(&mut graph) {
        answered += graph.finish(&drv, Ending::new(Outcome::Succeeded)).len();
    }
    assert_eq!(answered, N);
    graph.forget(&ReviewId::new("a"));
    assert_eq!(graph.counts().settled, 0);
}
