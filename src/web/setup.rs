//! The registration of a GitHub App. Whoever registers it gets to say what this server believes: only this machine's own users may,
//! as long as there is no sign-in.

use actix_web::http::header::{CONTENT_SECURITY_POLICY, SET_COOKIE};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use super::cookies;
use super::csrf;
use super::fault::Fault;
use super::guard;
use super::rights::Actor;
use super::site::Site;
use super::view::setup::{SetupPage, registered_page, setup_page};
use crate::forge::github::manifest::manifest;

/// GitHub's limit.
const LONGEST_NAME: usize = 34;

/// Ties the way back to the way there; it comes from another site, so that `SameSite=Strict` would lose it.
const COOKIE: &str = "snowgate_setup";

/// `GET /setup/github`
pub async fn page(site: web::Data<Site>, request: HttpRequest, actor: Actor) -> Result<HttpResponse, Fault> {
    let github = site.house.github().ok_or_else(|| Fault::not_found("This server serves repositories of its own disk only."))?;
    let app = github.app();
    let settings = site.house.settings();
    let public_url = settings.current.url();
    let host = public_url.rsplit("://").next().unwrap_or_default().split([':', '/']).next().unwrap_or_default();
    let name: String = format!("snowgate-{host}").chars().take(LONGEST_NAME).collect();
    // the one who registers reaches this server as their browser does now, GitHub by its public address
    let own = request.headers().get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    let manifest = manifest(&name, &public_url, &format!("http://{own}/setup/github/callback")).to_string();
    let state = csrf::drawn()?;
    let shown = SetupPage {
        registered: app.as_ref().map(|app| app.credentials().slug.clone()),
        may_register: actor.is_local(),
        web_url: github.web_url(),
        public_url: &public_url,
        manifest: &manifest,
        state: &state,
    };
    // the form goes to GitHub
    let policy = guard::POLICY.replace("form-action 'self'", &format!("form-action 'self' {}", github.web_url()));
    let cookie = format!("{COOKIE}={state}; Path=/setup/github; HttpOnly; SameSite=Lax; Max-Age=3600");
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((CONTENT_SECURITY_POLICY, policy))
        .append_header((SET_COOKIE, cookie))
        .body(setup_page(&shown).into_string()))
}

#[derive(Deserialize)]
pub struct Back {
    code: String,
    state: String,
}

/// `GET /setup/github/callback`: GitHub sends the browser here when the App is made
pub async fn callback(
    site: web::Data<Site>,
    request: HttpRequest,
    actor: Actor,
    back: Option<web::Query<Back>>,
) -> Result<HttpResponse, Fault> {
    if !actor.is_local() {
        return Err(Fault::forbidden("local_only", csrf::LOCAL_ONLY));
    }
    let back = back.ok_or_else(|| Fault::bad_request("That is not where GitHub sends people back to: the address lacks its code or its state. Begin the registration again at /setup/github."))?;
    let ours = cookies::find(request.headers(), COOKIE).next();
    if !ours.is_some_and(|ours| csrf::equal(ours, &back.state)) {
        return Err(Fault::forbidden(
            "not_begun_here",
            "The registration was not begun in this browser, or too long ago: begin it again at /setup/github.",
        ));
    }
    let registered = site.house.register(back.code.clone()).await?;
    tracing::info!("the GitHub App {} is registered", registered.slug);
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .append_header((SET_COOKIE, format!("{COOKIE}=; Path=/setup/github; HttpOnly; SameSite=Lax; Max-Age=0")))
        .body(registered_page(&registered.slug, &registered.install_url).into_string()))
}
