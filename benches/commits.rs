//! Incremental evaluation over the history of a repository, each commit beside a full evaluation: `make bench BENCH="--bench commits"`.
//!
//! For each of the last commits of `SNOWGATE_REPOSITORY` (its branch's first parents), from old to new: the commit is evaluated from
//! the traces of the one before, as the head of a pull request is; one commit in `SNOWGATE_CHECK` (10) is also evaluated in full by
//! us, by plain Nix (`nix-instantiate --eval --strict --json --readonly-mode` over all attributes that evaluate), and compared
//! attribute by attribute; then what changed is recorded again, as after a push. `SNOWGATE_COMMITS` (200), `SNOWGATE_FILE`
//! (`default.nix`), `SNOWGATE_WORKERS` (1).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use snowgate::actors::evaluator::{Evaluate, Evaluator, Hurry, Record, Reuse, What};
use snowgate::actors::events::Events;
use snowgate::actors::open::{self, For};
use snowgate::actors::post::Post;
use snowgate::config::StateDir;
use snowgate::config::repository::{Jobset, JobsetSource};
use snowgate::config::server::Settings;
use snowgate::db::Db;
use snowgate::domain::{Attr, AttrPath, CommitId, Evaluation, ReviewId, Side, System};
use snowgate::eval::trace::Always;
use snowgate::git::Repository;
use tokio_util::sync::CancellationToken;

fn main() {
    let Some(path) = std::env::var_os("SNOWGATE_REPOSITORY").map(PathBuf::from) else {
        println!("commits: set SNOWGATE_REPOSITORY to a clone of a package set");
        return;
    };
    actix::System::new().block_on(commits(&path));
}

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn git(path: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git").arg("-C").arg(path).args(arguments).output().expect("git runs");
    assert!(output.status.success(), "git {arguments:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// User and system seconds of all children that have ended.
fn children_cpu() -> f64 {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN).expect("getrusage");
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

struct House {
    evaluator: Post<Evaluator>,
    repository: Repository,
    jobset: Jobset,
}

impl House {
    async fn what(&self, commit: &str) -> What {
        let commit: CommitId = commit.parse().expect("a commit");
        What {
            repository: self.repository.clone(),
            tree: self.repository.tree_of(&commit).await.expect("a tree"),
            jobset: self.jobset.clone(),
            system: System::host(),
            options: BTreeMap::new(),
        }
    }

    async fn evaluate(&self, commit: &str, reuse: Reuse) -> Arc<Evaluation> {
        let evaluate = Evaluate {
            what: self.what(commit).await,
            reuse,
            review: ReviewId::new("bench"),
            side: Side::Head,
            cancelled: CancellationToken::new(),
        };
        self.evaluator.ask(evaluate).await.expect("an answer").expect("an evaluation")
    }
}

#[derive(Default)]
struct Figures(Vec<f64>);

impl Figures {
    fn line(&mut self, what: &str, unit: &str) {
        self.0.sort_by(f64::total_cmp);
        let at = |share: f64| self.0.get(((self.0.len() as f64 - 1.0) * share).round() as usize).copied().unwrap_or_default();
        let mean = self.0.iter().sum::<f64>() / self.0.len().max(1) as f64;
        println!(
            "  {what:32} median {:7.3} {unit}  p75 {:7.3}  p90 {:7.3}  most {:7.3}  mean {mean:7.3}  ({})",
            at(0.5),
            at(0.75),
            at(0.9),
            at(1.0),
            self.0.len()
        );
    }
}

async fn commits(path: &Path) {
    let count = number("SNOWGATE_COMMITS", 200);
    let check = number("SNOWGATE_CHECK", 10).max(1);
    let file = std::env::var("SNOWGATE_FILE").unwrap_or_else(|_| "default.nix".into());
    let state_directory = tempfile::tempdir().expect("a temporary directory");
    let state = StateDir::new(state_directory.path().join("state"));
    let mut settings = Settings::default();
    settings.eval.workers = Some(number("SNOWGATE_WORKERS", 1) as u32);
    let db = Db::open(&state).expect("a database");
    let program = PathBuf::from(env!("CARGO_BIN_EXE_snowgate"));
    let closing = CancellationToken::new();
    let opened = open::open(program, &settings, &state, db.clone(), Events::default(), closing.clone(), For::OneEvaluation);
    let opened = opened.await.expect("a house");
    let house = House {
        evaluator: opened.desk.evaluator.clone(),
        repository: Repository::open(path, &state.objects()).await.expect("a repository"),
        jobset: Jobset {
            name: "default".into(),
            source: JobsetSource::File(file.clone()),
            attrs: Vec::new(),
            systems: Vec::new(),
            args: BTreeMap::new(),
            argstrs: BTreeMap::new(),
            force_recurse: false,
        },
    };
    let commits = git(path, &["rev-list", "--first-parent", &format!("--max-count={count}"), "HEAD"]);
    let commits: Vec<&str> = commits.lines().rev().collect();
    let (mut incremental, mut wall, mut ratio, mut again, mut full, mut plain) =
        (Figures::default(), Figures::default(), Figures::default(), Figures::default(), Figures::default(), Figures::default());
    let (mut compared, mut mismatches, mut peak, mut peak_recording) = (0, 0, 0, 0);
    let mut last_full = 0.0;
    for (index, commit) in commits.iter().enumerate() {
        let evaluation = house.evaluate(commit, Reuse::Known).await;
        let stats = &evaluation.stats;
        if index == 0 {
            last_full = stats.cpu_seconds;
            println!("{} attributes, first evaluation {:.2} CPU s", evaluation.attrs.len(), stats.cpu_seconds);
        } else {
            incremental.0.push(stats.cpu_seconds);
            wall.0.push(stats.wall_seconds);
            peak = peak.max(stats.peak_memory_bytes);
        }
        let mut said = String::new();
        if index % check == 0 {
            let whole = house.evaluate(commit, Reuse::Nothing).await;
            full.0.push(whole.stats.cpu_seconds);
            last_full = whole.stats.cpu_seconds;
            let wrong = differing(&evaluation, &whole);
            compared += whole.attrs.len();
            mismatches += wrong.len();
            let checkout = Checkout::of(path, commit);
            let nix = checkout.plain_nix(&file, &whole);
            if index == 0 {
                println!("a `nix repl` asked for each attribute by itself: {:.2} CPU s", checkout.repl(&file, &whole));
            }
            plain.0.push(nix);
            said = format!(", full {last_full:.2} CPU s, plain Nix {nix:.2}, {} mismatches", wrong.len());
            for path in wrong.iter().take(5) {
                println!("  MISMATCH {path}: {:?} is {:?}", evaluation.attrs.get(path), whole.attrs.get(path));
            }
        }
        if index > 0 {
            ratio.0.push(stats.cpu_seconds / last_full);
        }
        let record = Record {
            what: house.what(commit).await,
            reuse: Reuse::Known,
            hurry: Hurry::Somebody,
            review: None,
            control: Arc::new(Always),
            cancelled: CancellationToken::new(),
        };
        let started = Instant::now();
        let recording = house.evaluator.ask(record).await.expect("an answer").expect("a recording");
        peak_recording = peak_recording.max(recording.peak_memory_bytes);
        if index > 0 {
            again.0.push(recording.cpu_seconds);
        }
        println!(
            "{} {:5} evaluated {:5} reused {:6.3} CPU s {:6.3} s{said}; recorded {:5} in {:6.2} CPU s {:6.2} s, {} unknown, {} otherwise  {}",
            &commit[..8],
            stats.attrs_evaluated,
            stats.attrs_reused,
            stats.cpu_seconds,
            stats.wall_seconds,
            recording.recorded,
            recording.cpu_seconds,
            started.elapsed().as_secs_f64(),
            recording.unknown,
            recording.otherwise.len(),
            git(path, &["log", "-1", "--format=%s", commit]).trim().chars().take(40).collect::<String>()
        );
    }
    println!("{} commits of {}", commits.len(), path.display());
    full.line("full evaluation, ours", "CPU s");
    plain.line("plain Nix, what evaluates", "CPU s");
    incremental.line("incremental evaluation", "CPU s");
    wall.line("incremental evaluation", "s    ");
    ratio.line("incremental to full, ours", "     ");
    again.line("recorded again", "CPU s");
    println!("  {mismatches} mismatches in {compared} compared attributes");
    let mib = |bytes: u64| bytes >> 20;
    println!("  memory: incremental {} MiB, recording {} MiB at most for one process", mib(peak), mib(peak_recording));
    let own = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).expect("getrusage");
    println!("  memory: this process {} MiB at most", own.max_rss() >> 10);
    db.flush().await.expect("the database is written");
    println!("  state: {} KiB of database", std::fs::metadata(db.path()).map_or(0, |metadata| metadata.len() >> 10));
    closing.cancel();
}

/// Attributes that the two don't have alike.
fn differing(one: &Evaluation, other: &Evaluation) -> Vec<AttrPath> {
    let paths = one.attrs.keys().chain(other.attrs.keys().filter(|path| !one.attrs.contains_key(*path)));
    paths.filter(|path| one.attrs.get(*path) != other.attrs.get(*path)).cloned().collect()
}

/// A commit's files, for plain Nix.
struct Checkout {
    directory: tempfile::TempDir,
}

/// `get PATH`, and an attribute's derivation with its outputs.
const PLAIN: &str = "get = builtins.foldl' (s: n: s.${n}) root; \
    describe = p: let d = get p; in { drv = d.drvPath; outputs = map (o: d.${o}.outPath) (d.outputs or [ \"out\" ]); };";

impl Checkout {
    fn of(path: &Path, commit: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let tree = directory.path().join("source");
        std::fs::create_dir(&tree).expect("a directory");
        let mut archive = Command::new("git");
        let mut archive = archive.arg("-C").arg(path).args(["archive", commit]).stdout(Stdio::piped()).spawn().expect("git runs");
        let files = archive.stdout.take().expect("a pipe");
        let status = Command::new("tar").arg("-x").arg("-C").arg(&tree).stdin(files).status().expect("tar runs");
        assert!(status.success() && archive.wait().expect("git ends").success());
        Self { directory }
    }

    fn root(&self, file: &str) -> String {
        let file = self.directory.path().join("source").join(file);
        format!("value = import {}; root = if builtins.isFunction value then value {{ }} else value; {PLAIN}", file.display())
    }

    /// CPU seconds of one `nix-instantiate` over all attributes that evaluate.
    fn plain_nix(&self, file: &str, evaluation: &Evaluation) -> f64 {
        let mut expression = format!("let {} in map describe [\n", self.root(file));
        for path in evaluation.attrs.iter().filter(|(_, attr)| matches!(attr, Attr::Derivation(_))).map(|(path, _)| path) {
            expression.push_str(&format!("{}\n", list(path)));
        }
        expression.push(']');
        let list = self.directory.path().join("list.nix");
        std::fs::write(&list, expression).expect("a file");
        let before = children_cpu();
        let output = Command::new("nix-instantiate")
            .args(["--eval", "--strict", "--json", "--readonly-mode", "--option", "experimental-features", "nix-command flakes"])
            .arg(&list)
            .stdin(Stdio::null())
            .output()
            .expect("nix-instantiate runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        children_cpu() - before
    }

    /// CPU seconds of one `nix repl` that is asked for one attribute after the other, errors too.
    fn repl(&self, file: &str, evaluation: &Evaluation) -> f64 {
        let root = self.directory.path().join("root.nix");
        std::fs::write(&root, format!("let {} in describe", self.root(file))).expect("a file");
        let mut questions = format!("describe = import {}\n", root.display());
        for path in evaluation.attrs.keys() {
            questions.push_str(&format!("builtins.toJSON (describe {})\n", list(path)));
        }
        let asked = self.directory.path().join("questions");
        std::fs::write(&asked, questions).expect("a file");
        let before = children_cpu();
        let status = Command::new("nix")
            .args(["repl", "--quiet", "--option", "experimental-features", "nix-command flakes"])
            .args(["--store", "dummy://", "--eval-store", "dummy://?read-only=false"])
            .stdin(std::fs::File::open(&asked).expect("the questions"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("nix repl runs");
        assert!(status.success());
        children_cpu() - before
    }
}

fn list(path: &AttrPath) -> String {
    let names: Vec<String> = path.names().iter().map(|name| format!("{name:?}")).collect();
    format!("[ {} ]", names.join(" "))
}
