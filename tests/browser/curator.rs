//! What a curator does all day.

use fantoccini::key::Key;
use serde_json::json;

use crate::appliance::Place;
use crate::chromium::{Browser, Scripts};
use crate::{LIB, reviewed, rows};

#[test]
fn from_the_list_it_is_one_click_to_the_line_that_decides() {
    let place = Place::new();
    let snowgate = reviewed(&place);
    let browser = Browser::open(Scripts::Run);
    browser.go(&snowgate.url("/"));
    let ready = rows(&browser, "#ready");
    assert!(ready.len() == 1 && ready[0].contains("good") && ready[0].contains("mergeable"), "{ready:?}");
    let others = rows(&browser, "#list");
    assert!(others.len() == 1 && others[0].contains("bad") && others[0].contains("blocked"), "{others:?}");

    browser.click("#list a.chip.bad");
    assert_eq!(browser.at(), format!("{}#failures", snowgate.pull_path("bad")));
    browser.until_says("#failures", "parse.c:114:9: error: unknown field");
    let in_sight = "(() => { const box = document.querySelector('#failures .log').getBoundingClientRect(); \
                    return box.top >= 0 && box.top < innerHeight; })()";
    assert_eq!(browser.value(in_sight), true, "the line is in sight");

    // and from there to the whole log, at that line
    browser.click("#failures .failure-head a[data-go]");
    browser.until_says("#log", "parse.c:114:9: error: unknown field");
    assert!(browser.at().starts_with("/drv/") && browser.at().contains("#L"), "{}", browser.at());
    browser.until_says("li:target", "error");
}

#[test]
fn lists_are_narrowed_and_trees_opened_without_loading_the_page_again() {
    let place = Place::new();
    let snowgate = reviewed(&place);
    let browser = Browser::open(Scripts::Run);
    let is_the_same = |browser: &Browser| browser.value("window.same") == true;
    browser.go(&snowgate.url("/"));
    browser.run("window.same = true");
    browser.type_into("#q", "bad");
    browser.until_says("#list", "blocked");
    browser.until_gone("#ready [data-row]");
    assert!(is_the_same(&browser) && browser.at().contains("q=bad"), "{}", browser.at());
    assert_eq!(browser.value("[document.activeElement.id, document.activeElement.value]"), json!(["q", "bad"]));

    browser.go(&snowgate.url(&snowgate.pull_path("bad")));
    browser.run("window.same = true");
    assert_eq!(browser.count("#packages [data-row]"), 2);
    browser.type_into("#packages input[type=search]", "app");
    browser.until_says("#packages .panel-head", "1 of 2");
    assert!(is_the_same(&browser) && browser.count("#packages [data-row]") == 1);
    // away from below the tabs, which stay in sight
    browser.run("scrollTo(0, 0)");
    browser.click("#failures a.opener");
    browser.until_says("#failures details.step", "app");
    assert!(is_the_same(&browser));
}

#[test]
fn the_list_and_the_review_follow_what_happens() {
    let place = Place::new();
    let gate = place.gate("gate");
    let sample = place.repository("sample");
    sample.packages(&[LIB]);
    sample.commit("a package");
    let snowgate = place.serve();
    let browser = Browser::open(Scripts::Run);
    browser.go(&snowgate.url("/"));
    browser.until_says("#list", "No pull request is open.");
    browser.until_says("#live-state", "live");
    let head = sample.branch("change", &[("lib", &format!("{}; echo lib 2 > $out", gate.wait()))]);
    browser.until_says("#list", "building");

    browser.follow("change");
    browser.until_says("#verdict", "Under way");
    browser.until_says("#live-state", "live");
    gate.open();
    browser.until_says("#verdict", "Mergeable");
    browser.until_says("#actions", "Run again");
    snowgate.reviewed("change", &head);
}

#[test]
fn everything_can_be_reached_from_the_keyboard() {
    let place = Place::new();
    let snowgate = reviewed(&place);
    let browser = Browser::open(Scripts::Run);
    browser.go(&snowgate.url("/"));
    browser.press("j");
    browser.until_says(".here", "good");
    browser.press("j");
    browser.until_says(".here", "bad");
    browser.press("k");
    browser.until_says(".here", "good");
    browser.press("j");
    browser.press_key(Key::Enter);
    browser.until_says("h1", "bad");

    browser.press("?");
    browser.until_says("dialog[open]", "next, previous row");
    browser.press_key(Key::Escape);
    assert!(!browser.has("dialog[open]"));

    browser.press("/");
    assert_eq!(browser.value("document.activeElement.type"), "search");
    browser.press("app");
    browser.press_key(Key::Enter);
    browser.until_says("#packages", "1 of 2 changes");

    // the first stop of the tabulator leads past the head of the page
    browser.go(&snowgate.url("/"));
    browser.press_key(Key::Tab);
    assert_eq!(browser.value("document.activeElement.className"), "skip");
}

#[test]
fn a_visitor_without_scripts_reads_searches_and_orders() {
    let place = Place::new();
    let snowgate = reviewed(&place);
    let browser = Browser::open(Scripts::Off);
    browser.go(&snowgate.url("/"));
    assert!(!browser.has("html.scripted"));
    assert!(browser.text("#ready").contains("good"));
    browser.type_into("#q", "bad");
    browser.click(".filters form button");
    assert!(browser.at().contains("q=bad"), "{}", browser.at());
    assert_eq!(browser.count("[data-row]"), 1);
    browser.click("#list a.chip.bad");
    assert!(browser.text("#failures").contains("parse.c:114:9: error: unknown field"));
    browser.follow("Timeline");
    assert!(browser.at().contains("view=timeline"));
    browser.go(&snowgate.url(&snowgate.pull_path("good")));
    browser.click("#actions button");
    let first = snowgate.pull("good").unwrap()["review"]["id"].clone();
    assert_eq!(browser.at(), snowgate.pull_path("good"));
    snowgate.until("it is reviewed again", || {
        let pull = snowgate.pull("good")?;
        (pull["review"]["state"] == "complete").then_some(())
    });
    assert!(first.is_string());
}
