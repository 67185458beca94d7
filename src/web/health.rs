//! `/healthz` and `/metrics`. Labels are names of a fixed or configured set, never of a package: series must not grow without bound.

use std::fmt::Write;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde_json::json;

use super::api::builder_state;
use super::fault::Fault;
use super::site::Site;
use crate::actors::house::{ActorHealth, ActorState};
use crate::actors::recorder::agenda::{Background, Doing};
use crate::build::snapshot::BuilderRow;
use crate::domain::Outcome;

/// `GET /healthz`: 200 while every actor runs and the database answers, else 503
pub async fn healthz(site: web::Data<Site>) -> HttpResponse {
    let actors = site.house.health().await;
    let database = site.house.db.stats().await.err().map(|error| error.to_string());
    let well = database.is_none() && actors.iter().all(|actor| actor.state == ActorState::Running);
    let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    HttpResponse::build(status).insert_header(("cache-control", "no-store")).json(json!({
        "status": if well { "ok" } else { "degraded" },
        "version": env!("CARGO_PKG_VERSION"),
        "database": {"error": database},
        "actors": actors,
    }))
}

/// `GET /metrics`
pub async fn metrics(site: web::Data<Site>) -> Result<HttpResponse, Fault> {
    let text = exposition(&site).await?;
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text))
}

/// Prometheus' text format.
#[derive(Default)]
struct Exposition(String);

impl Exposition {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // writing to a String does not fail
        write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n").unwrap_or_default();
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        if !labels.is_empty() {
            let labels = labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escape(value))).collect::<Vec<_>>();
            write!(self.0, "{{{}}}", labels.join(",")).unwrap_or_default();
        }
        writeln!(self.0, " {value}").unwrap_or_default();
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

async fn exposition(site: &Site) -> Result<String, Fault> {
    let mut text = Exposition::default();
    text.family("snowgate_info", "gauge", "The version that runs.");
    text.sample("snowgate_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    text.gauge("snowgate_start_time_seconds", "When the web was opened.", site.opened.as_second() as f64);
    text.family("snowgate_http_responses_total", "counter", "Answers by class of status.");
    for (class, n) in site.answers.all() {
        text.sample("snowgate_http_responses_total", &[("class", class)], n as f64);
    }
    actors(&mut text, &site.house.health().await);
    stored(&mut text, site).await?;
    queue(&mut text, site).await;
    background(&mut text, &site.house.background());
    Ok(text.0)
}

fn actors(text: &mut Exposition, actors: &[ActorHealth]) {
    text.family("snowgate_actor_up", "gauge", "1 while the actor runs.");
    for actor in actors {
        text.sample("snowgate_actor_up", &[("actor", &actor.name)], if actor.state == ActorState::Running { 1.0 } else { 0.0 });
    }
    text.family("snowgate_actor_restarts_total", "counter", "Restarts after a crash.");
    for actor in actors {
        text.sample("snowgate_actor_restarts_total", &[("actor", &actor.name)], actor.restarts as f64);
    }
    text.family("snowgate_actor_mailbox", "gauge", "Messages that wait.");
    for actor in actors {
        if let Some(mailbox) = actor.mailbox {
            text.sample("snowgate_actor_mailbox", &[("actor", &actor.name)], mailbox as f64);
        }
    }
}

async fn stored(text: &mut Exposition, site: &Site) -> Result<(), Fault> {
    let stats = site.house.db.stats().await?;
    text.family("snowgate_build_attempts_total", "counter", "Ended attempts to build, by outcome.");
    for outcome in Outcome::ALL {
        let (n, _) = stats.attempts.get(&outcome).copied().unwrap_or_default();
        text.sample("snowgate_build_attempts_total", &[("outcome", outcome.as_str())], n as f64);
    }
    text.family("snowgate_build_seconds_total", "counter", "Seconds that ended attempts took, by outcome.");
    for outcome in Outcome::ALL {
        let (_, seconds) = stats.attempts.get(&outcome).copied().unwrap_or_default();
        text.sample("snowgate_build_seconds_total", &[("outcome", outcome.as_str())], seconds);
    }
    let used = stats.used;
    text.family("snowgate_build_cpu_seconds_total", "counter", "Processor time of ended attempts, where it was measured.");
    text.sample("snowgate_build_cpu_seconds_total", &[], used.cpu_seconds.unwrap_or_default());
    for (name, help, directions) in [
        (
            "snowgate_build_io_bytes_total",
            "What ended attempts read from disks and wrote to them, where it was measured.",
            [("read", used.io_read_bytes), ("written", used.io_written_bytes)],
        ),
        (
            "snowgate_build_copied_bytes_total",
            "What was copied to remote builders, and from them.",
            [("to_builder", used.copied_in_bytes), ("from_builder", used.copied_out_bytes)],
        ),
    ] {
        text.family(name, "counter", help);
        for (direction, bytes) in directions {
            text.sample(name, &[("direction", direction)], bytes.unwrap_or_default() as f64);
        }
    }
    for (name, help, value) in [
        ("snowgate_repositories", "Repositories that are served.", stats.repositories),
        ("snowgate_open_pulls", "Open pull requests.", stats.open_pulls),
        ("snowgate_reviews", "Reviews in the database.", stats.reviews),
        ("snowgate_open_reviews", "Reviews under way.", stats.open_reviews),
        ("snowgate_evaluations", "Evaluations in the database.", stats.evaluations),
        ("snowgate_remembered_outcomes", "Derivations remembered as failed.", stats.remembered_outcomes),
        ("snowgate_database_bytes", "Size of the database.", stats.database_bytes),
    ] {
        text.gauge(name, help, value as f64);
    }
    let cache = site.house.db.cache_stats().await?;
    for (name, help, value) in [
        ("snowgate_eval_trace_sets", "Recordings in the database.", cache.trace_sets),
        ("snowgate_eval_trace_bytes", "Their size.", cache.trace_bytes),
        ("snowgate_eval_stored_bytes", "Size of the evaluations in the database.", cache.evaluation_bytes),
        (
            "snowgate_eval_open_alarms",
            "Alarms of the self-check that nobody took note of.",
            site.house.db.open_eval_alarms().await?,
        ),
    ] {
        text.gauge(name, help, value as f64);
    }
    Ok(())
}

/// What the Recorder did since the house was opened.
fn background(text: &mut Exposition, Background { doing, totals }: &Background) {
    for (name, help, value) in [
        ("snowgate_eval_recordings_total", "Bases whose reads were recorded.", totals.recordings as f64),
        ("snowgate_eval_recorded_attributes_total", "Attributes whose reads became known.", totals.attributes as f64),
        ("snowgate_eval_recording_cpu_seconds_total", "Processor time of recording processes.", totals.cpu_seconds),
        ("snowgate_eval_recording_paused_seconds_total", "Time that recording stood back for reviews.", totals.paused_seconds),
        (
            "snowgate_eval_self_checks_total",
            "Evaluations from recordings that were compared with full ones.",
            totals.checks as f64,
        ),
        ("snowgate_eval_self_check_failures_total", "Comparisons that found a difference.", totals.failures as f64),
    ] {
        text.family(name, "counter", help);
        text.sample(name, &[], value);
    }
    let recording = matches!(doing, Doing::Recording(_));
    text.gauge("snowgate_eval_recording", "1 while a base is being recorded.", if recording { 1.0 } else { 0.0 });
}

/// While the Scheduler is away these series are absent, and `snowgate_actor_up` says why.
async fn queue(text: &mut Exposition, site: &Site) {
    if let Ok(snapshot) = site.house.queue(0).await {
        let counts = snapshot.counts;
        text.family("snowgate_queue_derivations", "gauge", "Derivations in the queue, by state.");
        for (state, n) in [
            ("ready", counts.ready),
            ("blocked", counts.blocked),
            ("backing_off", counts.backing_off),
            ("running", counts.running),
        ] {
            text.sample("snowgate_queue_derivations", &[("state", state)], n as f64);
        }
    }
    if let Ok(builders) = site.house.builders().await {
        text.family("snowgate_builder_slots", "gauge", "Slots of a builder.");
        for row in &builders {
            text.sample("snowgate_builder_slots", &[("builder", &row.name)], row.slots as f64);
        }
        text.family("snowgate_builder_running", "gauge", "Builds that run on a builder.");
        for row in &builders {
            text.sample("snowgate_builder_running", &[("builder", &row.name)], row.running as f64);
        }
        let mut each = |name: &str, help: &str, value: fn(&BuilderRow) -> u64| {
            text.family(name, "gauge", help);
            for row in &builders {
                text.sample(name, &[("builder", &row.name)], value(row) as f64);
            }
        };
        each("snowgate_builder_download_slots", "Fixed-output derivations that a builder takes at once.", |row| row.downloads);
        each("snowgate_builder_downloading", "Fixed-output derivations that run on a builder.", |row| row.downloading);
        each("snowgate_builder_failures", "How often in a row a builder could build nothing.", |row| row.failures);
        text.family("snowgate_builder_state", "gauge", "1 for the state that a builder is in.");
        for row in &builders {
            text.sample("snowgate_builder_state", &[("builder", &row.name), ("state", builder_state(row.state))], 1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_end_its_quotes() {
        let mut text = Exposition::default();
        text.sample("m", &[("a", "x\"y\\z\n")], 1.5);
        assert_eq!(text.0, "m{a=\"x\\\"y\\\\z\\n\"} 1.5\n");
    }
}
