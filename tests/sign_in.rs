//! People sign in to `snowgate serve`, the real program.

#[path = "support/appliance.rs"]
mod appliance;
#[path = "support/oauth.rs"]
mod oauth;

use std::collections::BTreeMap;

use appliance::http::{self, Answer};
use appliance::{Appliance, Place};
use oauth::GitHub;

const ANN: u64 = 583_231;
const BOB: u64 = 1_024_025;

/// A browser with what it carries.
#[derive(Default)]
struct Browser {
    cookies: BTreeMap<String, String>,
}

impl Browser {
    fn ask(&mut self, snowgate: &Appliance<'_>, method: &str, path: &str, body: &str) -> Answer {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let (cookies, origin) = (cookies.join("; "), format!("http://{}", snowgate.address()));
        // by way of a proxy: nobody here is a user of this machine
        let mut headers = vec![("cookie", cookies.as_str()), ("origin", origin.as_str()), ("accept", "text/html")];
        headers.push(("x-forwarded-for", "10.0.0.7"));
        let answer = http::request(snowgate.address(), method, path, &headers, body).unwrap();
        for cookie in answer.headers("set-cookie") {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        answer
    }

    fn get(&mut self, snowgate: &Appliance<'_>, path: &str) -> Answer {
        self.ask(snowgate, "GET", path, "")
    }

    /// The button of a page that has one: the form's action, and its token.
    fn press(&mut self, snowgate: &Appliance<'_>, page: &str, action: &str) -> Answer {
        let page = self.get(snowgate, page).body;
        let form = page.split("<form").find(|form| form.contains(&format!("action=\"{action}\"")));
        let form = form.unwrap_or_else(|| panic!("no form for {action} in {page}"));
        let token = form.split("name=\"csrf\" value=\"").nth(1).unwrap()[..32].to_owned();
        self.ask(snowgate, "POST", action, &format!("csrf={token}"))
    }

    fn signs_in(&mut self, snowgate: &Appliance<'_>, github: &GitHub, person: u64) {
        let away = self.get(snowgate, "/auth/github/login?return=%2Fqueue");
        assert_eq!(away.status, 303, "{}", away.body);
        let back = github.visited_by(Some(person), away.header("location").unwrap());
        let here = self.get(snowgate, back.strip_prefix(&format!("http://{}", snowgate.address())).unwrap());
        assert_eq!((here.status, here.header("location")), (303, Some("/queue")), "{}", here.body);
    }
}

/// A place whose people sign in; Ann administers it.
fn place(github: &GitHub) -> Place {
    github.person(ANN, "ann");
    github.person(BOB, "bob");
    let place = Place::new();
    std::fs::write(place.path("client-secret"), oauth::CLIENT_SECRET).unwrap();
    place.build(&format!(
        "\n[github]\nweb_url = \"{}\"\napi_url = \"{}\"\nclient_id = \"{}\"\nclient_secret_file = \"{}\"\n\n[sign_in]\nadministrators = [{ANN}]\n",
        github.web_url(),
        github.api_url(),
        oauth::CLIENT_ID,
        place.path("client-secret").display(),
    ));
    place
}

#[test]
fn a_session_outlives_the_program_and_no_secret_is_said() {
    let github = GitHub::start();
    let place = place(&github);
    place.repository("sample").packages(&[("lib", "echo lib > $out")]);
    place.existing("sample").commit("a package");
    let head = place.existing("sample").branch("change", &[("lib", "echo lib 2 > $out")]);
    let (mut ann, mut bob) = (Browser::default(), Browser::default());

    let snowgate = place.serve();
    let report = snowgate.reviewed("change", &head);
    let rerun = format!("/api/reviews/{}/rerun", report["id"].as_str().unwrap());
    ann.signs_in(&snowgate, &github, ANN);
    bob.signs_in(&snowgate, &github, BOB);
    let said = snowgate.said();
    snowgate.stop();

    let snowgate = place.serve();
    assert!(ann.get(&snowgate, "/").body.contains("Signed in as </span>ann"));
    let page = "/r/local/sample/pull/1";
    assert_eq!(bob.press(&snowgate, page, &rerun).status, 403);
    assert_eq!(Browser::default().ask(&snowgate, "POST", &rerun, "csrf=").status, 401);
    let answer = ann.press(&snowgate, page, &rerun);
    assert_eq!((answer.status, answer.header("location")), (303, Some(page)), "{}", answer.body);
    snowgate.until("it is reviewed again", || snowgate.pull("change").filter(|pull| pull["review"]["id"] != report["id"]));
    assert_eq!(ann.press(&snowgate, page, "/auth/sign-out").status, 303);
    assert!(!ann.get(&snowgate, "/").body.contains("Signed in as"));

    let said = said + &snowgate.said();
    for secret in github
        .live_tokens()
        .iter()
        .map(String::as_str)
        .chain([oauth::CLIENT_SECRET])
        .chain(bob.cookies.values().map(String::as_str))
    {
        assert!(secret.is_empty() || !said.contains(secret), "{said}");
    }
}
