//! Results as properties are tested with, and sets as large as real ones.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::domain::{Attr, AttrPath, DrvPath, EvalError, Job, OutputName, Position, StorePath, System};
use crate::eval::frontier::Found;

fn hash() -> impl Strategy<Value = String> {
    "[0-9a-df-np-sv-z]{32}"
}

fn store_path(name: impl Strategy<Value = String>) -> impl Strategy<Value = StorePath> {
    (prop_oneof![9 => Just("/nix/store"), 1 => Just("/elsewhere"), 1 => Just("")], hash(), name)
        .prop_map(|(dir, hash, name)| format!("{dir}/{hash}-{name}").parse().unwrap())
}

fn outputs(name: String) -> impl Strategy<Value = BTreeMap<OutputName, Option<StorePath>>> {
    let output = |output: &'static str| {
        let usual = if output == "out" { name.clone() } else { format!("{name}-{output}") };
        let path = prop_oneof![6 => store_path(Just(usual)), 1 => store_path("[a-z.+?=_-]{1,9}".boxed())];
        (Just(OutputName::from(output)), prop::option::weighted(0.9, path))
    };
    let one_of = prop_oneof![output("out").boxed(), output("dev").boxed(), output("").boxed(), output("lib").boxed()];
    prop::collection::vec(one_of, 0..4).prop_map(|outputs| outputs.into_iter().collect())
}

fn job() -> impl Strategy<Value = Job> {
    prop_oneof!["[a-c]{1,2}-[0-9]", "[a-zA-Z.+?=_-]{1,20}"].prop_flat_map(|name| {
        let drv = store_path(Just(format!("{name}.drv"))).prop_map(|path| DrvPath::try_from(path).unwrap());
        let system = prop_oneof![Just(System::from("x86_64-linux")), ".{0,4}".prop_map(System::new)];
        (drv, outputs(name), system).prop_map(|(drv, outputs, system)| Job { drv, outputs, system })
    })
}

fn error() -> impl Strategy<Value = EvalError> {
    let position = (".{0,9}", any::<u32>(), any::<u32>()).prop_map(|(file, line, column)| Position { file, line, column });
    (".{0,30}", prop::option::of(position)).prop_map(|(message, position)| EvalError { message, position })
}

pub fn path() -> impl Strategy<Value = AttrPath> {
    prop::collection::vec(prop_oneof!["[a-d]", ".{0,3}"], 0..4).prop_map(AttrPath::new)
}

pub fn found() -> impl Strategy<Value = Found> {
    prop_oneof![
        Just(Found::Nothing),
        prop::collection::vec(prop_oneof!["[a-d]", ".{0,3}"], 0..5).prop_map(Found::Set),
        job().prop_map(|job| Found::Value(Attr::Derivation(job))),
        error().prop_map(|error| Found::Value(Attr::Failed(error))),
    ]
}

/// Of few distinct results, so that the same job stands at several places.
pub fn results() -> impl Strategy<Value = BTreeMap<AttrPath, Found>> {
    prop::collection::vec(found(), 1..8)
        .prop_flat_map(|few| prop::collection::btree_map(path(), prop::sample::select(few), 0..20))
}

/// A derivation's hash: as random as a real one, the same for the same words.
pub fn hash_of(words: &str) -> String {
    use sha2::Digest;
    const DIGITS: &[u8] = b"0123456789abcdfghijklmnpqrsvwxyz";
    sha2::Sha256::digest(words).iter().map(|byte| char::from(DIGITS[usize::from(byte & 31)])).collect()
}

/// `count` packages in sets of their own and at the root, with outputs and errors as real ones have them. A package of another `age`
/// has other hashes.
pub fn large(count: usize, age: impl Fn(usize) -> u32) -> BTreeMap<AttrPath, Found> {
    let mut results = BTreeMap::new();
    let mut names: BTreeMap<AttrPath, Vec<String>> = BTreeMap::new();
    for number in 0..count {
        let package = format!("package-{number:06}");
        let set = if number % 2 == 0 { AttrPath::root() } else { AttrPath::new([format!("set{}Packages", number % 7)]) };
        let name = format!("{package}-1.{}", number % 13);
        let store = |what: &str, name: &str| -> StorePath {
            format!("/nix/store/{}-{name}", hash_of(&format!("{what} {number} {}", age(number)))).parse().unwrap()
        };
        let outputs: &[&str] = if number % 3 == 0 { &["out", "dev"] } else { &["out"] };
        let outputs = outputs.iter().map(|output| {
            let name = if *output == "out" { name.clone() } else { format!("{name}-{output}") };
            (OutputName::from(*output), Some(store(output, &name)))
        });
        let drv = DrvPath::try_from(store("drv", &format!("{name}.drv"))).unwrap();
        let job = Job { drv, outputs: outputs.collect(), system: "x86_64-linux".into() };
        let found = match number % 25 {
            0 => Found::Value(Attr::Failed(EvalError {
                message: format!("Package ‘{name}’ in pkgs/{package}.nix:3 has an unfree license, refusing to evaluate."),
                position: None,
            })),
            _ => Found::Value(Attr::Derivation(job)),
        };
        names.entry(set.clone()).or_default().push(package.clone());
        results.insert(set.child(package), found);
    }
    for (set, mut children) in names {
        children.sort();
        results.insert(set, Found::Set(children));
    }
    results
}
