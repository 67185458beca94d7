//! How much a reason weighs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Of a reason: whether it keeps a change from being merged, or is said only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Block,
    Warn,
    Info,
}
