//! Control groups: what a group of processes may use, what it has used, and the certainty that none of it is left behind.
//!
//! Owns the groups below this process's own one. Version 2 with delegation (a unit with `Delegate=yes`) and version 1 are the same to
//! callers. Called by `store/` for the daemons of builds, and by `eval/` for evaluating processes.
//!
//! The crate `cgroups-rs` knows the controllers' files. Ours is what it lacks: groups below where we stand instead of below the root
//! (it would switch controllers on in groups that are systemd's), peaks and kills that tell "none" from "not known", and the ends of
//! processes.

mod account;
mod ends;
mod ground;
mod group;
mod limits;
mod place;

pub use account::Account;
pub use ground::Ground;
pub use group::{Confined, Group};
pub use limits::{Limits, size};
pub use place::NoGround;
