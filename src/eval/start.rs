//! PURE: where an evaluation begins.

use super::frontier::Found;
use crate::config::repository::{Jobset, JobsetSource};
use crate::domain::{AttrPath, System};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    Root,
    /// At those of these outputs of a flake that there are.
    Outputs(Vec<AttrPath>),
    /// At attributes that the jobset names, present or not.
    Named(Vec<AttrPath>),
}

impl Start {
    pub fn of(jobset: &Jobset, system: &System) -> Start {
        const BY_SYSTEM: [&str; 4] = ["packages", "checks", "legacyPackages", "devShells"];
        let named = |path: AttrPath| if path.is_root() { Start::Root } else { Start::Named(vec![path]) };
        match &jobset.source {
            JobsetSource::File(_) | JobsetSource::Flake(_) if !jobset.attrs.is_empty() => Start::Named(jobset.attrs.clone()),
            JobsetSource::File(_) => Start::Root,
            // what `nix flake check` builds
            JobsetSource::Flake(output) if output.is_empty() => {
                Start::Outputs(["packages", "checks"].map(|output| AttrPath::new([output, system.as_str()])).to_vec())
            }
            JobsetSource::Flake(output) if BY_SYSTEM.contains(&output.as_str()) => {
                named(AttrPath::new([output.as_str(), system.as_str()]))
            }
            JobsetSource::Flake(output) => output.parse().map_or(Start::Root, named),
        }
    }
}

/// The root's result where an evaluation begins at outputs: the first names of those that there are, in the order of `paths`.
pub fn present(paths: &[AttrPath], is_present: &[bool]) -> Found {
    let present = paths.iter().zip(is_present).filter(|(_, is_present)| **is_present);
    Found::Set(present.filter_map(|(path, _)| path.names().first().cloned()).collect())
}
