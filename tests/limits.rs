//! What a build may use and has used, as the users of the appliance meet it: the real program, real Nix, the machine's own store.

#[path = "support/appliance.rs"]
mod appliance;

use std::path::Path;
use std::process::{Child, Command, Stdio};

use appliance::{Appliance, Place};
use serde_json::Value;

/// Doubles a text until there is no memory left.
const HOG: (&str, &str) = ("hog", "x=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; while :; do x=$x$x; done");
const BUSY: (&str, &str) = ("busy", "i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done; echo > $out");

/// Owns nothing.
const NOBODY: u32 = 65_534;

/// A process that is killed with the test.
struct Helper(Child);

impl Drop for Helper {
    fn drop(&mut self) {
        // an error: it has ended
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The newest attempt to build what an attribute of the review is at head.
fn attempt(snowgate: &Appliance<'_>, report: &Value, attr: &str) -> Value {
    let row = report["changes"].as_array().unwrap().iter().find(|row| row["attr"] == attr).unwrap();
    let name = row["head"]["drv"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    snowgate.json(&format!("/api/derivations/{name}"))["attempts"][0].clone()
}

fn limits_are_on(snowgate: &Appliance<'_>) -> bool {
    let page = snowgate.page("/builders");
    let on = page.contains("each build has a Nix daemon of its own");
    if !on {
        assert!(page.contains("nothing that a build uses is limited or measured"), "{page}");
        eprintln!("not tested: this machine allows no limits");
    }
    on
}

/// The hog was stopped, the other one was not; both were measured.
fn is_as_limited(snowgate: &Appliance<'_>, report: &Value) {
    assert_eq!(report["verdict"]["decision"], "blocked", "{report:#}");
    let hog = attempt(snowgate, report, "hog");
    assert_eq!(hog["outcome"], "out_of_memory", "{hog:#}");
    let message = hog["message"].as_str().unwrap();
    assert!(message.starts_with("was stopped: it used all of its 100 MiB of memory (peak "), "{message}");
    let busy = attempt(snowgate, report, "busy");
    assert_eq!(busy["outcome"], "succeeded", "{busy:#}");
    for attempt in [&hog, &busy] {
        assert!(attempt["cpu_seconds"].as_f64().unwrap() > 0.0, "{attempt:#}");
        assert!(attempt["peak_memory_bytes"].as_u64().unwrap() > 1 << 20, "{attempt:#}");
        assert!(attempt["io_read_bytes"].is_u64() && attempt["io_written_bytes"].is_u64(), "{attempt:#}");
    }
    assert!(snowgate.page("/settings").contains("100 MiB of memory"), "the settings say what is in force");
}

#[test]
fn a_build_that_wants_too_much_memory_is_stopped_and_its_neighbour_is_not() {
    let place = Place::new();
    place.build("memory_mb = 100");
    let sample = place.repository("sample");
    sample.packages(&[("lib", "echo lib > $out")]);
    sample.commit("a package");
    let head = sample.branch("change", &[HOG, BUSY]);
    let snowgate = place.serve();
    let report = snowgate.reviewed("change", &head);
    if limits_are_on(&snowgate) {
        is_as_limited(&snowgate, &report);
    }
    let (status, _) = snowgate.stop();
    assert!(status.success());
    place.nothing_runs();
}

#[test]
fn what_ran_out_of_memory_is_built_once_more_where_there_is_more() {
    let place = Place::new();
    place.build("memory_mb = 100\n[build.big]\njobs = 1\nmemory_mb = 1000");
    let sample = place.repository("sample");
    sample.packages(&[("lib", "echo lib > $out")]);
    sample.commit("a package");
    // sixty-four mebibytes of text, a few times over
    let large = ("large", "x=aaaaaaaaaaaaaaaa; i=0; while [ $i -lt 22 ]; do x=$x$x; i=$((i + 1)); done; echo > $out");
    let head = sample.branch("change", &[large, HOG]);
    let snowgate = place.serve();
    let report = snowgate.reviewed("change", &head);
    if limits_are_on(&snowgate) {
        let attempts = |attr: &str| -> Vec<(String, String)> {
            let row = report["changes"].as_array().unwrap().iter().find(|row| row["attr"] == attr).unwrap();
            let name = row["head"]["drv"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
            let derivation = snowgate.json(&format!("/api/derivations/{name}"));
            let word = |attempt: &Value, name: &str| attempt[name].as_str().unwrap().to_owned();
            let attempts = derivation["attempts"].as_array().unwrap().iter();
            attempts.map(|attempt| (word(attempt, "builder"), word(attempt, "outcome"))).collect()
        };
        let ended = |builder: &str, outcome: &str| (builder.to_owned(), outcome.to_owned());
        // newest first
        assert_eq!(attempts("large"), [ended("local-big", "succeeded"), ended("local", "out_of_memory")]);
        assert_eq!(attempts("hog"), [ended("local-big", "out_of_memory"), ended("local", "out_of_memory")]);
    }
    let (status, _) = snowgate.stop();
    assert!(status.success());
    place.nothing_runs();
}

/// The machine's daemon and worker, for those who may not do what these do.
fn helpers(place: &Place) -> [Helper; 2] {
    let socket = place.path("daemon.sock");
    let daemon = Command::new("nix-daemon")
        .env("NIX_DAEMON_SOCKET_PATH", &socket)
        .env("SNOWGATE_TEST_HELPER", "1")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let worker = Command::new(env!("CARGO_BIN_EXE_snowgate"))
        .args(["worker", "--config"])
        .arg(place.configuration())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let helpers = [Helper(daemon), Helper(worker)];
    for socket in [socket, place.path("worker.sock")] {
        place.eventually("it listens", || socket.exists().then_some(()));
    }
    helpers
}

#[test]
fn an_ordinary_user_serves_and_a_worker_builds() {
    if !nix::unistd::geteuid().is_root() || !runs_as_nobody() {
        eprintln!("not tested: this needs root, and a program that others may run");
        return;
    }
    let place = Place::new();
    let worker = place.path("worker.sock");
    place.build(&format!(
        "memory_mb = 100\nworker = \"{}\"\n[worker]\nusers = [\"{NOBODY}\"]\ngroup = \"{NOBODY}\"",
        worker.display()
    ));
    let sample = place.repository("sample");
    sample.packages(&[("lib", "echo lib > $out")]);
    sample.commit("a package");
    let head = sample.branch("change", &[HOG, BUSY]);
    let helpers = helpers(&place);
    let daemon = place.path("daemon.sock");
    place.served_by(NOBODY, &[("NIX_DAEMON_SOCKET_PATH", daemon.to_str().unwrap()), ("NIX_REMOTE", "daemon")]);
    let snowgate = place.serve();
    let report = snowgate.reviewed("change", &head);
    assert!(snowgate.page("/builders").contains(&format!("started by the worker at {}", worker.display())));
    is_as_limited(&snowgate, &report);
    let (status, _) = snowgate.stop();
    assert!(status.success());
    drop(helpers);
}

/// Whether others than root may run what is tested.
fn runs_as_nobody() -> bool {
    use std::os::unix::process::CommandExt;
    let program = Path::new(env!("CARGO_BIN_EXE_snowgate"));
    Command::new(program)
        .arg("--version")
        .uid(NOBODY)
        .gid(NOBODY)
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
