//! Several evaluations at once, several systems, arguments, many attributes, the whole program.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::dice::Dice;
use super::engine::{House, snowgate};
use super::package_sets::{Root, package_set};
use super::stories::{Tally, lie};
use super::trees::{Entry, Repo, Tree};
use super::{edits, number};

#[actix::test]
async fn two_worktrees_are_recorded_and_evaluated_at_once() {
    let house = House::open().await;
    let dice = &mut Dice::new(40);
    let (one, root) = package_set(dice);
    let mut other = one.clone();
    while other == one || house.full(&house.write(&other), root).await.is_err() {
        other = one.clone();
        edits::edit(dice, &mut other);
    }
    let (first, second) = (house.write(&one), house.write(&other));
    let (a, b, full) = tokio::join!(house.trace(&first, root), house.trace(&second, root), house.full(&second, root));
    let (a, b, full) = (a.unwrap(), b.unwrap(), full.unwrap());
    assert_eq!((a.otherwise, b.otherwise.clone()), (vec![], vec![]));
    let (from_a, from_b) = tokio::join!(house.known(&a.set, &second), house.known(&b.set, &second));
    let (again, whole) = tokio::join!(house.evaluate(&second, root, Some(from_a)), house.evaluate(&second, root, Some(from_b)));
    assert_eq!(again.unwrap().found, full.found);
    assert_eq!(whole.unwrap().found, full.found);
}

#[actix::test]
async fn a_hundred_thousand_attributes_are_recorded_and_one_file_dirties_few() {
    let house = House::open().await;
    let count = number("SNOWGATE_ATTRIBUTES", 100_000);
    let source = format!(
        r#"let
  d = derivation {{ name = "d"; system = "x86_64-linux"; builder = "/bin/sh"; }};
  read = n: derivation {{ name = "read"; system = "x86_64-linux"; builder = "/bin/sh"; v = builtins.readFile (./files + "/${{n}}"); }};
in
builtins.listToAttrs (builtins.genList (n: {{ name = "a${{toString n}}"; value = d; }}) {count})
// builtins.mapAttrs (n: _: read n) (builtins.readDir ./files)
"#
    );
    let mut tree = Tree::default();
    tree.put("default.nix", Entry::file(source));
    for n in 0..40 {
        tree.put(&format!("files/f{n}"), Entry::file(format!("{n}")));
    }
    let id = house.write(&tree);
    let started = std::time::Instant::now();
    let full = house.full(&id, Root::File).await.unwrap();
    assert_eq!(full.evaluation.attrs.len() as u64, count + 40);
    let evaluated = started.elapsed();
    let set = snowgate::eval::trace::TraceSet::new(id.clone(), full.found, 1000);
    let started = std::time::Instant::now();
    let recording = house.record(&id, Root::File, set).await.unwrap();
    println!(
        "evaluated in {evaluated:?}, recorded in {:?}: {:?}, {} nodes",
        started.elapsed(),
        recording.recorded,
        recording.set.nodes.len()
    );
    assert_eq!((recording.set.untraced(), recording.otherwise.len()), (0, 0));
    let mut to = tree.clone();
    to.put("files/f7", Entry::file("seven"));
    let mut tally = Tally::default();
    assert_eq!(lie(&house, &recording.set, &to, Root::File, &mut tally).await, None);
    println!("{tally:?}, {:?}", started.elapsed());
    assert!(tally.reused as u64 > count * 9 / 10, "{tally:?}");
}

/// What a reviewer sees, without what differs from run to run.
fn report(repository: &Path, state: &Path, base: usize, head: usize, more: &[&str]) -> (i32, Value) {
    let json = state.with_extension("json");
    drop(std::fs::remove_file(&json));
    let output = Command::new(snowgate())
        .arg("review")
        .arg(repository)
        .args(["--base", &format!("t{base}"), "--head", &format!("t{head}"), "--no-merge", "--no-build", "--file", "default.nix"])
        .arg("--state")
        .arg(state)
        .arg("--json")
        .arg(&json)
        .args(more)
        .output()
        .unwrap();
    let status = output.status.code().unwrap_or(-1);
    let Ok(text) = std::fs::read(&json) else {
        return (status, Value::String(String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned()));
    };
    let mut report: Value = serde_json::from_slice(&text).unwrap();
    let object = report.as_object_mut().unwrap();
    let reused = object["evaluations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|evaluation| evaluation["attrs_reused"].as_u64().unwrap())
        .sum::<u64>();
    for name in ["id", "created_at", "evaluations", "timings"] {
        object.shift_remove(name);
    }
    println!("{base} to {head} {more:?}: status {status}, {reused} reused");
    (status, report)
}

#[actix::test]
async fn reviews_say_the_same_with_traces_and_without() {
    let directory = tempfile::tempdir().unwrap();
    let repo = Repo::new(&directory.path().join("repo.git"));
    let dice = &mut Dice::new(number("SNOWGATE_SEED", 77));
    let (mut tree, _) = package_set(dice);
    let mut trees = vec![tree.clone()];
    for _ in 0..number("SNOWGATE_CASES", 4) {
        edits::edit(dice, &mut tree);
        trees.push(tree.clone());
        if dice.percent(40) {
            tree = trees[dice.below(trees.len())].clone();
        }
    }
    repo.write(&trees.iter().collect::<Vec<_>>());
    let (traced, full) = (directory.path().join("traced"), directory.path().join("full"));
    let variants: [&[&str]; 4] = [
        &[],
        &["--argstr", "variant", "other"],
        &["--system", "aarch64-linux", "--system", "x86_64-linux"],
        &["--force-recurse"],
    ];
    for head in 1..trees.len() {
        let base = dice.below(head);
        let variant = variants[dice.below(variants.len())];
        let with = report(&repo.path, &traced, base, head, &[variant, &["--trace"]].concat());
        let without = report(&repo.path, &full, base, head, &[variant, &["--full-eval"]].concat());
        assert_eq!(
            with,
            without,
            "from {base} to {head} with {variant:?}:\n{}",
            super::trees::difference(&trees[base], &trees[head])
        );
        // what is known now is known without being asked to trace
        let again = report(&repo.path, &traced, base, head, variant);
        assert_eq!(again, without, "from {base} to {head} again");
    }
}
