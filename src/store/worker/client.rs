//! The worker as `serve` sees it.

use std::io::{self, BufReader, IoSlice, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

use super::protocol::{self, Answer, MAX_LINE, Request};
use crate::cgroup::{Account, Limits};
use crate::store::StoreError;

/// How long the worker may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub(in crate::store) struct Worker {
    socket: PathBuf,
}

/// The worker's word on one daemon. Dropping it ends everything in the daemon's group.
pub(in crate::store) struct Control {
    stream: tokio::io::BufReader<tokio::net::UnixStream>,
}

impl Worker {
    pub fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Whether it serves us.
    pub async fn welcome(&self) -> Result<(), StoreError> {
        let socket = self.socket.clone();
        let welcome = tokio::task::spawn_blocking(move || welcome(&socket)).await.map_err(io::Error::other);
        welcome.and_then(|welcome| welcome).map_err(|fault| self.unreachable(fault))
    }

    /// Has a daemon started: its stream, and the word on it.
    pub async fn start(&self, limits: &Limits) -> Result<(tokio::net::UnixStream, Control), StoreError> {
        let (socket, limits) = (self.socket.clone(), *limits);
        let started = tokio::task::spawn_blocking(move || start(&socket, limits)).await.map_err(io::Error::other);
        let streams = started.and_then(|started| started).and_then(|(stream, control)| {
            let control = tokio::net::UnixStream::from_std(control)?;
            Ok((tokio::net::UnixStream::from_std(stream)?, Control { stream: tokio::io::BufReader::new(control) }))
        });
        streams.map_err(|fault| self.unreachable(fault))
    }

    fn unreachable(&self, fault: io::Error) -> StoreError {
        StoreError::Unreachable { through: format!("the worker at {}", self.socket.display()), fault }
    }
}

fn connect(socket: &Path) -> io::Result<UnixStream> {
    let control = UnixStream::connect(socket)?;
    control.set_read_timeout(Some(PATIENCE))?;
    control.set_write_timeout(Some(PATIENCE))?;
    Ok(control)
}

fn welcome(socket: &Path) -> io::Result<()> {
    let mut control = connect(socket)?;
    // an error: it has refused us already, and said why
    control.write_all(&protocol::line(&Request::Hello)?).ok();
    match answer(&control)? {
        Answer::Welcome => Ok(()),
        Answer::Started | Answer::Renewed | Answer::Account(_) => Err(another_question()),
        Answer::Refused(why) => Err(refused(why)),
    }
}

fn answer(control: &UnixStream) -> io::Result<Answer> {
    let silent = || io::Error::new(io::ErrorKind::UnexpectedEof, "it hung up without a word");
    protocol::read(&mut BufReader::new(control))?.ok_or_else(silent)
}

fn another_question() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it answers another question")
}

fn refused(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

fn start(socket: &Path, limits: Limits) -> io::Result<(UnixStream, UnixStream)> {
    let mut control = connect(socket)?;
    let (ours, theirs) = UnixStream::pair()?;
    let theirs: OwnedFd = theirs.into();
    let line = protocol::line(&Request::Start { limits })?;
    let descriptors = [theirs.as_raw_fd()];
    let message = [ControlMessage::ScmRights(&descriptors)];
    let sent = sendmsg::<()>(control.as_raw_fd(), &[IoSlice::new(&line)], &message, MsgFlags::MSG_NOSIGNAL, None)?;
    control.write_all(&line[sent..])?;
    // while it is open here, the daemon's end would not be seen
    drop(theirs);
    match answer(&control)? {
        Answer::Started => {}
        Answer::Refused(why) => return Err(refused(why)),
        Answer::Account(_) | Answer::Welcome | Answer::Renewed => return Err(another_question()),
    }
    for stream in [&ours, &control] {
        stream.set_read_timeout(None)?;
        stream.set_write_timeout(None)?;
        stream.set_nonblocking(true)?;
    }
    Ok((ours, control))
}

impl Control {
    /// What has been used up to now; `None` if the worker is gone.
    pub async fn account(&mut self) -> Option<Account> {
        match self.ask(Request::Account).await {
            Ok(Answer::Account(account)) => Some(account),
            Ok(answer) => {
                tracing::warn!(?answer, "the worker does not say what a build has used");
                None
            }
            Err(fault) => {
                tracing::warn!(%fault, "the worker does not say what a build has used");
                None
            }
        }
    }

    /// A fresh group for the daemon.
    pub async fn renew(&mut self) -> io::Result<()> {
        match self.ask(Request::Renew).await? {
            Answer::Renewed => Ok(()),
            Answer::Refused(why) => Err(refused(why)),
            Answer::Started | Answer::Welcome | Answer::Account(_) => Err(another_question()),
        }
    }

    async fn ask(&mut self, request: Request) -> io::Result<Answer> {
        let asked = async {
            self.stream.write_all(&protocol::line(&request)?).await?;
            let mut line = String::new();
            (&mut self.stream).take(MAX_LINE).read_line(&mut line).await?;
            protocol::read(&mut line.as_bytes())?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
        };
        tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}
