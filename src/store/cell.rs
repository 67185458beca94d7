//! A daemon that builds one thing at a time, each in a control group of its own: what the build may use, what it has used, and that it
//! leaves nothing. To start a daemon takes longer than a small build; to move it to a fresh group takes half a millisecond.
//!
//! Started by ourselves where we may, else by `snowgate worker`, which hands us its standard streams.

use std::path::PathBuf;

use super::daemon::{Daemon, Held, Program};
use super::worker::{Control, Worker};
use super::{Connection, Nix, StoreError, Transport};
use crate::cgroup::{Account, Confined, Ground, Limits, NoGround};

/// Where cells come from.
#[derive(Clone)]
pub struct Cells(Source);

#[derive(Clone)]
enum Source {
    Own { ground: Ground, program: Program },
    Worker(Worker),
}

/// A cell for one build, and after it for another.
pub struct Cell {
    pub connection: Connection,
    kept: Kept,
    builds: u32,
}

/// A daemon's memory grows with what it does, and is not measured.
const BUILDS_OF_ONE_DAEMON: u32 = 100;

enum Kept {
    /// `None`: there is no group, which does not happen to builds
    Own(Option<Held>),
    Worker(Control),
}

/// Why a store's builds can't have cells of our own making.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoCells {
    #[error(
        "builds are done by the Nix daemon behind {0}: run `snowgate worker` as root (the unit snowgate-worker.socket), or serve as root"
    )]
    NotOurStore(String),
    #[error(transparent)]
    NoGround(#[from] NoGround),
}

impl Cells {
    /// Of our own daemons, on our ground.
    pub fn own(nix: &Nix, ground: Result<Ground, NoGround>) -> Result<Self, NoCells> {
        match &nix.transport {
            Transport::Socket(_) | Transport::Ssh(_) => Err(NoCells::NotOurStore(nix.transport.to_string())),
            Transport::Stdio { program, store, options } => {
                Ok(Self(Source::Own { ground: ground?, program: Program::trusting(program, store, options) }))
            }
        }
    }

    /// Of the worker that listens there.
    pub fn of_worker(socket: PathBuf) -> Self {
        Self(Source::Worker(Worker::new(socket)))
    }

    /// Whether the worker would serve us. Our own daemons do.
    pub async fn welcome(&self) -> Result<(), StoreError> {
        match &self.0 {
            Source::Own { .. } => Ok(()),
            Source::Worker(worker) => worker.welcome().await,
        }
    }

    /// Who starts the daemons, for a person.
    pub fn by(&self) -> String {
        match &self.0 {
            Source::Own { .. } => "this process".into(),
            Source::Worker(worker) => format!("the worker at {}", worker.socket().display()),
        }
    }

    /// The limits that nobody holds here, as far as we know.
    pub fn beyond(&self, limits: &Limits) -> Vec<&'static str> {
        match &self.0 {
            Source::Own { ground, .. } => ground.beyond(limits),
            // it says so in its journal
            Source::Worker(_) => Vec::new(),
        }
    }

    /// A fresh daemon, greeted.
    pub async fn open(&self, limits: &Limits) -> Result<Cell, StoreError> {
        match &self.0 {
            Source::Own { ground, program } => {
                let through = format!("{} --stdio --store {} in a control group", program.path.display(), program.store);
                let confined = Confined { ground: ground.clone(), limits: *limits };
                let (stream, daemon, held) = Daemon::run(program.command(), Some(confined))
                    .await
                    .map_err(|fault| StoreError::Unreachable { through: through.clone(), fault })?;
                let connection = Connection::to(daemon, stream, &through).await?;
                Ok(Cell { connection, kept: Kept::Own(held), builds: 0 })
            }
            Source::Worker(worker) => {
                let (stream, control) = worker.start(limits).await?;
                let connection = Connection::to_anothers(stream, &self.by()).await?;
                Ok(Cell { connection, kept: Kept::Worker(control), builds: 0 })
            }
        }
    }
}

impl Cell {
    /// What everything in it has used up to now; `None` if the worker is gone, and the cell with it.
    pub async fn account(&mut self) -> Option<Account> {
        match &mut self.kept {
            Kept::Own(held) => held.as_ref().map(Held::account),
            Kept::Worker(control) => control.account().await,
        }
    }

    /// The same daemon in a fresh group; everything else that was in the last one is ended. `None`: it had better be another daemon.
    pub async fn renewed(mut self) -> Option<Self> {
        self.builds += 1;
        if !self.connection.is_usable() || self.builds >= BUILDS_OF_ONE_DAEMON {
            return None;
        }
        let renewed = match &mut self.kept {
            Kept::Own(held) => {
                let held = held.clone()?;
                tokio::task::spawn_blocking(move || held.renew()).await.unwrap_or_else(|ended| Err(std::io::Error::other(ended)))
            }
            Kept::Worker(control) => control.renew().await,
        };
        renewed.inspect_err(|fault| tracing::debug!(%fault, "a daemon is not used again")).is_ok().then_some(self)
    }
}
