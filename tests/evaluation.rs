//! The evaluator against real Nix: every kind of error, nested sets, one constant path, confinement.

#[path = "support/groups.rs"]
mod groups;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use groups::groups_of;
use snowgate::cgroup::{self, Ground};
use snowgate::config::repository::{Jobset, JobsetSource};
use snowgate::domain::{Attr, AttrPath, Evaluation, System};
use snowgate::eval::trace::Known;
use snowgate::eval::{Confinement, Enclosure, Evaluator, Limits, Request, wholly_known};

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

    fn request(&self) -> Request {
        Request {
            tree: "4b825dc642cb6eb9a060e54bf8d69288fbee4904".parse().unwrap(),
            checkout: self.checkout(),
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
            workers: 2,
        }
    }

    fn evaluator(&self, limits: Limits) -> Evaluator {
        Evaluator::open(PathBuf::from(env!("CARGO_BIN_EXE_snowgate")), &nix(), self.directory.path().join("evaluator"), limits, 2)
            .unwrap()
    }

    async fn evaluate(&self, request: &Request) -> Evaluation {
        self.evaluator(LIMITS).evaluate(request, None, Arc::new(|_, _, _| {})).await.unwrap().evaluation
    }
}

const LIMITS: Limits = Limits { memory_bytes: 512 << 20, seconds_per_attribute: 60 };

const PRELUDE: &str = r#"let d = name: derivation { inherit name; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo > $out" ]; }; in "#;

fn nix() -> PathBuf {
    std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .map(|directory| directory.join("nix"))
        .find(|nix| nix.exists())
        .expect("nix on PATH")
}

/// Derivations by name and errors by message.
fn told(evaluation: &Evaluation) -> BTreeMap<String, String> {
    evaluation
        .attrs
        .iter()
        .map(|(path, attr)| {
            let text = match attr {
                Attr::Derivation(job) => job.drv.name().to_owned(),
                Attr::Failed(error) => format!("error: {}", error.message),
            };
            (path.to_string(), text)
        })
        .collect()
}

#[actix::test]
async fn an_evaluating_process_has_a_control_group_that_ends_with_it() {
    let ground = match Ground::open() {
        Ok(ground) => ground,
        Err(reason) => return eprintln!("not tested: {reason}"),
    };
    // exponential in the length of the text
    let tree = Tree::new(&format!(
        r#"{PRELUDE} {{ a = d "a"; slow = builtins.match "(a*)*b" "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"; }}"#
    ));
    let evaluator = tree.evaluator(Limits { seconds_per_attribute: 3, ..LIMITS });
    let evaluator = evaluator.within(Enclosure::new(ground, cgroup::Limits::default()));
    let request = tree.request();
    let inside = async {
        loop {
            let groups =
                groups_of(std::process::id()).into_iter().flat_map(|own| std::fs::read_dir(own).into_iter().flatten().flatten());
            let memory = groups.map(|group| group.path()).find(|group| {
                std::fs::read_to_string(group.join("cgroup.procs")).is_ok_and(|processes| !processes.is_empty())
                    && (group.join("memory.limit_in_bytes").exists() || group.join("memory.max").exists())
            });
            match memory {
                Some(group) => return group,
                None => tokio::task::yield_now().await,
            }
        }
    };
    let (evaluated, group) = tokio::join!(evaluator.evaluate(&request, None, Arc::new(|_, _, _| {})), inside);
    let told = told(&evaluated.unwrap().evaluation);
    assert_eq!(told["a"], "a");
    assert!(told["slow"].contains("3 s"), "{told:#?}");
    assert!(!group.exists(), "{}", group.display());
    drop(evaluator);
    assert_eq!(groups_of(std::process::id()), Vec::<PathBuf>::new());
}

#[actix::test]
async fn every_error_is_a_line_and_the_rest_goes_on() {
    let tree = Tree::new(&format!(
        r#"{PRELUDE} {{
            a = d "a";
            abort = abort "enough";
            assertion = assert false; d "x";
            infinite = let x = x; in x;
            file = import ./nowhere.nix;
            syntax = import ./cut.nix;
            memory = builtins.deepSeq (builtins.genList (x: builtins.genList (y: {{ inherit x y; }}) 1000) 1000000) (d "x");
            missing = {{ }}.nothing;
            overflow = let f = n: f (n + 1) + 1; in d "x${{toString (f 1)}}";
            throw = throw "no\nerror: way";
            mistyped = 1 + "a";
            forged = {{ type = "derivation"; drvPath = "/etc/passwd"; outPath = "/"; out.outPath = "/"; }};
            spoof = builtins.trace "@x R0 {{}}" (d "spoof");
            z = d "z";
        }}"#
    ))
    .file("cut.nix", "{ a = ");
    let evaluation = tree.evaluate(&tree.request()).await;
    let told = told(&evaluation);
    let expect = [
        ("a", "a"),
        ("abort", "error: evaluation aborted with the following error message: 'enough'"),
        ("assertion", "error: assertion 'false' failed"),
        ("file", "error: path 'nowhere.nix' does not exist"),
        ("infinite", "error: infinite recursion encountered"),
        ("memory", "error: the evaluation ran out of memory (limit 512 MiB)"),
        ("missing", "error: attribute 'nothing' missing"),
        ("overflow", "error: stack overflow; max-call-depth exceeded"),
        ("spoof", "spoof"),
        ("throw", "error: no\nerror: way"),
        ("mistyped", "error: cannot add a string to an integer"),
        ("z", "z"),
    ];
    for (attr, text) in expect {
        assert_eq!(told[attr], text, "{attr}");
    }
    assert!(told["syntax"].starts_with("error: syntax error, unexpected end of file"), "{}", told["syntax"]);
    assert!(told["forged"].contains("no real derivation"), "{}", told["forged"]);
    assert_eq!(told.len(), 14);
    let Attr::Failed(error) = &evaluation.attrs[&"missing".parse::<AttrPath>().unwrap()] else { panic!() };
    assert_eq!(error.position.as_ref().unwrap().file, "default.nix");
}

#[actix::test]
async fn sets_are_entered_as_nixpkgs_means_it() {
    let source = format!(
        r#"{{ system, extra ? null, flag ? "off", file ? null }}: {PRELUDE} {{
            recursed = {{ recurseForDerivations = true; a = d "a"; deeper = {{ recurseForDerivations = true; "odd.name" = d "odd"; }}; }};
            file = d (if file == null then "none" else import file);
            plain = {{ b = d "b"; }};
            number = 1; text = "x"; function = x: x;
            outputs = derivation {{ name = "o"; inherit system; builder = "/bin/sh"; outputs = [ "out" "dev" ]; }};
            arg = d "arg-${{toString extra}}-${{flag}}";
        }}"#
    );
    let tree = Tree::new(&source).file("name.nix", "\"from-a-file\"");
    let mut request = tree.request();
    let plain = tree.evaluate(&request).await;
    assert_eq!(told(&plain).keys().collect::<Vec<_>>(), ["arg", "file", "outputs", "recursed.a", "recursed.deeper.\"odd.name\""]);
    let Attr::Derivation(job) = &plain.attrs[&"outputs".parse::<AttrPath>().unwrap()] else { panic!() };
    assert_eq!(job.outputs.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["dev", "out"]);
    assert_eq!(told(&plain)["arg"], "arg--off");

    request.jobset.force_recurse = true;
    request.jobset.args.insert("extra".into(), "1 + # a comment\n 2".into());
    request.jobset.args.insert("file".into(), "./name.nix".into());
    request.jobset.argstrs.insert("flag".into(), "on".into());
    let forced = told(&tree.evaluate(&request).await);
    assert_eq!(forced["plain.b"], "b");
    assert_eq!(forced["arg"], "arg-3-on");
    assert_eq!(forced["file"], "from-a-file");

    let mut request = tree.request();
    request.jobset.attrs = vec!["plain".parse().unwrap(), "nothing".parse().unwrap()];
    let named = told(&tree.evaluate(&request).await);
    assert_eq!(named["plain.b"], "b");
    assert_eq!(named["nothing"], "error: attribute 'nothing' missing");
    assert_eq!(named.len(), 2);

    let mut request = tree.request();
    request.jobset.args.insert("extra".into(), "{ a = ".into());
    let refused = tree.evaluator(LIMITS).evaluate(&request, None, Arc::new(|_, _, _| {})).await.unwrap_err();
    assert!(refused.to_string().starts_with("the argument `extra` is no Nix expression: syntax error"), "{refused}");
}

#[actix::test]
async fn two_worktrees_of_one_tree_give_the_same_derivations() {
    let source = format!(
        r#"{PRELUDE} {{ a = d "a"; b = derivation {{ name = "b"; system = "x"; builder = "/bin/sh"; src = ./.; where = toString ./.; }}; }}"#
    );
    let one = Tree::new(&source);
    let other = Tree::new(&source);
    let (first, second) = (one.evaluate(&one.request()).await, other.evaluate(&other.request()).await);
    assert_eq!(first.attrs, second.attrs);
}

#[actix::test]
async fn a_change_sees_no_secret_no_network_and_nothing_outside_its_tree() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "secret").unwrap();
    let path = secret.path().display();
    let tree = Tree::new(&format!(
        r#"{PRELUDE} {{
            environment = d "env-${{builtins.getEnv "PATH"}}${{builtins.getEnv "HOME"}}";
            file = d "x-${{builtins.readFile {path}}}";
            passwd = d (builtins.readFile /etc/passwd);
            exists = d "exists-${{if builtins.pathExists {path} then "yes" else "no"}}";
            link = d (builtins.readFile ./link);
            store = d (toString (builtins.attrNames (builtins.readDir /nix/store)));
            net = import (builtins.fetchTarball "http://127.0.0.1:9/x.tar.gz");
            built = import (derivation {{ name = "ifd"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo 1 > $out" ]; }});
        }}"#
    ));
    std::os::unix::fs::symlink(secret.path(), tree.checkout().join("link")).unwrap();
    // a file that is called as Nix's command is a script to it, if it starts in its directory
    let tree = tree.file("repl", "#! /usr/bin/env nix\n#! nix repl --option restrict-eval false\n");
    let evaluator = tree.evaluator(LIMITS);
    assert_eq!(*evaluator.confinement(), Confinement::Full);
    let told = told(&tree.evaluate(&tree.request()).await);
    assert_eq!(told["environment"], "env-");
    for attr in ["file", "passwd", "link", "store", "net", "built"] {
        assert!(told[attr].starts_with("error: "), "{attr}: {}", told[attr]);
    }
    assert!(!told["exists"].contains("yes"), "{}", told["exists"]);
}

#[actix::test]
async fn a_root_that_fails_is_one_error() {
    for (source, message) in [
        ("throw \"broken\"", "error: broken"),
        ("{ a = ", "error: syntax error, unexpected end of file"),
        ("{ needed }: { }", "error: function 'anonymous lambda' called without required argument 'needed'"),
    ] {
        let tree = Tree::new(source);
        let told = told(&tree.evaluate(&tree.request()).await);
        assert!(told[""].starts_with(message), "{told:?}");
    }
    let tree = Tree::new("{ }");
    let mut request = tree.request();
    request.jobset.source = JobsetSource::File("nowhere.nix".into());
    let refused = tree.evaluator(LIMITS).evaluate(&request, None, Arc::new(|_, _, _| {})).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the jobset's file `nowhere.nix` is not in the tree; name another with --file or in snowgate.toml"
    );
}

#[actix::test]
async fn a_flake_is_evaluated_from_its_tree() {
    let tree = Tree::new("{ }")
        .file(
            "flake.nix",
            &format!(
                r#"{{ inputs.sub.url = "path:./sub"; outputs = {{ self, sub }}: {{
                    packages.x86_64-linux = {PRELUDE} {{ a = d "a"; viaSub = d sub.name; src = d (baseNameOf self.outPath); }};
                    checks.other-system.x = throw "not asked for";
                    hydraJobs.h = {PRELUDE} d "h";
                }}; }}"#
            ),
        )
        .file("sub/flake.nix", r#"{ outputs = _: { name = "from-sub"; }; }"#)
        .file(
            "flake.lock",
            r#"{"nodes":{"root":{"inputs":{"sub":"sub"}},"sub":{"locked":{"path":"./sub","type":"path"},"original":{"path":"./sub","type":"path"},"parent":[]}},"root":"root","version":7}"#,
        );
    let mut request = tree.request();
    request.jobset.source = JobsetSource::Flake(String::new());
    let default = told(&tree.evaluate(&request).await);
    assert_eq!(
        default.keys().collect::<Vec<_>>(),
        ["packages.x86_64-linux.a", "packages.x86_64-linux.src", "packages.x86_64-linux.viaSub"]
    );
    assert_eq!(default["packages.x86_64-linux.viaSub"], "from-sub");
    request.jobset.source = JobsetSource::Flake("hydraJobs".into());
    assert_eq!(told(&tree.evaluate(&request).await)["hydraJobs.h"], "h");
}

#[actix::test]
async fn an_attribute_that_takes_for_ever_is_stopped_and_leaves_no_process() {
    let sum = "builtins.foldl' (a: b: a + b) 0";
    let tree = Tree::new(&format!(
        "let loop = {sum} (builtins.genList (x: {sum} (builtins.genList (y: y) 1000000)) 1000000); in {{ a = derivation {{ name = \"x${{toString loop}}\"; }}; }}"
    ));
    let limits = Limits { seconds_per_attribute: 3, ..LIMITS };
    let evaluated = tree.evaluator(limits).evaluate(&tree.request(), None, Arc::new(|_, _, _| {})).await.unwrap();
    assert!(!evaluated.lasting);
    assert_eq!(told(&evaluated.evaluation)["a"], "error: the evaluation took longer than 3 s and was stopped");
    assert_eq!(processes_that_name(&tree.checkout()), 0);
}

fn processes_that_name(checkout: &Path) -> usize {
    let needle = checkout.display().to_string();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("cmdline")).ok())
        .filter(|line| line.contains(&needle))
        .count()
}

#[actix::test]
async fn what_is_known_is_not_evaluated_and_the_result_is_the_same() {
    let tree = Tree::new(&format!(
        r#"{PRELUDE} {{
            a = d "a";
            b = {{ recurseForDerivations = true; c = d "c"; e = throw "e"; function = x: x; }};
            deep = let f = n: f (n + 1) + 1; in d "x${{toString (f 1)}}";
        }}"#
    ));
    let evaluator = tree.evaluator(LIMITS);
    let nobody: snowgate::eval::Progress = Arc::new(|_, _, _| {});
    let full = evaluator.evaluate(&tree.request(), None, nobody.clone()).await.unwrap();
    assert!(full.lasting);
    let paths: Vec<String> = full.found.keys().map(ToString::to_string).collect();
    assert_eq!(paths, ["", "a", "b", "b.c", "b.e", "b.function", "deep"]);
    let known = |unknown: &[&str]| {
        let mut known = Known { full_millis: 10_000, ..Known::default() };
        for (path, found) in &full.found {
            match unknown.contains(&path.to_string().as_str()) {
                true => known.dirty += 1,
                false => drop(known.found.insert(path.clone(), found.clone())),
            }
        }
        Arc::new(known)
    };
    for (unknown, evaluated, reused) in [(&["a"][..], 1, 5), (&["", "b", "b.e"], 2, 4), (&["b.function"], 1, 5)] {
        assert_eq!(wholly_known(&tree.request(), known(unknown)).map(|whole| whole.evaluation.attrs), None, "{unknown:?}");
        let again = evaluator.evaluate(&tree.request(), Some(known(unknown)), nobody.clone()).await.unwrap();
        assert_eq!((&again.evaluation.attrs, &again.found), (&full.evaluation.attrs, &full.found), "{unknown:?}");
        let stats = &again.evaluation.stats;
        assert_eq!((stats.attrs_evaluated, stats.attrs_reused), (evaluated, reused), "{unknown:?}");
        assert!(stats.cpu_seconds > 0.0 && stats.peak_memory_bytes > 0);
    }
    // whether a call is too deep depends on what was evaluated before it
    let again = evaluator.evaluate(&tree.request(), Some(known(&["deep"])), nobody.clone()).await.unwrap();
    assert_eq!((&again.evaluation.attrs, again.evaluation.stats.attrs_reused), (&full.evaluation.attrs, 0));
    // no checkout, no process
    let mut nowhere = tree.request();
    nowhere.checkout = "/nonexistent".into();
    let whole = wholly_known(&nowhere, known(&[])).unwrap();
    assert_eq!((&whole.evaluation.attrs, &whole.found), (&full.evaluation.attrs, &full.found));
    assert_eq!((whole.evaluation.stats.attrs_evaluated, whole.evaluation.stats.attrs_reused), (0, 6));
}
