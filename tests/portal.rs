//! What the pages show of real changes, as they are served.

#[path = "support/appliance.rs"]
mod appliance;

use appliance::Place;

const LIB: (&str, &str) = ("lib", "echo lib 1 > $out");

#[test]
fn the_diff_shows_what_would_land_line_by_line() {
    let place = Place::new();
    let sample = place.repository("sample");
    sample.packages(&[LIB]);
    sample.write("flake.lock", "{\n}\n");
    sample.write("old-place.sh", &(0..30).map(|n| format!("echo {n}\n")).collect::<String>());
    sample.write("picture", "\0\u{1}\u{2}");
    sample.commit("a package");
    sample.git(&["switch", "--quiet", "--create", "change"]);
    sample.git(&["mv", "old-place.sh", "new.sh"]);
    sample.write("flake.lock", "{ \"a\": 1 }\n");
    sample.write("picture", "\0\u{3}");
    sample.write("evil<script>.txt", "<script>alert(1)</script>\n");
    sample.write("long.txt", &(0..1_500).map(|n| format!("line {n}\n")).collect::<String>());
    sample.write("huge.txt", &format!("{}\n", "0123456".repeat(1_000)).repeat(500));
    sample.write("one-line.txt", &format!("{}\n", (0..20_000).map(|n| format!("k{n} a")).collect::<String>()));
    sample.write("rows.txt", &"\n".repeat(25_000));
    let change = sample.commit("a change");
    sample.git(&["switch", "--quiet", "main"]);
    // what lands on the base meanwhile is no part of the change
    sample.write("unrelated.md", "unrelated\n");
    sample.commit("something else");
    let snowgate = place.serve();
    snowgate.reviewed("change", &change);
    let url = snowgate.pull("change").unwrap()["url"].as_str().unwrap().to_owned();

    let page = snowgate.page(&format!("{url}?view=diff"));
    assert!(page.contains("old-place.sh</span> → "), "{page}");
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !page.contains("<script>alert"), "{page}");
    assert!(!page.contains("unrelated"), "{page}");
    assert!(page.contains("Written by a program, it seems.") && page.contains("Not text."), "{page}");
    assert!(page.contains("1,500 lines are changed here.") && !page.contains("line 1499"), "{page}");

    let lock = snowgate.page(&format!("{url}?view=diff&file=flake.lock"));
    assert!(lock.contains("All files") && lock.contains("<tr class=\"add\">") && lock.contains("<tr class=\"del\">"), "{lock}");
    assert!(lock.contains("class=\"hn\">1<"), "{lock}");
    let long = snowgate.page(&format!("{url}?view=diff&layout=split&file=long.txt"));
    assert!(long.contains("line 1499"), "{long}");

    // nobody's change makes a page without end; what is left out is said, and where it is
    let shows = |path: &str| format!("git show '{change}:{path}'");
    assert!(page.contains("Too large to be shown: 3") && page.contains(&shows("huge.txt")), "{page}");
    assert!(page.contains("more</span>") && page.contains("Of lines longer than 2,000 bytes the beginning is shown"), "{page}");
    assert!(page.contains(&shows("one-line.txt")) && !page.contains("k1999 a"), "{page}");
    let rows = snowgate.page(&format!("{url}?view=diff&file=rows.txt"));
    assert_eq!(rows.matches("<tr class=\"add\">").count(), 20_000);
    assert!(rows.contains("5,000 more lines are left out: the page is long enough.") && rows.contains(&shows("rows.txt")));
    let none = snowgate.get(&format!("{url}?view=diff&file=unrelated.md"));
    assert_eq!(none.status, 404);
    assert!(none.body.contains("does not touch"), "{}", none.body);
    assert_eq!(snowgate.get(&format!("{url}?view=graph")).status, 400);
}

#[test]
fn a_change_that_does_not_merge_has_a_diff_too() {
    let place = Place::new();
    let sample = place.repository("sample");
    sample.packages(&[LIB]);
    sample.write("text", "one\n");
    sample.commit("a package");
    sample.git(&["switch", "--quiet", "--create", "change"]);
    sample.write("text", "theirs\n");
    let change = sample.commit("theirs");
    sample.git(&["switch", "--quiet", "main"]);
    sample.write("text", "ours\n");
    sample.commit("ours");
    let snowgate = place.serve();
    snowgate.reviewed("change", &change);
    let url = snowgate.pull("change").unwrap()["url"].as_str().unwrap().to_owned();
    let page = snowgate.page(&format!("{url}?view=diff"));
    assert!(page.contains("theirs") && page.contains("one") && !page.contains("ours</td>"), "{page}");
}

#[test]
fn the_timeline_tells_what_happened_and_survives_a_kill() {
    let place = Place::new();
    let sample = place.repository("sample");
    sample.packages(&[LIB]);
    sample.commit("a package");
    let first = sample.branch("change", &[("lib", "echo lib 2 > $out")]);
    let snowgate = place.serve();
    snowgate.reviewed("change", &first);
    sample.git(&["switch", "--quiet", "change"]);
    sample.packages(&[("lib", "echo no; exit 1")]);
    let second = sample.commit("worse");
    sample.git(&["switch", "--quiet", "main"]);
    snowgate.reviewed("change", &second);
    snowgate.kill();
    let snowgate = place.serve();
    snowgate.reviewed("change", &second);
    let url = snowgate.pull("change").unwrap()["url"].as_str().unwrap().to_owned();
    let page = snowgate.page(&format!("{url}?view=timeline"));
    let list = &page[page.find("id=\"happenings\"").unwrap()..];
    let told: Vec<&str> = list.split("<b>").skip(1).map(|part| part.split("</b>").next().unwrap()).collect();
    let once = ["Verdict", "Evaluated and compared; builds began", "A review began"];
    let expected: Vec<&str> = once.into_iter().chain(["Pushed"]).chain(once).chain(["Opened"]).collect();
    assert_eq!(told, expected, "{list}");
    assert!(list.contains(&second[..8]) && list.contains("newly fail"), "{list}");
}

#[test]
fn a_branch_tells_what_became_of_its_attributes_and_all_can_be_found() {
    let place = Place::new();
    let sample = place.repository("sample");
    sample.packages(&[LIB, ("app", "echo app ${lib} > $out"), ("gone", "echo gone > $out")]);
    sample.commit("three packages");
    let bad = sample.branch("bad", &[("lib", "echo no; exit 1")]);
    let snowgate = place.serve();
    let report = snowgate.reviewed("bad", &bad);
    let app = report["changes"].as_array().unwrap().iter().find(|row| row["attr"] == "app").unwrap()["head"]["drv"].clone();
    let page = snowgate.page(&format!("/drv/{}", app.as_str().unwrap().rsplit('/').next().unwrap()));
    assert!(page.contains("a dependency failed") && page.contains("a derivation that it needs failed first"), "{page}");
    // what failed there is merged all the same, and meets the next change as its base
    sample.git(&["merge", "--quiet", "--no-ff", "--message", "Merge", "bad"]);
    sample.git(&["switch", "--quiet", "--create", "next", "main"]);
    sample.write("README", "next\n");
    let next = sample.commit("next");
    sample.git(&["switch", "--quiet", "main"]);
    snowgate.reviewed("next", &next);
    let page = snowgate.until("both states are noted", || {
        let page = snowgate.page("/r/local/sample/branch/main");
        page.contains("newly failing").then_some(page)
    });
    assert!(page.contains("2 newly failing") && page.contains("2 evaluated states"), "{page}");
    assert!(page.contains("<polyline"), "{page}");
    let history = snowgate.page("/r/local/sample/branch/main?attr=app");
    assert!(history.contains("Last good") && history.contains("First broken"), "{history}");
    assert_eq!(snowgate.get("/r/local/sample/branch/main?against=x").status, 400);
    assert_eq!(snowgate.get("/r/local/sample/branch/main?against=999").status, 404);

    let found = snowgate.json("/api/search?q=app");
    assert_eq!(found["attributes"][0]["attr"], "app", "{found:#}");
    assert!(!found["derivations"].as_array().unwrap().is_empty(), "{found:#}");
    assert_eq!(snowgate.json("/api/search?q=next")["pulls"][0]["title"], "next");
    assert_eq!(snowgate.json("/api/search?q=%00")["pulls"].as_array().map(Vec::len), Some(0));
    assert!(snowgate.page("/search?q=app").contains("/r/local/sample/branch/main?attr=app"));
    assert!(snowgate.page("/search?q=%3Cscript%3E").contains("“&lt;script&gt;”"));
}

#[test]
fn a_failed_build_s_page_leads_to_the_error_and_says_what_it_is_made_of() {
    let place = Place::new();
    let sample = place.repository("sample");
    sample.packages(&[LIB]);
    sample.commit("a package");
    let phase = |name: &str| format!("echo '@nix {{\"action\":\"setPhase\",\"phase\":\"{name}\"}}' >&2");
    let count = |to: u64| format!("i=0; while [ $i -lt {to} ]; do echo step $i; i=$((i+1)); done");
    let script = [
        "echo begins",
        &phase("unpackPhase"),
        &count(2_500),
        &phase("buildPhase"),
        "echo 'foo.c:7:3: error: unknown type <frob>'",
        "echo going on",
        &phase("reportPhase"),
        &count(2_300),
        "echo ${lib}; exit 1",
    ];
    let head = sample.branch("change", &[("app", &script.join("\n"))]);
    let snowgate = place.serve();
    let report = snowgate.reviewed("change", &head);
    let name = |attr: &str| {
        let row = report["changes"].as_array().unwrap().iter().find(|row| row["attr"] == attr).expect("a change");
        row["head"]["drv"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
    };
    let app = name("app");

    // its end, and the way to the error, two parts before
    let page = snowgate.page(&format!("/drv/{app}"));
    assert!(page.contains("Lines 2,806–4,805 of 4,805") && !page.contains("id=\"L2502\""), "{page}");
    let link = page.split("id=\"to-error\" href=\"").nth(1).expect("a way to the error").split('"').next().unwrap();
    assert!(link.ends_with("&amp;line=2502#L2502"), "{link}");
    let query = link.replace("&amp;", "&");
    let page = snowgate.page(&format!("/drv/{app}{}", query.split('#').next().unwrap()));
    let phases = page.split("<details class=\"phase\"").skip(1).collect::<Vec<_>>();
    let names = ["<summary><b>unpackPhase</b> goes on ", "<summary><b>buildPhase</b> ", "<summary><b>reportPhase</b> "];
    for (n, (phase, name)) in phases.iter().zip(names).enumerate() {
        assert!(phase.contains(name), "{phase}");
        assert_eq!(phase.starts_with(" open"), n == 1, "{phase}");
    }
    assert!(phases.len() == 3 && phases[1].contains("<li id=\"L2502\" class=\"decides\">"), "{page}");

    // the whole log is searched
    let page = snowgate.page(&format!("/drv/{app}?find=STEP+2299"));
    assert!(page.contains("2 lines have “STEP 2299”.") && page.contains("line=2301&amp;find="), "{page}");
    assert!(snowgate.page(&format!("/drv/{app}?find=nothing+of+it")).contains("No line has"));

    // who it is for, and what the store has of it
    let review = report["id"].as_str().unwrap();
    assert!(
        page.contains(&format!("href=\"/r/local/sample/pull/1?review={review}\"")) && page.contains("Not in the store."),
        "{page}"
    );
    let lib = page.split("<a class=\"mono\" href=\"/drv/").nth(1).expect("its input").split('"').next().unwrap();
    let named = "/r/local/sample/branch/main?attr=lib\">lib</a><span class=\"muted\"> on main of local/sample";
    let page = snowgate.until("the branch is noted", || {
        let page = snowgate.page(&format!("/drv/{lib}"));
        page.contains(named).then_some(page)
    });
    let outputs = &page[page.find("id=\"outputs\"").expect("outputs")..];
    assert!(outputs.contains("refers to nothing") && outputs.contains("-lib</code>"), "{outputs}");
}
