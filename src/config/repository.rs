//! `snowgate.toml` at the root of a repository, always read from the base branch: jobsets and policy.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ConfigError;
use super::document::{self, Document};
use crate::domain::Level;
use crate::domain::{AttrPath, JobsetName, System};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RepositoryConfig {
    /// Variants are jobsets of their own, named `jobset.variant`. Empty: none is configured.
    pub jobsets: Vec<Jobset>,
    pub policy: Policy,
}

/// How a tree becomes attributes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
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

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum JobsetSource {
    /// A Nix file, relative to the root of the tree.
    File(String),
    /// An output of the flake at the root of the tree, say `packages`.
    Flake(String),
}

/// What the verdict makes of each finding. A merge conflict and an evaluation that fails as a whole always block;
/// infrastructure failures never count against the change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// A change with more rebuilds than this belongs on a staging branch: the verdict warns of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub staging_rebuilds: Option<u64>,
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
            staging_rebuilds: None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BaseBuilds {
    /// The base of each changed attribute, so that closures can be compared and what newly succeeds is known.
    All,
    /// The base of an attribute whose head fails, so that newly and still failing are facts.
    Failing,
}

/// The file as it is written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "snowgate.toml: what a repository asks of Snowgate")]
struct File {
    /// How the tree becomes attributes, by name.
    jobsets: BTreeMap<String, FileJobset>,
    /// What the verdict makes of each finding.
    policy: Policy,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct FileJobset {
    /// A Nix file, relative to the root of the tree; either this or `flake`.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// An output of the flake at the root of the tree, say `packages`; either this or `file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    flake: Option<String>,
    /// Only what lies at or below one of these attributes; by default everything.
    attrs: Vec<AttrPath>,
    /// Systems to evaluate for; by default the server's own.
    systems: Vec<System>,
    /// Arguments of the file's function, as Nix expressions.
    args: BTreeMap<String, String>,
    /// Arguments of the file's function, as strings.
    argstrs: BTreeMap<String, String>,
    /// Enter every attribute set, whether it says `recurseForDerivations` or not.
    force_recurse: bool,
    /// The same jobset with other arguments, by name.
    variants: BTreeMap<String, FileVariant>,
}

/// What is not said is the jobset's; arguments are added to the jobset's, or replace them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct FileVariant {
    /// In place of the jobset's attributes.
    #[serde(skip_serializing_if = "Option::is_none")]
    attrs: Option<Vec<AttrPath>>,
    /// In place of the jobset's systems.
    #[serde(skip_serializing_if = "Option::is_none")]
    systems: Option<Vec<System>>,
    /// Arguments of the file's function, as Nix expressions.
    args: BTreeMap<String, String>,
    /// Arguments of the file's function, as strings.
    argstrs: BTreeMap<String, String>,
    /// In place of what the jobset says.
    #[serde(skip_serializing_if = "Option::is_none")]
    force_recurse: Option<bool>,
}

/// Reads the text of a `snowgate.toml`.
pub fn parse(text: &str) -> Result<RepositoryConfig, ConfigError> {
    let (file, document) = document::read::<File>(text)?;
    let mut jobsets = Vec::new();
    for (name, jobset) in &file.jobsets {
        let path = ["jobsets", name];
        let source = source(&document, name, jobset)?;
        check_name(&document, &path, name)?;
        check_arguments(&document, &path, &jobset.args, &jobset.argstrs)?;
        let whole = Jobset {
            name: JobsetName::new(name),
            source,
            attrs: jobset.attrs.clone(),
            systems: jobset.systems.clone(),
            args: jobset.args.clone(),
            argstrs: jobset.argstrs.clone(),
            force_recurse: jobset.force_recurse,
        };
        jobsets.push(whole.clone());
        for (variant, changes) in &jobset.variants {
            let path = ["jobsets", name, "variants", variant];
            check_name(&document, &path, variant)?;
            check_arguments(&document, &path, &changes.args, &changes.argstrs)?;
            jobsets.push(whole.variant(variant, changes));
        }
    }
    Ok(RepositoryConfig { jobsets, policy: file.policy })
}

/// As [`parse`], for a file on disk.
pub fn load(file: &Path) -> Result<RepositoryConfig, ConfigError> {
    parse(&super::text_of(file)?).map_err(|error| error.in_file(file))
}

/// The JSON Schema of the file.
pub fn schema() -> serde_json::Value {
    document::schema::<File>()
}

impl Jobset {
    fn variant(&self, name: &str, changes: &FileVariant) -> Jobset {
        // an expression replaces a string of the same name, and the other way round
        let mut args = self.args.clone();
        args.retain(|argument, _| !changes.argstrs.contains_key(argument));
        args.extend(changes.args.clone());
        let mut argstrs = self.argstrs.clone();
        argstrs.retain(|argument, _| !changes.args.contains_key(argument));
        argstrs.extend(changes.argstrs.clone());
        Jobset {
            name: JobsetName::new(format!("{}.{name}", self.name)),
            source: self.source.clone(),
            attrs: changes.attrs.clone().unwrap_or_else(|| self.attrs.clone()),
            systems: changes.systems.clone().unwrap_or_else(|| self.systems.clone()),
            args,
            argstrs,
            force_recurse: changes.force_recurse.unwrap_or(self.force_recurse),
        }
    }
}

fn source(document: &Document<'_>, name: &str, jobset: &FileJobset) -> Result<JobsetSource, ConfigError> {
    match (&jobset.file, &jobset.flake) {
        (Some(file), None) => {
            let inside = Path::new(file).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
            if inside && !file.is_empty() {
                Ok(JobsetSource::File(file.clone()))
            } else {
                let message = format!("`file` of the jobset `{name}` must be a path inside the repository, not `{file}`");
                Err(document.fault(&["jobsets", name, "file"], message))
            }
        }
        (None, Some(flake)) => Ok(JobsetSource::Flake(flake.clone())),
        (Some(_), Some(_)) => {
            let message = format!("the jobset `{name}` has both `file` and `flake`; keep one of them");
            Err(document.fault(&["jobsets", name, "flake"], message))
        }
        (None, None) => {
            let message =
                format!("the jobset `{name}` says nothing to evaluate; add `file = \"release.nix\"` or `flake = \"packages\"`");
            Err(document.fault(&["jobsets", name], message))
        }
    }
}

/// A dot would make a jobset of the name of another's variant.
fn check_name(document: &Document<'_>, path: &[&str], name: &str) -> Result<(), ConfigError> {
    if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) {
        return Ok(());
    }
    Err(document.fault(path, format!("the name `{name}` may have letters, digits, `-` and `_` only")))
}

fn check_arguments(
    document: &Document<'_>,
    path: &[&str],
    args: &BTreeMap<String, String>,
    argstrs: &BTreeMap<String, String>,
) -> Result<(), ConfigError> {
    match argstrs.keys().find(|argument| args.contains_key(*argument)) {
        None => Ok(()),
        Some(argument) => {
            let path = [path, &["argstrs", argument]].concat();
            Err(document.fault(&path, format!("the argument `{argument}` is both in `args` and in `argstrs`; keep one of them")))
        }
    }
}
