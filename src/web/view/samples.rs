//! Reports to render in tests: one with something of everything, and one of any size.

use crate::domain::{AttrPath, CommitId, DrvPath, Level, Outcome, OutputName, Position, Side, System, TreeId};
use crate::review::decisive::Excerpt;
use crate::review::report::{
    Category, Change, ChangeKind, ChangeSide, ClosureChange, Counts, Decision, EvalErrorRow, EvalErrorStatus, EvaluationRow,
    Failure, Merge, Reason, ReasonCode, Report, Revision, SCHEMA, State, Timings, Verdict,
};

pub fn commit(n: u64) -> CommitId {
    format!("{n:040x}").parse().unwrap()
}

fn tree(n: u64) -> TreeId {
    format!("{n:040x}").parse().unwrap()
}

/// The `n`th derivation of that name.
pub fn drv(n: u64, name: &str) -> DrvPath {
    format!("/nix/store/{n:032}-{name}.drv").parse().unwrap()
}

fn side(n: u64, name: &str, version: &str, outcome: Option<Outcome>) -> ChangeSide {
    let output = format!("/nix/store/{n:032}-{name}-{version}").parse().unwrap();
    ChangeSide {
        drv: drv(n, &format!("{name}-{version}")),
        outputs: [(OutputName::new("out"), Some(output))].into(),
        pname: Some(name.into()),
        version: Some(version.into()),
        outcome,
        root_cause: None,
        meta: std::sync::Arc::default(),
    }
}

fn attr(text: &str) -> AttrPath {
    text.parse().unwrap()
}

/// One row; the category decides what both sides did.
pub fn change(n: u64, name: &str, category: Category) -> Change {
    use Outcome::{Failed, Succeeded};
    let (base, head) = match category {
        Category::NewlyFailing => (Some(Some(Succeeded)), Some(Some(Failed))),
        Category::StillFailing => (Some(Some(Failed)), Some(Some(Failed))),
        Category::NewlySucceeding => (Some(Some(Failed)), Some(Some(Succeeded))),
        Category::StillSucceeding => (Some(Some(Succeeded)), Some(Some(Succeeded))),
        Category::NewFailing => (None, Some(Some(Failed))),
        Category::NewSucceeding => (None, Some(Some(Succeeded))),
        Category::Removed => (Some(Some(Succeeded)), None),
        Category::Pending => (Some(Some(Succeeded)), Some(None)),
        Category::NotBuilt => (Some(None), Some(None)),
    };
    let kind = match (&base, &head) {
        (None, _) => ChangeKind::Added,
        (_, None) => ChangeKind::Removed,
        (Some(_), Some(_)) => ChangeKind::Changed,
    };
    let grows = base.is_some() && head.is_some() && n.is_multiple_of(3);
    Change {
        jobset: "default".into(),
        attr: attr(name),
        aliases: Vec::new(),
        system: System::new("x86_64-linux"),
        change: kind,
        category,
        rebuild: head.is_some(),
        base: base.map(|outcome| side(2 * n, name, "1.4.2", outcome)),
        head: head.map(|outcome| side(2 * n + 1, name, if n.is_multiple_of(2) { "1.5.0" } else { "1.4.2" }, outcome)),
        closure: grows.then(|| ClosureChange {
            base_bytes: 48_000_000,
            head_bytes: if n.is_multiple_of(2) { 48_000_000 + n * 1_300_000 } else { 48_000_000_u64.saturating_sub(n * 70_000) },
            added: if n.is_multiple_of(2) { vec!["zstd-1.5.6".into(), "libdeflate-1.20".into()] } else { Vec::new() },
            removed: if n.is_multiple_of(2) { Vec::new() } else { vec!["python3-3.12.4".into()] },
        }),
    }
}

fn empty(state: State, decision: Decision, summary: &str) -> Report {
    Report {
        schema: SCHEMA,
        id: "00c0ffee00c0ffee".into(),
        repository: "local/packages".into(),
        created_at: "2026-11-20T12:40:00Z".into(),
        base: Revision { rev: commit(1), reference: Some("main".into()) },
        head: Revision { rev: commit(2), reference: Some("update-libfoo".into()) },
        merge: Merge { tree: Some(tree(3)), conflicts: Vec::new() },
        state,
        verdict: Verdict { decision, summary: summary.into(), reasons: Vec::new() },
        counts: Counts::default(),
        evaluations: Vec::new(),
        changes: Vec::new(),
        eval_errors: Vec::new(),
        failures: Vec::new(),
        sources: Vec::new(),
        timings: Timings::default(),
    }
}

fn count(report: &mut Report) {
    let of = |category| report.changes.iter().filter(|change| change.category == category).count() as u64;
    let kind = |kind| report.changes.iter().filter(|change| change.change == kind).count() as u64;
    report.counts = Counts {
        added: kind(ChangeKind::Added),
        removed: kind(ChangeKind::Removed),
        changed: kind(ChangeKind::Changed),
        unchanged: 9_204,
        rebuilds: report.changes.iter().filter(|change| change.rebuild).count() as u64,
        newly_failing: of(Category::NewlyFailing),
        still_failing: of(Category::StillFailing),
        newly_succeeding: of(Category::NewlySucceeding),
        still_succeeding: of(Category::StillSucceeding),
        new_succeeding: of(Category::NewSucceeding),
        new_failing: of(Category::NewFailing),
        pending: of(Category::Pending),
        eval_errors_new: 1,
        eval_errors_fixed: 1,
        eval_errors_still: 1,
    };
}

/// A blocked review with something of everything.
pub fn blocked() -> Report {
    let mut report =
        empty(State::Complete, Decision::Blocked, "Do not merge yet: 9 attributes newly fail, all because of libfoo.");
    let cause = drv(7_001, "libfoo-2.0");
    let mut n = 0;
    let mut rows = |names: &[&str], category, changes: &mut Vec<Change>| {
        for name in names {
            n += 1;
            changes.push(change(n, name, category));
        }
    };
    let newly = ["libfoo", "curl", "git", "wget", "python3Packages.requests", "rsync", "emacs", "vlc", "set.\"odd.name\""];
    rows(&newly[..8], Category::NewlyFailing, &mut report.changes);
    rows(&["broken-since-ever", "also-broken"], Category::StillFailing, &mut report.changes);
    rows(&["fixed-by-this"], Category::NewlySucceeding, &mut report.changes);
    rows(&["libbar", "libbaz"], Category::NewSucceeding, &mut report.changes);
    rows(&["new-and-broken"], Category::NewFailing, &mut report.changes);
    rows(&["oldtool"], Category::Removed, &mut report.changes);
    rows(&["waits"], Category::Pending, &mut report.changes);
    rows(&["too-exotic"], Category::NotBuilt, &mut report.changes);
    rows(&["zlib", "xz", "bzip2", "openssl", "nginx", "sqlite", "tmux", "vim"], Category::StillSucceeding, &mut report.changes);
    let mut odd = change(99, "oddname", Category::NewlyFailing);
    odd.attr = attr(newly[8]);
    odd.aliases = vec![attr("zz.alias-of-odd")];
    report.changes.push(odd);
    for change in &mut report.changes {
        if change.category == Category::NewlyFailing && change.attr != attr("libfoo") {
            let head = change.head.as_mut().unwrap();
            (head.outcome, head.root_cause) = (Some(Outcome::DependencyFailed), Some(cause.clone()));
        }
    }
    report.verdict.reasons = vec![
        Reason {
            code: ReasonCode::NewlyFailing,
            level: Level::Block,
            text: "9 attributes that the base builds fail.".into(),
            attrs: newly.iter().map(|name| attr(name)).collect(),
        },
        Reason {
            code: ReasonCode::NewEvalErrors,
            level: Level::Warn,
            text: "1 attribute no longer evaluates.".into(),
            attrs: vec![attr("haskell.compiler")],
        },
        Reason {
            code: ReasonCode::NewlySucceeding,
            level: Level::Info,
            text: "1 attribute that was broken on the base builds.".into(),
            attrs: vec![attr("fixed-by-this")],
        },
    ];
    report.failures = vec![
        Failure {
            drv: cause,
            outcome: Outcome::Failed,
            attrs: newly.iter().map(|name| attr(name)).collect(),
            log_tail: Some(
                "checking for working compiler... yes\nbuilding\n  CC       src/parse.o\n\u{1b}[1;31msrc/parse.c:114:9: error:\u{1b}[0m use of \
                 undeclared identifier 'FOO_<MAX>'\n  114 |         if (len > FOO_<MAX>)\n      |             \u{1b}[32m^\u{1b}[0m\n1 error \
                 generated.\nmake: *** [Makefile:41: src/parse.o] Error 1\n"
                    .into(),
            ),
            log_url: Some("/api/logs/x".into()),
            decisive: Excerpt::of(
                "20261120T124000.123Z".into(),
                &[
                    "checking for working compiler... yes",
                    "building",
                    "  CC       src/parse.o",
                    "\u{1b}[1;31msrc/parse.c:114:9: error:\u{1b}[0m use of undeclared identifier 'FOO_<MAX>'",
                    "  114 |         if (len > FOO_<MAX>)",
                    "      |             \u{1b}[32m^\u{1b}[0m",
                    "1 error generated.",
                    "make: *** [Makefile:41: src/parse.o] Error 1",
                ],
                3_008,
            ),
            history: None,
        },
        Failure {
            drv: drv(7_002, "broken-since-ever-0.1"),
            outcome: Outcome::HashMismatch,
            attrs: vec![attr("broken-since-ever"), attr("also-broken")],
            log_tail: Some("error: hash mismatch in fixed-output derivation\n".into()),
            log_url: None,
            decisive: None,
            history: None,
        },
        Failure {
            drv: drv(7_003, "new-and-broken-1.0"),
            outcome: Outcome::TimedOut,
            attrs: vec![attr("new-and-broken")],
            log_tail: None,
            log_url: None,
            decisive: None,
            history: None,
        },
    ];
    report.eval_errors = vec![
        (EvalErrorStatus::New, "haskell.compiler", "error: attribute 'ghc96' missing\nat pkgs/haskell/default.nix:12:5"),
        (EvalErrorStatus::Fixed, "oldlib", "error: assertion '(stdenv.isLinux)' failed"),
        (EvalErrorStatus::Still, "abandoned", "error: Package ‘abandoned’ is marked as broken, refusing to evaluate."),
    ]
    .into_iter()
    .map(|(status, name, message)| EvalErrorRow {
        jobset: "default".into(),
        attr: attr(name),
        system: System::new("x86_64-linux"),
        status,
        message: message.into(),
        position: (status == EvalErrorStatus::New).then(|| Position { file: "pkgs/top-level.nix".into(), line: 114, column: 9 }),
        hides: if status == EvalErrorStatus::New { 214 } else { 0 },
    })
    .collect();
    report.evaluations = [Side::Base, Side::Head]
        .map(|side| EvaluationRow {
            jobset: "default".into(),
            system: System::new("x86_64-linux"),
            side,
            attrs: 9_231,
            errors: 2,
            attrs_evaluated: if side == Side::Base { 9_231 } else { 14 },
            attrs_reused: if side == Side::Base { 0 } else { 9_217 },
            cpu_seconds: if side == Side::Base { 14.2 } else { 0.61 },
            trace_cpu_seconds: if side == Side::Base { 41.7 } else { 0.0 },
            wall_seconds: if side == Side::Base { 7.9 } else { 0.84 },
            peak_memory_bytes: if side == Side::Base { 1_300_000_000 } else { 325_000_000 },
        })
        .into();
    report.timings =
        Timings { queued_seconds: Some(0.4), eval_seconds: Some(8.1), diff_seconds: Some(0.2), build_seconds: Some(312.0) };
    count(&mut report);
    report
}

/// A mergeable review.
pub fn mergeable() -> Report {
    let mut report = empty(State::Complete, Decision::Mergeable, "Ready to merge: 12 rebuilds, nothing newly fails.");
    report.changes = (0..12).map(|n| change(n, &format!("package{n}"), Category::StillSucceeding)).collect();
    count(&mut report);
    report
}

/// A review that has only begun.
pub fn begun() -> Report {
    empty(State::Evaluating, Decision::Pending, "Evaluating base and head.")
}

/// `n` changes, the categories in turn, and as many root causes as newly fail.
pub fn large(n: u64) -> Report {
    let mut report = blocked();
    report.changes = (0..n)
        .map(|i| {
            let category = super::parts::CATEGORIES[usize::try_from(i % 9).unwrap()];
            change(i, &format!("pkgs.set{}.package{i}", i % 40), category)
        })
        .collect();
    report.failures = report
        .changes
        .iter()
        .filter(|change| change.category == Category::NewlyFailing)
        .map(|change| Failure {
            drv: change.head.as_ref().unwrap().drv.clone(),
            outcome: Outcome::Failed,
            attrs: vec![change.attr.clone()],
            log_tail: Some("error: something\n".repeat(30)),
            log_url: None,
            decisive: None,
            history: None,
        })
        .collect();
    count(&mut report);
    report
}
