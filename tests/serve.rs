//! `snowgate serve` and `snowgate demo` end to end: the real program, real git, real Nix, real HTTP.

#[path = "support/appliance.rs"]
mod appliance;

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use appliance::http::{self, Event, Events};
use appliance::{Appliance, Place};
use serde_json::Value;

const LIB: (&str, &str) = ("lib", "echo lib > $out");
const APP: (&str, &str) = ("app", "echo app ${lib} > $out");

fn categories(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    report["changes"].as_array().unwrap().iter().map(|row| (text(&row["attr"]), text(&row["category"]))).collect()
}

fn decision(report: &Value) -> (&str, &str) {
    (report["state"].as_str().unwrap(), report["verdict"]["decision"].as_str().unwrap())
}

const MERGEABLE: (&str, &str) = ("complete", "mergeable");
const BLOCKED: (&str, &str) = ("complete", "blocked");

#[test]
fn each_branch_is_reviewed_to_its_verdict() {
    let place = Place::new();
    let sample = place.repository("sample");
    sample.packages(&[LIB, APP, ("other", "echo other > $out")]);
    let base = sample.commit("three packages");
    let good = sample.branch("good", &[("lib", "echo lib 2 > $out")]);
    let bad = sample.branch("bad", &[("lib", "echo the tests fail; exit 1")]);
    let snowgate = place.serve();

    let report = snowgate.reviewed("good", &good);
    assert_eq!(decision(&report), MERGEABLE, "{report:#}");
    assert_eq!((&report["schema"], &report["base"]["rev"]), (&1.into(), &Value::from(base)));
    let still = |name: &str| (name.to_owned(), "still_succeeding".to_owned());
    assert_eq!(categories(&report), [still("app"), still("lib")]);

    let report = snowgate.reviewed("bad", &bad);
    assert_eq!(decision(&report), BLOCKED, "{report:#}");
    assert_eq!(report["counts"]["newly_failing"], 2);
    let failure = &report["failures"][0];
    assert_eq!(failure["outcome"], "failed");
    let tail = failure["log_tail"].as_str().unwrap();
    assert!(tail.starts_with("the tests fail\n"), "{tail}");
    assert_eq!(snowgate.page(failure["log_url"].as_str().unwrap()), tail);

    for (branch, verdict) in [("good", "Mergeable"), ("bad", "Blocked")] {
        let pull = snowgate.pull(branch).unwrap();
        let page = snowgate.page(pull["url"].as_str().unwrap());
        assert!(page.contains(&format!("<h2 id=\"verdict-title\">{verdict}</h2>")), "{page}");
        let leads = snowgate.get(&format!("/r/local/sample/branch/{branch}"));
        assert_eq!((leads.status, leads.header("location")), (303, pull["url"].as_str()));
    }
    let list = snowgate.page("/");
    assert!(list.contains("good") && list.contains("bad"), "{list}");
    let health = snowgate.json("/healthz");
    assert_eq!(health["status"], "ok", "{health:#}");
    let actors: Vec<&str> = health["actors"].as_array().unwrap().iter().map(|actor| actor["name"].as_str().unwrap()).collect();
    for actor in ["intake", "evaluator", "scheduler", "pool", "config"] {
        assert!(actors.contains(&actor), "{health:#}");
    }
}

/// As a build whose output is fixed by a hash does, which has this machine's network.
#[test]
fn another_user_of_this_machine_orders_nothing() {
    let place = Place::new();
    let sample = place.repository("sample");
    sample.packages(&[LIB]);
    sample.commit("a package");
    let snowgate = place.serve();
    let drain = |user: Option<u32>| {
        let token = "0123456789abcdef0123456789abcdef";
        let request = format!(
            "POST /api/builders/local/drain HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\nContent-Length: 0\\r\\n\
             Cookie: snowgate_csrf={token}\\r\\nX-CSRF-Token: {token}\\r\\n\\r\\n"
        );
        let script = format!("exec 3<>/dev/tcp/127.0.0.1/{} && printf '{request}' >&3 && cat <&3", snowgate.address().port());
        let mut bash = Command::new("bash");
        bash.args(["-c", &script]).current_dir("/");
        if let Some(user) = user {
            bash.uid(user).gid(user);
        }
        let said = bash.output().unwrap();
        String::from_utf8_lossy(&said.stdout).lines().next().unwrap_or_default().to_owned()
    };
    // only root can be somebody else
    if nix::unistd::geteuid().is_root() {
        assert_eq!(drain(Some(65534)), "HTTP/1.1 403 Forbidden");
    }
    assert_eq!(snowgate.json("/api/builders")[0]["state"], "ready");
    assert_eq!(drain(None), "HTTP/1.1 202 Accepted");
}

#[test]
fn a_name_that_is_no_derivations_leads_to_no_file() {
    let place = Place::new();
    let sample = place.repository("sample");
    sample.packages(&[LIB]);
    sample.commit("a package");
    let snowgate = place.serve();
    let name = "8x4imr87h9x530l6y2kdaj7ih62z8kgx-planted.drv";
    std::fs::write(place.path(name), "Derive([(\"out\",\"\",\"\",\"\")],[],[],\"x86_64-linux\",\"/bin/sh\",[],[])").unwrap();
    let up = "..%2F".repeat(8);
    let planted = place.path(name).to_str().unwrap().trim_start_matches('/').replace('/', "%2F");
    for path in ["/drv/", "/api/derivations/", "/api/logs/"] {
        for odd in [format!("{up}{planted}"), format!(".%2F{name}"), format!("%2F{planted}")] {
            let answer = snowgate.get(&format!("{path}{odd}"));
            assert_eq!(answer.status, 404, "{path}{odd}: {}", answer.body);
        }
    }
}

#[test]
fn a_push_takes_the_place_of_the_review_under_way() {
    let place = Place::new();
    let gate = place.gate("gate");
    let sample = place.repository("sample");
    sample.packages(&[LIB]);
    sample.commit("a package");
    let first = sample.branch("change", &[("lib", &format!("{}; echo 2 > $out", gate.wait()))]);
    let snowgate = place.serve();
    snowgate.building("lib");
    let pull = snowgate.pull("change").unwrap();
    assert_eq!(pull["head"], first);
    let superseded = pull["review"]["id"].as_str().unwrap().to_owned();
    let [builder] = place.builders("lib")[..] else { panic!("{:?}", place.processes()) };

    sample.git(&["switch", "--quiet", "change"]);
    sample.packages(&[("lib", "echo 3 > $out")]);
    let second = sample.commit("better");
    let report = snowgate.reviewed("change", &second);
    assert_eq!(decision(&report), MERGEABLE, "{report:#}");
    place.eventually("the builder is killed", || (!place.builders("lib").contains(&builder)).then_some(()));
    let old = snowgate.until("the first review is cancelled", || {
        Some(snowgate.json(&format!("/api/reviews/{superseded}"))).filter(|report| report["state"] == "cancelled")
    });
    assert_eq!(old["verdict"]["decision"], "pending", "{old:#}");
    let page = snowgate.page(&format!("/r/local/sample/pull/1?review={superseded}"));
    assert!(page.contains("A newer review took this one"), "{page}");
}

#[test]
fn a_merge_closes_its_pull_request_and_the_others_meet_the_new_base() {
    let place = Place::new();
    let sample = place.repository("sample");
    sample.packages(&[LIB, APP]);
    let old_base = sample.commit("two packages");
    let merged = sample.branch("merged", &[("lib", "echo lib 2 > $out")]);
    let other = sample.branch("other", &[("tool", "echo ${lib} > $out")]);
    let gone = sample.branch("gone", &[("short", "echo lived > $out")]);
    let snowgate = place.serve();
    for (branch, head) in [("merged", &merged), ("other", &other), ("gone", &gone)] {
        let report = snowgate.reviewed(branch, head);
        assert_eq!(decision(&report), MERGEABLE, "{report:#}");
        assert_eq!(report["base"]["rev"], old_base);
    }

    sample.git(&["merge", "--quiet", "--no-ff", "--message", "Merge", "merged"]);
    sample.git(&["branch", "--quiet", "-D", "gone"]);
    let new_base = sample.git(&["rev-parse", "main"]);
    snowgate.until("the branches are as they are", || {
        let state = |branch: &str| Some(snowgate.pull(branch)?["state"].as_str()?.to_owned());
        (state("merged")? == "merged" && state("gone")? == "closed").then_some(())
    });
    snowgate.until("the other branch is reviewed against the new base", || {
        snowgate.pull("other").filter(|pull| pull["base"] == new_base && pull["review"]["base"] == new_base)
    });
    let report = snowgate.reviewed("other", &other);
    assert_eq!((decision(&report), report["base"]["rev"].as_str()), (MERGEABLE, Some(new_base.as_str())), "{report:#}");
    assert_eq!(categories(&report), [("tool".into(), "new_succeeding".into())]);
    let open = snowgate.json("/api/pulls?state=open");
    assert_eq!(open.as_array().unwrap().len(), 1, "{open:#}");
}

#[test]
fn a_branch_that_goes_in_the_middle_of_its_review_and_comes_back_is_reviewed() {
    let place = Place::new();
    let gate = place.gate("gate");
    let sample = place.repository("sample");
    sample.packages(&[LIB]);
    sample.commit("a package");
    let head = sample.branch("change", &[("lib", &format!("{}; echo lib 2 > $out", gate.wait()))]);
    let snowgate = place.serve();
    snowgate.building("lib");
    sample.git(&["branch", "--quiet", "-D", "change"]);
    snowgate.until("it is closed", || snowgate.pull("change").filter(|pull| pull["state"] == "closed"));
    place.eventually("the builder is killed", || place.builders("lib").is_empty().then_some(()));

    sample.git(&["branch", "--quiet", "change", &head]);
    snowgate.building("lib");
    gate.open();
    assert_eq!(decision(&snowgate.reviewed("change", &head)), MERGEABLE);
    let pull = snowgate.pull("change").unwrap();
    assert_eq!((&pull["state"], &pull["number"]), (&"open".into(), &1.into()), "{pull:#}");
}

#[test]
fn a_change_that_does_not_merge_is_blocked_and_names_the_conflict() {
    let place = Place::new();
    let sample = place.repository("sample");
    sample.packages(&[LIB]);
    sample.commit("a package");
    let head = sample.branch("change", &[("lib", "echo lib 2 > $out")]);
    sample.packages(&[("lib", "echo lib 3 > $out")]);
    sample.commit("the same place");
    let snowgate = place.serve();
    let report = snowgate.reviewed("change", &head);
    assert_eq!(decision(&report), BLOCKED, "{report:#}");
    assert_eq!((&report["merge"]["tree"], &report["merge"]["conflicts"][0]), (&Value::Null, &"lib.pkg".into()));
    assert!(snowgate.page("/r/local/sample/pull/1").contains("<code>lib.pkg</code>"));
}

/// The text of the log's events, and the offset that the last of them ends at.
fn text(events: &[Event]) -> (String, u64) {
    let mut lines = events.iter().filter(|event| event.name == "message");
    (lines.clone().map(|event| event.data.as_str()).collect(), lines.next_back().and_then(|event| event.id).unwrap_or_default())
}

#[test]
fn a_log_is_followed_while_it_is_written_and_each_line_comes_once() {
    let place = Place::new();
    let (first, second) = (place.gate("first"), place.gate("second"));
    let sample = place.repository("sample");
    sample.packages(&[LIB]);
    sample.commit("a package");
    let script =
        format!("echo one; echo two; {}; echo three; {}; echo four > $out; echo 'fünf <5>'", first.wait(), second.wait());
    let head = sample.branch("change", &[("lib", &script)]);
    let snowgate = place.serve();
    let running = snowgate.building("lib");
    let log = running["log_url"].as_str().unwrap();

    let events = snowgate.events(log);
    let mut heard = Vec::new();
    let hear = |heard: &mut Vec<Event>, line: &str| {
        while !text(heard).0.contains(line) {
            heard.push(events.next(Duration::from_secs(60)).unwrap_or_else(|| panic!("no {line} in {heard:?}")));
        }
    };
    hear(&mut heard, "two\n");
    let so_far = text(&heard).1;
    assert_eq!(so_far, "one\ntwo\n".len() as u64);

    // meanwhile the pages show what is under way
    for page in ["/queue", "/builders", &format!("/drv/{}", running["drv"].as_str().unwrap().rsplit('/').next().unwrap())] {
        let html = snowgate.page(page);
        assert!(html.contains(if page == "/builders" { "local" } else { "lib" }), "{page}: {html}");
    }
    let stats = snowgate.json("/api/queue/stats");
    assert_eq!((&stats["running"], &stats["builders"]["local"]["running"]), (&1.into(), &1.into()), "{stats:#}");
    assert_eq!(snowgate.json("/api/builders")[0]["running"], 1);
    let page = snowgate.page("/r/local/sample/pull/1");
    assert!(page.contains("Under way"), "{page}");

    first.pass();
    hear(&mut heard, "three\n");
    // one who comes later, from an offset; one who comes back, with the last id that it had; one who wants the end of it
    let later = snowgate.events(&format!("{log}?offset={so_far}"));
    let id = so_far.to_string();
    let back = Events::subscribe(snowgate.address(), log, &[("last-event-id", &id)]).unwrap();
    let tail = snowgate.events(&format!("{log}?tail=1"));
    second.pass();
    heard.extend(events.rest());
    let whole = "one\ntwo\nthree\nfünf <5>\n";
    let rest = &whole[so_far as usize..];
    for (heard, expected) in [(heard, whole), (later.rest(), rest), (back.rest(), rest), (tail.rest(), "three\nfünf <5>\n")] {
        assert_eq!(text(&heard).0, expected, "{heard:?}");
        let end = heard.last().unwrap();
        assert_eq!((end.name.as_str(), end.id), ("end", Some(whole.len() as u64)));
    }
    assert_eq!(decision(&snowgate.reviewed("change", &head)), MERGEABLE);
    assert_eq!(snowgate.page(log), whole);
    assert_eq!(text(&snowgate.events(log).rest()).0, whole);
    assert_eq!(snowgate.page(&format!("{log}?tail=2")), "three\nfünf <5>\n");
}

#[test]
fn killed_in_the_middle_of_a_build_it_goes_on_and_builds_nothing_twice() {
    let place = Place::new();
    let gate = place.gate("gate");
    let sample = place.repository("sample");
    sample.packages(&[LIB, APP]);
    sample.commit("two packages");
    let app = format!("{}; echo app 2 ${{lib}} > $out", gate.wait());
    let head = sample.branch("change", &[("lib", "echo lib 2 > $out"), ("app", &app)]);
    let snowgate = place.serve();
    let running = snowgate.building("app");
    let review = snowgate.pull("change").unwrap()["review"]["id"].clone();
    snowgate.kill();
    place.nothing_runs();

    let snowgate = place.serve();
    let again = snowgate.building("app");
    assert_eq!(again["drv"], running["drv"]);
    gate.open();
    let report = snowgate.reviewed("change", &head);
    assert_eq!((decision(&report), &report["id"]), (MERGEABLE, &review), "{report:#}");
    for (attr, attempts) in [("lib", 1), ("app", 2)] {
        let row = report["changes"].as_array().unwrap().iter().find(|row| row["attr"] == attr).unwrap();
        let name = row["head"]["drv"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let derivation = snowgate.json(&format!("/api/derivations/{name}"));
        let outcomes: Vec<&Value> =
            derivation["attempts"].as_array().unwrap().iter().map(|attempt| &attempt["outcome"]).collect();
        assert_eq!(outcomes.len(), attempts, "{derivation:#}");
        assert_eq!(*outcomes[0], "succeeded");
        assert!(outcomes[1..].iter().all(|outcome| *outcome == "cancelled" || *outcome == "infrastructure"), "{derivation:#}");
    }
    let (status, _) = snowgate.stop();
    assert!(status.success());
    place.nothing_runs();
}

#[test]
fn asked_to_end_it_leaves_nothing_and_goes_on_at_the_next_start() {
    let place = Place::new();
    let gate = place.gate("gate");
    let sample = place.repository("sample");
    sample.packages(&[LIB]);
    sample.commit("a package");
    let head = sample.branch("change", &[("lib", &format!("{}; echo lib 2 > $out", gate.wait()))]);
    let snowgate = place.serve();
    snowgate.building("lib");
    let watched = snowgate.events("/api/events");
    let (status, took) = snowgate.stop();
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    let left = place.processes();
    assert!(left.is_empty(), "{left:#?}");
    drop(watched.rest());

    let snowgate = place.serve();
    gate.open();
    assert_eq!(decision(&snowgate.reviewed("change", &head)), MERGEABLE);
}

#[test]
fn ended_or_killed_after_each_of_its_steps_it_comes_to_the_same_verdict() {
    let place = Place::new();
    let gate = place.gate("gate");
    let sample = place.repository("sample");
    sample.packages(&[LIB, APP]);
    sample.commit("two packages");
    let app = format!("{}; echo app 2 ${{lib}} > $out", gate.wait());
    let head = sample.branch("change", &[("lib", "echo lib 2 > $out"), ("app", &app)]);
    let mut review = None;
    for step in 0..10 {
        let snowgate = place.serve();
        let events = snowgate.events("/api/events");
        for _ in 0..step {
            events.next(Duration::from_millis(100));
        }
        let known = snowgate.pull("change").map(|pull| pull["review"]["id"].clone()).filter(|id| !id.is_null());
        if step % 2 == 0 {
            let (status, _) = snowgate.stop();
            assert!(status.success(), "after {step} events: {status}");
            let left = place.processes();
            assert!(left.is_empty(), "after {step} events: {left:#?}");
        } else {
            snowgate.kill();
            place.nothing_runs();
        }
        if review.is_some() {
            assert!(known.is_none() || known == review, "after {step} events another review was begun");
        }
        review = review.or(known);
    }
    let snowgate = place.serve();
    gate.open();
    let report = snowgate.reviewed("change", &head);
    assert_eq!((decision(&report), Some(&report["id"])), (MERGEABLE, review.as_ref()), "{report:#}");
}

/// What a page gives to a browser that wants to post its form: the cookie, and the field.
fn token(snowgate: &Appliance<'_>, page: &str) -> (String, String) {
    let answer = snowgate.get(page);
    let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let token = cookie.split('=').nth(1).unwrap().to_owned();
    assert!(answer.body.contains(&format!("name=\"csrf\" value=\"{token}\"")), "{}", answer.body);
    (cookie, token)
}

#[test]
fn a_review_is_cancelled_and_run_again_by_whoever_may() {
    let place = Place::new();
    let gate = place.gate("gate");
    let sample = place.repository("sample");
    sample.packages(&[LIB]);
    sample.commit("a package");
    let script = format!("{}; echo no luck; exit 1", gate.wait());
    let head = sample.branch("change", &[("lib", &script)]);
    let snowgate = place.serve();
    let running = snowgate.building("lib");
    let first = snowgate.pull("change").unwrap()["review"]["id"].as_str().unwrap().to_owned();
    let (cookie, token) = token(&snowgate, "/r/local/sample/pull/1");
    let form = format!("csrf={token}");
    let content = ("content-type", "application/x-www-form-urlencoded");
    let (cancel, rerun) = (format!("/api/reviews/{first}/cancel"), format!("/api/reviews/{first}/rerun"));

    let refused: [(&[http::Header<'_>], &str, &str); 5] = [
        (&[], "", "csrf"),
        (&[("cookie", &cookie), content], "csrf=0123456789abcdef0123456789abcdef", "csrf"),
        (&[content], &form, "csrf"),
        (&[("cookie", &cookie), ("origin", "http://example.org"), content], &form, "cross_site"),
        (&[("cookie", &cookie), ("host", "example.org"), content], &form, "local_only"),
    ];
    for (headers, body, code) in refused {
        let answer = snowgate.post(&cancel, headers, body);
        assert_eq!(answer.status, 403, "{headers:?} {body}");
        assert!(answer.body.contains(&format!("\"code\":\"{code}\"")), "{headers:?} {body}: {}", answer.body);
    }
    assert_eq!(snowgate.post(&rerun, &[("cookie", &cookie), content], &form).status, 409, "it is under way");
    assert_eq!(snowgate.pull("change").unwrap()["review"]["state"], "building");

    let answer = snowgate.post(&cancel, &[("cookie", &cookie), ("accept", "text/html"), content], &form);
    assert_eq!((answer.status, answer.header("location")), (303, Some("/r/local/sample/pull/1")), "{}", answer.body);
    let report = snowgate.reviewed("change", &head);
    assert_eq!(decision(&report), ("cancelled", "pending"), "{report:#}");
    place.eventually("the builder is killed", || place.builders("lib").is_empty().then_some(()));
    assert_eq!(snowgate.post(&cancel, &[("cookie", &cookie), ("x-csrf-token", &token)], "").status, 409, "it is over");

    // again, and it fails; once more, and what is remembered as failed is built again
    gate.open();
    let mut last = first;
    for attempts in [2, 3] {
        let answer = snowgate.post(&format!("/api/reviews/{last}/rerun"), &[("cookie", &cookie), ("x-csrf-token", &token)], "");
        assert_eq!(answer.status, 202, "{}", answer.body);
        last = snowgate.until("another review", || {
            let review = snowgate.pull("change")?["review"]["id"].as_str()?.to_owned();
            (review != last).then_some(review)
        });
        let report = snowgate.reviewed("change", &head);
        assert_eq!((decision(&report), report["id"].as_str()), (BLOCKED, Some(last.as_str())), "{report:#}");
        let derivation =
            snowgate.json(&format!("/api/derivations/{}", running["drv"].as_str().unwrap().rsplit('/').next().unwrap()));
        assert_eq!(derivation["attempts"].as_array().unwrap().len(), attempts, "{derivation:#}");
    }
    assert_eq!(snowgate.post("/api/reviews/none/rerun", &[("cookie", &cookie), ("x-csrf-token", &token)], "").status, 404);
    assert_eq!(snowgate.get(&rerun).status, 405);
}

#[test]
fn a_review_of_commits_that_were_replaced_is_not_run_again() {
    let place = Place::new();
    let sample = place.repository("sample");
    sample.packages(&[LIB]);
    sample.commit("a package");
    let first = sample.branch("change", &[("lib", "echo lib 2 > $out")]);
    let snowgate = place.serve();
    let old = snowgate.reviewed("change", &first)["id"].as_str().unwrap().to_owned();
    sample.git(&["switch", "--quiet", "change"]);
    sample.packages(&[("lib", "echo lib 3 > $out")]);
    let second = sample.commit("better");
    let new = snowgate.reviewed("change", &second)["id"].clone();

    let (cookie, token) = token(&snowgate, "/r/local/sample/pull/1");
    let answer = snowgate.post(&format!("/api/reviews/{old}/rerun"), &[("cookie", &cookie), ("x-csrf-token", &token)], "");
    assert_eq!(answer.status, 409, "{}", answer.body);
    assert_eq!(snowgate.pull("change").unwrap()["review"]["id"], new);
}

#[test]
fn a_second_server_on_the_same_state_is_refused() {
    let place = Place::new();
    let sample = place.repository("sample");
    sample.packages(&[LIB]);
    sample.commit("a package");
    let snowgate = place.serve();
    let (status, said) = place.serve_in_vain();
    assert_eq!(status, Some(3), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains(place.path("state").to_str().unwrap()), "{said}");
    snowgate.until("the first is well", || (snowgate.get("/healthz").status == 200).then_some(()));
}

#[test]
fn a_repository_that_is_not_there_is_shown_and_the_others_go_on() {
    let mut place = Place::new();
    place.poll_seconds = 1;
    let missing = place.path("missing");
    place.serves("missing");
    let sample = place.repository("sample");
    sample.packages(&[LIB]);
    sample.commit("a package");
    let head = sample.branch("change", &[("lib", "echo lib 2 > $out")]);
    let snowgate = place.serve();
    assert_eq!(decision(&snowgate.reviewed("change", &head)), MERGEABLE);
    let error = snowgate.until("the problem is shown", || {
        let repositories = snowgate.json("/api/repositories");
        let missing = repositories.as_array().unwrap().iter().find(|row| row["name"] == "local/missing")?.clone();
        missing["error"].as_str().map(str::to_owned)
    });
    assert!(error.contains(missing.to_str().unwrap()), "{error}");
    for page in ["/", "/r/local/missing"] {
        let html = snowgate.page(page);
        assert!(html.contains("local/missing") && html.contains("can’t be read") || html.contains(&error), "{page}: {html}");
    }

    // it comes, and is served like the others
    let late = place.repository("missing");
    late.packages(&[LIB]);
    late.commit("a package, at last");
    let late = late.branch("late", &[("lib", "echo lib 3 > $out")]);
    assert_eq!(decision(&snowgate.reviewed("late", &late)), MERGEABLE);
    let repositories = snowgate.json("/api/repositories");
    assert!(repositories.as_array().unwrap().iter().all(|row| row["error"].is_null()), "{repositories:#}");
}

#[test]
fn an_edit_of_the_settings_adds_a_repository_and_takes_one_away() {
    let place = Place::new();
    let first = place.repository("first");
    first.packages(&[LIB]);
    first.commit("a package");
    let head = first.branch("change", &[("lib", "echo lib 2 > $out")]);
    let snowgate = place.serve();
    assert_eq!(decision(&snowgate.reviewed("change", &head)), MERGEABLE);

    let second = place.repository("second");
    second.packages(&[LIB]);
    second.commit("a package");
    let other = second.branch("other", &[("lib", "echo lib 3 > $out")]);
    place.serves_no_more("first");
    place.configuration();
    assert_eq!(decision(&snowgate.reviewed("other", &other)), MERGEABLE);

    // what happens to the first is not looked at any more: a later push to the second is
    first.branch("unseen", &[("lib", "echo lib 4 > $out")]);
    let seen = second.branch("seen", &[("lib", "echo lib 5 > $out")]);
    assert_eq!(decision(&snowgate.reviewed("seen", &seen)), MERGEABLE);
    assert_eq!(snowgate.pull("unseen"), None);
}

#[test]
fn a_faulty_configuration_of_the_base_is_said_in_a_sentence() {
    let place = Place::new();
    let sample = place.repository("sample");
    sample.packages(&[LIB]);
    sample.write("snowgate.toml", "[polcy]\nremoved = \"block\"\n");
    sample.commit("a package, and a slip of the pen");
    let head = sample.branch("change", &[("lib", "echo lib 2 > $out")]);
    let snowgate = place.serve();
    let report = snowgate.reviewed("change", &head);
    assert_eq!(decision(&report), ("error", "pending"), "{report:#}");
    let error = snowgate.pull("change").unwrap()["review"]["error"].as_str().unwrap().to_owned();
    assert!(error.contains("snowgate.toml of the base") && error.contains("polcy") && error.contains("policy"), "{error}");
    let page = snowgate.page("/r/local/sample/pull/1");
    assert!(page.contains("Not completed") && page.contains("snowgate.toml of the base"), "{page}");

    // put right on the base, the change is reviewed
    sample.write("snowgate.toml", "[policy]\nremoved = \"block\"\n");
    let base = sample.commit("as it was meant");
    snowgate.until("a review against the new base", || snowgate.pull("change").filter(|pull| pull["review"]["base"] == base));
    assert_eq!(decision(&snowgate.reviewed("change", &head)), MERGEABLE);
}

#[test]
fn the_demo_comes_to_its_four_verdicts() {
    let place = Place::new();
    let snowgate = place.demo();
    let pulls = snowgate.until("four reviews are over", || {
        let pulls = snowgate.json("/api/pulls");
        let pulls = pulls.as_array().unwrap();
        let over = pulls.iter().filter(|pull| pull["review"]["state"] == "complete").count();
        (over == 4).then(|| pulls.clone())
    });
    let mut verdicts: Vec<(&str, &str)> =
        pulls.iter().map(|pull| (pull["branch"].as_str().unwrap(), pull["review"]["decision"].as_str().unwrap())).collect();
    verdicts.sort_unstable();
    assert_eq!(
        verdicts,
        [
            ("docs/contributing", "mergeable"),
            ("fix/quill-librx-2", "mergeable"),
            ("tidy/old-names", "mergeable"),
            ("update/libtls-3.4", "blocked")
        ]
    );
    let (status, _) = snowgate.stop();
    assert!(status.success());
    place.nothing_runs();
}
