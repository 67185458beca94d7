//! Evaluations, outcomes and headers for tests, in a few letters: `("a", "x")` is attribute `a` with derivation `x`, and a
//! derivation `!message` is an evaluation error.

use std::collections::BTreeMap;
use std::sync::Arc;

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

pub fn closure(paths: &[(&str, &str, u64)]) -> Arc<Closure> {
    let paths: BTreeMap<StorePath, u64> = paths.iter().map(|(name, seed, bytes)| (path(name, seed), *bytes)).collect();
    Arc::new(Closure { bytes: paths.values().sum(), paths })
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
        alarms: Vec::new(),
        timings: Timings::default(),
        policy: Policy::default(),
    }
}

pub fn reported(base: &[(&str, &str)], head: &[(&str, &str)], facts: &Facts) -> Report {
    report(&header(), &compared(base, head), facts)
}

/// A change with something in every section.
pub fn sample_report() -> Report {
    use Outcome::{Failed, HashMismatch, Succeeded};
    let mut base: Vec<(String, String)> = Vec::new();
    let mut head: Vec<(String, String)> = Vec::new();
    let mut facts = facts(&[
        ("libfoo-1.2", Succeeded),
        ("libfoo-1.3", Failed),
        ("oldtool-0.9", Failed),
        ("oldtool-0.9.1", HashMismatch),
        ("fixed-2.0", Failed),
        ("fixed-2.1", Succeeded),
        ("brandnew-0.1", Succeeded),
        ("newbad-7", Failed),
        ("hello-2.12", Succeeded),
        ("hello-2.13", Succeeded),
    ])
    .log("libfoo-1.3", "cc -c foo.c\nfoo.c: In function 'frob':\n\u{1b}[31mfoo.c:12:5: error:\u{1b}[0m implicit declaration of 'bar'\nmake: *** [Makefile:7: foo.o] Error 1\n")
    .log("newbad-7", "no such file: setup.py\n");
    let mut put = |attr: &str, old: &str, new: &str| {
        for (side, name) in [(&mut base, old), (&mut head, new)] {
            if !name.is_empty() {
                side.push((attr.to_owned(), name.to_owned()));
            }
        }
    };
    put("libfoo", "libfoo-1.2", "libfoo-1.3");
    put("libfoo_1", "libfoo-1.2", "libfoo-1.3");
    put("oldtool", "oldtool-0.9", "oldtool-0.9.1");
    put("fixed", "fixed-2.0", "fixed-2.1");
    put("python3Packages.brandnew", "", "brandnew-0.1");
    put("newbad", "", "newbad-7");
    put("gone", "gone-1.0", "");
    put("gone-too", "gone-too-1.0", "");
    put("hello", "hello-2.12", "hello-2.13");
    put("same", "same-1", "same-1");
    put("throws", "throws-1", "!attribute 'colour' missing\nat pkgs/throws.nix:3:12");
    put("healed", "!assertion failed", "healed-1");
    put("sick", "!boom", "!boom");
    for i in 0..41 {
        let (old, new) = (format!("app{i}-1.0"), format!("app{i}-1.0.1"));
        put(&format!("app{i}"), &old, &new);
        facts.outcomes.insert(drv(&old), Succeeded.into());
        facts = facts.blocked(&new, "libfoo-1.3");
    }
    facts.outcomes.insert(drv("healed-1"), Succeeded.into());
    facts.closures.insert(drv("hello-2.12"), closure(&[("hello-2.12", "1", 40_000_000), ("libc-2.40", "2", 30_000_000)]));
    facts.closures.insert(
        drv("hello-2.13"),
        closure(&[("hello-2.13", "3", 41_000_000), ("libc-2.40", "2", 30_000_000), ("gcc-14", "4", 200_000_000)]),
    );
    let pairs = |side: &[(String, String)]| -> Evaluation {
        evaluation(&side.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect::<Vec<_>>())
    };
    let (base, head) = (pairs(&base), pairs(&head));
    let mut header = header();
    header.timings =
        Timings { queued_seconds: Some(0.0), eval_seconds: Some(12.34), diff_seconds: Some(0.004), build_seconds: Some(200.0) };
    for (side, evaluation) in [(crate::domain::Side::Base, &base), (crate::domain::Side::Head, &head)] {
        let mut row = super::report::EvaluationRow::new(side, evaluation);
        (row.cpu_seconds, row.wall_seconds, row.peak_memory_bytes) = match side {
            crate::domain::Side::Base => (11.0, 12.3, 850_000_000),
            crate::domain::Side::Head => (0.61, 0.84, 325_000_000),
        };
        (row.attrs_evaluated, row.attrs_reused, row.trace_cpu_seconds) = match side {
            crate::domain::Side::Base => (row.attrs, 0, 41.7),
            crate::domain::Side::Head => (3, row.attrs - 3, 0.0),
        };
        header.evaluations.push(row);
    }
    report(&header, &compare(&[base], &[head]), &facts)
}

/// `number` rebuilds; a hundredth of them fails, each by itself.
pub fn large_report(number: usize) -> Report {
    let names: Vec<[String; 3]> =
        (0..number).map(|i| [format!("packages.some-package-{i}"), format!("package-{i}-1"), format!("package-{i}-2")]).collect();
    let base: Vec<_> = names.iter().map(|[attr, old, _]| (attr.as_str(), old.as_str())).collect();
    let head: Vec<_> = names.iter().map(|[attr, _, new]| (attr.as_str(), new.as_str())).collect();
    let mut known = facts(&[]);
    for (i, [_, old, new]) in names.iter().enumerate() {
        known.outcomes.insert(drv(old), Outcome::Succeeded.into());
        let fails = i % 100 == 7;
        known.outcomes.insert(drv(new), if fails { Outcome::Failed } else { Outcome::Succeeded }.into());
        known = if fails { known.log(new, &"a line of the log\n".repeat(30)) } else { known };
    }
    reported(&base, &head, &known)
}

/// Names, logs and messages that try to be more than text.
pub fn hostile_report() -> Report {
    let name = "\"@everyone<img src=x>`|\u{1b}[2J\u{202e}\nMergeable\"";
    let log = "```\n</details>\n@everyone <img src=x>\n\u{1b}]0;title\u{7}\u{1b}[31mred\r\u{1b}[1Aup\n";
    let message = "!@everyone\n````\n<img src=x>\u{1b}[8m";
    let known = facts(&[("a-1", Outcome::Succeeded), ("a-2", Outcome::Failed)]).log("a-2", log);
    let (base, head) = (evaluation(&[(name, "a-1")]), evaluation(&[(name, "a-2"), ("e", message)]));
    let mut header = header();
    header.head.reference = Some("@everyone<img>`\u{1b}[2J".to_owned());
    report(&header, &compare(&[base], &[head]), &known)
}
