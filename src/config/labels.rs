//! Labels on GitHub by what a change rebuilds. By default they are called as those of nixpkgs, and there are none.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Labels of pull requests by their rebuilds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Labels {
    /// Whether pull requests are labelled at all. No label is ever taken away but those that these settings name.
    pub enabled: bool,
    /// How the names begin, by what the names of systems end with.
    pub prefixes: BTreeMap<String, String>,
    /// The least number of rebuilds of each label, ascending; the first is 0.
    pub buckets: Vec<u64>,
    /// For a change with more rebuilds than `policy.staging_rebuilds` of the repository's snowgate.toml.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub staging: Option<String>,
}

impl Default for Labels {
    fn default() -> Self {
        let prefix = |kernel: &str| (kernel.to_owned(), format!("10.rebuild-{kernel}: "));
        Self {
            enabled: false,
            prefixes: BTreeMap::from([prefix("linux"), prefix("darwin")]),
            buckets: vec![0, 1, 11, 101, 501, 1001, 2501, 5001],
            staging: None,
        }
    }
}

impl Labels {
    pub(super) fn fault(&self) -> Option<(&'static str, &'static str)> {
        let ascends = self.buckets.first() == Some(&0) && self.buckets.is_sorted_by(|a, b| a < b);
        if !ascends {
            return Some(("buckets", "`github.labels.buckets` begins with 0 and ascends"));
        }
        let longest = self.prefixes.values().map(String::len).max().unwrap_or_default();
        // docs.github.com: a label's name has at most fifty characters; what follows the prefix has up to 41
        (longest > 30).then_some(("prefixes", "`github.labels.prefixes` are at most 30 bytes long: GitHub's labels are short"))
    }

    /// The label of each bucket, without its prefix: `0`, `1-10`, `5001+`.
    pub fn bucket_names(&self) -> Vec<String> {
        let end = |index: usize| self.buckets.get(index + 1).map(|next| next - 1);
        let name = |(index, from): (usize, &u64)| match end(index) {
            None => format!("{from}+"),
            Some(to) if to == *from => from.to_string(),
            Some(to) => format!("{from}-{to}"),
        };
        self.buckets.iter().enumerate().map(name).collect()
    }

    /// Which bucket a number is in.
    pub fn bucket(&self, rebuilds: u64) -> usize {
        self.buckets.iter().rposition(|from| *from <= rebuilds).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_labels_are_those_of_nixpkgs_unless_said_otherwise() {
        let labels = Labels::default();
        let names = ["0", "1-10", "11-100", "101-500", "501-1000", "1001-2500", "2501-5000", "5001+"];
        assert_eq!(labels.bucket_names(), names);
        let of = |rebuilds: u64| names[labels.bucket(rebuilds)];
        assert_eq!(
            [0, 1, 10, 11, 500, 5000, 5001, 90_000].map(of),
            ["0", "1-10", "1-10", "11-100", "101-500", "2501-5000", "5001+", "5001+"]
        );
        assert_eq!(labels.fault(), None);
        for buckets in [vec![], vec![1], vec![0, 5, 5]] {
            assert!(Labels { buckets, ..Labels::default() }.fault().is_some());
        }
    }
}
