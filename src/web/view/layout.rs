//! The frame around every page.

use maud::{DOCTYPE, Markup, html};

use super::icons::{Icon, icon};
use crate::web::assets;

/// Where a page is in the house.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Pulls,
    Queue,
    Builders,
    Settings,
    Elsewhere,
}

/// Who looks, as the head of each page shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Corner {
    /// Nobody can sign in.
    Empty,
    /// Nobody is signed in; the address signs in and comes back.
    SignIn {
        href: String,
    },
    SignedIn {
        login: String,
        form_token: String,
    },
}

/// Nothing inline, nothing evaluated, nothing of a page kept in the browser's storage: the strict policy holds, and what is private
/// stays here.
const HTMX: &str = r#"{"includeIndicatorStyles":false,"allowEval":false,"allowScriptTags":false,"historyCacheSize":0,"refreshOnHistoryMiss":true,"scrollIntoViewOnBoost":false}"#;

tokio::task_local! {
    /// Of the request that is being answered, so that no page need hand it through.
    static CORNER: Corner;
}

/// The pages that are written meanwhile are for this visitor.
pub async fn looked_at_by<F: Future>(corner: Corner, pages: F) -> F::Output {
    CORNER.scope(corner, pages).await
}

pub struct Frame<'a> {
    pub title: &'a str,
    pub place: Place,
    /// What the page is about, in the words of `snowgate.js`; empty where nothing on it changes by itself.
    pub subject: String,
    /// `REPOSITORY#NUMBER` where the page shows the current review of a pull request: it follows the next one too.
    pub pull: Option<String>,
}

impl<'a> Frame<'a> {
    pub fn new(title: &'a str, place: Place) -> Self {
        Self { title, place, subject: String::new(), pull: None }
    }

    pub fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = subject.into();
        self
    }
}

pub fn page(frame: &Frame<'_>, content: &Markup) -> Markup {
    let entries = [
        (Place::Pulls, "/", "Pull requests"),
        (Place::Queue, "/queue", "Queue"),
        (Place::Builders, "/builders", "Builders"),
        (Place::Settings, "/settings", "Settings"),
    ];
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { (frame.title) " · Snowgate" }
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                link rel="stylesheet" href=(assets::STYLE.href());
                link rel="icon" type="image/svg+xml" href=(assets::ICON.href());
                meta name="htmx-config" content=(HTMX);
                @for script in [&assets::HTMX, &assets::MORPH, &assets::SCRIPT] { script src=(script.href()) defer {} }
            }
            body hx-ext="morph" {
                span #subject data-live data-subject=(frame.subject) data-pull=[frame.pull.as_deref()] hidden {}
                a.skip href="#main" { "Skip to the content" }
                header.bar {
                    div.bar-inner {
                        a.brand href="/" aria-label="Snowgate, pull requests" { (icon(Icon::Gate)) span { "Snowgate" } }
                        nav aria-label="Main" {
                            ul {
                                @for (place, href, words) in entries {
                                    li { a href=(href) aria-current=[(place == frame.place).then_some("page")] { (words) } }
                                }
                            }
                        }
                        div.bar-end {
                            span.live-state #live-state role="status" hidden {}
                            a.icon-button href="/search" aria-label="Search" title="Search" { (icon(Icon::Search)) }
                            (CORNER.try_with(corner).unwrap_or_default())
                            button.needs-script #keys-button type="button" aria-label="Keyboard shortcuts" { "?" }
                        }
                    }
                }
                main #main { (content) }
                footer {
                    "Snowgate " (env!("CARGO_PKG_VERSION")) " · " a href="/healthz" { "health" } " · " a href="/metrics" { "metrics" }
                    " · " a href="/api/openapi.json" { "API" }
                }
                (keys())
            }
        }
    }
}

fn corner(corner: &Corner) -> Markup {
    html! {
        @match corner {
            Corner::Empty => {}
            Corner::SignIn { href } => a.sign-in href=(href) rel="nofollow" { "Sign in" span.wide { " with GitHub" } },
            Corner::SignedIn { login, form_token } => {
                form.sign-out method="post" action="/auth/sign-out" {
                    input type="hidden" name="csrf" value=(form_token);
                    a.login href="/sessions" title={ "Signed in as " (login) } { span.visually-hidden { "Signed in as " } (login) }
                    button { "Sign out" }
                }
            }
        }
    }
}

fn keys() -> Markup {
    html! {
        dialog #keys aria-labelledby="keys-title" {
            h2 #keys-title { "Keyboard" }
            dl.pairs {
                dt { kbd { "j" } " " kbd { "k" } } dd { "next, previous row" }
                dt { kbd { "Enter" } } dd { "open the row" }
                dt { kbd { "/" } } dd { "search in the page's list" }
                dt { kbd { "n" } " " kbd { "p" } } dd { "next, previous page of a long list" }
                dt { kbd { "u" } } dd { "up, to the page above" }
                dt { kbd { "?" } } dd { "these keys" }
            }
            form method="dialog" { button.primary { "Close" } }
        }
    }
}
