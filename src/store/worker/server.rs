//! The worker's side. A thread per client: there are as many as builds.

use std::collections::HashMap;
use std::io::{self, BufReader, Cursor, IoSliceMut, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockType, getsockopt, recvmsg, sockopt};

use super::peers::Admitted;
use super::protocol::{self, Answer, Request};
use crate::cgroup::{Confined, Ground, Limits, NoGround};
use crate::store::daemon::{Daemon, Held, Program, Trust};
use crate::store::{ClientSettings, Connection, Nix, Transport};

/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);

/// Clients at once that have no daemon: those that are about to, those that are refused, and those that say nothing.
const BESIDE: usize = 64;

/// What a worker serves, and whom.
pub struct Serving {
    pub admitted: Admitted,
    /// Where one is given, each request must keep to it.
    pub most: Limits,
    /// Daemons at once.
    pub daemons: usize,
}

/// A worker.
#[derive(Clone)]
pub struct Served(Arc<Inner>);

struct Inner {
    serving: Serving,
    /// `None` once it is closed: what waits for clients lives as long as the process, and the groups must not.
    ground: Mutex<Option<Ground>>,
    program: Program,
    clients: Mutex<Clients>,
}

#[derive(Default)]
struct Clients {
    /// To hang up on them.
    streams: HashMap<u64, UnixStream>,
    arrivals: u64,
    daemons: usize,
    closing: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum CannotWork {
    #[error("this process may not open the Nix store itself ({0} is in between): run it as root, without NIX_REMOTE")]
    NotOurStore(Transport),
    #[error(transparent)]
    NoGround(#[from] NoGround),
    #[error(
        "Nix {version} can't be told not to trust whoever builds, which would make every client root: use Nix 2.15 or later ({said})"
    )]
    Trusts { version: String, said: String },
}

impl Served {
    /// Ends what an earlier worker left behind, and sees whether Nix does as it must.
    pub async fn open(nix: &Nix, settings: &ClientSettings, serving: Serving) -> Result<Self, CannotWork> {
        let program = match &nix.transport {
            Transport::Stdio { program, store, .. } => Program {
                path: program.clone(),
                store: store.clone(),
                // all that a client who is not trusted can't set by itself
                options: settings.on_the_wire(None, &nix.version),
                trust: Trust::Untrusted,
            },
            Transport::Socket(_) | Transport::Ssh(_) => return Err(CannotWork::NotOurStore(nix.transport.clone())),
        };
        let ground = Ground::open()?;
        let trusts = |said: String| CannotWork::Trusts { version: nix.version.clone(), said };
        let (stream, daemon, _) = Daemon::run(program.command(), None).await.map_err(|fault| trusts(fault.to_string()))?;
        let connection =
            Connection::to(daemon, stream, "a daemon that trusts nobody").await.map_err(|error| trusts(error.to_string()))?;
        if connection.trusted() != Some(false) {
            return Err(trusts("it trusts all the same".into()));
        }
        let beyond = ground.beyond(&serving.most);
        if !beyond.is_empty() {
            tracing::warn!("this machine holds no limit of {}: its control groups lack the controller", beyond.join(", "));
        }
        Ok(Self(Arc::new(Inner { serving, ground: Mutex::new(Some(ground)), program, clients: Mutex::default() })))
    }

    /// Serves whoever comes, on this thread; never ends by itself.
    pub fn serve(&self, listener: &UnixListener) {
        for client in listener.incoming() {
            let served = self.clone();
            let begun = client.and_then(|client| {
                let Some(number) = served.enter(&client)? else { return Ok(()) };
                std::thread::Builder::new().name("client".into()).spawn(move || {
                    if let Err(fault) = served.attend(&client) {
                        tracing::warn!(%fault, "a client was not served to its end");
                    }
                    served.clients().streams.remove(&number);
                })?;
                Ok(())
            });
            if let Err(fault) = begun {
                tracing::warn!(%fault, "a client can't be served");
            }
        }
    }

    /// Hangs up on everybody; what runs ends.
    pub fn close(&self) {
        let mut clients = self.clients();
        clients.closing = true;
        for stream in clients.streams.values() {
            // an error: it has hung up
            stream.shutdown(std::net::Shutdown::Both).ok();
        }
        drop(clients);
        drop(self.0.ground.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.0.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place among the clients; if there are too many, none, and the connection is closed.
    fn enter(&self, client: &UnixStream) -> io::Result<Option<u64>> {
        let mut clients = self.clients();
        if clients.closing {
            return Ok(None);
        }
        if clients.streams.len() >= self.0.serving.daemons.saturating_add(BESIDE) {
            return Ok(None);
        }
        clients.arrivals += 1;
        let number = clients.arrivals;
        clients.streams.insert(number, client.try_clone()?);
        Ok(Some(number))
    }

    fn attend(&self, client: &UnixStream) -> io::Result<()> {
        client.set_read_timeout(Some(PATIENCE))?;
        client.set_write_timeout(Some(PATIENCE))?;
        let peer = getsockopt(client, sockopt::PeerCredentials)?;
        if !self.0.serving.admitted.admits(peer.uid(), peer.gid()) {
            tracing::warn!(uid = peer.uid(), pid = peer.pid(), "a user who is not admitted was refused");
            let uid = peer.uid();
            return refuse(client, &format!("the user {uid} is not admitted: name it in `worker.users` of the configuration"));
        }
        let (bytes, descriptors) = receive(client)?;
        let mut requests = BufReader::new(Cursor::new(bytes).chain(client));
        let limits = match protocol::read(&mut requests) {
            Ok(Some(Request::Start { limits })) => limits,
            Ok(Some(Request::Hello)) => return tell(client, &Answer::Welcome),
            Ok(Some(Request::Account | Request::Renew)) => return refuse(client, "nothing runs yet"),
            // one that only looked whether somebody listens
            Ok(None) => return Ok(()),
            Err(fault) => return refuse(client, &format!("the request is not understood: {fault}")),
        };
        let stream = match self.admissible(&limits, descriptors) {
            Ok(stream) => stream,
            Err(why) => return refuse(client, &why),
        };
        let Some(_counted) = self.admit() else {
            let many = self.0.serving.daemons;
            return refuse(client, &format!("{many} daemons run already, and `worker.daemons` allows no more"));
        };
        let ground = self.0.ground.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(ground) = ground else { return refuse(client, "the worker is being stopped") };
        let confined = Confined { ground, limits };
        let (daemon, held) = match Daemon::run_on(self.0.program.command(), stream, confined) {
            Ok(started) => started,
            Err(fault) => return refuse(client, &format!("the Nix daemon can't be started: {fault}")),
        };
        tell(client, &Answer::Started)?;
        // a build may take days
        client.set_read_timeout(None)?;
        let heard = loop {
            match protocol::read(&mut requests) {
                Ok(Some(Request::Account)) => {
                    let account = held.as_ref().map(Held::account).unwrap_or_default();
                    tell(client, &Answer::Account(account))?;
                }
                Ok(Some(Request::Renew)) => match held.as_ref().map(Held::renew) {
                    Some(Err(fault)) => break refuse(client, &format!("there is no fresh control group: {fault}")),
                    Some(Ok(())) | None => tell(client, &Answer::Renewed)?,
                },
                Ok(Some(Request::Start { .. } | Request::Hello)) => break refuse(client, "one connection is for one daemon"),
                Ok(None) => break Ok(()),
                Err(fault) => break Err(fault),
            }
        };
        drop(daemon);
        heard
    }

    /// A place among the daemons, if there is one.
    fn admit(&self) -> Option<Counted<'_>> {
        let mut clients = self.clients();
        (clients.daemons < self.0.serving.daemons).then(|| {
            clients.daemons += 1;
            Counted(self)
        })
    }

    /// The stream of a request that may be; or why it may not, in a sentence.
    fn admissible(&self, limits: &Limits, mut descriptors: Vec<OwnedFd>) -> Result<OwnedFd, String> {
        let (Some(stream), true) = (descriptors.pop(), descriptors.is_empty()) else {
            return Err("a request brings exactly one stream".into());
        };
        // what is no stream of the client's own making is not written to
        if !matches!(getsockopt(&stream, sockopt::SockType), Ok(SockType::Stream)) {
            return Err("what the request brings is no stream socket".into());
        }
        let most = self.0.serving.most;
        for (what, wanted, most) in [
            ("memory_mb", limits.memory_bytes, most.memory_bytes),
            ("cpu_percent", limits.cpu_percent, most.cpu_percent),
            ("pids_max", limits.pids_max, most.pids_max),
        ] {
            if most.is_some_and(|most| wanted.is_none_or(|wanted| wanted > most)) {
                return Err(format!(
                    "the request's `{what}` is above the worker's own: lower it in [build], or raise it in [worker]"
                ));
            }
        }
        let weights = [("cpu_weight", limits.cpu_weight), ("io_weight", limits.io_weight)];
        if let Some((what, _)) =
            weights.into_iter().find(|(_, weight)| weight.is_some_and(|weight| !(1..=10_000).contains(&weight)))
        {
            return Err(format!("the request's `{what}` is not between 1 and 10000"));
        }
        Ok(stream)
    }
}

/// One of the daemons at once.
struct Counted<'a>(&'a Served);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.clients().daemons -= 1;
    }
}

/// The first bytes of a client, and the descriptors that came with them.
fn receive(client: &UnixStream) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut bytes = vec![0; 4096];
    let mut space = nix::cmsg_space!([i32; 4]);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let received = recvmsg::<()>(client.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let mut descriptors = Vec::new();
    for message in received.cmsgs()? {
        if let ControlMessageOwned::ScmRights(passed) = message {
            // SAFETY: the kernel has just made them for us, and nobody else knows of them.
            #[allow(unsafe_code)]
            descriptors.extend(passed.into_iter().map(|descriptor| unsafe { OwnedFd::from_raw_fd(descriptor) }));
        }
    }
    let length = received.bytes;
    bytes.truncate(length);
    Ok((bytes, descriptors))
}

fn tell(mut client: &UnixStream, answer: &Answer) -> io::Result<()> {
    client.write_all(&protocol::line(answer)?)
}

fn refuse(client: &UnixStream, why: &str) -> io::Result<()> {
    tell(client, &Answer::Refused(why.to_owned()))
}
