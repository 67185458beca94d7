//! Snowgate as people use it: Chromium, the really served appliance, real reviews of real builds.

#[path = "../support/appliance.rs"]
mod appliance;
mod axe;
mod chromium;
mod curator;
mod deeds;
#[path = "../github/double/mod.rs"]
#[allow(dead_code, reason = "the stories of GitHub use all of it")]
mod double;
mod everybody;
mod logs;
#[path = "../support/scale.rs"]
mod scale;

use appliance::{Appliance, Place};
use chromium::Browser;

const LIB: (&str, &str) = ("lib", "echo lib > $out");
const APP: (&str, &str) = ("app", "echo app ${lib} > $out");

impl Appliance<'_> {
    /// Where a browser finds this path.
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// The page of a branch's pull request.
    fn pull_path(&self, branch: &str) -> String {
        self.pull(branch).unwrap()["url"].as_str().unwrap().to_owned()
    }
}

/// A package set with a change that is good and one that breaks a library: both reviewed.
fn reviewed(place: &Place) -> Appliance<'_> {
    let sample = place.repository("sample");
    sample.packages(&[LIB, APP, ("other", "echo other > $out")]);
    sample.commit("three packages");
    let good = sample.branch("good", &[("other", "echo other 2 > $out")]);
    let script = "echo compiling; echo 'parse.c:114:9: error: unknown field' >&2; echo 'make: *** [all] Error 1' >&2; exit 1";
    let bad = sample.branch("bad", &[("lib", script)]);
    let snowgate = place.serve();
    snowgate.reviewed("good", &good);
    snowgate.reviewed("bad", &bad);
    snowgate
}

/// The words of a list, a row each.
fn rows(browser: &Browser, part: &str) -> Vec<String> {
    let rows = browser.value(&format!("[...document.querySelectorAll('{part} [data-row]')].map(row => row.innerText)"));
    rows.as_array().unwrap().iter().map(|row| row.as_str().unwrap().to_owned()).collect()
}
