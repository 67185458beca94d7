//! A browser, as far as it takes no Chromium: cookies, and the forms of pages.

use std::collections::BTreeMap;

use crate::appliance::Appliance;
use crate::appliance::http::{self, Answer};
use crate::double::User;

/// On another machine.
pub struct Browser<'a> {
    snowgate: &'a Appliance<'a>,
    cookies: BTreeMap<String, String>,
}

impl<'a> Browser<'a> {
    pub fn new(snowgate: &'a Appliance<'a>) -> Self {
        Self { snowgate, cookies: BTreeMap::new() }
    }

    /// Of somebody who is signed in.
    pub fn of(user: User, snowgate: &'a Appliance<'a>) -> Self {
        let mut browser = Self::new(snowgate);
        let away = browser.ask("GET", "/auth/github/login?return=%2F", "");
        let away = away.header("location").unwrap();
        let state = away.split(['?', '&']).find_map(|part| part.strip_prefix("state=")).unwrap();
        let back = browser.ask("GET", &format!("/auth/github/callback?code=code-{}&state={state}", user.login), "");
        assert_eq!(back.status, 303, "{}", back.body);
        browser
    }

    pub fn ask(&mut self, method: &str, path: &str, body: &str) -> Answer {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let (cookies, origin) = (cookies.join("; "), format!("http://{}", self.snowgate.address()));
        let mut headers = vec![("cookie", cookies.as_str()), ("origin", origin.as_str()), ("x-forwarded-for", "10.0.0.7")];
        if method == "POST" {
            headers.push(("content-type", "application/x-www-form-urlencoded"));
        }
        let answer = http::request(self.snowgate.address(), method, path, &headers, body).unwrap();
        for cookie in answer.headers("set-cookie") {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        answer
    }

    /// The form of a page, with these fields beside what it carries.
    pub fn press(&mut self, page: &str, action: &str, fields: &str) -> Answer {
        let page = self.ask("GET", page, "").body;
        let form = page.split("<form").find(|form| form.contains(&format!("/{action}\"")));
        let form = form.unwrap_or_else(|| panic!("no form for {action} in {page}"));
        let form = form.split("</form>").next().unwrap();
        let value = |name: &str| {
            let found = form.split(&format!("name=\"{name}\" value=\"")).nth(1);
            found.map(|rest| rest.split('"').next().unwrap().to_owned()).unwrap_or_default()
        };
        let path = form.split("action=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        self.ask("POST", &path, &format!("csrf={}&head={}&{fields}", value("csrf"), value("head")))
    }
}
