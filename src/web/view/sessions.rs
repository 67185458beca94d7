//! Where people are signed in, and the ends of it.

use jiff::Timestamp;
use maud::{Markup, html};

use super::icons::Icon;
use super::layout::{Frame, Place, page};
use super::order::{Order, order};
use super::parts::{Tone, ago, chip};
use super::review::Visitor;
use crate::db::{SessionHash, SessionRow};

pub struct SessionsPage<'a> {
    pub rows: &'a [SessionRow],
    /// The one that the page is looked at with.
    pub present: Option<SessionHash>,
    /// Of everybody.
    pub all: bool,
    pub csrf: &'a str,
    pub now: Timestamp,
}

pub fn sessions_page(view: &SessionsPage<'_>) -> Markup {
    let content = html! {
        div.page-head {
            h1 { "Sessions" }
            p.muted { @if view.all { "Where people are signed in." } @else { "Where you are signed in." } }
        }
        section.panel {
            @if view.rows.is_empty() { p.empty { "Nobody is signed in." } } @else { (table(view)) }
        }
    };
    page(&Frame::new("Sessions", Place::Elsewhere), &content)
}

fn table(view: &SessionsPage<'_>) -> Markup {
    let visitor = Visitor { csrf: view.csrf, may_not: None };
    html! {
        div.scroll {
            table.cards {
                thead { tr { th { "Who" } th { "Signed in" } th { "Last seen" } th { "Until" } th { span.visually-hidden { "Orders" } } } }
                tbody {
                    @for row in view.rows {
                        tr {
                            td {
                                b { (row.user.login) }
                                @if let Some(name) = &row.user.name { span.sub { (name) } }
                                @if view.present == Some(row.hash) { " " (chip(Tone::Info, Icon::Check, "this browser")) }
                            }
                            td.nowrap data-label="Signed in" { (ago(row.created_at, view.now)) }
                            td.nowrap data-label="Last seen" { (ago(row.used_at, view.now)) }
                            td.nowrap data-label="Until" { (row.expires_at.strftime("%Y-%m-%d").to_string()) }
                            td {
                                (order(&visitor, &Order {
                                    action: &format!("/api/users/{}/sign-out", row.user.id),
                                    sign: Icon::Stop,
                                    words: "Sign out everywhere",
                                    of: &row.user.login,
                                    back: None,
                                }))
                            }
                        }
                    }
                }
            }
        }
    }
}
