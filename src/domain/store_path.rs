//! Paths of the Nix store.

use std::fmt;
use std::str::FromStr;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorePathError {
    #[error("`{0}` is not a store path: expected DIR/HASH-NAME with a hash of 32 characters")]
    NotAStorePath(String),
    #[error("`{0}` is not a derivation: its name does not end in .drv")]
    NotADerivation(String),
}

/// An absolute path directly below the store directory: `/nix/store/HASH-NAME`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, schemars::JsonSchema)]
pub struct StorePath(String);

/// Characters of a Nix base-32 hash: no e, o, t, u (nix, libutil/base-nix-32.hh).
fn is_hash(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'z') && !matches!(b, b'e' | b'o' | b't' | b'u'))
}

/// Characters of a store path's name (nix, libstore/path.cc: checkName).
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 211
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.' | b'_' | b'?' | b'='))
}

fn is_base_name(text: &str) -> bool {
    text.split_at_checked(32).is_some_and(|(hash, rest)| is_hash(hash) && rest.strip_prefix('-').is_some_and(is_name))
}

/// An absolute one that says where it is by itself; nothing: the root.
fn is_directory(text: &str) -> bool {
    let names = |names: &str| names.split('/').all(|name| !matches!(name, "" | "." | ".."));
    text.is_empty() || text.strip_prefix('/').is_some_and(names)
}

impl StorePath {
    /// `HASH-NAME`.
    pub fn base_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, base)| base)
    }

    /// The store directory, usually `/nix/store`.
    pub fn store_dir(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(dir, _)| dir)
    }

    /// The 32 characters of the hash.
    pub fn hash(&self) -> &str {
        &self.base_name()[..32]
    }

    /// What follows the hash and its dash.
    pub fn name(&self) -> &str {
        &self.base_name()[33..]
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<std::path::Path> for StorePath {
    fn as_ref(&self) -> &std::path::Path {
        std::path::Path::new(&self.0)
    }
}

impl FromStr for StorePath {
    type Err = StorePathError;
    fn from_str(text: &str) -> Result<Self, StorePathError> {
        text.to_owned().try_into()
    }
}

impl TryFrom<String> for StorePath {
    type Error = StorePathError;
    fn try_from(text: String) -> Result<Self, StorePathError> {
        let valid = text.rsplit_once('/').is_some_and(|(directory, base)| is_directory(directory) && is_base_name(base));
        if valid { Ok(Self(text)) } else { Err(StorePathError::NotAStorePath(text)) }
    }
}

/// The store path of a derivation: it ends in `.drv`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, schemars::JsonSchema)]
pub struct DrvPath(StorePath);

impl DrvPath {
    /// Whether that is the last part of the path of a derivation, `HASH-NAME.drv`.
    pub fn is_base_name(text: &str) -> bool {
        is_base_name(text) && text.len() > 33 + ".drv".len() && text.ends_with(".drv")
    }

    pub fn path(&self) -> &StorePath {
        &self.0
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// `HASH-NAME.drv`: also the id of its log.
    pub fn base_name(&self) -> &str {
        self.0.base_name()
    }

    /// The derivation's name, without `.drv`.
    pub fn name(&self) -> &str {
        let name = self.0.name();
        &name[..name.len() - ".drv".len()]
    }

    /// Package name and version by Nix's rule (`builtins.parseDrvName`): the version starts at the first dash that no letter follows.
    pub fn pname_version(&self) -> (&str, Option<&str>) {
        let name = self.name();
        for (i, _) in name.match_indices('-') {
            if name[i + 1..].bytes().next().is_some_and(|b| !b.is_ascii_alphabetic()) {
                return (&name[..i], Some(&name[i + 1..]));
            }
        }
        (name, None)
    }
}

impl AsRef<std::path::Path> for DrvPath {
    fn as_ref(&self) -> &std::path::Path {
        self.0.as_ref()
    }
}

impl TryFrom<StorePath> for DrvPath {
    type Error = StorePathError;
    fn try_from(path: StorePath) -> Result<Self, StorePathError> {
        if path.name().len() > 4 && path.name().ends_with(".drv") {
            Ok(Self(path))
        } else {
            Err(StorePathError::NotADerivation(path.0))
        }
    }
}

impl FromStr for DrvPath {
    type Err = StorePathError;
    fn from_str(text: &str) -> Result<Self, StorePathError> {
        text.parse::<StorePath>()?.try_into()
    }
}

macro_rules! text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <std::borrow::Cow<'_, str>>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
text!(StorePath);
text!(DrvPath);

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &str = "/nix/store/8x4imr87h9x530l6y2kdaj7ih62z8kgx-hello-world-2.12.1.drv";

    #[test]
    fn a_derivation_has_a_name_and_a_version() {
        let drv: DrvPath = HELLO.parse().unwrap();
        assert_eq!(drv.name(), "hello-world-2.12.1");
        assert_eq!(drv.pname_version(), ("hello-world", Some("2.12.1")));
        assert_eq!(drv.path().hash(), "8x4imr87h9x530l6y2kdaj7ih62z8kgx");
    }

    #[test]
    fn what_is_no_store_path_is_refused() {
        for text in [
            "",
            "/",
            "/nix/store/x",
            "/nix/store/8x4imr87h9x530l6y2kdaj7ih62z8kgx",
            "8x4imr87h9x530l6y2kdaj7ih62z8kgx-a",
            "/nix/store/8x4imr87h9x530l6y2kdaj7ih62z8kgé-a",
            "/nix/store/ex4imr87h9x530l6y2kdaj7ih62z8kgx-a",
            "/nix/store/8x4imr87h9x530l6y2kdaj7ih62z8kgx-a b",
            "/nix/store/../../tmp/8x4imr87h9x530l6y2kdaj7ih62z8kgx-a",
            "/nix/store/./8x4imr87h9x530l6y2kdaj7ih62z8kgx-a",
            "/nix//store/8x4imr87h9x530l6y2kdaj7ih62z8kgx-a",
            "//8x4imr87h9x530l6y2kdaj7ih62z8kgx-a",
        ] {
            assert!(text.parse::<StorePath>().is_err(), "{text}");
        }
        assert!("/nix/store/8x4imr87h9x530l6y2kdaj7ih62z8kgx-a".parse::<DrvPath>().is_err());
    }
}
