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

#[test]
fn a_closure_shows_what_came_and_the_chain_that_keeps_it() {
    let place = Place::new();
    let sample = place.repository("sample");
    let fat = "n=0; while [ $n -lt 2000 ]; do n=$((n + 1)); echo 'a line of a fat library'; done > $out";
    sample.packages(&[("fat", fat), ("lib", "echo lib > $out"), ("app", "echo app ${lib} > $out"), ("same", "echo same > $out")]);
    sample.commit("four packages");
    let head = sample.branch("grow", &[("lib", "echo lib ${fat} > $out")]);
    let snowgate = place.serve();
    let report = snowgate.reviewed("grow", &head);
    let id = report["id"].as_str().unwrap();

    let url = snowgate.pull("grow").unwrap()["url"].as_str().unwrap().to_owned();
    let page = snowgate.page(&format!("{url}?view=closures"));
    assert!(page.contains("2 of 2 changed attributes built on both sides"), "{page}");
    assert!(page.contains("<span class=\"plus\">+ came</span> <span class=\"mono\">fat</span>"), "{page}");
    let by_name = snowgate.page(&format!("{url}?view=closures&order=name"));
    assert!(by_name.find(">app</a>").unwrap() < by_name.find(">lib</a>").unwrap());
    let one = snowgate.page(&format!("{url}{}", link(&page, "data-go", "?view=closures&amp;system=")));
    let chain = snowgate.page(&link(&one, ">fat</span>", "/reviews/"));
    assert!(chain.contains("The shortest chain of references") && chain.contains("refers to"), "{chain}");
    assert!(chain.find("-lib</code>").unwrap() < chain.rfind("-fat</code>").unwrap(), "{chain}");
    let no_such = format!("/reviews/{id}/chain?side=head&jobset=default&system=x86_64-linux&attr=nothing&path=x");
    assert_eq!(snowgate.get(&no_such).status, 404);
    assert_eq!(snowgate.get(&format!("{url}?view=closures&order=sideways")).status, 400);
}

#[test]
fn a_source_that_was_silently_replaced_is_said_loudly() {
    let place = Place::new();
    let sample = place.repository("sample");
    let package = |content: &str, hash: &str, meta: &str| {
        format!(
            r#"
            let
              src = derivation {{
                name = "foo-1.0.tar.gz"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo {content} > $out" ];
                url = "https://example.org/foo-1.0.tar.gz"; outputHashAlgo = "sha256"; outputHashMode = "flat"; outputHash = "{hash}";
              }};
            in {{
              foo = derivation {{ name = "foo-1.0"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo ${{src}} > $out" ]; }}
                // {{ meta = {meta}; }};
            }}
            "#
        )
    };
    let a = "87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7";
    let b = "0263829989b6fd954f72baaf2fc64bc2e2f01d692d4de72986ea808f6e99813f";
    sample.write("default.nix", &package("a", a, r#"{ license = { spdxId = "MIT"; }; maintainers = [ { github = "ada"; } ]; }"#));
    sample.commit("a package with a source");
    sample.git(&["switch", "--quiet", "--create", "sly", "main"]);
    sample.write(
        "default.nix",
        &package("b", b, r#"{ license = { spdxId = "GPL-3.0-only"; }; broken = false; insecure = true; }"#),
    );
    let head = sample.commit("nothing to see");
    sample.git(&["switch", "--quiet", "main"]);
    let snowgate = place.serve();
    let report = snowgate.reviewed("sly", &head);

    let reasons = report["verdict"]["reasons"].as_array().unwrap();
    let loud = reasons.iter().find(|reason| reason["code"] == "source_hash_changed").unwrap_or_else(|| panic!("{report:#}"));
    assert_eq!((loud["level"].as_str(), &loud["attrs"]), (Some("warn"), &serde_json::json!(["foo"])));
    assert_eq!(report["sources"][0]["head_hash"], b, "{report:#}");
    let url = snowgate.pull("sly").unwrap()["url"].as_str().unwrap().to_owned();
    assert!(snowgate.page(&url).contains("its hash changed, and neither its address nor the version did"));
    let page = snowgate.page(&format!("{url}?view=metadata"));
    for text in [a, b, "https://example.org/foo-1.0.tar.gz", "MIT</span> → <span>GPL-3.0-only", "maintainers", "insecure"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    let insecure = snowgate.page(&format!("{url}?view=metadata&field=insecure"));
    assert!(!insecure.contains("GPL-3.0-only") && insecure.contains(">foo</a>"), "{insecure}");
}

#[test]
fn an_evaluation_error_leads_to_its_line_in_the_diff() {
    let place = Place::new();
    let sample = place.repository("sample");
    sample.packages(&[("lib", "echo lib > $out"), ("app", "echo app ${lib} > $out")]);
    sample.commit("two packages");
    sample.git(&["switch", "--quiet", "--create", "typo", "main"]);
    sample.write("lib.pkg", "set:\nset.libb\n");
    let head = sample.commit("a typo");
    sample.git(&["switch", "--quiet", "main"]);
    let snowgate = place.serve();
    let report = snowgate.reviewed("typo", &head);
    let error = &report["eval_errors"][0];
    assert_eq!((error["status"].as_str(), error["position"]["line"].as_u64()), (Some("new"), Some(2)), "{error:#}");
    let url = snowgate.pull("typo").unwrap()["url"].as_str().unwrap().to_owned();
    let page = snowgate.page(&url);
    let line = link(&page, "id=\"errors\"", "?view=diff");
    let (tab, anchor) = line.split_once('#').unwrap();
    let diff = snowgate.page(&format!("{url}{tab}"));
    let at = &diff[diff.find(&format!("id=\"{anchor}\"")).unwrap_or_else(|| panic!("{anchor} is not on {diff}"))..];
    assert!(at[..at.find("</tr>").unwrap()].contains("libb"), "{at}");
}
