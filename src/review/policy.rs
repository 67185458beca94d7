//! What a repository decides about its own gate. Plain values: where they come from is the configuration's concern.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::report::Level;

/// How heavily each finding weighs. A merge conflict always blocks: there is no tree to merge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Which derivations of the base are built where their outcome is not known.
    pub base: BaseBuilds,
    /// Attributes that build on the base and fail on head.
    pub newly_failing: Level,
    /// Attributes that the base lacks and that fail.
    pub new_failing: Level,
    /// Attributes that fail on both sides.
    pub still_failing: Level,
    /// Attributes whose evaluation fails on head and does not on the base.
    pub new_eval_errors: Level,
    /// Attributes that no builder can build.
    pub not_built: Level,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BaseBuilds {
    /// The base of every rebuild, so that what a change repairs is known too.
    #[default]
    All,
    /// The base of what fails on head only; what builds on head then counts as having built before.
    Failing,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            base: BaseBuilds::All,
            newly_failing: Level::Block,
            new_failing: Level::Block,
            still_failing: Level::Info,
            new_eval_errors: Level::Block,
            not_built: Level::Warn,
        }
    }
}
