//! The sample as git and Nix see it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use super::*;
use crate::git::Repository;

#[test]
fn every_file_of_the_sample_is_carried() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/demo_sample");
    for (name, files) in [
        ("base", files::BASE),
        ("branches/libtls", files::LIBTLS),
        ("branches/quill", files::QUILL),
        ("branches/tidy", files::TIDY),
        ("branches/docs", files::DOCS),
    ] {
        let (root, mut found) = (folder.join(name), BTreeSet::new());
        let mut todo = vec![root.clone()];
        while let Some(at) = todo.pop() {
            for entry in std::fs::read_dir(at).unwrap() {
                let path: PathBuf = entry.unwrap().path();
                if path.is_dir() {
                    todo.push(path);
                } else {
                    found.insert(path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        assert_eq!(files.iter().map(|(path, _)| (*path).to_owned()).collect::<BTreeSet<_>>(), found, "{name}");
    }
}

async fn written(dir: &Path) -> Repository {
    write(&dir.join("fjell")).await.unwrap();
    Repository::open(&dir.join("fjell"), &dir.join("scratch")).await.unwrap()
}

#[tokio::test]
async fn the_sample_is_the_same_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let repository = written(dir.path()).await;
    let branches = repository.branches().await.unwrap();
    assert_eq!(branches.keys().map(String::as_str).collect::<BTreeSet<_>>(), BRANCHES.into_iter().chain([MAIN]).collect());
    let again = dir.path().join("again");
    write(&again).await.unwrap();
    assert_eq!(Repository::open(&again, &dir.path().join("scratch")).await.unwrap().branches().await.unwrap(), branches);
    assert!(dir.path().join("fjell/pkgs/2048/default.nix").is_file(), "main is checked out");
    let said = format!("{:#}", write(&again).await.unwrap_err());
    assert!(said.ends_with("again is not empty"), "{said}");
    for branch in BRANCHES {
        let merge = repository.merge(&branches[MAIN], &branches[branch]).await.unwrap();
        assert!(merge.tree.is_some(), "{branch} conflicts in {:?}", merge.conflicts);
    }
}

/// Attribute -> derivation of a revision, as `nix-instantiate` sees it; what throws is left out.
fn evaluate(dir: &Path, rev: &str) -> BTreeMap<String, String> {
    let tree = tempfile::tempdir().unwrap();
    let archive = Command::new("git").current_dir(dir.join("fjell")).args(["archive", rev]).output().unwrap();
    std::fs::write(tree.path().join("tar"), archive.stdout).unwrap();
    let unpacked = Command::new("tar").current_dir(tree.path()).args(["-xf", "tar"]).status().unwrap();
    assert!(unpacked.success());
    let expression = "set: let
        one = name: let try = builtins.tryEval set.${name}; in if try.success then walk name try.value else [ ];
        walk = name: value:
          if value.type or null == \"derivation\" then
            assert builtins.all (field: value.meta ? ${field}) [ \"description\" \"license\" \"maintainers\" ];
            [ { inherit name; value = value.drvPath; } ]
          else if value.recurseForDerivations or false then
            builtins.concatMap (inner: walk \"${name}.${inner}\" value.${inner}) (builtins.attrNames (removeAttrs value [ \"recurseForDerivations\" ]))
          else [ ];
        in builtins.listToAttrs (builtins.concatMap one (builtins.attrNames set))";
    let nix = Command::new("nix-instantiate")
        .args(["--eval", "--strict", "--json", "--store", "dummy://", "--expr"])
        .arg(format!("({expression}) (import {}/default.nix {{ system = \"x86_64-linux\"; }})", tree.path().display()))
        .output()
        .unwrap();
    assert!(nix.status.success(), "{}", String::from_utf8_lossy(&nix.stderr));
    serde_json::from_slice(&nix.stdout).unwrap()
}

#[tokio::test]
async fn each_branch_changes_what_it_says() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path()).await;
    let main = evaluate(dir.path(), MAIN);
    assert!((60..=70).contains(&main.len()), "{} packages", main.len());
    let differing = |rev: &str| -> BTreeSet<String> {
        let head = evaluate(dir.path(), rev);
        let names: BTreeSet<&String> = main.keys().chain(head.keys()).collect();
        names.into_iter().filter(|name| main.get(*name) != head.get(*name)).cloned().collect()
    };
    let [libtls, quill, tidy, docs] = BRANCHES;
    let changed = differing(libtls);
    assert!(changed.len() > 25 && changed.contains("lanternPackages.json.schema") && !changed.contains("quill"), "{changed:?}");
    assert_eq!(differing(quill), ["quill", "quill-themes"].map(String::from).into());
    assert_eq!(differing(tidy), ["fingerd", "proverbs", "tablefmt", "tables"].map(String::from).into());
    assert_eq!(differing(docs), BTreeSet::new());
    let head = evaluate(dir.path(), tidy);
    assert_eq!(head["tablefmt"], main["tables"], "a rename builds nothing");
}

#[test]
fn the_sample_says_how_it_is_read() {
    let (_, text) = files::BASE.iter().find(|(path, _)| *path == "snowgate.toml").unwrap();
    let configuration = crate::config::repository::parse(text).unwrap();
    assert_eq!(configuration.jobsets.len(), 1);
}
