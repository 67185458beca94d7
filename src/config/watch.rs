//! Hot reload: the settings in force, and what becomes of an edit. A bad edit is refused and the settings before stay in force.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::broadcast;

use super::{ConfigError, Settings, text_of};

/// What became of an edit.
#[derive(Debug, Clone)]
pub enum Edit {
    /// In force from now on, but for the keys that apply at the next start.
    Applied {
        settings: Arc<Settings>,
        restart_needed_for: Vec<String>,
    },
    Refused(ConfigError),
}

/// The settings in force, kept up to date with their file as long as this lives.
pub struct Live {
    shared: Arc<Shared>,
    _noticing: Noticing,
}

/// Looks at a file again whenever it may have changed, as long as this lives.
pub(super) struct Noticing {
    wake: Sender<Wake>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    file: PathBuf,
    current: ArcSwap<Settings>,
    edits: broadcast::Sender<Edit>,
    /// What was last looked at, good or bad: the same is not told twice.
    seen: Mutex<Result<String, ConfigError>>,
}

enum Wake {
    Noticed,
    End,
}

/// An editor truncates a file before it writes it, and an empty file is valid: wait until it is done.
const QUIET: Duration = Duration::from_millis(150);
/// Where a change is not noticed (a link further up was turned, a network file system), it is found so much later.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

impl Live {
    /// Reads the file, which must be good at first, and watches it.
    pub fn open(file: &Path) -> Result<Self, ConfigError> {
        let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let text = text_of(&file)?;
        let settings = Settings::parse(&text).map_err(|error| error.in_file(&file))?;
        let shared = Arc::new(Shared {
            file,
            current: ArcSwap::from_pointee(settings),
            edits: broadcast::channel(16).0,
            seen: Mutex::new(Ok(text)),
        });
        let looking = shared.clone();
        let noticing = Noticing::of(&shared.file, move || looking.reload());
        Ok(Self { shared, _noticing: noticing })
    }

    pub fn current(&self) -> Arc<Settings> {
        self.shared.current.load_full()
    }

    pub fn file(&self) -> &Path {
        &self.shared.file
    }

    /// Why the file as it is now is not in force.
    pub fn refused(&self) -> Option<ConfigError> {
        let seen = self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match &*seen {
            Err(error) => Some(error.clone()),
            Ok(text) => Settings::parse(text).err().map(|error| error.in_file(&self.shared.file)),
        }
    }

    /// Edits from now on.
    pub fn edits(&self) -> broadcast::Receiver<Edit> {
        self.shared.edits.subscribe()
    }

    /// Looks at the file now, as SIGHUP asks.
    pub fn reload(&self) {
        self.shared.reload();
    }
}

impl Noticing {
    pub fn of(file: &Path, look: impl Fn() + Send + 'static) -> Self {
        let (wake, woken) = channel();
        let watcher = watcher(file, wake.clone());
        let spawned = std::thread::Builder::new().name("config-watch".into()).spawn(move || {
            look_when(&woken, look);
            drop(watcher);
        });
        let spawned =
            spawned.inspect_err(|error| tracing::warn!("edits of {} apply at the next start only: {error}", file.display()));
        Self { wake, thread: spawned.ok() }
    }
}

impl Drop for Noticing {
    fn drop(&mut self) {
        // a thread that is gone needs no word
        drop(self.wake.send(Wake::End));
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the thread that watches the configuration panicked");
        }
    }
}

impl Shared {
    fn reload(&self) {
        // held throughout, so that two edits are told in their order
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let text = text_of(&self.file);
        if *seen == text {
            return;
        }
        *seen = text.clone();
        let edit = match text.and_then(|text| Settings::parse(&text).map_err(|error| error.in_file(&self.file))) {
            Ok(settings) => {
                let settings = Arc::new(settings);
                let before = self.current.swap(settings.clone());
                Edit::Applied { restart_needed_for: before.restart_needed_for(&settings), settings }
            }
            Err(error) => Edit::Refused(error),
        };
        // nobody may be listening; the settings are in force all the same
        drop(self.edits.send(edit));
    }
}

/// By its directory, since editors and configuration tools replace a file rather than write to it.
fn watcher(file: &Path, wake: Sender<Wake>) -> Option<RecommendedWatcher> {
    let directory = file.parent().unwrap_or(Path::new("/"));
    let notice = move |event: notify::Result<notify::Event>| {
        // our own reading is no change
        if event.is_ok_and(|event| !is_reading(event.kind)) {
            // a thread that is gone needs no word
            drop(wake.send(Wake::Noticed));
        }
    };
    let watching = notify::recommended_watcher(notice)
        .and_then(|mut watcher| watcher.watch(directory, RecursiveMode::NonRecursive).map(|()| watcher));
    watching
        .inspect_err(|error| {
            tracing::warn!("edits of {} are noticed every {} s only: {error}", file.display(), LOOK_AGAIN.as_secs());
        })
        .ok()
}

fn is_reading(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

fn look_when(woken: &Receiver<Wake>, look: impl Fn()) {
    loop {
        match woken.recv_timeout(LOOK_AGAIN) {
            Ok(Wake::Noticed) => loop {
                match woken.recv_timeout(QUIET) {
                    Ok(Wake::Noticed) => {}
                    Err(RecvTimeoutError::Timeout) => break,
                    Ok(Wake::End) | Err(RecvTimeoutError::Disconnected) => return,
                }
            },
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Wake::End) | Err(RecvTimeoutError::Disconnected) => return,
        }
        look();
    }
}
