//! What the pages of a report ask again and again, worked out once for each report: the orders of its rows, what a search looks
//! through, who failed. A review of ten thousand changes is read far more often than it changes.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;
use std::ops::Deref;
use std::sync::Arc;

use super::digest::Digest;
use super::query::{ReviewQuery, Sort};
use crate::domain::{DrvPath, System};
use crate::review::report::{Change, ChangeSide, Report};
use crate::web::view::parts::{CATEGORIES, category_place};

/// A report and its index.
pub struct Reported {
    report: Arc<Report>,
    index: Index,
    digest: Digest,
}

/// Rows are meant by their place in [`Report::changes`].
struct Index {
    by_urgency: Vec<u32>,
    by_attr: Vec<u32>,
    by_closure: Vec<u32>,
    /// The paths of attributes in lower case, one for each row.
    names: Vec<Box<str>>,
    /// What the words of a search have to occur in, in lower case; one for each row.
    haystacks: Vec<Box<str>>,
    systems: BTreeSet<System>,
    jobsets: usize,
    rows_of_head: HashMap<DrvPath, Vec<u32>>,
    rows_of_cause: HashMap<DrvPath, Vec<u32>>,
}

/// The rows that a query asks for, in its order.
pub struct Selection<'a> {
    pub rows: Vec<&'a Change>,
    /// Of the rows that match all but the category, by [`CATEGORIES`].
    pub by_category: [usize; CATEGORIES.len()],
}

impl Reported {
    pub fn new(report: impl Into<Arc<Report>>) -> Self {
        let report = report.into();
        let index = Index::of(&report);
        let digest = Digest::of(&report, &index.rows_of_head, &index.rows_of_cause);
        Self { report, index, digest }
    }

    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The row at a place.
    pub fn row(&self, place: u32) -> &Change {
        &self.report.changes[place as usize]
    }

    /// Whether the path of the row's attribute has all words, which are in lower case.
    pub fn is_named(&self, place: usize, words: &[String]) -> bool {
        words.iter().all(|word| self.index.names[place].contains(word.as_str()))
    }

    /// How many columns a table needs to tell its rows apart.
    pub fn systems(&self) -> &BTreeSet<System> {
        &self.index.systems
    }

    pub fn jobsets(&self) -> usize {
        self.index.jobsets
    }

    /// The rows whose head is this derivation.
    pub fn rows_of(&self, drv: &DrvPath) -> impl Iterator<Item = &Change> {
        self.index.rows_of_head.get(drv).into_iter().flatten().map(|row| self.row(*row))
    }

    /// The order of rows by what their builds took, the longest first: that of head, or of the base where head has none.
    pub fn by_build(&self, seconds: &HashMap<DrvPath, f64>) -> Vec<u32> {
        let of = |side: &Option<ChangeSide>| side.as_ref().and_then(|side| seconds.get(&side.drv)).copied();
        let took: Vec<f64> =
            self.changes.iter().map(|change| of(&change.head).or_else(|| of(&change.base)).unwrap_or(-1.0)).collect();
        let mut order = self.index.by_attr.clone();
        order.sort_by(|a, b| took[*b as usize].total_cmp(&took[*a as usize]));
        order
    }

    /// `by_build`: the order by build time, which a report does not know; without it rows are in the order of their names.
    pub fn select(&self, query: &ReviewQuery, by_build: Option<&[u32]>) -> Selection<'_> {
        let order = match query.sort {
            Sort::Category => &self.index.by_urgency,
            Sort::Attr => &self.index.by_attr,
            Sort::Closure => &self.index.by_closure,
            Sort::Build => by_build.unwrap_or(&self.index.by_attr),
        };
        if query.asks_for_category_at_most() {
            let of_category = |change: &&Change| query.category.is_none_or(|category| change.category == category);
            let rows = order.iter().map(|row| self.row(*row)).filter(of_category).collect();
            return Selection { rows, by_category: self.digest.by_category };
        }
        let words: Vec<String> = query.text.split_whitespace().map(str::to_ascii_lowercase).collect();
        let mut selection = Selection { rows: Vec::new(), by_category: [0; CATEGORIES.len()] };
        for row in order.iter().map(|row| *row as usize) {
            let (Some(change), Some(haystack)) = (self.report.changes.get(row), self.index.haystacks.get(row)) else { continue };
            if !query.admits(change) || !words.iter().all(|word| haystack.contains(word.as_str())) {
                continue;
            }
            selection.by_category[category_place(change.category)] += 1;
            if query.category.is_none_or(|category| change.category == category) {
                selection.rows.push(change);
            }
        }
        selection
    }
}

impl Deref for Reported {
    type Target = Report;

    fn deref(&self) -> &Report {
        &self.report
    }
}

impl Selection<'_> {
    /// Rows that match all but the category.
    pub fn matching(&self) -> usize {
        self.by_category.iter().sum()
    }
}

impl Index {
    fn of(report: &Report) -> Self {
        let changes = &report.changes;
        let mut by_attr: Vec<u32> = (0..u32::try_from(changes.len()).unwrap_or(u32::MAX)).collect();
        by_attr.sort_by(|a, b| changes[*a as usize].attr.cmp(&changes[*b as usize].attr));
        // sorting keeps the order of what is equal: within each category and within equal growth, rows are in the order of names
        let mut by_urgency = by_attr.clone();
        // what failed by itself comes before what it blocks
        let is_blocked = |change: &Change| change.head.as_ref().is_some_and(|head| head.root_cause.is_some());
        by_urgency.sort_by_key(|row| {
            let change = &changes[*row as usize];
            (category_place(change.category), is_blocked(change))
        });
        let mut by_closure = by_attr.clone();
        by_closure.sort_by_key(|row| Reverse(changes[*row as usize].closure.as_ref().map_or(i128::MIN, super::glance::delta)));
        let mut rows_of_head: HashMap<DrvPath, Vec<u32>> = HashMap::new();
        let mut rows_of_cause: HashMap<DrvPath, Vec<u32>> = HashMap::new();
        for row in &by_attr {
            let change = &changes[*row as usize];
            if let Some(head) = &change.head {
                rows_of_head.entry(head.drv.clone()).or_default().push(*row);
            }
            if let Some(cause) = change.cause() {
                rows_of_cause.entry(cause.clone()).or_default().push(*row);
            }
        }
        Self {
            names: changes.iter().map(|change| change.attr.to_string().to_ascii_lowercase().into_boxed_str()).collect(),
            haystacks: changes.iter().map(haystack).collect(),
            systems: changes.iter().map(|change| change.system.clone()).collect(),
            jobsets: changes.iter().map(|change| &change.jobset).collect::<BTreeSet<_>>().len(),
            by_urgency,
            by_attr,
            by_closure,
            rows_of_head,
            rows_of_cause,
        }
    }
}

fn haystack(change: &Change) -> Box<str> {
    let mut text = String::new();
    let mut put = |piece: &dyn std::fmt::Display| {
        // writing to a String does not fail
        write!(text, "{piece} ").unwrap_or_default();
    };
    put(&change.attr);
    put(&change.jobset);
    change.aliases.iter().for_each(|alias| put(alias));
    for side in [&change.base, &change.head].into_iter().flatten() {
        put(&side.drv.base_name());
        [&side.pname, &side.version].into_iter().flatten().for_each(|text| put(text));
    }
    text.make_ascii_lowercase();
    text.into_boxed_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::view::samples;

    fn names(reported: &Reported, query: &ReviewQuery) -> Vec<String> {
        reported.select(query, None).rows.iter().map(|row| row.attr.to_string()).collect()
    }

    #[test]
    fn a_selection_has_the_rows_that_match_and_counts_the_others_by_category() {
        let reported = Reported::new(samples::large(900));
        let all = ReviewQuery::default();
        let selection = reported.select(&all, None);
        assert_eq!((selection.rows.len(), selection.by_category), (900, [100; 9]));
        let searched = ReviewQuery { text: "SET7. package".into(), category: Some(CATEGORIES[1]), ..all.clone() };
        let selection = reported.select(&searched, None);
        let matches = |change: &&Change| change.attr.to_string().starts_with("pkgs.set7.");
        assert_eq!(selection.matching(), reported.changes.iter().filter(matches).count());
        assert!(selection.rows.iter().all(|row| row.category == CATEGORIES[1] && matches(row)));
        assert_eq!(selection.rows.len(), selection.by_category[1]);
    }

    #[test]
    fn rows_come_in_the_order_asked_for() {
        let reported = Reported::new(samples::blocked());
        let by = |sort| names(&reported, &ReviewQuery { sort, ..ReviewQuery::default() });
        // the cause before those that it blocks, by name
        assert_eq!(by(Sort::Category)[..3], ["libfoo", "curl", "emacs"]);
        assert!(by(Sort::Attr).is_sorted());
        let growth = |change: &Change| change.closure.as_ref().map(super::super::glance::delta);
        let selection = reported.select(&ReviewQuery { sort: Sort::Closure, ..ReviewQuery::default() }, None);
        assert!(selection.rows.windows(2).all(|pair| growth(pair[0]) >= growth(pair[1])));
        // what took longest on head comes first, then what is known of the base only, then the rest by name
        let side = |row: usize, head: bool| {
            let change = &reported.changes[row];
            let side = if head { &change.head } else { &change.base };
            side.as_ref().unwrap().drv.clone()
        };
        let seconds = [(side(0, true), 5.0), (side(0, false), 90.0), (side(1, false), 30.0)].into();
        let order = reported.by_build(&seconds);
        let query = ReviewQuery { sort: Sort::Build, ..ReviewQuery::default() };
        let rows = reported.select(&query, Some(&order)).rows;
        assert_eq!((&rows[0].attr, &rows[1].attr), (&reported.changes[1].attr, &reported.changes[0].attr));
        assert!(rows[2..].is_sorted_by_key(|row| &row.attr));
    }

    #[test]
    fn a_derivation_leads_to_its_rows() {
        let reported = Reported::new(samples::blocked());
        let first = &reported.changes[0];
        let rows: Vec<_> = reported.rows_of(&first.head.as_ref().unwrap().drv).collect();
        assert_eq!(rows, [first]);
        let cause = reported.failures[0].drv.clone();
        let query = ReviewQuery { cause: Some(cause.base_name().to_owned()), ..ReviewQuery::default() };
        let blocked = reported.changes.iter().filter(|change| change.cause() == Some(&cause)).count();
        assert!(blocked > 1 && reported.select(&query, None).rows.len() == blocked);
    }
}
