//! Incremental evaluation against full evaluation, for random package sets and random edits: the result is the same, always.
//!
//! `SNOWGATE_CASES` says how many random stories each property tells (few by default, for a build server), `SNOWGATE_SEED` where
//! they begin.

mod at_once;
mod bindings;
mod dice;
mod edits;
mod engine;
mod faults;
mod forest;
mod package_sets;
mod pitfalls;
mod stories;
mod trees;

use std::collections::BTreeSet;

use dice::Dice;
use engine::House;
use package_sets::Root;
use snowgate::domain::Attr;
use snowgate::eval::trace::{Known, Surveys, Tracing};

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// A generator that only makes what does not evaluate, or edits that change nothing, would prove nothing.
#[actix::test]
async fn random_sets_hold_every_kind_of_result_and_edits_change_some() {
    let house = House::open().await;
    let (mut attrs, mut derivations, mut changed, mut errors) = (0, 0, 0, BTreeSet::new());
    for seed in 1..13 {
        let dice = &mut Dice::new(seed);
        let (tree, root) = package_sets::package_set(dice);
        assert_eq!(package_sets::package_set(&mut Dice::new(seed)).0, tree);
        let before = house.full(&house.write(&tree), root).await.unwrap().evaluation.attrs;
        attrs += before.len();
        derivations += before.values().filter(|attr| matches!(attr, Attr::Derivation(_))).count();
        errors.extend(before.values().filter_map(|attr| match attr {
            Attr::Derivation(_) => None,
            Attr::Failed(error) => error.message.split(['\'', ':', '0']).next().map(str::to_owned),
        }));
        let mut edited = tree.clone();
        edits::edit(dice, &mut edited);
        assert_ne!(edited, tree);
        if let Ok(after) = house.full(&house.write(&edited), root).await {
            changed += after.evaluation.attrs.iter().filter(|(path, attr)| before.get(path) != Some(attr)).count();
        }
    }
    assert!(attrs > 150 && derivations * 2 > attrs, "{derivations} of {attrs}");
    assert!(changed > 10 && changed * 2 < attrs, "{changed} of {attrs}");
    assert!(errors.len() > 8, "{errors:?}");
}

/// What incremental evaluation relies on of Nix: an attribute's result does not depend on what its process evaluated before.
#[actix::test]
async fn an_attribute_alone_is_what_it_is_among_others() {
    let house = House::open().await;
    let first = number("SNOWGATE_SEED", 1);
    for seed in first..first + number("SNOWGATE_CASES", 2) {
        let dice = &mut Dice::new(seed);
        let (tree, root) = package_sets::package_set(dice);
        if root == Root::Flake {
            continue;
        }
        let id = house.write(&tree);
        let Ok(all) = house.full(&id, root).await else { continue };
        let all = all.evaluation.attrs;
        let checkout = house.worktrees.checkout(&house.repository, &id).await.unwrap();
        let mut tops: Vec<String> = all.keys().filter_map(|path| path.names().first().cloned()).collect();
        tops.dedup();
        for top in tops {
            let mut request = house.request(&id, &checkout, root);
            request.jobset.attrs = vec![snowgate::domain::AttrPath::new([top])];
            let alone =
                house.evaluator.evaluate(&request, None, std::sync::Arc::new(|_, _, _| {})).await.unwrap().evaluation.attrs;
            for (path, attr) in &alone {
                let Some(other) = all.get(path) else { continue };
                assert_eq!(attr, other, "{seed}: {path}");
            }
        }
    }
}

/// Whatever part of the truth is known, the rest is found, and the whole is the truth.
#[actix::test]
async fn what_is_known_takes_its_place_among_what_is_evaluated() {
    let house = House::open().await;
    let first = number("SNOWGATE_SEED", 1);
    for seed in first..first + number("SNOWGATE_CASES", 3) {
        let dice = &mut Dice::new(seed);
        let (mut tree, root) = package_sets::package_set(dice);
        edits::edit(dice, &mut tree);
        let id = house.write(&tree);
        let Ok(full) = house.full(&id, root).await else { continue };
        for _ in 0..3 {
            let share = dice.below(100);
            let found: std::collections::HashMap<_, _> =
                full.found.iter().filter(|_| dice.percent(share)).map(|(path, found)| (path.clone(), found.clone())).collect();
            let known = Known { dirty: full.found.len() - found.len(), dirty_millis: Some(1), full_millis: 1000, found };
            let again = house.evaluate(&id, root, Some(known)).await.unwrap();
            assert_eq!(again.evaluation.attrs, full.evaluation.attrs, "{seed}");
            assert_eq!(again.found, full.found, "{seed}");
        }
    }
}

#[actix::test]
async fn what_is_recorded_at_one_tree_is_true_at_another() {
    let house = House::open().await;
    let mut tally = stories::Tally::default();
    let first = number("SNOWGATE_SEED", 1);
    for seed in first..first + number("SNOWGATE_CASES", 5) {
        stories::tell(&house, seed, &mut tally).await;
        if seed % 50 == 0 {
            println!("{seed}: {tally:?}");
        }
    }
    println!("{tally:#?}");
    assert!(tally.reused * 3 > tally.results, "most results are reused: {tally:?}");
}

#[actix::test]
async fn a_file_of_many_bindings_is_read_binding_by_binding() {
    let house = House::open().await;
    let mut tally = stories::Tally::default();
    let first = number("SNOWGATE_SEED", 1);
    for seed in first..first + number("SNOWGATE_CASES", 4) {
        bindings::tell(&house, seed, &mut tally).await;
    }
    println!("{tally:#?}");
    assert!(tally.reused * 10 > tally.results, "some is reused though all of it comes from one file: {tally:?}");
    let (dirty, of) = bindings::one_value_alone(&house, first).await;
    println!("{dirty} of {of}");
    assert!(dirty * 4 < of * 3, "{dirty} of {of}");
}

#[actix::test]
async fn fifty_commits_are_followed() {
    let house = House::open().await;
    let mut tally = stories::Tally::default();
    let first = number("SNOWGATE_SEED", 1);
    for seed in first..first + number("SNOWGATE_CHAINS", 1) {
        stories::chain(&house, seed, 50, &mut tally).await;
        println!("{seed}: {tally:?}");
    }
}

#[actix::test]
async fn each_recorded_key_alone_dirties_who_read_it() {
    let house = House::open().await;
    let first = number("SNOWGATE_SEED", 1);
    let mut keys = 0;
    for seed in first..first + number("SNOWGATE_CASES", 2) {
        keys += stories::each_key_alone(&house, seed).await;
    }
    println!("{keys} keys");
    assert!(keys > 50);
}

/// Where a machine can't fork evaluators, or hear of what they read, or a file is not tracked by binding, or a recording is planned
/// after a survey, results are the same.
#[actix::test]
async fn each_fallback_is_as_true() {
    let house = House::open().await;
    let none = || "as a test has it".to_owned();
    let mut reused = Vec::new();
    for (evaluator, tracks, recorders) in [
        (house.evaluator.recording_by(Tracing::Chains(none())), true, 1),
        (house.evaluator.recording_by(Tracing::Chains(none())), false, 2),
        (house.evaluator.recording_by(Tracing::Off(none())), true, 1),
        (house.evaluator.clone(), false, 1),
        (house.evaluator.clone(), true, 3),
        (house.evaluator.surveying(Surveys::Always), true, 2),
    ] {
        let mut house = House::open().await;
        (house.evaluator, house.tracks, house.recorders) = (evaluator, tracks, recorders);
        let mut tally = stories::Tally::default();
        let first = number("SNOWGATE_SEED", 1);
        for seed in first..first + number("SNOWGATE_CASES", 2) {
            stories::tell(&house, seed, &mut tally).await;
            bindings::tell(&house, seed, &mut tally).await;
        }
        println!("{tracks} {recorders} {:?}: {tally:?}", house.evaluator.tracing().await);
        reused.push(tally.reused);
    }
    assert_eq!(reused.remove(2), 0, "what can't be recorded is not known");
    assert!(reused.iter().all(|reused| *reused > 0), "{reused:?}");
}
