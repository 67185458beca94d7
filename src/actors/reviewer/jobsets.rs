//! Which jobsets a review evaluates: those of the base's `snowgate.toml`, or what is found at the root, as far as the user's
//! selection leaves them.

use std::collections::{BTreeMap, BTreeSet};

use super::Fault;
use crate::actors::evaluator::What;
use crate::config::repository::{self, Jobset, JobsetSource, Policy};
use crate::domain::{AttrPath, JobsetName, System, TreeId};
use crate::git::Repository;

/// What the command line adds to, or puts in the place of, the repository's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// In place of all jobsets.
    pub source: Option<JobsetSource>,
    pub attrs: Vec<AttrPath>,
    pub args: BTreeMap<String, String>,
    pub argstrs: BTreeMap<String, String>,
    pub systems: Vec<System>,
    pub variant: Option<String>,
    pub force_recurse: bool,
    /// Nix settings.
    pub options: BTreeMap<String, String>,
}

/// The names that `nix-build` and Hydra's users expect, in this order.
const FOUND: [&str; 2] = ["release.nix", "default.nix"];

/// `base` is the tree whose configuration counts, `head` the one that is reviewed.
pub async fn read(git: &Repository, base: &TreeId, head: &TreeId, selection: &Selection) -> Result<(Vec<Jobset>, Policy), Fault> {
    let house = |error: crate::git::GitError| Fault::House(error.to_string());
    let text = git.read_file(base, "snowgate.toml").await.map_err(house)?;
    let configured = match text {
        None => repository::RepositoryConfig::default(),
        Some(bytes) => {
            let text =
                String::from_utf8(bytes).map_err(|_| Fault::Configuration("snowgate.toml of the base is not UTF-8".into()))?;
            repository::parse(&text).map_err(|error| Fault::Configuration(format!("snowgate.toml of the base: {error}")))?
        }
    };
    let mut jobsets = configured.jobsets;
    if let Some(source) = &selection.source {
        jobsets = vec![plain(source.clone())];
    } else if jobsets.is_empty() {
        jobsets = vec![plain(find(git, base, head).await.map_err(house)?)];
    }
    Ok((select(jobsets, selection)?, configured.policy))
}

/// What a review of `head` would evaluate of the base: every jobset on each of its systems.
pub async fn whats(git: &Repository, base: &TreeId, head: &TreeId, selection: &Selection) -> Result<Vec<What>, Fault> {
    let (jobsets, _) = read(git, base, head, selection).await?;
    let each = jobsets.iter().flat_map(|jobset| jobset.systems.iter().map(move |system| (jobset, system)));
    let what = each.map(|(jobset, system)| What {
        repository: git.clone(),
        tree: base.clone(),
        jobset: jobset.clone(),
        system: system.clone(),
        options: selection.options.clone(),
    });
    Ok(what.collect())
}

async fn find(git: &Repository, base: &TreeId, head: &TreeId) -> Result<JobsetSource, crate::git::GitError> {
    for tree in [base, head] {
        let present: BTreeSet<String> =
            git.read_files(tree, &["release.nix", "default.nix", "flake.nix"]).await?.into_keys().collect();
        if let Some(file) = FOUND.into_iter().find(|file| present.contains(*file)) {
            return Ok(JobsetSource::File(file.to_owned()));
        }
        if present.contains("flake.nix") {
            return Ok(JobsetSource::Flake(String::new()));
        }
    }
    Ok(JobsetSource::File("default.nix".to_owned()))
}

fn plain(source: JobsetSource) -> Jobset {
    // Hydra enters every set of its jobsets, and `release.nix` is written for Hydra
    let force_recurse = matches!(&source, JobsetSource::File(file) if file.rsplit('/').next() == Some("release.nix"));
    Jobset {
        name: JobsetName::new("default"),
        source,
        attrs: Vec::new(),
        systems: Vec::new(),
        args: BTreeMap::new(),
        argstrs: BTreeMap::new(),
        force_recurse,
    }
}

fn select(jobsets: Vec<Jobset>, selection: &Selection) -> Result<Vec<Jobset>, Fault> {
    let names: Vec<String> = jobsets.iter().map(|jobset| jobset.name.to_string()).collect();
    let wanted = |jobset: &Jobset| match &selection.variant {
        None => true,
        Some(variant) => jobset.name.as_str() == variant || jobset.name.as_str().rsplit('.').next() == Some(variant),
    };
    let mut selected: Vec<Jobset> = jobsets.into_iter().filter(wanted).collect();
    if let (true, Some(variant)) = (selected.is_empty(), &selection.variant) {
        return Err(Fault::Configuration(format!("there is no variant `{variant}`; the base has {}", names.join(", "))));
    }
    for jobset in &mut selected {
        if !selection.attrs.is_empty() {
            jobset.attrs = selection.attrs.clone();
        }
        jobset.args.extend(selection.args.clone());
        jobset.argstrs.extend(selection.argstrs.clone());
        // an argument has one value, whichever way it was given last
        jobset.argstrs.retain(|name, _| !selection.args.contains_key(name));
        jobset.args.retain(|name, _| !selection.argstrs.contains_key(name));
        jobset.force_recurse |= selection.force_recurse;
        if !selection.systems.is_empty() {
            jobset.systems = selection.systems.clone();
        } else if jobset.systems.is_empty() {
            jobset.systems = vec![System::host()];
        }
    }
    Ok(selected)
}
