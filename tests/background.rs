//! What `snowgate serve` does while nobody waits: bases are recorded, evaluations from recordings are checked. The real program, real
//! git, real Nix.

#[path = "support/appliance.rs"]
mod appliance;

use appliance::{Appliance, Place, Repository};
use serde_json::Value;

/// One metric without labels.
fn metric(snowgate: &Appliance<'_>, name: &str) -> f64 {
    let text = snowgate.page("/metrics");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

/// Waits until so many bases were recorded in the life of this server.
fn recorded(snowgate: &Appliance<'_>, times: u32) {
    snowgate.until(&format!("{times} bases are recorded"), || {
        (metric(snowgate, "snowgate_eval_recordings_total") >= f64::from(times)
            && metric(snowgate, "snowgate_eval_recording") == 0.0)
            .then_some(())
    });
}

/// A side of the only jobset: attributes evaluated and reused.
fn work(report: &Value, side: &str) -> (u64, u64) {
    let row = report["evaluations"].as_array().unwrap().iter().find(|row| row["side"] == side).unwrap();
    (row["attrs_evaluated"].as_u64().unwrap(), row["attrs_reused"].as_u64().unwrap())
}

/// As many packages, none of which reads another's file. Evaluating one takes about `millis`.
fn packages(sample: &Repository<'_>, count: usize, millis: u32) {
    // some 4 µs for each step of the fold
    let busy = format!("''${{toString (builtins.foldl' builtins.add 0 (builtins.genList (n: n) {}))}}''", millis * 8000 / 32 * 1);
    for n in 0..count {
        let script = match millis {
            0 => format!("echo {n} > $out"),
            _ => format!("echo {n} ${{{busy}}} > $out"),
        };
        sample.packages(&[(&format!("p{n}"), &script)]);
    }
}

fn changes(report: &Value) -> Vec<&str> {
    report["changes"].as_array().unwrap().iter().map(|row| row["attr"].as_str().unwrap()).collect()
}

#[test]
fn a_push_is_recorded_and_the_next_pull_request_evaluates_what_it_touches() {
    let place = Place::new();
    let sample = place.repository("sample");
    packages(&sample, 30, 0);
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
    let before = metric(&snowgate, "snowgate_eval_recorded_attributes_total");
    assert!(before < 40.0, "the second recording was of what changed: {before}");
    let head = sample.branch("two", &[("p8", "echo eight > $out"), ("new", "echo new > $out")]);
    let report = snowgate.reviewed("two", &head);
    assert_eq!(changes(&report), ["new", "p8"], "{report:#}");

    let page = snowgate.page("/settings");
    assert!(page.contains("<b>local/sample</b>") && page.contains("x86_64-linux"), "{page}");
    assert_eq!(snowgate.json("/healthz")["status"], "ok");
}
