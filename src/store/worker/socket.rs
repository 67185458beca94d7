//! The worker's socket: one that systemd made, or our own.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::stat::Mode;
use nix::unistd::Gid;

/// The first descriptor that systemd passes (sd_listen_fds(3)).
const FIRST: i32 = 3;

/// A socket to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    pub path: PathBuf,
    pub mode: u32,
    pub group: Option<Gid>,
}

/// A socket that is listened at. One of our own goes with this.
pub struct Listening {
    listener: UnixListener,
    own: Option<PathBuf>,
    pub place: String,
}

#[derive(Debug, thiserror::Error)]
pub enum SocketFault {
    #[error("another worker listens at {0} already; stop it, or name another socket with --listen")]
    Taken(PathBuf),
    #[error("{path} is no socket; remove it, or name another with --listen")]
    NoSocket { path: PathBuf },
    #[error("{path} can't be listened at: {fault}")]
    Unusable { path: PathBuf, fault: io::Error },
    #[error("what the service manager passed is no socket to listen at: {0}")]
    Passed(io::Error),
}

impl Listening {
    /// A listener at it, for the thread that serves.
    pub fn listener(&self) -> io::Result<UnixListener> {
        self.listener.try_clone()
    }

    /// What the service manager passed; else `socket` is made.
    pub fn open(socket: &Socket) -> Result<Self, SocketFault> {
        let variable = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
        match variable("LISTEN_FDS") {
            Some(1..) if variable("LISTEN_PID") == Some(std::process::id()) => Self::passed(),
            _ => Self::bind(socket),
        }
    }

    fn passed() -> Result<Self, SocketFault> {
        // SAFETY: the descriptor was passed to this process, and nobody else knows of it.
        #[allow(unsafe_code)]
        let descriptor = unsafe { OwnedFd::from_raw_fd(FIRST) };
        let own = fcntl(&descriptor, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC));
        own.map_err(|fault| SocketFault::Passed(fault.into()))?;
        let listens = nix::sys::socket::getsockopt(&descriptor, nix::sys::socket::sockopt::AcceptConn);
        match listens {
            Ok(true) => {}
            Ok(false) => return Err(SocketFault::Passed(io::Error::other("it does not listen"))),
            Err(fault) => return Err(SocketFault::Passed(fault.into())),
        }
        let listener = UnixListener::from(descriptor);
        let address = listener.local_addr().map_err(SocketFault::Passed)?;
        listener.set_nonblocking(false).map_err(SocketFault::Passed)?;
        let place = address.as_pathname().map_or_else(|| "a socket without a name".into(), |path| path.display().to_string());
        Ok(Self { listener, own: None, place })
    }

    fn bind(socket: &Socket) -> Result<Self, SocketFault> {
        let path = &socket.path;
        let unusable = |fault| SocketFault::Unusable { path: path.clone(), fault };
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(unusable)?;
        }
        remove_left(path)?;
        // nobody connects before the mode is as it shall be
        let before = nix::sys::stat::umask(Mode::from_bits_truncate(0o177));
        let bound = UnixListener::bind(path);
        nix::sys::stat::umask(before);
        let listening = Self { listener: bound.map_err(unusable)?, own: Some(path.clone()), place: path.display().to_string() };
        std::os::unix::fs::chown(path, None, socket.group.map(Gid::as_raw)).map_err(unusable)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(socket.mode)).map_err(unusable)?;
        Ok(listening)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(path) = &self.own
            && let Err(fault) = std::fs::remove_file(path)
        {
            tracing::warn!(path = %path.display(), %fault, "the worker's socket is left behind");
        }
    }
}

/// A socket of a worker that was killed.
fn remove_left(path: &Path) -> Result<(), SocketFault> {
    let unusable = |fault| SocketFault::Unusable { path: path.to_owned(), fault };
    match std::fs::symlink_metadata(path) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(fault) => return Err(unusable(fault)),
        Ok(there) if !there.file_type().is_socket() => return Err(SocketFault::NoSocket { path: path.to_owned() }),
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(SocketFault::Taken(path.to_owned())),
        Err(_) => std::fs::remove_file(path).map_err(unusable),
    }
}
