//! The registration of the App in one click.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::appliance::Place;
use crate::double::{GitHub, SECRET, described};
use crate::{MERGEABLE, accepted, decision, packages};

#[test]
fn one_click_makes_the_app_and_its_secrets_are_on_no_page() {
    let place = Place::new();
    let github = GitHub::run(&place);
    let packages = packages(&github);
    let snowgate = place.serve();
    let ping = github.deliver_as(&snowgate, "1", "ping", "{}", SECRET);
    assert_eq!(ping.status, 501, "{}", ping.body);

    let page = snowgate.get("/setup/github");
    assert_eq!(page.status, 200);
    let cookie = page.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let state = cookie.split('=').nth(1).unwrap().to_owned();
    let text = page.body.replace("&quot;", "\"").replace("&amp;", "&");
    assert!(text.contains(&format!("/settings/apps/new?state={state}")), "{text}");
    let manifest = &text[text.find("value=\"{").unwrap() + "value=\"".len()..];
    let manifest = serde_json::Deserializer::from_str(manifest).into_iter::<Value>().next().unwrap().unwrap();
    for (permission, level) in manifest["default_permissions"].as_object().unwrap() {
        let levels = &described::permissions()[permission]["enum"];
        assert!(levels.as_array().is_some_and(|levels| levels.contains(level)), "{permission}: {levels}");
    }
    assert_eq!(manifest["default_permissions"]["checks"], "write", "{manifest:#}");
    assert!(manifest["hook_attributes"]["url"].as_str().unwrap().ends_with("/webhooks/github"), "{manifest:#}");
    assert!(page.header("content-security-policy").unwrap().contains("form-action 'self' http://127.0.0.1:"));

    let back = |query: &str, cookie: &str| {
        let headers = [("cookie", cookie)];
        let path = format!("/setup/github/callback?{query}");
        crate::appliance::http::request(snowgate.address(), "GET", &path, &headers, "").unwrap()
    };
    // begun elsewhere; a code that is none
    assert_eq!(back(&format!("code=a-good-code&state={state}"), "snowgate_setup=0123456789abcdef0123456789abcdef").status, 403);
    assert_eq!(back(&format!("code=a-good-code&state={state}"), "a=b").status, 403);
    let refused = back(&format!("code=a-bad-code&state={state}"), &cookie);
    assert_eq!(refused.status, 409);
    assert!(refused.body.contains("begin the registration again at /setup/github"), "{}", refused.body);
    assert!(back("code=a-bad-code", &cookie).body.contains("Begin the registration again at /setup/github"));
    let file = place.path("state").join("github/app.json");
    assert!(!file.exists());

    let registered = back(&format!("code=a-good-code&state={state}"), &cookie);
    assert_eq!(registered.status, 200, "{}", registered.body);
    assert!(registered.body.contains("the-gate") && registered.body.contains("/installations/new"), "{}", registered.body);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let head = packages.work.branch("change", &[("lib", "echo lib 2 > $out")]);
    let number = packages.open("change");
    accepted(&github.deliver(&snowgate, "pull_request", &packages.pull_event("opened", number)));
    assert_eq!(decision(&snowgate.reviewed("change", &head)), MERGEABLE);

    // once is enough
    assert_eq!(back(&format!("code=a-good-code&state={state}"), &cookie).status, 409);
    for shown in [registered.body.clone(), snowgate.page("/setup/github"), snowgate.page("/settings"), snowgate.said()] {
        for secret in [SECRET, "s3cret-of-the-client", "PRIVATE KEY", "ghs_"] {
            assert!(!shown.contains(secret), "{secret}: {shown}");
        }
    }
    // and for ever
    let (status, _) = snowgate.stop();
    assert!(status.success());
    let snowgate = place.serve();
    accepted(&github.deliver(&snowgate, "pull_request", &packages.pull_event("edited", number)));
}
