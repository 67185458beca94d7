//! Snowgate stands at the gate of a Nix repository: it evaluates each change against its base, builds only what changed, and
//! answers "should I merge this?".
//!
//! A change flows one way: Intake → Reviewer → Git (merge tree) → Evaluator (base ∥ head) → [`review::compare`] → Scheduler →
//! Pool → outcome → Reviewer → [`review::report`] → Outbox, web, events. Nothing flows back up except events.
//! `docs/architecture.md` draws the house; each room's `mod.rs` says what it owns and who may call it.

pub mod actors;
pub mod build;
pub mod cgroup;
pub mod cli;
pub mod config;
pub mod db;
pub mod domain;
pub mod eval;
pub mod forge;
pub mod git;
pub mod notify;
pub mod retention;
pub mod review;
pub mod store;
pub mod web;
