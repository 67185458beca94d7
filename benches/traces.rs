//! What a change of a tree costs before anything is evaluated, for a set of 100,000 attributes: which of them are dirty, and what is
//! known of the others. `cargo bench --bench traces`.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use snowgate::domain::{Attr, AttrPath, Job, System};
use snowgate::eval::Found;
use snowgate::eval::trace::bindings::split;
use snowgate::eval::trace::{Changes, Fragment, FragmentNode, Key, TraceSet};

const ATTRIBUTES: usize = 100_000;

/// Attributes of one group: they are recorded together.
const GROUP: usize = 10;

/// What a package reads that others do not, as in nixpkgs: its files, and where they lie.
const OWN: usize = 6;

fn main() {
    let set = set();
    println!("{} attributes, {} nodes, {} keys", set.results.len(), set.nodes.len(), set.keys.len());
    for (what, key) in [
        ("a package", Key::Content("pkgs/50000/default.nix".into())),
        ("a binding that a hundred read", Key::Binding("pkgs/top-level.nix".into(), "77".into())),
        ("what all read", Key::Content("lib/7.nix".into())),
        ("nothing that anybody reads", Key::Content("README.md".into())),
    ] {
        // as a commit changes it: its directories are among the changes, and documents
        let mut keys: HashSet<Key> = (0..30).map(|n| Key::Content(format!("doc/{n}.md"))).collect();
        keys.insert(key);
        let changes = Changes { keys };
        let dirty = set.dirty(&changes);
        let known = best(|| drop(set.known(&changes)));
        println!(
            "a change of {what}: {} dirty, found in {:.1} ms; all that is known: {:.1} ms",
            dirty.results,
            millis(best(|| drop(set.dirty(&changes)))),
            millis(known)
        );
    }
    let file =
        format!("{{ f }}:\nrec {{\n{}}}\n", (0..20_000).map(|n| format!("  p{n} = f ../pkgs/{n} {{ }};\n")).collect::<String>());
    let time = best(|| drop(split(file.as_bytes())));
    println!("a file of 20,000 bindings, {} kB, is split in {:.0} ms", file.len() >> 10, millis(time));
}

fn best(mut work: impl FnMut()) -> Duration {
    let times = (0..7).map(|_| {
        let started = Instant::now();
        work();
        started.elapsed()
    });
    times.min().unwrap_or_default()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A root that all read, a hundred regions below it, and the groups.
fn set() -> TraceSet {
    let hash = "a".repeat(32);
    let found = |n: usize| {
        let drv = format!("/nix/store/{hash}-package-{n}-1.0.drv").parse().expect("a derivation's path");
        let outputs = ["out", "dev"].map(|name| {
            let path = format!("/nix/store/{hash}-package-{n}-1.0-{name}").parse().expect("a store path");
            (name.into(), Some(path))
        });
        Found::Value(Attr::Derivation(Job { drv, outputs: outputs.into(), system: System::new("x86_64-linux") }))
    };
    let path = |n: usize| AttrPath::new([format!("set{}", n % 50), format!("package{n}")]);
    let results: BTreeMap<AttrPath, Found> = (0..ATTRIBUTES).map(|n| (path(n), found(n))).collect();
    let mut set = TraceSet::new("4b825dc642cb6eb9a060e54bf8d69288fbee4904".parse().expect("a tree"), results, 100_000);
    let mut nodes = vec![FragmentNode { parent: None, own: own("lib", 0, 600), millis: 500 }];
    nodes.extend((0..100).map(|region| FragmentNode { parent: Some(0), own: own("regions", region, 40), millis: 50 }));
    let mut items = Vec::new();
    for group in 0..ATTRIBUTES / GROUP {
        let mut own: Vec<Key> = (group * GROUP..(group + 1) * GROUP).flat_map(package).collect();
        own.extend((0..3).map(|n| Key::Binding("pkgs/top-level.nix".into(), ((group * 7 + n * 13) % 3000).to_string())));
        nodes.push(FragmentNode { parent: Some(1 + group % 100), own, millis: 10 });
        items.extend((group * GROUP..(group + 1) * GROUP).map(|n| (path(n), found(n), nodes.len() - 1)));
    }
    assert!(set.graft(Fragment { nodes, items }).is_empty());
    set
}

fn own(directory: &str, first: usize, count: usize) -> Vec<Key> {
    (first * count..(first + 1) * count).map(|n| Key::Content(format!("{directory}/{n}.nix"))).collect()
}

fn package(n: usize) -> Vec<Key> {
    let place = format!("pkgs/{n}");
    let mut keys = vec![Key::Stat(place.clone()), Key::Listing(place.clone()), Key::Content(format!("{place}/default.nix"))];
    keys.extend((keys.len()..OWN).map(|n| Key::Content(format!("{place}/{n}.patch"))));
    keys
}
