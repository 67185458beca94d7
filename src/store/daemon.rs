//! Daemons of our own: `nix-daemon --stdio`, one per connection.
//!
//! A thread per daemon starts it, stays its parent, and reaps it: the kernel's parent-death signal is sent when the *thread* that
//! forked ends, so a thread of a pool would kill its daemons when it retires. The daemon has a process group of its own, so that
//! Ctrl-C in a terminal reaches us alone and we end it in order.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// How long a daemon may take to end by itself once its stream is closed. Then it is asked to, again and again: its own check for
/// an interruption and its wait for the builder's output are not one step, so that it may miss one that comes in between.
const PATIENCE: Duration = Duration::from_millis(200);
/// How often it is asked before it is killed: five seconds.
const REQUESTS: u32 = 25;

/// Daemons that have not been reaped yet.
static RUNNING: Mutex<usize> = Mutex::new(0);
static ONE_ENDED: Condvar = Condvar::new();

/// A running daemon. Dropping it begins its end; the keeper thread sees to the rest.
pub(super) struct Daemon {
    /// What it writes to its standard error: in memory, so that it never blocks on us and a full disk does not matter.
    errors: File,
    /// Closed when this value is dropped: the keeper waits for it.
    _leash: mpsc::Sender<()>,
}

impl Daemon {
    /// Starts a daemon for `store` and gives it one end of a socket pair as standard input and output.
    pub async fn start(
        program: &Path,
        store: &str,
        options: &BTreeMap<String, String>,
    ) -> io::Result<(tokio::net::UnixStream, Daemon)> {
        let mut command = Command::new(program);
        command.args(["--stdio", "--store", store]);
        for (name, value) in options {
            command.args(["--option", name, value]);
        }
        // `--store` says which store; this would point a daemon at another daemon
        command.env_remove("NIX_REMOTE");
        Self::run(command).await
    }

    /// Starts a program that speaks as a daemon does, `ssh` for one.
    pub async fn run(mut command: Command) -> io::Result<(tokio::net::UnixStream, Daemon)> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let ours = tokio::net::UnixStream::from_std(ours)?;
        let errors = nix::sys::memfd::memfd_create(c"nix-daemon errors", nix::sys::memfd::MFdFlags::MFD_CLOEXEC)?;

        let theirs: OwnedFd = theirs.into();
        command
            .stdin(Stdio::from(theirs.try_clone()?))
            .stdout(Stdio::from(theirs))
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
        std::thread::Builder::new().name("nix-daemon".into()).spawn(move || keep(command, started, &dropped))?;
        start.await.map_err(|_| io::Error::other("the thread that starts it ended"))??;
        Ok((ours, Daemon { errors: File::from(errors), _leash: leash }))
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

/// Starts the child, waits until nobody needs it or it ends by itself, and reaps it.
fn keep(mut command: Command, started: oneshot::Sender<io::Result<()>>, dropped: &mpsc::Receiver<()>) {
    let spawned = command.spawn();
    // our copies of the child's end of the stream: while they are open, the end of the child would not be seen
    drop(command);
    let mut child = match spawned {
        Ok(child) => child,
        Err(fault) => {
            // whoever asked is gone: nothing to tell
            drop(started.send(Err(fault)));
            return;
        }
    };
    *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    // if whoever asked is gone, so is the leash, and the next line returns at once
    drop(started.send(Ok(())));
    // nothing is ever sent: this ends when the `Daemon` is dropped
    while dropped.recv().is_ok() {}
    end(&child);
    match child.wait() {
        Ok(status) => tracing::debug!(pid = child.id(), %status, "a Nix daemon ended"),
        Err(fault) => tracing::warn!(pid = child.id(), %fault, "cannot wait for a Nix daemon"),
    }
    *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
    ONE_ENDED.notify_all();
}

/// Sees to it that a child ends, without reaping it.
fn end(child: &Child) {
    use nix::sys::signal::{Signal, kill};
    let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
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
