//! What the visitor can have done with the change, always in view beside the tabs. Each action is a form that asks for no more than
//! it needs.

use maud::{Markup, html};

use super::{ReviewPage, is_open, waits};
use crate::web::view::icons::{Icon, icon};
use crate::web::view::parts::decision_chip;

pub fn actions(view: &ReviewPage<'_>) -> Markup {
    html! {
        div.deeds #actions data-live role="group" aria-label="Actions" {
            // what is decided stays in sight with what can be done about it
            a.deeds-verdict href="#verdict" { (decision_chip(view.report.verdict.decision)) }
            @if let Some(why) = view.visitor.may_not { span.muted.small.deeds-why title=(why) { (why) } }
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
