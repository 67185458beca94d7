//! What happened to a pull request, and when.

use maud::{Markup, html};

use super::ReviewPage;
use crate::db::{Happening, What};
use crate::web::view::icons::{Icon, icon};
use crate::web::view::parts::{ago, pull_href, short_rev, state_chip};

pub fn timeline(view: &ReviewPage<'_>) -> Markup {
    html! {
        (reviews(view))
        section.panel aria-labelledby="timeline-title" {
            div.panel-head { h2 #timeline-title { "Timeline" } }
            @if view.happenings.is_empty() { p.panel-body.quiet { "Nothing was noted of this pull request yet." } }
            ol.timeline #happenings data-live { @for happening in view.happenings { (one(happening, view)) } }
        }
    }
}

fn look(what: What) -> (Icon, &'static str, &'static str) {
    match what {
        What::Delivered => (Icon::Info, "", "The forge said that something changed"),
        What::Opened => (Icon::Plus, "", "Opened"),
        What::Reopened => (Icon::Plus, "", "Opened again"),
        What::Pushed => (Icon::Branch, "", "Pushed"),
        What::BaseMoved => (Icon::Branch, "", "The base moved"),
        What::Merged => (Icon::Check, "good", "Merged"),
        What::Closed => (Icon::Stop, "", "Closed"),
        What::Began => (Icon::Running, "info", "A review began"),
        What::Compared => (Icon::Running, "info", "Evaluated and compared; builds began"),
        What::Decided => (Icon::Gate, "info", "Verdict"),
        What::Cancelled => (Icon::Stop, "", "The review was cancelled"),
        What::Failed => (Icon::Warning, "warn", "The review could not be completed"),
        What::Ordered => (Icon::Again, "", "Ordered"),
        What::Approved => (Icon::Check, "good", "Approved"),
        What::ChangesRequested => (Icon::Cross, "bad", "Changes were requested"),
        What::Dismissed => (Icon::Minus, "", "Counts no more"),
        What::Commented => (Icon::Info, "", "Commented"),
    }
}

fn one(happening: &Happening, view: &ReviewPage<'_>) -> Markup {
    let (sign, tone, words) = look(happening.what);
    html! {
        li class=[(!tone.is_empty()).then_some(tone)] {
            (icon(sign))
            div {
                b { (words) }
                @if !happening.detail.is_empty() { ": " (happening.detail) }
                @if let (Some(review), Some(pull)) = (&happening.review, view.pull) {
                    @if *review != view.report.id { " " a.mono href={ (pull_href(&pull.repository, pull.number)) "?review=" (review) } { "review " (review) } }
                }
            }
            span.quiet { (ago(happening.at, view.now)) }
        }
    }
}

fn reviews(view: &ReviewPage<'_>) -> Markup {
    html! {
        @if !view.reviews.is_empty() {
            section.panel aria-labelledby="reviews-title" {
                div.panel-head { h2 #reviews-title { "Reviews of this pull request" } }
                div.scroll {
                    table.cards {
                        thead { tr { th scope="col" { "Review" } th scope="col" { "Head" } th scope="col" { "State" } th scope="col" { "Verdict" } th scope="col" { "Began" } } }
                        tbody {
                            @for row in view.reviews {
                                tr {
                                    td {
                                        @if row.id == view.report.id { b.mono { (row.id) } " (shown)" }
                                        @else if let Some(number) = row.number {
                                            a.mono href={ (pull_href(&row.repository, number)) "?review=" (row.id) } { (row.id) }
                                        }
                                        @else { span.mono { (row.id) } }
                                    }
                                    td data-label="Head" { (short_rev(&row.head_rev)) }
                                    td data-label="State" { (state_chip(row.state)) }
                                    td data-label="Verdict" { (row.summary) }
                                    td data-label="Began" { (ago(row.created_at, view.now)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
