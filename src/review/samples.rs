//! Evaluations, outcomes and headers for tests, in a few letters: `("a", "x")` is attribute `a` with derivation `x`, and a
//! derivation `!message` is an evaluation error.

use std::collections::BTreeMap;

use super::report::{Merge, Report, Revision, State, Timings};
use super::{Closure, Comparison, Facts, Header, Policy, compare, report};
use crate::domain::{Attr, AttrPath, DrvPath, EvalError, EvalStats, Evaluation, Job, Outcome, ReviewId, StorePath, System};

/// A hash in Nix's alphabet, of any text.
fn hash(seed: &str) -> String {
    use sha2::{Digest, Sha256};
    const ALPHABET: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";
    Sha256::digest(seed.as_bytes()).iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect()
}

pub fn path(name: &str, seed: &str) -> StorePath {
    format!("/nix/store/{}-{name}", hash(seed)).parse().unwrap()
}

pub fn drv(name: &str) -> DrvPath {
    format!("/nix/store/{}-{name}.drv", hash(name)).parse().unwrap()
}

pub fn attr(text: &str) -> AttrPath {
    text.parse().unwrap()
}

/// A derivation of one output that is its own.
pub fn job(name: &str) -> Job {
    job_with(name, &[("out", Some(name))])
}

/// Outputs by name and by what is in them; `None`: not known before the build.
pub fn job_with(name: &str, outputs: &[(&str, Option<&str>)]) -> Job {
    let output = |(output, content): &(&str, Option<&str>)| ((*output).into(), content.map(|content| path(content, content)));
    Job { drv: drv(name), outputs: outputs.iter().map(output).collect(), system: System::new("x86_64-linux") }
}

pub fn evaluation_of(jobset: &str, system: &str, attrs: impl IntoIterator<Item = (AttrPath, Attr)>) -> Evaluation {
    Evaluation {
        tree: "a".repeat(40).parse().unwrap(),
        jobset: jobset.into(),
        system: system.into(),
        attrs: attrs.into_iter().collect(),
        stats: EvalStats::default(),
    }
}

fn sample_attr(text: &str) -> Attr {
    match text.strip_prefix('!') {
        Some(message) => Attr::Failed(EvalError { message: message.to_owned(), position: None }),
        None => Attr::Derivation(job(text)),
    }
}

pub fn evaluation(attrs: &[(&str, &str)]) -> Evaluation {
    evaluation_of("default", "x86_64-linux", attrs.iter().map(|(name, text)| (attr(name), sample_attr(text))))
}

pub fn compared(base: &[(&str, &str)], head: &[(&str, &str)]) -> Comparison {
    compare(&[evaluation(base)], &[evaluation(head)])
}

pub fn facts(outcomes: &[(&str, Outcome)]) -> Facts {
    Facts { outcomes: outcomes.iter().map(|(name, outcome)| (drv(name), (*outcome).into())).collect(), ..Facts::default() }
}

impl Facts {
    /// `name` fails since `cause` did.
    pub fn blocked(mut self, name: &str, cause: &str) -> Self {
        let fact = self.outcomes.entry(drv(name)).or_insert(Outcome::DependencyFailed.into());
        fact.root_cause = Some(drv(cause));
        self
    }

    pub fn log(mut self, name: &str, tail: &str) -> Self {
        let fact = self.outcomes.get_mut(&drv(name)).unwrap();
        fact.log_tail = Some(tail.to_owned());
        fact.log_url = Some(format!("file:///var/lib/snowgate/logs/{}.zst", drv(name).base_name()));
        self
    }
}

pub fn closure(paths: &[(&str, &str, u64)]) -> Closure {
    let paths: BTreeMap<StorePath, u64> = paths.iter().map(|(name, seed, bytes)| (path(name, seed), *bytes)).collect();
    Closure { bytes: paths.values().sum(), paths }
}

pub fn header() -> Header {
    Header {
        id: ReviewId::new("0123456789abcdef"),
        repository: "local/packages".into(),
        created_at: "2026-11-20T12:00:00Z".to_owned(),
        base: Revision { rev: "b".repeat(40).parse().unwrap(), reference: Some("main".to_owned()) },
        head: Revision { rev: "c".repeat(40).parse().unwrap(), reference: Some("update-libfoo".to_owned()) },
        merge: Merge { tree: Some("d".repeat(40).parse().unwrap()), conflicts: Vec::new() },
        state: State::Complete,
        error: None,
        evaluations: Vec::new(),
        timings: Timings::default(),
        policy: Policy::default(),
    }
}

pub fn reported(base: &[(&str, &str)], head: &[(&str, &str)], facts: &Facts) -> Report {
    report(&header(), &compared(base, head), facts)
}
