//! What is known of evaluations as bytes, to be kept in the database: small, since there are thousands of them, and trusted only after
//! everything was verified. What was cut, altered, put under another name or written by another version is "there is none", never a
//! panic and never a wrong result.
//!
//! [`sealed`] is the envelope of each: format, checksum, compression. [`results`] lays attributes and their results out in columns, so
//! that what is alike stands together and two evaluations that differ little have bytes that differ little. [`evaluation`] makes use
//! of that: an evaluation may be stored as its difference to another.

mod bytes;
pub mod evaluation;
pub(super) mod results;
#[cfg(test)]
pub mod samples;
pub(super) mod sealed;
mod store_paths;

pub(super) use bytes::{Reader, Writer};
pub use sealed::{Unreadable, Unstorable};
