//! What the self-check found: an evaluation from recordings that differs from a full one.

use maud::{Markup, html};

use super::SettingsPage;
use crate::db::EvalAlarm;
use crate::web::view::icons::{Icon, icon};
use crate::web::view::parts::{ago, count};

/// Nothing where nothing was ever found.
pub fn alarms(view: &SettingsPage<'_>) -> Markup {
    let (news, known): (Vec<_>, Vec<_>) = view.alarms.iter().partition(|alarm| alarm.acknowledged_at.is_none());
    html! {
        div.stack #alarms data-live {
            @for alarm in news { (banner(view, alarm)) }
            @if !known.is_empty() {
                details.panel {
                    summary.panel-head { (count(known.len() as u64, "acknowledged alarm", "acknowledged alarms")) " of the self-check" }
                    div.panel-body { @for alarm in known { (what(view, alarm)) } }
                }
            }
        }
    }
}

fn banner(view: &SettingsPage<'_>, alarm: &EvalAlarm) -> Markup {
    html! {
        section.banner.bad role="alert" aria-labelledby={ "alarm-" (alarm.id) } {
            (icon(Icon::Warning))
            div {
                h2 id={ "alarm-" (alarm.id) } { "An evaluation from recordings was wrong" }
                p {
                    "The recordings that it relied on are dropped, and the reviews that relied on them are evaluated again in full. This is a "
                    "fault of Snowgate's: please report it, with both files."
                }
                (what(view, alarm))
                form method="post" action={ "/api/alarms/" (alarm.id) "/acknowledge" } {
                    input type="hidden" name="csrf" value=(view.visitor.csrf);
                    button disabled[view.visitor.may_not.is_some()] { (icon(Icon::Check)) "Acknowledge" }
                    @if let Some(why) = view.visitor.may_not { p.small { (why) } }
                }
            }
        }
    }
}

fn what(view: &SettingsPage<'_>, EvalAlarm { id, at, alarm, acknowledged_at }: &EvalAlarm) -> Markup {
    html! {
        div.alarm {
            p {
                (alarm.jobset) " · " (alarm.system) " · tree " code title=(alarm.tree) { (alarm.tree.as_str().get(..10).unwrap_or_default()) }
                @if let Some(review) = &alarm.review { " · review " a.mono href={ "/reviews/" (review) } { (review) } }
                " · found " (ago(*at, view.now))
                @if let Some(at) = acknowledged_at { " · acknowledged " (ago(*at, view.now)) }
            }
            p { (alarm.summary) "." }
            @match &alarm.kept {
                Some(directory) => p.small {
                    "Both sides are kept in " code { (directory.display()) } ": "
                    a href={ "/api/alarms/" (id) "/full" } { "in full" } ", "
                    a href={ "/api/alarms/" (id) "/incremental" } { "from recordings" } "."
                },
                None => p.small { "Both sides could not be kept." },
            }
        }
    }
}
