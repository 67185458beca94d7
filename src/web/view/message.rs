//! A page that says one thing: that something is not there, or may not be done.

use maud::{Markup, html};

use super::icons::{Icon, icon};
use super::layout::{Frame, Place, page};

pub fn message_page(title: &str, text: &str) -> Markup {
    let content = html! {
        section.panel {
            div.panel-body {
                h1 { (icon(Icon::Warning)) " " (title) }
                p { (text) }
                p { a href="/" { "To the pull requests" } }
            }
        }
    };
    page(&Frame::new(title, Place::Elsewhere), &content)
}
