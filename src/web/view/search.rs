//! What was found.

use maud::{Markup, html};

use super::layout::{Frame, Place, page};
use super::parts::{branch_href, drv_link, pull_href, query_value};
use crate::db::{FoundAttributes, FoundPull};

#[derive(Default)]
pub struct Found {
    pub text: String,
    pub attributes: FoundAttributes,
    /// Base names.
    pub derivations: Vec<String>,
    pub pulls: Vec<FoundPull>,
    /// Of pull requests and of derivations; where there are as many, there may be more.
    pub most: usize,
}

pub fn search_page(found: &Found) -> Markup {
    let title = if found.text.is_empty() { "Search".to_owned() } else { format!("{} · Search", found.text) };
    let nothing = found.attributes.rows.is_empty() && found.derivations.is_empty() && found.pulls.is_empty();
    let content = html! {
        div.page-head { h1 { "Search" } }
        form.filters method="get" action="/search" role="search" {
            label.visually-hidden for="search-text" { "Attributes, packages, derivations, pull requests" }
            input #search-text type="search" name="q" value=(found.text) placeholder="Attributes, packages, derivations, pull requests" autofocus;
            button { "Search" }
        }
        @if found.text.is_empty() { p.empty { "Any part of a name, of three letters or more; several words all have to occur." } }
        @else if nothing { p.empty { "Nothing that is evaluated, was built or is proposed has “" (found.text) "” in its name." } }
        @if !found.pulls.is_empty() {
            (section("pulls", "Pull requests", found.pulls.len() == found.most, &html! {
                @for pull in &found.pulls {
                    li { a href=(pull_href(&pull.repository, pull.number)) { (pull.title) " #" (pull.number) } span.quiet { (pull.state) ", " (pull.author) ", " (pull.repository) } }
                }
            }))
        }
        @if !found.attributes.rows.is_empty() {
            (section("attributes", "Attributes", found.attributes.more, &html! {
                @for one in &found.attributes.rows {
                    li {
                        a.mono href={ (branch_href(&one.repository, &one.branch)) "?attr=" (query_value(&one.attr.to_string())) } { (one.attr) }
                        span.quiet { @if one.name.is_empty() { "evaluation error" } @else { (one.name) } ", " (one.system) ", " (one.repository) }
                        @if let Some(drv) = &one.drv { (drv_link(drv)) }
                    }
                }
            }))
        }
        @if !found.derivations.is_empty() {
            (section("derivations", "Derivations that were tried", found.derivations.len() == found.most, &html! {
                @for base_name in &found.derivations { li { a.mono href={ "/drv/" (base_name) } { (base_name) } } }
            }))
        }
    };
    page(&Frame::new(&title, Place::Elsewhere), &content)
}

fn section(id: &str, title: &str, full: bool, rows: &Markup) -> Markup {
    html! {
        section.panel.found aria-labelledby={ (id) "-title" } {
            div.panel-head { h2 #{ (id) "-title" } { (title) } @if full { span.quiet { "there are more than these; another word makes them fewer" } } }
            ul { (rows) }
        }
    }
}
