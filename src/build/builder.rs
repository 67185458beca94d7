//! A builder as the configuration names it.

use super::Offer;

/// `local`, a larger class of this machine, or a machine that is reached by SSH.
#[derive(Debug, Clone, PartialEq)]
pub struct Builder {
    pub name: String,
    pub offer: Offer,
    /// Builds at once.
    pub slots: usize,
    /// Fixed-output derivations at once: they wait for the network and have a lane of their own, beside `slots`.
    pub downloads: usize,
    /// How fast it is beside others, as in a Nix machines file; 1 is this machine.
    pub speed: f64,
    /// Bytes that one build may use here; `None`: as many as there are.
    pub memory: Option<u64>,
}
