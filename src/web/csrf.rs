//! Who may order something, and that it was really they who did. Two independent checks against forged requests: what the browser
//! says about the request's origin, and a token that stands in a cookie and in the form.
//!
//! Without sign-in only those who run this machine may act. A proxy on this machine would make everyone look local, and a name that
//! is re-pointed to 127.0.0.1 would make a foreign page look like ours; so the request must come straight, and to a local name.

use std::io::Read;
use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderMap};

use super::cookies;
use super::fault::Fault;

pub const COOKIE: &str = "snowgate_csrf";
/// The form's field, and for programs the header.
pub const FIELD: &str = "csrf";
pub const HEADER: &str = "x-csrf-token";

pub const LOCAL_ONLY: &str = "Only for root and the user that Snowgate runs as, on its own machine, at http://localhost or its loopback address, as there is no sign-in.";

/// The visitor's token, drawn on the first visit.
pub fn token(request: &HttpRequest) -> Result<String, Fault> {
    if let Some(kept) = kept(request.headers()) {
        return Ok(kept.to_owned());
    }
    drawn()
}

/// A token that nobody can guess.
pub fn drawn() -> Result<String, Fault> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).map_err(Fault::internal)?;
    Ok(data_encoding::HEXLOWER.encode(&bytes))
}

fn is_token(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The token as the browser sent it back.
fn kept(headers: &HeaderMap) -> Option<&str> {
    cookies::find(headers, COOKIE).find(|value| is_token(value))
}

/// What `Set-Cookie` says. No `Secure`: on the loopback address there is no TLS to insist on.
pub fn cookie(token: &str) -> String {
    format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict")
}

/// Whether a request comes from this machine, with nobody in between who would say so. Who it is that asks is a `neighbour`'s question.
pub fn comes_straight(request: &HttpRequest) -> bool {
    let local_peer = request.peer_addr().is_some_and(|peer| is_loopback(peer.ip()));
    let forwarded = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"];
    let straight = !forwarded.iter().any(|name| request.headers().contains_key(*name));
    local_peer && straight && is_local_host(host(request.headers()))
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

fn host(headers: &HeaderMap) -> &str {
    headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default()
}

pub fn is_local_host(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(is_loopback)
}

/// What a request has to bring along.
pub enum Expected<'a> {
    /// The same token in the cookie and in the form.
    Cookie,
    /// The token of the visitor's session; nothing that another host could plant in a cookie counts. `authority`: what browsers call
    /// us, where a proxy before us calls us otherwise.
    Session { token: &'a str, authority: &'a str },
}

/// That the request comes from one of our own pages, or from a program that knows the token.
pub fn check(request: &HttpRequest, field: Option<&str>, expected: Expected<'_>) -> Result<(), Fault> {
    let headers = request.headers();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if text("sec-fetch-site").is_some_and(|site| site != "same-origin") {
        return Err(Fault::forbidden("cross_site", "The request came from another site."));
    }
    if let Some(origin) = text("origin") {
        let from = origin.split_once("://").map(|(_, host)| host);
        let ours = match expected {
            Expected::Cookie => None,
            Expected::Session { authority, .. } => Some(authority),
        };
        if from.is_none() || (from != Some(host(headers)) && from != ours) {
            return Err(Fault::forbidden("cross_site", "The request came from another site."));
        }
    }
    let given = field.or_else(|| text(HEADER)).unwrap_or_default();
    match expected {
        Expected::Cookie if kept(headers).is_some_and(|kept| equal(given, kept)) => Ok(()),
        Expected::Session { token, .. } if equal(given, token) => Ok(()),
        Expected::Cookie => Err(Fault::forbidden(
            "csrf",
            format!(
                "The form is too old or not ours: load the page again. Programs send the cookie {COOKIE} and the same value as the header {HEADER}."
            ),
        )),
        Expected::Session { .. } => Err(Fault::forbidden(
            "csrf",
            format!(
                "The form is of another sign-in: load the page again. Programs send what its forms carry as the header {HEADER}."
            ),
        )),
    }
}

/// Takes the same time wherever the first difference is.
pub fn equal(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_host_is_a_loopback_name_or_address() {
        for host in ["localhost", "localhost:8080", "127.0.0.1:8080", "127.1.2.3", "[::1]:80", "[::1]", "LOCALHOST:1"] {
            assert!(is_local_host(host), "{host}");
        }
        for host in ["", "example.org", "localhost.example.org:80", "10.0.0.1", "[::2]:80", "127.0.0.1.example.org", "evil:127"] {
            assert!(!is_local_host(host), "{host}");
        }
    }
}
