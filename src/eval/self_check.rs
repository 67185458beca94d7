//! PURE: an evaluation from recordings held against a full one, attribute by attribute.

use std::collections::BTreeMap;

use crate::domain::{Attr, AttrPath, EvalError, Job};

/// Attributes that the summary names.
const NAMED: usize = 5;

/// An attribute that the two sides know differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub attr: AttrPath,
    /// `None`: there is no such attribute.
    pub full: Option<Attr>,
    pub incremental: Option<Attr>,
}

type Attrs = BTreeMap<AttrPath, Attr>;

/// Every attribute that is not the same on both sides: its derivation, its outputs, its error's text and position, its existence.
pub fn differences(full: &Attrs, incremental: &Attrs) -> Vec<Difference> {
    let only_incremental = incremental.keys().filter(|attr| !full.contains_key(*attr));
    let attrs = full.keys().chain(only_incremental);
    let mut found: Vec<Difference> = attrs
        .filter(|attr| full.get(*attr) != incremental.get(*attr))
        .map(|attr| Difference { attr: attr.clone(), full: full.get(attr).cloned(), incremental: incremental.get(attr).cloned() })
        .collect();
    found.sort_by(|a, b| a.attr.cmp(&b.attr));
    found
}

/// Leaves out what a second full evaluation knows differently from the first: such an attribute is not the same from one evaluation
/// to the next, and says nothing about recordings.
pub fn steady(found: Vec<Difference>, again: &Attrs) -> Vec<Difference> {
    found.into_iter().filter(|difference| again.get(&difference.attr) == difference.full.as_ref()).collect()
}

/// One sentence for a person; `attributes` is how many were compared.
pub fn summary(found: &[Difference], attributes: usize) -> String {
    let named: Vec<String> =
        found.iter().take(NAMED).map(|difference| format!("{} ({})", difference.attr, difference.in_words())).collect();
    let more = match found.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{} of {attributes} attributes differ: {}{more}", found.len(), named.join(", "))
}

impl Difference {
    pub fn in_words(&self) -> &'static str {
        match (&self.full, &self.incremental) {
            (Some(_), None) => "missing from recordings",
            (None, _) => "only from recordings",
            (Some(Attr::Derivation(_)), Some(Attr::Failed(_))) => "an error from recordings only",
            (Some(Attr::Failed(_)), Some(Attr::Derivation(_))) => "an error in full only",
            (Some(Attr::Derivation(full)), Some(Attr::Derivation(incremental))) => of_jobs(full, incremental),
            (Some(Attr::Failed(full)), Some(Attr::Failed(incremental))) => of_errors(full, incremental),
        }
    }
}

fn of_jobs(full: &Job, incremental: &Job) -> &'static str {
    match (full.drv == incremental.drv, full.outputs == incremental.outputs) {
        (false, _) => "another derivation",
        (true, false) => "other outputs",
        (true, true) => "another system",
    }
}

fn of_errors(full: &EvalError, incremental: &EvalError) -> &'static str {
    if full.message == incremental.message { "another position of the error" } else { "another error" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derivation(name: &str) -> Attr {
        Attr::Derivation(Job {
            drv: format!("/nix/store/00000000000000000000000000000000-{name}.drv").parse().unwrap(),
            outputs: BTreeMap::new(),
            system: "x86_64-linux".into(),
        })
    }

    fn error(line: u32) -> Attr {
        let position = Some(crate::domain::Position { file: "default.nix".into(), line, column: 1 });
        Attr::Failed(EvalError { message: "no".into(), position })
    }

    fn attrs(list: &[(&str, Attr)]) -> Attrs {
        list.iter().map(|(name, attr)| (name.parse().unwrap(), attr.clone())).collect()
    }

    #[test]
    fn whatever_is_not_the_same_is_a_difference() {
        let full =
            attrs(&[("a", derivation("a")), ("b", error(1)), ("c", derivation("c")), ("e", error(1)), ("f", derivation("f"))]);
        let incremental = attrs(&[
            ("a", derivation("a")),
            ("b", error(2)),
            ("d", derivation("d")),
            ("e", derivation("e")),
            ("f", derivation("g")),
        ]);
        let found = differences(&full, &incremental);
        assert_eq!(
            summary(&found, full.len()),
            "5 of 5 attributes differ: b (another position of the error), c (missing from recordings), d (only from recordings), \
             e (an error in full only), f (another derivation)"
        );
        assert_eq!(differences(&full, &full), []);
    }

    #[test]
    fn what_full_evaluations_disagree_about_proves_nothing() {
        let full = attrs(&[("a", derivation("a")), ("b", derivation("b"))]);
        let again = attrs(&[("a", derivation("x")), ("b", derivation("b"))]);
        let incremental = attrs(&[("a", derivation("y")), ("b", derivation("z")), ("c", derivation("c"))]);
        let left = steady(differences(&full, &incremental), &again);
        assert_eq!(left.iter().map(|difference| difference.attr.to_string()).collect::<Vec<_>>(), ["b", "c"]);
    }
}
