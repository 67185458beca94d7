//! The words of the field as types. No IO, no clock, no policy: every other room may use this one, and this one uses none.

mod attr_path;
mod evaluation;
mod git_ids;
mod level;
mod merge_queue;
mod names;
mod outcome;
mod secret;
mod store_path;
mod user;

pub use attr_path::{AttrPath, AttrPathError};
pub use evaluation::{Attr, Detail, EvalError, EvalStats, Evaluation, Job, Position};
pub use git_ids::{CommitId, GitIdError, ObjectId, TreeId};
pub use level::Level;
pub use merge_queue::{GroupBranch, MERGE_QUEUE};
pub use names::{JobsetName, OutputName, RepositoryName, ReviewId, System};
pub use outcome::Outcome;
pub use secret::Secret;
pub use store_path::{DrvPath, StorePath, StorePathError};
pub use user::UserId;

/// Which half of a review something belongs to.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    Base,
    Head,
}
