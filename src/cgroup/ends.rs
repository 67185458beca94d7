//! The end of everything in a group.

use std::fs;
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a killed process may take: one in the middle of a system call on a slow disk ends when that is through.
const PATIENCE: Duration = Duration::from_secs(10);

/// Kills everything in the groups of these directories and below them, until nobody is left, and waits for it. The directories are
/// those of one group in the hierarchies of version 1, or the one of version 2.
///
/// A fork bomb starts processes faster than they can be counted, so they are stopped first, or killed by the kernel itself.
pub(super) fn kill_all(dirs: &[&Path]) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let processes = dirs.iter().map(|dir| processes(dir)).collect::<io::Result<Vec<_>>>()?.concat();
        if processes.is_empty() {
            return Ok(());
        }
        // before they are killed: the number of one that is gone may be another's
        let handles: Vec<OwnedFd> = processes.iter().filter_map(|pid| handle(*pid)).collect();
        let by_kernel = dirs.iter().any(|dir| fs::write(dir.join("cgroup.kill"), "1").is_ok());
        if !by_kernel {
            let frozen: Vec<Frozen<'_>> = dirs.iter().filter_map(|dir| Frozen::at(dir)).collect();
            // anew: those that were started until all stood still
            for pid in dirs.iter().map(|dir| self::processes(dir)).collect::<io::Result<Vec<_>>>()?.concat() {
                // an error: it has ended
                kill(pid, Signal::SIGKILL).ok();
            }
            drop(frozen);
        }
        for handle in &handles {
            if !ended(handle, deadline) {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "a killed process does not end"));
            }
        }
        if Instant::now() > deadline {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "there are always new processes"));
        }
    }
}

/// Removes a group with all groups below it; there must be nobody in them.
pub(super) fn remove(dir: &Path) -> io::Result<()> {
    for below in below(dir)? {
        remove(&below)?;
    }
    match fs::remove_dir(dir) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => Err(fault),
        _ => Ok(()),
    }
}

/// Who is in a group and in those below it.
fn processes(dir: &Path) -> io::Result<Vec<Pid>> {
    let text = match fs::read_to_string(dir.join("cgroup.procs")) {
        // removed, or being removed
        Err(fault) if fault.kind() == io::ErrorKind::NotFound || fault.raw_os_error() == Some(libc::ENODEV) => {
            return Ok(Vec::new());
        }
        text => text?,
    };
    // 0: a process outside of what we can see
    let mut all: Vec<Pid> = text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0).map(Pid::from_raw).collect();
    for below in below(dir)? {
        all.extend(processes(&below)?);
    }
    Ok(all)
}

fn below(dir: &Path) -> io::Result<Vec<std::path::PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut dirs = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            dirs.push(entry.path());
        }
    }
    Ok(dirs)
}

/// A group that stands still. Dropping it lets those go on that are not killed; those of version 1 die only then.
struct Frozen<'a> {
    dir: &'a Path,
    file: &'static str,
    go_on: &'static str,
}

impl<'a> Frozen<'a> {
    fn at(dir: &'a Path) -> Option<Self> {
        const STATES: [(&str, &str, &str); 2] = [("freezer.state", "FROZEN", "THAWED"), ("cgroup.freeze", "1", "0")];
        let (file, _, go_on) = STATES.into_iter().find(|(file, stop, _)| fs::write(dir.join(file), stop).is_ok())?;
        Some(Self { dir, file, go_on })
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        if let Err(fault) = fs::write(self.dir.join(self.file), self.go_on) {
            tracing::warn!(dir = %self.dir.display(), %fault, "a control group can't be thawed");
        }
    }
}

fn handle(pid: Pid) -> Option<OwnedFd> {
    // SAFETY: the system call takes two integers and returns a new descriptor, or -1.
    #[allow(unsafe_code)]
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0);
        (fd >= 0).then(|| OwnedFd::from_raw_fd(fd as i32))
    }
}

fn ended(handle: &OwnedFd, deadline: Instant) -> bool {
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
