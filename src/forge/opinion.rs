//! PURE: what people think of a pull request, as far as it counts.

use crate::domain::CommitId;

/// The last that somebody who may write to the repository said of a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opinion {
    /// Numeric and for ever.
    pub by: u64,
    pub login: String,
    pub stance: Stance,
    /// What they looked at; `None`: the forge does not know any more.
    pub head: Option<CommitId>,
    pub at: jiff::Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stance {
    Approves,
    /// Until they approve, or it is dismissed.
    RequestsChanges,
}

impl Opinion {
    /// An approval is of the head that it was given for; what somebody wants changed they want until they say otherwise.
    pub fn counts_for(&self, head: &CommitId) -> bool {
        match self.stance {
            Stance::Approves => self.head.as_ref() == Some(head),
            Stance::RequestsChanges => true,
        }
    }
}
