//! `snowgate review` and bad luck: killed, interrupted, doubled, met by a newer state, run by an ordinary user.

mod support;

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use snowgate::review::report::{Category, Decision};
use support::{Story, processes_naming};

/// A story whose change has a quick package and one that waits for ever while `hold` exists; outside the sandbox, so that builders
/// can tell the test where they are.
struct Held {
    story: Story,
}

const UNSANDBOXED: [&str; 6] = ["--option", "sandbox", "false", "--option", "build-users-group", ""];

impl Held {
    fn begin() -> Self {
        let story = Story::begin("quick = pkg \"quick-1\" \"echo > $out\";");
        let path = |name: &str| story.path(name).display().to_string();
        for fifo in ["began", "alive"] {
            nix::unistd::mkfifo(&story.path(fifo), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        }
        std::fs::write(story.path("hold"), "").unwrap();
        story.change(&format!(
            r#"
            quick = pkg "quick-2" "echo built >> {}; echo > $out";
            slow = pkg "slow-1" "read line < ${{quick}}; if [ -e {} ]; then exec 5> {}; echo > {}; while :; do :; done; fi; echo > $out";
            "#,
            path("count"),
            path("hold"),
            path("alive"),
            path("began"),
        ));
        Self { story }
    }

    /// Starts a review and waits until the slow builder runs.
    fn start(&self) -> (Child, Alive) {
        let child = self.story.command(&UNSANDBOXED).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        // opens when the builder opens its end
        let alive = Alive(File::open(self.story.path("alive")).unwrap());
        File::open(self.story.path("began")).unwrap().read_to_end(&mut Vec::new()).unwrap();
        (child, alive)
    }

    fn finish(&self) {
        std::fs::remove_file(self.story.path("hold")).unwrap();
        let reviewed = self.story.review(&UNSANDBOXED);
        assert_eq!(reviewed.status, 0, "{}", reviewed.stderr);
        assert_eq!(reviewed.report().verdict.decision, Decision::Mergeable);
        assert_eq!(reviewed.category("slow"), Category::NewSucceeding);
        let built = std::fs::read_to_string(self.story.path("count")).unwrap();
        assert_eq!(built.lines().count(), 1, "what was built is not built again");
        assert_eq!(processes_naming(self.story.salt()), Vec::<String>::new());
    }
}

/// The builder's end of a pipe is open as long as the builder lives.
struct Alive(File);

impl Alive {
    fn wait_for_death(mut self) {
        self.0.read_to_end(&mut Vec::new()).unwrap();
    }
}

#[test]
fn killed_in_the_middle_and_run_again() {
    let held = Held::begin();
    let (mut child, alive) = held.start();
    child.kill().unwrap();
    child.wait().unwrap();
    alive.wait_for_death();
    held.finish();
}

#[test]
fn interrupted_it_leaves_nothing_behind_and_goes_on_the_next_time() {
    let held = Held::begin();
    let (child, alive) = held.start();
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.lines().last().unwrap().starts_with("snowgate: interrupted; "), "{stderr}");
    alive.wait_for_death();
    assert_eq!(processes_naming(held.story.salt()), Vec::<String>::new());
    held.finish();
}

#[test]
fn two_processes_on_one_state_directory_are_refused() {
    let held = Held::begin();
    let (mut child, alive) = held.start();
    let second = held.story.review(&[]);
    assert_eq!(second.status, 3);
    assert!(second.complaint().contains(&child.id().to_string()), "it names the process: {}", second.stderr);
    child.kill().unwrap();
    child.wait().unwrap();
    alive.wait_for_death();
}

#[test]
fn a_newer_state_directory_is_refused() {
    use diesel::connection::SimpleConnection;
    use diesel::{Connection, SqliteConnection};
    let story = Story::begin("a = pkg \"a\" \"echo > $out\";");
    story.branch("change", "main");
    assert_eq!(story.review(&[]).status, 0);
    let database = snowgate::config::StateDir::new(story.state()).db();
    let mut connection = SqliteConnection::establish(&database.display().to_string()).unwrap();
    connection.batch_execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')").unwrap();
    drop(connection);
    let refused = story.review(&[]);
    assert_eq!(refused.status, 3);
    assert!(refused.complaint().contains("newer"), "{}", refused.stderr);
}

#[test]
fn what_was_altered_is_evaluated_again() {
    use diesel::{Connection, RunQueryDsl, SqliteConnection};
    let story = Story::begin("a = pkg \"a-1\" \"echo > $out\"; b = pkg \"b-1\" \"echo > $out\";");
    story.change("a = pkg \"a-2\" \"echo > $out\"; b = pkg \"b-1\" \"echo > $out\";");
    let database = snowgate::config::StateDir::new(story.state()).db();
    for alteration in
        ["x'00'", "substr(blob, 1, length(blob) - 7)", "CAST(substr(blob, 1, 70) || x'0000' || substr(blob, 73) AS BLOB)"]
    {
        assert_eq!(story.review(&["--no-build"]).status, 0);
        let mut connection = SqliteConnection::establish(&database.display().to_string()).unwrap();
        let altered = diesel::sql_query(format!("UPDATE evaluations SET blob = {alteration}")).execute(&mut connection).unwrap();
        assert_eq!(altered, 2, "base and head");
        drop(connection);
        let reviewed = story.review(&["--no-build"]);
        assert_eq!(reviewed.status, 0, "{}", reviewed.stderr);
        let report = reviewed.report();
        let changed: Vec<String> = report.changes.iter().map(|change| change.attr.to_string()).collect();
        assert_eq!(changed, ["a"]);
        assert!(report.evaluations.iter().all(|evaluation| evaluation.attrs_reused == 0), "{alteration}: evaluated again");
    }
}

#[test]
fn an_ordinary_user_builds_through_the_daemon() {
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("not run: only root can start a daemon and become somebody else");
        return;
    }
    const NOBODY: u32 = 65534;
    let story = Story::begin("a = pkg \"a-1\" \"echo > $out\"; b = pkg \"b-1\" \"exit 1\";");
    story.change("a = pkg \"a-2\" \"echo > $out\"; b = pkg \"b-2\" \"exit 1\";");
    let daemon = Daemon::start(&story.path("daemon.sock"));
    // where nobody may read it
    let program = story.path("snowgate");
    std::fs::copy(env!("CARGO_BIN_EXE_snowgate"), &program).unwrap();
    std::fs::set_permissions(story.path(""), std::fs::Permissions::from_mode(0o755)).unwrap();
    for owned in [story.repo(), story.path("home")] {
        std::fs::create_dir_all(&owned).unwrap();
        give(&owned, NOBODY);
    }
    let output = Command::new("setpriv")
        .args([&format!("--reuid={NOBODY}"), &format!("--regid={NOBODY}"), "--clear-groups"])
        .arg(&program)
        .arg("review")
        .arg(story.repo())
        .args(["--base", "main", "--head", "change", "--json", "-", "--state"])
        .arg(story.path("home/state"))
        .env("HOME", story.path("home"))
        .env("NIX_REMOTE", format!("unix://{}", daemon.socket.display()))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let report: snowgate::review::report::Report = serde_json::from_slice(&output.stdout).unwrap();
    let category = |attr: &str| report.changes.iter().find(|change| change.attr.to_string() == attr).unwrap().category;
    assert_eq!((category("a"), category("b")), (Category::StillSucceeding, Category::StillFailing));
}

struct Daemon {
    process: Child,
    socket: PathBuf,
}

impl Daemon {
    fn start(socket: &Path) -> Self {
        let process = Command::new("nix-daemon")
            .env("NIX_DAEMON_SOCKET_PATH", socket)
            .env_remove("NIX_REMOTE")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let daemon = Self { process, socket: socket.to_owned() };
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while std::os::unix::net::UnixStream::connect(socket).is_err() {
            assert!(std::time::Instant::now() < deadline, "the daemon does not listen");
            std::thread::yield_now();
        }
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn give(path: &Path, uid: u32) {
    std::os::unix::fs::lchown(path, Some(uid), Some(uid)).unwrap();
    if path.is_dir() && !path.is_symlink() {
        for entry in std::fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path(), uid);
        }
    }
}
