//! A branch: its latest evaluation beside an earlier one, how it went over time, and what became of one attribute.

use std::collections::BTreeMap;

use jiff::Timestamp;
use maud::{Markup, html};

use super::graph::Graph;
use super::icons::{Icon, icon};
use super::layout::{Frame, Place, page};
use super::pager::Pager;
use super::parts::{
    ago, branch_href, bytes, count, drv_link, outcome_chip, query_value, repository_href, seconds, short_rev, thousands,
};
use crate::db::{BranchPoint, Evaluated, Lasted, RepositoryRow, Span};
use crate::domain::{AttrPath, JobsetName, Outcome, System};

/// Rows on a page.
const ROWS: usize = 100;

pub struct BranchPage<'a> {
    pub row: &'a RepositoryRow,
    pub branch: &'a str,
    /// The latest first.
    pub points: &'a [BranchPoint],
    /// With what the latest is compared.
    pub against: Option<&'a BranchPoint>,
    pub differences: &'a [Difference],
    /// Attributes known to fail at each point, as `points`.
    pub failing: &'a [u64],
    pub attr: Option<AttributeHistory<'a>>,
    pub page: usize,
    /// Open against it, and merged into it.
    pub pulls: Markup,
    pub now: Timestamp,
}

pub struct AttributeHistory<'a> {
    pub attr: &'a AttrPath,
    /// The latest first.
    pub spans: &'a [Span],
}

/// An attribute that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub what: Became,
    pub before: Option<Span>,
    pub after: Option<Span>,
}

/// The most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Became {
    NewlyFailing,
    NewError,
    StillFailing,
    NewlySucceeding,
    NoError,
    Added,
    Removed,
    Changed,
}

impl Became {
    pub const ALL: [Became; 8] = [
        Became::NewlyFailing,
        Became::NewError,
        Became::StillFailing,
        Became::NewlySucceeding,
        Became::NoError,
        Became::Added,
        Became::Removed,
        Became::Changed,
    ];

    fn words(self) -> (&'static str, &'static str, Icon) {
        match self {
            Became::NewlyFailing => ("chip bad", "newly failing", Icon::Cross),
            Became::NewError => ("chip bad", "new error", Icon::Cross),
            Became::StillFailing => ("chip warn", "still failing", Icon::CrossSmall),
            Became::NewlySucceeding => ("chip good", "newly succeeding", Icon::Check),
            Became::NoError => ("chip good", "evaluates again", Icon::Check),
            Became::Added => ("chip info", "added", Icon::Plus),
            Became::Removed => ("chip", "removed", Icon::Minus),
            Became::Changed => ("chip", "changed", Icon::Dash),
        }
    }
}

fn fails(span: &Span) -> bool {
    span.outcome.is_some_and(Outcome::is_failure)
}

fn became(before: Option<&Span>, after: Option<&Span>) -> Became {
    match (before, after) {
        (None, Some(after)) if fails(after) => Became::NewlyFailing,
        (None, Some(after)) if after.is.drv.is_none() => Became::NewError,
        (None, _) => Became::Added,
        (Some(_), None) => Became::Removed,
        (Some(before), Some(after)) => match (before.is.drv.is_some(), after.is.drv.is_some(), fails(before), fails(after)) {
            (true, false, ..) => Became::NewError,
            (false, true, _, false) => Became::NoError,
            (_, _, false, true) => Became::NewlyFailing,
            (_, _, true, true) => Became::StillFailing,
            (_, _, true, false) if after.outcome.is_some_and(Outcome::is_success) => Became::NewlySucceeding,
            _ => Became::Changed,
        },
    }
}

type BeforeAndAfter = (Option<Span>, Option<Span>);

/// What differs between two points, from the spans of one that is not at the other.
pub fn differences(spans: Vec<Span>, earlier: i64) -> Vec<Difference> {
    let mut by_place: BTreeMap<(JobsetName, System, AttrPath), BeforeAndAfter> = BTreeMap::new();
    for span in spans {
        let Evaluated { jobset, system, attr, .. } = span.is.clone();
        let place = by_place.entry((jobset, system, attr)).or_default();
        if span.first <= earlier { place.0 = Some(span) } else { place.1 = Some(span) }
    }
    let same = |(before, after): &(Option<Span>, Option<Span>)| matches!((before, after), (Some(before), Some(after)) if before.is.drv == after.is.drv);
    let mut differences: Vec<Difference> = by_place
        .into_values()
        .filter(|pair| !same(pair))
        .map(|(before, after)| Difference { what: became(before.as_ref(), after.as_ref()), before, after })
        .collect();
    differences.sort_by_key(|difference| difference.what);
    differences
}

/// How many attributes are known to fail at each point, from those that fail and how long they did.
pub fn failing(points: &[BranchPoint], failing: &[Lasted]) -> Vec<u64> {
    let at = |point: &BranchPoint| {
        failing.iter().filter(|span| span.first <= point.id && span.last.is_none_or(|last| last >= point.id)).count() as u64
    };
    points.iter().map(at).collect()
}

pub fn branch_page(view: &BranchPage<'_>) -> Markup {
    let title = format!("{} · {}", view.branch, view.row.name);
    let here = branch_href(&view.row.name, view.branch);
    let content = html! {
        div.page-head {
            p.crumbs { a href="/" { "Pull requests" } " / " a href=(repository_href(&view.row.name)) { (view.row.name) } }
            h1 { "Branch " code { (view.branch) } }
            div.facts {
                @if view.branch == view.row.base_branch { span { "the base branch of this repository" } }
                @if let Some(latest) = view.points.first() {
                    span { "evaluated at " (short_rev(&latest.rev)) ", " (ago(latest.at, view.now)) }
                    span { (count(latest.attributes, "attribute", "attributes")) }
                    span { (count(latest.errors, "evaluation error", "evaluation errors")) }
                }
            }
        }
        @if let Some(history) = &view.attr { (attribute(view, history, &here)) }
        @if !view.points.is_empty() {
            (compared(view, &here))
            (graphs(view))
        }
        (view.pulls)
    };
    page(&Frame::new(&title, Place::Pulls), &content)
}

fn attr_href(here: &str, attr: &AttrPath) -> String {
    format!("{here}?attr={}", query_value(&attr.to_string()))
}

fn compared(view: &BranchPage<'_>, here: &str) -> Markup {
    let pager = Pager::new(view.page, ROWS, view.differences.len());
    html! {
        section.panel #compared aria-labelledby="compared-title" {
            div.panel-head {
                h2 #compared-title { "Beside an earlier evaluation" }
                @if view.points.len() > 1 {
                    form.filters method="get" action={ (here) "#compared" } {
                        label for="against" { "against" }
                        select #against name="against" {
                            @for point in &view.points[1..] {
                                option value=(point.id) selected[view.against.is_some_and(|against| against.id == point.id)] {
                                    (&point.rev.as_str()[..10]) ", " (point.at.strftime("%Y-%m-%d %H:%M").to_string())
                                }
                            }
                        }
                        button { "Compare" }
                    }
                }
            }
            @match view.against {
                None => p.empty { "This is the first state of the branch that was evaluated; the next one can be compared with it." },
                Some(against) => {
                    div.panel-body.chips {
                        @for what in Became::ALL {
                            @let number = view.differences.iter().filter(|difference| difference.what == what).count();
                            @let (class, words, sign) = what.words();
                            @if number > 0 { span class=(class) { (icon(sign)) (thousands(number as u64)) " " (words) } }
                        }
                        @if view.differences.is_empty() { span.quiet { "Nothing differs." } }
                    }
                    @if !view.differences.is_empty() {
                        div.scroll {
                            table.cards {
                                thead { tr { th scope="col" { "Became" } th scope="col" { "Attribute" } th scope="col" { "Before" } th scope="col" { "Now" } } }
                                tbody { @for difference in pager.slice(view.differences) { (row(difference, here)) } }
                            }
                        }
                        (pager.bar("attributes", |page| format!("{here}?against={}&page={page}#compared", against.id)))
                    }
                }
            }
        }
    }
}

fn row(difference: &Difference, here: &str) -> Markup {
    let (class, words, sign) = difference.what.words();
    let one = difference.after.as_ref().or(difference.before.as_ref());
    html! {
        tr {
            td { span class=(class) { (icon(sign)) (words) } }
            td data-label="Attribute" {
                @if let Some(span) = one { a.mono href=(attr_href(here, &span.is.attr)) { (span.is.attr) } " " span.quiet { (span.is.system) } }
            }
            td data-label="Before" { (side(difference.before.as_ref())) }
            td data-label="Now" { (side(difference.after.as_ref())) }
        }
    }
}

fn side(span: Option<&Span>) -> Markup {
    html! {
        @match span {
            None => span.quiet { "none" },
            Some(span) => {
                @match &span.is.drv { Some(drv) => (drv_link(drv)), None => span.quiet { "evaluation error" } }
                @if let Some(outcome) = span.outcome { " " (outcome_chip(outcome)) }
            }
        }
    }
}

fn attribute(view: &BranchPage<'_>, history: &AttributeHistory<'_>, here: &str) -> Markup {
    let point = |id: i64| view.points.iter().find(|point| point.id == id);
    let when = |id: i64| {
        html! {
            @match point(id) {
                Some(point) => { (short_rev(&point.rev)) " " span.quiet { (ago(point.at, view.now)) } },
                None => span.quiet { "before what is shown" },
            }
        }
    };
    let good = history.spans.iter().find(|span| span.outcome.is_some_and(Outcome::is_success));
    let broken_now = history.spans.first().is_some_and(fails);
    let first_broken = history.spans.iter().take_while(|span| fails(span)).last();
    let sized = history.spans.iter().filter(|span| span.closure_bytes.is_some()).count();
    html! {
        section.panel #attribute aria-labelledby="attribute-title" {
            div.panel-head { h2 #attribute-title { code { (history.attr) } } a.button href=(here) { "The whole branch" } }
            @if history.spans.is_empty() { p.empty { "No evaluated state of this branch has such an attribute." } }
            @else {
                div.panel-body {
                    dl.pairs {
                        dt { "Last good" } dd { @match good { Some(span) => { @match span.last { None => "now", Some(last) => (when(last)) } }, None => "not known" } }
                        @if broken_now {
                            dt { "First broken" } dd { @if let Some(span) = first_broken { (when(span.first)) } }
                        }
                    }
                    @if sized > 1 { (closure_graph(view, history)) }
                }
                div.scroll {
                    table.cards {
                        thead { tr { th scope="col" { "Derivation" } th scope="col" { "Outcome" } th scope="col" { "Since" } th scope="col" { "Until" } th scope="col" { "Closure" } } }
                        tbody {
                            @for span in history.spans {
                                tr {
                                    td { @match &span.is.drv { Some(drv) => (drv_link(drv)), None => span.quiet { "evaluation error" } } " " span.quiet { (span.is.system) } }
                                    td data-label="Outcome" { @match span.outcome { Some(outcome) => (outcome_chip(outcome)), None => span.quiet { "not known" } } }
                                    td data-label="Since" { (when(span.first)) }
                                    td data-label="Until" { @match span.last { None => "now", Some(last) => (when(last)) } }
                                    td data-label="Closure" { @match span.closure_bytes { Some(size) => (bytes(size)), None => span.quiet { "–" } } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn closure_graph(view: &BranchPage<'_>, history: &AttributeHistory<'_>) -> Markup {
    let at = |point: &BranchPoint| {
        let mut there =
            history.spans.iter().filter(|span| span.first <= point.id && span.last.is_none_or(|last| last >= point.id));
        there.find_map(|span| span.closure_bytes).map(|size| size as f64)
    };
    let figures: Vec<Option<f64>> = view.points.iter().rev().map(at).collect();
    Graph { title: "Closure size", figures: &figures, labels: &labels(view), words: |figure| bytes(figure as u64) }.draw()
}

fn labels(view: &BranchPage<'_>) -> Vec<String> {
    let label = |point: &BranchPoint| format!("{}, {}", &point.rev.as_str()[..10], point.at.strftime("%Y-%m-%d %H:%M"));
    view.points.iter().rev().map(label).collect()
}

fn graphs(view: &BranchPage<'_>) -> Markup {
    let labels = labels(view);
    let of = |figure: fn(&BranchPoint) -> Option<f64>| view.points.iter().rev().map(figure).collect::<Vec<_>>();
    let failing: Vec<Option<f64>> = view.failing.iter().rev().map(|number| Some(*number as f64)).collect();
    let whole: fn(f64) -> String = |figure| thousands(figure as u64);
    let attributes = of(|point| Some(point.attributes as f64));
    let errors = of(|point| Some(point.errors as f64));
    let times = of(|point| point.eval_seconds);
    let line = |title, figures, words| Graph { title, figures, labels: &labels, words }.draw();
    html! {
        section.panel #time aria-labelledby="time-title" {
            div.panel-head { h2 #time-title { "Over time" } span.quiet { (count(view.points.len() as u64, "evaluated state", "evaluated states")) } }
            div.panel-body.graphs {
                (line("Attributes", &attributes, whole))
                (line("Evaluation errors", &errors, whole))
                (line("Attributes known to fail", &failing, whole))
                (line("Evaluation time", &times, seconds))
            }
            details {
                summary { "The figures as a table" }
                div.scroll {
                    table.cards {
                        thead { tr { th scope="col" { "State" } th scope="col" { "When" } th scope="col" { "Attributes" } th scope="col" { "Errors" } th scope="col" { "Known to fail" } th scope="col" { "Evaluation" } } }
                        tbody {
                            @for (point, failing) in view.points.iter().zip(view.failing) {
                                tr {
                                    td { (short_rev(&point.rev)) }
                                    td data-label="When" { (ago(point.at, view.now)) }
                                    td data-label="Attributes" { (thousands(point.attributes)) }
                                    td data-label="Errors" { (thousands(point.errors)) }
                                    td data-label="Known to fail" { (thousands(*failing)) }
                                    td data-label="Evaluation" { @match point.eval_seconds { Some(time) => (seconds(time)), None => span.quiet { "reused" } } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::view::samples::drv;

    fn span(attr: &str, n: Option<u64>, first: i64, last: Option<i64>, outcome: Option<Outcome>) -> Span {
        let is = Evaluated {
            jobset: "default".into(),
            system: "x86_64-linux".into(),
            attr: attr.parse().unwrap(),
            drv: n.map(|n| drv(n, attr)),
        };
        Span { is, first, last, outcome, closure_bytes: None }
    }

    #[test]
    fn what_became_of_an_attribute_between_two_points() {
        use Outcome::{Failed, Succeeded};
        let spans = vec![
            span("broke", Some(1), 1, Some(2), Some(Succeeded)),
            span("broke", Some(2), 3, None, Some(Failed)),
            span("gone", Some(3), 1, Some(1), None),
            span("new", Some(4), 2, None, None),
            span("error", Some(5), 1, Some(2), None),
            span("error", None, 3, None, None),
            // there and back again
            span("same", Some(6), 1, Some(1), None),
            span("same", Some(6), 3, None, None),
            span("mended", Some(7), 1, Some(1), Some(Failed)),
            span("mended", Some(8), 2, None, Some(Succeeded)),
        ];
        let told = differences(spans, 1);
        let told: Vec<(Became, String)> =
            told.iter().map(|one| (one.what, one.after.as_ref().or(one.before.as_ref()).unwrap().is.attr.to_string())).collect();
        let expected = [
            (Became::NewlyFailing, "broke"),
            (Became::NewError, "error"),
            (Became::NewlySucceeding, "mended"),
            (Became::Added, "new"),
            (Became::Removed, "gone"),
        ];
        assert_eq!(told, expected.map(|(what, attr)| (what, attr.to_owned())));
    }

    #[test]
    fn what_is_known_to_fail_is_counted_at_each_point() {
        let point = |id| BranchPoint {
            id,
            rev: crate::web::view::samples::commit(id as u64),
            at: Timestamp::UNIX_EPOCH,
            attributes: 3,
            errors: 0,
            eval_seconds: None,
        };
        let known = [Lasted { first: 1, last: Some(2) }, Lasted { first: 2, last: None }];
        assert_eq!(failing(&[point(3), point(2), point(1)], &known), [1, 2, 1]);
    }
}
