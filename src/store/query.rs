//! The store as the house asks it: short questions over one shared connection, builds over fresh ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

use super::connection::Fetch;
use super::{ClientSettings, Closure, Connection, LogSink, Nix, PathInfo, StoreError, Transport};
use crate::domain::{DrvPath, OutputName, StorePath};

/// A store. Clones share one connection for queries, made when first needed and made anew when it broke.
#[derive(Clone)]
pub struct Store {
    transport: Arc<Transport>,
    settings: Arc<ClientSettings>,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    connection: Option<Connection>,
    /// What the connection holds, to hold it again on the next one.
    temp_roots: BTreeSet<StorePath>,
}

/// What a build of some derivations would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missing {
    pub will_build: BTreeSet<DrvPath>,
    pub will_substitute: BTreeSet<StorePath>,
    /// Derivations that are not in the store.
    pub unknown: BTreeSet<StorePath>,
    pub download_bytes: u64,
    pub nar_bytes: u64,
}

/// Whether binary caches answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BinaryCaches {
    Reachable,
    /// With what Nix said.
    Unreachable(String),
}

impl Store {
    pub fn new(nix: &Nix, settings: ClientSettings) -> Store {
        Store { transport: Arc::new(nix.transport.clone()), settings: Arc::new(settings), shared: Arc::default() }
    }

    /// The store at the other end of something.
    pub fn at(transport: Transport, settings: ClientSettings) -> Store {
        Store { transport: Arc::new(transport), settings: Arc::new(settings), shared: Arc::default() }
    }

    /// The same store with other settings, and a query connection of its own.
    pub fn with(&self, change: impl FnOnce(&mut ClientSettings)) -> Store {
        let mut settings = ClientSettings::clone(&self.settings);
        change(&mut settings);
        Store { transport: self.transport.clone(), settings: Arc::new(settings), shared: Arc::default() }
    }

    pub fn settings(&self) -> &ClientSettings {
        &self.settings
    }

    /// A fresh connection, its settings sent.
    pub async fn connect(&self) -> Result<Connection, StoreError> {
        let mut connection = Connection::open(&self.transport).await?;
        connection.set_options(&self.settings).await?;
        Ok(connection)
    }

    /// Asks over the shared connection. One that turns out to be gone (the daemon was restarted) is replaced once.
    async fn ask<A: ?Sized, T>(
        &self,
        about: &A,
        question: impl for<'c> Fn(&'c mut Connection, &'c A) -> BoxFuture<'c, Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let mut shared = self.shared.lock().await;
        if let Some(connection) = shared.connection.as_mut().filter(|connection| connection.is_usable()) {
            match question(connection, about).await {
                Err(StoreError::Closed { .. } | StoreError::Broken { .. }) => {}
                answer => return answer,
            }
        }
        shared.connection = None;
        let mut fresh = self.connect().await?;
        let held: Vec<_> = shared.temp_roots.iter().cloned().collect();
        fresh.add_temp_roots(&held).await?;
        question(shared.connection.insert(fresh), about).await
    }

    /// Which of these are valid. One request, however many they are.
    pub async fn valid_paths(&self, paths: &BTreeSet<StorePath>) -> Result<BTreeSet<StorePath>, StoreError> {
        if paths.is_empty() {
            return Ok(BTreeSet::new());
        }
        self.ask(paths, |connection, paths| Box::pin(connection.valid_paths(paths, Fetch::Nothing))).await
    }

    /// What building all outputs of these derivations would take. One request, however many they are.
    pub async fn missing(&self, drvs: &[DrvPath]) -> Result<Missing, StoreError> {
        if drvs.is_empty() {
            return Ok(Missing::default());
        }
        self.ask(drvs, |connection, drvs| Box::pin(connection.missing(drvs))).await
    }

    /// What is known of each valid path; others are left out.
    pub async fn path_infos(&self, paths: &BTreeSet<StorePath>) -> Result<BTreeMap<StorePath, PathInfo>, StoreError> {
        let paths: Vec<_> = paths.iter().cloned().collect();
        self.ask(paths.as_slice(), |connection, paths| Box::pin(connection.path_infos(paths))).await
    }

    /// Everything that `roots` need at run time; `None` if one of them is not valid.
    pub async fn closure(&self, roots: &BTreeSet<StorePath>) -> Result<Option<Closure>, StoreError> {
        let mut closure = Closure::default();
        let mut front = roots.clone();
        while !front.is_empty() {
            let infos = self.path_infos(&front).await?;
            if infos.len() < front.len() {
                // a root that is not valid; or a garbage collection ran meanwhile, and then the whole closure is going
                return Ok(None);
            }
            closure.paths.extend(infos.iter().map(|(path, info)| (path.clone(), info.nar_bytes)));
            front =
                infos.into_values().flat_map(|info| info.references).filter(|path| !closure.paths.contains_key(path)).collect();
        }
        Ok(Some(closure))
    }

    /// Keeps paths from garbage collection for as long as this store (or a clone) lives.
    pub async fn add_temp_roots(&self, paths: &BTreeSet<StorePath>) -> Result<(), StoreError> {
        let list: Vec<_> = paths.iter().cloned().collect();
        self.ask(list.as_slice(), |connection, list| Box::pin(connection.add_temp_roots(list))).await?;
        self.shared.lock().await.temp_roots.extend(list);
        Ok(())
    }

    /// The outputs of a derivation; `None` where the path is known only after the build.
    pub async fn output_map(&self, drv: &DrvPath) -> Result<BTreeMap<OutputName, Option<StorePath>>, StoreError> {
        self.ask(drv, |connection, drv| Box::pin(connection.output_map(drv))).await
    }

    /// Asks the binary caches for a path that nobody has: one connection, a short time-out, one attempt. `store_dir` is that of the
    /// paths that will be wanted, usually `/nix/store`.
    pub async fn probe_substituters(&self, store_dir: &str) -> Result<BinaryCaches, StoreError> {
        let probing = self.with(|settings| {
            settings.substitute = true;
            for (name, value) in [("connect-timeout", "5"), ("download-attempts", "1"), ("fallback", "true")] {
                settings.overrides.insert(name.into(), value.into());
            }
        });
        let mut complaints = Complaints::default();
        let mut connection = probing.connect().await?;
        match connection.substitutable(&[nobodys_path(store_dir)?].into(), &mut complaints).await {
            Ok(_) if complaints.0.is_empty() => Ok(BinaryCaches::Reachable),
            Ok(_) => Ok(BinaryCaches::Unreachable(complaints.0.join("\n"))),
            Err(StoreError::Refused(message)) => Ok(BinaryCaches::Unreachable(message)),
            Err(error) => Err(error),
        }
    }
}

/// A path that is new each time: Nix remembers for an hour which paths a cache lacks, and would not ask again.
fn nobodys_path(store_dir: &str) -> Result<StorePath, StoreError> {
    const DIGITS: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";
    let mut random = [0; 32];
    getrandom(&mut random)?;
    let hash: String = random.iter().map(|byte| char::from(DIGITS[usize::from(byte % 32)])).collect();
    let path = format!("{store_dir}/{hash}-snowgate-probe");
    path.parse().map_err(|error| StoreError::Protocol { during: "while asking the binary caches", fault: format!("{error}") })
}

fn getrandom(buffer: &mut [u8]) -> Result<(), StoreError> {
    use std::io::Read;
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(buffer))
        .map_err(|fault| StoreError::Broken { during: "while asking the binary caches", fault })
}

/// What a daemon says about caches that do not answer.
#[derive(Default)]
struct Complaints(Vec<String>);

impl LogSink for Complaints {
    fn line(&mut self, _: Option<&DrvPath>, _: &[u8]) {}
    fn phase(&mut self, _: &str) {}
    fn message(&mut self, level: u64, text: &str) {
        let text = text.trim();
        if level <= 1 && (text.contains("unable to download") || text.contains("disabling binary cache") || level == 0) {
            self.0.push(text.to_owned());
        }
    }
    fn substituting(&mut self, _: &StorePath) {}
}
