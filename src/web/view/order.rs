//! Buttons that order something: a form of one button.

use maud::{Markup, html};

use super::icons::{Icon, icon};
use super::review::Visitor;

pub struct Order<'a> {
    pub action: &'a str,
    pub sign: Icon,
    pub words: &'a str,
    /// For those who hear the button without its row.
    pub of: &'a str,
    /// The page to return to, where that is not the thing's own.
    pub back: Option<&'a str>,
}

pub fn order(visitor: &Visitor<'_>, order: &Order<'_>) -> Markup {
    html! {
        form.order method="post" action=(order.action) {
            input type="hidden" name="csrf" value=(visitor.csrf);
            @if let Some(back) = order.back { input type="hidden" name="back" value=(back); }
            button disabled[visitor.may_not.is_some()] title=[visitor.may_not] { (icon(order.sign)) (order.words) span.visually-hidden { " " (order.of) } }
        }
    }
}

/// Said once for all the buttons of a panel.
pub fn may_not(visitor: &Visitor<'_>) -> Markup {
    html! { @if let Some(why) = visitor.may_not { span.muted.small { "Buttons: " (why) } } }
}
