//! How a build ended.

/// The end of a build, as in the report. Everything but `Infrastructure` and `Cancelled` says something about the change.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Succeeded,
    Substituted,
    Failed,
    DependencyFailed,
    TimedOut,
    SilentTimedOut,
    LogLimit,
    OutputLimit,
    OutOfMemory,
    HashMismatch,
    Unsupported,
    Cancelled,
    Infrastructure,
}

impl Outcome {
    pub const ALL: [Outcome; 13] = [
        Outcome::Succeeded,
        Outcome::Substituted,
        Outcome::Failed,
        Outcome::DependencyFailed,
        Outcome::TimedOut,
        Outcome::SilentTimedOut,
        Outcome::LogLimit,
        Outcome::OutputLimit,
        Outcome::OutOfMemory,
        Outcome::HashMismatch,
        Outcome::Unsupported,
        Outcome::Cancelled,
        Outcome::Infrastructure,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Succeeded => "succeeded",
            Outcome::Substituted => "substituted",
            Outcome::Failed => "failed",
            Outcome::DependencyFailed => "dependency_failed",
            Outcome::TimedOut => "timed_out",
            Outcome::SilentTimedOut => "silent_timed_out",
            Outcome::LogLimit => "log_limit",
            Outcome::OutputLimit => "output_limit",
            Outcome::OutOfMemory => "out_of_memory",
            Outcome::HashMismatch => "hash_mismatch",
            Outcome::Unsupported => "unsupported",
            Outcome::Cancelled => "cancelled",
            Outcome::Infrastructure => "infrastructure",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }

    /// What a person reads.
    pub fn words(self) -> &'static str {
        match self {
            Outcome::Succeeded => "succeeded",
            Outcome::Substituted => "substituted from a binary cache",
            Outcome::Failed => "failed",
            Outcome::DependencyFailed => "a dependency failed",
            Outcome::TimedOut => "timed out",
            Outcome::SilentTimedOut => "timed out in silence",
            Outcome::LogLimit => "exceeded the log limit",
            Outcome::OutputLimit => "exceeded the output limit",
            Outcome::OutOfMemory => "ran out of memory",
            Outcome::HashMismatch => "hash mismatch",
            Outcome::Unsupported => "no builder supports it",
            Outcome::Cancelled => "cancelled",
            Outcome::Infrastructure => "infrastructure failure",
        }
    }

    /// The outputs are there.
    pub fn is_success(self) -> bool {
        matches!(self, Outcome::Succeeded | Outcome::Substituted)
    }

    /// The derivation, or one that it needs, is at fault. `Unsupported`, `Cancelled` and `Infrastructure` are nobody's fault.
    pub fn is_failure(self) -> bool {
        match self {
            Outcome::Failed
            | Outcome::DependencyFailed
            | Outcome::TimedOut
            | Outcome::SilentTimedOut
            | Outcome::LogLimit
            | Outcome::OutputLimit
            | Outcome::OutOfMemory
            | Outcome::HashMismatch => true,
            Outcome::Succeeded | Outcome::Substituted | Outcome::Unsupported | Outcome::Cancelled | Outcome::Infrastructure => {
                false
            }
        }
    }

    /// Worth remembering between runs: the derivation itself failed. `DependencyFailed` follows from its root cause.
    pub fn is_remembered(self) -> bool {
        self.is_failure() && self != Outcome::DependencyFailed
    }
}
