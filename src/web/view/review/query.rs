//! What a reader asked a review's page for: filters, order and pages, all in the address.

use std::fmt::Write;

use crate::domain::System;
use crate::review::metadata::Field;
use crate::review::report::{Category, Change, EvalErrorStatus};
use crate::web::view::parts::{CATEGORIES, category_code, query_value};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReviewQuery {
    pub view: View,
    /// An earlier review of the pull request.
    pub review: Option<String>,
    pub category: Option<Category>,
    /// Words that all must occur in a row.
    pub text: String,
    pub system: Option<System>,
    /// `HASH-NAME.drv`: only rows that this derivation blocks.
    pub cause: Option<String>,
    pub sort: Sort,
    pub page: usize,
    pub errors: Option<EvalErrorStatus>,
    pub errors_page: usize,
    pub failures_page: usize,
    pub still_page: usize,
    pub layout: Layout,
    /// Of the diff, only this file.
    pub file: Option<String>,
    /// All lines of it, not only those around changes.
    pub whole: bool,
    pub order: ClosureOrder,
    /// The row whose closure is shown path by path: an attribute, with its jobset where several have it.
    pub attr: Option<String>,
    pub jobset: Option<String>,
    /// The fields of metadata that are shown; `None`: all.
    pub field: Option<Field>,
}

/// By what closures are ordered, or the paths of one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClosureOrder {
    /// What grew or shrank most first.
    #[default]
    Growth,
    /// The largest on head first.
    Size,
    Name,
    /// The largest growth of what it is built from first.
    Build,
}

impl ClosureOrder {
    pub const ALL: [(ClosureOrder, &'static str, &'static str); 4] = [
        (ClosureOrder::Growth, "growth", "by growth"),
        (ClosureOrder::Size, "size", "by size"),
        (ClosureOrder::Name, "name", "by name"),
        (ClosureOrder::Build, "build", "by growth of the build closure"),
    ];

    fn code(self) -> &'static str {
        match self {
            ClosureOrder::Growth => "growth",
            ClosureOrder::Size => "size",
            ClosureOrder::Name => "name",
            ClosureOrder::Build => "build",
        }
    }
}

/// The tabs of the page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum View {
    /// What decides: verdict, failures, packages, evaluation.
    #[default]
    Overview,
    Closures,
    Metadata,
    Diff,
    Timeline,
}

/// How the diff is laid out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Layout {
    #[default]
    Unified,
    /// Side by side.
    Split,
}

impl View {
    pub const ALL: [(View, &'static str, &'static str); 5] = [
        (View::Overview, "overview", "Overview"),
        (View::Closures, "closures", "Closures"),
        (View::Metadata, "metadata", "Metadata"),
        (View::Diff, "diff", "Diff"),
        (View::Timeline, "timeline", "Timeline"),
    ];

    fn code(self) -> &'static str {
        match self {
            View::Overview => "overview",
            View::Closures => "closures",
            View::Metadata => "metadata",
            View::Diff => "diff",
            View::Timeline => "timeline",
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sort {
    /// The most urgent category first, then by name.
    #[default]
    Category,
    Attr,
    /// The largest growth first.
    Closure,
    /// What takes longest to build first.
    Build,
}

impl Sort {
    pub const ALL: [(Sort, &'static str, &'static str); 4] = [
        (Sort::Category, "category", "by urgency"),
        (Sort::Attr, "attr", "by name"),
        (Sort::Closure, "closure", "by closure growth"),
        (Sort::Build, "build", "by build time"),
    ];

    fn code(self) -> &'static str {
        match self {
            Sort::Category => "category",
            Sort::Attr => "attr",
            Sort::Closure => "closure",
            Sort::Build => "build",
        }
    }
}

pub fn status_code(status: EvalErrorStatus) -> &'static str {
    match status {
        EvalErrorStatus::New => "new",
        EvalErrorStatus::Fixed => "fixed",
        EvalErrorStatus::Still => "still",
    }
}

impl ReviewQuery {
    /// Reads the pairs of an address. Unknown names are left to whoever put them there; a value that can't be meant is an error
    /// in one sentence.
    pub fn parse(pairs: &[(String, String)]) -> Result<Self, String> {
        let mut query = Self { page: 1, errors_page: 1, failures_page: 1, still_page: 1, ..Self::default() };
        for (name, value) in pairs {
            // a form sends its empty fields too
            if value.is_empty() {
                continue;
            }
            let number = || {
                value.parse::<usize>().ok().filter(|n| *n > 0).ok_or_else(|| format!("“{value}” is not the number of a page."))
            };
            match name.as_str() {
                "review" => query.review = Some(value.clone()),
                "view" => {
                    let found = View::ALL.into_iter().find(|(_, code, _)| code == value);
                    query.view = found.ok_or_else(|| format!("A review has no tab “{value}”."))?.0;
                }
                "category" => {
                    let found = CATEGORIES.into_iter().find(|category| category_code(*category) == value);
                    query.category = Some(found.ok_or_else(|| format!("There is no category “{value}”."))?);
                }
                "q" => query.text = value.trim().to_owned(),
                "system" => query.system = Some(System::new(value)),
                "cause" => query.cause = Some(value.clone()),
                "sort" => {
                    let found = Sort::ALL.into_iter().find(|(_, code, _)| code == value);
                    query.sort = found.ok_or_else(|| format!("The table can't be sorted by “{value}”."))?.0;
                }
                "page" => query.page = number()?,
                "errors" => {
                    query.errors = Some(match value.as_str() {
                        "new" => EvalErrorStatus::New,
                        "fixed" => EvalErrorStatus::Fixed,
                        "still" => EvalErrorStatus::Still,
                        _ => return Err(format!("Evaluation errors are new, fixed or still there, not “{value}”.")),
                    });
                }
                "order" => {
                    let found = ClosureOrder::ALL.into_iter().find(|(_, code, _)| code == value);
                    query.order = found.ok_or_else(|| format!("Closures can't be sorted by “{value}”."))?.0;
                }
                "attr" => query.attr = Some(value.clone()),
                "jobset" => query.jobset = Some(value.clone()),
                "field" => {
                    let found = Field::ALL.into_iter().find(|field| field.code() == value);
                    query.field = Some(found.ok_or_else(|| format!("There is no metadata called “{value}”."))?);
                }
                "epage" => query.errors_page = number()?,
                "fpage" => query.failures_page = number()?,
                "spage" => query.still_page = number()?,
                "file" => query.file = Some(value.clone()),
                "layout" | "context" => match (name.as_str(), value.as_str()) {
                    ("layout", "unified") => query.layout = Layout::Unified,
                    ("layout", "split") => query.layout = Layout::Split,
                    ("layout", _) => return Err(format!("A diff is laid out unified or split, not “{value}”.")),
                    (_, "few") => query.whole = false,
                    (_, "all") => query.whole = true,
                    _ => return Err(format!("Of a file few or all lines are shown, not “{value}”.")),
                },
                _ => {}
            }
        }
        Ok(query)
    }

    /// The address of the same page with `change` made, at one of its sections.
    pub fn href(&self, section: &str, change: impl FnOnce(&mut Self)) -> String {
        let mut query = self.clone();
        change(&mut query);
        let mut href = String::new();
        let mut put = |name: &str, value: &str| {
            let sign = if href.is_empty() { '?' } else { '&' };
            // writing to a String does not fail
            write!(href, "{sign}{name}={}", query_value(value)).unwrap_or_default();
        };
        if let Some(review) = &query.review {
            put("review", review);
        }
        if query.view != View::Overview {
            put("view", query.view.code());
        }
        if let Some(category) = query.category {
            put("category", category_code(category));
        }
        if !query.text.is_empty() {
            put("q", &query.text);
        }
        if let Some(system) = &query.system {
            put("system", system.as_str());
        }
        if let Some(cause) = &query.cause {
            put("cause", cause);
        }
        if let Some(file) = &query.file {
            put("file", file);
        }
        if query.layout != Layout::Unified {
            put("layout", "split");
        }
        if query.whole {
            put("context", "all");
        }
        if query.sort != Sort::Category {
            put("sort", query.sort.code());
        }
        if query.order != ClosureOrder::Growth {
            put("order", query.order.code());
        }
        for (name, value) in [("attr", &query.attr), ("jobset", &query.jobset)] {
            if let Some(value) = value {
                put(name, value);
            }
        }
        if let Some(field) = query.field {
            put("field", field.code());
        }
        if let Some(errors) = query.errors {
            put("errors", status_code(errors));
        }
        for (name, page) in
            [("page", query.page), ("epage", query.errors_page), ("fpage", query.failures_page), ("spage", query.still_page)]
        {
            if page > 1 {
                put(name, &page.to_string());
            }
        }
        if href.is_empty() {
            // an empty reference would keep the current query
            href.push('?');
        }
        if !section.is_empty() {
            href.push('#');
            href.push_str(section);
        }
        href
    }

    /// Another tab, with nothing else asked.
    pub fn tab(&self, view: View) -> String {
        Self { review: self.review.clone(), view, layout: self.layout, ..Self::default() }.href("", |_| {})
    }

    /// Only rows of one category, and nothing else asked.
    pub fn only(&self, category: Category) -> String {
        let review = self.review.clone();
        Self { review, category: Some(category), ..Self::default() }.href("packages", |_| {})
    }

    /// Whether the row is one of those asked for, but for its category and the words that it has to have.
    pub fn admits(&self, change: &Change) -> bool {
        if self.system.as_ref().is_some_and(|system| *system != change.system) {
            return false;
        }
        self.cause.as_ref().is_none_or(|cause| {
            change.head.as_ref().is_some_and(|head| {
                head.root_cause.as_ref().is_some_and(|drv| drv.base_name() == cause) || head.drv.base_name() == cause
            })
        })
    }

    pub fn is_filtered(&self) -> bool {
        self.category.is_some() || !self.asks_for_category_at_most()
    }

    /// Nothing is asked for but at most a category.
    pub fn asks_for_category_at_most(&self) -> bool {
        self.system.is_none() && self.cause.is_none() && self.text.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(href: &str) -> Vec<(String, String)> {
        let query = href.trim_start_matches('?').split('#').next().unwrap().to_owned();
        actix_web::web::Query::<Vec<(String, String)>>::from_query(&query).unwrap().into_inner()
    }

    #[test]
    fn what_cannot_be_meant_is_said() {
        for (name, value) in [
            ("view", "z1"),
            ("category", "broken"),
            ("page", "0"),
            ("page", "-1"),
            ("sort", "x"),
            ("errors", "y"),
            ("epage", "z"),
        ] {
            let answer = ReviewQuery::parse(&[(name.into(), value.into())]);
            assert!(answer.unwrap_err().contains(value), "{name}");
        }
        assert!(ReviewQuery::parse(&[("category".into(), String::new()), ("utm".into(), "x".into())]).is_ok());
    }

    proptest! {
        #[test]
        fn an_address_says_what_was_asked(text in "[a-z&=#? \"äö<]{0,12}", page in 1_usize..50, category in 0_usize..9) {
            let query = ReviewQuery {
                text: text.trim().to_owned(), page, category: Some(CATEGORIES[category]), system: Some("x86_64-linux".into()),
                errors: Some(EvalErrorStatus::Still), errors_page: 2, failures_page: 1, still_page: 1, sort: Sort::Closure,
                cause: Some("a+b.drv".into()), review: None, view: View::Closures, order: ClosureOrder::Size,
                attr: Some("a.\"b c\"".into()), jobset: Some("x&y".into()), field: Some(Field::Licence),
                layout: Layout::Split, file: Some("a b/ü.nix".into()), whole: true,
            };
            prop_assert_eq!(ReviewQuery::parse(&pairs(&query.href("packages", |_| {}))), Ok(query));
        }
    }
}
