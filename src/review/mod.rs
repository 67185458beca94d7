//! PURE: base + head + outcomes -> changes, categories, verdict, report. No clock, no database, no process.
//!
//! Owns what a change *is* ([`compare`]), what it is *called* once builds end ([`category`]), who is to blame ([`failures`]) and
//! whether to merge ([`verdict`]); [`report()`] puts them together. The Reviewer calls it, as often as it likes: the same values give
//! the same report. `cli/` and `web/` render what it returns, and [`markdown`] does for what leaves the house; [`plain`] makes text from outside fit to show.

pub mod blame;
pub mod category;
pub mod chain;
mod closure;
mod compare;
pub mod costs;
pub mod decisive;
pub mod diff;
mod facts;
pub mod failures;
pub mod growth;
pub mod history;
pub mod inputs;
pub mod markdown;
pub mod metadata;
pub mod parts;
pub mod plain;
pub mod report;
mod report_of;
#[cfg(test)]
pub(crate) mod samples;
pub mod sources;
pub mod verdict;
pub mod words;

pub use crate::config::repository::{BaseBuilds, Policy};
pub use compare::{Comparison, Row, compare};
pub use facts::{Closure, DetailKey, Fact, Facts, Header};
pub use report_of::report;
