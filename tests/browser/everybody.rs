//! Each page for everybody: in light and dark, on a telephone and on a desk, for those who hear it and those who can't hold a mouse.

use serde_json::Value;
use snowgate::config::StateDir;

use crate::appliance::Place;
use crate::chromium::{Browser, Look, Scripts};
use crate::{axe, reviewed, rows, scale};

const LOOKS: [(u32, Look); 5] =
    [(1280, Look::Light), (1280, Look::Dark), (360, Look::Light), (360, Look::Dark), (2560, Look::Light)];

/// A page that is wider than the window hides something.
fn is_cut(browser: &Browser) -> bool {
    browser.value("document.documentElement.scrollWidth > innerWidth").as_bool().unwrap()
}

/// Keeps pictures of the page, and finds what is wrong with it in any look.
pub fn look_at(browser: &Browser, name: &str, address: &str, found: &mut Vec<String>) {
    for (width, look) in LOOKS {
        browser.looks(width, look);
        browser.go(address);
        let at = format!("{name}, {} px, {}", width, look.word());
        browser.keep(&format!("{name}-{}-{width}", look.word()));
        found.extend(axe::violations(browser).into_iter().map(|violation| format!("{at}: {violation}")));
        if is_cut(browser) {
            found.push(format!("{at}: is wider than its window"));
        }
    }
}

#[test]
fn no_page_keeps_anybody_out() {
    let place = Place::new();
    let snowgate = reviewed(&place);
    let pull = snowgate.pull_path("bad");
    let report = snowgate.json(&format!("/api/reviews/{}", snowgate.pull("bad").unwrap()["review"]["id"].as_str().unwrap()));
    let drv = report["failures"][0]["drv"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let review = report["id"].as_str().unwrap();
    let browser = Browser::open(Scripts::Run);
    browser.go(&snowgate.url(&pull));
    let tabs = browser.value("[...document.querySelectorAll('#tabs a')].map(tab => tab.getAttribute('href'))");
    let mut pages: Vec<(String, String)> = [
        ("list", "/".to_owned()),
        ("list-filtered", "/?verdict=blocked".to_owned()),
        ("list-empty", "/?q=nothing".to_owned()),
        ("derivation", format!("/drv/{drv}")),
        ("derivation-found", format!("/drv/{drv}?find=error")),
        ("tree", format!("/reviews/{review}/tree/{drv}")),
        ("search", "/search".to_owned()),
        ("search-found", "/search?q=lib".to_owned()),
        ("search-nothing", "/search?q=nothing".to_owned()),
        ("packages-by-build", format!("{pull}?sort=build")),
        ("queue", "/queue".to_owned()),
        ("builders", "/builders".to_owned()),
        ("settings", "/settings".to_owned()),
        ("repository", "/r/local/sample".to_owned()),
        ("branch", "/r/local/sample/branch/main".to_owned()),
        ("branch-attribute", "/r/local/sample/branch/main?attr=lib".to_owned()),
        ("setup", "/setup/github".to_owned()),
        ("not-found", "/nowhere".to_owned()),
    ]
    .map(|(name, path)| (name.to_owned(), path))
    .into();
    for tab in tabs.as_array().unwrap().iter().filter_map(Value::as_str) {
        let name = tab.rsplit_once("view=").map_or("review", |(_, name)| name);
        pages.push((format!("review-{name}"), format!("{pull}{tab}")));
    }
    let mut found = Vec::new();
    for (name, path) in &pages {
        look_at(&browser, name, &snowgate.url(path), &mut found);
    }
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
}

#[test]
fn ten_thousand_changes_are_read_like_ten() {
    let place = Place::new();
    place.serves("scale");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(scale::furnish(
        &StateDir::new(place.path("state")),
        &place.path("scale"),
        &"local/scale".into(),
        30,
        10_000,
    ));
    let snowgate = place.serve();
    let browser = Browser::open(Scripts::Run);
    let mut found = Vec::new();
    look_at(&browser, "scale-list", &snowgate.url("/"), &mut found);
    look_at(&browser, "scale-review", &snowgate.url("/r/local/scale/pull/1"), &mut found);
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));

    browser.looks(1280, Look::Light);
    browser.go(&snowgate.url("/r/local/scale/pull/1"));
    assert_eq!(rows(&browser, "#packages").len(), 100);
    browser.until_says("#packages .pager", "1–100 of 10,000 changes");
    browser.click("#packages a[rel=next]");
    browser.until_says("#packages .pager", "101–200 of 10,000 changes");
    browser.type_into("#packages input[type=search]", "lib tls\n");
    browser.until_says("#packages", "of 10,000 changes");
    assert!(browser.at().contains("q=lib+tls") || browser.at().contains("q=lib%20tls"), "{}", browser.at());
    let found = rows(&browser, "#packages");
    assert!(!found.is_empty() && found.iter().all(|row| row.contains("tls")), "{found:?}");
    // what steers is in view wherever one reads
    let top = browser.value("document.querySelector('.steer').getBoundingClientRect().top");
    assert!((0.0..60.0).contains(&top.as_f64().unwrap()), "{top}");
}
