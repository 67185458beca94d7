//! `snowgate worker`: the real program, real Nix, real users.

#[path = "support/builds.rs"]
mod builds;
#[path = "support/groups.rs"]
mod groups;

use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use builds::{World, eventually};
use groups::groups_of;
use snowgate::cgroup::Limits;
use snowgate::domain::Outcome;
use snowgate::store::{Cells, ClientSettings, Discard};

/// Owns nothing.
const NOBODY: u32 = 65_534;

/// A worker that listens. Dropping it kills it.
struct Worker {
    child: Child,
    socket: PathBuf,
}

impl Worker {
    /// With these lines in the configuration, beside the settings that builders of this world need.
    fn start(world: &World, lines: &str) -> Option<Self> {
        let socket = world.path("run/worker.sock");
        let mut command = command(world, lines);
        command.arg("--listen").arg(&socket);
        Self::started(command, socket)
    }

    fn started(mut command: Command, socket: PathBuf) -> Option<Self> {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let serves = lines.by_ref().any(|line| {
            said += &format!("{line}\n");
            line.contains("serving at")
        });
        std::thread::spawn(move || lines.for_each(|line| eprintln!("worker: {line}")));
        if !serves && said.contains("control group") {
            eprintln!("not tested: {said}");
            child.wait().unwrap();
            return None;
        }
        assert!(serves, "{said}");
        Some(Self { child, socket })
    }

    fn cells(&self) -> Cells {
        Cells::of_worker(self.socket.clone())
    }

    fn kill(mut self) -> u32 {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child.id()
    }

    fn stop(mut self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
        assert_eq!(groups_of(self.child.id()), Vec::<PathBuf>::new());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // an error: it has ended
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn command(world: &World, lines: &str) -> Command {
    let config = world.path("config.toml");
    let options = "build.options = { sandbox = \"false\", substituters = \"\", build-users-group = \"\" }\n";
    std::fs::write(&config, format!("{options}{lines}\n")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_snowgate"));
    command.arg("worker").arg("--config").arg(config).env("NIX_REMOTE", world.store()).env_remove("RUST_LOG");
    command
}

/// What the worker says to a user about some words; or why that user can't ask.
fn said_to(user: u32, socket: &Path, words: &str) -> String {
    let (socket, words) = (socket.to_owned(), words.to_owned());
    let asked = std::thread::spawn(move || {
        // SAFETY: the system calls take integers. They concern this thread alone: the C library would change all threads.
        #[allow(unsafe_code)]
        let changed = unsafe {
            nix::libc::syscall(nix::libc::SYS_setresgid, user, user, user)
                | nix::libc::syscall(nix::libc::SYS_setresuid, user, user, user)
        };
        assert_eq!(changed, 0);
        match UnixStream::connect(&socket) {
            Ok(mut stream) => say(&mut stream, &words),
            Err(fault) => fault.to_string(),
        }
    });
    asked.join().unwrap()
}

fn say(stream: &mut UnixStream, words: &str) -> String {
    // who is refused may have been answered, and hung up on, before
    match stream.write_all(format!("{words}\n").as_bytes()) {
        Err(fault) if fault.kind() == std::io::ErrorKind::BrokenPipe => {}
        written => written.unwrap(),
    }
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("not tested: a worker is root's");
    }
    root
}

#[tokio::test]
async fn a_build_by_the_worker_is_limited_and_measured() {
    let world = World::new();
    let Some(worker) = is_root().then(|| Worker::start(&world, "")).flatten() else { return };
    let cells = worker.cells();
    cells.welcome().await.unwrap();
    let limits = Limits { memory_bytes: Some(100 << 20), ..Limits::default() };
    let good = world.derivation("good", "i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done; echo > $out");
    let mut cell = cells.open(&limits).await.unwrap();
    // whoever builds must not become root by it
    assert_eq!(cell.connection.trusted(), Some(false));
    let result = cell.connection.build(&good, &ClientSettings::default(), &mut Discard).await.unwrap();
    assert_eq!(result.outcome, Outcome::Succeeded, "{}", result.message);
    let account = cell.account().await.unwrap();
    assert!(account.cpu_seconds.unwrap() > 0.0 && account.peak_memory_bytes.unwrap() > 0, "{account:?}");
    let mut cell = cell.renewed().await.unwrap();
    let small = world.derivation("small", "echo > $out");
    assert_eq!(
        cell.connection.build(&small, &ClientSettings::default(), &mut Discard).await.unwrap().outcome,
        Outcome::Succeeded
    );
    assert!(cell.account().await.unwrap().cpu_seconds.unwrap() < account.cpu_seconds.unwrap());
    drop(cell);

    let hog = world.derivation("hog", "x=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; while :; do x=$x$x; done");
    let mut cell = cells.open(&limits).await.unwrap();
    drop(cell.connection.build(&hog, &ClientSettings::default(), &mut Discard).await);
    assert!(cell.account().await.unwrap().oom_kills > 0);
    drop(cell);
    let of_builds = || world.processes().into_iter().any(|(_, line)| line.contains("hog") || line.contains("--stdio"));
    eventually("the builds have ended", || (!of_builds()).then_some(()));
    worker.stop();
    assert!(!world.path("run/worker.sock").exists());
}

#[tokio::test]
async fn killed_in_the_middle_of_a_build_it_leaves_nothing_that_the_next_one_does_not_end() {
    let world = World::new();
    let Some(worker) = is_root().then(|| Worker::start(&world, "")).flatten() else { return };
    let left = format!("/usr/bin/setsid /bin/sh -c 'while :; do /bin/sleep 1; done; : {} left' &", world.salt());
    let drv = world.derivation("long", &format!("{left} while :; do /bin/sleep 1; done"));
    let mut cell = worker.cells().open(&Limits::default()).await.unwrap();
    let building = tokio::spawn(async move {
        let built = cell.connection.build(&drv, &ClientSettings::default(), &mut Discard).await;
        (built.is_err(), cell.account().await)
    });
    let runs = || world.processes().iter().any(|(_, line)| line.ends_with("left "));
    tokio::task::spawn_blocking({
        let salt = world.salt().to_owned();
        move || {
            eventually("it builds", || builds::processes_of(&salt).iter().any(|(_, line)| line.ends_with("left ")).then_some(()))
        }
    })
    .await
    .unwrap();
    let pid = worker.kill();
    // the client notices: its build broke off, and nobody knows what it used
    assert_eq!(building.await.unwrap(), (true, None));

    let Some(worker) = Worker::start(&world, "") else { return };
    eventually("what the first one left has ended", || (!runs()).then_some(()));
    assert_eq!(groups_of(pid), Vec::<PathBuf>::new());
    // and its socket is served again
    worker.cells().open(&Limits::default()).await.unwrap();
    worker.stop();
}

#[test]
fn only_those_are_served_who_are_admitted() {
    let world = World::new();
    let Some(worker) = is_root().then(|| Worker::start(&world, "[worker]\nmode = \"0666\"\nusers = []\ngroup = \"0\"")).flatten()
    else {
        return;
    };
    for dir in [world.dir.path(), &world.path("run")] {
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    assert!(said_to(NOBODY, &worker.socket, "\"hello\"").contains("the user 65534 is not admitted: name it in `worker.users`"));
    assert_eq!(said_to(0, &worker.socket, "\"hello\""), "\"welcome\"\n");
    worker.stop();

    let Some(worker) = Worker::start(&world, "[worker]\nmode = \"0666\"\nusers = [\"nobody\"]") else { return };
    assert_eq!(said_to(NOBODY, &worker.socket, "\"hello\""), "\"welcome\"\n");
    worker.stop();
    // the file's mode stands before that
    let Some(worker) = Worker::start(&world, "[worker]\nmode = \"0600\"\nusers = [\"nobody\"]") else { return };
    assert!(said_to(NOBODY, &worker.socket, "\"hello\"").contains("Permission denied"));
    worker.stop();
}

#[test]
fn it_does_nothing_but_what_it_is_for() {
    let world = World::new();
    let lines = "[worker]\nmemory_mb = 512\npids_max = 100\ndaemons = 2";
    let Some(worker) = is_root().then(|| Worker::start(&world, lines)).flatten() else { return };
    let ask = |words: &str| say(&mut UnixStream::connect(&worker.socket).unwrap(), words);
    for (words, answer) in [
        ("\"account\"", "nothing runs yet"),
        ("\"shell\"", "not understood"),
        ("{\"start\":{\"limits\":{},\"program\":\"/bin/sh\"}}", "not understood: unknown field `program`"),
        ("{\"start\":{\"limits\":{\"options\":{\"sandbox\":\"false\"}}}}", "not understood: unknown field `options`"),
        ("{\"start\":{\"limits\":{}}}", "exactly one stream"),
        ("not json", "not understood"),
    ] {
        let said = ask(words);
        assert!(said.contains(answer) && said.starts_with("{\"refused\":"), "{words}: {said}");
    }
    // what comes with a stream is looked at as well
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let small = Limits { memory_bytes: Some(128 << 20), pids_max: Some(50), ..Limits::default() };
        for (limits, key) in [
            (Limits { memory_bytes: Some(1 << 30), ..small }, "memory_mb"),
            (Limits { memory_bytes: None, ..small }, "memory_mb"),
            (Limits { pids_max: Some(101), ..small }, "pids_max"),
            (Limits { cpu_weight: Some(0), ..small }, "cpu_weight"),
        ] {
            let Err(error) = worker.cells().open(&limits).await else { panic!("{limits:?}") };
            assert!(error.to_string().contains(&format!("the request's `{key}` is")), "{error}");
        }
        let first = worker.cells().open(&small).await.unwrap();
        let second = worker.cells().open(&small).await.unwrap();
        let Err(error) = worker.cells().open(&small).await else { panic!("a third") };
        assert!(error.to_string().contains("2 daemons run already"), "{error}");
        drop((first, second));
    });
    worker.stop();
}

#[tokio::test]
async fn a_socket_of_the_service_managers_is_taken() {
    let world = World::new();
    if !is_root() {
        return;
    }
    let socket = world.path("passed.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let inner = command(&world, "");
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"", "sh"]).arg(inner.get_program()).args(inner.get_args());
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let passed = listener.as_raw_fd();
    // SAFETY: dup2 is async-signal-safe; the copy stays open across exec.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(move || match nix::libc::dup2(passed, 3) {
            3 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    let Some(worker) = Worker::started(command, socket) else { return };
    let drv = world.derivation("one", "echo > $out");
    let mut cell = worker.cells().open(&Limits::default()).await.unwrap();
    assert_eq!(cell.connection.build(&drv, &ClientSettings::default(), &mut Discard).await.unwrap().outcome, Outcome::Succeeded);
    drop(cell);
    let socket = worker.socket.clone();
    worker.stop();
    assert!(socket.exists(), "it is not the worker's to remove");
}

#[test]
fn a_second_one_does_not_take_its_place() {
    let world = World::new();
    let Some(worker) = is_root().then(|| Worker::start(&world, "")).flatten() else { return };
    let output = command(&world, "").arg("--listen").arg(&worker.socket).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("another worker listens at"), "{said}");
    assert_eq!(said_to(0, &worker.socket, "\"hello\""), "\"welcome\"\n");
    worker.stop();
}
