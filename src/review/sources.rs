//! Sources whose hash changed while nothing else did: the same address, the same name, the same version, and other bytes. Either what
//! is published was replaced, or somebody wants something else to be fetched than what the address says.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::compare::Comparison;
use super::facts::DetailKey;
use super::inputs::{Id, Inputs};
use super::report::ChangeKind;
use crate::domain::{AttrPath, DrvPath, StorePath};

/// What a derivation fetches, whose content is fixed by a hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// As the derivation has them, sorted.
    pub urls: BTreeSet<String>,
    /// All else that says what is fetched: its name, revision, tag, and how it is unpacked and hashed.
    pub what: BTreeMap<String, String>,
    pub hash: String,
    /// Follows from name and hash, however the hash is written.
    pub output: Option<StorePath>,
}

/// A source that is fetched from where it was, and is another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceChange {
    pub name: String,
    pub urls: Vec<String>,
    pub base_drv: DrvPath,
    pub head_drv: DrvPath,
    pub base_hash: String,
    pub head_hash: String,
    /// The attributes that are made of it directly; where there is none, those that need it in some way.
    pub attrs: Vec<AttrPath>,
    /// Each of those has another version than on the base: the address has no version in it.
    pub version_changed: bool,
}

/// What is fetched, whatever its hash: the addresses, and all else that says so.
type Asked<'a> = (&'a BTreeSet<String>, &'a BTreeMap<String, String>);

/// `versions`: of the attributes of a row, on base and head.
pub fn changed_sources(
    comparison: &Comparison,
    inputs: &Inputs,
    versions: impl Fn(&DetailKey) -> (Option<String>, Option<String>),
) -> Vec<SourceChange> {
    let rows = comparison.rows.iter().filter(|row| row.change == ChangeKind::Changed);
    let ids = |drv: Option<&DrvPath>| drv.and_then(|drv| inputs.id(drv));
    let sides: Vec<(Option<Id>, Option<Id>, &super::Row)> = rows
        .map(|row| (ids(row.base.as_ref().map(|job| &job.drv)), ids(row.head.as_ref().map(|job| &job.drv)), row))
        .filter(|(base, head, _)| base.is_some() && head.is_some())
        .collect();
    let base = below(inputs, sides.iter().filter_map(|(base, ..)| *base));
    let head = below(inputs, sides.iter().filter_map(|(_, head, _)| *head));
    // what is on both sides did not change
    let mut before: HashMap<Asked<'_>, Vec<Id>> = HashMap::new();
    for (id, fetched) in fetches(inputs, &base).filter(|(id, _)| !head.contains(id)) {
        before.entry((&fetched.urls, &fetched.what)).or_default().push(id);
    }
    let mut found: Vec<(Id, SourceChange)> = Vec::new();
    for (id, fetched) in fetches(inputs, &head).filter(|(id, _)| !base.contains(id)) {
        let same = before.get(&(&fetched.urls, &fetched.what)).into_iter().flatten();
        let mut others = same.filter_map(|id| Some((*id, inputs.node(*id).made_of.as_ref()?.fetched.as_ref()?)));
        // the base may fetch one address with several hashes already; one of them being head's, nothing is new
        if others.clone().any(|(_, other)| is_same_content(other, fetched)) {
            continue;
        }
        let Some((other, was)) = others.next() else { continue };
        found.push((
            id,
            SourceChange {
                name: inputs.node(id).drv.name().trim_end_matches(".drv").to_owned(),
                urls: fetched.urls.iter().cloned().collect(),
                base_drv: inputs.node(other).drv.clone(),
                head_drv: inputs.node(id).drv.clone(),
                base_hash: was.hash.clone(),
                head_hash: fetched.hash.clone(),
                attrs: Vec::new(),
                version_changed: false,
            },
        ));
    }
    for (id, change) in &mut found {
        let direct: Vec<&super::Row> = sides
            .iter()
            .filter(|(_, head, _)| head.is_some_and(|head| inputs.needs(head).contains(id)))
            .map(|side| side.2)
            .collect();
        let is_newer = |row: &&super::Row| {
            let (base, head) = versions(&(row.jobset.clone(), row.system.clone(), row.attr.clone()));
            base.is_some() && head.is_some() && base != head
        };
        change.version_changed = !direct.is_empty() && direct.iter().all(is_newer);
        let users = if direct.is_empty() { all_users(inputs, &sides, *id) } else { direct };
        let attrs: BTreeSet<&AttrPath> = users.iter().flat_map(|row| std::iter::once(&row.attr).chain(&row.aliases)).collect();
        change.attrs = attrs.into_iter().cloned().collect();
    }
    let mut changes: Vec<SourceChange> = found.into_iter().map(|(_, change)| change).collect();
    changes.sort_by(|a, b| (a.version_changed, &a.name, &a.head_drv).cmp(&(b.version_changed, &b.name, &b.head_drv)));
    changes
}

/// A hash may be written in several ways; the output's path can't.
fn is_same_content(a: &Fetched, b: &Fetched) -> bool {
    a.hash == b.hash || a.output.is_some() && a.output == b.output
}

fn below(inputs: &Inputs, roots: impl Iterator<Item = Id>) -> HashSet<Id> {
    let mut seen = HashSet::new();
    let mut stack: Vec<Id> = roots.collect();
    while let Some(id) = stack.pop() {
        if seen.insert(id) {
            stack.extend(inputs.needs(id));
        }
    }
    seen
}

fn fetches<'a>(inputs: &'a Inputs, ids: &HashSet<Id>) -> impl Iterator<Item = (Id, &'a Fetched)> {
    let mut ids: Vec<Id> = ids.iter().copied().collect();
    ids.sort_unstable();
    let fetched = |id: Id| Some((id, inputs.node(id).made_of.as_ref()?.fetched.as_ref()?));
    // without an address there is nothing that stayed the same
    ids.into_iter().filter_map(fetched).filter(|(_, fetched)| !fetched.urls.is_empty())
}

fn all_users<'a>(inputs: &Inputs, sides: &[(Option<Id>, Option<Id>, &'a super::Row)], source: Id) -> Vec<&'a super::Row> {
    // once upwards instead of once down for each row
    let mut above: HashMap<Id, Vec<Id>> = HashMap::new();
    for id in below(inputs, sides.iter().filter_map(|(_, head, _)| *head)) {
        for need in inputs.needs(id) {
            above.entry(*need).or_default().push(id);
        }
    }
    let mut users = HashSet::new();
    let mut stack = vec![source];
    while let Some(id) = stack.pop() {
        if users.insert(id) {
            stack.extend(above.get(&id).into_iter().flatten());
        }
    }
    sides.iter().filter(|(_, head, _)| head.is_some_and(|head| users.contains(&head))).map(|side| side.2).collect()
}

#[cfg(test)]
mod tests {
    use super::super::inputs::MadeOf;
    use super::*;
    use crate::review::samples::{compared, drv, path};

    struct Source(&'static str, &'static str, &'static str);

    /// Sources by derivation, address and hash; derivations by what they need.
    fn inputs(sources: &[Source], needs: &[(&str, &[&str])]) -> Inputs {
        let mut inputs = super::super::inputs::tests::inputs(needs);
        for Source(name, url, hash) in sources {
            let id = inputs.number(&drv(name));
            let fetched = Fetched {
                urls: [(*url).to_owned()].into(),
                what: [("name".to_owned(), "foo.tar.gz".to_owned())].into(),
                hash: (*hash).to_owned(),
                output: Some(path("foo.tar.gz", hash)),
            };
            inputs.put(id, MadeOf { fetched: Some(fetched), ..MadeOf::default() });
        }
        inputs
    }

    fn found(inputs: &Inputs, versions: (&str, &str)) -> Vec<SourceChange> {
        let comparison = compared(&[("foo", "foo-1"), ("app", "app-1")], &[("foo", "foo-2"), ("app", "app-2")]);
        changed_sources(&comparison, inputs, |_| (Some(versions.0.to_owned()), Some(versions.1.to_owned())))
    }

    const NEEDS: &[(&str, &[&str])] =
        &[("foo-1", &["src-1"]), ("foo-2", &["src-2"]), ("app-1", &["foo-1"]), ("app-2", &["foo-2"])];

    #[test]
    fn the_same_address_with_other_bytes_is_found_with_what_is_made_of_it() {
        let inputs = inputs(&[Source("src-1", "https://a/foo.tar.gz", "x"), Source("src-2", "https://a/foo.tar.gz", "y")], NEEDS);
        let changes = found(&inputs, ("1", "1"));
        assert_eq!(changes.len(), 1);
        assert_eq!((changes[0].base_hash.as_str(), changes[0].head_hash.as_str()), ("x", "y"));
        assert_eq!(
            (changes[0].attrs.iter().map(ToString::to_string).collect::<Vec<_>>(), changes[0].version_changed),
            (vec!["foo".to_owned()], false)
        );
        assert!(found(&inputs, ("1", "2"))[0].version_changed);
    }

    #[test]
    fn another_address_or_the_same_bytes_are_no_news() {
        let moved =
            inputs(&[Source("src-1", "https://a/foo-1.tar.gz", "x"), Source("src-2", "https://a/foo-2.tar.gz", "y")], NEEDS);
        assert_eq!(found(&moved, ("1", "2")), []);
        let rewritten = inputs(&[Source("src-1", "https://a/foo", "x"), Source("src-2", "https://a/foo", "x")], NEEDS);
        assert_eq!(found(&rewritten, ("1", "1")), []);
    }

    #[test]
    fn a_source_of_something_without_a_name_is_told_of_all_that_need_it() {
        let inputs = inputs(
            &[Source("src-1", "https://a/foo", "x"), Source("src-2", "https://a/foo", "y")],
            &[
                ("app-1", &["inner-1"]),
                ("inner-1", &["src-1"]),
                ("app-2", &["inner-2"]),
                ("inner-2", &["src-2"]),
                ("foo-1", &[]),
                ("foo-2", &[]),
            ],
        );
        let changes = found(&inputs, ("1", "2"));
        assert_eq!(changes[0].attrs.iter().map(ToString::to_string).collect::<Vec<_>>(), ["app"]);
        assert!(!changes[0].version_changed, "the version of what needs it says nothing of the source");
    }
}
