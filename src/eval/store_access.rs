//! The socket through which an evaluator writes derivations: it is never a trusted client. Where a daemon runs, that is its socket;
//! where we open the store ourselves, a daemon of our own listens on one for as long as this value lives.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::store::Transport;

pub struct StoreSocket {
    path: PathBuf,
    daemon: Option<Child>,
}

impl StoreSocket {
    /// `directory` is our own; the socket is made there when it has to be.
    pub fn open(transport: &Transport, directory: &Path) -> io::Result<Self> {
        match transport {
            Transport::Socket(path) => Ok(Self { path: path.clone(), daemon: None }),
            Transport::Ssh(ssh) => Err(io::Error::other(format!("evaluations need a store of this machine, and {ssh} is none"))),
            Transport::Stdio { program, store, options } => {
                let path = directory.join("store.sock");
                let listener = listen(&path)?;
                let mut command = Command::new("/bin/sh");
                // socket activation: nix-daemon takes descriptor 3, if the process id is its own
                command.args(["-c", "LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" \"$@\""]).arg(program).args([
                    "--option",
                    "trusted-users",
                    "",
                ]);
                for (name, value) in options {
                    command.args(["--option", name, value]);
                }
                command
                    .env("NIX_REMOTE", store)
                    .env_remove("NIX_DAEMON_SOCKET_PATH")
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null());
                let descriptor = listener.as_raw_fd();
                // SAFETY: only async-signal-safe calls between fork and exec.
                unsafe {
                    command.pre_exec(move || {
                        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
                        libc::setpgid(0, 0);
                        // dup2 onto itself would keep the close-on-exec flag
                        let result = if descriptor == 3 { libc::fcntl(3, libc::F_SETFD, 0) } else { libc::dup2(descriptor, 3) };
                        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
                    });
                }
                Ok(Self { path, daemon: Some(command.spawn()?) })
            }
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a daemon of our own still runs. One of the machine's is its own supervisor's concern.
    pub fn is_alive(&mut self) -> bool {
        match &mut self.daemon {
            None => true,
            Some(daemon) => matches!(daemon.try_wait(), Ok(None)),
        }
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    // the evaluator has a user id of its own; the directory around the socket is closed to everybody else
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

impl Drop for StoreSocket {
    fn drop(&mut self) {
        let Some(daemon) = &mut self.daemon else { return };
        // the group: a daemon has a process for each connection
        let group = nix::unistd::Pid::from_raw(-(daemon.id() as i32));
        if let Err(error) = nix::sys::signal::kill(group, nix::sys::signal::Signal::SIGTERM) {
            tracing::debug!("our nix-daemon was gone: {error}");
        }
        if let Err(error) = daemon.wait() {
            tracing::debug!("our nix-daemon can't be waited for: {error}");
        }
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!("the socket was gone: {error}");
        }
    }
}
