//! One process per state directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use super::OpenError;
use crate::config::StateDir;

/// Holds the directory as long as it lives. The kernel lets go of it when the process ends, however it ends; processes started
/// meanwhile don't inherit it, since the descriptor closes on exec.
pub(super) struct Lock(File);

impl Lock {
    pub(super) fn take(state: &StateDir) -> Result<Self, OpenError> {
        let directory = |error: std::io::Error| OpenError::Directory {
            dir: state.root().to_owned(),
            reason: format!("its lock {} can't be taken: {error}", state.lock().display()),
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(state.lock())
            .map_err(directory)?;
        match try_for_a_while(&mut file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // what can't be read is only the holder's name; that there is one is known
                if file.rewind().and_then(|()| file.read_to_string(&mut holder)).is_err() || holder.trim().is_empty() {
                    holder = "it has not said which".into();
                }
                return Err(OpenError::InUse { dir: state.root().to_owned(), holder: holder.trim().into() });
            }
            Err(TryLockError::Error(error)) => return Err(directory(error)),
        }
        match file.rewind().and_then(|()| file.set_len(0)).and_then(|()| writeln!(file, "{}", holder())) {
            Ok(()) => Ok(Self(file)),
            // on a full disk the lock is held all the same, without a name; what follows says that the disk is full
            Err(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => Ok(Self(file)),
            Err(error) => Err(directory(error)),
        }
    }
}

/// Of a holder that is gone, how long its lock may stay: a process that it was starting at that moment has the descriptor until it
/// runs its own program.
const AFTERLIFE: Duration = Duration::from_secs(5);

fn try_for_a_while(file: &mut File) -> Result<(), TryLockError> {
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if began.elapsed() < AFTERLIFE && holder_is_gone(file) => {
                std::thread::sleep(Duration::from_millis(20));
            }
            answer => return answer,
        }
    }
}

/// The file names a process that there is none of any more.
fn holder_is_gone(file: &mut File) -> bool {
    let mut text = String::new();
    if file.rewind().and_then(|()| file.read_to_string(&mut text)).is_err() {
        return false;
    }
    let pid = text.strip_prefix("pid ").and_then(|rest| rest.split(':').next()?.parse::<u32>().ok());
    pid.is_some_and(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists())
}

impl Drop for Lock {
    fn drop(&mut self) {
        // the name of a holder that is gone would only mislead whoever looks at the file; the lock itself goes with the descriptor
        if let Err(error) = self.0.set_len(0) {
            tracing::debug!("the lock file keeps its name: {error}");
        }
    }
}

/// `pid 123: snowgate serve --config …`, shortened.
fn holder() -> String {
    let command: Vec<_> = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let command: String = command.join(" ").chars().filter(|c| !c.is_control()).take(200).collect();
    format!("pid {}: {command}", std::process::id())
}
