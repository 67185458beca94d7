//! What the pages of a review show to decide by: the real program, real git, real Nix, real HTTP.

#[path = "support/appliance.rs"]
mod appliance;

use appliance::{Appliance, Place};
use serde_json::Value;

/// The address in the first link of `page` behind `mark` that begins with `start`.
fn link(page: &str, mark: &str, start: &str) -> String {
    let behind = &page[page.find(mark).unwrap_or_else(|| panic!("{mark} is not on {page}"))..];
    let begin = behind.find(&format!("href=\"{start}")).unwrap_or_else(|| panic!("no link to {start} behind {mark}: {behind}"));
    let href = &behind[begin + "href=\"".len()..];
    href[..href.find('"').unwrap()].replace("&amp;", "&")
}

fn drv<'a>(report: &'a Value, attr: &str) -> &'a str {
    let row = report["changes"].as_array().unwrap().iter().find(|row| row["attr"] == attr).unwrap();
    row["head"]["drv"].as_str().unwrap().rsplit('/').next().unwrap()
}

fn page_of(snowgate: &Appliance, branch: &str) -> String {
    snowgate.page(snowgate.pull(branch).unwrap()["url"].as_str().unwrap())
}

/// Its error is neither at the end of its log nor near it.
const FAILS: &str = "n=0; say() { end=$((n + $1)); while [ $n -lt $end ]; do n=$((n + 1)); echo $n; done; }; say 2500; \
    echo 'foo.c:7:3: error: unknown type <frob>'; say 60; echo 'make: *** [foo.o] Error 1'; exit 1";

#[test]
fn a_failure_is_followed_to_its_line_and_its_tree_from_both_ends() {
    let place = Place::new();
    let sample = place.repository("sample");
    sample.packages(&[
        ("libfoo", "echo libfoo > $out"),
        ("other", "echo other > $out"),
        ("middle", "echo ${libfoo} ${other} > $out"),
        ("app", "echo ${middle} > $out"),
        ("tool", "echo ${libfoo} > $out"),
    ]);
    sample.commit("five packages");
    let head = sample.branch("break", &[("libfoo", FAILS)]);
    let snowgate = place.serve();
    let report = snowgate.reviewed("break", &head);

    let decisive = &report["failures"][0]["decisive"];
    assert_eq!(decisive["at"], 2501, "{decisive:#}");
    let page = page_of(&snowgate, "break");
    let card = &page[page.find("<article").unwrap()..page.find("</article>").unwrap()];
    assert!(card.contains("foo.c:7:3: error: unknown type &lt;frob&gt;"), "{card}");
    assert!(card.contains("builds 4 attributes of these"), "{card}");
    let line = link(card, "failure-head\"", "/drv/");
    let line = link(card, "class=\"end\"", &line[..line.len().min(8)]);
    assert!(line.ends_with("#L2501"), "{line}");
    let log = snowgate.page(line.split('#').next().unwrap());
    let at = &log[log.find("id=\"L2501\"").expect("the line is on that page")..];
    assert!(at[..at.find("</li>").unwrap()].contains("error: unknown type &lt;frob&gt;"));

    // from the cause, one step at a time, each by a plain link
    let tree = snowgate.page(&link(card, "class=\"opener\"", "/reviews/"));
    assert!(tree.contains("What fails because of libfoo") && tree.contains("3 derivations fail because of it"), "{tree}");
    assert!(tree.contains("<b class=\"mono\">middle</b>") && tree.contains("<b class=\"mono\">tool</b>"), "{tree}");
    assert!(!tree.contains("<b class=\"mono\">app</b>"), "that is a step further");
    assert!(!tree.contains("<b class=\"mono\">other</b>"), "that builds");
    let open = link(&tree, "<b class=\"mono\">middle</b>", "/reviews/");
    let opened = snowgate.page(open.split('#').next().unwrap());
    assert!(opened.contains("<b class=\"mono\">app</b>") && opened.contains("\" open><summary>"), "{opened}");

    // from the attribute to the cause, also when the house was opened again
    snowgate.stop();
    let snowgate = place.serve();
    let id = report["id"].as_str().unwrap();
    let why = snowgate.page(&format!("/reviews/{id}/tree/{}?way=needs", drv(&report, "app")));
    assert!(why.contains("Why app fails") && why.contains("<b class=\"mono\">middle</b>"), "{why}");
    let open = link(&why, "<b class=\"mono\">middle</b>", "/reviews/");
    let opened = snowgate.page(open.split('#').next().unwrap());
    let culprit = &opened[opened.find("<b class=\"mono\">libfoo</b>").expect("the culprit")..];
    assert!(link(culprit, "libfoo", &format!("/drv/{}?attempt=", drv(&report, "libfoo"))).ends_with("#L2501"));
    assert_eq!(snowgate.get(&format!("/reviews/{id}/tree/{}", drv(&report, "app").replace("app", "ape"))).status, 404);
    assert_eq!(snowgate.get(&format!("/reviews/{id}/tree/{}?way=up", drv(&report, "app"))).status, 400);
}

#[test]
fn a_failure_of_the_base_tells_since_when() {
    let place = Place::new();
    let sample = place.repository("sample");
    sample.packages(&[("rotten", "echo fine > $out"), ("lib", "echo lib > $out")]);
    let good = sample.commit("all is well");
    let head = sample.branch("first", &[("rotten", "echo 1; exit 1")]);
    let snowgate = place.serve();
    let report = snowgate.reviewed("first", &head);
    assert_eq!(report["counts"]["newly_failing"], 1, "{report:#}");
    snowgate.stop();

    sample.git(&["branch", "--quiet", "-D", "first"]);
    sample.packages(&[("rotten", "echo it rots; exit 1")]);
    sample.commit("rot <b>");
    sample.packages(&[("lib", "echo lib 2 > $out")]);
    let base = sample.commit("something else");
    let head = sample.branch("second", &[("rotten", "echo it rots on; exit 1")]);
    let snowgate = place.serve();
    let report = snowgate.reviewed("second", &head);
    assert_eq!(report["counts"]["still_failing"], 1, "{report:#}");
    let history = &report["failures"][0]["history"];
    // of the commit between them nobody knows anything
    assert_eq!(
        (history["first_broken"]["rev"].as_str(), history["last_good"]["rev"].as_str()),
        (Some(base.as_str()), Some(good.as_str()))
    );
    assert_eq!((history["unknown_between"].as_u64(), history["searched"].as_u64()), (Some(1), Some(3)), "{history:#}");
    let page = page_of(&snowgate, "second");
    assert!(page.contains("last good in") && page.contains("“all is well”") && page.contains("1 commit between them"), "{page}");
}
