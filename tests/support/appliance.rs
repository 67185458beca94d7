//! The appliance as its users meet it: the real program in a process of its own, real repositories, real HTTP.
//!
//! Builders wait at gates (named pipes) that the test opens, so that "in the middle of a build" is a place and not a moment. What
//! is built is salted: every test builds afresh in the machine's own store.

#![allow(dead_code, reason = "each test binary uses its own part of the vocabulary")]

#[path = "http.rs"]
pub mod http;

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::{Answer, Events, Header};
use serde_json::Value;

/// What does not happen within this time never will; the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(150);

/// How long to wait for the next sign of life before looking again all the same.
const SILENCE: Duration = Duration::from_millis(500);

/// Repositories, a state directory and a configuration, which outlive the servers that use them.
pub struct Place {
    dir: tempfile::TempDir,
    repositories: Mutex<BTreeMap<String, PathBuf>>,
    /// By default so long that only what is noticed is read.
    pub poll_seconds: u32,
    /// Lines of `[eval]`.
    eval: Mutex<String>,
    /// Lines of `[build]`, and tables after it.
    build: Mutex<String>,
    /// Who serves; by default who runs the test.
    user: Mutex<Option<u32>>,
    /// More variables for the program.
    variables: Mutex<BTreeMap<String, String>>,
}

impl Place {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("snowgate-serve-").tempdir().unwrap();
        // builders and evaluators have users of their own
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        Self {
            dir,
            repositories: Mutex::default(),
            poll_seconds: 3600,
            eval: Mutex::default(),
            build: Mutex::default(),
            user: Mutex::default(),
            variables: Mutex::default(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    /// In the command line or the environment of every process that the appliance starts.
    fn salt(&self) -> String {
        self.dir.path().file_name().unwrap().to_str().unwrap().to_owned()
    }

    /// A repository that is served as `local/NAME`.
    pub fn repository(&self, name: &str) -> Repository<'_> {
        self.serves(name);
        self.elsewhere(name)
    }

    /// A repository that the configuration does not name.
    pub fn elsewhere(&self, name: &str) -> Repository<'_> {
        let path = self.path(name);
        std::fs::create_dir(&path).unwrap();
        let repository = Repository { place: self, path };
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository
    }

    /// One that was made before.
    pub fn existing(&self, name: &str) -> Repository<'_> {
        Repository { place: self, path: self.path(name) }
    }

    /// Has the configuration name a repository, whether it is there or not.
    pub fn serves(&self, name: &str) {
        self.repositories.lock().unwrap().insert(name.to_owned(), self.path(name));
    }

    pub fn serves_no_more(&self, name: &str) {
        self.repositories.lock().unwrap().remove(name);
    }

    /// More lines of `[eval]` in the configuration.
    pub fn eval(&self, lines: &str) {
        lines.clone_into(&mut self.eval.lock().unwrap());
    }

    /// More lines of `[build]` in the configuration, and what follows it.
    pub fn build(&self, lines: &str) {
        lines.clone_into(&mut self.build.lock().unwrap());
    }

    /// Has another user serve, to whom everything here belongs from now on.
    pub fn served_by(&self, user: u32, variables: &[(&str, &str)]) {
        let status = Command::new("chown").arg("-R").arg(format!("{user}:{user}")).arg(self.dir.path()).status().unwrap();
        assert!(status.success());
        *self.user.lock().unwrap() = Some(user);
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.variables.lock().unwrap().extend(variables);
    }

    pub fn gate(&self, name: &str) -> Gate {
        let path = self.path(name);
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        // both ends: opening never blocks, and what is written before anybody reads is not lost
        let pipe = std::fs::OpenOptions::new().read(true).write(true).custom_flags(nix::libc::O_NONBLOCK).open(&path).unwrap();
        Gate { path, pipe }
    }

    /// The settings as a file.
    pub fn configuration(&self) -> PathBuf {
        let mut text = format!(
            "listen = \"127.0.0.1:0\"\nstate_dir = \"{}\"\n\n[limits]\npoll_seconds = {}\n\n[eval]\naccept_unconfined = true\n{}\n[build]\njobs = 2\n\
             options = {{ sandbox = \"false\", substituters = \"\" }}\n{}\n",
            self.path("state").display(),
            self.poll_seconds,
            self.eval.lock().unwrap(),
            self.build.lock().unwrap()
        );
        for (name, path) in self.repositories.lock().unwrap().iter() {
            text += &format!("\n[[repository]]\nname = \"local/{name}\"\npath = \"{}\"\n", path.display());
        }
        let file = self.path("config.toml");
        std::fs::write(&file, text).unwrap();
        file
    }

    fn program(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_snowgate"));
        command
            .env("SNOWGATE_TEST", self.salt())
            .env("HOME", self.path("home"))
            .env_remove("RUST_LOG")
            .env_remove("XDG_STATE_HOME")
            .envs(&*self.variables.lock().unwrap());
        if let Some(user) = *self.user.lock().unwrap() {
            command.uid(user).gid(user);
        }
        command
    }

    /// `snowgate serve`, answering.
    pub fn serve(&self) -> Appliance<'_> {
        let mut command = self.program();
        command.arg("serve").arg("--config").arg(self.configuration());
        Appliance::start(self, command)
    }

    /// `snowgate demo`, answering.
    pub fn demo(&self) -> Appliance<'_> {
        let mut command = self.program();
        command.args(["demo", "--listen", "127.0.0.1:0", "--state"]).arg(self.path("demo"));
        command.args(["--option", "substituters", ""]);
        Appliance::start(self, command)
    }

    /// `snowgate serve` that is expected to end by itself: its exit status and what it wrote to its standard error.
    pub fn serve_in_vain(&self) -> (Option<i32>, String) {
        let output = self.program().arg("serve").arg("--config").arg(self.configuration()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// The processes that the appliance started, or left behind: `(pid, command line)`.
    pub fn processes(&self) -> Vec<(u32, String)> {
        let salt = self.salt();
        let read = |pid: u32, file: &str| {
            let bytes = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            String::from_utf8_lossy(&bytes).replace('\0', " ")
        };
        let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
        pids.map(|pid| (pid, read(pid, "cmdline")))
            .filter(|(pid, command)| command.contains(&salt) || read(*pid, "environ").contains(&salt))
            .collect()
    }

    /// The builders of `name` that run.
    pub fn builders(&self, name: &str) -> Vec<u32> {
        let mark = self.mark(name);
        self.processes().into_iter().filter(|(_, command)| command.contains(&mark)).map(|(pid, _)| pid).collect()
    }

    fn mark(&self, name: &str) -> String {
        format!(": {}:{name}:", self.salt())
    }

    /// Looks until there is something, where nothing announces it: the end of a process of others.
    pub fn eventually<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(Instant::now() < deadline, "{what}: never; there are {:#?}", self.processes());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    pub fn nothing_runs(&self) {
        self.eventually("no process is left", || self.processes().is_empty().then_some(()));
    }
}

/// Where builders wait.
pub struct Gate {
    path: PathBuf,
    pipe: std::fs::File,
}

impl Gate {
    /// A builder's words for waiting here.
    pub fn wait(&self) -> String {
        format!("read go < '{}'", self.path.display())
    }

    /// Lets one builder by.
    pub fn pass(&self) {
        (&self.pipe).write_all(b"go\n").unwrap();
    }

    /// Lets everybody by.
    pub fn open(&self) {
        (&self.pipe).write_all("go\n".repeat(1000).as_bytes()).unwrap();
    }
}

pub struct Repository<'a> {
    place: &'a Place,
    pub path: PathBuf,
}

impl Repository<'_> {
    pub fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .current_dir(&self.path)
            .args(arguments)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .envs([("GIT_AUTHOR_NAME", "Ines Ørsted"), ("GIT_AUTHOR_EMAIL", "ines@example.org")])
            .envs([("GIT_COMMITTER_NAME", "Ines Ørsted"), ("GIT_COMMITTER_EMAIL", "ines@example.org")])
            .output()
            .unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub fn write(&self, file: &str, text: &str) {
        std::fs::write(self.path.join(file), text).unwrap();
    }

    /// Commits everything to the branch that is checked out; the commit.
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// A branch from `main` with one commit that changes these packages; `main` is checked out afterwards.
    pub fn branch(&self, name: &str, packages: &[(&str, &str)]) -> String {
        self.git(&["switch", "--quiet", "--create", name, "main"]);
        self.packages(packages);
        let commit = self.commit(name);
        self.git(&["switch", "--quiet", "main"]);
        commit
    }

    /// Writes packages, each in a file of its own so that changes of several can be merged: the words of a shell script that can
    /// name the other packages as `${name}`.
    pub fn packages(&self, packages: &[(&str, &str)]) {
        self.write(
            "default.nix",
            r#"
            let
              files = builtins.filter (file: builtins.match ".*[.]pkg" file != null) (builtins.attrNames (builtins.readDir ./.));
              package = file: import (./. + "/${file}") set;
              set = builtins.listToAttrs (map (file: { name = builtins.head (builtins.match "(.*)[.]pkg" file); value = package file; }) files);
            in set
            "#,
        );
        for (name, script) in packages {
            let text = format!(
                "set: with set; derivation {{ name = \"{name}\"; system = builtins.currentSystem; builder = \"/bin/sh\"; \
                 args = [ \"-c\" ''\n{script}\n{}\n'' ]; }}\n",
                self.place.mark(name)
            );
            self.write(&format!("{name}.pkg"), &text);
        }
    }
}

/// A server that answers. Dropping it kills it.
pub struct Appliance<'a> {
    place: &'a Place,
    child: Child,
    at: SocketAddr,
    said: Arc<Mutex<String>>,
}

impl<'a> Appliance<'a> {
    fn start(place: &'a Place, mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let lines = listen([Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())], &said);
        let at = lines.iter().find_map(|line| line.rsplit_once("at http://").map(|(_, at)| at.trim().parse().unwrap()));
        let Some(at) = at else { panic!("it ended before it answered: {}", said.lock().unwrap()) };
        Self { place, child, at, said }
    }

    /// Everything that it wrote so far.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    pub fn get(&self, path: &str) -> Answer {
        http::request(self.at, "GET", path, &[], "")
            .unwrap_or_else(|error| panic!("GET {path}: {error}; it said {}", self.said()))
    }

    /// A page, which must be there.
    pub fn page(&self, path: &str) -> String {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }

    pub fn json(&self, path: &str) -> Value {
        let text = self.page(path);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
    }

    pub fn post(&self, path: &str, headers: &[Header<'_>], body: &str) -> Answer {
        http::request(self.at, "POST", path, headers, body).unwrap()
    }

    /// Bytes of memory that its own process had at most; proc(5): `VmHWM`.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().trim_end_matches(" kB");
        kib.parse::<u64>().unwrap() << 10
    }

    pub fn address(&self) -> SocketAddr {
        self.at
    }

    pub fn events(&self, path: &str) -> Events {
        Events::subscribe(self.at, path, &[]).unwrap_or_else(|error| panic!("{path}: {error}; it said {}", self.said()))
    }

    /// Looks at each event until there is something.
    pub fn until<T>(&self, what: &str, look: impl FnMut() -> Option<T>) -> T {
        self.until_within(PATIENCE, what, look)
    }

    fn until_within<T>(&self, patience: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + patience;
        let events = self.events("/api/events");
        loop {
            if let Some(found) = look() {
                return found;
            }
            if Instant::now() > deadline {
                let (pulls, queue) = (self.json("/api/pulls?state=all"), self.json("/api/queue/packages"));
                panic!("{what}: never. It said {}\npulls {pulls:#}\nqueue {queue:#}", self.said());
            }
            if events.next(SILENCE).is_some() {
                while events.next(Duration::ZERO).is_some() {}
            }
        }
    }

    /// The pull request of a branch, in any state.
    pub fn pull(&self, branch: &str) -> Option<Value> {
        self.json("/api/pulls?state=all").as_array().unwrap().iter().find(|pull| pull["branch"] == branch).cloned()
    }

    /// Waits until the review of this head is over; its report.
    pub fn reviewed(&self, branch: &str, head: &str) -> Value {
        self.reviewed_within(PATIENCE, branch, head)
    }

    pub fn reviewed_within(&self, patience: Duration, branch: &str, head: &str) -> Value {
        self.until_within(patience, &format!("the review of {branch} at {head} is over"), || {
            let pull = self.pull(branch).filter(|pull| pull["head"] == head && pull["review"]["head"] == head)?;
            let report = self.json(&format!("/api/reviews/{}", pull["review"]["id"].as_str()?));
            matches!(report["state"].as_str()?, "complete" | "error" | "cancelled").then_some(report)
        })
    }

    /// Waits until a builder of this package is at work; the derivation's base name and its log's address.
    pub fn building(&self, package: &str) -> Value {
        self.until(&format!("{package} is being built"), || {
            let queue = self.json("/api/queue/packages");
            let running = queue["running"].as_array().unwrap().iter().find(|running| running["name"] == package).cloned();
            running.filter(|_| !self.place.builders(package).is_empty())
        })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and its end.
    pub fn stop(mut self) -> (ExitStatus, Duration) {
        let began = Instant::now();
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let said = self.said.clone();
        let status = self.place.eventually("it ends", || self.child.try_wait().unwrap());
        assert!(!said.lock().unwrap().contains("panicked"), "{}", said.lock().unwrap());
        (status, began.elapsed())
    }
}

impl Drop for Appliance<'_> {
    fn drop(&mut self) {
        // an error: it has ended already
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Collects what is written, and passes its lines on.
fn listen(streams: [Box<dyn Read + Send>; 2], said: &Arc<Mutex<String>>) -> Receiver<String> {
    let (tell, lines) = channel();
    for stream in streams {
        let (said, tell) = (said.clone(), tell.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                said.lock().unwrap().push_str(&format!("{line}\n"));
                // nobody listens any more once the address is known
                tell.send(line).ok();
            }
        });
    }
    lines
}
