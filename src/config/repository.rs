//! `snowgate.toml` at the root of a repository, always read from the base branch: jobsets and policy.

use std::collections::BTreeMap;

use super::ConfigError;
use crate::domain::{AttrPath, JobsetName, System};
use crate::review::report::Level;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RepositoryConfig {
    /// Variants are jobsets of their own, named `jobset.variant`. Empty: none is configured.
    pub jobsets: Vec<Jobset>,
    pub policy: Policy,
}

/// How a tree becomes attributes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize)]
pub struct Jobset {
    pub name: JobsetName,
    pub source: JobsetSource,
    /// Only what lies at or below one of these; empty: everything.
    pub attrs: Vec<AttrPath>,
    /// Empty: the host's.
    pub systems: Vec<System>,
    /// Nix expressions by argument.
    pub args: BTreeMap<String, String>,
    /// Strings by argument.
    pub argstrs: BTreeMap<String, String>,
    /// Enter every attribute set, `recurseForDerivations` or not.
    pub force_recurse: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum JobsetSource {
    /// A Nix file, relative to the root of the tree.
    File(String),
    /// An output of the flake at the root of the tree, say `packages`.
    Flake(String),
}

/// What the verdict makes of each finding. A merge conflict and an evaluation that fails as a whole always block;
/// infrastructure failures never count against the change.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Which derivations of the base are built.
    pub base: BaseBuilds,
    /// An attribute that fails on head and not on the base.
    pub newly_failing: Level,
    /// An attribute that the base does not have, and that fails.
    pub new_failing: Level,
    /// An attribute that fails on both sides.
    pub still_failing: Level,
    /// An attribute that can't be evaluated on head, and could be on the base or was not there.
    pub new_eval_errors: Level,
    /// An attribute that head does not have any more.
    pub removed: Level,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            // a fresh state directory knows nothing of the base: without its builds a repaired package would pass for one that always built
            base: BaseBuilds::All,
            newly_failing: Level::Block,
            new_failing: Level::Block,
            still_failing: Level::Info,
            new_eval_errors: Level::Block,
            removed: Level::Info,
        }
    }
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum BaseBuilds {
    /// The base of each changed attribute, so that closures can be compared and what newly succeeds is known.
    All,
    /// The base of an attribute whose head fails, so that newly and still failing are facts.
    Failing,
}

pub fn parse(_text: &str) -> Result<RepositoryConfig, ConfigError> {
    todo!()
}
