//! The builders: who can build what, and how they are.

use maud::{Markup, html};

use super::icons::Icon;
use super::layout::{Frame, Place, page};
use super::limiting::limiting;
use super::parts::{Tone, chip};
use crate::actors::house::Limiting;
use crate::build::snapshot::{BuilderRow, BuilderState};

pub fn builders_page(rows: &[BuilderRow], limits: &Limiting) -> Markup {
    let content = html! {
        div.page-head { h1 { "Builders" } }
        section.panel #builders data-live aria-label="Builders" {
            @if rows.is_empty() { p.empty { "No builder has reported yet." } }
            @else {
                div.scroll {
                    table.cards {
                        thead {
                            tr { th scope="col" { "Builder" } th scope="col" { "State" } th scope="col" { "Slots in use" } th scope="col" { "Systems" } th scope="col" { "Features" } }
                        }
                        tbody { @for row in rows { (builder(row)) } }
                    }
                }
            }
        }
        (limiting(limits))
    };
    page(&Frame::new("Builders", Place::Builders).about("queue"), &content)
}

fn builder(row: &BuilderRow) -> Markup {
    html! {
        tr {
            td { b { (row.name) } }
            td data-label="State" {
                @match row.state {
                    BuilderState::Ready => (chip(Tone::Good, Icon::Check, "ready")),
                    BuilderState::BackingOff => (chip(Tone::Warn, Icon::Warning, "backing off")),
                    BuilderState::Draining => (chip(Tone::Quiet, Icon::Dash, "draining")),
                    BuilderState::Absent => (chip(Tone::Quiet, Icon::Dash, "absent")),
                }
                @if let Some(reason) = &row.reason { span.sub { (reason) } }
            }
            td data-label="Slots in use" { meter min="0" max=(row.slots) value=(row.running) {} " " (row.running) " of " (row.slots) }
            td data-label="Systems" { (row.systems.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")) }
            td data-label="Features" {
                @if row.features.is_empty() && row.mandatory.is_empty() { span.muted { "none" } }
                (row.features.join(", "))
                @if !row.mandatory.is_empty() { span.sub { "only builds that need " (row.mandatory.join(", ")) } }
            }
        }
    }
}
