//! The farm in small stories.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use super::super::snapshot::{Away, BuilderState, DependencyState, Wait};
use super::super::{Node, Offer, Priority, Waiter};
use super::*;
use crate::domain::{Side, System};

fn drv(name: &str) -> DrvPath {
    format!("/nix/store/00000000000000000000000000000000-{name}.drv").parse().unwrap()
}

fn words(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn builder(name: &str, features: &[&str]) -> Builder {
    let offer = Offer { systems: [System::new("s")].into(), features: words(features), mandatory: BTreeSet::new() };
    Builder { name: name.into(), offer, slots: 1, downloads: 1, speed: 1.0, memory: None }
}

fn node(name: &str, features: &[&str], inputs: &[&str]) -> Node {
    Node {
        drv: drv(name),
        inputs: inputs.iter().map(|input| drv(input)).collect(),
        requirements: Arc::new(Requirements { system: System::new("s"), features: words(features), fixed_output: false }),
        expected: Duration::from_secs(10),
        timeout: None,
        max_silent: None,
        known: None,
    }
}

fn request(review: &str, nodes: Vec<Node>) -> Request {
    Request {
        waiter: Waiter { review: ReviewId::new(review), side: Side::Head },
        priority: Priority { side: Side::Head, arrived: 0, rebuilds: nodes.len() as u64, bumped: false },
        targets: nodes.iter().map(|node| node.drv.clone()).collect(),
        nodes,
        substituted: HashSet::new(),
        retry: false,
        asked_at: 0,
    }
}

fn open(builders: &[Builder]) -> Farm {
    let mut farm = Farm::new(builders, Patience::Endless);
    builders.iter().for_each(|builder| drop(farm.join(builder)));
    farm
}

/// Fills the slots: what starts where, in order.
fn starts(farm: &mut Farm) -> Vec<(String, String)> {
    std::iter::from_fn(|| farm.start()).map(|start| (start.job.drv.name().to_owned(), start.builder.to_string())).collect()
}

fn at(name: &str, builder: &str) -> (String, String) {
    (name.to_owned(), builder.to_owned())
}

fn outcomes(answers: &[Answer]) -> Vec<(&str, Outcome)> {
    answers.iter().map(|answer| (answer.drv.name(), answer.ending.outcome)).collect()
}

#[test]
fn the_weak_is_filled_first_and_the_strong_takes_what_is_left() {
    let mut farm = open(&[builder("a-strong", &["big-parallel", "kvm"]), builder("weak", &[])]);
    farm.add(request("r", vec![node("x", &[], &[]), node("y", &[], &[])]));
    assert_eq!(starts(&mut farm), [at("x", "weak"), at("y", "a-strong")]);
}

#[test]
fn what_only_the_strong_can_build_goes_there_before_what_is_more_urgent() {
    let mut farm = open(&[builder("strong", &["big-parallel"]), builder("weak", &[])]);
    farm.add(request("small", vec![node("x", &[], &[]), node("y", &[], &[])]));
    farm.add(request("large", (0..9).map(|i| node(&format!("big{i}"), &["big-parallel"], &[])).collect()));
    assert_eq!(starts(&mut farm), [at("x", "weak"), at("big0", "strong")]);
    farm.built(&drv("x"), Ending::new(Outcome::Succeeded));
    assert_eq!(starts(&mut farm), [at("y", "weak")]);
}

#[test]
fn a_long_chain_goes_to_the_faster_of_two_that_are_alike_and_a_short_one_leaves_it_free() {
    let fast = Builder { speed: 2.0, ..builder("fast", &[]) };
    let mut farm = open(&[fast, builder("slow", &[])]);
    farm.add(request("r", vec![node("short", &[], &[])]));
    assert_eq!(starts(&mut farm), [at("short", "slow")]);
    farm.built(&drv("short"), Ending::new(Outcome::Succeeded));
    let long = Node { expected: Duration::from_secs(600), ..node("long", &[], &["first"]) };
    farm.add(request("s", vec![node("first", &[], &[]), long]));
    assert_eq!(starts(&mut farm), [at("first", "fast")]);
}

#[test]
fn the_smaller_memory_comes_first_and_equals_share() {
    let small = Builder { memory: Some(4), slots: 2, ..builder("z-small", &["kvm"]) };
    let other = Builder { name: "y-small".into(), ..small.clone() };
    let mut farm = open(&[builder("large", &[]), small, other]);
    farm.add(request("r", ["a", "b", "c", "d", "e"].map(|name| node(name, &[], &[])).into()));
    let places: Vec<String> = starts(&mut farm).into_iter().map(|(_, place)| place).collect();
    assert_eq!(places, ["y-small", "z-small", "y-small", "z-small", "large"]);
}

#[test]
fn downloads_have_a_lane_of_their_own() {
    let mut farm = open(&[builder("b", &[])]);
    let mut fetch = node("fetch", &[], &[]);
    fetch.requirements = Arc::new(Requirements { fixed_output: true, ..(*fetch.requirements).clone() });
    let again = Node { drv: drv("fetch2"), ..fetch.clone() };
    farm.add(request("r", vec![node("a", &[], &[]), node("b", &[], &[]), fetch, again]));
    assert_eq!(starts(&mut farm), [at("a", "b"), at("fetch", "b")]);
    farm.built(&drv("fetch"), Ending::new(Outcome::Succeeded));
    assert_eq!(starts(&mut farm), [at("fetch2", "b")]);
}

#[test]
fn what_ran_out_of_memory_is_built_once_more_where_there_is_more() {
    let small = Builder { memory: Some(4), ..builder("small", &[]) };
    let larger = Builder { memory: Some(8), ..builder("larger", &[]) };
    let mut farm = open(&[small, larger, builder("largest", &[])]);
    farm.add(request("r", vec![node("a", &[], &[]), node("b", &[], &["a"])]));
    assert_eq!(starts(&mut farm), [at("a", "small")]);
    let after = farm.built(&drv("a"), Ending::new(Outcome::OutOfMemory));
    assert_eq!(after, After { next: Next::Larger, ..After::default() }, "b is not told of any failure");
    assert_eq!(starts(&mut farm), [at("a", "larger")]);
    let after = farm.built(&drv("a"), Ending::new(Outcome::TimedOut));
    assert_eq!(outcomes(&after.answers), [("a", Outcome::TimedOut), ("b", Outcome::DependencyFailed)]);
}

#[test]
fn where_there_is_no_more_the_first_end_stands() {
    let fast = Builder { speed: 2.0, ..builder("fast", &["kvm"]) };
    let mut farm = open(&[builder("slow", &[]), fast.clone()]);
    farm.add(request("r", vec![node("memory", &[], &[])]));
    starts(&mut farm);
    let after = farm.built(&drv("memory"), Ending::new(Outcome::OutOfMemory));
    assert_eq!(outcomes(&after.answers), [("memory", Outcome::OutOfMemory)]);
    // speed helps against a limit of time
    farm.add(request("s", vec![node("time", &[], &[])]));
    assert_eq!(starts(&mut farm), [at("time", "slow")]);
    farm.leave("fast");
    assert_eq!(farm.built(&drv("time"), Ending::new(Outcome::TimedOut)).next, Next::Larger);
    assert_eq!(starts(&mut farm), [], "it is only away");
    let answers = farm.configure(&[builder("slow", &[])]);
    assert_eq!(outcomes(&answers), [("time", Outcome::TimedOut)], "it will never come");
}

#[test]
fn what_broke_off_goes_elsewhere_at_once_and_waits_when_it_broke_everywhere() {
    let mut farm = open(&[builder("a", &[]), builder("b", &[])]);
    farm.add(request("r", vec![node("x", &[], &[])]));
    assert_eq!(starts(&mut farm), [at("x", "a")]);
    assert_eq!(farm.broke(&drv("x"), "the line went dead").next, Next::Again);
    assert_eq!(starts(&mut farm), [at("x", "b")]);
    assert_eq!(farm.broke(&drv("x"), "the line went dead").next, Next::Later { round: 1 });
    assert_eq!(starts(&mut farm), []);
    assert!(farm.release(&drv("x"), 1));
    assert_eq!(starts(&mut farm), [at("x", "a")]);
    // who left is no alternative
    farm.leave("b");
    assert_eq!(farm.broke(&drv("x"), "the line went dead").next, Next::Later { round: 2 });
}

#[test]
fn a_builder_that_can_not_build_rests_and_its_builds_go_elsewhere() {
    let mut farm = open(&[builder("a", &[]), builder("b", &["kvm"])]);
    farm.add(request("r", vec![node("x", &[], &[]), node("y", &[], &[])]));
    assert_eq!(starts(&mut farm), [at("x", "a"), at("y", "b")]);
    let after = farm.unreachable(&drv("x"), "its disk is full");
    let rest = after.rest.unwrap();
    assert_eq!((after.next, rest.failures), (Next::Again, 1));
    assert_eq!(starts(&mut farm), []);
    farm.built(&drv("y"), Ending::new(Outcome::Succeeded));
    assert_eq!(starts(&mut farm), [at("x", "b")]);
    farm.add(request("s", vec![node("z", &[], &[])]));
    assert_eq!(starts(&mut farm), []);
    farm.wake("a", rest.number);
    assert_eq!(starts(&mut farm), [at("z", "a")]);
}

#[test]
fn patience_ends_when_nobody_can_be_reached() {
    let builders = [builder("a", &[]), builder("b", &["kvm"])];
    let mut farm = Farm::new(&builders, Patience::Times(1));
    builders.iter().for_each(|builder| drop(farm.join(builder)));
    farm.add(request("r", vec![node("x", &[], &[]), node("k", &["kvm"], &[]), node("k2", &["kvm"], &["k"])]));
    assert_eq!(starts(&mut farm), [at("k", "b"), at("x", "a")]);
    let after = farm.unreachable(&drv("k"), "no route");
    assert_eq!(outcomes(&after.answers), [("k", Outcome::Infrastructure), ("k2", Outcome::Infrastructure)]);
    assert_eq!(outcomes(&farm.unreachable(&drv("x"), "no route").answers), [("x", Outcome::Infrastructure)]);
}

#[test]
fn a_raised_review_goes_first_with_all_that_it_needs() {
    let mut farm = open(&[builder("a", &[])]);
    farm.add(request("small", vec![node("x", &[], &[])]));
    farm.add(request("large", vec![node("p", &[], &[]), node("q", &[], &["p"])]));
    assert!(farm.raise(&ReviewId::new("large")));
    assert_eq!(starts(&mut farm), [at("p", "a")]);
    farm.built(&drv("p"), Ending::new(Outcome::Succeeded));
    assert_eq!(starts(&mut farm), [at("q", "a")]);
    farm.built(&drv("q"), Ending::new(Outcome::Succeeded));
    assert!(!farm.raise(&ReviewId::new("large")), "it waits for nothing");
}

/// What keeps it from being built.
fn wait(farm: &Farm, name: &str) -> Wait {
    let items = farm.waiting(100);
    items.into_iter().find(|item| item.drv.name() == name).unwrap_or_else(|| panic!("{name} does not wait")).wait
}

#[test]
fn each_that_waits_says_for_what() {
    let mut farm = open(&[builder("strong", &["kvm"]), builder("weak", &[])]);
    let mut source = node("source", &[], &[]);
    source.requirements = Arc::new(Requirements { fixed_output: true, ..Requirements::clone(&source.requirements) });
    let sources = ["source-1", "source-2", "source-3"].map(|name| Node { drv: drv(name), ..source.clone() });
    farm.add(request("downloads", sources.into()));
    farm.add(request("r", vec![node("a", &["kvm"], &[]), node("b", &["kvm"], &[]), node("c", &["kvm"], &["a"])]));
    assert_eq!(starts(&mut farm).len(), 3);
    let slot = |lane, names: &[&str]| Wait::Slot { lane, names: names.iter().map(|name| (*name).to_owned()).collect() };
    assert_eq!(wait(&farm, "source-3"), slot(Lane::Downloads, &["strong", "weak"]));
    assert_eq!(wait(&farm, "b"), slot(Lane::Builds, &["strong"]));
    assert_eq!(wait(&farm, "c"), Wait::Dependency { drv: drv("a"), state: DependencyState::Running });

    farm.drain("strong", true);
    let away = |state, reason: Option<&str>| {
        let reason = reason.map(str::to_owned);
        Wait::Builder { features: vec!["kvm".into()], away: vec![Away { name: "strong".into(), state, reason }] }
    };
    assert_eq!(wait(&farm, "source-3"), slot(Lane::Downloads, &["weak"]));
    assert_eq!(wait(&farm, "b"), away(BuilderState::Draining, None));
    farm.drain("strong", false);
    farm.unreachable(&drv("a"), "no route to host");
    assert_eq!(wait(&farm, "b"), away(BuilderState::BackingOff, Some("no route to host")));
    assert_eq!(wait(&farm, "c"), Wait::Dependency { drv: drv("a"), state: DependencyState::Ready });
    farm.leave("strong");
    assert_eq!(wait(&farm, "b"), away(BuilderState::Absent, None));
}

#[test]
fn what_broke_off_everywhere_says_why_it_is_tried_again() {
    let mut farm = open(&[builder("only", &[])]);
    farm.add(request("r", vec![node("a", &[], &[]), node("b", &[], &["a"])]));
    starts(&mut farm);
    farm.broke(&drv("a"), "the daemon hung up");
    assert_eq!(wait(&farm, "a"), Wait::Try { tries: 1, reason: Some("the daemon hung up".into()) });
    assert_eq!(wait(&farm, "b"), Wait::Dependency { drv: drv("a"), state: DependencyState::BackingOff });
}
