//! Names that are plain text to a machine and never interchangeable to a person.

use std::fmt;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }
    };
}

name!(
    /// A Nix system, say `x86_64-linux`.
    System
);
name!(
    /// A jobset: how a tree becomes attributes. `default` in a one-shot review; a variant is `jobset.variant`.
    JobsetName
);
name!(
    /// An output of a derivation, say `out` or `dev`.
    OutputName
);
name!(
    /// A review: sixteen hexadecimal digits, drawn when it is created.
    ReviewId
);
name!(
    /// A repository as `owner/name`; repositories on disk have the owner `local`.
    RepositoryName
);

impl System {
    /// The system that this binary was compiled for, in Nix's words.
    pub fn host() -> Self {
        let os = if cfg!(target_os = "macos") { "darwin" } else { std::env::consts::OS };
        Self::new(format!("{}-{os}", std::env::consts::ARCH))
    }
}
