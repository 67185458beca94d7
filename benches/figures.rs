//! The figures of a review, each beside plain Nix in the same run: `make bench`, or `make bench BENCH="-- builds"` for some of them.
//!
//! - `builds`: 1,000 trivial derivations in a random graph (`SNOWGATE_DERIVATIONS` for another number), beside `nix-build -j2`;
//! - `documents`: from the start to the report, for a change that touches only documents;
//! - `evaluation`: a whole evaluation with one worker and with two: of a generated set of 10,000 derivations, or of
//!   `SNOWGATE_REPOSITORY`.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{graph, number};
use nix::sys::wait::WaitPidFlag;

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    for (name, bench) in [("builds", builds as fn()), ("documents", documents), ("evaluation", evaluation)] {
        if asked.is_empty() || asked.iter().any(|asked| name.contains(asked.as_str())) {
            bench();
        }
    }
}

struct Repository {
    directory: tempfile::TempDir,
}

impl Repository {
    fn new(default_nix: &str) -> Self {
        let repository = Self { directory: tempfile::tempdir().expect("a temporary directory") };
        std::fs::create_dir(repository.path()).expect("a directory");
        repository.git(&["init", "-q", "-b", "main"]);
        repository.git(&["config", "user.name", "Bench"]);
        repository.git(&["config", "user.email", "bench@example.org"]);
        repository.commit("default.nix", default_nix);
        repository
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("repository")
    }

    fn commit(&self, file: &str, text: &str) {
        std::fs::write(self.path().join(file), text).expect("a file");
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", "a change"]);
    }

    fn git(&self, arguments: &[&str]) {
        let status = Command::new("git").args(arguments).current_dir(self.path()).status().expect("git runs");
        assert!(status.success(), "git {arguments:?}");
    }

    fn review(&self, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_snowgate"));
        command.arg("review").arg(self.path()).arg("--state").arg(self.directory.path().join("state")).args(more);
        command
    }
}

/// No binary cache is asked: one that does not answer costs plain Nix a time-out for each derivation.
fn timed(command: &mut Command) -> Duration {
    let settings = std::env::var("NIX_CONFIG").unwrap_or_default();
    command.env("NIX_CONFIG", format!("{settings}\nsubstituters ="));
    let started = Instant::now();
    let output = command.stdin(Stdio::null()).output().expect("the command runs");
    let took = started.elapsed();
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 1)), "{command:?}: {code:?}: {}", String::from_utf8_lossy(&output.stderr));
    took
}

/// As [`timed`], and the processor time of that process alone: not of daemons, evaluations and builders.
fn measured(command: &mut Command) -> (Duration, Duration) {
    let settings = std::env::var("NIX_CONFIG").unwrap_or_default();
    command.env("NIX_CONFIG", format!("{settings}\nsubstituters ="));
    let started = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the command runs");
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    // it has ended, and the system still knows what it used
    nix::sys::wait::waitid(nix::sys::wait::Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).expect("its end");
    let took = started.elapsed();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("what it used");
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    // proc(5): utime and stime, the 14th and 15th field, in hundredths of a second
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    let status = child.wait().expect("its end");
    assert!(matches!(status.code(), Some(0 | 1)), "{command:?}: {status}");
    (took, Duration::from_millis(ticks * 10))
}

fn builds() {
    let count = number("SNOWGATE_DERIVATIONS", 1000);
    println!("{count} trivial derivations, two at once");
    for round in 1..=3 {
        let repository = Repository::new("{ }");
        let salt = repository.directory.path().display().to_string();
        repository.git(&["checkout", "-q", "-b", "change"]);
        repository.commit("default.nix", &graph(count, &format!("ours {salt}")));
        let plain = repository.directory.path().join("plain.nix");
        std::fs::write(&plain, graph(count, &format!("plain {salt}"))).expect("a file");
        // each as soon as it is known: plain Nix takes very long for many
        let ours = || {
            let (wall, cpu) = measured(&mut repository.review(&["--base", "main", "--jobs", "2"]));
            println!("  snowgate review {:8.2} s, of which its own CPU {:5.2} s", wall.as_secs_f64(), cpu.as_secs_f64());
            wall.as_secs_f64()
        };
        let nix_build = |file: &Path| {
            let wall = timed(Command::new("nix-build").arg(file).args(["-j2", "--no-out-link"])).as_secs_f64();
            println!("  nix-build -j2   {wall:8.2} s");
            wall
        };
        // in turn first and second, so that neither always meets the warmer machine
        let (ours, plain) = if round % 2 == 1 {
            let ours = ours();
            (ours, nix_build(&plain))
        } else {
            let plain = nix_build(&plain);
            (ours(), plain)
        };
        println!("  ratio           {:8.2}", ours / plain);
    }
}

fn documents() {
    let repository = Repository::new(&graph(60, "documents"));
    repository.git(&["checkout", "-q", "-b", "change"]);
    repository.commit("README.md", "# Read me\n");
    let times: Vec<String> =
        (0..5).map(|_| format!("{:.0} ms", timed(&mut repository.review(&["--base", "main"])).as_secs_f64() * 1e3)).collect();
    println!("a change of documents, 60 packages, from start to report: first {}, then {}", times[0], times[1..].join(", "));
}

fn evaluation() {
    let generated;
    let (path, what) = match std::env::var_os("SNOWGATE_REPOSITORY") {
        Some(path) => (PathBuf::from(&path), path.to_string_lossy().into_owned()),
        None => {
            generated = Repository::new(&graph(10_000, "evaluation"));
            (generated.path(), "a generated set of 10,000 derivations".to_owned())
        }
    };
    println!("a whole evaluation of {what}");
    let state = tempfile::tempdir().expect("a temporary directory");
    for workers in ["1", "2"] {
        let json = state.path().join("report.json");
        let mut review = Command::new(env!("CARGO_BIN_EXE_snowgate"));
        review.arg("review").arg(&path).args([
            "--base",
            "HEAD",
            "--no-build",
            "--full-eval",
            "--eval-workers",
            workers,
            "--json",
        ]);
        review.arg(&json).arg("--state").arg(state.path().join("state"));
        timed(&mut review);
        let report: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&json).expect("a report")).expect("the report is JSON");
        let row = &report["evaluations"][0];
        println!(
            "  {workers} worker{}: {:5.1} s wall, {:5.1} s CPU, {:.0} MiB at most, {} attributes, {} errors",
            if workers == "1" { " " } else { "s" },
            row["wall_seconds"].as_f64().unwrap_or_default(),
            row["cpu_seconds"].as_f64().unwrap_or_default(),
            row["peak_memory_bytes"].as_f64().unwrap_or_default() / f64::from(1 << 20),
            row["attrs"],
            row["errors"],
        );
    }
}
