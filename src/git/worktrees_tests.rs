//! The pool against real trees.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;
use crate::domain::TreeId;
use crate::git::fixture::Fixture;

/// What a directory holds: kind and content of each path.
fn contents(dir: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(at) = todo.pop() {
        for entry in std::fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let what = if metadata.is_symlink() {
                format!("-> {}", path.read_link().unwrap().display())
            } else if metadata.is_dir() {
                todo.push(path.clone());
                "directory".to_owned()
            } else {
                let executable = if metadata.permissions().mode() & 0o111 != 0 { "x " } else { "" };
                format!("{executable}{}", String::from_utf8_lossy(&std::fs::read(&path).unwrap()))
            };
            found.insert(path.strip_prefix(dir).unwrap().to_owned(), what);
        }
    }
    found
}

fn expect(dir: &Path, wanted: &[(&str, &str)]) {
    let wanted: BTreeMap<PathBuf, String> = wanted.iter().map(|(path, what)| (path.into(), (*what).to_owned())).collect();
    assert_eq!(contents(dir), wanted);
}

fn only_slot(fixture: &Fixture) -> Worktrees {
    Worktrees::open(&fixture.beside("trees"), 1).unwrap()
}

#[tokio::test]
async fn a_slot_holds_exactly_the_tree() {
    let fixture =
        Fixture::with(&[("dir/a", "1\n"), ("crlf", "1\r\n$Id$\n"), (".gitattributes", "* text eol=crlf ident filter=x\n")]);
    symlink("/outside", fixture.path().join("out")).unwrap();
    fixture.write("run", "run");
    std::fs::set_permissions(fixture.path().join("run"), std::fs::Permissions::from_mode(0o755)).unwrap();
    fixture.git(&["-c", "core.autocrlf=false", "-c", "core.attributesFile=/dev/null", "add", "--all"]);
    fixture.git(&["update-index", "--add", "--cacheinfo", "160000,0123456789012345678901234567890123456789,sub"]);
    fixture.git(&["commit", "-q", "-m", "second"]);
    let repository = fixture.open().await;
    let tree = fixture.tree("HEAD");
    let stored = String::from_utf8(repository.read_file(&tree, "crlf").await.unwrap().unwrap()).unwrap();
    let checkout = only_slot(&fixture).checkout(&repository, &tree).await.unwrap();
    expect(
        &checkout,
        &[
            (".gitattributes", "* text eol=crlf ident filter=x\n"),
            ("crlf", &stored),
            ("dir", "directory"),
            ("dir/a", "1\n"),
            ("out", "-> /outside"),
            ("run", "x run"),
            ("sub", "directory"),
        ],
    );
}

/// Whatever `.gitattributes`, the repository's and the user's configuration say, and whatever was there before.
#[tokio::test]
async fn attributes_and_configuration_convert_nothing() {
    let fixture = Fixture::new();
    let marker = fixture.beside("the filter ran");
    for setting in [
        &["core.autocrlf", "true"][..],
        &["core.eol", "crlf"],
        &["core.safecrlf", "true"],
        &["filter.x.clean", "cat"],
        &["filter.x.smudge", &format!("touch '{}'; tr a-z A-Z", marker.display())],
        &["filter.x.required", "true"],
    ] {
        fixture.git(&[&["config"], setting].concat());
    }
    let bytes = "one\r\ntwo\n$Id$ $Id: 0123 $\n\u{e9}\n";
    let files = ["eol", "auto", "ident", "filter", "encoding", "ignored", "macro", "dir/nested", "run"];
    fixture.write("../raw", bytes);
    let blob = fixture.git(&["hash-object", "-w", "--no-filters", "../raw"]);
    let as_it_is =
        |mode: &str, path: &str| fixture.git(&["update-index", "--add", "--cacheinfo", &format!("{mode},{blob},{path}")]);
    for file in files {
        as_it_is(if file == "run" { "100755" } else { "100644" }, file);
    }
    let commit = |attributes: [&str; 2]| {
        for (path, text) in [".gitattributes", "dir/.gitattributes"].into_iter().zip(attributes) {
            fixture.write("../raw", text);
            let blob = fixture.git(&["hash-object", "-w", "--no-filters", "../raw"]);
            fixture.git(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},{path}")]);
        }
        fixture.git(&["commit", "-q", "-m", "attributes"]);
        fixture.tree("HEAD")
    };
    let converting = [
        "[attr]twisted text eol=crlf ident filter=x\neol text eol=crlf\nauto text=auto\nident ident\nfilter filter=x\n\
         encoding text working-tree-encoding=UTF-16\nignored export-ignore export-subst\nmacro twisted\nrun filter=x eol=lf text\n",
        "* text eol=crlf ident working-tree-encoding=UTF-16 filter=x\n",
    ];
    let trees = [commit(converting), commit(["", ""]), commit(["* -text\n", "* eol=crlf\n"]), commit(converting)];
    let (repository, slots) = (fixture.open().await, only_slot(&fixture));
    let (first, second) = (slots.checkout(&repository, &trees[0]).await.unwrap().to_owned(), &trees[1..]);
    let holds = |when: &str| {
        for file in files {
            let found = std::fs::read(first.join(file)).unwrap();
            assert_eq!(found, bytes.as_bytes(), "{file}, {when}");
        }
        assert_ne!(first.join("run").metadata().unwrap().permissions().mode() & 0o111, 0);
    };
    holds("at first");
    for tree in second {
        slots.checkout(&repository, tree).await.unwrap();
        holds("in a slot that held other attributes");
    }
    assert!(!marker.exists(), "a filter of the user's ran");
}

#[tokio::test]
async fn a_slot_goes_from_tree_to_tree_by_what_differs() {
    let fixture = Fixture::with(&[("same", "1"), ("changes", "1"), ("becomes-dir", "1"), ("bit", "1")]);
    let outside = fixture.beside("outside");
    std::fs::create_dir(&outside).unwrap();
    symlink(&outside, fixture.path().join("becomes-real")).unwrap();
    fixture.commit("link", &[]);
    let first = fixture.tree("HEAD");
    std::fs::remove_file(fixture.path().join("becomes-real")).unwrap();
    std::fs::remove_file(fixture.path().join("becomes-dir")).unwrap();
    std::fs::set_permissions(fixture.path().join("bit"), std::fs::Permissions::from_mode(0o755)).unwrap();
    fixture.commit("second", &[("changes", "2"), ("becomes-dir/x", "2"), ("becomes-real/x", "2")]);
    let second = fixture.tree("HEAD");

    let (repository, trees) = (fixture.open().await, only_slot(&fixture));
    let checkout = trees.checkout(&repository, &first).await.unwrap();
    let (place, inode) = (checkout.to_owned(), checkout.join("same").metadata().unwrap().ino());
    // what somebody left there or damaged goes
    std::fs::write(checkout.join("left behind"), "x").unwrap();
    std::fs::create_dir_all(checkout.join("empty/.git")).unwrap();
    std::fs::write(checkout.join("changes"), "damaged").unwrap();
    drop(checkout);
    let checkout = trees.checkout(&repository, &second).await.unwrap();
    assert_eq!(&*checkout, place);
    assert_eq!(checkout.join("same").metadata().unwrap().ino(), inode, "an unchanged file was written again");
    expect(
        &checkout,
        &[
            ("same", "1"),
            ("changes", "2"),
            ("becomes-dir", "directory"),
            ("becomes-dir/x", "2"),
            ("becomes-real", "directory"),
            ("becomes-real/x", "2"),
            ("bit", "x 1"),
        ],
    );
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0, "git wrote through a symbolic link");
}

#[tokio::test]
async fn a_slot_that_was_killed_half_way_is_emptied() {
    let fixture = Fixture::with(&[("a", "1"), ("b", "1")]);
    let (repository, tree) = (fixture.open().await, fixture.tree("HEAD"));
    let place = only_slot(&fixture).checkout(&repository, &tree).await.unwrap().to_owned();
    // as a kill leaves it: no record of what it holds, git's lock, half of the files, and a directory on its way out
    std::fs::remove_file(place.join("../holds")).unwrap();
    std::fs::write(place.join("../index.lock"), "").unwrap();
    std::fs::remove_file(place.join("a")).unwrap();
    std::fs::write(place.join("b"), "half").unwrap();
    std::fs::write(place.join("c"), "never in the tree").unwrap();
    std::fs::create_dir_all(fixture.beside("trees/rubbish-1/slot")).unwrap();
    let trees = only_slot(&fixture);
    let checkout = trees.checkout(&repository, &tree).await.unwrap();
    expect(&checkout, &[("a", "1"), ("b", "1")]);
    assert_eq!(std::fs::read_dir(fixture.beside("trees")).unwrap().count(), 1);
}

#[tokio::test]
async fn a_damaged_index_costs_a_full_checkout_and_nothing_else() {
    let fixture = Fixture::with(&[("a", "1")]);
    let (repository, trees, tree) = (fixture.open().await, only_slot(&fixture), fixture.tree("HEAD"));
    let place = trees.checkout(&repository, &tree).await.unwrap().to_owned();
    std::fs::write(place.join("../index"), "not an index").unwrap();
    expect(&trees.checkout(&repository, &tree).await.unwrap(), &[("a", "1")]);
}

#[tokio::test]
async fn a_checkout_that_is_given_up_frees_its_slot() {
    let fixture = Fixture::with(&[("a", "1")]);
    let (repository, trees, tree) = (fixture.open().await, only_slot(&fixture), fixture.tree("HEAD"));
    let mut abandoned = Box::pin(trees.checkout(&repository, &tree));
    // one step: the slot is taken, its filling has begun
    assert!(futures_util::poll!(&mut abandoned).is_pending());
    drop(abandoned);
    expect(&trees.checkout(&repository, &tree).await.unwrap(), &[("a", "1")]);
    let absent: TreeId = "0123456789012345678901234567890123456789".parse().unwrap();
    assert!(trees.checkout(&repository, &absent).await.is_err());
    expect(&trees.checkout(&repository, &tree).await.unwrap(), &[("a", "1")]);
}

#[tokio::test]
async fn who_comes_when_all_slots_are_taken_waits() {
    let fixture = Fixture::with(&[("a", "1")]);
    let (repository, trees, tree) =
        (fixture.open().await, Worktrees::open(&fixture.beside("trees"), 2).unwrap(), fixture.tree("HEAD"));
    let first = trees.checkout(&repository, &tree).await.unwrap();
    let second = trees.checkout(&repository, &tree).await.unwrap();
    assert_ne!(&*first, &*second);
    let mut third = Box::pin(trees.checkout(&repository, &tree));
    assert!(futures_util::poll!(&mut third).is_pending());
    let freed = first.to_owned();
    drop(first);
    assert_eq!(&*third.await.unwrap(), freed);
}

#[tokio::test]
async fn the_slot_that_needs_least_work_is_taken() {
    let one = Fixture::with(&[("a", "1")]);
    let two = Fixture::with(&[("b", "2")]);
    let trees = Worktrees::open(&one.beside("trees"), 2).unwrap();
    let (first, second) = (one.open().await, two.open().await);
    let place = trees.checkout(&first, &one.tree("HEAD")).await.unwrap().to_owned();
    let other = trees.checkout(&second, &two.tree("HEAD")).await.unwrap().to_owned();
    assert_ne!(place, other, "an empty slot is better than another repository's");
    one.commit("more", &[("a", "2")]);
    assert_eq!(&*trees.checkout(&first, &one.tree("HEAD")).await.unwrap(), place);
    // what is where is known after a restart as well
    drop(trees);
    let trees = Worktrees::open(&one.beside("trees"), 2).unwrap();
    assert_eq!(&*trees.checkout(&second, &two.tree("HEAD")).await.unwrap(), other);
}
