//! Cookies as they come and go.

use actix_web::http::header::{COOKIE, HeaderMap};

/// The values of this name; a browser may send several, of different paths.
pub fn find<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(COOKIE)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .filter(move |(found, _)| *found == name)
        .map(|(_, value)| value)
}

/// A cookie that no script reads, which comes back with links from elsewhere, but with no form and no image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    name: String,
    attributes: &'static str,
}

impl Kept {
    /// `url`: how people reach the pages. Over TLS the cookie never goes without it, and no neighbouring host can set one of this
    /// name (the prefix `__Host-`, RFC 6265bis).
    pub fn new(name: &str, url: &str) -> Self {
        match url.starts_with("https://") {
            true => Self { name: format!("__Host-{name}"), attributes: "Path=/; HttpOnly; SameSite=Lax; Secure" },
            false => Self { name: name.to_owned(), attributes: "Path=/; HttpOnly; SameSite=Lax" },
        }
    }

    pub fn of<'a>(&'a self, headers: &'a HeaderMap) -> Option<&'a str> {
        find(headers, &self.name).next()
    }

    /// What `Set-Cookie` says.
    pub fn set(&self, value: &str, seconds: u64) -> String {
        format!("{}={value}; Max-Age={seconds}; {}", self.name, self.attributes)
    }

    pub fn clear(&self) -> String {
        self.set("", 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_tls_it_stays_there() {
        let kept = Kept::new("session", "https://gate.example.org");
        assert_eq!(kept.set("x", 60), "__Host-session=x; Max-Age=60; Path=/; HttpOnly; SameSite=Lax; Secure");
        let kept = Kept::new("session", "http://localhost:7669");
        assert_eq!(kept.clear(), "session=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax");
    }
}
