//! Who is at the other end of a connection that comes from this machine. Being on it is not enough: a build whose output is fixed by
//! a hash has the machine's own network, so that hostile code reaches us at the loopback address; and a proxy that passes neither its
//! visitor's address nor our name on looks like a neighbour. The kernel knows better: to whom the other end of the connection belongs.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::rt::net::TcpStream;
use actix_web::web::block;
use procfs::process::{FDTarget, all_processes};
use procfs::{ProcError, ProcResult};
use tokio::sync::OnceCell;

/// Who counts as a user of this machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Neighbours {
    /// Root, and the user that this process runs as; but none of the processes that this one started.
    #[default]
    Users,
    /// Whoever has a loopback address.
    #[cfg(test)]
    All,
}

/// A connection, and whose it is once somebody asked.
pub struct Connection {
    there: SocketAddr,
    here: SocketAddr,
    is_a_users: OnceCell<bool>,
}

impl Connection {
    /// `None` for one that is over already.
    pub fn of(stream: &TcpStream) -> Option<Arc<Self>> {
        let (there, here) = (stream.peer_addr().ok()?, stream.local_addr().ok()?);
        Some(Arc::new(Self { there: canonical(there), here: canonical(here), is_a_users: OnceCell::new() }))
    }

    /// Looked up once, when somebody wants to know: that takes milliseconds.
    async fn is_a_users(self: Arc<Self>) -> bool {
        let looked_up = || async {
            let (there, here) = (self.there, self.here);
            match block(move || Owner::of(there, here)?.map_or(Ok(false), |owner| owner.is_a_user())).await {
                Ok(Ok(is)) => is,
                Ok(Err(error)) => {
                    tracing::warn!("{there} is taken for a stranger, as the kernel does not say whose it is: {error}");
                    false
                }
                // the house closes
                Err(_) => false,
            }
        };
        *self.is_a_users.get_or_init(looked_up).await
    }
}

impl Neighbours {
    /// Whether a request comes straight from somebody who uses this machine. Its address says so already.
    pub async fn has(self, request: &HttpRequest) -> bool {
        match self {
            Self::Users => match request.conn_data::<Arc<Connection>>() {
                Some(connection) => connection.clone().is_a_users().await,
                None => false,
            },
            #[cfg(test)]
            Self::All => true,
        }
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// A kernel without IPv6 has no such table.
fn without_ipv6<T>(table: ProcResult<Vec<T>>) -> ProcResult<Vec<T>> {
    match table {
        Err(ProcError::NotFound(_)) => Ok(Vec::new()),
        read => read,
    }
}

/// Of a socket that a process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Owner {
    uid: u32,
    inode: u64,
}

impl Owner {
    /// The other end of the connection between `there` and `here`; `None` where no process holds it.
    fn of(there: SocketAddr, here: SocketAddr) -> ProcResult<Option<Self>> {
        let look = || -> ProcResult<Option<Self>> {
            let found = procfs::net::tcp()?
                .into_iter()
                .chain(without_ipv6(procfs::net::tcp6())?)
                .find(|entry| (canonical(entry.local_address), canonical(entry.remote_address)) == (there, here));
            // a socket that was closed has no inode, and seems to be root's
            Ok(found.filter(|entry| entry.inode != 0).map(|entry| Self { uid: entry.uid, inode: entry.inode }))
        };
        // one that was closed between the reading of its two numbers does not look the same twice
        let found = look()?;
        Ok(if look()? == found { found } else { None })
    }

    fn is_a_user(self) -> ProcResult<bool> {
        let own = nix::unistd::geteuid().as_raw();
        if self.uid != own {
            return Ok(self.uid == 0);
        }
        // what Nix builds or evaluates as this very user does not speak for this user
        Ok(!self.is_of_a_descendant()?)
    }

    fn is_of_a_descendant(self) -> ProcResult<bool> {
        let own = nix::unistd::getpid().as_raw();
        let processes: HashMap<i32, _> = all_processes()?.flatten().map(|process| (process.pid, process)).collect();
        // those that ended meanwhile hold nothing
        let parents: HashMap<i32, i32> =
            processes.iter().filter_map(|(pid, process)| Some((*pid, process.stat().ok()?.ppid))).collect();
        let descends = |pid: i32| {
            // no chain is longer, if the numbers were given away anew in the midst of the reading
            let mut above = std::iter::successors(parents.get(&pid), |parent| parents.get(parent)).take(parents.len());
            above.any(|parent| *parent == own)
        };
        for (pid, process) in &processes {
            if !descends(*pid) {
                continue;
            }
            let files = match process.fd() {
                Ok(files) => files,
                Err(ProcError::NotFound(_)) => continue,
                // one that hides what it holds may hold this
                Err(ProcError::PermissionDenied(_)) => return Ok(true),
                Err(error) => return Err(error),
            };
            if files.flatten().any(|file| matches!(file.target, FDTarget::Socket(inode) if inode == self.inode)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::process::{Command, Stdio};

    use super::*;

    fn owner(listener: &TcpListener) -> (std::net::TcpStream, Option<Owner>) {
        let (ours, there) = listener.accept().unwrap();
        let owner = Owner::of(canonical(there), canonical(ours.local_addr().unwrap())).unwrap();
        (ours, owner)
    }

    #[test]
    fn a_connection_belongs_to_the_user_who_made_it_as_long_as_it_is_held() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let theirs = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (ours, found) = owner(&listener);
            let found = found.unwrap();
            assert_eq!(found.uid, nix::unistd::geteuid().as_raw());
            assert!(found.is_a_user().unwrap());
            // closed by them and not yet by us: the kernel calls that root's
            let there = canonical(theirs.local_addr().unwrap());
            drop(theirs);
            assert_eq!(Owner::of(there, canonical(ours.local_addr().unwrap())).unwrap(), None);
        }
    }

    #[test]
    fn what_we_started_ourselves_is_no_user() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let theirs = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (_ours, found) = owner(&listener);
        let inode = found.unwrap().inode;
        assert!(found.unwrap().is_a_user().unwrap());
        assert!(theirs.as_raw_fd() > 2);
        // a process of ours holds it, by its standard input
        let held = OwnedFd::from(theirs);
        let mut child = Command::new("sh")
            .args(["-c", "echo ready; read -r _; :"])
            .stdin(Stdio::from(held))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        child.stdout.take().unwrap().read_exact(&mut ready).unwrap();
        let found = Owner { uid: nix::unistd::geteuid().as_raw(), inode };
        let is_a_user = found.is_a_user().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!is_a_user);
    }
}
