//! One conversation with a daemon: the handshake and the requests (nix, libstore/daemon.cc and worker-protocol-connection.cc).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use std::{fmt, io};

use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite};

mod copy;

pub use copy::{CopyError, copy};

use super::daemon::{Daemon, Program};
use super::messages::{Began, Discard, End, Listener};
use super::wire::Wire;
use super::{BasicDerivation, BuildResult, ClientSettings, LogSink, Missing, PathInfo, StoreError, Transport};
use crate::domain::{DrvPath, Outcome, OutputName, StorePath};

const MAGIC_CLIENT: u64 = 0x6e69_7863;
const MAGIC_DAEMON: u64 = 0x6478_696f;
/// The newest protocol that we speak. 1.38 only adds a negotiation of features; daemons that know it speak 1.37 as well.
const OFFERED: u64 = 1 << 8 | 37;
/// `BuildPathsWithResults`: Nix 2.8.
const OLDEST: u64 = 1 << 8 | 34;
/// How long a daemon may take to greet: it may have to wait for the lock of the store's database.
const GREETING: Duration = Duration::from_secs(60);
/// Requests written before the first answer is read: few enough to fit any socket's buffer, so that neither end blocks the other.
const PIPELINE: usize = 64;

/// The requests' numbers (nix, libstore/worker-protocol.hh: `Op`).
mod op {
    pub const ADD_TEMP_ROOT: u64 = 11;
    pub const SET_OPTIONS: u64 = 19;
    pub const QUERY_PATH_INFO: u64 = 26;
    pub const QUERY_VALID_PATHS: u64 = 31;
    pub const QUERY_SUBSTITUTABLE_PATHS: u64 = 32;
    pub const BUILD_DERIVATION: u64 = 36;
    pub const NAR_FROM_PATH: u64 = 38;
    pub const QUERY_MISSING: u64 = 40;
    pub const QUERY_DERIVATION_OUTPUT_MAP: u64 = 41;
    pub const ADD_MULTIPLE_TO_STORE: u64 = 44;
    pub const BUILD_PATHS_WITH_RESULTS: u64 = 46;
}

/// How a store is asked to build: not to check or to repair what it has.
const NORMAL: u64 = 0;

/// Whether a question about paths fetches what a binary cache has of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetch {
    FromCaches,
    Nothing,
}

/// What became of a request to build.
enum Heard {
    /// The result follows on the wire.
    Answer(Wire, Option<Began>),
    End(BuildResult),
}

/// A connection, fresh after its handshake. A request that fails in the middle of the stream, or whose future is dropped, closes
/// the stream (and ends the daemon, when it is ours, with its builder): a desynchronised connection would poison its next user.
pub struct Connection {
    /// Taken out while a request is under way, put back when the stream is in step again.
    wire: Option<Wire>,
    protocol: u64,
    daemon_version: String,
    trusted: Option<bool>,
    /// The settings that the daemon has.
    settings: Option<ClientSettings>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wire, protocol, daemon_version, trusted, settings: _ } = self;
        f.debug_struct("Connection")
            .field("usable", &wire.is_some())
            .field("protocol", protocol)
            .field("daemon_version", daemon_version)
            .field("trusted", trusted)
            .finish()
    }
}

impl Connection {
    /// Connects and greets.
    pub(super) async fn open(transport: &Transport) -> Result<Self, StoreError> {
        let through = transport.to_string();
        let unreachable = |fault| StoreError::Unreachable { through: through.clone(), fault };
        let greeted = async {
            match transport {
                Transport::Socket(path) => {
                    let stream = tokio::net::UnixStream::connect(path).await.map_err(unreachable)?;
                    Self::greet(Wire::new(stream, None)).await
                }
                Transport::Stdio { program, store, options } => {
                    let command = Program::trusting(program, store, options).command();
                    let (stream, daemon, _) = Daemon::run(command, None).await.map_err(unreachable)?;
                    Self::greet(Wire::new(stream, Some(daemon))).await
                }
                Transport::Ssh(ssh) => {
                    let (stream, daemon, _) =
                        Daemon::run(ssh.command(), None).await.map_err(|fault| ssh.does_not_start(&fault))?;
                    Self::greet(Wire::new(stream, Some(daemon))).await.map_err(|error| ssh.explain(error))
                }
            }
        };
        Self::in_time(&through, greeted).await
    }

    /// Greets a daemon of our own.
    pub(super) async fn to(daemon: Daemon, stream: tokio::net::UnixStream, through: &str) -> Result<Self, StoreError> {
        Self::in_time(through, Self::greet(Wire::new(stream, Some(daemon)))).await
    }

    /// Greets a daemon that another started for us.
    pub(super) async fn to_anothers(stream: tokio::net::UnixStream, through: &str) -> Result<Self, StoreError> {
        Self::in_time(through, Self::greet(Wire::new(stream, None))).await
    }

    async fn in_time(through: &str, greeted: impl Future<Output = Result<Self, StoreError>>) -> Result<Self, StoreError> {
        let late = |_| StoreError::Unreachable { through: through.to_owned(), fault: io::ErrorKind::TimedOut.into() };
        tokio::time::timeout(GREETING, greeted).await.map_err(late)?
    }

    /// Greets whoever is at the other end of a stream.
    pub async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Result<Self, StoreError> {
        Self::greet(Wire::new(stream, None)).await
    }

    async fn greet(mut wire: Wire) -> Result<Self, StoreError> {
        wire.begin("while greeting");
        wire.put(MAGIC_CLIENT).put(OFFERED).send().await?;
        if wire.number().await? != MAGIC_DAEMON {
            return Err(wire.fault("it does not speak Nix's worker protocol"));
        }
        let theirs = wire.number().await?;
        let protocol = theirs.min(OFFERED);
        if theirs >> 8 != OFFERED >> 8 || protocol < OLDEST {
            return Err(StoreError::TooOld(theirs));
        }
        // CPU affinity and reserved space, both long obsolete
        wire.put(0).put(0).send().await?;
        let daemon_version = wire.text().await?;
        let trusted = match protocol {
            ..0x123 => None,
            0x123.. => match wire.number().await? {
                0 => None,
                1 => Some(true),
                2 => Some(false),
                other => return Err(wire.fault(format!("the trust {other}"))),
            },
        };
        Listener::new(&mut Discard, None).listen(&mut wire).await?;
        Ok(Self { wire: Some(wire), protocol, daemon_version, trusted, settings: None })
    }

    /// The protocol agreed on: major version times 256 plus the minor one.
    pub fn protocol(&self) -> u64 {
        self.protocol
    }

    /// Say `2.34.8`.
    pub fn daemon_version(&self) -> &str {
        &self.daemon_version
    }

    /// Whether the daemon takes restricted settings from us; `None` from daemons before Nix 2.15.
    pub fn trusted(&self) -> Option<bool> {
        self.trusted
    }

    /// Whether another request can be made.
    pub fn is_usable(&self) -> bool {
        self.wire.is_some()
    }

    /// Whether another request can be made and the daemon has neither hung up nor said anything since the last one.
    pub fn is_quiet(&mut self) -> bool {
        self.wire.as_mut().is_some_and(|wire| wire.peek().now_or_never().is_none())
    }

    fn begin(&mut self, during: &'static str) -> Result<Wire, StoreError> {
        let mut wire = self.wire.take().ok_or(StoreError::Abandoned)?;
        wire.begin(during);
        Ok(wire)
    }

    /// Sends a request and hears the daemon out. On success the answer follows on the wire, and the caller puts the wire back once
    /// it has read it. On a refusal the wire is put back here.
    async fn ask(&mut self, mut wire: Wire, listener: &mut Listener<'_>) -> Result<(Wire, End), StoreError> {
        wire.send().await?;
        match listener.listen(&mut wire).await {
            Ok(end) => Ok((wire, end)),
            Err(refused @ StoreError::Refused(_)) => {
                self.wire = Some(wire);
                Err(refused)
            }
            Err(error) => Err(error),
        }
    }

    /// A request without listener.
    async fn query(&mut self, wire: Wire) -> Result<Wire, StoreError> {
        self.ask(wire, &mut Listener::new(&mut Discard, None)).await.map(|(wire, _)| wire)
    }

    /// Says what the daemon is to go by, unless it knows.
    pub async fn set_options(&mut self, settings: &ClientSettings) -> Result<(), StoreError> {
        if self.settings.as_ref() == Some(settings) && self.is_usable() {
            return Ok(());
        }
        let mut wire = self.begin("while settings were sent")?;
        let overrides = settings.on_the_wire(self.trusted, &self.daemon_version);
        wire.put(op::SET_OPTIONS)
            .put(settings.keep_failed.into())
            .put(1) // keep going: else a second output of a failed derivation has no result
            .put(1) // fall back to a build where a binary cache fails
            .put(1) // verbosity: errors and warnings
            .put(1) // one build at a time: a slot is one build
            .put(settings.max_silent.map_or(0, |limit| limit.as_secs().max(1)))
            .put(1) // obsolete: use the build hook
            .put(0) // verbosity of builders' output: as errors, that is, all of it
            .put(0) // obsolete: type of log
            .put(0) // obsolete: print the build trace
            .put(settings.cores.into())
            .put(settings.substitute.into());
        wire.put(overrides.len() as u64);
        for (name, value) in &overrides {
            wire.put_str(name).put_str(value);
        }
        // warnings of settings that we may not set are swallowed with the rest: they would open every log
        self.wire = Some(self.query(wire).await?);
        self.settings = Some(settings.clone());
        Ok(())
    }

    /// Builds one derivation and all its outputs. What can't be said of the derivation itself (the daemon is gone) is an error.
    /// When the future is dropped, the build is stopped.
    pub async fn build(
        &mut self,
        drv: &DrvPath,
        settings: &ClientSettings,
        log: &mut dyn LogSink,
    ) -> Result<BuildResult, StoreError> {
        let outputs = format!("{drv}!*");
        let ask = |wire: &mut Wire| {
            wire.put(op::BUILD_PATHS_WITH_RESULTS).put_strs([outputs.as_str()].into_iter()).put(NORMAL);
        };
        let heard = self.built(ask, settings, log).await?;
        let (mut wire, began) = match heard {
            Heard::Answer(wire, began) => (wire, began),
            Heard::End(result) => return Ok(result),
        };
        let mut result = None;
        for _ in 0..wire.length().await? {
            let _path = wire.text().await?;
            result = Some(BuildResult::read(&mut wire, self.protocol, drv.path().store_dir(), settings, began).await?);
        }
        self.wire = Some(wire);
        // daemons leave out goals that never started, which is what an interrupted one does
        Ok(result
            .unwrap_or_else(|| BuildResult::ended(Outcome::Infrastructure, "the Nix daemon gave up the build without a result")))
    }

    /// The same for a store that need not have the derivation, only its inputs: such a store has to trust us, unless the output
    /// is fixed by its content.
    pub async fn build_derivation(
        &mut self,
        drv: &DrvPath,
        derivation: &BasicDerivation,
        inputs: &BTreeSet<StorePath>,
        settings: &ClientSettings,
        log: &mut dyn LogSink,
    ) -> Result<BuildResult, StoreError> {
        let ask = |wire: &mut Wire| {
            wire.put(op::BUILD_DERIVATION).put_str(drv.as_str());
            wire.put_with(|out| derivation.put(inputs, out)).put(NORMAL);
        };
        let (mut wire, began) = match self.built(ask, settings, log).await? {
            Heard::Answer(wire, began) => (wire, began),
            Heard::End(result) => return Ok(result),
        };
        let result = BuildResult::read(&mut wire, self.protocol, drv.path().store_dir(), settings, began).await?;
        self.wire = Some(wire);
        Ok(result)
    }

    /// Asks for a build and hears it out.
    async fn built(
        &mut self,
        ask: impl FnOnce(&mut Wire),
        settings: &ClientSettings,
        log: &mut dyn LogSink,
    ) -> Result<Heard, StoreError> {
        self.set_options(settings).await?;
        let mut wire = self.begin("while building")?;
        ask(&mut wire);
        // the daemon is the first to hold the limit; one that does not trust us does not
        let limit = settings.max_log_bytes.map(|bytes| bytes.saturating_add(bytes / 4).saturating_add(64 << 10));
        let mut listener = Listener::new(log, limit);
        match self.ask(wire, &mut listener).await {
            Ok((wire, End::Done)) => Ok(Heard::Answer(wire, listener.began())),
            Ok((_, End::TooMuchLog)) => {
                let limit = settings.max_log_bytes.unwrap_or_default();
                Ok(Heard::End(BuildResult::ended(
                    Outcome::LogLimit,
                    format!("stopped after writing more than {limit} bytes of log output"),
                )))
            }
            Err(StoreError::Refused(message)) => Ok(Heard::End(BuildResult::refused(message).timed(listener.began()))),
            Err(error) => Err(error),
        }
    }

    /// Which of these are valid, once what can be had from a binary cache was fetched, if that is wanted.
    pub async fn valid_paths(&mut self, paths: &BTreeSet<StorePath>, fetch: Fetch) -> Result<BTreeSet<StorePath>, StoreError> {
        let mut wire = self.begin("while asking which paths are valid")?;
        wire.put(op::QUERY_VALID_PATHS).put_strs(paths.iter().map(StorePath::as_str)).put((fetch == Fetch::FromCaches).into());
        let mut wire = self.query(wire).await?;
        let valid = wire.store_paths().await?;
        self.wire = Some(wire);
        Ok(valid)
    }

    /// Holds `roots` for the length of the connection, and asks which of `paths` are valid, in one exchange.
    pub async fn held_and_valid(
        &mut self,
        roots: &BTreeSet<StorePath>,
        paths: &BTreeSet<StorePath>,
        fetch: Fetch,
    ) -> Result<BTreeSet<StorePath>, StoreError> {
        let mut wire = self.begin("while asking which paths are valid")?;
        for root in roots {
            wire.put(op::ADD_TEMP_ROOT).put_str(root.as_str());
        }
        wire.put(op::QUERY_VALID_PATHS).put_strs(paths.iter().map(StorePath::as_str)).put((fetch == Fetch::FromCaches).into());
        wire.send().await?;
        for _ in roots {
            Listener::new(&mut Discard, None).listen(&mut wire).await?;
            wire.number().await?;
        }
        Listener::new(&mut Discard, None).listen(&mut wire).await?;
        let valid = wire.store_paths().await?;
        self.wire = Some(wire);
        Ok(valid)
    }

    /// Which paths a binary cache has; what the daemon said meanwhile goes to `log`.
    pub(super) async fn substitutable(
        &mut self,
        paths: &BTreeSet<StorePath>,
        log: &mut dyn LogSink,
    ) -> Result<BTreeSet<StorePath>, StoreError> {
        let mut wire = self.begin("while asking the binary caches")?;
        wire.put(op::QUERY_SUBSTITUTABLE_PATHS).put_strs(paths.iter().map(StorePath::as_str));
        let (mut wire, _) = self.ask(wire, &mut Listener::new(log, None)).await?;
        let found = wire.store_paths().await?;
        self.wire = Some(wire);
        Ok(found)
    }

    pub(super) async fn missing(&mut self, drvs: &[DrvPath]) -> Result<Missing, StoreError> {
        let mut wire = self.begin("while asking what has to be built")?;
        wire.put(op::QUERY_MISSING).put(drvs.len() as u64);
        for drv in drvs {
            wire.put_str(&format!("{drv}!*"));
        }
        let mut wire = self.query(wire).await?;
        let mut will_build = BTreeSet::new();
        for _ in 0..wire.length().await? {
            will_build.insert(wire.drv_path().await?);
        }
        let missing = Missing {
            will_build,
            will_substitute: wire.store_paths().await?,
            unknown: wire.store_paths().await?,
            download_bytes: wire.number().await?,
            nar_bytes: wire.number().await?,
        };
        self.wire = Some(wire);
        Ok(missing)
    }

    /// What is known of each valid path. Requests are pipelined: a round trip per path would take a minute for a large closure.
    pub async fn path_infos(&mut self, paths: &[StorePath]) -> Result<BTreeMap<StorePath, PathInfo>, StoreError> {
        let mut wire = self.begin("while asking about paths")?;
        let mut infos = BTreeMap::new();
        for some in paths.chunks(PIPELINE) {
            for path in some {
                wire.put(op::QUERY_PATH_INFO).put_str(path.as_str());
            }
            wire.send().await?;
            for path in some {
                Listener::new(&mut Discard, None).listen(&mut wire).await?;
                if wire.flag().await? {
                    infos.insert(path.clone(), PathInfo::read(&mut wire).await?);
                }
            }
        }
        self.wire = Some(wire);
        Ok(infos)
    }

    pub async fn add_temp_roots(&mut self, paths: &[StorePath]) -> Result<(), StoreError> {
        let mut wire = self.begin("while holding paths")?;
        for some in paths.chunks(PIPELINE) {
            for path in some {
                wire.put(op::ADD_TEMP_ROOT).put_str(path.as_str());
            }
            wire.send().await?;
            for _ in some {
                Listener::new(&mut Discard, None).listen(&mut wire).await?;
                wire.number().await?;
            }
        }
        self.wire = Some(wire);
        Ok(())
    }

    pub(super) async fn output_map(&mut self, drv: &DrvPath) -> Result<BTreeMap<OutputName, Option<StorePath>>, StoreError> {
        let mut wire = self.begin("while asking for outputs")?;
        wire.put(op::QUERY_DERIVATION_OUTPUT_MAP).put_str(drv.as_str());
        let mut wire = self.query(wire).await?;
        let mut outputs = BTreeMap::new();
        for _ in 0..wire.length().await? {
            let name = OutputName::new(wire.text().await?);
            outputs.insert(name, wire.optional_store_path().await?);
        }
        self.wire = Some(wire);
        Ok(outputs)
    }
}
