//! Why a path is in the closure of an attribute: the shortest chain of references.

use maud::{Markup, html};

use super::layout::{Frame, Place, page};
use super::parts::{bytes, pull_href, query_value, repository_href, thousands};
use crate::domain::{AttrPath, Side, StorePath};
use crate::review::report::Report;

/// What the store answered.
pub enum Answer {
    /// From an output to the path, each with its NAR size.
    Chain(Vec<(StorePath, u64)>),
    /// Nothing refers to it.
    NotInIt,
    /// The outputs are not in the store any more.
    Gone,
    /// The closure has more paths than these, which were looked at.
    TooLarge(usize),
}

pub struct ChainPage<'a> {
    pub report: &'a Report,
    /// The number of the pull request.
    pub number: Option<u64>,
    pub attr: &'a AttrPath,
    pub side: Side,
    pub target: &'a StorePath,
    pub answer: &'a Answer,
}

pub fn chain_page(view: &ChainPage<'_>) -> Markup {
    let report = view.report;
    let side = match view.side {
        Side::Base => "on the base",
        Side::Head => "on head",
    };
    let title = format!("Why {} needs {} {side}", view.attr, view.target.name());
    let review = match view.number {
        Some(number) => format!("{}?review={}&view=closures", pull_href(&report.repository, number), report.id),
        None => format!("/reviews/{}?view=closures", report.id),
    };
    let content = html! {
        div.page-head #head {
            p.crumbs {
                a href="/" { "Pull requests" } " / " a href=(repository_href(&report.repository)) { (report.repository) } " / "
                a href=(review) { @match view.number { Some(number) => { "#" (number) } None => { "review " (report.id) } } } " / "
                a href={ (review) "&attr=" (query_value(&view.attr.to_string())) } { "closure of " (view.attr) }
            }
            h1 { (title) }
            div.facts { code { (view.target) } }
        }
        section.panel aria-labelledby="chain-title" {
            div.panel-head { h2 #chain-title { "The shortest chain of references" } }
            @match view.answer {
                Answer::Chain(chain) => {
                    ol.chain {
                        @for (i, (path, size)) in chain.iter().enumerate() {
                            li { @if i > 0 { span.muted { "refers to " } } code { (path) } " " span.muted { (bytes(*size)) } }
                        }
                    }
                }
                Answer::TooLarge(most) => p.empty {
                    "Within " (thousands(*most as u64)) " paths there is none that refers to it, and here nobody looks further. " code { "nix why-depends" } " does."
                },
                Answer::NotInIt => p.empty { "Nothing in this closure refers to it." },
                Answer::Gone => p.empty { "The outputs are not in the store any more, so that nobody knows what they refer to. Run the review again to have them built." },
            }
        }
    };
    page(&Frame::new(&title, Place::Pulls), &content)
}
