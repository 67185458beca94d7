//! PURE: base + head + outcomes -> changes, categories, verdict, report. No clock, no database, no process.
//! The Reviewer calls it; `cli/` and `web/` render what it returns.

pub mod report;
