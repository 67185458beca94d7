//! Derivations, read from their files in the store.

mod aterm;
mod basic;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

pub use basic::BasicDerivation;

use crate::domain::{DrvPath, OutputName, StorePath, System};

/// How something is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derivation {
    pub outputs: BTreeMap<OutputName, DerivationOutput>,
    pub input_drvs: BTreeMap<DrvPath, BTreeSet<OutputName>>,
    pub input_srcs: BTreeSet<StorePath>,
    pub system: System,
    pub builder: String,
    pub args: Vec<String>,
    /// Bytes that are no UTF-8 are replaced: nothing here is handed to a builder.
    pub env: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DerivationOutput {
    /// `None`: known only after the build (content-addressed derivations).
    pub path: Option<StorePath>,
    /// The content is fixed by a hash, so that the builder may use the network.
    pub fixed: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum DerivationError {
    #[error("cannot read {drv}: {fault}")]
    Unreadable { drv: DrvPath, fault: io::Error },
    #[error("{drv} is not a derivation as Nix writes it: {fault}")]
    Malformed { drv: DrvPath, fault: String },
}

/// Bytes of a derivation; those of nixpkgs have some hundred thousand at most. Whoever has something built has such a name made in
/// the store for anything: for a link to a device, too.
const LARGEST: u64 = 64 << 20;

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::options().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    let about = file.metadata()?;
    if !about.is_file() || about.len() > LARGEST {
        return Err(io::Error::other("it is no file, or too large for a derivation"));
    }
    let mut text = Vec::with_capacity(about.len() as usize);
    file.take(LARGEST).read_to_end(&mut text)?;
    Ok(text)
}

impl Derivation {
    /// Reads and parses the file in the store (blocking; some ten microseconds).
    pub fn read(drv: &DrvPath) -> Result<Derivation, DerivationError> {
        let text = read(drv.as_ref()).map_err(|fault| DerivationError::Unreadable { drv: drv.clone(), fault })?;
        Self::parse(&text).map_err(|fault| DerivationError::Malformed { drv: drv.clone(), fault })
    }

    /// Parses what Nix writes: `Derive([…],…)`.
    pub fn parse(text: &[u8]) -> Result<Derivation, String> {
        aterm::derivation(text)
    }

    /// `requiredSystemFeatures`, also from structured attributes. Content-addressed derivations need a builder that knows them.
    pub fn features(&self) -> BTreeSet<String> {
        let mut features: BTreeSet<String> = match self.structured() {
            Some(attrs) => match attrs.get("requiredSystemFeatures") {
                Some(serde_json::Value::Array(list)) => {
                    list.iter().filter_map(|feature| feature.as_str()).map(str::to_owned).collect()
                }
                _ => BTreeSet::new(),
            },
            None => {
                let text = self.env.get("requiredSystemFeatures").map_or("", String::as_str);
                text.split_whitespace().map(str::to_owned).collect()
            }
        };
        if self.outputs.values().any(|output| output.path.is_none() && !output.fixed) {
            features.insert("ca-derivations".into());
        }
        features
    }

    /// `preferLocalBuild`, also from structured attributes.
    pub fn prefers_local(&self) -> bool {
        match self.structured() {
            Some(attrs) => attrs.get("preferLocalBuild").is_some_and(|value| value == true),
            None => self.env.get("preferLocalBuild").is_some_and(|value| value == "1"),
        }
    }

    /// Its content is fixed by a hash: a source that is fetched.
    pub fn is_fixed_output(&self) -> bool {
        self.outputs.values().any(|output| output.fixed)
    }

    /// The words of an attribute: of a text, or of a list of texts, also from structured attributes.
    pub fn words(&self, name: &str) -> Vec<String> {
        let split = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        match self.structured().as_ref().and_then(|attrs| attrs.get(name)) {
            Some(serde_json::Value::Array(list)) => list.iter().filter_map(|word| word.as_str()).map(str::to_owned).collect(),
            Some(serde_json::Value::String(text)) => split(text),
            Some(serde_json::Value::Bool(true)) => vec!["1".to_owned()],
            Some(_) => Vec::new(),
            None => split(self.env.get(name).map_or("", String::as_str)),
        }
    }

    /// The attributes of a derivation with `__structuredAttrs`.
    fn structured(&self) -> Option<serde_json::Value> {
        serde_json::from_str(self.env.get("__json")?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_env(env: &[(&str, &str)]) -> Derivation {
        let env: Vec<_> = env.iter().map(|(name, value)| format!("({name:?},{value:?})")).collect();
        let text = format!(
            "Derive([(\"out\",\"/nix/store/8x4imr87h9x530l6y2kdaj7ih62z8kgx-a\",\"\",\"\")],[],[],\"x86_64-linux\",\"/bin/sh\",[],[{}])",
            env.join(",")
        );
        Derivation::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn features_are_words_or_structured() {
        let plain = with_env(&[("requiredSystemFeatures", "kvm  big-parallel"), ("preferLocalBuild", "1")]);
        assert_eq!(plain.features(), ["big-parallel".to_owned(), "kvm".to_owned()].into());
        assert!(plain.prefers_local() && !plain.is_fixed_output());
        let structured = with_env(&[
            ("__json", "{\"requiredSystemFeatures\":[\"kvm\"],\"preferLocalBuild\":true}"),
            ("requiredSystemFeatures", "no"),
        ]);
        assert_eq!(structured.features(), ["kvm".to_owned()].into());
        assert!(structured.prefers_local());
        assert!(with_env(&[]).features().is_empty());
    }
}
