//! Both sides of an alarm as files, for whoever looks for the fault. Only so many are kept.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::domain::Evaluation;
use crate::eval::self_check::Difference;

/// A side of ten thousand attributes takes some five megabytes.
const ALARMS: usize = 10;

/// One of the two evaluations that should have been the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Full,
    /// From recordings.
    Incremental,
}

impl Side {
    pub fn file_name(self) -> &'static str {
        match self {
            Side::Full => "full.json",
            Side::Incremental => "incremental.json",
        }
    }
}

#[derive(Serialize)]
struct Document<'a> {
    /// The attributes that differ.
    differ: Vec<String>,
    evaluation: &'a Evaluation,
}

/// Writes both sides to a new directory below `directory`, and removes the oldest ones beyond the bound.
pub fn keep(directory: &Path, found: &[Difference], full: &Evaluation, incremental: &Evaluation) -> io::Result<PathBuf> {
    std::fs::create_dir_all(directory)?;
    // names sort by time
    let name = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%.6fZ").to_string();
    let own = directory.join(name);
    std::fs::create_dir(&own)?;
    let differ: Vec<String> = found.iter().map(|difference| format!("{}: {}", difference.attr, difference.in_words())).collect();
    for (side, evaluation) in [(Side::Full, full), (Side::Incremental, incremental)] {
        let text = serde_json::to_vec_pretty(&Document { differ: differ.clone(), evaluation })?;
        std::fs::write(own.join(side.file_name()), text)?;
    }
    bound(directory)?;
    Ok(own)
}

fn bound(directory: &Path) -> io::Result<()> {
    let mut all = std::fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
    all.sort();
    for old in all.iter().take(all.len().saturating_sub(ALARMS)) {
        std::fs::remove_dir_all(old)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let evaluation = Evaluation {
            tree: "4b825dc642cb6eb9a060e54bf8d69288fbee4904".parse().unwrap(),
            jobset: "default".into(),
            system: "x86_64-linux".into(),
            attrs: [].into(),
            stats: crate::domain::EvalStats::default(),
        };
        let made: Vec<PathBuf> =
            (0..ALARMS + 2).map(|_| keep(directory.path(), &[], &evaluation, &evaluation).unwrap()).collect();
        let left: Vec<bool> = made.iter().map(|own| own.join(Side::Full.file_name()).exists()).collect();
        assert_eq!(left, [vec![false; 2], vec![true; ALARMS]].concat());
    }
}
