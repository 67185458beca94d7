//! Attribute paths, written as the Nix command line writes them: `a.b`, odd names quoted: `set."odd.name"`.

use std::fmt;
use std::str::FromStr;

/// The path of an attribute from the root of a jobset. The empty path is the root itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct AttrPath(Vec<String>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttrPathError {
    #[error("attribute path `{0}` has an empty name; quote it as \"\" if it is meant")]
    EmptyName(String),
    #[error("attribute path `{0}` has a quote that is never closed")]
    OpenQuote(String),
    #[error("attribute path `{0}` has text right after a closing quote; separate names by dots")]
    TextAfterQuote(String),
}

impl AttrPath {
    pub fn root() -> Self {
        Self::default()
    }

    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }

    pub fn names(&self) -> &[String] {
        &self.0
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    pub fn child(&self, name: impl Into<String>) -> Self {
        let mut names = self.0.clone();
        names.push(name.into());
        Self(names)
    }

    /// Whether `self` is `prefix` or lies below it.
    pub fn starts_with(&self, prefix: &AttrPath) -> bool {
        self.0.starts_with(&prefix.0)
    }
}

/// A name that needs no quotes: Nix's identifier syntax. Keywords (`if`, `rec` …) are quoted, since `a.if` does not parse.
fn is_identifier(name: &str) -> bool {
    const KEYWORDS: [&str; 10] = ["if", "then", "else", "assert", "with", "let", "in", "rec", "inherit", "or"];
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '\'' | '-'))
        && !KEYWORDS.contains(&name)
}

impl fmt::Display for AttrPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            if is_identifier(name) {
                f.write_str(name)?;
            } else {
                f.write_str("\"")?;
                for c in name.chars() {
                    if matches!(c, '"' | '\\') {
                        f.write_str("\\")?;
                    }
                    write!(f, "{c}")?;
                }
                f.write_str("\"")?;
            }
        }
        Ok(())
    }
}

impl FromStr for AttrPath {
    type Err = AttrPathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Ok(Self::root());
        }
        let mut names = Vec::new();
        let mut chars = text.chars().peekable();
        loop {
            let mut name = String::new();
            if chars.next_if_eq(&'"').is_some() {
                loop {
                    match chars.next() {
                        None => return Err(AttrPathError::OpenQuote(text.into())),
                        Some('"') => break,
                        Some('\\') => name.extend(chars.next()),
                        Some(c) => name.push(c),
                    }
                }
                if chars.peek().is_some_and(|c| *c != '.') {
                    return Err(AttrPathError::TextAfterQuote(text.into()));
                }
            } else {
                while let Some(c) = chars.next_if(|c| *c != '.') {
                    name.push(c);
                }
                if name.is_empty() {
                    return Err(AttrPathError::EmptyName(text.into()));
                }
            }
            names.push(name);
            if chars.next().is_none() {
                return Ok(Self(names));
            }
        }
    }
}

impl serde::Serialize for AttrPath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for AttrPath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <std::borrow::Cow<'_, str>>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for AttrPath {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AttrPath".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "description": "an attribute path as the Nix command line writes it"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn odd_names_are_quoted() {
        assert_eq!(AttrPath::new(["set", "odd.name"]).to_string(), "set.\"odd.name\"");
        assert_eq!(AttrPath::new(["a", "b'-_9"]).to_string(), "a.b'-_9");
        assert_eq!(AttrPath::new(["9a", "if", ""]).to_string(), "\"9a\".\"if\".\"\"");
    }

    #[test]
    fn faults_are_named() {
        assert_eq!("a..b".parse::<AttrPath>(), Err(AttrPathError::EmptyName("a..b".into())));
        assert_eq!("a.\"b".parse::<AttrPath>(), Err(AttrPathError::OpenQuote("a.\"b".into())));
        assert!(matches!("\"a\"b".parse::<AttrPath>(), Err(AttrPathError::TextAfterQuote(_))));
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_back(names in proptest::collection::vec(".*", 0..5)) {
            let path = AttrPath::new(names);
            prop_assert_eq!(path.to_string().parse::<AttrPath>().unwrap(), path);
        }
    }
}
