//! Build logs: one file per attempt, `DIR/HA/HASH-NAME.drv/TIMESTAMP.zst`, of independently decodable zstd frames, so that a crash
//! loses at most the last second, and any part is read without the rest. What is being written is shared with those who follow it.
//!
//! Writing costs the writer a copy into memory; threads of the shelf pack, write and sync. No log holds more than a few megabytes in
//! memory, however much a build prints and however slow its readers are.

mod attempt;
mod find;
mod follow;
mod frames;
mod index;
mod live;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use bytes::Bytes;
use futures_util::Stream;
use serde::{Deserialize, Serialize};

pub use attempt::{AttemptTime, AttemptTimeError};
pub use find::Found;
pub use writer::LogWriter;

use crate::domain::DrvPath;
use live::Live;
use reader::Log;

/// The logs below one directory. Clones share what is being written.
#[derive(Clone)]
pub struct Logs(Arc<Shelf>);

/// Which part of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogRange {
    All,
    /// The last lines, this many.
    Tail(usize),
    /// From this byte of the uncompressed text on.
    From(u64),
}

/// A part of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogText {
    pub attempt: AttemptTime,
    /// Where `bytes` begin in the uncompressed text.
    pub offset: u64,
    pub bytes: Vec<u8>,
    /// The build still runs.
    pub live: bool,
}

/// A piece of a log that is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChunk {
    pub offset: u64,
    pub bytes: Bytes,
    /// Those that begin in it.
    pub phases: Vec<Phase>,
}

/// How far a log is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// To its end, however long the build takes.
    Ended,
    /// To this byte of the uncompressed text, and not beyond.
    Offset(u64),
}

/// Where a part of a log is, without its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPlace {
    pub attempt: AttemptTime,
    pub offset: u64,
    /// Of the whole text so far.
    pub length: u64,
    pub live: bool,
}

/// Some lines of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPage {
    pub attempt: AttemptTime,
    /// Of the first line, from 1.
    pub first: u64,
    /// Lines of the whole log so far.
    pub total: u64,
    /// Whole lines.
    pub text: Vec<u8>,
    /// Where the text behind them begins.
    pub offset: u64,
    /// Of the whole text so far.
    pub length: u64,
    pub live: bool,
    /// Of the whole log.
    pub phases: Vec<Phase>,
}

/// The builder said that a phase begins (nixpkgs' `unpackPhase`, `buildPhase`, …).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    pub name: String,
    /// Of its first byte in the uncompressed text.
    pub offset: u64,
    /// Its first line, from 1.
    pub line: u64,
}

/// A log's place: the base name of its derivation, checked, and its attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    drv: String,
    attempt: AttemptTime,
}

/// The directory and what is being written.
struct Shelf {
    dir: PathBuf,
    live: Mutex<HashMap<Key, Arc<Live>>>,
    /// Logs with a frame to pack.
    full: mpsc::Sender<Arc<Live>>,
    to_sync: mpsc::Sender<Arc<Live>>,
}

impl Shelf {
    fn live(&self) -> MutexGuard<'_, HashMap<Key, Arc<Live>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attempts_dir(&self, drv: &str) -> PathBuf {
        self.dir.join(&drv[..2]).join(drv)
    }

    fn file(&self, key: &Key) -> PathBuf {
        self.attempts_dir(&key.drv).join(format!("{}.zst", key.attempt))
    }
}

impl Logs {
    /// Logs below a directory, which is made when the first one is written.
    pub fn open(dir: impl Into<PathBuf>) -> io::Result<Logs> {
        let (full, filled) = mpsc::channel();
        let (to_sync, written) = mpsc::channel();
        let shelf = Arc::new(Shelf { dir: dir.into(), live: Mutex::default(), full, to_sync: to_sync.clone() });
        let weak = Arc::downgrade(&shelf);
        std::thread::Builder::new().name("logs".into()).spawn(move || live::keep(&weak, &filled, &to_sync))?;
        std::thread::Builder::new().name("logs-sync".into()).spawn(move || live::sync_all(&written))?;
        Ok(Logs(shelf))
    }

    /// Begins the log of an attempt. A second attempt within the same millisecond is an error.
    pub fn create(&self, drv: &DrvPath, attempt: &AttemptTime) -> io::Result<LogWriter> {
        LogWriter::create(self.0.clone(), drv, *attempt)
    }

    /// Reads a log: of the latest attempt, or of one. `None` if there is no such log, or the name is no derivation's. All of a long
    /// log is better followed.
    pub async fn read(&self, drv_base_name: &str, attempt: Option<&str>, want: LogRange) -> io::Result<Option<LogText>> {
        self.with(drv_base_name, attempt, move |log| log.text(want)).await
    }

    /// Where a part of a log is. `None` as for [`Logs::read`].
    pub async fn place(&self, drv_base_name: &str, attempt: Option<&str>, want: LogRange) -> io::Result<Option<LogPlace>> {
        self.with(drv_base_name, attempt, move |log| log.place(want)).await
    }

    /// Lines from `first` on (from 1), otherwise the last ones: `count` at most, fewer where they are long. `None` as for [`Logs::read`].
    pub async fn page(
        &self,
        drv_base_name: &str,
        attempt: Option<&str>,
        first: Option<u64>,
        count: u64,
    ) -> io::Result<Option<LogPage>> {
        self.with(drv_base_name, attempt, move |log| log.page(first, count)).await
    }

    /// The page of `count` lines with this line on it, as full as can be. `None` as for [`Logs::read`].
    pub async fn page_with(
        &self,
        drv_base_name: &str,
        attempt: Option<&str>,
        line: u64,
        count: u64,
    ) -> io::Result<Option<LogPage>> {
        self.with(drv_base_name, attempt, move |log| log.page_with(line, count)).await
    }

    /// The lines in which `look` sees something: `most` of them at most, from the first line on. `None` as for [`Logs::read`].
    pub async fn find<T: Send + 'static>(
        &self,
        drv_base_name: &str,
        attempt: Option<&str>,
        most: usize,
        look: impl FnMut(&str) -> Option<T> + Send + 'static,
    ) -> io::Result<Option<Found<T>>> {
        self.with(drv_base_name, attempt, move |log| log.find(most, look)).await
    }

    async fn with<T: Send + 'static>(
        &self,
        drv: &str,
        attempt: Option<&str>,
        look: impl FnOnce(&mut Log) -> io::Result<T> + Send + 'static,
    ) -> io::Result<Option<T>> {
        let (logs, drv, attempt) = (self.clone(), drv.to_owned(), attempt.map(str::to_owned));
        let read = tokio::task::spawn_blocking(move || {
            let Some(key) = logs.key(&drv, attempt.as_deref()) else { return Ok(None) };
            Log::open(&logs.0, key)?.map(|mut log| look(&mut log)).transpose()
        });
        read.await.map_err(io::Error::other)?
    }

    /// The file of the latest attempt's log, zstd-compressed; `None` where there is no log.
    pub fn latest_file(&self, drv: &DrvPath) -> Option<PathBuf> {
        let attempt = self.attempts(drv.base_name()).pop()?;
        Some(self.0.file(&Key { drv: drv.base_name().to_owned(), attempt }))
    }

    /// The attempts that have a log, oldest first.
    pub fn attempts(&self, drv_base_name: &str) -> Vec<AttemptTime> {
        if !DrvPath::is_base_name(drv_base_name) {
            return Vec::new();
        }
        let Ok(entries) = std::fs::read_dir(self.0.attempts_dir(drv_base_name)) else { return Vec::new() };
        let name = |entry: io::Result<std::fs::DirEntry>| entry.ok()?.file_name().into_string().ok();
        let mut attempts: Vec<AttemptTime> =
            entries.filter_map(name).filter_map(|name| name.strip_suffix(".zst")?.parse().ok()).collect();
        attempts.sort_unstable();
        attempts
    }

    /// The log from `offset` on, and what is added to it, as far as `until` says. Subscribes first and reads then, by offset: nothing
    /// is lost and nothing comes twice, and a slow reader holds up nobody. Empty where there is no such log.
    pub fn follow(
        &self,
        drv_base_name: &str,
        attempt: Option<&str>,
        offset: u64,
        until: Until,
    ) -> impl Stream<Item = io::Result<LogChunk>> + Send + 'static + use<> {
        follow::follow(self.0.clone(), self.key(drv_base_name, attempt), offset, until)
    }

    fn key(&self, drv: &str, attempt: Option<&str>) -> Option<Key> {
        if !DrvPath::is_base_name(drv) {
            return None;
        }
        let attempt = match attempt {
            Some(attempt) => attempt.parse().ok()?,
            None => self.attempts(drv).pop()?,
        };
        Some(Key { drv: drv.to_owned(), attempt })
    }
}
