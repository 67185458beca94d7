//! The writing end of a log.

use std::io;

use crate::domain::{DrvPath, StorePath};
use crate::store::LogSink;

/// Writes one attempt's log. What is dropped without [`LogWriter::finish`] is finished all the same, its errors unseen.
pub struct LogWriter {}

impl LogWriter {
    /// Writes out what is held back and marks the log as ended.
    pub fn finish(self) -> io::Result<()> {
        todo!()
    }
}

impl LogSink for LogWriter {
    fn line(&mut self, _drv: Option<&DrvPath>, _line: &[u8]) {
        todo!()
    }
    fn phase(&mut self, _: &str) {}
    fn message(&mut self, _: u64, _: &str) {}
    fn substituting(&mut self, _: &StorePath) {}
}
