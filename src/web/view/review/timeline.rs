//! What happened to a pull request, and when.

use maud::{Markup, html};

use super::ReviewPage;
use crate::web::view::parts::{ago, pull_href, short_rev, state_chip};

pub fn timeline(view: &ReviewPage<'_>) -> Markup {
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
