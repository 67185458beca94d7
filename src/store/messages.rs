//! What a daemon says while it works: log lines, activities, errors.

use crate::domain::{DrvPath, StorePath};

/// Who listens to a build.
pub trait LogSink: Send {
    /// A line of a builder's output, without its line end. `drv` is what is being built, when the daemon says so.
    fn line(&mut self, drv: Option<&DrvPath>, line: &[u8]);
    /// The builder entered a phase.
    fn phase(&mut self, name: &str);
    /// A message of the daemon itself. Levels are Nix's: 0 error, 1 warning, 3 information.
    fn message(&mut self, level: u64, text: &str);
    /// A path is being fetched from a binary cache.
    fn substituting(&mut self, path: &StorePath);
}

/// Nobody listens.
pub struct Discard;

impl LogSink for Discard {
    fn line(&mut self, _: Option<&DrvPath>, _: &[u8]) {}
    fn phase(&mut self, _: &str) {}
    fn message(&mut self, _: u64, _: &str) {}
    fn substituting(&mut self, _: &StorePath) {}
}
