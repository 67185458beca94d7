//! What a recording evaluator tells of itself, with real Nix behind real walls: every kind of read is seen, in order; evaluations
//! fork; nothing goes on untraced.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use snowgate::eval::confine::{Spec, Urgency, View};
use snowgate::eval::trace::frames::{Access, Frame, Frames, MARKS};
use snowgate::eval::trace::{Tracing, library};
use snowgate::eval::{Evaluator, Limits};

const TREE: &str = "/snowgate/source";
const NONCE: &str = "0123456789abcdef";
const PATIENCE: Duration = Duration::from_secs(60);

/// A tree, and the place from which its evaluation is watched.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap() };
        // for another user to enter, too
        open(place.directory.path());
        for name in ["stage", "tree"] {
            fs::create_dir(place.path(name)).unwrap();
            open(&place.path(name));
        }
        library::write(place.directory.path()).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn file(self, name: &str, text: &str) -> Self {
        let path = self.path("tree").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        self
    }

    fn spec(&self, program: &Path, arguments: &[&str]) -> Spec {
        let system = ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/nix/store"].map(View::same);
        let prefix = program.parent().and_then(Path::parent).filter(|prefix| *prefix != Path::new("/")).map(View::same);
        let own = [
            View { source: self.path("tree"), target: TREE.into() },
            View { source: library::path(self.directory.path()), target: library::SEEN.into() },
        ];
        let environment = [
            ("HOME", "/tmp/home"),
            ("TMPDIR", "/tmp"),
            ("TERM", "dumb"),
            ("NO_COLOR", "1"),
            ("LANG", "C.UTF-8"),
            ("GC_MARKERS", "1"),
            ("GC_INITIAL_HEAP_SIZE", "33554432"),
            ("LD_PRELOAD", library::SEEN),
            (library::VARIABLE, &format!("{MARKS}/{NONCE}.")),
        ];
        Spec {
            stage: Some(self.path("stage")),
            views: own.into_iter().chain(system).chain(prefix.filter(|view| !view.source.starts_with("/usr"))).collect(),
            empty: vec![MARKS.into()],
            copies: vec![],
            trace: true,
            network: false,
            uid: Some(30999),
            memory_bytes: 1 << 30,
            urgency: Urgency::Usual,
            environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            directory: "/".into(),
            program: program.to_owned(),
            arguments: arguments.iter().map(|argument| argument.to_string()).collect(),
        }
    }

    fn repl(&self) -> Spec {
        let options = [
            "repl",
            "--quiet",
            "--option",
            "experimental-features",
            "nix-command flakes",
            "--option",
            "restrict-eval",
            "true",
            "-I",
            "marks=/snowgate/marks",
            "-I",
            "tree=/snowgate/source",
            "--store",
            "dummy://",
            "--eval-store",
            "dummy://?read-only=false",
        ];
        self.spec(&nix(), &options)
    }

    fn record(&self, lines: &[&str]) -> Recorded {
        let mut running = Running::start(snowgate(), &self.repl());
        lines.iter().for_each(|line| running.say(line));
        running.end()
    }
}

fn open(path: &Path) {
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

fn snowgate() -> Command {
    Command::new(env!("CARGO_BIN_EXE_snowgate"))
}

fn nix() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let found =
        std::env::split_paths(&path).map(|directory| directory.join("nix")).find(|nix| nix.exists()).expect("nix on PATH");
    found.canonicalize().unwrap()
}

/// A recording process.
struct Running {
    child: Child,
    stdin: ChildStdin,
    told: Receiver<Frame>,
    said: std::thread::JoinHandle<String>,
    frames: Vec<Frame>,
}

struct Recorded {
    frames: Vec<Frame>,
    /// Its standard error.
    said: String,
    code: Option<i32>,
}

impl Running {
    fn start(mut snowgate: Command, spec: &Spec) -> Self {
        let mut child = snowgate
            .arg("__confine")
            .arg(serde_json::to_string(spec).unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (send, told) = channel();
        let mut stdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            let mut frames = Frames::default();
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = stdout.read(&mut bytes) {
                frames.add(&bytes[..read]);
                if frames.by_ref().any(|frame| send.send(frame).is_err()) {
                    return;
                }
            }
            assert!(frames.is_whole());
        });
        let mut stderr = child.stderr.take().unwrap();
        let said = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            stderr.read_to_end(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Self { stdin: child.stdin.take().unwrap(), child, told, said, frames: Vec::new() }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.stdin, "{}", line.replace("NONCE", &format!("{MARKS}/{NONCE}")).replace("TREE", TREE)).unwrap();
    }

    /// Waits until a mark is told.
    fn until(&mut self, mark: &str) {
        let path = format!("{MARKS}/{NONCE}.{mark}").into_bytes();
        loop {
            let frame = self.told.recv_timeout(PATIENCE).expect("the mark is told");
            let reached = matches!(&frame, Frame::Seen { path: seen, .. } if *seen == path);
            self.frames.push(frame);
            if reached {
                return;
            }
        }
    }

    /// The processes behind the walls, oldest first.
    fn evaluators(&self) -> Vec<Pid> {
        let mut found = Vec::new();
        let mut parents = vec![self.child.id() as i32];
        while let Some(parent) = parents.pop() {
            let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
            for child in children.split_whitespace().map(|id| id.parse().unwrap()) {
                found.push(Pid::from_raw(child));
                parents.push(child);
            }
        }
        found
    }

    fn end(mut self) -> Recorded {
        drop(self.stdin);
        self.frames.extend(self.told.iter());
        let code = self.child.wait().unwrap().code();
        Recorded { frames: self.frames, said: self.said.join().unwrap(), code }
    }
}

impl Recorded {
    /// What was told after the first mark, in short: `c a/b` with paths relative to the tree, `.fork.1` for a mark.
    fn story(&self) -> Vec<String> {
        let lines = self.frames.iter().map(|frame| match frame {
            Frame::Seen { access, follows, path } => {
                let path = String::from_utf8_lossy(path);
                if let Some(mark) = path.strip_prefix(&format!("{MARKS}/{NONCE}")) {
                    return mark.to_owned();
                }
                let letter = match access {
                    Access::Content => "c",
                    Access::Directory => "d",
                    Access::Stat => "s",
                    Access::Link => "l",
                };
                let letter = if *follows { letter.to_uppercase() } else { letter.to_owned() };
                format!("{letter} {}", path.strip_prefix(TREE).map_or(&*path, |rest| rest.trim_start_matches('/')))
            }
            Frame::Unknown(reason) => format!("! {reason}"),
        });
        lines.skip_while(|line| !line.starts_with('.')).collect()
    }

    /// The same between two marks.
    fn between(&self, from: &str, to: &str) -> Vec<String> {
        let story = self.story();
        let from = story.iter().position(|line| line == from).unwrap_or_else(|| panic!("no {from} in {story:?}"));
        let length = story[from..].iter().position(|line| line == to).unwrap_or_else(|| panic!("no {to} in {story:?}"));
        story[from + 1..from + length].to_vec()
    }
}

#[tokio::test]
async fn this_machine_records() {
    let home = tempfile::tempdir().unwrap();
    let limits = Limits { memory_bytes: 512 << 20, seconds_per_attribute: 60 };
    let evaluator =
        Evaluator::open(PathBuf::from(env!("CARGO_BIN_EXE_snowgate")), &nix(), home.path().join("evaluator"), limits, 1).unwrap();
    assert_eq!(*evaluator.tracing().await, Tracing::Forks);
}

#[test]
fn every_kind_of_read_is_told_between_its_marks() {
    let place = Place::new()
        .file("dir/a.nix", "{ }")
        .file("dir/b", "text")
        .file("copied/x", "x")
        .file("copied/deep/y", "y")
        .file("default.nix", "7");
    symlink("b", place.path("tree/dir/link")).unwrap();
    let reads: [(&str, &[&str]); 11] = [
        ("import TREE/dir/a.nix", &["s dir", "s dir/a.nix", "c dir/a.nix"]),
        ("builtins.readFile TREE/dir/b", &["s dir/b", "c dir/b"]),
        ("builtins.hashFile \"sha256\" TREE/default.nix", &["s default.nix", "c default.nix"]),
        ("builtins.readDir TREE/dir", &["D dir"]),
        ("builtins.readFileType TREE/dir/b", &[]),
        ("builtins.pathExists TREE/absent/file", &["s absent"]),
        ("builtins.pathExists TREE/absent.nix", &["s absent.nix"]),
        ("builtins.readFile TREE/dir/link", &["s dir/link", "l dir/link", "c dir/b"]),
        ("import TREE", &["c default.nix"]),
        (
            "\"${TREE/copied}\"",
            &[
                "s copied",
                "D copied",
                "s copied/x",
                "c copied/x",
                "s copied/deep",
                "D copied/deep",
                "s copied/deep/y",
                "c copied/deep/y",
            ],
        ),
        (
            "builtins.path { path = TREE/copied; filter = _: _: true; name = \"z\"; }",
            &["D copied", "c copied/x", "D copied/deep", "c copied/deep/y"],
        ),
    ];
    let mut lines = vec!["builtins.pathExists NONCE.t.0".to_owned()];
    for (index, (expression, _)) in reads.iter().enumerate() {
        lines.push(format!("builtins.seq (builtins.deepSeq ({expression}) null) (builtins.pathExists NONCE.t.{})", index + 1));
    }
    let recorded = place.record(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    for (index, (expression, expected)) in reads.iter().enumerate() {
        let told = recorded.between(&format!(".t.{index}"), &format!(".t.{}", index + 1));
        for read in *expected {
            assert!(told.iter().any(|line| line == read), "{expression}: {read} is not in {told:?}; {}", recorded.said);
        }
        assert!(!told.iter().any(|line| line.starts_with('!')), "{expression}: {told:?}");
        // nothing is opened that is not in the tree
        assert!(told.iter().all(|line| !line[2..].starts_with('/') || line.starts_with("s /snowgate")), "{told:?}");
    }
    assert_eq!(recorded.code, Some(0), "{}", recorded.said);
}

#[test]
fn evaluations_fork_and_each_process_reads_what_it_needs() {
    let place = Place::new().file("before", "1").file("both", "2").file("late", "3").file("inner", "4");
    let recorded = place.record(&[
        "import TREE/before",
        "builtins.pathExists NONCE.fork.1",
        "import TREE/both",
        "import TREE/before",
        "builtins.pathExists NONCE.fork.2",
        "import TREE/inner",
        "builtins.pathExists NONCE.exit",
        "import TREE/late",
        "builtins.pathExists NONCE.t.5",
        "builtins.pathExists NONCE.exit",
        "import TREE/both",
        // nobody is left to end but the one that was not forked, which does not
        "builtins.pathExists NONCE.exit",
        "import TREE/late",
    ]);
    let opened: Vec<String> =
        recorded.story().into_iter().filter(|line| !line.starts_with('s') && !line.contains("/tmp")).collect();
    assert_eq!(
        opened,
        [".fork.1", "c both", ".fork.2", "c inner", ".exit", "c late", ".t.5", ".exit", "c both", ".exit", "c late"]
    );
    assert_eq!(recorded.code, Some(0), "{}", recorded.said);
}

#[test]
fn a_child_that_did_not_come_to_its_end_is_told() {
    let place = Place::new().file("a", "1");
    let mut running = Running::start(snowgate(), &place.repl());
    running.say("builtins.pathExists NONCE.fork.7");
    running.say("builtins.pathExists NONCE.t.1");
    running.until("t.1");
    let evaluators = running.evaluators();
    assert_eq!(evaluators.len(), 2);
    kill(evaluators[1], Signal::SIGKILL).unwrap();
    running.until("died.7.9");
    // its parent goes on
    running.say("import TREE/a");
    running.say("builtins.pathExists NONCE.fork.8");
    // the end of the input ends the child first, though not by `exit`
    let recorded = running.end();
    let story: Vec<String> = recorded.story().into_iter().filter(|line| line.starts_with('.') || line == "c a").collect();
    assert_eq!(story, [".fork.7", ".t.1", ".died.7.9", "c a", ".fork.8", ".died.8.256"]);
    assert_eq!(recorded.code, Some(0));
}

#[test]
fn nothing_is_evaluated_without_a_supervisor() {
    let place = Place::new();
    let mut running = Running::start(snowgate(), &place.repl());
    running.say("builtins.pathExists NONCE.t.1");
    running.until("t.1");
    let evaluator = running.evaluators()[0];
    let watched = pidfd(evaluator);
    running.child.kill().unwrap();
    watched.ended();
    assert!(!running.end().frames.is_empty());
}

#[test]
fn an_evaluator_that_is_told_to_end_does_so_at_once_and_what_it_used_is_known() {
    let place = Place::new();
    for trace in [true, false] {
        let mut spec = place.repl();
        spec.trace = trace;
        let mut running = Running::start(snowgate(), &spec);
        // without an end
        running.say("builtins.pathExists NONCE.t.1 || builtins.length (builtins.genList (x: x) 10000000) > 0");
        running.say("builtins.trace \"awake\" (builtins.foldl' (a: b: a + b) 0 (builtins.genList (x: builtins.length (builtins.genList (y: y) x)) 1000000000))");
        if trace {
            running.until("t.1");
        }
        while running.evaluators().is_empty() {
            std::thread::yield_now();
        }
        let watched = pidfd(running.evaluators()[0]);
        kill(Pid::from_raw(running.child.id() as i32), Signal::SIGTERM).unwrap();
        watched.ended();
        // as a shell says that it was killed
        assert_eq!(running.end().code, Some(137), "{trace}");
    }
}

#[test]
fn nothing_is_evaluated_that_nobody_hears_of() {
    let place = Place::new();
    let mut child = snowgate()
        .arg("__confine")
        .arg(serde_json::to_string(&place.repl()).unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    // its input stays open: it does not end for want of it
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "builtins.pathExists \"{MARKS}/{NONCE}.t.1\"").unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(i32::from(snowgate::eval::confine::WALLS_FAILED)));
    assert!(said.contains("writing the trace"), "{said}");
}

#[test]
fn evaluated_code_learns_no_nonce_and_guesses_do_nothing() {
    let place = Place::new().file("a", "1");
    let guesses = format!(
        "map (guess: builtins.pathExists ({MARKS} + \"/${{guess}}\")) [ \"fork.1\" \"exit\" \".fork.1\" \"{}.fork.1\" \"{}.exit\" \"died.1.9\" ]",
        "f".repeat(32),
        NONCE.to_uppercase()
    );
    let recorded = place.record(&[
        "builtins.pathExists NONCE.t.0",
        &format!("builtins.trace (builtins.toJSON ({guesses})) null"),
        "builtins.trace (builtins.toJSON [ (builtins.getEnv \"SNOWGATE_MARKS\") (builtins.getEnv \"LD_PRELOAD\") ]) null",
        "builtins.trace (builtins.toJSON (builtins.readDir /snowgate/marks)) null",
        "builtins.readFile /proc/self/environ",
        "builtins.readFile /usr/include/stdio.h",
        "import TREE/a",
    ]);
    assert!(recorded.said.contains("trace: [false,false,false,false,false,false]"), "{}", recorded.said);
    assert!(recorded.said.contains(r#"trace: ["",""]"#), "{}", recorded.said);
    assert!(recorded.said.contains("trace: {}"), "{}", recorded.said);
    // restricted evaluation stays in force
    assert_eq!(recorded.said.matches("is forbidden in restricted mode").count(), 2, "{}", recorded.said);
    assert!(recorded.story().contains(&"c a".to_owned()));
    assert!(!recorded.story().iter().any(|line| line.contains("died") && line.starts_with('.')));
}

#[test]
fn the_environment_of_the_process_holds_no_nonce() {
    let place = Place::new();
    let mut running = Running::start(snowgate(), &place.repl());
    running.say("builtins.pathExists NONCE.t.1");
    running.until("t.1");
    let evaluator = running.evaluators()[0];
    for file in ["environ", "cmdline"] {
        let text = fs::read(format!("/proc/{evaluator}/{file}")).unwrap();
        assert!(!text.is_empty());
        assert!(!String::from_utf8_lossy(&text).contains(NONCE), "{file}");
    }
    running.end();
}

#[test]
fn a_copy_is_seen_and_what_it_stands_for_stays() {
    let place = Place::new().file("sub/all.nix", "1").file("sub/other.nix", "import ./all.nix");
    let copy = place.path("copy");
    fs::write(&copy, "2").unwrap();
    fs::set_permissions(&copy, Permissions::from_mode(0o644)).unwrap();
    let mut spec = place.repl();
    spec.copies = vec![View { source: copy.clone(), target: Path::new(TREE).join("sub/all.nix") }];
    let mut running = Running::start(snowgate(), &spec);
    running.say("builtins.pathExists NONCE.t.1");
    running.say("builtins.trace \"value ${toString (import TREE/sub/other.nix)}\" null");
    let recorded = running.end();
    assert!(recorded.said.contains("value 2"), "{}", recorded.said);
    assert!(recorded.story().contains(&"c sub/all.nix".to_owned()));
    assert_eq!(fs::read_to_string(place.path("tree/sub/all.nix")).unwrap(), "1");

    // a link is not followed, to a file or on the way to it; nothing is made that was not there
    symlink("sub", place.path("tree/way")).unwrap();
    symlink("sub/all.nix", place.path("tree/link.nix")).unwrap();
    for target in ["way/all.nix", "link.nix", "none.nix", "sub"] {
        let mut spec = place.repl();
        spec.copies = vec![View { source: copy.clone(), target: Path::new(TREE).join(target) }];
        let refused = Running::start(snowgate(), &spec).end();
        assert_eq!(refused.code, Some(i32::from(snowgate::eval::confine::WALLS_FAILED)), "{target}: {}", refused.said);
    }
    assert!(!place.path("tree/none.nix").exists());
    assert_eq!(fs::read_to_string(place.path("tree/sub/all.nix")).unwrap(), "1");
}

/// Programs other than Nix behind the same walls.
#[test]
fn what_no_key_stands_for_is_told_as_unknown_or_refused() {
    let place = Place::new().file("a", "1");
    let told = |program: &str, arguments: &[&str]| {
        let mut spec = place.spec(&Path::new(program).canonicalize().unwrap(), arguments);
        spec.environment = BTreeMap::new();
        Running::start(snowgate(), &spec).end()
    };
    let unknown = |recorded: &Recorded| -> Vec<String> {
        recorded
            .frames
            .iter()
            .filter_map(|frame| match frame {
                Frame::Unknown(reason) => Some(reason.clone()),
                Frame::Seen { .. } => None,
            })
            .collect()
    };
    let tree = |name: &str| format!("{TREE}/{name}");
    for (program, arguments, expected) in [
        ("/usr/bin/env", vec!["cat", "/snowgate/source/a"], "execve /"),
        ("/bin/ln", vec!["-s", "/snowgate/source/a", "/tmp/way"], "symlinkat /tmp/way"),
        ("/bin/mv", vec!["/snowgate/source/a", "/snowgate/source/b"], "/snowgate/source/a"),
        ("/bin/rm", vec!["-f", "/snowgate/source/a"], "unlinkat /snowgate/source/a"),
        ("/bin/mkdir", vec!["/snowgate/source/d"], "mkdir /snowgate/source/d"),
        ("/usr/bin/touch", vec!["/snowgate/source/a"], "openat /snowgate/source/a for writing"),
        ("/usr/bin/stat", vec!["-f", "/snowgate/source/a"], "statfs /snowgate/source/a"),
    ] {
        let recorded = told(program, &arguments);
        let unknown = unknown(&recorded);
        assert!(unknown.iter().any(|reason| reason.contains(expected)), "{program}: {unknown:?} {}", recorded.said);
    }
    assert!(place.path("tree/a").exists());
    // what a path means can't be changed
    let recorded = told("/usr/bin/unshare", &["-r", "-m", "cat", &tree("a")]);
    assert_ne!(recorded.code, Some(0));
    assert!(recorded.said.contains("not permitted"), "{}", recorded.said);
    // changes of its own place are its own matter
    let recorded = told("/bin/mkdir", &["-p", "/tmp/x/y"]);
    assert_eq!(recorded.code, Some(0), "{}", recorded.said);
    assert!(!unknown(&recorded).iter().any(|reason| reason.contains("/tmp")), "{:?}", unknown(&recorded));
    // a path from a directory is told whole
    let recorded = told("/bin/ls", &["-lR", TREE]);
    let seen = |path: &str| {
        recorded.frames.iter().any(|frame| matches!(frame, Frame::Seen { path: seen, .. } if seen == path.as_bytes()))
    };
    assert!(seen(&tree("a")), "{:?}", recorded.frames);
}

#[test]
fn an_ordinary_user_records_too() {
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("not run: the other tests ran as an ordinary user");
        return;
    }
    const NOBODY: u32 = 65534;
    let place = Place::new().file("a", "1").file("b", "2");
    // where nobody may read it
    let program = place.path("snowgate");
    fs::copy(env!("CARGO_BIN_EXE_snowgate"), &program).unwrap();
    let mut setpriv = Command::new("setpriv");
    setpriv.args([&format!("--reuid={NOBODY}"), &format!("--regid={NOBODY}"), "--clear-groups"]).arg(&program);
    let mut running = Running::start(setpriv, &place.repl());
    running.say("builtins.pathExists NONCE.fork.1");
    running.say("import TREE/a");
    running.say("builtins.pathExists NONCE.exit");
    running.say("import TREE/b");
    let recorded = running.end();
    let opened: Vec<String> = recorded.story().into_iter().filter(|line| line.starts_with(['.', 'c'])).collect();
    assert_eq!(opened, [".fork.1", "c a", ".exit", "c b"], "{}", recorded.said);
}

/// Ends when the process does, whatever becomes of its number.
struct Watched(std::os::fd::OwnedFd);

fn pidfd(process: Pid) -> Watched {
    use std::os::fd::FromRawFd;
    // SAFETY: pidfd_open(2) takes two integers and returns a new descriptor.
    Watched(unsafe { std::os::fd::OwnedFd::from_raw_fd(libc::syscall(libc::SYS_pidfd_open, process.as_raw(), 0) as i32) })
}

impl Watched {
    fn ended(&self) {
        use std::os::fd::AsFd;
        let mut poll = [nix::poll::PollFd::new(self.0.as_fd(), nix::poll::PollFlags::POLLIN)];
        let ready = nix::poll::poll(&mut poll, nix::poll::PollTimeout::try_from(PATIENCE).unwrap()).unwrap();
        assert_eq!(ready, 1, "the evaluator still lives");
    }
}
