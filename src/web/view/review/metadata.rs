//! What packages say of themselves, and what the change does to it; and sources whose hash changed while nothing else did.

use maud::{Markup, html};

use super::Reported;
use super::query::{ReviewQuery, View};
use crate::review::metadata::{Field, FieldChange, Metadata};
use crate::review::report::{Change, ChangeKind};
use crate::review::sources::SourceChange;
use crate::web::view::icons::{Icon, icon};
use crate::web::view::pager::Pager;
use crate::web::view::parts::{count, thousands};

const PER_PAGE: usize = 50;
/// Words of a list that are shown; the title has all.
const WORDS: usize = 12;

pub fn metadata(report: &Reported, metadata: Option<&Metadata>, query: &ReviewQuery) -> Markup {
    let none = Metadata::default();
    let metadata = metadata.unwrap_or(&none);
    let words: Vec<String> = query.text.split_whitespace().map(str::to_ascii_lowercase).collect();
    let matches = |(at, _): &&(usize, Vec<FieldChange>)| report.is_named(*at, &words);
    let has =
        |(_, fields): &&(usize, Vec<FieldChange>)| query.field.is_none_or(|field| fields.iter().any(|of| of.field == field));
    let rows: Vec<&(usize, Vec<FieldChange>)> = metadata.rows.iter().filter(matches).filter(has).collect();
    let pager = Pager::new(query.page, PER_PAGE, rows.len());
    html! {
        (sources(&report.sources))
        section.panel #metadata data-live aria-labelledby="metadata-title" {
            div.panel-head {
                h2 #metadata-title { "What packages say of themselves" }
                span.muted { (count(metadata.rows.len() as u64, "attribute differs", "attributes differ")) }
            }
            div.filters {
                form method="get" action="#metadata" role="search" {
                    input type="hidden" name="view" value="metadata";
                    @if let Some(review) = &query.review { input type="hidden" name="review" value=(review); }
                    @if let Some(field) = query.field { input type="hidden" name="field" value=(field.code()); }
                    label.visually-hidden for="meta-q" { "Search attributes" }
                    input #meta-q type="search" name="q" value=(query.text) placeholder="Search attributes" autocomplete="off";
                    button { "Search" }
                }
                div.chips role="group" aria-label="Field" {
                    a.chip href=(query.href("metadata", |query| (query.field, query.page) = (None, 1))) aria-current=[query.field.is_none().then_some("true")] { b { (thousands(metadata.rows.len() as u64)) } "all" }
                    @for (field, n) in &metadata.counts {
                        a class=(if field.is_grave() { "chip warn" } else { "chip" }) aria-current=[(query.field == Some(*field)).then_some("true")]
                          href=(query.href("metadata", |query| (query.field, query.page) = (Some(*field), 1))) {
                            @if field.is_grave() { (icon(Icon::Warning)) }
                            b { (thousands(*n as u64)) } (field.words())
                        }
                    }
                }
            }
            @if rows.is_empty() {
                p.empty { @if metadata.rows.is_empty() { "Nothing that packages say of themselves differs." } @else { "No attribute matches." } }
            } @else {
                div.scroll tabindex="0" role="group" aria-labelledby="metadata-title" {
                    table.cards {
                        thead { tr { th scope="col" { "Attribute" } th scope="col" { "Field" } th scope="col" { "Base → head" } } }
                        tbody { @for (at, fields) in pager.slice(&rows) { (lines(&report.changes[*at], fields, query)) } }
                    }
                }
                (pager.bar("attributes", |page| query.href("metadata", |query| query.page = page)))
            }
        }
    }
}

fn lines(change: &Change, fields: &[FieldChange], query: &ReviewQuery) -> Markup {
    let packages = ReviewQuery { review: query.review.clone(), view: View::Overview, ..ReviewQuery::default() };
    html! {
        @for (i, field) in fields.iter().filter(|of| query.field.is_none_or(|field| of.field == field)).enumerate() {
            tr data-row[i == 0] {
                td {
                    @if i == 0 {
                        a.mono data-go href=(packages.href("packages", |query| query.text = change.attr.to_string())) { (change.attr) }
                        @if change.change == ChangeKind::Added { " " span.chip.info { "new" } }
                        @if !change.aliases.is_empty() { span.sub { (count(change.aliases.len() as u64, "alias", "aliases")) } }
                    }
                }
                td data-label="Field" { @if field.field.is_grave() { b { (field.field.words()) } } @else { (field.field.words()) } }
                td data-label="Base → head" { (values(field)) }
            }
        }
    }
}

fn values(change: &FieldChange) -> Markup {
    let list = |words: &[&String]| {
        html! {
            span title=[(words.len() > WORDS).then(|| words.iter().map(|word| word.as_str()).collect::<Vec<_>>().join("\n"))] {
                @for (i, word) in words.iter().take(WORDS).enumerate() { @if i > 0 { ", " } (word) }
                @if words.len() > WORDS { " and " (thousands((words.len() - WORDS) as u64)) " more" }
            }
        }
    };
    let whole = |words: &[String]| html! { @if words.is_empty() { span.muted { "–" } } @else { (list(&words.iter().collect::<Vec<_>>())) } };
    html! {
        @match change.field {
            Field::Maintainers | Field::Platforms | Field::Licence | Field::Insecure if change.base.len() + change.head.len() > 2 => {
                @let came = change.came().collect::<Vec<_>>();
                @let went = change.went().collect::<Vec<_>>();
                @if !came.is_empty() { span.plus { "+ " (list(&came)) } " " }
                @if !went.is_empty() { span.minus { "− " (list(&went)) } }
                @if came.is_empty() && went.is_empty() { span.muted { "in another order" } }
            }
            Field::Broken | Field::Unfree => { @if change.head.is_empty() { "no longer " (change.field.words()) } @else { b { "now " (change.field.words()) } } }
            Field::Licence | Field::Insecure | Field::Maintainers | Field::Version | Field::Description | Field::Homepage | Field::MainProgram
            | Field::Platforms => { (whole(&change.base)) " → " (whole(&change.head)) }
        }
    }
}

/// Loud where the version stayed: other bytes from the same address.
fn sources(sources: &[SourceChange]) -> Markup {
    html! {
        @if !sources.is_empty() {
            div.stack #sources data-live {
                @for source in sources {
                    section.banner.warn role=[(!source.version_changed).then_some("alert")] {
                        (icon(Icon::Warning))
                        div {
                            p {
                                @if source.version_changed { b { "A source without a version in its address changed: " } }
                                @else { b { "A source's hash changed, and neither its address nor the version did: " } }
                                code { (source.name) }
                            }
                            p.small { "Fetched from " @for (i, url) in source.urls.iter().enumerate() { @if i > 0 { ", " } code { (url) } } }
                            dl.pairs { dt { "Base" } dd { code { (source.base_hash) } } dt { "Head" } dd { code { (source.head_hash) } } }
                            p.small { "Made of it: " @for (i, attr) in source.attrs.iter().take(WORDS).enumerate() { @if i > 0 { ", " } span.mono { (attr) } } @if source.attrs.len() > WORDS { " and " (thousands((source.attrs.len() - WORDS) as u64)) " more" } }
                            @if !source.version_changed { p.small { "Whoever publishes it replaced it, or the change asks for something else than it seems to. Compare both before you merge." } }
                        }
                    }
                }
            }
        }
    }
}
