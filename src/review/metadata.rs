//! What a change does to what packages say of themselves: versions, licences, maintainers, flags.

use std::collections::BTreeMap;

use serde_json::Value;

use super::report::{Change, ChangeKind, ChangeSide, Report};

/// What is compared, in the order of a reader's concern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    Broken,
    Insecure,
    Unfree,
    Licence,
    Maintainers,
    Version,
    Description,
    Homepage,
    MainProgram,
    Platforms,
}

impl Field {
    pub const ALL: [Field; 10] = [
        Field::Broken,
        Field::Insecure,
        Field::Unfree,
        Field::Licence,
        Field::Maintainers,
        Field::Version,
        Field::Description,
        Field::Homepage,
        Field::MainProgram,
        Field::Platforms,
    ];

    pub fn code(self) -> &'static str {
        match self {
            Field::Broken => "broken",
            Field::Insecure => "insecure",
            Field::Unfree => "unfree",
            Field::Licence => "licence",
            Field::Maintainers => "maintainers",
            Field::Version => "version",
            Field::Description => "description",
            Field::Homepage => "homepage",
            Field::MainProgram => "main-program",
            Field::Platforms => "platforms",
        }
    }

    /// What a person reads.
    pub fn words(self) -> &'static str {
        match self {
            Field::MainProgram => "main program",
            Field::Broken
            | Field::Insecure
            | Field::Unfree
            | Field::Licence
            | Field::Maintainers
            | Field::Version
            | Field::Description
            | Field::Homepage
            | Field::Platforms => self.code(),
        }
    }

    /// Somebody may be harmed: it is worth a second look.
    pub fn is_grave(self) -> bool {
        matches!(self, Field::Broken | Field::Insecure | Field::Unfree | Field::Licence)
    }
}

/// One field of one package. Empty: the package does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    pub field: Field,
    pub base: Vec<String>,
    pub head: Vec<String>,
}

impl FieldChange {
    pub fn came(&self) -> impl Iterator<Item = &String> {
        self.head.iter().filter(|word| !self.base.contains(word))
    }

    pub fn went(&self) -> impl Iterator<Item = &String> {
        self.base.iter().filter(|word| !self.head.contains(word))
    }
}

/// What changed of the packages of a report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// An index of the report's changes, and the fields that differ; of a new package, all that it says.
    pub rows: Vec<(usize, Vec<FieldChange>)>,
    /// How many rows have each field.
    pub counts: BTreeMap<Field, usize>,
}

impl Metadata {
    pub fn of(report: &Report) -> Self {
        let mut metadata = Self::default();
        for (at, change) in report.changes.iter().enumerate() {
            let fields = changed_fields(change);
            for field in &fields {
                *metadata.counts.entry(field.field).or_default() += 1;
            }
            if !fields.is_empty() {
                metadata.rows.push((at, fields));
            }
        }
        metadata
    }
}

fn changed_fields(change: &Change) -> Vec<FieldChange> {
    let Some(head) = &change.head else { return Vec::new() };
    let base = change.base.as_ref();
    if change.change != ChangeKind::Added && base.is_none() {
        return Vec::new();
    }
    let differs = |field: &Field| {
        let before = base.map(|base| values(base, *field)).unwrap_or_default();
        let after = values(head, *field);
        (before != after).then_some(FieldChange { field: *field, base: before, head: after })
    };
    Field::ALL.iter().filter_map(differs).collect()
}

fn values(side: &ChangeSide, field: Field) -> Vec<String> {
    let meta = |name: &str| side.meta.get(name);
    let flag = |set: bool| if set { vec!["yes".to_owned()] } else { Vec::new() };
    let is_set = |name: &str| meta(name).and_then(Value::as_bool).unwrap_or(false);
    match field {
        Field::Version => side.version.iter().cloned().collect(),
        Field::Broken => flag(is_set("broken")),
        Field::Unfree => flag(is_set("unfree")),
        Field::Insecure => {
            let known = texts(meta("knownVulnerabilities"), &[]);
            if known.is_empty() { flag(is_set("insecure")) } else { known }
        }
        Field::Licence => texts(meta("license"), &["spdxId", "shortName", "fullName"]),
        Field::Maintainers => texts(meta("maintainers"), &["github", "name", "email"]),
        Field::Description => texts(meta("description"), &[]),
        Field::Homepage => texts(meta("homepage"), &[]),
        Field::MainProgram => texts(meta("mainProgram"), &[]),
        Field::Platforms => texts(meta("platforms"), &[]),
    }
}

/// One text, or a list of them; of a set, the first of these names that it has.
fn texts(value: Option<&Value>, names: &[&str]) -> Vec<String> {
    match value {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(list)) => list.iter().flat_map(|value| texts(Some(value), names)).collect(),
        Some(Value::Object(set)) => {
            names.iter().find_map(|name| set.get(*name)?.as_str()).map(str::to_owned).into_iter().collect()
        }
        Some(Value::Null | Value::Bool(_) | Value::Number(_)) | None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::Outcome::Succeeded;
    use crate::review::samples::{facts, reported};

    fn with(base: Value, head: Value) -> Metadata {
        let known = facts(&[("a-1", Succeeded), ("a-2", Succeeded), ("b-1", Succeeded)]);
        let mut report = reported(&[("a", "a-1")], &[("a", "a-2"), ("b", "b-1")], &known);
        let meta = |value: Value| std::sync::Arc::new(value.as_object().unwrap().clone());
        report.changes[0].base.as_mut().unwrap().meta = meta(base);
        report.changes[0].head.as_mut().unwrap().meta = meta(head.clone());
        report.changes[1].head.as_mut().unwrap().meta = meta(head);
        Metadata::of(&report)
    }

    #[test]
    fn what_differs_is_named_whatever_shape_it_has() {
        let metadata = with(
            json!({"license": {"spdxId": "MIT"}, "maintainers": [{"github": "ada"}, {"name": "Bob"}], "broken": true, "description": "x"}),
            json!({"license": [{"shortName": "unfree", "free": false}, "GPL-3.0"], "maintainers": [{"github": "ada"}], "unfree": true,
                   "description": "x", "knownVulnerabilities": ["CVE-1"]}),
        );
        let (at, fields) = &metadata.rows[0];
        let by_field: BTreeMap<Field, &FieldChange> = fields.iter().map(|change| (change.field, change)).collect();
        assert_eq!(*at, 0);
        assert_eq!(by_field[&Field::Licence].head, ["unfree", "GPL-3.0"]);
        assert_eq!(by_field[&Field::Maintainers].went().collect::<Vec<_>>(), ["Bob"]);
        assert_eq!(by_field[&Field::Maintainers].came().count(), 0);
        assert_eq!((by_field[&Field::Broken].base.len(), by_field[&Field::Broken].head.len()), (1, 0));
        assert_eq!(by_field[&Field::Insecure].head, ["CVE-1"]);
        assert_eq!((by_field[&Field::Version].base[0].as_str(), by_field[&Field::Version].head[0].as_str()), ("1", "2"));
        assert!(!by_field.contains_key(&Field::Description));
    }

    #[test]
    fn a_new_package_says_all_that_it_says() {
        let metadata = with(json!({}), json!({"license": "MIT", "description": "new"}));
        let (at, fields) = &metadata.rows[1];
        assert_eq!(
            (*at, fields.iter().map(|change| change.field).collect::<Vec<_>>()),
            (1, vec![Field::Licence, Field::Version, Field::Description])
        );
        assert_eq!(metadata.counts[&Field::Licence], 2);
    }
}
