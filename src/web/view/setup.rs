//! The registration of a GitHub App, before and after.

use maud::{Markup, html};

use super::layout::{Frame, Place, page};
use crate::web::csrf::LOCAL_ONLY;

pub struct SetupPage<'a> {
    /// `Some`: there is an App already; its name in addresses, where that is known.
    pub registered: Option<Option<String>>,
    pub may_register: bool,
    pub web_url: &'a str,
    pub public_url: &'a str,
    /// JSON.
    pub manifest: &'a str,
    pub state: &'a str,
}

pub fn setup_page(view: &SetupPage<'_>) -> Markup {
    let content = html! {
        div.page-head { h1 { "GitHub" } }
        section.panel {
            div.panel-body {
                @match &view.registered {
                    Some(Some(slug)) => p {
                        "This server is the GitHub App "
                        a href=(format!("{}/apps/{slug}", view.web_url)) { (slug) }
                        ". Install it on the repositories that are to be reviewed."
                    },
                    Some(None) => p { "This server is a GitHub App that was registered by hand." },
                    None => { (form(view)) }
                }
            }
        }
    };
    page(&Frame::new("GitHub", Place::Elsewhere), &content)
}

fn form(view: &SetupPage<'_>) -> Markup {
    html! {
        p {
            "One click makes a GitHub App with the permissions and events that Snowgate needs. GitHub will send its deliveries to "
            code { (view.public_url) "/webhooks/github" }
            "; set " code { "public_url" } " first, if that is not how GitHub reaches this server."
        }
        @if view.may_register {
            form method="post" action=(format!("{}/settings/apps/new?state={}", view.web_url, view.state)) {
                input type="hidden" name="manifest" value=(view.manifest);
                button type="submit" { "Register the App on " (view.web_url.rsplit("://").next().unwrap_or_default()) }
            }
        } @else {
            p { (LOCAL_ONLY) }
        }
        p { "How to do it by hand, with files: docs/github.md." }
    }
}

pub fn registered_page(slug: &str, install_url: &str) -> Markup {
    let content = html! {
        div.page-head { h1 { "Registered" } }
        section.panel {
            div.panel-body {
                p { "This server is the GitHub App " b { (slug) } " now; its credentials are in the state directory." }
                p { a href=(install_url) { "Install it on repositories" } "; their pull requests are reviewed from then on." }
            }
        }
    };
    page(&Frame::new("Registered", Place::Elsewhere), &content)
}
