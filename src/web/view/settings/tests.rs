//! The page says what is in force, what is not yet, and what went wrong.

use std::sync::Arc;

use super::*;
use crate::actors::recorder::agenda::{Doing, Totals};
use crate::config::Settings;
use crate::db::NewEvalAlarm;
use crate::eval::Confinement;
use crate::eval::trace::Tracing;

fn in_force(started: &str, current: &str) -> InForce {
    let [started, current] = [started, current].map(|text| Arc::new(Settings::parse(text).unwrap()));
    InForce { file: Some("/etc/snowgate/config.toml".into()), started, current, refused: None }
}

fn facts() -> EvaluatorFacts {
    EvaluatorFacts { nix_version: "2.34.0".into(), confinement: Confinement::Full, tracing: Tracing::Forks }
}

fn alarm(id: i64, acknowledged: bool) -> EvalAlarm {
    let alarm = NewEvalAlarm {
        trace_key: "0".repeat(64),
        tree: "4b825dc642cb6eb9a060e54bf8d69288fbee4904".parse().unwrap(),
        jobset: "default".into(),
        system: "x86_64-linux".into(),
        review: Some("00c0ffee00c0ffee".into()),
        summary: "2 of 12026 attributes differ: hello (another derivation), <b> (only from recordings)".into(),
        attrs: 2,
        kept: Some("/var/lib/snowgate/alarms/20261121T110000.000000Z".into()),
    };
    let acknowledged_at = acknowledged.then(|| "2026-11-21T11:30:00Z".parse().unwrap());
    EvalAlarm { id, at: "2026-11-21T11:00:00Z".parse().unwrap(), alarm, acknowledged_at }
}

fn render(
    in_force: &InForce,
    background: Background,
    traces: &[RecordedRow],
    alarms: &[EvalAlarm],
    may_not: Option<&str>,
) -> String {
    let view = SettingsPage {
        in_force,
        evaluator: Ok(facts()),
        limiting: Limiting::Off("no worker".into()),
        background,
        traces,
        alarms,
        visitor: Visitor { csrf: "0123456789abcdef0123456789abcdef", may_not },
        now: "2026-11-21T12:00:00Z".parse().unwrap(),
    };
    settings_page(&view).into_string()
}

fn recorded() -> Vec<RecordedRow> {
    vec![
        RecordedRow {
            repositories: vec!["us/packages".into()],
            tracked_files: Some(2),
            jobset: "default".into(),
            system: "x86_64-linux".into(),
            sets: 3,
            attributes: 13_461,
            traced: 12_800,
            bytes: 1_900_000,
            newest: "2026-11-21T11:57:00Z".parse().unwrap(),
            oldest: "2026-11-12T08:00:00Z".parse().unwrap(),
        },
        RecordedRow {
            repositories: Vec::new(),
            tracked_files: None,
            jobset: "default.no-aliases".into(),
            system: "aarch64-linux".into(),
            sets: 1,
            attributes: 40,
            traced: 0,
            bytes: 12_000,
            newest: "2026-11-21T10:00:00Z".parse().unwrap(),
            oldest: "2026-11-21T10:00:00Z".parse().unwrap(),
        },
    ]
}

#[test]
fn it_says_what_is_in_force_and_what_waits_for_a_restart() {
    let page = render(&in_force("", "[build]\njobs = 3\n"), Background::default(), &[], &[], None);
    assert!(page.contains("aria-current=\"page\">Settings</a>"), "{page}");
    assert!(
        page.contains("in force from the next start on: <code>build.jobs</code>") && page.contains("restart needed"),
        "{page}"
    );
    assert!(page.contains("<code>/etc/snowgate/config.toml</code>") && page.contains("2.34.0"), "{page}");
    assert!(page.contains("one evaluation from recordings in 100") && page.contains("no difference"), "{page}");
    assert!(page.contains("Nothing is recorded yet"), "{page}");
    let mut refused = in_force("", "");
    refused.refused = Some("config.toml:3: unknown key `bild`".into());
    let page = render(&refused, Background::default(), &[], &[], None);
    assert!(page.contains("is refused; what was in force stays") && page.contains("unknown key `bild`"), "{page}");
}

#[test]
fn an_alarm_is_loud_until_somebody_takes_note_of_it() {
    let page = render(&in_force("", ""), Background::default(), &recorded(), &[alarm(2, false), alarm(1, true)], None);
    assert!(page.contains("action=\"/api/alarms/2/acknowledge\"") && !page.contains("/api/alarms/1/acknowledge"), "{page}");
    assert!(page.contains("&lt;b&gt; (only from recordings)") && page.contains("1 acknowledged alarm"), "{page}");
    assert!(
        page.contains("href=\"/api/alarms/2/full\"") && page.contains("12,800 of 13,461") && page.contains("2 files"),
        "{page}"
    );
    let page = render(&in_force("", ""), Background::default(), &[], &[alarm(2, false)], Some("Only from there."));
    assert!(page.contains("<button disabled>") && page.contains("Only from there."), "{page}");
}

#[test]
fn what_goes_on_in_the_background_is_said() {
    let totals = Totals { recordings: 41, attributes: 38_112, cpu_seconds: 96.2, paused_seconds: 311.0, checks: 12, failures: 1 };
    let background = Background { doing: Doing::Recording("us/packages default x86_64-linux".into()), totals };
    let page = render(&in_force("", "[eval]\nself_check_one_in = 1\n"), background, &recorded(), &[], None);
    for words in [
        "38,112 attributes in 41 recordings",
        "5 min 11 s",
        "<b>1 difference</b>",
        "us/packages default x86_64-linux",
        "every evaluation",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
}
