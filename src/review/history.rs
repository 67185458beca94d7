//! Since when an attribute fails on the base: what is known of it at earlier commits.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{AttrPath, CommitId};

/// A commit of the base branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Point {
    pub rev: CommitId,
    /// RFC 3339
    pub committed_at: String,
    /// The first paragraph of its message, on one line.
    pub subject: String,
}

/// How long an attribute has been failing on the base branch, by its first parents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct History {
    pub attr: AttrPath,
    /// The earliest commit from which on it is known to fail, up to the base.
    pub first_broken: Point,
    /// The latest commit before it of which it is known that it built; `null`: of none.
    pub last_good: Option<Point>,
    /// Commits between these two of which nothing is known.
    pub unknown_between: u64,
    /// How many commits were looked at, the base among them.
    pub searched: u64,
}

/// How an attribute was at one commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stand {
    Broken,
    Good,
    /// The tree did not have it.
    Absent,
    /// It was not evaluated there, or not built.
    Unknown,
}

impl Stand {
    /// Nothing earlier is asked for.
    pub fn ends_the_search(self) -> bool {
        match self {
            Stand::Good | Stand::Absent => true,
            Stand::Broken | Stand::Unknown => false,
        }
    }
}

/// `stands` go with `commits`, the base first, and may end before them. `None`: it is not known to fail at the base.
pub fn history(attr: &AttrPath, commits: &[Point], stands: &[Stand]) -> Option<History> {
    if stands.first() != Some(&Stand::Broken) {
        return None;
    }
    let end = stands.iter().position(|stand| stand.ends_the_search());
    let broken = stands[..end.unwrap_or(stands.len())].iter().rposition(|stand| *stand == Stand::Broken)?;
    let good = end.filter(|end| stands[*end] == Stand::Good);
    Some(History {
        attr: attr.clone(),
        first_broken: commits[broken].clone(),
        last_good: good.map(|at| commits[at].clone()),
        unknown_between: good.map_or(0, |good| (good - broken - 1) as u64),
        searched: commits.len() as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::samples::attr;

    fn commits(number: usize) -> Vec<Point> {
        let point = |n: usize| Point {
            rev: format!("{n:040x}").parse().unwrap(),
            committed_at: "2026-11-20T12:00:00Z".into(),
            subject: format!("change {n}"),
        };
        (0..number).map(point).collect()
    }

    fn told(stands: &[Stand]) -> Option<(usize, Option<usize>, u64)> {
        let commits = commits(stands.len() + 2);
        let at = |point: &Point| commits.iter().position(|commit| commit == point).unwrap();
        let history = history(&attr("a"), &commits, stands)?;
        Some((at(&history.first_broken), history.last_good.as_ref().map(at), history.unknown_between))
    }

    #[test]
    fn first_broken_and_last_good_are_the_nearest_that_are_known() {
        use Stand::{Absent, Broken, Good, Unknown};
        assert_eq!(told(&[Broken]), Some((0, None, 0)));
        assert_eq!(told(&[Broken, Good]), Some((0, Some(1), 0)));
        assert_eq!(told(&[Broken, Unknown, Broken, Unknown, Unknown, Good, Broken]), Some((2, Some(5), 2)));
        assert_eq!(told(&[Broken, Broken, Absent, Good]), Some((1, None, 0)), "it was added broken");
        assert_eq!(told(&[Broken, Unknown, Broken, Unknown]), Some((2, None, 0)));
        assert_eq!(told(&[Good]), None);
        assert_eq!(told(&[Unknown, Broken]), None);
    }
}
