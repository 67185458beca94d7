//! Wire tests of the store's client, against the real daemon of whichever Nix is on PATH.
//!
//! Each test has a store of its own in a temporary directory, so that any user can run them and none sees another's paths.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use snowgate::domain::{DrvPath, Outcome, StorePath};
use snowgate::store::{
    BinaryCaches, BuildResult, ClientSettings, Connection, Derivation, LogSink, Nix, Store, StoreError, Transport,
    last_daemon_ended,
};
use tokio::sync::mpsc;

/// `sh NAME SCRIPT` and `mk NAME SCRIPT MORE` are derivations.
const PRELUDE: &str = r#"
    let
      sh = name: script: mk name script { };
      mk = name: script: more: derivation ({
        inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" script ];
      } // more);
    in"#;

/// A store in a temporary directory.
struct World {
    dir: tempfile::TempDir,
    nix: Nix,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = [
            ("build-users-group", ""),
            ("sandbox", "false"),
            ("substituters", ""),
            ("experimental-features", "nix-command ca-derivations"),
        ];
        let options = options.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let mut nix = Nix::discover(&options).expect("these tests need a real Nix on PATH");
        let root = dir.path().canonicalize().unwrap();
        nix.transport = Transport::Stdio { program: nix.program("nix-daemon"), store: uri(&root), options };
        Self { dir, nix }
    }

    fn store(&self) -> Store {
        Store::new(&self.nix, ClientSettings::default())
    }

    /// Instantiates an expression, which yields one derivation or a list of them.
    fn instantiate(&self, expression: &str) -> Vec<DrvPath> {
        let output = Command::new(self.nix.program("nix-instantiate"))
            .args(["--store", &uri(&self.dir.path().canonicalize().unwrap())])
            .args(["--option", "experimental-features", "nix-command ca-derivations"])
            .args(["-E", &format!("{PRELUDE} {expression}")])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(|line| line.split('!').next().unwrap().parse().unwrap()).collect()
    }

    fn instantiate_one(&self, expression: &str) -> DrvPath {
        self.instantiate(expression).remove(0)
    }

    async fn build(&self, drv: &DrvPath, settings: &ClientSettings) -> (BuildResult, Heard) {
        let mut heard = Heard::default();
        let result = self.store().connect().await.unwrap().build(drv, settings, &mut heard).await.unwrap();
        (result, heard)
    }
}

fn uri(root: &Path) -> String {
    let root = root.display();
    format!("local?store={root}/store&state={root}/state&log={root}/log")
}

/// Everything that a build said.
#[derive(Default)]
struct Heard {
    lines: Vec<(Option<DrvPath>, String)>,
    phases: Vec<String>,
    messages: Vec<(u64, String)>,
    /// Told of each line, where a test waits for one.
    live: Option<mpsc::UnboundedSender<String>>,
}

impl LogSink for Heard {
    fn line(&mut self, drv: Option<&DrvPath>, line: &[u8]) {
        let line = String::from_utf8_lossy(line).into_owned();
        if let Some(live) = &self.live {
            live.send(line.clone()).unwrap();
        }
        self.lines.push((drv.cloned(), line));
    }
    fn phase(&mut self, name: &str) {
        self.phases.push(name.to_owned());
    }
    fn message(&mut self, level: u64, text: &str) {
        self.messages.push((level, text.to_owned()));
    }
    fn substituting(&mut self, _: &StorePath) {}
}

fn settings(change: impl FnOnce(&mut ClientSettings)) -> ClientSettings {
    let mut settings = ClientSettings::default();
    change(&mut settings);
    settings
}

/// `.ci/test` unpacks the oldest Nix that we speak with to this prefix.
#[test]
fn all_of_this_holds_with_the_oldest_nix_too() {
    let Some(prefix) = std::env::var_os("SNOWGATE_OLDEST_NIX").map(PathBuf::from) else {
        return eprintln!("not tested: SNOWGATE_OLDEST_NIX names no Nix 2.8");
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(prefix.join("bin")).chain(std::env::split_paths(&path))).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        // each story waits for the last daemon of its process
        .args(["--test-threads=1", "--skip", "all_of_this_holds_with_the_oldest_nix_too"])
        .env("PATH", path)
        .env("NIX_CONF_DIR", prefix.join("etc"))
        .env_remove("SNOWGATE_OLDEST_NIX")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    println!("{said}");
}

#[tokio::test]
async fn a_build_succeeds_with_its_log_and_outputs() {
    let world = World::new();
    let drv = world.instantiate_one(
        r#"mk "hello-1.0" "echo one; echo two >&2; printf last; echo > $out; echo > $dev" { outputs = [ "out" "dev" ]; }"#,
    );
    let (result, heard) = world.build(&drv, &ClientSettings::default()).await;
    assert_eq!((result.outcome, result.message.as_str()), (Outcome::Succeeded, ""));
    assert_eq!(result.outputs.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["dev", "out"]);
    assert!(result.start > 1_600_000_000 && result.stop >= result.start);
    for path in result.outputs.values() {
        assert!(Path::new(path.as_str()).exists());
    }
    let lines: Vec<_> = heard.lines.iter().map(|(drv, line)| (drv.as_ref().unwrap(), line.as_str())).collect();
    assert_eq!(lines, [(&drv, "one"), (&drv, "two"), (&drv, "last")]);
    assert_eq!(heard.messages, []);
    assert!(!world.dir.path().join("log/drvs").exists(), "Nix keeps the log, too");

    // again: nothing to do
    let (again, heard) = world.build(&drv, &ClientSettings::default()).await;
    assert_eq!((again.outcome, again.outputs), (Outcome::Succeeded, result.outputs));
    assert!(heard.lines.is_empty());
}

#[tokio::test]
async fn a_failure_has_a_message_and_no_log_in_it() {
    let world = World::new();
    let drv = world.instantiate_one(r#"sh "bad" "echo the reason; exit 3""#);
    let (result, heard) = world.build(&drv, &ClientSettings::default()).await;
    assert_eq!(result.outcome, Outcome::Failed);
    assert!(result.message.contains("exit code 3"), "{}", result.message);
    assert!(!result.message.contains("the reason"), "{}", result.message);
    assert_eq!(heard.lines, [(Some(drv), "the reason".to_owned())]);
}

#[tokio::test]
async fn a_dependency_that_fails_is_told_from_the_derivation() {
    let world = World::new();
    let drv = world.instantiate_one(r#"mk "top" "echo > $out" { dep = sh "dep" "exit 1"; }"#);
    let (result, _) = world.build(&drv, &ClientSettings::default()).await;
    assert_eq!(result.outcome, Outcome::DependencyFailed, "{}", result.message);
}

#[tokio::test]
async fn each_kind_of_failure_has_its_outcome() {
    let world = World::new();
    let one = Duration::from_secs(1);
    let long = Duration::from_secs(600);
    // `kill -STOP $$` waits for ever without burning a core
    let cases: [(&str, ClientSettings, Outcome); 9] = [
        (r#"sh "t" "kill -STOP $$""#, settings(|s| s.timeout = Some(one)), Outcome::TimedOut),
        (r#"sh "s" "kill -STOP $$""#, settings(|s| s.max_silent = Some(one)), Outcome::SilentTimedOut),
        (r#"sh "b" "kill -STOP $$""#, settings(|s| (s.max_silent, s.timeout) = (Some(one), Some(long))), Outcome::SilentTimedOut),
        (r#"sh "l" "while :; do echo ................; done""#, settings(|s| s.max_log_bytes = Some(10_000)), Outcome::LogLimit),
        (
            r#"mk "h" "echo x > $out" { outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = builtins.hashString "sha256" "y"; }"#,
            settings(|_| {}),
            Outcome::HashMismatch,
        ),
        (
            r#"mk "f" "exit 7" { outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = builtins.hashString "sha256" "z"; }"#,
            settings(|_| {}),
            Outcome::Failed,
        ),
        (
            r#"mk "o" "echo 123456789 > ${builtins.placeholder "out"}" { __structuredAttrs = true; outputChecks.out.maxSize = 10; }"#,
            settings(|_| {}),
            Outcome::OutputLimit,
        ),
        (r#"mk "p" "echo > $out" { system = "vax-ultrix"; }"#, settings(|_| {}), Outcome::Unsupported),
        (r#"mk "q" "echo > $out" { requiredSystemFeatures = [ "time-travel" ]; }"#, settings(|_| {}), Outcome::Unsupported),
    ];
    for (expression, settings, wanted) in cases {
        let drv = world.instantiate_one(expression);
        let (result, _) = world.build(&drv, &settings).await;
        assert_eq!(result.outcome, wanted, "{expression}: {}", result.message);
        assert!(!result.message.is_empty() && !result.message.contains('\u{1b}'), "{expression}: {}", result.message);
    }
}

#[tokio::test]
async fn questions_about_paths_are_answered() {
    let world = World::new();
    let drvs = world.instantiate(
        r#"let dep = sh "dep" "echo dependency > $out"; in [ (sh "top" "echo ${dep} > $out") dep (sh "other" "echo > $out") ]"#,
    );
    let [top, dep, other] = drvs.as_slice() else { panic!("{drvs:?}") };
    let store = world.store();
    let missing = store.missing(&drvs[..1]).await.unwrap();
    assert_eq!(missing.will_build, [top.clone(), dep.clone()].into());
    assert!(missing.will_substitute.is_empty() && missing.unknown.is_empty());
    let built = world.build(top, &ClientSettings::default()).await.0.outputs.into_values().next().unwrap();
    assert_eq!(store.missing(&drvs).await.unwrap().will_build, [other.clone()].into());

    let outputs = store.output_map(top).await.unwrap();
    assert_eq!(outputs, [("out".into(), Some(built.clone()))].into());
    let needed = store.output_map(dep).await.unwrap().remove(&"out".into()).unwrap().unwrap();
    let absent = store.output_map(other).await.unwrap().remove(&"out".into()).unwrap().unwrap();

    let asked = [built.clone(), needed.clone(), absent.clone()].into();
    assert_eq!(store.valid_paths(&asked).await.unwrap(), [built.clone(), needed.clone()].into());
    let infos = store.path_infos(&asked).await.unwrap();
    assert_eq!(infos.keys().collect::<Vec<_>>(), if built < needed { [&built, &needed] } else { [&needed, &built] });
    assert_eq!(infos[&built].references, [needed.clone()].into());
    assert_eq!(infos[&built].deriver.as_ref(), Some(top));
    assert_eq!((infos[&needed].nar_bytes, infos[&needed].nar_hash.len()), (128, 64));

    let closure = store.closure(&[built.clone()].into()).await.unwrap().unwrap();
    assert_eq!(closure.paths.keys().collect::<Vec<_>>(), infos.keys().collect::<Vec<_>>());
    assert_eq!(closure.bytes(), infos.values().map(|info| info.nar_bytes).sum::<u64>());
    assert_eq!(store.closure(&[absent].into()).await.unwrap(), None);

    let read = Derivation::read(top).unwrap();
    assert_eq!(read.input_drvs, [(dep.clone(), ["out".into()].into())].into());
    assert_eq!(read.outputs[&"out".into()].path.as_ref(), Some(&built));
}

#[tokio::test]
async fn thousands_of_paths_are_asked_for_at_once() {
    let world = World::new();
    let drvs = world.instantiate(r#"map (n: sh "n${toString n}" "echo > $out") (builtins.genList (n: n) 300)"#);
    let store = world.store();
    assert_eq!(store.missing(&drvs).await.unwrap().will_build.len(), 300);
    // the derivations themselves are valid paths; pipelined questions and one big question agree
    let mut paths: std::collections::BTreeSet<StorePath> = drvs.iter().map(|drv| drv.path().clone()).collect();
    let dir = drvs[0].path().store_dir().to_owned();
    paths.extend((0..20_000).map(|n| format!("{dir}/{n:032}-absent").parse::<StorePath>().unwrap()));
    let valid = store.valid_paths(&paths).await.unwrap();
    assert_eq!(valid.len(), 300);
    assert!(store.path_infos(&paths).await.unwrap().keys().eq(valid.iter()));
}

#[tokio::test]
async fn content_addressed_outputs_are_named_after_the_build() {
    let world = World::new();
    let drv = world.instantiate_one(
        r#"mk "ca" "echo content > $out" { __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; }"#,
    );
    let derivation = Derivation::read(&drv).unwrap();
    assert!(derivation.outputs[&"out".into()].path.is_none() && !derivation.is_fixed_output());
    let (result, _) = world.build(&drv, &ClientSettings::default()).await;
    assert_eq!(result.outcome, Outcome::Succeeded, "{}", result.message);
    assert!(Path::new(result.outputs[&"out".into()].as_str()).exists());
}

#[tokio::test]
async fn a_refusal_leaves_the_connection_usable() {
    let world = World::new();
    let drv = world.instantiate_one(r#"sh "good" "echo > $out""#);
    let absent: DrvPath = format!("{}/{:032}-absent.drv", drv.path().store_dir(), 0).parse().unwrap();
    let mut connection = world.store().connect().await.unwrap();
    let settings = ClientSettings::default();
    let result = connection.build(&absent, &settings, &mut Heard::default()).await.unwrap();
    assert!(!result.outcome.is_success() && !result.message.is_empty(), "{result:?}");
    assert!(connection.is_usable());
    let result = connection.build(&drv, &settings, &mut Heard::default()).await.unwrap();
    assert_eq!(result.outcome, Outcome::Succeeded, "{}", result.message);
}

/// Builds something that never ends, and returns once the builder runs: its process and its daemon's.
async fn endless(
    world: &World,
    store: Store,
) -> (tokio::task::JoinHandle<(Result<BuildResult, StoreError>, Connection)>, i32, i32) {
    let drv = world.instantiate_one(r#"sh "endless" "echo $$ $PPID; kill -STOP $$""#);
    let (live, mut lines) = mpsc::unbounded_channel();
    let build = tokio::spawn(async move {
        let mut connection = store.connect().await.unwrap();
        let mut heard = Heard { live: Some(live), ..Heard::default() };
        let result = connection.build(&drv, &ClientSettings::default(), &mut heard).await;
        (result, connection)
    });
    let line = lines.recv().await.unwrap();
    let (builder, daemon) = line.split_once(' ').unwrap();
    (build, builder.parse().unwrap(), daemon.parse().unwrap())
}

fn runs(pid: i32) -> bool {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None).is_ok()
}

/// Waits until a process that is not our child has ended.
fn ended(pid: i32) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    while runs(pid) && Instant::now() < deadline {
        std::thread::yield_now();
    }
    !runs(pid)
}

#[tokio::test]
async fn a_cancelled_build_leaves_no_process() {
    let world = World::new();
    let (build, builder, daemon) = endless(&world, world.store()).await;
    assert!(runs(builder) && runs(daemon));
    build.abort();
    assert!(build.await.unwrap_err().is_cancelled());
    assert!(tokio::task::spawn_blocking(|| last_daemon_ended(Duration::from_secs(20))).await.unwrap());
    assert!(!runs(daemon), "the daemon outlived its connection");
    assert!(ended(builder), "the builder outlived its daemon");
}

#[tokio::test]
async fn a_build_that_is_dropped_closes_its_connection_even_if_that_is_kept() {
    let world = World::new();
    let drv = world.instantiate_one(r#"sh "endless" "echo go; kill -STOP $$""#);
    let mut connection = world.store().connect().await.unwrap();
    let (live, mut lines) = mpsc::unbounded_channel();
    let mut heard = Heard { live: Some(live), ..Heard::default() };
    let settings = ClientSettings::default();
    tokio::select! {
        result = connection.build(&drv, &settings, &mut heard) => panic!("{result:?}"),
        line = lines.recv() => assert_eq!(line.as_deref(), Some("go")),
    }
    assert!(!connection.is_usable());
    let again = connection.build(&drv, &settings, &mut Heard::default()).await;
    assert!(matches!(again, Err(StoreError::Abandoned)), "{again:?}");
}

#[tokio::test]
async fn a_daemon_that_dies_is_an_error_and_not_a_result() {
    let world = World::new();
    let (build, builder, daemon) = endless(&world, world.store()).await;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(daemon), nix::sys::signal::Signal::SIGKILL).unwrap();
    let (result, connection) = build.await.unwrap();
    assert!(matches!(result, Err(StoreError::Closed { during: "while building", .. })), "{result:?}");
    assert!(!connection.is_usable());
    if runs(builder) {
        // nobody is left to end it: such is the daemon's death, and this test's to clean up
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(builder), nix::sys::signal::Signal::SIGKILL).unwrap();
    }
}

#[tokio::test]
async fn a_question_survives_the_death_of_the_shared_daemon() {
    let world = World::new();
    let drv = world.instantiate_one(r#"sh "a" "echo > $out""#);
    let store = world.store();
    let all = [drv.path().clone()].into();
    assert_eq!(store.valid_paths(&all).await.unwrap(), all);
    for child in children() {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(child), nix::sys::signal::Signal::SIGKILL).unwrap();
    }
    assert_eq!(store.valid_paths(&all).await.unwrap(), all);
}

/// The processes that any thread of this one started.
fn children() -> Vec<i32> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).ok())
        .flat_map(|line| line.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<i32>>())
        .collect()
}

#[tokio::test]
async fn temporary_roots_hold_until_the_store_is_dropped() {
    let world = World::new();
    let drv = world.instantiate_one(r#"sh "kept" "echo > $out""#);
    let output = world.build(&drv, &ClientSettings::default()).await.0.outputs.into_values().next().unwrap();
    let collect = || {
        let status = Command::new(world.nix.program("nix-store"))
            .args(["--store", &uri(&world.dir.path().canonicalize().unwrap()), "--gc"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(status.unwrap().success());
    };
    let store = world.store();
    store.add_temp_roots(&[output.clone()].into()).await.unwrap();
    collect();
    assert!(Path::new(output.as_str()).exists());
    drop(store);
    assert!(tokio::task::spawn_blocking(|| last_daemon_ended(Duration::from_secs(20))).await.unwrap());
    collect();
    assert!(!Path::new(output.as_str()).exists());
}

#[tokio::test]
async fn a_program_that_is_no_daemon_is_named_with_what_it_said() {
    let mut world = World::new();
    let fake = |text: &str| {
        let path = world.dir.path().join("fake");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        path
    };
    let angry = fake("#!/bin/sh\necho 'error: the store is on fire' >&2; exit 1\n");
    let chatty = world.dir.path().join("chatty");
    std::fs::copy(&angry, &chatty).unwrap();
    std::fs::write(&chatty, "#!/bin/sh\nwhile echo hello world, this is no protocol; do :; done\n").unwrap();
    let mut failure = async |program: PathBuf| {
        world.nix.transport = Transport::Stdio { program, store: "local".into(), options: BTreeMap::new() };
        world.store().connect().await.err().unwrap()
    };
    let error = failure(angry).await;
    assert!(error.to_string().contains("the store is on fire"), "{error}");
    assert!(matches!(failure(chatty).await, StoreError::Protocol { .. }));
    assert!(matches!(failure("/nonexistent/nix-daemon".into()).await, StoreError::Unreachable { .. }));
}

/// A daemon that listens on a socket, with options of its own.
struct Listening {
    child: Child,
    socket: PathBuf,
}

impl Listening {
    fn start(world: &World, options: &[(&str, &str)]) -> Self {
        let root = world.dir.path().canonicalize().unwrap();
        let socket = root.join("socket");
        let mut command = Command::new(world.nix.program("nix-daemon"));
        command.args(["--store", &uri(&root)]).env("NIX_DAEMON_SOCKET_PATH", &socket).stderr(Stdio::null());
        for (name, value) in [("build-users-group", ""), ("sandbox", "false"), ("substituters", "")].iter().chain(options) {
            command.args(["--option", name, value]);
        }
        let child = command.spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while UnixStream::connect(&socket).is_err() {
            assert!(Instant::now() < deadline, "the daemon does not listen");
            std::thread::yield_now();
        }
        Self { child, socket }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[tokio::test]
async fn a_running_daemon_is_used_through_its_socket_trusted_or_not() {
    let mut world = World::new();
    for (users, trusted) in [("*", true), ("nobody-at-all", false)] {
        let daemon = Listening::start(&world, &[("trusted-users", users)]);
        world.nix.transport = Transport::Socket(daemon.socket.clone());
        let drv = world.instantiate_one(&format!(r#"sh "by-socket-{trusted}" "echo line; echo > $out""#));
        let mut connection = world.store().connect().await.unwrap();
        assert!(connection.protocol() >= 0x122 && connection.protocol() <= 0x125);
        assert!(connection.daemon_version().starts_with("2."), "{}", connection.daemon_version());
        if connection.protocol() >= 0x123 {
            assert_eq!(connection.trusted(), Some(trusted));
        }
        let mut heard = Heard::default();
        let wishes = settings(|s| {
            s.max_log_bytes = Some(1 << 20);
            s.timeout = Some(Duration::from_secs(600));
            s.overrides.insert("sandbox".into(), "false".into());
        });
        let result = connection.build(&drv, &wishes, &mut heard).await.unwrap();
        assert_eq!(result.outcome, Outcome::Succeeded, "{}", result.message);
        assert_eq!(heard.lines, [(Some(drv), "line".to_owned())]);
        assert_eq!(heard.messages, [], "warnings of settings that were not allowed");
    }
}

#[tokio::test]
async fn an_untrusted_client_holds_the_log_limit_itself() {
    let mut world = World::new();
    let daemon = Listening::start(&world, &[("trusted-users", "nobody-at-all")]);
    world.nix.transport = Transport::Socket(daemon.socket.clone());
    let drv = world.instantiate_one(r#"sh "talks" "while :; do echo ................................................; done""#);
    let (result, heard) = world.build(&drv, &settings(|s| s.max_log_bytes = Some(100_000))).await;
    assert_eq!(result.outcome, Outcome::LogLimit, "{}", result.message);
    let bytes: usize = heard.lines.iter().map(|(_, line)| line.len() + 1).sum();
    assert!((100_000..300_000).contains(&bytes), "{bytes}");
}

#[tokio::test]
async fn a_socket_without_daemon_is_named() {
    let mut world = World::new();
    let socket = world.dir.path().join("nobody-listens");
    world.nix.transport = Transport::Socket(socket.clone());
    let error = world.store().connect().await.err().unwrap();
    assert!(error.to_string().contains(socket.to_str().unwrap()), "{error}");
}

#[tokio::test]
async fn binary_caches_are_probed_once_and_quickly() {
    let world = World::new();
    let cache = |uri: String| {
        let mut nix = world.nix.clone();
        if let Transport::Stdio { options, .. } = &mut nix.transport {
            options.insert("substituters".into(), uri);
        }
        Store::new(&nix, ClientSettings::default())
    };
    let dir = world.instantiate_one(r#"sh "a" "echo > $out""#).path().store_dir().to_owned();
    // a port that was free a moment ago: nobody listens there
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let began = Instant::now();
    let answer = cache(format!("http://127.0.0.1:{port}")).probe_substituters(&dir).await.unwrap();
    assert!(matches!(&answer, BinaryCaches::Unreachable(why) if why.contains("127.0.0.1")), "{answer:?}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());

    let there = world.dir.path().join("cache");
    std::fs::create_dir(&there).unwrap();
    std::fs::write(there.join("nix-cache-info"), format!("StoreDir: {dir}\nWantMassQuery: 1\n")).unwrap();
    assert_eq!(cache(format!("file://{}", there.display())).probe_substituters(&dir).await.unwrap(), BinaryCaches::Reachable);
    assert_eq!(cache(String::new()).probe_substituters(&dir).await.unwrap(), BinaryCaches::Reachable);
}
