//! The good and the neutral news in short: what is fixed, new, gone, and what grew. The table has every row.

use maud::{Markup, html};

use super::{Reported, ReviewQuery, Sort, attr_list};
use crate::review::report::{Change, ClosureChange};
use crate::web::view::parts::{bytes, bytes_delta, category_chip, thousands};

const ATTRS: usize = 16;
const CLOSURES: usize = 10;
const NAMES: usize = 4;

pub fn glance(report: &Reported, query: &ReviewQuery) -> Markup {
    let digest = report.digest();
    let groups = &digest.fixed_new_removed;
    html! {
        div.columns #glance data-live {
            @if groups.iter().any(|(_, rows)| !rows.is_empty()) {
                section.panel aria-labelledby="glance-title" {
                    div.panel-head { h2 #glance-title { "Fixed, new and removed" } }
                    div.panel-body {
                        @for (category, rows) in groups {
                            @if !rows.is_empty() {
                                div {
                                    p { (category_chip(*category)) " " b { (thousands(rows.len() as u64)) } }
                                    (attr_list(rows.iter().map(|row| &report.row(*row).attr), ATTRS, query, &query.only(*category)))
                                }
                            }
                        }
                    }
                }
            }
            @if !digest.resized.is_empty() { (growth(report, &digest.resized, query)) }
        }
    }
}

pub fn delta(closure: &ClosureChange) -> i128 {
    i128::from(closure.head_bytes) - i128::from(closure.base_bytes)
}

/// `rows`: those whose closure changed in size, the largest change first.
fn growth(report: &Reported, rows: &[u32], query: &ReviewQuery) -> Markup {
    let first = rows.iter().take(CLOSURES).map(|row| report.row(*row));
    let shown: Vec<(&Change, &ClosureChange)> = first.filter_map(|change| Some((change, change.closure.as_ref()?))).collect();
    let most = shown.first().map_or(1, |(_, closure)| delta(closure).unsigned_abs().max(1));
    let all =
        ReviewQuery { review: query.review.clone(), sort: Sort::Closure, ..ReviewQuery::default() }.href("packages", |_| {});
    html! {
        section.panel aria-labelledby="closure-title" {
            div.panel-head {
                h2 #closure-title { "Closures that grew or shrank" }
                span.muted { "runtime closure of all outputs" }
            }
            div.scroll tabindex="0" role="group" aria-labelledby="closure-title" {
                table {
                    thead { tr { th scope="col" { "Attribute" } th.num scope="col" { "Change" } th.num scope="col" { "Now" } } }
                    tbody {
                        @for (change, closure) in shown {
                            tr {
                                td { span.mono { (change.attr) } (came_and_went(closure)) }
                                td.num { span.bar-cell { (bar(delta(closure), most)) (bytes_delta(delta(closure))) } }
                                td.num { (bytes(closure.head_bytes)) }
                            }
                        }
                    }
                }
            }
            @if rows.len() > CLOSURES {
                p.panel-foot { a href=(all) { "All " (thousands(rows.len() as u64)) ", largest growth first" } }
            }
        }
    }
}

pub fn came_and_went(closure: &ClosureChange) -> Markup {
    let list = |names: &[String]| {
        let mut text = names.iter().take(NAMES).map(String::as_str).collect::<Vec<_>>().join(", ");
        if names.len() > NAMES {
            text.push_str(&format!(" and {} more", names.len() - NAMES));
        }
        text
    };
    html! {
        @if !closure.added.is_empty() { span.sub title=(closure.added.join("\n")) { span.plus { "+ " } (list(&closure.added)) } }
        @if !closure.removed.is_empty() { span.sub title=(closure.removed.join("\n")) { span.minus { "− " } (list(&closure.removed)) } }
    }
}

/// A bar from the middle: to the right what grew, to the left what shrank. Its figure stands beside it.
pub fn bar(delta: i128, most: u128) -> Markup {
    let share = (delta.unsigned_abs() as f64 / most as f64 * 49.0).clamp(0.8, 49.0);
    let (x, class) = if delta > 0 { (50.0, "grow") } else { (50.0 - share, "shrink") };
    html! {
        svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true" {
            rect.axis x="49.6" y="0" width=".8" height="10" {}
            rect class=(class) x=(format!("{x:.1}")) y="1.5" width=(format!("{share:.1}")) height="7" {}
        }
    }
}
