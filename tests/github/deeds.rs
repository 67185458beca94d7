//! What people do to pull requests in their own name.

use std::collections::BTreeMap;

use crate::appliance::http::{self, Answer};
use crate::appliance::{Appliance, Place};
use crate::checks::{opened, until_told};
use crate::double::{GitHub, INES, STRANGER, User};
use crate::{accepted, packages, settled};

/// A browser of somebody who is signed in, on another machine.
struct Browser<'a> {
    snowgate: &'a Appliance<'a>,
    cookies: BTreeMap<String, String>,
}

impl<'a> Browser<'a> {
    fn of(user: User, snowgate: &'a Appliance<'a>) -> Self {
        let mut browser = Self { snowgate, cookies: BTreeMap::new() };
        let away = browser.ask("GET", "/auth/github/login?return=%2F", "");
        let away = away.header("location").unwrap();
        let state = away.split(['?', '&']).find_map(|part| part.strip_prefix("state=")).unwrap();
        let back = browser.ask("GET", &format!("/auth/github/callback?code=code-{}&state={state}", user.login), "");
        assert_eq!(back.status, 303, "{}", back.body);
        browser
    }

    fn ask(&mut self, method: &str, path: &str, body: &str) -> Answer {
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
    fn press(&mut self, page: &str, action: &str, fields: &str) -> Answer {
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

#[test]
fn people_approve_and_merge_in_their_own_name_and_githubs_rules_hold() {
    let place = Place::new();
    let github = GitHub::start(&place);
    std::fs::write(place.path("client-secret"), "s3cret-of-the-client").unwrap();
    github.also(&format!(
        "client_id = \"Iv1.0123456789abcdef\"\nclient_secret_file = \"{}\"",
        place.path("client-secret").display()
    ));
    let packages = packages(&github);
    packages.allow_methods([true, true, false]);
    let snowgate = place.serve();
    settled(&snowgate, "us/packages");
    let head = packages.work.branch("change", &[("lib", "echo 2 > $out")]);
    let number = opened(&github, &packages, &snowgate, "change");
    until_told(&snowgate, &packages, &head, "completed success: Mergeable");
    let page = format!("/r/us/packages/pull/{number}");
    let mut ines = Browser::of(INES, &snowgate);
    let mut stranger = Browser::of(STRANGER, &snowgate);

    let answer = ines.press(&page, "approve", "body=Looks+good.");
    assert_eq!(answer.status, 202, "{}", answer.body);
    let answer = stranger.press(&page, "comment", "body=Hm.&report=yes");
    assert_eq!(answer.status, 202, "{}", answer.body);
    let answer = ines.press(&page, "request-changes", "body=");
    assert_eq!(answer.status, 400, "{}", answer.body);
    let judged = packages.judged();
    assert_eq!(judged[0], format!("ines APPROVE {head}: Looks good."));
    assert!(judged[1].starts_with(&format!("stranger COMMENT {head}: Hm.\n\n**Mergeable:**")), "{judged:#?}");
    assert_eq!(judged.len(), 2);

    // GitHub's own rules, in a sentence
    let answer = stranger.press(&page, "merge", "method=merge");
    assert_eq!(answer.status, 409, "{}", answer.body);
    assert!(answer.body.contains("GitHub does not allow it: Must have push access"), "{}", answer.body);
    packages.protect(Some((405, "Required status check \"ci\" is expected.")));
    let answer = ines.press(&page, "merge", "method=merge");
    assert_eq!(answer.status, 409, "{}", answer.body);
    assert!(answer.body.contains("GitHub does not merge it: Required status check"), "{}", answer.body);
    packages.protect(None);

    // decided on a head that is not there any more
    let old = snowgate.pull("change").unwrap()["review"]["id"].as_str().unwrap().to_owned();
    let old_page = ines.ask("GET", &page, "").body;
    let token = old_page.split("name=\"csrf\" value=\"").nth(1).unwrap()[..32].to_owned();
    packages.work.git(&["switch", "--quiet", "change"]);
    packages.work.packages(&[("lib", "echo 3 > $out")]);
    packages.work.commit("more");
    let new = packages.push("change");
    packages.work.git(&["switch", "--quiet", "main"]);
    // GitHub has moved, and nobody told us yet
    let answer = ines.press(&page, "merge", "method=merge");
    assert_eq!(answer.status, 409, "{}", answer.body);
    assert!(answer.body.contains("Its head has moved"), "{}", answer.body);
    accepted(&github.deliver(&snowgate, "pull_request", &packages.pull_event("synchronize", number)));
    until_told(&snowgate, &packages, &new, "completed success: Mergeable");
    let answer = ines.ask("POST", &format!("/api/reviews/{old}/merge"), &format!("csrf={token}&head={head}"));
    assert_eq!(answer.status, 409, "{}", answer.body);
    assert!(answer.body.contains("look at its newest review"), "{}", answer.body);
    assert_eq!(packages.merged(), Vec::<String>::new());

    // what the repository allows, in the words that GitHub would write; they can be altered
    let asked = github.world().asked.len();
    let form = ines.ask("GET", &page, "").body;
    assert!(form.contains("<option value=\"squash\">") && !form.contains("<option value=\"rebase\">"), "{form}");
    assert!(form.contains(&format!("name=\"squash_title\" value=\"Change change (#{number})\"")), "{form}");
    assert!(form.contains(&format!("value=\"Merge pull request #{number} from us/change\"")), "{form}");
    let since = github.world().asked[asked..].to_vec();
    assert!(since.iter().all(|call| call.contains("/check-runs")), "the page asked GitHub: {since:#?}");
    let fields = "method=squash&merge_title=Not+this&squash_title=A+title&squash_message=Why%0D%0Aindeed";
    let answer = ines.press(&page, "merge", fields);
    assert_eq!(answer.status, 202, "{}", answer.body);
    assert_eq!(packages.merged(), [format!("squash {number} by ines: A title\n\nWhy\nindeed")]);
    // nobody in particular does nothing
    let answer =
        Browser { snowgate: &snowgate, cookies: BTreeMap::new() }.ask("POST", &format!("/api/reviews/{old}/approve"), "");
    assert_eq!(answer.status, 401, "{}", answer.body);
    assert!(!snowgate.said().contains("ghu_"), "{}", snowgate.said());
}
