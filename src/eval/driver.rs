//! One evaluating process and its language. It is `nix repl` on a pipe, since only that survives *every* error (`abort`, a missing
//! attribute, infinite recursion …) and goes on warm; `driver.nix`, which it loads first, evaluates whole runs of attributes in one
//! expression and reports each as it comes, so that a run costs what one `nix-instantiate` costs.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe;
use tokio::task::JoinHandle;

use super::confine::{self, Spec};
use super::trace::frames::MARKS;
use super::trace::library;
use crate::cgroup::Confined;

pub const DRIVER: &str = include_str!("driver.nix");

/// A line of the evaluating process is no longer than this: the names of a set of a million attributes fit.
const LINE_BYTES: usize = 64 << 20;

/// What is kept of the text around an error.
const PRINTED_BYTES: usize = 64 << 10;

/// How long a process that was told to end may take until it is killed, and what it used is not known.
const PATIENCE: Duration = Duration::from_secs(5);

/// How to start an evaluating process.
#[derive(Clone)]
pub struct Launch {
    pub snowgate: PathBuf,
    pub spec: Spec,
    /// The expression that loads the driver, but for the nonce.
    pub arguments: String,
    /// Where the driver's file is seen.
    pub driver: PathBuf,
    /// Where the tree is seen.
    pub tree: PathBuf,
    /// `None`: this machine allows no groups.
    pub confined: Option<Confined>,
}

/// A process, its pipes and who waits for it.
pub struct Driver {
    stdin: pipe::Sender,
    stderr: BufReader<pipe::Receiver>,
    marker: Vec<u8>,
    nonce: String,
    asked: u64,
    process: Process,
    ended: JoinHandle<io::Result<Usage>>,
    /// What the process wrote since the last marker, its end if it was much.
    printed: Vec<u8>,
    /// Nothing was asked of it yet.
    pub fresh: bool,
    /// Of a recording process: what it reads, as [`Frames`](super::trace::frames::Frames). The process waits while nobody takes it.
    pub trace: Option<pipe::Receiver>,
}

/// How a process ended and what it used.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    pub status: ExitStatus,
    pub cpu_seconds: f64,
    pub peak_memory_bytes: u64,
}

/// What the process says next.
#[derive(Debug, PartialEq)]
pub enum Heard {
    /// Attribute `n` of the run is being evaluated.
    Began(usize),
    /// Of attribute `n`.
    Told(Telling, usize, serde_json::Value),
    /// The run is over, whether all was told or an error ended it.
    Ended,
    /// The process ended.
    Died,
    /// Nothing was said for the time limit.
    Silent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    Value,
    Name,
    Meta,
    /// The store paths that an attribute's derivation is made from.
    Inputs,
    /// A process was forked, by the fork's number, and is what is spoken to from now on.
    Forked,
    /// The process that was forked so has ended, in whatever way: its parent is spoken to again.
    Returned,
}

impl Driver {
    pub async fn start(launch: &Launch) -> anyhow::Result<Self> {
        let nonce = nonce()?;
        let (stdin, their_stdin) = sender()?;
        let (stderr, their_stderr) = receiver()?;
        let mut spec = launch.spec.clone();
        // without a trace that is what the repl echoes
        let (trace, stdout) = if spec.trace {
            spec.environment.insert(library::VARIABLE.to_owned(), format!("{MARKS}/{nonce}."));
            let (trace, theirs) = receiver()?;
            (Some(trace), Stdio::from(theirs))
        } else {
            (None, Stdio::null())
        };
        let mut command = confine::command(&launch.snowgate, &spec)?;
        command.stdin(Stdio::from(their_stdin)).stdout(stdout).stderr(Stdio::from(their_stderr));
        let group = launch.confined.as_ref().map(Confined::group).transpose().context("control group")?;
        if let Some(group) = &group {
            group.receive(&mut command).context("control group")?;
        }
        let mut child = command.spawn()?;
        // our copies of its ends of the pipes: while they are open, its end would not be seen
        drop(command);
        let process = Process::open(child.id(), launch.spec.stage.is_some())?;
        let ended = tokio::task::spawn_blocking(move || {
            let usage = wait(&mut child);
            // whatever it left ends with it
            drop(group);
            usage
        });
        let mut driver = Self {
            stdin,
            stderr: BufReader::with_capacity(1 << 16, stderr),
            marker: format!("trace: @{nonce} ").into_bytes(),
            nonce,
            asked: 0,
            process,
            ended,
            printed: Vec::new(),
            fresh: true,
            trace,
        };
        let load = format!(
            "snowgate = import {} {{ nonce = {}; {} }}\n",
            super::nix_text::path(&launch.driver),
            super::nix_text::string(&driver.nonce),
            launch.arguments
        );
        driver.tell(&load).await;
        Ok(driver)
    }

    /// In each marker, and in each mark of a recording process.
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// Writes lines for the repl. A process that is gone already is noticed when it is heard.
    pub async fn tell(&mut self, text: &str) {
        if let Err(error) = self.stdin.write_all(text.as_bytes()).await {
            tracing::debug!("the evaluating process takes no more: {error}");
        }
    }

    /// Asks for a run: an application of one of the driver's functions.
    pub async fn ask(&mut self, run: &str) {
        self.asked += 1;
        self.fresh = false;
        self.printed.clear();
        self.tell(&format!("snowgate.{run}\nsnowgate.end {}\n", self.asked)).await;
    }

    /// The same in two steps, for a run that forks: what is written before the forked process is known to live could be read by it
    /// and its parent both.
    pub async fn begin(&mut self, run: &str) {
        self.asked += 1;
        self.fresh = false;
        self.printed.clear();
        self.tell(&format!("snowgate.{run}\n")).await;
    }

    /// See [`Driver::begin`].
    pub async fn end(&mut self) {
        self.tell(&format!("snowgate.end {}\n", self.asked)).await;
    }

    pub async fn hear(&mut self, limit: Duration) -> Heard {
        match tokio::time::timeout(limit, self.listen()).await {
            Ok(heard) => heard,
            Err(_) => Heard::Silent,
        }
    }

    async fn listen(&mut self) -> Heard {
        let mut line = Vec::new();
        loop {
            line.clear();
            if !matches!(read_line(&mut self.stderr, &mut line).await, Ok(true)) {
                return Heard::Died;
            }
            match line.strip_prefix(&self.marker[..]).map(|rest| self.understand(rest)) {
                Some(Some(heard)) => return heard,
                // an earlier run's end, which an error overtook
                Some(None) => {}
                None => self.keep(&line),
            }
        }
    }

    fn understand(&mut self, said: &[u8]) -> Option<Heard> {
        let said = std::str::from_utf8(said).ok()?.trim_end_matches('\n');
        let (head, body) = said.split_once(' ').unwrap_or((said, ""));
        let (kind, number) = head.split_at_checked(1)?;
        let telling = match kind {
            "S" => {
                self.printed.clear();
                return Some(Heard::Began(number.parse().ok()?));
            }
            "E" => return (number.parse::<u64>().ok()? == self.asked).then_some(Heard::Ended),
            "R" => Telling::Value,
            "N" => Telling::Name,
            "M" => Telling::Meta,
            "I" => Telling::Inputs,
            "F" => return Some(Heard::Told(Telling::Forked, number.parse().ok()?, serde_json::Value::Null)),
            "P" => return Some(Heard::Told(Telling::Returned, number.parse().ok()?, serde_json::Value::Null)),
            _ => return None,
        };
        Some(Heard::Told(telling, number.parse().ok()?, serde_json::from_str(body).ok()?))
    }

    fn keep(&mut self, line: &[u8]) {
        self.printed.extend_from_slice(line);
        if self.printed.len() > 2 * PRINTED_BYTES {
            self.printed.drain(..self.printed.len() - PRINTED_BYTES);
        }
    }

    /// What was written, markers apart, since the last attribute began.
    pub fn printed(&self) -> String {
        String::from_utf8_lossy(&self.printed).into_owned()
    }

    /// Ends the process, whatever it does, and says what it used. It is not asked to end by itself: taking apart all that it has in
    /// its memory would cost it more than a twentieth of an evaluation.
    pub async fn stop(self) -> Usage {
        let Self { stdin, mut ended, process, .. } = self;
        drop(stdin);
        process.end();
        let waited = match tokio::time::timeout(PATIENCE, &mut ended).await {
            Ok(waited) => waited,
            Err(_) => {
                process.kill();
                ended.await
            }
        };
        match waited {
            Ok(Ok(usage)) => usage,
            Ok(Err(_)) | Err(_) => Usage::default(),
        }
    }

    pub fn process(&self) -> Process {
        self.process.clone()
    }
}

/// A process by its file descriptor, which never comes to mean another process as a number does.
#[derive(Clone)]
pub struct Process {
    descriptor: std::sync::Arc<OwnedFd>,
    /// It waits for the evaluator, and ends it when it is told to.
    waits: bool,
}

impl Process {
    fn open(id: u32, waits: bool) -> io::Result<Self> {
        // SAFETY: pidfd_open(2) takes two integers and returns a new descriptor, which nobody else owns.
        unsafe {
            let descriptor = libc::syscall(libc::SYS_pidfd_open, id as libc::pid_t, 0);
            if descriptor < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(Self { descriptor: std::sync::Arc::new(OwnedFd::from_raw_fd(descriptor as i32)), waits })
        }
    }

    /// Ends the evaluator at once, so that what it used is still told.
    fn end(&self) {
        self.signal(if self.waits { libc::SIGTERM } else { libc::SIGKILL });
    }

    /// Ends the process at once; one that has ended already is left alone.
    pub fn kill(&self) {
        self.signal(libc::SIGKILL);
    }

    fn signal(&self, signal: libc::c_int) {
        // SAFETY: pidfd_send_signal(2) with an open descriptor and no further information.
        let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, self.descriptor.as_raw_fd(), signal, 0usize, 0) };
        if sent < 0 {
            tracing::trace!("the evaluating process was gone");
        }
    }
}

/// Waits for the child and reads what it and its own children used.
fn wait(child: &mut std::process::Child) -> io::Result<Usage> {
    let mut status = 0;
    // SAFETY: zero is a valid value of this plain C structure, and both pointers are to live locals.
    let (waited, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        let mut waited = libc::wait4(child.id() as i32, &mut status, 0, &mut usage);
        while waited < 0 && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted {
            waited = libc::wait4(child.id() as i32, &mut status, 0, &mut usage);
        }
        (waited, usage)
    };
    if waited < 0 {
        return Err(io::Error::last_os_error());
    }
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    Ok(Usage {
        status: ExitStatus::from_raw(status),
        cpu_seconds: seconds(usage.ru_utime) + seconds(usage.ru_stime),
        // getrusage(2): kibibytes
        peak_memory_bytes: usage.ru_maxrss as u64 * 1024,
    })
}

async fn read_line(reader: &mut BufReader<pipe::Receiver>, line: &mut Vec<u8>) -> io::Result<bool> {
    loop {
        let available = reader.fill_buf().await?;
        if available.is_empty() {
            return Ok(!line.is_empty());
        }
        let (taken, ended) = match available.iter().position(|byte| *byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (available.len(), false),
        };
        line.extend_from_slice(&available[..taken]);
        reader.consume(taken);
        if ended {
            return Ok(true);
        }
        if line.len() > LINE_BYTES {
            return Err(io::Error::other("a line that never ends"));
        }
    }
}

/// 128 random bits in hexadecimal.
pub fn nonce() -> io::Result<String> {
    let mut bytes = [0; 16];
    io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(data_encoding::HEXLOWER.encode(&bytes))
}

fn sender() -> io::Result<(pipe::Sender, OwnedFd)> {
    let (theirs, ours) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    set_nonblocking(&ours)?;
    Ok((pipe::Sender::from_owned_fd(ours)?, theirs))
}

fn receiver() -> io::Result<(pipe::Receiver, OwnedFd)> {
    let (ours, theirs) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    set_nonblocking(&ours)?;
    Ok((pipe::Receiver::from_owned_fd(ours)?, theirs))
}

fn set_nonblocking(pipe: &OwnedFd) -> io::Result<()> {
    nix::fcntl::fcntl(pipe, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))?;
    Ok(())
}

/// The environment of every evaluating process: nothing of ours.
pub fn environment(extra: impl IntoIterator<Item = (&'static str, String)>) -> BTreeMap<String, String> {
    [
        ("HOME", "/tmp/home"),
        ("XDG_CACHE_HOME", "/tmp/cache"),
        ("TMPDIR", "/tmp"),
        ("LANG", "C.UTF-8"),
        ("NO_COLOR", "1"),
        ("TERM", "dumb"),
        // settings come from the command line alone, so that the same change gives the same derivations everywhere
        ("NIX_CONF_DIR", "/nonexistent"),
        ("NIX_USER_CONF_FILES", "/nonexistent"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into_iter()
    .chain(extra.into_iter().map(|(name, value)| (name.to_owned(), value)))
    .collect()
}
