//! What a curator decides, in their own name on GitHub.

use crate::appliance::{Appliance, Place};
use crate::chromium::{Browser, Look, Scripts};
use crate::double::{GitHub, Hosted, INES};
use crate::everybody::look_at;
use crate::{LIB, axe, rows};

/// To GitHub, where she agreed before, and back.
fn signs_in(browser: &Browser, snowgate: &Appliance<'_>) {
    browser.go(&snowgate.url("/"));
    browser.click(".sign-in");
    browser.until_says(".bar", INES.login);
}

/// A pull request that is reviewed.
fn opened(github: &GitHub<'_>, packages: &Hosted<'_>, snowgate: &Appliance<'_>, branch: &str, script: &str) -> (u64, String) {
    let head = packages.work.branch(branch, &[("lib", script)]);
    let number = packages.open(branch);
    github.deliver(snowgate, "pull_request", &packages.pull_event("opened", number));
    snowgate.reviewed(branch, &head);
    (number, head)
}

#[test]
fn a_change_is_approved_on_its_page_and_merged_from_the_list() {
    let place = Place::new();
    let github = GitHub::start(&place);
    std::fs::write(place.path("client-secret"), "s3cret-of-the-client").unwrap();
    github.also(&format!(
        "client_id = \"Iv1.0123456789abcdef\"\nclient_secret_file = \"{}\"",
        place.path("client-secret").display()
    ));
    let packages = github.repository("us/packages");
    packages.work.packages(&[LIB]);
    packages.work.commit("a package");
    packages.push("main");
    let snowgate = place.serve();
    snowgate.until("the repository is read", || {
        let repositories = snowgate.json("/api/repositories");
        repositories.as_array().unwrap().iter().any(|row| row["read_at"].is_string()).then_some(())
    });
    let (number, head) = opened(&github, &packages, &snowgate, "change", "echo lib 2 > $out");

    let browser = Browser::open(Scripts::Run);
    signs_in(&browser, &snowgate);
    let mut found = Vec::new();
    look_at(&browser, "sessions", &snowgate.url("/sessions"), &mut found);
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
    browser.looks(1280, Look::Light);
    browser.go(&snowgate.url(&format!("/r/us/packages/pull/{number}")));
    browser.click("#deed-approve summary");
    browser.type_into("#deed-approve textarea", "Looks good.");
    // what is written and not sent is not taken away by what happens meanwhile
    browser.run("document.activeElement.blur(); return refresh();");
    assert_eq!(browser.value("document.querySelector('#deed-approve textarea').value"), "Looks good.");
    browser.keep("review-approve-light-1280");
    assert_eq!(axe::violations(&browser), Vec::<String>::new());
    browser.click("#deed-approve form button");
    browser.until_says("h1", "change");
    assert_eq!(packages.judged(), [format!("ines APPROVE {head}: Looks good.")]);

    browser.go(&snowgate.url("/"));
    let ready = rows(&browser, "#ready");
    assert!(ready.len() == 1 && ready[0].contains("change"), "{ready:?}");
    browser.click("#ready button");
    browser.until_says("h1", "Pull requests");
    assert_eq!(browser.at(), "/");
    let merged = packages.merged();
    assert!(merged.len() == 1 && merged[0].contains(&format!(" {number} by ines")), "{merged:?}");
}
