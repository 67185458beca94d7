//! Around every request: the security headers, the form of an error, and a count.

use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, web};

use super::fault::Fault;
use super::rights::Actor;
use super::site::Site;
use super::view::layout::{Corner, looked_at_by};

/// Nothing is loaded from elsewhere, nothing runs or is styled inline, no other site may frame us or take our forms.
pub const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// Answers by class of status, for the metrics.
#[derive(Debug, Default)]
pub struct Answers([AtomicU64; 5]);

impl Answers {
    fn count(&self, status: StatusCode) {
        if let Some(counter) = usize::from(status.as_u16() / 100).checked_sub(1).and_then(|class| self.0.get(class)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// `("2xx", 5)` and so on.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().zip(self.0.iter().map(|counter| counter.load(Ordering::Relaxed)))
    }
}

pub async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let page = wants_page(request.path(), request.method(), request.headers());
    let site = request.app_data::<web::Data<Site>>().cloned();
    let (request, corner) = introduce(site.as_ref(), request).await;
    let answered = async {
        let response = match request {
            Ok(request) => next.call(request).await?.map_into_boxed_body(),
            Err((request, fault)) => request.error_response(fault).map_into_boxed_body(),
        };
        Ok::<_, actix_web::Error>(dress(response, page))
    };
    let mut response = looked_at_by(corner, answered).await?;
    add_headers(response.headers_mut());
    if let Some(site) = site {
        site.answers.count(response.status());
    }
    Ok(response)
}

/// Puts beside the request who it comes from.
async fn introduce(
    site: Option<&web::Data<Site>>,
    request: ServiceRequest,
) -> (Result<ServiceRequest, (ServiceRequest, Fault)>, Corner) {
    // these are everybody's, and have no head
    let nobodys = ["/assets/", "/webhooks/", "/healthz", "/metrics"].iter().any(|prefix| request.path().starts_with(prefix));
    let Some(site) = site.filter(|_| !nobodys) else { return (Ok(request), Corner::Empty) };
    match Actor::of(site, request.request()).await {
        Ok(actor) => {
            let corner = actor.corner();
            request.extensions_mut().insert(actor);
            (Ok(request), corner)
        }
        Err(fault) => (Err((request, fault)), Corner::Empty),
    }
}

/// People get a page, programs get JSON. A form on a page posts to `/api`: who sent it asks for HTML.
fn wants_page(path: &str, method: &Method, headers: &HeaderMap) -> bool {
    let for_programs =
        ["/api/", "/webhooks/", "/healthz", "/metrics"].iter().any(|prefix| path.starts_with(prefix)) || path == "/api";
    let asks_for_html =
        headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(|accept| accept.contains("text/html"));
    !for_programs || (*method == Method::POST && asks_for_html && path.starts_with("/api/"))
}

fn dress(response: ServiceResponse<BoxBody>, page: bool) -> ServiceResponse<BoxBody> {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let fault = match response.response().error() {
        Some(error) => match error.as_error::<Fault>() {
            Some(fault) => fault.clone(),
            // the framework's own, say a broken escape in the address: its words are for programmers
            None => Fault::of_status(status),
        },
        // our own answers have a body of their own
        None if response.headers().contains_key(header::CONTENT_TYPE) => return response,
        None => Fault::of_status(status),
    };
    let answer = if page { fault.html() } else { fault.json() };
    let mut answer = response.into_response(answer);
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn add_headers(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=(), payment=(), usb=()"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // one page has a form that goes elsewhere
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    }
}
