//! Build logs: one file per attempt, `DIR/HA/HASH-NAME.drv/TIMESTAMP.zst`, of independently decodable zstd frames, so that a crash
//! loses at most the last second.

mod attempt;
mod reader;
mod writer;

use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use futures_util::Stream;

pub use attempt::{AttemptTime, AttemptTimeError};
pub use writer::LogWriter;

use crate::domain::DrvPath;

/// The logs below one directory. Clones share what is being written.
#[derive(Clone)]
pub struct Logs {
    dir: PathBuf,
}

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
}

impl Logs {
    pub fn open(dir: impl Into<PathBuf>) -> io::Result<Logs> {
        Ok(Logs { dir: dir.into() })
    }

    /// Begins the log of an attempt.
    pub fn create(&self, drv: &DrvPath, attempt: &AttemptTime) -> io::Result<LogWriter> {
        let _ = (&self.dir, drv, attempt);
        todo!()
    }

    /// Reads a log: of the latest attempt, or of one. `None` if there is no such log, or the name is no derivation's.
    pub async fn read(&self, drv_base_name: &str, attempt: Option<&str>, want: LogRange) -> io::Result<Option<LogText>> {
        let _ = (drv_base_name, attempt, want);
        todo!()
    }

    /// The attempts that have a log, oldest first.
    pub fn attempts(&self, drv_base_name: &str) -> Vec<AttemptTime> {
        let _ = drv_base_name;
        todo!()
    }

    /// The log from `offset` on, and what is added to it until the build ends.
    pub fn follow(
        &self,
        drv_base_name: &str,
        attempt: Option<&str>,
        offset: u64,
    ) -> impl Stream<Item = io::Result<LogChunk>> + Send + 'static + use<> {
        let _ = (drv_base_name, attempt, offset);
        futures_util::stream::empty()
    }
}
