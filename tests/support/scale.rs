//! A review of many changed attributes, as a change of a compiler or a library at the bottom of a package set makes it: put into a
//! real database, so that a really served appliance shows it. The same for the same number.

#![allow(dead_code, reason = "each user takes its own part")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use snowgate::config::StateDir;
use snowgate::db::{Db, NewReview, PullRow, PullState, RepositoryRow};
use snowgate::domain::{
    Attr, AttrPath, CommitId, Detail, DrvPath, EvalError, EvalStats, Evaluation, Job, Outcome, OutputName, Position,
    RepositoryName, ReviewId, Side, StorePath, System, TreeId,
};
use snowgate::review::report::{EvaluationRow, Merge, Report, Revision, State, Timings};
use snowgate::review::{Closure, Comparison, Fact, Facts, Header, Policy, compare, report};

#[path = "scale/commits.rs"]
mod commits;
#[path = "scale/evidence.rs"]
mod evidence;

/// Root causes of the review, the last of which failed on the base too.
pub const CAUSES: usize = 40;
const STILL_CAUSES: usize = 6;
const SYSTEMS: [&str; 2] = ["x86_64-linux", "aarch64-linux"];
const SETS: [&str; 8] = ["", "python3Packages.", "haskellPackages.", "perlPackages.", "", "rubyGems.", "kdePackages.", "gnome."];
const LICENSES: [&str; 5] = ["mit", "asl20", "gpl3Plus", "bsd3", "lgpl21Plus"];

/// A hash in Nix's alphabet; different for different seeds.
fn hash(seed: u64) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d;
    let mut text = String::with_capacity(32);
    for _ in 0..32 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.push(char::from(ALPHABET[(state % 32) as usize]));
    }
    text
}

fn drv(seed: u64, name: &str) -> DrvPath {
    format!("/nix/store/{}-{name}.drv", hash(seed)).parse().expect("a derivation")
}

fn store_path(seed: u64, name: &str) -> StorePath {
    format!("/nix/store/{}-{name}", hash(seed)).parse().expect("a store path")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Cause,
    BlockedBy(usize),
    Fixed,
    Added,
    AddedAndFailing,
    Removed,
    Good,
}

/// Of each hundred attributes: 20 are blocked, some are new, gone or fixed, the others build as before.
fn kind(i: usize) -> Kind {
    if i < CAUSES {
        return Kind::Cause;
    }
    match i % 100 {
        // what lies lowest blocks most
        0..20 => Kind::BlockedBy(((i * 7919) % (CAUSES * CAUSES)).isqrt() % CAUSES),
        20 => Kind::Fixed,
        21..23 => Kind::Added,
        23 if i % 1000 < 300 => Kind::AddedAndFailing,
        24 => Kind::Removed,
        _ => Kind::Good,
    }
}

struct Sides {
    base: Vec<(AttrPath, Attr)>,
    head: Vec<(AttrPath, Attr)>,
}

/// The report of a change of `number` rows, complete and blocked.
pub fn large(id: &ReviewId, repository: &RepositoryName, base: Revision, head: Revision, number: usize) -> Report {
    let (header, comparison, facts) = material(id, repository, base, head, number);
    report(&header, &comparison, &facts)
}

/// What that report is made of.
pub fn material(
    id: &ReviewId,
    repository: &RepositoryName,
    base: Revision,
    head: Revision,
    number: usize,
) -> (Header, Comparison, Facts) {
    let mut facts = Facts::default();
    let mut sides: BTreeMap<&str, Sides> =
        SYSTEMS.map(|system| (system, Sides { base: Vec::new(), head: Vec::new() })).into_iter().collect();
    let causes: Vec<DrvPath> = (0..CAUSES).map(|i| named(i, Side::Head).0).collect();
    for i in 0..number {
        add(i, &causes, &mut sides, &mut facts);
    }
    errors(&mut sides);
    let mut header = header(id, repository, base, head);
    let [base, head] = [Side::Base, Side::Head]
        .map(|side| sides.iter().map(|(system, sides)| evaluation(system, side, sides)).collect::<Vec<_>>());
    for (side, evaluations) in [(Side::Base, &base), (Side::Head, &head)] {
        header.evaluations.extend(evaluations.iter().map(|evaluation| EvaluationRow::new(side, evaluation)));
    }
    (header, compare(&base, &head), facts)
}

fn evaluation(system: &str, side: Side, sides: &Sides) -> Evaluation {
    let attrs = if side == Side::Base { &sides.base } else { &sides.head };
    Evaluation {
        tree: "4b825dc642cb6eb9a060e54bf8d69288fbee4904".parse().expect("a tree"),
        jobset: "default".into(),
        system: System::new(system),
        attrs: attrs.iter().cloned().collect(),
        stats: EvalStats {
            attrs_evaluated: attrs.len() as u64,
            cpu_seconds: 212.5,
            wall_seconds: 121.7,
            peak_memory_bytes: 2_900_000_000,
            ..EvalStats::default()
        },
    }
}

fn header(id: &ReviewId, repository: &RepositoryName, base: Revision, head: Revision) -> Header {
    Header {
        id: id.clone(),
        repository: repository.clone(),
        created_at: Timestamp::now().to_string(),
        base,
        head,
        merge: Merge { tree: Some("4b825dc642cb6eb9a060e54bf8d69288fbee4904".parse().expect("a tree")), conflicts: Vec::new() },
        state: State::Complete,
        error: None,
        evaluations: Vec::new(),
        alarms: Vec::new(),
        timings: Timings {
            queued_seconds: Some(0.3),
            eval_seconds: Some(243.0),
            diff_seconds: Some(0.4),
            build_seconds: Some(18_212.0),
        },
        policy: Policy::default(),
    }
}

/// The derivation of an attribute, and its version there.
fn named(i: usize, side: Side) -> (DrvPath, String) {
    let old = format!("{}.{}.{}", i % 7, i % 23, i % 5);
    let version = match side {
        Side::Head if i.is_multiple_of(3) => format!("{}.{}.{}", i % 7, i % 23 + 1, 0),
        Side::Head | Side::Base => old,
    };
    (drv(i as u64 * 2 + u64::from(side == Side::Head), &format!("{}-{version}", name(i))), version)
}

fn name(i: usize) -> String {
    const WORDS: [&str; 12] =
        ["lib", "tls", "font", "crypt", "json", "wayland", "audio", "parser", "http", "image", "kernel", "shell"];
    let word = |n: usize| WORDS[(i / n + i) % WORDS.len()];
    if i < CAUSES { format!("lib{}{i}", word(3)) } else { format!("{}-{}-{i}", word(5), word(1)) }
}

fn add(i: usize, causes: &[DrvPath], sides: &mut BTreeMap<&str, Sides>, facts: &mut Facts) {
    use Outcome::{DependencyFailed, Failed, Succeeded};
    let system = SYSTEMS[usize::from(i >= CAUSES && i % 10 >= 7)];
    let set = if i < CAUSES { "" } else { SETS[i % SETS.len()] };
    let attr: AttrPath = format!("{set}{}", name(i)).parse().expect("an attribute");
    let kind = kind(i);
    let still = matches!(kind, Kind::Cause | Kind::BlockedBy(_)) && cause_of(i, kind) >= CAUSES - STILL_CAUSES;
    for side in [Side::Base, Side::Head] {
        if (side == Side::Base && matches!(kind, Kind::Added | Kind::AddedAndFailing))
            || (side == Side::Head && kind == Kind::Removed)
        {
            continue;
        }
        let (drv, version) = named(i, side);
        let outcome = match (kind, side) {
            (Kind::Cause, Side::Head) | (Kind::AddedAndFailing, _) | (Kind::Fixed, Side::Base) => Failed,
            (Kind::BlockedBy(_), Side::Head) => DependencyFailed,
            (Kind::Cause | Kind::BlockedBy(_), Side::Base) if still => Failed,
            _ => Succeeded,
        };
        let mut fact = Fact::from(outcome);
        if let (Kind::BlockedBy(cause), Side::Head) = (kind, side) {
            fact.root_cause = Some(causes[cause].clone());
        }
        if outcome == Failed {
            (fact.log_tail, fact.log_url) = (Some(tail(i)), Some(format!("/api/logs/{}", drv.base_name())));
        }
        facts.outcomes.insert(drv.clone(), fact);
        let output = store_path(drv_seed(i, side), &format!("{}-{version}", name(i)));
        if outcome == Succeeded && kind == Kind::Good {
            facts.closures.insert(drv.clone(), std::sync::Arc::new(closure(i, side, &output)));
        }
        let outputs = [("out", output)].map(|(name, path)| (OutputName::new(name), Some(path)));
        let job = Job { drv, outputs: outputs.into(), system: System::new(system) };
        let mut names = vec![attr.clone()];
        if i % 20 == 11 {
            names.push(format!("{set}{}_{}", name(i), i % 7).parse().expect("an attribute"));
        }
        let details = if side == Side::Base { &mut facts.base_details } else { &mut facts.head_details };
        details.insert(("default".into(), System::new(system), attr.clone()), detail(i, &version));
        let attrs = sides.get_mut(system).map(|sides| if side == Side::Base { &mut sides.base } else { &mut sides.head });
        attrs.expect("a known system").extend(names.into_iter().map(|name| (name, Attr::Derivation(job.clone()))));
    }
}

fn cause_of(i: usize, kind: Kind) -> usize {
    match kind {
        Kind::BlockedBy(cause) => cause,
        _ => i,
    }
}

fn drv_seed(i: usize, side: Side) -> u64 {
    1_000_000_000 + i as u64 * 2 + u64::from(side == Side::Head)
}

/// What a package set says of a package.
fn detail(i: usize, version: &str) -> Detail {
    let meta = serde_json::json!({
        "description": format!("A small and fast {} for {} of every kind", name(i), name(i + 1)),
        "homepage": format!("https://{}.example.org/", name(i)),
        "license": [{ "spdxId": LICENSES[i % LICENSES.len()], "free": true, "fullName": "A licence with a full name" }],
        "maintainers": [{ "github": format!("maintainer-{}", i % 97), "githubId": i % 97, "name": "Some Body" }],
        "position": format!("pkgs/by-name/{}/{}/package.nix:{}", i % 26, name(i), i % 90),
        "broken": false, "insecure": false, "unfree": false,
        "platforms": ["x86_64-linux", "aarch64-linux", "x86_64-darwin", "aarch64-darwin"],
    });
    let meta = Arc::new(meta.as_object().cloned().unwrap_or_default());
    Detail { pname: Some(name(i)), version: Some(version.to_owned()), meta, ..Detail::default() }
}

fn closure(i: usize, side: Side, output: &StorePath) -> Closure {
    let own = 3_000_000
        + (i as u64 % 911) * 40_000
        + if side == Side::Head && i.is_multiple_of(4) { (i as u64 % 300) * 9_000 } else { 0 };
    let mut paths: BTreeMap<StorePath, u64> = BTreeMap::from([(output.clone(), own)]);
    for n in 0..24 {
        paths.insert(store_path(2_000_000_000 + n, &format!("dependency-{n}-1.{n}")), 1_700_000);
    }
    if side == Side::Head && i.is_multiple_of(50) {
        paths.insert(store_path(3_000_000_000, "gcc-15.2.0"), 212_000_000);
    }
    Closure { bytes: paths.values().sum(), paths }
}

fn tail(i: usize) -> String {
    let mut text = String::new();
    for n in 0..22 {
        text += &format!("[{}/{}] Compiling C++ object src/lib{}.so.p/parse_{n}.cpp.o\n", 210 + n, 240, name(i));
    }
    text + &format!(
        "\u{1b}[1msrc/parse_21.cpp:114:9: \u{1b}[31merror:\u{1b}[0m ‘struct {}’ has no member named ‘size’\n\
         ninja: build stopped: subcommand failed.\nerror: builder failed with exit code 1\n",
        name(i)
    )
}

/// Some attributes can't be evaluated any more, some can again, many never could.
fn errors(sides: &mut BTreeMap<&str, Sides>) {
    let Some(sides) = sides.get_mut(SYSTEMS[0]) else { return };
    let error = |i: usize, message: &str| {
        let name: AttrPath = format!("broken.package-{i}").parse().expect("an attribute");
        // some are in a file that the change touches
        let place = |line| Position { file: commits::COMMON.into(), line, column: 31 };
        let position = i.is_multiple_of(2).then(|| place(1 + i as u32 % commits::COMMON_LINES));
        (name, Attr::Failed(EvalError { message: format!("{message} (package-{i})"), position }))
    };
    for i in 0..400 {
        let message = "Package is marked as broken, refusing to evaluate.";
        sides.base.push(error(i, message));
        sides.head.push(error(i, message));
    }
    sides
        .head
        .extend((400..435).map(|i| error(i, "attribute 'openssl_1_1' missing\nat pkgs/top-level/all-packages.nix:1204:31")));
    sides.base.extend((435..450).map(|i| error(i, "assertion '(lib.versionAtLeast version \"2\")' failed")));
}

/// A repository of `pulls` branches, each with one commit, and its database: the first branch has the review of `changes` rows, the
/// others small ones of every verdict. Nothing of it is left to review.
pub async fn furnish(state: &StateDir, repository: &Path, name: &RepositoryName, pulls: usize, changes: usize) {
    let heads = commits::branches(repository, pulls);
    let commit = |reference: &str| -> CommitId { commits::git(repository, &["rev-parse", reference]).parse().expect("a commit") };
    let base = commit("main");
    let db = Db::open(state).expect("a database");
    let row = RepositoryRow {
        name: name.clone(),
        path: repository.to_owned(),
        base_branch: "main".into(),
        url: None,
        read_at: Some(Timestamp::now()),
        error: None,
    };
    db.upsert_repository(row).await.expect("a repository");
    for (i, head) in heads.iter().enumerate() {
        let branch = format!("change-{i:04}");
        let number = db.pull_number(name, &branch).await.expect("a number");
        let at = Timestamp::now() - SignedDuration::from_mins(17 * i as i64);
        let pull = PullRow {
            repository: name.clone(),
            number,
            title: commits::title(i),
            author: commits::author(i),
            branch: branch.clone(),
            head: head.clone(),
            base_branch: "main".into(),
            base: base.clone(),
            state: PullState::Open,
            created_at: at,
            updated_at: at,
            additions: 1,
            deletions: 0,
            review: None,
        };
        db.upsert_pull(pull).await.expect("a pull request");
        let id = ReviewId::new(format!("{:016x}", 0xc0_ffee_0000 + i));
        let new = NewReview {
            id: id.clone(),
            repository: name.clone(),
            number: Some(number),
            base_rev: base.clone(),
            base_ref: Some("main".into()),
            head_rev: head.clone(),
            head_ref: Some(branch.clone()),
            tree: None,
        };
        db.create_review(new).await.expect("a review");
        let revision = |rev: &CommitId, reference: &str| Revision { rev: rev.clone(), reference: Some(reference.to_owned()) };
        let (base, head) = (revision(&base, "main"), revision(head, &branch));
        if i == 0 {
            let (mut header, comparison, facts) = material(&id, name, base, head, changes);
            header.merge.tree = Some(tree(repository, &branch));
            db.save_report(&report(&header, &comparison, &facts)).await.expect("a report");
            evidence::store(&db, &id, &comparison, &facts).await;
            evidence::attempts(&db, &id, &comparison).await;
            evidence::happenings(&db, name, number, &id).await;
        } else {
            db.save_report(&small(&id, name, base, head, i)).await.expect("a report");
        }
    }
    db.close().await;
}

/// What would land: each branch is one commit after its base.
fn tree(repository: &Path, branch: &str) -> TreeId {
    commits::git(repository, &["rev-parse", &format!("{branch}^{{tree}}")]).parse().expect("a tree")
}

/// A change of a few packages: two of three are mergeable.
fn small(id: &ReviewId, name: &RepositoryName, base: Revision, head: Revision, i: usize) -> Report {
    let rows = 1 + i % 9;
    if i.is_multiple_of(3) {
        return large(id, name, base, head, CAUSES + rows);
    }
    let mut facts = Facts::default();
    let mut sides: BTreeMap<&str, Sides> =
        SYSTEMS.map(|system| (system, Sides { base: Vec::new(), head: Vec::new() })).into_iter().collect();
    for n in 0..rows {
        // one that is no cause and is not blocked
        add(10_025 + n + 100 * i, &[], &mut sides, &mut facts);
    }
    let evaluations = |side| sides.iter().map(|(system, sides)| evaluation(system, side, sides)).collect::<Vec<_>>();
    report(&header(id, name, base, head), &compare(&evaluations(Side::Base), &evaluations(Side::Head)), &facts)
}
