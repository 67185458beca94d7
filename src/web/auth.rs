//! The routes of sign-in.

use std::collections::HashMap;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue, LOCATION, SET_COOKIE};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use serde_json::json;

use super::actions::{done, sent_by, wants_html};
use super::fault::Fault;
use super::rights::{Actor, Right, Who};
use super::sign_in::SignIn;
use super::site::Site;
use super::view::sessions::{SessionsPage, sessions_page};
use crate::domain::UserId;

/// Longer addresses are none of ours.
const LONGEST: usize = 2000;

fn offered(site: &Site) -> Result<Arc<SignIn>, Fault> {
    site.sign_in().ok_or_else(|| {
        Fault::new(
            StatusCode::NOT_FOUND,
            "sign_in_not_configured",
            "Nobody can sign in here: this server is no GitHub App yet, or its client secret is missing (docs/github.md).",
        )
    })
}

/// A page of ours to come back to; anything else is the first page. `//host` and `/\host` are other hosts to a browser.
fn way_back(text: Option<&String>) -> &str {
    let is_ours = |text: &&str| {
        text.len() <= LONGEST
            && text.starts_with('/')
            && !text.starts_with("//")
            && !text.starts_with("/auth/")
            && !text.bytes().any(|b| b == b'\\' || b.is_ascii_control() || !b.is_ascii())
    };
    text.map(String::as_str).filter(is_ours).unwrap_or("/")
}

fn see(address: &str) -> HttpResponseBuilder {
    let mut answer = HttpResponse::SeeOther();
    answer.insert_header((LOCATION, address)).insert_header((CACHE_CONTROL, "no-store"));
    answer
}

/// `GET /auth/github/login?return=`
pub async fn login(site: web::Data<Site>, query: web::Query<HashMap<String, String>>) -> Result<HttpResponse, Fault> {
    let (address, cookie) = offered(&site)?.depart(way_back(query.get("return")))?;
    Ok(see(&address).insert_header((SET_COOKIE, cookie)).finish())
}

/// `GET /auth/github/callback`: GitHub sends browsers here
pub async fn callback(
    site: web::Data<Site>,
    query: web::Query<HashMap<String, String>>,
    request: HttpRequest,
) -> Result<HttpResponse, Fault> {
    let sign_in = offered(&site)?;
    let (headers, state) = (request.headers(), query.get("state").map_or("", String::as_str));
    let Some(code) = query.get("code") else {
        let why = query.get("error_description").or(query.get("error")).map_or("it does not say why.", String::as_str);
        return Err(sign_in.turned_away(headers, state, why));
    };
    let lifetime = site.house.settings().current.sign_in.session();
    let arrival = sign_in.arrive(headers, state, code.clone(), lifetime).await?;
    tracing::info!("{} (user {}) signed in", arrival.user.login, arrival.user.id);
    let mut answer = see(&arrival.back);
    for cookie in arrival.cookies {
        answer.append_header((SET_COOKIE, cookie));
    }
    Ok(answer.finish())
}

/// `POST /auth/sign-out`
pub async fn sign_out(
    site: web::Data<Site>,
    actor: Actor,
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse, Fault> {
    let sign_in = offered(&site)?;
    sent_by(&actor, &request, &body)?;
    if let Who::SignedIn { person, .. } = actor.who() {
        sign_in.leave(person.session).await?;
        tracing::info!("{actor} signed out");
    }
    let mut answer = if wants_html(&request) { see("/") } else { HttpResponse::NoContent() };
    Ok(answer.insert_header((SET_COOKIE, sign_in.forget())).finish())
}

/// `GET /sessions`: where one is signed in; who runs the server sees everybody
pub async fn sessions(site: web::Data<Site>, actor: Actor) -> Result<HttpResponse, Fault> {
    offered(&site)?;
    let all = actor.needs(&site, Right::Administer).await.is_ok();
    let of = match (all, actor.user()) {
        (true, _) => None,
        (false, Some(user)) => Some(user),
        (false, None) => return Err(Fault::new(StatusCode::UNAUTHORIZED, "sign_in_needed", "Sign in first.")),
    };
    let rows = site.house.db.sessions(of).await?;
    let present = match actor.who() {
        Who::SignedIn { person, .. } => Some(person.session),
        Who::Anybody | Who::Local(_) => None,
    };
    let view = SessionsPage { rows: &rows, present, all, csrf: actor.form_token(), now: jiff::Timestamp::now() };
    let mut answer = HttpResponse::Ok();
    if let Some(cookie) = actor.form_cookie() {
        answer.insert_header((SET_COOKIE, cookie));
    }
    Ok(answer
        .content_type("text/html; charset=utf-8")
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(sessions_page(&view).into_string()))
}

/// `POST /api/users/{user}/sign-out`: ends all of somebody's sessions
pub async fn sign_out_everywhere(
    site: web::Data<Site>,
    user: web::Path<u64>,
    actor: Actor,
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse, Fault> {
    let (sign_in, user) = (offered(&site)?, UserId(user.into_inner()));
    sent_by(&actor, &request, &body)?;
    let own = actor.user() == Some(user);
    if !own {
        actor.needs(&site, Right::Administer).await?;
    }
    sign_in.leave_everywhere(user).await?;
    let back = if own { "/" } else { "/sessions" };
    let what = format!("the end of all sessions of user {user}");
    let mut answer = done(&actor, &request, &what, back, &json!({"id": user, "action": "sign-out"}));
    if own {
        let cookie = HeaderValue::try_from(sign_in.forget()).map_err(Fault::internal)?;
        answer.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_comes_back_to_a_page_of_ours() {
        let back = |text: &str| way_back(Some(&text.to_owned())).to_owned();
        for ours in ["/", "/r/a/b/pull/1?review=x&page=2", "/drv/x%20y"] {
            assert_eq!(back(ours), ours);
        }
        for other in [
            "",
            "r/a",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/a\r\nset-cookie: x",
            "/auth/github/login",
            "/ä",
        ] {
            assert_eq!(back(other), "/", "{other}");
        }
        assert_eq!(back(&format!("/{}", "x".repeat(LONGEST))), "/");
        assert_eq!(way_back(None), "/");
    }
}
