//! The keys of evaluations and traces: everything that the results can depend on, but for what a trace itself holds.
//!
//! What an evaluating process is started with (`launch.rs`, `confine.rs`), and why it is in the trace key or not:
//!
//! | what | in the key |
//! |---|---|
//! | Nix | its version and where it stands: below the store that names its build |
//! | the driver | its text; the rest of what we do with results by [`FORMAT`] and our own version |
//! | the jobset | source, prefixes, `args`, `argstrs`, `force_recurse`; not its name, nor the systems that it lists |
//! | an argument with `~/` | the home directory, which Nix's parser puts in its place |
//! | the system | yes |
//! | Nix settings, allowed addresses and import-from-derivation among them | yes, but for those of builds. The network is open just where `allowed-uris` says so |
//! | settings that we give each process, search path, environment, views, limits of the stack | constant for a version, and so [`FORMAT`]; the search path names the flake's inputs, see below |
//! | where the tree is seen | yes: at one path, or (without walls) anywhere |
//! | the tree | in the key of an evaluation; of a trace set it is a column: any set serves any tree |
//! | a flake's inputs | not apart: `flake.lock` names each by its hash, it is a file of the tree, and the driver reads it for every attribute |
//! | the store's view | always in memory: only details are asked through a daemon, and these are not kept |
//! | memory and time limits | no: what a limit ended is not kept |
//! | workers, places, user id, checkout | no: nothing that is evaluated sees them |
//! | how traces are recorded and stored | yes: stored format, instrumentation, the preloaded library. A fault in one of them must not outlive its repair, not even in an evaluation that was made from traces |

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::confine::Confinement;
use super::driver::DRIVER;
use super::evaluator::Evaluator;
use super::launch::TREE;
use super::terms::Request;
use super::{stored, trace};
use crate::config::repository::{Jobset, JobsetSource};
use crate::domain::TreeId;

/// Increased when what is stored of an evaluation, or how it is driven, changes in a way that the driver's text does not show.
const FORMAT: u32 = 3;

/// What evaluates, whatever is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    pub nix_version: &'a str,
    /// The program.
    pub nix: &'a Path,
    pub confinement: &'a Confinement,
}

impl Evaluator {
    /// Hexadecimal. Two requests with the same key have the same results wherever they read the same.
    pub fn trace_key(&self, request: &Request, nix_version: &str) -> String {
        trace_key(request, Surroundings { nix_version, nix: &self.nix, confinement: &self.confinement })
    }

    /// Hexadecimal. Two requests with the same key have the same attributes.
    pub fn evaluation_key(&self, request: &Request, nix_version: &str) -> String {
        evaluation_key(&self.trace_key(request, nix_version), &request.tree)
    }
}

fn evaluation_key(trace_key: &str, tree: &TreeId) -> String {
    digest(&serde_json::json!([trace_key, tree]))
}

fn trace_key(request: &Request, surroundings: Surroundings<'_>) -> String {
    // all of both, so that what is added to them is thought of here
    let Jobset { name: _, source, attrs, systems: _, args, argstrs, force_recurse } = &request.jobset;
    let Request { tree: _, checkout: _, jobset: _, system, options, workers: _ } = request;
    let Surroundings { nix_version, nix, confinement } = surroundings;
    let source = match source {
        JobsetSource::File(file) => ("file", file),
        JobsetSource::Flake(output) => ("flake", output),
    };
    let place = match confinement {
        Confinement::Full => TREE.to_owned(),
        Confinement::Limited(_) => "anywhere".to_owned(),
    };
    let attrs: Vec<String> = attrs.iter().map(ToString::to_string).collect();
    let options: BTreeMap<_, _> = options.iter().filter(|(name, _)| can_matter(name)).collect();
    let home = args.values().any(|argument| argument.contains("~/")).then(|| std::env::var_os("HOME"));
    digest(&serde_json::json!([
        FORMAT,
        env!("CARGO_PKG_VERSION"),
        DRIVER,
        nix_version,
        nix.as_os_str().as_encoded_bytes(),
        source,
        attrs,
        args,
        home.map(|home| home.unwrap_or_default().into_encoded_bytes()),
        argstrs,
        force_recurse,
        system,
        options,
        place,
        stored::evaluation::FORMAT,
        trace::versions(),
    ]))
}

fn digest(everything: &serde_json::Value) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(everything.to_string()))
}

/// Settings of builds say nothing about an evaluation.
fn can_matter(option: &str) -> bool {
    !matches!(
        option,
        "build-users-group"
            | "builders"
            | "cores"
            | "keep-failed"
            | "log-lines"
            | "max-jobs"
            | "max-silent-time"
            | "sandbox"
            | "sandbox-paths"
            | "substitute"
            | "substituters"
            | "timeout"
            | "trusted-public-keys"
            | "extra-substituters"
            | "extra-trusted-public-keys"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::System;

    fn request() -> Request {
        Request {
            tree: "4b825dc642cb6eb9a060e54bf8d69288fbee4904".parse().unwrap(),
            checkout: "/a".into(),
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
            workers: 1,
        }
    }

    fn key(change: &dyn Fn(&mut Request)) -> String {
        let mut request = request();
        change(&mut request);
        trace_key(&request, surroundings())
    }

    fn surroundings() -> Surroundings<'static> {
        Surroundings { nix_version: "2.34", nix: Path::new("/nix/bin/nix"), confinement: &Confinement::Full }
    }

    #[test]
    fn what_can_matter_changes_the_key_and_nothing_else_does() {
        let same = key(&|_| {});
        for change in [
            &(|r: &mut Request| r.workers = 8) as &dyn Fn(&mut Request),
            &|r| r.checkout = "/b".into(),
            &|r| r.jobset.name = "other".into(),
            &|r| r.jobset.systems.push(System::new("x86_64-linux")),
            &|r| drop(r.options.insert("sandbox".into(), "false".into())),
            &|r| drop(r.options.insert("max-jobs".into(), "3".into())),
            // the trace key alone: it is of any tree
            &|r| r.tree = "0000000000000000000000000000000000000000".parse().unwrap(),
        ] {
            assert_eq!(same, key(change));
        }
        let changes: [&dyn Fn(&mut Request); 16] = [
            &|r| r.system = System::new("aarch64-linux"),
            &|r| r.jobset.force_recurse = true,
            &|r| drop(r.jobset.args.insert("a".into(), "1".into())),
            &|r| drop(r.jobset.args.insert("a".into(), "2".into())),
            &|r| drop(r.jobset.args.insert("b".into(), "1".into())),
            &|r| drop(r.jobset.args.insert("a".into(), "~/file".into())),
            &|r| drop(r.jobset.argstrs.insert("a".into(), "1".into())),
            &|r| r.jobset.source = JobsetSource::Flake("default.nix".into()),
            &|r| r.jobset.source = JobsetSource::File("release.nix".into()),
            &|r| r.jobset.attrs.push("a".parse().unwrap()),
            &|r| r.jobset.attrs.push("a.b".parse().unwrap()),
            &|r| r.jobset.attrs.push("\"a.b\"".parse().unwrap()),
            &|r| drop(r.options.insert("max-call-depth".into(), "1".into())),
            &|r| drop(r.options.insert("allowed-uris".into(), "https://a".into())),
            &|r| drop(r.options.insert("allow-import-from-derivation".into(), "true".into())),
            &|r| drop(r.options.insert("experimental-features".into(), "pipe-operators".into())),
        ];
        let mut keys: Vec<String> = changes.iter().map(|change| key(*change)).collect();
        for surroundings in [
            Surroundings { nix_version: "2.33", ..surroundings() },
            Surroundings { nix: Path::new("/nix/store/x-nix/bin/nix"), ..surroundings() },
            Surroundings { confinement: &Confinement::Limited(String::new()), ..surroundings() },
        ] {
            keys.push(trace_key(&request(), surroundings));
        }
        keys.push(same);
        let count = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), count, "two of them are the same");
    }

    #[test]
    fn an_evaluation_is_of_one_tree() {
        let (a, b) = (request().tree, "0000000000000000000000000000000000000000".parse().unwrap());
        assert_ne!(evaluation_key("key", &a), evaluation_key("key", &b));
        assert_ne!(evaluation_key("key", &a), evaluation_key("other", &a));
        assert_eq!(evaluation_key("key", &a), evaluation_key("key", &a));
    }

    #[test]
    fn the_driver_and_how_traces_are_made_are_in_the_key() {
        // constants of this program: that they are mixed in can be seen in what is mixed
        assert!(!DRIVER.is_empty());
        assert!(trace::versions().to_string().contains(&trace::stored::FORMAT.to_string()));
    }
}
