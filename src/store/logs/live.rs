//! A log while it is written: what is on disk, what is held back, and who waits for more.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::Shelf;
use super::frames::{FRAME, pack};

/// How far a log is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Bytes of text.
    pub length: u64,
    pub ended: bool,
}

/// The shared half of a [`super::LogWriter`].
pub(super) struct Live {
    state: Mutex<State>,
    progress: watch::Sender<Progress>,
}

struct State {
    file: File,
    /// Bytes of text in whole frames on disk.
    on_disk: u64,
    held: Vec<u8>,
    unsynced: bool,
    ended: bool,
    /// Writing failed: the log ends here, the build goes on.
    fault: Option<io::Error>,
}

/// What a reader gets that has everything before an offset.
pub(super) enum Since {
    /// From the offset to the end.
    Held(Vec<u8>),
    /// The offset lies before what is held.
    OnDisk,
}

impl Live {
    pub fn new(file: File) -> Self {
        let state = State { file, on_disk: 0, held: Vec::new(), unsynced: false, ended: false, fault: None };
        Self { state: Mutex::new(state), progress: watch::Sender::new(Progress::default()) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn subscribe(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Adds a line.
    pub fn append(&self, parts: &[&[u8]]) {
        let mut state = self.state();
        if state.fault.is_some() || state.ended {
            return;
        }
        for part in parts {
            state.held.extend_from_slice(part);
        }
        if state.held.len() >= FRAME {
            state.write_frame();
        }
        self.tell(&state);
    }

    /// Writes out what is held, and that nothing follows.
    pub fn end(&self) -> io::Result<()> {
        let mut state = self.state();
        state.write_frame();
        state.ended = true;
        self.tell(&state);
        match state.fault.take() {
            Some(fault) => Err(fault),
            None => Ok(()),
        }
    }

    fn tell(&self, state: &State) {
        self.progress.send_replace(Progress { length: state.on_disk + state.held.len() as u64, ended: state.ended });
    }

    pub fn since(&self, offset: u64) -> Since {
        let state = self.state();
        match offset.checked_sub(state.on_disk) {
            None => Since::OnDisk,
            // past the end: nothing yet
            Some(skip) => {
                Since::Held(usize::try_from(skip).ok().and_then(|skip| state.held.get(skip..)).unwrap_or_default().to_vec())
            }
        }
    }

    /// The length on disk, and what follows it.
    pub fn snapshot(&self) -> (u64, Vec<u8>, bool) {
        let state = self.state();
        (state.on_disk, state.held.clone(), state.ended)
    }

    /// Writes out what is held; returns the file if it needs a sync.
    fn flush(&self) -> Option<io::Result<File>> {
        let mut state = self.state();
        state.write_frame();
        self.tell(&state);
        std::mem::take(&mut state.unsynced).then(|| state.file.try_clone())
    }
}

impl State {
    fn write_frame(&mut self) {
        if self.held.is_empty() || self.fault.is_some() {
            return;
        }
        let written = self.file.stream_position().and_then(|before| {
            pack(&self.held).and_then(|frame| self.file.write_all(&frame)).inspect_err(|_| {
                // half a frame would hide whatever might follow it
                if let Err(fault) = self.file.set_len(before) {
                    tracing::warn!(%fault, "a log's file keeps half a frame");
                }
            })
        });
        match written {
            Ok(()) => {
                self.on_disk += self.held.len() as u64;
                self.unsynced = true;
            }
            Err(fault) => self.fault = Some(fault),
        }
        self.held.clear();
    }
}

/// Writes out and syncs all logs each second, until the shelf is gone.
pub(super) fn sync_each_second(shelf: &Weak<Shelf>, ended: &mpsc::Receiver<Arc<Live>>) {
    loop {
        let next = Instant::now() + Duration::from_secs(1);
        let mut due = Vec::new();
        loop {
            match ended.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(live) => due.push(live),
                Err(mpsc::RecvTimeoutError::Timeout) => break,
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
        }
        match shelf.upgrade() {
            Some(shelf) => due.extend(shelf.live().values().cloned()),
            None => return,
        }
        for live in due {
            // the sync itself is done without the lock: it may take long, and lines keep coming
            let synced = live.flush().map(|file| file.and_then(|file| file.sync_data()));
            if let Some(Err(fault)) = synced {
                tracing::warn!(%fault, "cannot sync a log");
            }
        }
    }
}
