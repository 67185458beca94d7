//! A build's log, while it is looked at.

use crate::LIB;
use crate::appliance::Place;
use crate::chromium::{Browser, Look, Scripts};
use crate::everybody::look_at;

#[test]
fn a_log_grows_while_it_is_looked_at() {
    let place = Place::new();
    let (first, second) = (place.gate("first"), place.gate("second"));
    let sample = place.repository("sample");
    sample.packages(&[LIB]);
    sample.commit("a package");
    let script = format!("echo one; {}; echo two; {}; echo three; exit 1", first.wait(), second.wait());
    let head = sample.branch("change", &[("lib", &script)]);
    let snowgate = place.serve();
    let running = snowgate.building("lib");
    let drv = running["drv"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let browser = Browser::open(Scripts::Run);
    browser.go(&snowgate.url(&format!("/drv/{drv}")));
    browser.until_says("#log", "one");
    browser.until_says("#live-state", "live");
    assert!(!browser.text("#log").contains("two"));
    first.open();
    browser.until_says("#log", "two");
    second.open();
    browser.until_says("#log", "three");
    browser.until_says("#log-end", "The log ends here.");
    browser.until_says("#attempts", "failed");
    snowgate.reviewed("change", &head);
}

#[test]
fn the_phases_of_a_log_fold_while_it_grows() {
    let place = Place::new();
    let gates = ["first", "second", "third"].map(|name| place.gate(name));
    let sample = place.repository("sample");
    sample.packages(&[LIB]);
    sample.commit("a package");
    let phase = |name: &str| format!("echo '@nix {{\"action\":\"setPhase\",\"phase\":\"{name}\"}}' >&2");
    let script = [
        phase("unpackPhase"),
        "echo unpacking".into(),
        gates[0].wait(),
        phase("buildPhase"),
        "echo compiling".into(),
        gates[1].wait(),
        phase("checkPhase"),
        "echo checking".into(),
        gates[2].wait(),
        "echo \"test.c:3:1: error: it does not hold\"; exit 1".into(),
    ];
    let head = sample.branch("change", &[("lib", &script.join("\n"))]);
    let snowgate = place.serve();
    let running = snowgate.building("lib");
    let drv = running["drv"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let browser = Browser::open(Scripts::Run);
    browser.go(&snowgate.url(&format!("/drv/{drv}")));
    browser.until_says("#log", "unpacking");
    browser.until_says("#live-state", "live");

    // a phase that is over folds, for its end is not where things happen
    gates[0].open();
    browser.until_says("#log details[open] summary", "buildPhase");
    browser.until_says("#log", "compiling");
    assert!(!browser.text("#log").contains("unpacking"), "{}", browser.text("#log"));
    // what is unfolded stays so
    browser.click("#log details summary");
    browser.until_says("#log", "unpacking");
    gates[1].open();
    browser.until_says("#log", "checking");
    let seen = browser.text("#log");
    assert!(seen.contains("unpacking") && !seen.contains("compiling"), "{seen}");
    assert_eq!(browser.count("#phases li"), 3);
    let mut found = Vec::new();
    look_at(&browser, "log-live", &snowgate.url(&format!("/drv/{drv}")), &mut found);
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));

    browser.looks(1280, Look::Light);
    browser.go(&snowgate.url(&format!("/drv/{drv}")));
    gates[2].open();
    browser.until_says("#log", "it does not hold");
    browser.until_says("#log-end", "The log ends here.");
    assert!(!browser.has("#log-grows"));
    snowgate.reviewed("change", &head);
    browser.go(&snowgate.url(&format!("/drv/{drv}")));
    browser.click("#to-error");
    browser.until_says("li:target", "it does not hold");
    browser.keep("log-error-light-1280");
}
