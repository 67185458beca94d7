//! What the visitor can have done with the change, always in view beside the tabs. Each action is a form that asks for no more than
//! it needs.

use maud::{Markup, html};

use super::{Deeds, ReviewPage, is_open, merging, waits};
use crate::db::{MergeRow, MergeState};
use crate::web::view::icons::{Icon, icon};
use crate::web::view::parts::decision_chip;

pub fn actions(view: &ReviewPage<'_>) -> Markup {
    html! {
        div.deeds #actions data-live role="group" aria-label="Actions" {
            // what is decided stays in sight with what can be done about it
            a.deeds-verdict href="#verdict" { (decision_chip(view.report.verdict.decision)) }
            @if let Some(why) = view.visitor.may_not { span.muted.small.deeds-why title=(why) { (why) } }
            @if let (Deeds::Some { merge, methods }, Some(pull)) = (&view.deeds, view.pull) { (deeds(view, *merge, merging::fields(pull, methods))) }
            (again(view))
        }
    }
}

/// One that waits can be allowed; one that moves can be ended; one that ended, begun again.
fn again(view: &ReviewPage<'_>) -> Markup {
    let (action, sign, words) = if waits(view) {
        ("allow", Icon::Check, "Allow")
    } else if is_open(view.report.state) {
        ("cancel", Icon::Stop, "Cancel")
    } else {
        ("rerun", Icon::Again, "Run again")
    };
    html! {
        form method="post" action={ "/api/reviews/" (view.report.id) "/" (action) } {
            input type="hidden" name="csrf" value=(view.visitor.csrf);
            button disabled[view.visitor.may_not.is_some()] title=[view.visitor.may_not] { (icon(sign)) (words) }
        }
    }
}

/// What the visitor does on the forge in their own name. Each form names the head that is shown, and is refused when it has moved.
fn deeds(view: &ReviewPage<'_>, merge: Option<&MergeRow>, how: Markup) -> Markup {
    let form = |action: &str, summary: &str, fields: Markup, button: &str| {
        html! {
            details.deed #{ "deed-" (action) } name="deed" {
                summary { (summary) }
                form method="post" action={ "/api/reviews/" (view.report.id) "/" (action) } {
                    input type="hidden" name="csrf" value=(view.visitor.csrf);
                    input type="hidden" name="head" value=(view.report.head.rev);
                    (fields)
                    button { (button) }
                }
            }
        }
    };
    let words = |label: &str| {
        html! {
            label { span { (label) } textarea name="body" rows="3" {} }
            label.check { input type="checkbox" name="report" value="yes"; " Send the report along" }
        }
    };
    html! {
        @if let Some(merge) = merge { (standing(merge)) }
        (form("approve", "Approve", words("What you want to say"), "Approve this head"))
        (form("request-changes", "Request changes", words("What is to change"), "Request changes"))
        (form("comment", "Comment", words("What you want to say"), "Comment"))
        (form("merge", "Merge", how, "Merge this head"))
    }
}

/// What became of the merge that somebody asked for.
fn standing(merge: &MergeRow) -> Markup {
    let (login, head) = (&merge.by.login, &merge.head.as_str()[..7]);
    let words = match merge.state {
        MergeState::Waits | MergeState::Merging => format!("{login} has {head} merged when it is mergeable"),
        MergeState::Merged => format!("merged for {login}"),
        MergeState::Dropped => {
            format!("the merge of {head} for {login} was given up: {}", merge.sentence.as_deref().unwrap_or_default())
        }
    };
    html! { span.muted.small.deeds-why title=(words) { (words) } }
}
