//! Trace sets alone, held against a world that is a table: attributes are small programs that read some keys, and which they read next
//! depends on what they read. Recorded in random forests, in random parts, advanced along random changes: what a set says it knows is
//! true.

use std::collections::{BTreeMap, BTreeSet};

use snowgate::domain::{Attr, AttrPath, EvalError, TreeId};
use snowgate::eval::Found;
use snowgate::eval::trace::{Changes, Fragment, FragmentNode, Key, TraceSet};

use super::dice::Dice;

const KEYS: usize = 30;
const NAMES: usize = 24;

/// The value of each key.
type World = Vec<u64>;

fn key(index: usize) -> Key {
    match index % 3 {
        0 => Key::Stat(format!("p{index}")),
        1 => Key::Content(format!("p{index}")),
        _ => Key::Binding("all.nix".into(), format!("b{index}")),
    }
}

/// What an attribute is in a world, and the keys that it reads.
fn evaluate(world: &World, name: usize) -> (Found, Vec<usize>) {
    let mut state = Dice::new(name as u64);
    let mut read = Vec::new();
    let mut seen = name as u64;
    for _ in 0..1 + state.below(6) {
        let at = Dice::new(seen ^ state.roll()).below(KEYS);
        read.push(at);
        seen = Dice::new(seen.wrapping_mul(31) ^ world[at]).roll();
    }
    let found = match seen % 5 {
        0 => Found::Nothing,
        1 => Found::Set(vec![format!("s{}", seen % 100)]),
        _ => Found::Value(Attr::Failed(EvalError { message: seen.to_string(), position: None })),
    };
    (found, read)
}

fn path(name: usize) -> AttrPath {
    AttrPath::new([format!("n{name}")])
}

/// Which attributes there are is read as well.
fn names(world: &World) -> Vec<usize> {
    (0..NAMES).filter(|name| (world[0] >> name) & 1 == 0).collect()
}

fn full(world: &World) -> BTreeMap<AttrPath, Found> {
    let names = names(world);
    let root = Found::Set(names.iter().map(|name| format!("n{name}")).collect());
    names.iter().map(|name| (path(*name), evaluate(world, *name).0)).chain([(AttrPath::root(), root)]).collect()
}

/// A process that evaluates some attributes, in which others are forked.
fn record(
    dice: &mut Dice,
    world: &World,
    mut items: Vec<usize>,
    above: Option<usize>,
    known: &BTreeSet<usize>,
    into: &mut Fragment,
) {
    let mut node = above;
    let mut known = known.clone();
    while let Some(item) = items.pop() {
        if dice.percent(35) && !items.is_empty() {
            let at = dice.below(items.len());
            let mut forked = items.split_off(at);
            forked.push(item);
            record(dice, world, forked, node, &known, into);
            continue;
        }
        let (found, read) = evaluate(world, item);
        let own: BTreeSet<usize> = read.into_iter().filter(|key| known.insert(*key)).collect();
        if node.is_none() || !own.is_empty() {
            into.nodes.push(FragmentNode { parent: node, own: own.into_iter().map(key).collect(), millis: dice.below(9) as u32 });
            node = Some(into.nodes.len() - 1);
        }
        // a recording that came to something else than the plain evaluation
        let found = if dice.percent(4) { Found::Set(vec!["otherwise".into()]) } else { found };
        into.items.push((path(item), found, node.unwrap_or(0)));
    }
}

fn record_root(world: &World) -> Fragment {
    let names = names(world).iter().map(|name| format!("n{name}")).collect();
    Fragment {
        nodes: vec![FragmentNode { parent: None, own: vec![key(0)], millis: 1 }],
        items: vec![(AttrPath::root(), Found::Set(names), 0)],
    }
}

fn change(dice: &mut Dice, world: &World) -> World {
    let mut changed = world.clone();
    for _ in 0..dice.below(4) {
        let at = if dice.percent(10) { 0 } else { 1 + dice.below(KEYS - 1) };
        changed[at] = if at == 0 { dice.roll() & dice.roll() & dice.roll() } else { dice.below(3) as u64 };
    }
    changed
}

fn changes(from: &World, to: &World) -> Changes {
    Changes { keys: (0..KEYS).filter(|index| from[*index] != to[*index]).map(key).collect() }
}

fn tree(number: usize) -> TreeId {
    format!("{number:040x}").parse().unwrap()
}

fn check(set: &TraceSet, from: &World, to: &World, story: &str) {
    let truth = full(to);
    let known = set.known(&changes(from, to));
    for (path, found) in &known.found {
        // one that is gone is asked for by nobody, since the root's names are a result too
        if let Some(true_one) = truth.get(path) {
            assert_eq!(found, true_one, "{story}: {path}");
        } else {
            assert!(!known.found.contains_key(&AttrPath::root()), "{story}: {path} is gone and the root is known");
        }
    }
    assert_eq!(known.dirty + known.found.len(), set.results.len(), "{story}");
}

#[test]
fn what_a_set_knows_is_true() {
    for seed in 0..super::number("SNOWGATE_CASES", 300) {
        let dice = &mut Dice::new(seed);
        let mut world: World = (0..KEYS).map(|_| dice.below(3) as u64).collect();
        world[0] = 0;
        let mut set = TraceSet::new(tree(0), full(&world), 100);
        for step in 1..25 {
            let story = format!("seed {seed}, step {step}");
            let untraced: Vec<usize> =
                names(&world).into_iter().filter(|name| !set.is_traced(&set.results[&path(*name)])).collect();
            for part in untraced.chunks(1 + dice.below(12)) {
                if dice.percent(25) {
                    continue;
                }
                let mut fragment = Fragment::default();
                record(dice, &world, part.to_vec(), None, &BTreeSet::new(), &mut fragment);
                for path in set.graft(fragment) {
                    assert!(!set.is_traced(&set.results[&path]), "{story}");
                }
            }
            if dice.percent(70) {
                set.graft(record_root(&world));
            }
            if dice.percent(50) {
                let before = set.known(&Changes::default());
                set.compact();
                let after = set.known(&Changes::default());
                assert_eq!(before.found, after.found, "{story}");
            }
            assert_eq!(set.known(&Changes::default()).dirty, set.untraced(), "{story}");
            // any tree, not the next one alone
            for _ in 0..3 {
                let elsewhere = change(dice, &world);
                check(&set, &world, &elsewhere, &story);
            }
            let next = change(dice, &world);
            check(&set, &world, &next, &story);
            set = set.advance(tree(step), &changes(&world, &next), full(&next));
            world = next;
        }
    }
}
