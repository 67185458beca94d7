//! Daemons of our own: `nix-daemon --stdio`, one per connection.
//!
//! A thread per daemon starts it, stays its parent, and reaps it: the kernel's parent-death signal is sent when the *thread* that
//! forked ends, so a thread of a pool would kill its daemons when it retires. The daemon has a process group of its own, so that
//! Ctrl-C in a terminal reaches us alone and we end it in order. One that builds can have a control group of its own: what it leaves
//! behind ends with that.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use tokio::sync::oneshot;

use crate::cgroup::{Account, Confined, Group};

/// How long a daemon may take to end by itself once its stream is closed. Then it is asked to, again and again: its own check for
/// an interruption and its wait for the builder's output are not one step, so that it may miss one that comes in between.
const PATIENCE: Duration = Duration::from_millis(200);
/// How often it is asked before it is killed: five seconds.
const REQUESTS: u32 = 25;

/// Daemons that have not been reaped yet, or whose groups are there.
static RUNNING: Mutex<usize> = Mutex::new(0);
static ONE_ENDED: Condvar = Condvar::new();

/// What a daemon is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program {
    pub path: PathBuf,
    pub store: String,
    /// Nix settings on its command line, where all of them work.
    pub options: BTreeMap<String, String>,
    pub trust: Trust,
}

/// Whether a daemon does all that is asked of it. One that does runs programs that its client names, as its own user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    Trusted,
    /// Since Nix 2.15; older ones don't start so.
    Untrusted,
}

/// A running daemon. Dropping it begins its end; the keeper thread sees to the rest.
pub(super) struct Daemon {
    /// What it writes to its standard error: in memory, so that it never blocks on us and a full disk does not matter.
    errors: File,
    /// Closed when this value is dropped: the keeper waits for it.
    _leash: mpsc::Sender<()>,
}

/// The group of a daemon, to be read after the daemon's end. It is removed when this is dropped and the daemon is gone.
#[derive(Clone)]
pub(super) struct Held {
    stay: Arc<Stay>,
    /// Closed after the line above is dropped, so that the keeper is the last to have the group: its end may take a while.
    _hold: mpsc::Sender<()>,
}

/// A daemon in its group.
struct Stay {
    confined: Confined,
    daemon: Pid,
    group: Mutex<Group>,
}

impl Held {
    pub fn account(&self) -> Account {
        self.stay.group().account()
    }

    /// Moves the daemon to a fresh group, and ends whatever else was in the last one. For threads that may wait. When this fails, the
    /// daemon may be dead.
    pub fn renew(&self) -> io::Result<()> {
        let fresh = self.stay.confined.group()?;
        // its number is its own: the keeper has not reaped it
        fresh.admit(self.stay.daemon)?;
        let last = std::mem::replace(&mut *self.stay.group(), fresh);
        drop(last);
        Ok(())
    }
}

impl Stay {
    fn group(&self) -> MutexGuard<'_, Group> {
        self.group.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Program {
    pub fn trusting(path: &Path, store: &str, options: &BTreeMap<String, String>) -> Self {
        Self { path: path.to_owned(), store: store.to_owned(), options: options.clone(), trust: Trust::Trusted }
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.args(["--stdio", "--store", &self.store]);
        // we keep logs ourselves: compressing them once more costs Nix three quarters of the time of a build that prints much
        command.args(["--option", "keep-build-log", "false"]);
        for (name, value) in &self.options {
            command.args(["--option", name, value]);
        }
        match self.trust {
            Trust::Trusted => {}
            Trust::Untrusted => {
                command.args(["--option", "extra-experimental-features", "daemon-trust-override", "--force-untrusted"]);
            }
        }
        // `--store` says which store; this would point a daemon at another daemon
        command.env_remove("NIX_REMOTE");
        command
    }
}

impl Daemon {
    /// Starts a daemon, or what speaks like one, and gives it one end of a socket pair as standard input and output.
    pub async fn run(command: Command, confined: Option<Confined>) -> io::Result<(tokio::net::UnixStream, Daemon, Option<Held>)> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let ours = tokio::net::UnixStream::from_std(ours)?;
        let (daemon, started) = Self::launch(command, theirs.into(), confined)?;
        let held = started.await.map_err(|_| keeper_gone())??;
        Ok((ours, daemon, held))
    }

    /// The same on another's stream, and for threads that may wait.
    pub fn run_on(command: Command, stream: OwnedFd, confined: Confined) -> io::Result<(Daemon, Option<Held>)> {
        let (daemon, started) = Self::launch(command, stream, Some(confined))?;
        let held = started.blocking_recv().map_err(|_| keeper_gone())??;
        Ok((daemon, held))
    }

    fn launch(mut command: Command, stream: OwnedFd, confined: Option<Confined>) -> io::Result<(Daemon, Started)> {
        let errors = nix::sys::memfd::memfd_create(c"nix-daemon errors", nix::sys::memfd::MFdFlags::MFD_CLOEXEC)?;
        command
            .stdin(Stdio::from(stream.try_clone()?))
            .stdout(Stdio::from(stream))
            .stderr(Stdio::from(errors.try_clone()?))
            .process_group(0);
        let parent = nix::unistd::getpid();
        // SAFETY: prctl, getppid and _exit are async-signal-safe; nothing is allocated.
        #[allow(unsafe_code)]
        unsafe {
            command.pre_exec(move || {
                // SIGTERM and not SIGKILL: the daemon then kills its builder, which need not be in its process group
                nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGTERM)?;
                if nix::unistd::getppid() != parent {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                Ok(())
            });
        }
        let (leash, dropped) = mpsc::channel();
        let (started, start) = oneshot::channel();
        let keep = move || keep(command, confined, started, &dropped);
        std::thread::Builder::new().name("nix-daemon".into()).spawn(keep)?;
        Ok((Daemon { errors: File::from(errors), _leash: leash }, start))
    }

    /// The end of what it wrote to its standard error, without colour.
    pub fn last_words(&self) -> String {
        const END: u64 = 2048;
        let mut bytes = Vec::new();
        let read = (|| {
            // an own description: the daemon shares the offset of ours
            let mut file = File::open(format!("/proc/self/fd/{}", self.errors.as_raw_fd()))?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(END)))?;
            file.read_to_end(&mut bytes)
        })();
        match read {
            Ok(_) => super::messages::plain(&String::from_utf8_lossy(&bytes)).trim().to_owned(),
            Err(fault) => format!("(its errors can't be read: {fault})"),
        }
    }
}

type Started = oneshot::Receiver<io::Result<Option<Held>>>;

fn keeper_gone() -> io::Error {
    io::Error::other("the thread that starts it ended")
}

/// Starts the child, waits until nobody needs it or it ends by itself, and reaps it; then ends whatever else is in its group.
fn keep(
    command: Command,
    confined: Option<Confined>,
    started: oneshot::Sender<io::Result<Option<Held>>>,
    dropped: &mpsc::Receiver<()>,
) {
    // before the start: so the waiting for all ends includes this one
    let _counted = Counted::new();
    let (mut child, stay) = match spawn(command, confined) {
        Ok(begun) => begun,
        Err(fault) => {
            // whoever asked is gone: nothing to tell
            drop(started.send(Err(fault)));
            return;
        }
    };
    let (hold, let_go) = mpsc::channel();
    let held = stay.clone().map(|stay| Held { stay, _hold: hold });
    // if whoever asked is gone, so is the leash, and the next line returns at once
    drop(started.send(Ok(held)));
    // nothing is ever sent: this ends when the `Daemon` is dropped
    while dropped.recv().is_ok() {}
    end(&child);
    match child.wait() {
        Ok(status) => tracing::debug!(pid = child.id(), %status, "a Nix daemon ended"),
        Err(fault) => tracing::warn!(pid = child.id(), %fault, "cannot wait for a Nix daemon"),
    }
    let Some(stay) = stay else { return };
    if let Err(fault) = stay.group().kill() {
        tracing::warn!(pid = child.id(), %fault, "processes that a build left behind can't be ended");
    }
    while let_go.recv().is_ok() {}
}

/// The group is there, with its limits, and entered, before the program is.
fn spawn(mut command: Command, confined: Option<Confined>) -> io::Result<(Child, Option<Arc<Stay>>)> {
    let group = confined.as_ref().map(Confined::group).transpose()?;
    if let Some(group) = &group {
        group.receive(&mut command)?;
    }
    // our copies of the child's end of the stream go with the command: while they are open, the end of the child would not be seen
    let child = command.spawn()?;
    let daemon = Pid::from_raw(child.id().cast_signed());
    let stay = confined.zip(group).map(|(confined, group)| Arc::new(Stay { confined, daemon, group: Mutex::new(group) }));
    Ok((child, stay))
}

/// One of [`RUNNING`].
struct Counted;

impl Counted {
    fn new() -> Self {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ONE_ENDED.notify_all();
    }
}

/// Sees to it that a child ends, without reaping it.
fn end(child: &Child) {
    use nix::sys::signal::{Signal, kill};
    let pid = Pid::from_raw(child.id().cast_signed());
    for _ in 0..REQUESTS {
        if ended_within(child, PATIENCE) {
            return;
        }
        if let Err(fault) = kill(pid, Signal::SIGTERM) {
            tracing::warn!(%pid, %fault, "cannot ask a Nix daemon to end");
        }
    }
    tracing::warn!(%pid, "a Nix daemon did not end when its connection was closed; it is killed");
    if let Err(fault) = nix::sys::signal::killpg(pid, Signal::SIGKILL) {
        tracing::warn!(%pid, %fault, "cannot kill a Nix daemon");
    }
}

/// Waits for the end of a child without reaping it.
fn ended_within(child: &Child, limit: Duration) -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    // SAFETY: the system call takes two integers and returns a new descriptor, or -1.
    #[allow(unsafe_code)]
    let handle = unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, child.id(), 0);
        if fd < 0 {
            return false;
        }
        OwnedFd::from_raw_fd(fd as i32)
    };
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(handle.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) | Err(nix::errno::Errno::EINTR) if Instant::now() < deadline => {}
            Ok(ready) => return ready > 0,
            Err(_) => return false,
        }
    }
}

/// Waits (blocking) until every daemon that we started has ended and was reaped, so that nothing outlives this process.
/// False if some still run after `limit`. Call it when all connections are dropped.
pub fn last_daemon_ended(limit: Duration) -> bool {
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let waited = ONE_ENDED.wait_timeout_while(running, limit, |running| *running > 0);
    *waited.unwrap_or_else(PoisonError::into_inner).0 == 0
}
