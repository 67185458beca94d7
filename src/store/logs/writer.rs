//! The writing end of a log.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::live::Live;
use super::{AttemptTime, Key, Shelf};
use crate::domain::{DrvPath, StorePath};
use crate::store::LogSink;

/// Writes one attempt's log. What is dropped without [`LogWriter::finish`] is finished all the same, its errors only traced.
pub struct LogWriter {
    drv: DrvPath,
    key: Key,
    shelf: Arc<Shelf>,
    live: Arc<Live>,
    /// A frame was filled since [`LogSink::room`] was asked.
    filled: bool,
    finished: bool,
}

impl LogWriter {
    pub(super) fn create(shelf: Arc<Shelf>, drv: &DrvPath, attempt: AttemptTime) -> io::Result<Self> {
        let key = Key { drv: drv.base_name().to_owned(), attempt };
        let path = shelf.file(&key);
        if let Some(dir) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        }
        let live = {
            // nobody may find the file and not find that it is being written
            let mut all = shelf.live();
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            let live = Arc::new(Live::new(file, path)?);
            all.insert(key.clone(), live.clone());
            live
        };
        Ok(Self { drv: drv.clone(), key, shelf, live, filled: false, finished: false })
    }

    /// Adds a line of our own, such as why a build was stopped.
    pub fn note(&mut self, text: &str) {
        self.append(&[text.as_bytes(), b"\n"]);
    }

    fn append(&mut self, parts: &[&[u8]]) {
        if !self.live.append(parts) {
            return;
        }
        self.filled = true;
        if self.live.is_crowded() || self.shelf.full.send(self.live.clone()).is_err() {
            // nobody waited for room: then this is it
            self.live.pack_one();
        }
    }

    /// Writes out what is held back and marks the log as ended. The error is the first one that writing met.
    pub fn finish(mut self) -> io::Result<()> {
        self.end()
    }

    fn end(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.finished, true) {
            return Ok(());
        }
        let ended = self.live.end();
        // only now: who finds nothing here reads a complete file
        self.shelf.live().remove(&self.key);
        if self.shelf.to_sync.send(self.live.clone()).is_err() {
            tracing::warn!("the thread that syncs logs is gone");
        }
        ended
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        if let Err(fault) = self.end() {
            tracing::warn!(%fault, drv = %self.drv, "a log is incomplete");
        }
    }
}

impl LogSink for LogWriter {
    fn line(&mut self, drv: Option<&DrvPath>, line: &[u8]) {
        match drv {
            // a dependency that was collected meanwhile is built by the same request
            Some(other) if *other != self.drv => self.append(&[other.name().as_bytes(), b"> ", line, b"\n"]),
            _ => self.append(&[line, b"\n"]),
        }
    }

    fn phase(&mut self, name: &str) {
        self.live.phase(name);
    }

    fn message(&mut self, _: u64, _: &str) {}
    fn substituting(&mut self, _: &StorePath) {}

    /// After each frame others come first; where packing can't keep up, they do until it has.
    fn room(&mut self) -> Option<BoxFuture<'static, ()>> {
        let live = std::mem::take(&mut self.filled).then(|| self.live.clone())?;
        Some(Box::pin(async {
            tokio::task::yield_now().await;
            live.room().await;
        }))
    }
}
