//! Recording against real Nix: what each attribute is found to have read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use snowgate::config::repository::{Jobset, JobsetSource};
use snowgate::domain::{AttrPath, System};
use snowgate::eval::trace::{Always, Fragment, Key, Recorded, TraceSet};
use snowgate::eval::{Evaluator, Limits, Request};
use tokio::sync::mpsc;

const LIMITS: Limits = Limits { memory_bytes: 4 << 30, seconds_per_attribute: 20 };

struct Tree {
    directory: tempfile::TempDir,
}

impl Tree {
    fn new(default_nix: &str) -> Self {
        let tree = Self { directory: tempfile::tempdir().unwrap() };
        tree.file("default.nix", default_nix)
    }

    fn file(self, path: &str, text: &str) -> Self {
        let path = self.checkout().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    fn checkout(&self) -> PathBuf {
        self.directory.path().join("tree")
    }

    /// Evaluates, records and grafts.
    async fn recorded(&self) -> (TraceSet, Recorded) {
        recorded(&evaluator(self.directory.path(), LIMITS), &request(&self.checkout())).await
    }
}

fn request(checkout: &Path) -> Request {
    Request {
        tree: "4b825dc642cb6eb9a060e54bf8d69288fbee4904".parse().unwrap(),
        checkout: checkout.into(),
        jobset: Jobset {
            name: "default".into(),
            source: JobsetSource::File("default.nix".into()),
            attrs: vec![],
            systems: vec![],
            args: BTreeMap::new(),
            argstrs: BTreeMap::new(),
            force_recurse: false,
        },
        system: System::new("x86_64-linux"),
        options: BTreeMap::new(),
        workers: std::env::var("WORKERS").ok().and_then(|text| text.parse().ok()).unwrap_or(1),
    }
}

fn evaluator(directory: &Path, limits: Limits) -> Evaluator {
    Evaluator::open(PathBuf::from(env!("CARGO_BIN_EXE_snowgate")), &nix(), directory.join("evaluator"), limits, 2).unwrap()
}

fn nix() -> PathBuf {
    std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .map(|directory| directory.join("nix"))
        .find(|nix| nix.exists())
        .expect("nix on PATH")
}

async fn recorded(evaluator: &Evaluator, request: &Request) -> (TraceSet, Recorded) {
    let evaluated = evaluator.evaluate(request, None, Arc::new(|_, _, _| {})).await.unwrap();
    eprintln!("evaluated: {:?}", evaluated.evaluation.stats);
    let mut set = TraceSet::new(request.tree.clone(), evaluated.found, 1);
    let (sender, mut receiver) = mpsc::unbounded_channel::<Fragment>();
    let recorded = evaluator.record(request, &set, &Always, sender).await.unwrap();
    let mut otherwise = Vec::new();
    while let Some(fragment) = receiver.recv().await {
        otherwise.extend(set.graft(fragment));
    }
    assert_eq!(otherwise, [], "recorded otherwise than evaluated");
    (set, recorded)
}

/// What an attribute read, in order of the names.
fn reads(set: &TraceSet, attr: &str) -> Option<Vec<String>> {
    let path: AttrPath = if attr.is_empty() { AttrPath::root() } else { attr.parse().unwrap() };
    let mut keys = Vec::new();
    let mut at = Some(set.results[&path].node?);
    while let Some(node) = at {
        let node = &set.nodes[node as usize];
        keys.extend(node.own.iter().map(|key| &set.keys[*key as usize]));
        at = node.parent;
    }
    keys.sort();
    Some(keys.into_iter().map(|key| format!("{key:?}").replace('"', "")).collect())
}

const PRELUDE: &str = r#"let d = name: derivation { inherit name; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo > $out" ]; }; in "#;

#[actix::test]
async fn each_attribute_has_its_reads_and_no_others() {
    let tree = Tree::new(&format!(
        r#"{PRELUDE} rec {{
            a = d (import ./a.nix);
            b = d (builtins.readFile ./dir/b);
            c = derivation {{ name = "c"; system = "x"; builder = "/bin/sh"; inherit a; absent = builtins.pathExists ./dir/absent; }};
            list = d (toString (builtins.attrNames (builtins.readDir ./dir)));
            src = derivation {{ name = "src"; system = "x"; builder = "/bin/sh"; src = ./src; }};
            error = abort (import ./a.nix);
            infinite = let x = x; in x;
            nothing = 1;
            set = {{ recurseForDerivations = import ./true.nix; x = d (import ./a.nix); }};
        }}"#
    ))
    .file("a.nix", "\"a\"")
    .file("true.nix", "true")
    .file("dir/b", "b")
    .file("src/x/y", "y");
    let (set, recorded) = tree.recorded().await;
    eprintln!("{recorded:?}");
    let root = ["Stat(default.nix)", "Content(default.nix)"];
    let with = |more: &[&str]| {
        let mut all: Vec<String> = root.iter().chain(more).map(|key| (*key).to_owned()).collect();
        all.sort_by_key(|key| {
            let kinds = ["Stat", "Content", "Listing", "Link"];
            (kinds.iter().position(|kind| key.starts_with(kind)), key.clone())
        });
        Some(all)
    };
    assert_eq!(reads(&set, ""), with(&[]));
    assert_eq!(reads(&set, "a"), with(&["Stat(a.nix)", "Content(a.nix)"]));
    for attr in set.results.keys().cloned().collect::<Vec<_>>() {
        eprintln!("{attr}: {:?}", reads(&set, &attr.to_string()));
    }
    assert_eq!(set.untraced(), 0);
}

/// `SNOWGATE_REPOSITORY`: a checkout.
#[actix::test]
#[ignore = "a measurement"]
async fn measure_a_first_recording() {
    let checkout = PathBuf::from(std::env::var_os("SNOWGATE_REPOSITORY").expect("SNOWGATE_REPOSITORY names a checkout"));
    let state = tempfile::tempdir().unwrap();
    let request = request(&checkout);
    let evaluator = evaluator(state.path(), LIMITS);
    let (mut set, recorded) = recorded(&evaluator, &request).await;
    eprintln!("{recorded:?}");
    let nodes = set.nodes.len();
    set.compact();
    let binding = set.keys.iter().filter(|key| matches!(key, Key::Binding(..))).count();
    eprintln!(
        "results {} untraced {} nodes {nodes} compact {} keys {} of bindings {binding}",
        set.results.len(),
        set.untraced(),
        set.nodes.len(),
        set.keys.len()
    );
}
