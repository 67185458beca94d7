//! The key of an evaluation: everything that its results can depend on.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::confine::Confinement;
use super::driver::DRIVER;
use super::launch::TREE;
use super::terms::Request;
use crate::config::repository::{Jobset, JobsetSource};

/// Increased when what is stored of an evaluation, or how it is driven, changes in a way that the driver's text does not show.
const FORMAT: u32 = 3;

/// Hexadecimal. Two requests with the same key have the same attributes.
pub fn evaluation_key(request: &Request, nix_version: &str, confinement: &Confinement) -> String {
    let Jobset { name: _, source, attrs, systems: _, args, argstrs, force_recurse } = &request.jobset;
    let source = match source {
        JobsetSource::File(file) => ("file", file),
        JobsetSource::Flake(output) => ("flake", output),
    };
    let place = match confinement {
        Confinement::Full => TREE.to_owned(),
        Confinement::Limited(_) => "anywhere".to_owned(),
    };
    let attrs: Vec<String> = attrs.iter().map(ToString::to_string).collect();
    let options: BTreeMap<_, _> = request.options.iter().filter(|(name, _)| can_matter(name)).collect();
    let everything = serde_json::json!([
        FORMAT,
        DRIVER,
        nix_version,
        request.tree,
        source,
        attrs,
        args,
        argstrs,
        force_recurse,
        request.system,
        options,
        place
    ]);
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

    #[test]
    fn what_can_matter_changes_the_key_and_nothing_else_does() {
        let key = |change: &dyn Fn(&mut Request)| {
            let mut request = request();
            change(&mut request);
            evaluation_key(&request, "2.34", &Confinement::Full)
        };
        let same = key(&|_| {});
        assert_eq!(same, key(&|r| r.workers = 8));
        assert_eq!(same, key(&|r| r.checkout = "/b".into()));
        assert_eq!(same, key(&|r| r.jobset.name = "other".into()));
        assert_eq!(same, key(&|r| drop(r.options.insert("sandbox".into(), "false".into()))));
        for change in [
            &(|r: &mut Request| r.system = System::new("aarch64-linux")) as &dyn Fn(&mut Request),
            &|r| r.jobset.force_recurse = true,
            &|r| drop(r.jobset.args.insert("a".into(), "1".into())),
            &|r| drop(r.jobset.argstrs.insert("a".into(), "1".into())),
            &|r| r.jobset.source = JobsetSource::Flake("default.nix".into()),
            &|r| r.jobset.attrs.push("a".parse().unwrap()),
            &|r| drop(r.options.insert("max-call-depth".into(), "1".into())),
            &|r| r.tree = "0000000000000000000000000000000000000000".parse().unwrap(),
        ] {
            assert_ne!(same, key(change));
        }
        assert_ne!(same, evaluation_key(&request(), "2.33", &Confinement::Full));
        assert_ne!(same, evaluation_key(&request(), "2.34", &Confinement::Limited(String::new())));
    }
}
