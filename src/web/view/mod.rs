//! PURE: values -> pages. No clock, no database, no request: a page can be rendered, tested and looked at alone. Everything that
//! comes from outside goes through maud's escaping or [`ansi`]; no page has a script or a style of its own.

pub mod ansi;
pub mod branch;
pub mod builders;
pub mod chain;
pub mod derivation;
pub mod excerpt;
pub mod graph;
pub mod highlight;
pub mod icons;
pub mod layout;
pub mod limiting;
pub mod log;
pub mod message;
pub mod order;
pub mod pager;
pub mod parts;
pub mod pulls;
pub mod queue;
pub mod repository;
pub mod review;
pub mod search;
pub mod sessions;
pub mod settings;
pub mod setup;
pub mod tree;

#[cfg(test)]
pub mod samples;
