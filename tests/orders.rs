//! The pages of the queue, of builders and of a derivation, and their buttons, in the appliance as its users meet it.

#[path = "support/appliance.rs"]
mod appliance;

use appliance::http::Answer;
use appliance::{Appliance, Place};
use serde_json::{Value, json};

/// A page in a browser, with what it was given to post its forms.
struct Browser<'a> {
    snowgate: &'a Appliance<'a>,
    page: String,
    cookie: String,
    token: String,
}

impl<'a> Browser<'a> {
    fn open(snowgate: &'a Appliance<'a>, address: &str) -> Self {
        let answer = snowgate.get(address);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let token = cookie.split('=').nth(1).unwrap().to_owned();
        Self { snowgate, page: answer.body, cookie, token }
    }

    fn says(&self, words: &[&str]) {
        for words in words {
            assert!(self.page.contains(words), "no {words} in {}", self.page);
        }
    }

    /// Presses the button that orders this, and follows where it leads.
    fn press(self, action: &str) -> Self {
        self.says(&[&format!("action=\"{action}\"")]);
        let back = if self.page.contains("name=\"back\" value=\"queue\"") { "&back=queue" } else { "" };
        let answer = self.post(action, &format!("csrf={}{back}", self.token));
        assert_eq!(answer.status, 303, "{}", answer.body);
        Self::open(self.snowgate, answer.header("location").unwrap())
    }

    fn post(&self, action: &str, form: &str) -> Answer {
        let headers = [("cookie", &*self.cookie), ("accept", "text/html"), ("content-type", "application/x-www-form-urlencoded")];
        self.snowgate.post(action, &headers, form)
    }
}

fn waiting(snowgate: &Appliance<'_>, package: &str) -> Option<Value> {
    let queue = snowgate.json("/api/queue/packages");
    queue["waiting"].as_array().unwrap().iter().find(|waiting| waiting["name"] == package).cloned()
}

fn decision(report: &Value) -> &str {
    report["verdict"]["decision"].as_str().unwrap()
}

fn review_of(snowgate: &Appliance<'_>, branch: &str) -> Option<String> {
    Some(snowgate.pull(branch)?["review"]["id"].as_str()?.to_owned())
}

#[test]
fn a_drained_builder_takes_nothing_until_it_may_also_after_a_kill() {
    let place = Place::new();
    let sample = place.repository("sample");
    sample.packages(&[("lib", "echo lib > $out"), ("app", "echo ${lib} > $out")]);
    sample.commit("packages");
    let snowgate = place.serve();
    let is = |snowgate: &Appliance<'_>, state: &str| (snowgate.json("/api/builders")[0]["state"] == state).then_some(());
    snowgate.until("the builder is there", || is(&snowgate, "ready"));
    let builders = Browser::open(&snowgate, "/builders");
    builders.says(&["Nothing was built yet.", "ready"]);
    assert_eq!(builders.post("/api/builders/local/drain", "").status, 403, "a form of another page");
    builders.press("/api/builders/local/drain").says(&["draining", "takes nothing, and nothing runs", "Let it build"]);

    let head = sample.branch("change", &[("lib", "echo lib 2 > $out")]);
    let drained = json!({"for": "builder", "features": [], "away": [{"name": "local", "state": "draining", "reason": null}]});
    let waits = |snowgate: &Appliance<'_>| {
        let lib = snowgate.until("lib waits", || waiting(snowgate, "lib"));
        assert_eq!(lib["wait"], drained, "{lib:#}");
        let app = waiting(snowgate, "app").unwrap();
        assert_eq!(app["wait"], json!({"for": "dependency", "drv": lib["drv"], "state": "ready"}), "{app:#}");
        let link = "<a href=\"/builders#local\">local</a> is drained";
        Browser::open(snowgate, "/queue").says(&["Nothing is being built.", link, "which is ready", "local/sample#1"]);
    };
    waits(&snowgate);
    snowgate.kill();

    let snowgate = place.serve();
    assert_eq!(snowgate.json("/api/builders")[0]["state"], "draining");
    waits(&snowgate);
    Browser::open(&snowgate, "/builders").press("/api/builders/local/undrain").says(&["ready"]);
    assert_eq!(decision(&snowgate.reviewed("change", &head)), "mergeable");
    Browser::open(&snowgate, "/builders").says(&["the newest ", "lib"]);
    snowgate.kill();
    let snowgate = place.serve();
    snowgate.until("it is not drained", || is(&snowgate, "ready"));
}

#[test]
fn a_failure_is_built_again_by_one_click() {
    let place = Place::new();
    let marker = place.path("marker");
    let sample = place.repository("sample");
    sample.packages(&[("lib", "echo lib > $out")]);
    sample.commit("a package");
    let script = format!("test -e {} || {{ echo no luck; exit 1; }}; echo lib 2 > $out", marker.display());
    let head = sample.branch("change", &[("lib", &script)]);
    let snowgate = place.serve();
    let report = snowgate.reviewed("change", &head);
    assert_eq!(decision(&report), "blocked", "{report:#}");
    let first = report["id"].as_str().unwrap();
    let drv = report["failures"][0]["drv"].as_str().unwrap().rsplit('/').next().unwrap();

    let page = Browser::open(&snowgate, &format!("/drv/{drv}"));
    page.says(&["That is remembered", "Build again", "no luck", "Builder"]);
    std::fs::write(&marker, "").unwrap();
    page.press(&format!("/api/derivations/{drv}/retry"));
    let again = snowgate.until("another review", || review_of(&snowgate, "change").filter(|review| review != first));
    let report = snowgate.reviewed("change", &head);
    assert_eq!((decision(&report), report["id"].as_str()), ("mergeable", Some(again.as_str())), "{report:#}");
    let attempts = snowgate.json(&format!("/api/derivations/{drv}"))["attempts"].clone();
    let outcomes: Vec<_> = attempts.as_array().unwrap().iter().map(|attempt| &attempt["outcome"]).collect();
    assert_eq!(outcomes, ["succeeded", "failed"], "{attempts:#}");
    assert!(!snowgate.page(&format!("/drv/{drv}")).contains("That is remembered"));
}

#[test]
fn a_review_is_built_first_when_somebody_says_so() {
    let place = Place::new();
    let gate = place.gate("gate");
    let sample = place.repository("sample");
    sample.packages(&[]);
    sample.commit("nothing");
    let script = format!("{}; echo > $out", gate.wait());
    let many = ["a", "b", "c", "d", "e"].map(|name| (name, &*script));
    let many_head = sample.branch("many", &many);
    let snowgate = place.serve();
    snowgate.until("two are being built", || (snowgate.json("/api/queue/stats")["running"] == 2).then_some(()));
    let few_head = sample.branch("few", &[("few", &script)]);
    let few = snowgate.until("few waits", || waiting(&snowgate, "few"));
    assert_eq!(few["wait"], json!({"for": "slot", "lane": "builds", "names": ["local"]}));
    let (many, few) = (review_of(&snowgate, "many").unwrap(), review_of(&snowgate, "few").unwrap());
    let first = || snowgate.json("/api/queue/packages")["waiting"][0]["reviews"].clone();
    assert_eq!(first(), json!([few]), "the smaller review");

    let queue = Browser::open(&snowgate, "/queue");
    queue.says(&["all are taken on", "not known: its first build", "0 of 5 derivations"]);
    queue.press(&format!("/api/reviews/{many}/bump")).says(&["goes first", "<h1>Queue"]);
    assert_eq!(first(), json!([many]));
    Browser::open(&snowgate, "/queue").press(&format!("/api/reviews/{few}/cancel")).says(&["<h1>Queue"]);
    assert_eq!(snowgate.reviewed("few", &few_head)["state"], "cancelled");
    gate.open();
    assert_eq!(decision(&snowgate.reviewed("many", &many_head)), "mergeable");
}
