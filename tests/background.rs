//! What `snowgate serve` does while nobody waits: bases are recorded, evaluations from recordings are checked. The real program, real
//! git, real Nix.

#[path = "support/appliance.rs"]
mod appliance;
#[path = "support/mod.rs"]
mod support;

use std::sync::Arc;

use appliance::{Appliance, Place, Repository};
use serde_json::Value;
use snowgate::config::StateDir;
use snowgate::db::{Db, NewEvalAlarm};
use support::Story;

/// One metric without labels.
fn metric(snowgate: &Appliance<'_>, name: &str) -> f64 {
    let text = snowgate.page("/metrics");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

/// Waits until so many bases were recorded in the life of this server, and nothing is being recorded.
fn recorded(snowgate: &Appliance<'_>, times: u32) {
    snowgate.until(&format!("{times} bases are recorded"), || {
        let done = metric(snowgate, "snowgate_eval_recordings_total") >= f64::from(times);
        (done && metric(snowgate, "snowgate_eval_recording") == 0.0).then_some(())
    });
}

/// How many attributes' reads are stored, and of how many, as the settings page says.
fn stored(snowgate: &Appliance<'_>) -> Option<(u64, u64)> {
    let page = snowgate.page("/settings");
    let (_, rest) = page.split_once("</meter>")?;
    let (traced, rest) = rest.trim_start().split_once(" of ")?;
    let all = rest.split('<').next()?;
    Some((traced.parse().unwrap(), all.trim().parse().unwrap()))
}

/// A side of the only jobset: attributes evaluated and reused.
fn work(report: &Value, side: &str) -> (u64, u64) {
    let row = report["evaluations"].as_array().unwrap().iter().find(|row| row["side"] == side).unwrap();
    (row["attrs_evaluated"].as_u64().unwrap(), row["attrs_reused"].as_u64().unwrap())
}

fn changes(report: &Value) -> Vec<&str> {
    report["changes"].as_array().unwrap().iter().map(|row| row["attr"].as_str().unwrap()).collect()
}

/// `p0` to `pN`, none of which reads another's file. `steps` are what it takes to evaluate one: a million are about a tenth of a second.
fn packages(sample: &Repository<'_>, count: u32, steps: u32) {
    for n in 0..count {
        let sum = format!("${{toString (builtins.foldl' builtins.add 0 (builtins.genList (n: n + {n}) {steps}))}}");
        sample.packages(&[(&format!("p{n}"), &format!("echo {sum} > $out"))]);
    }
}

#[test]
fn a_push_is_recorded_and_the_next_pull_request_evaluates_what_it_touches() {
    let place = Place::new();
    let sample = place.repository("sample");
    packages(&sample, 30, 1);
    sample.commit("thirty packages");
    let snowgate = place.serve();
    recorded(&snowgate, 1);
    assert!(metric(&snowgate, "snowgate_eval_recorded_attributes_total") >= 30.0);
    assert!(metric(&snowgate, "snowgate_eval_recording_cpu_seconds_total") > 0.0);

    let head = sample.branch("one", &[("p7", "echo seven > $out")]);
    let report = snowgate.reviewed("one", &head);
    assert_eq!(changes(&report), ["p7"], "{report:#}");
    let (evaluated, reused) = work(&report, "head");
    assert!(evaluated <= 4 && reused >= 26, "{report:#}");

    // the base moves: what changed is recorded, and the next change finds fresh recordings
    sample.git(&["merge", "--quiet", "--no-ff", "--message", "Merge", "one"]);
    recorded(&snowgate, 2);
    let total = metric(&snowgate, "snowgate_eval_recorded_attributes_total");
    assert!(total < 40.0, "the second recording was of what changed: {total}");
    let head = sample.branch("two", &[("p8", "echo eight > $out")]);
    let report = snowgate.reviewed("two", &head);
    assert_eq!(changes(&report), ["p8"], "{report:#}");
    let (evaluated, reused) = work(&report, "head");
    assert!(evaluated <= 4 && reused >= 26, "{report:#}");

    let page = snowgate.page("/settings");
    assert!(page.contains("<b>local/sample</b>") && page.contains("x86_64-linux"), "{page}");
    assert_eq!(snowgate.json("/healthz")["status"], "ok");
}

/// The recording processes that run, with their scheduling policy (proc(5): the 41st field of `stat`).
fn policies(place: &Place) -> Vec<u32> {
    let evaluators = place.processes().into_iter().filter(|(_, command)| command.contains("__confine"));
    let stats = evaluators.filter_map(|(pid, _)| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok());
    stats.map(|stat| stat.rsplit_once(')').unwrap().1.split_whitespace().nth(38).unwrap().parse().unwrap()).collect()
}

const SCHED_IDLE: u32 = 5;

#[test]
fn a_review_comes_before_a_recording_which_then_goes_on() {
    let place = Place::new();
    let sample = place.repository("sample");
    packages(&sample, 16, 1_000_000);
    sample.commit("sixteen packages that take their time");
    let snowgate = place.serve();
    snowgate.until("a base is being recorded, on idle processors", || {
        let recording = metric(&snowgate, "snowgate_eval_recording") == 1.0;
        let policies = policies(&place);
        (recording && !policies.is_empty() && policies.iter().all(|policy| *policy == SCHED_IDLE)).then_some(())
    });
    let head = sample.branch("change", &[("p3", "echo three > $out")]);
    let report = snowgate.reviewed("change", &head);
    assert_eq!(changes(&report), ["p3"], "{report:#}");
    snowgate.until("recording stood back", || {
        (metric(&snowgate, "snowgate_eval_recording_paused_seconds_total") > 0.0).then_some(())
    });
    recorded(&snowgate, 1);
    let (traced, all) = stored(&snowgate).unwrap();
    assert!(traced >= 16 && all >= traced, "{traced} of {all}");
}

#[test]
fn killed_while_it_records_it_goes_on_from_what_is_stored() {
    let place = Place::new();
    let sample = place.repository("sample");
    packages(&sample, 24, 2_000_000);
    sample.commit("twenty-four packages that take their time");
    let snowgate = place.serve();
    let (before, all) = snowgate.until("some of it is stored", || {
        let (traced, all) = stored(&snowgate)?;
        (traced > 0 && traced < all - 4).then_some((traced, all))
    });
    snowgate.kill();
    place.nothing_runs();

    let snowgate = place.serve();
    assert!(stored(&snowgate).unwrap().0 >= before);
    recorded(&snowgate, 1);
    let again = metric(&snowgate, "snowgate_eval_recorded_attributes_total");
    assert!(again <= (all - before) as f64, "{again} of {all} were recorded again, though {before} were stored");
    let head = sample.branch("change", &[("p5", "echo five > $out")]);
    let report = snowgate.reviewed("change", &head);
    assert_eq!(changes(&report), ["p5"], "{report:#}");
    let (evaluated, reused) = work(&report, "head");
    assert!(evaluated <= 8 && reused >= 16, "{report:#}");
}

/// Writes the result of `from` in the place of that of `to` into every trace set, as if a recording had been wrong: checksums and all.
fn corrupt(place: &Place, to: &str, from: &str) {
    let state = StateDir::new(place.path("state"));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let db = Db::open(&state).unwrap();
        let mut sets = 0;
        for (key, rows) in db.all_trace_sets().await.unwrap() {
            for row in rows {
                let mut set = db.trace_set(&key, row.id).await.unwrap().unwrap();
                let wrong = set.results[&from.parse().unwrap()].found.clone();
                set.results.get_mut(&to.parse().unwrap()).unwrap().found = wrong;
                db.save_trace_set(&key, &row.jobset, &row.system, Arc::new(set)).await.unwrap();
                sets += 1;
            }
        }
        assert!(sets > 0, "nothing was recorded");
        db.close().await;
    });
}

#[test]
fn a_wrong_recording_is_found_dropped_and_what_relied_on_it_reviewed_again() {
    let place = Place::new();
    place.eval("self_check_one_in = 1\n");
    let sample = place.repository("sample");
    packages(&sample, 30, 1);
    sample.commit("thirty packages");
    let snowgate = place.serve();
    recorded(&snowgate, 1);
    let (status, _) = snowgate.stop();
    assert!(status.success());
    corrupt(&place, "p3", "p4");

    let head = sample.branch("change", &[("p7", "echo seven > $out")]);
    let snowgate = place.serve();
    let alarm = snowgate.until("the alarm", || snowgate.json("/api/alarms").as_array()?.first().cloned());
    assert!(alarm["summary"].as_str().unwrap().contains("p3 (another derivation)"), "{alarm:#}");
    assert_eq!((alarm["attrs"].as_u64(), &alarm["acknowledged_at"]), (Some(1), &Value::Null));
    let wrong = alarm["review"].as_str().unwrap().to_owned();

    // another review takes the place of the wrong one, and relies on nothing that was recorded before
    snowgate.until("the change is reviewed again", || {
        let pull = snowgate.pull("change")?;
        (pull["review"]["id"].as_str()? != wrong).then_some(())
    });
    let report = snowgate.reviewed("change", &head);
    assert_eq!((report["state"].as_str(), changes(&report)), (Some("complete"), vec!["p7"]), "{report:#}");
    assert_eq!(work(&report, "head").1, 0, "{report:#}");
    let warned = |report: &Value| {
        let reasons = report["verdict"]["reasons"].as_array().unwrap().clone();
        reasons.iter().any(|reason| reason["code"] == "self_check" && reason["level"] == "warn")
    };
    assert!(warned(&report), "{report:#}");
    assert_eq!(report["verdict"]["decision"], "mergeable");
    let old = snowgate.json(&format!("/api/reviews/{wrong}"));
    assert!(changes(&old).contains(&"p3") || old["state"] == "cancelled", "{old:#}");
    for page in [snowgate.page("/r/local/sample/pull/1"), snowgate.page(&format!("/r/local/sample/pull/1?review={wrong}"))] {
        assert!(page.contains("An evaluation of this change from recordings was wrong."), "{page}");
    }

    // both sides are kept
    let drv = |side: &str| {
        let document = snowgate.json(&format!("/api/alarms/{}/{side}", alarm["id"]));
        assert!(document["differ"][0].as_str().unwrap().starts_with("p3: "), "{document:#}");
        document["evaluation"]["attrs"]["p3"]["derivation"]["drv"].as_str().unwrap().to_owned()
    };
    assert!(drv("full").ends_with("-p3.drv") && drv("incremental").ends_with("-p4.drv"));
    assert!(std::path::Path::new(alarm["kept"].as_str().unwrap()).join("full.json").exists());
    assert_eq!(metric(&snowgate, "snowgate_eval_self_check_failures_total"), 1.0);
    assert!(metric(&snowgate, "snowgate_eval_self_checks_total") >= 1.0);
    assert_eq!(metric(&snowgate, "snowgate_eval_open_alarms"), 1.0);

    // a person takes note of it
    let answer = snowgate.get("/settings");
    assert!(answer.body.contains("An evaluation from recordings was wrong"), "{}", answer.body);
    let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let token = cookie.split('=').nth(1).unwrap().to_owned();
    let acknowledge = format!("/api/alarms/{}/acknowledge", alarm["id"]);
    assert_eq!(snowgate.post(&acknowledge, &[("cookie", &cookie)], "").status, 403);
    assert_eq!(snowgate.post(&acknowledge, &[("cookie", &cookie), ("x-csrf-token", &token)], "").status, 200);
    assert!(!snowgate.json("/api/alarms")[0]["acknowledged_at"].is_null());
    assert!(!snowgate.page("/settings").contains("An evaluation from recordings was wrong"));
    assert_eq!(metric(&snowgate, "snowgate_eval_open_alarms"), 0.0);

    // the base is recorded afresh, and what comes next is right and quick
    recorded(&snowgate, 1);
    let head = sample.branch("next", &[("p8", "echo eight > $out")]);
    let report = snowgate.reviewed("next", &head);
    assert_eq!(changes(&report), ["p8"], "{report:#}");
    assert!(work(&report, "head").1 >= 20, "{report:#}");
    assert!(!warned(&report), "{report:#}");
    assert_eq!(snowgate.json("/api/alarms").as_array().unwrap().len(), 1);
}

#[test]
fn an_alarm_that_a_kill_cut_short_is_followed_to_its_end() {
    let place = Place::new();
    let sample = place.repository("sample");
    packages(&sample, 30, 1);
    sample.commit("thirty packages");
    let snowgate = place.serve();
    recorded(&snowgate, 1);
    let head = sample.branch("change", &[("p7", "echo seven > $out")]);
    let first = snowgate.reviewed("change", &head);
    assert!(work(&first, "head").1 > 0, "{first:#}");
    snowgate.kill();
    place.nothing_runs();
    // as if it had been killed when the alarm was stored and nothing else
    let state = StateDir::new(place.path("state"));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let db = Db::open(&state).unwrap();
        let (trace_key, rows) = db.all_trace_sets().await.unwrap().pop_first().unwrap();
        let alarm = NewEvalAlarm {
            trace_key,
            tree: rows[0].tree.clone(),
            jobset: rows[0].jobset.clone(),
            system: rows[0].system.clone(),
            review: None,
            summary: "1 of 30 attributes differ: p3 (another derivation)".into(),
            attrs: 1,
            kept: None,
        };
        db.add_eval_alarm(alarm).await.unwrap();
        db.close().await;
    });

    let snowgate = place.serve();
    snowgate.until("the change is reviewed again", || (snowgate.pull("change")?["review"]["id"] != first["id"]).then_some(()));
    let report = snowgate.reviewed("change", &head);
    assert_eq!((changes(&report), work(&report, "head").1), (vec!["p7"], 0), "{report:#}");
    assert!(report["verdict"]["reasons"].as_array().unwrap().iter().any(|reason| reason["code"] == "self_check"), "{report:#}");
    // once
    recorded(&snowgate, 1);
    assert_eq!(snowgate.pull("change").unwrap()["review"]["id"], report["id"]);
    let (status, _) = snowgate.stop();
    assert!(status.success());
    let snowgate = place.serve();
    snowgate.until("the base is looked at", || (!snowgate.page("/settings").contains("not served now")).then_some(()));
    assert_eq!(snowgate.pull("change").unwrap()["review"]["id"], report["id"]);
}

#[test]
fn switched_off_nothing_is_recorded_until_it_is_switched_on() {
    let place = Place::new();
    place.eval("record = false\n");
    let sample = place.repository("sample");
    packages(&sample, 3, 1);
    sample.commit("three packages");
    let head = sample.branch("change", &[("p1", "echo one > $out")]);
    let snowgate = place.serve();
    assert_eq!(changes(&snowgate.reviewed("change", &head)), ["p1"]);
    assert_eq!(metric(&snowgate, "snowgate_eval_recordings_total"), 0.0);
    let page = snowgate.page("/settings");
    assert!(page.contains("Nothing is recorded yet"), "{page}");
    place.eval("record = true\n");
    place.configuration();
    recorded(&snowgate, 1);
}

/// Packages in files of their own, whose builds take `seconds`.
fn files(story: &Story, seconds: u32) {
    let names: Vec<String> = (0..12).map(|n| format!("p{n}")).collect();
    for name in &names {
        story.write(&format!("{name}.nix"), &format!("pkg: pkg \"{name}\" \"echo {name} > $out\"\n"));
    }
    story.write("p0.nix", &format!("pkg: pkg \"p0\" \"/bin/sleep {seconds}; echo p0 > $out\"\n"));
    let bindings: Vec<String> = names.iter().map(|name| format!("{name} = import ./{name}.nix pkg;")).collect();
    story.packages(&bindings.join("\n"));
}

#[test]
fn a_one_shot_review_records_its_base_while_it_builds() {
    let story = Story::begin("none = pkg \"none\" \"true\";");
    files(&story, 0);
    story.commit("twelve packages");
    story.branch("change", "main");
    story.write("p0.nix", "pkg: pkg \"p0\" \"/bin/sleep 4; echo p0 again > $out\"\n");
    story.commit("a build that takes its time");
    let reviewed = story.review(&["--option", "sandbox", "false"]);
    assert_eq!(reviewed.status, 0, "{}", reviewed.stderr);
    let evaluated = |reviewed: &support::Reviewed| {
        let rows = &reviewed.report().evaluations;
        let head = rows.iter().find(|row| row.side == snowgate::domain::Side::Head).unwrap();
        (head.attrs_evaluated, head.attrs_reused)
    };
    assert_eq!(evaluated(&reviewed).1, 0);

    // the next change finds the recordings, whether it builds or not
    story.git(&["checkout", "-q", "-B", "change", "main"]);
    story.write("p5.nix", "pkg: pkg \"p5\" \"echo p5 again > $out\"\n");
    story.commit("another package");
    let next = story.review(&["--no-build"]);
    let (evaluated, reused) = evaluated(&next);
    assert!(evaluated <= 8 && reused >= 4, "{evaluated} {reused}: {}", next.stderr);
}
