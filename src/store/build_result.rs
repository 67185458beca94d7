//! How a build ended, in the daemon's words and in ours.

use std::collections::BTreeMap;
use std::time::Duration;

use super::messages::{Began, plain};
use super::wire::Wire;
use super::{ClientSettings, StoreError};
use crate::domain::{Outcome, OutputName, StorePath};

/// The end of one build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildResult {
    pub outcome: Outcome,
    /// The daemon's message without colour; empty on success.
    pub message: String,
    pub outputs: BTreeMap<OutputName, StorePath>,
    /// Seconds since 1970; 0 when nothing was built.
    pub start: i64,
    pub stop: i64,
}

/// What a daemon says of a build (nix, libstore/common-protocol.cc: the numbers on the wire).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Built,
    Substituted,
    AlreadyValid,
    PermanentFailure,
    InputRejected,
    OutputRejected,
    TransientFailure,
    CachedFailure,
    TimedOut,
    MiscFailure,
    DependencyFailed,
    LogLimitExceeded,
    NotDeterministic,
    ResolvesToAlreadyValid,
    NoSubstituters,
    HashMismatch,
}

impl Status {
    fn from_wire(number: u64) -> Option<Self> {
        use Status::*;
        const ALL: [Status; 16] = [
            Built,
            Substituted,
            AlreadyValid,
            PermanentFailure,
            InputRejected,
            OutputRejected,
            TransientFailure,
            CachedFailure,
            TimedOut,
            MiscFailure,
            DependencyFailed,
            LogLimitExceeded,
            NotDeterministic,
            ResolvesToAlreadyValid,
            NoSubstituters,
            HashMismatch,
        ];
        usize::try_from(number).ok().and_then(|number| ALL.get(number)).copied()
    }
}

impl BuildResult {
    pub(super) fn ended(outcome: Outcome, message: impl Into<String>) -> Self {
        Self { outcome, message: message.into(), outputs: BTreeMap::new(), start: 0, stop: 0 }
    }

    /// The same with the times of what was built.
    pub(super) fn timed(mut self, began: Option<Began>) -> Self {
        if let Some(began) = began {
            self.start = began.seconds;
            self.stop = began.seconds.saturating_add_unsigned(began.instant.elapsed().as_secs());
        }
        self
    }

    /// A daemon that refuses to build at all says so as an error of the request.
    pub(super) fn refused(message: String) -> Self {
        let outcome = faults_of_the_machine(&message)
            .or_else(|| message.contains("experimental Nix feature").then_some(Outcome::Unsupported))
            .unwrap_or(Outcome::Infrastructure);
        Self::ended(outcome, message)
    }

    pub(super) async fn read(
        wire: &mut Wire,
        protocol: u64,
        store_dir: &str,
        settings: &ClientSettings,
        began: Option<Began>,
    ) -> Result<Self, StoreError> {
        let status = wire.number().await?;
        let status = Status::from_wire(status).ok_or_else(|| wire.fault(format!("the unknown build status {status}")))?;
        let message = wire.text().await?;
        let _times_built = wire.number().await?;
        let _is_non_deterministic = wire.number().await?;
        // some daemons (2.34 among them) leave both at 0: our own clock is as good
        let _start = wire.number().await?;
        let _stop = wire.number().await?;
        if protocol >= 1 << 8 | 37 {
            // CPU time of the builder, user and system; only where it ran in a cgroup of its own
            for _ in 0..2 {
                if wire.flag().await? {
                    wire.number().await?;
                }
            }
        }
        let mut outputs = BTreeMap::new();
        for _ in 0..wire.length().await? {
            let id = wire.text().await?;
            let realisation = wire.text().await?;
            let (name, path) = output(&id, &realisation, store_dir).ok_or_else(|| wire.fault(format!("the output `{id}`")))?;
            outputs.insert(name, path);
        }
        let message = without_log(&plain(message.trim()));
        let took = began.map(|began| began.instant.elapsed()).unwrap_or_default();
        let outcome = outcome(status, &message, took, settings);
        Ok(Self { outcome, message, outputs, start: 0, stop: 0 }.timed(began))
    }
}

/// `sha256:…!out` and `{"outPath": "HASH-NAME", …}`.
fn output(id: &str, realisation: &str, store_dir: &str) -> Option<(OutputName, StorePath)> {
    let (_, name) = id.rsplit_once('!')?;
    let realisation: serde_json::Value = serde_json::from_str(realisation).ok()?;
    let path = realisation.get("outPath")?.as_str()?;
    // some versions give the base name, some the path
    let path = if path.starts_with('/') { path.parse() } else { format!("{store_dir}/{path}").parse() };
    Some((OutputName::new(name), path.ok()?))
}

/// The message without the last lines of the log, which we have ourselves.
fn without_log(message: &str) -> String {
    let mut kept = Vec::new();
    let mut lines = message.lines().peekable();
    while let Some(line) = lines.next() {
        let heading = line.trim().trim_start_matches("error:").trim().to_ascii_lowercase();
        if heading.starts_with("last ") && heading.ends_with("log lines:") {
            while lines.next_if(|line| line.trim_start().starts_with('>')).is_some() {}
            // "For full logs, run:" names a log that Nix keeps where the reader need not be
            if lines.next_if(|line| line.trim().to_ascii_lowercase().starts_with("for full logs")).is_some() {
                lines.next_if(|line| line.trim_start().starts_with("nix"));
            }
        } else {
            kept.push(line);
        }
    }
    gist(&kept)
}

/// Nix 2.31 and later say "Cannot build …", "Reason: …", "Output paths: …": the reason is what the reader does not know.
fn gist(lines: &[&str]) -> String {
    let reason = lines.first().filter(|line| line.starts_with("Cannot build ")).and_then(|_| {
        let at = lines.iter().position(|line| line.starts_with("Reason: "))?;
        let end = lines[at..].iter().position(|line| line.starts_with("Output paths:")).map_or(lines.len(), |length| at + length);
        Some(lines[at..end].join("\n").trim_start_matches("Reason: ").to_owned())
    });
    reason.unwrap_or_else(|| lines.join("\n")).trim_end().to_owned()
}

/// The outcome behind a status. Nix has few statuses, so that some of it has to be read off the message.
fn outcome(status: Status, message: &str, took: Duration, settings: &ClientSettings) -> Outcome {
    match status {
        Status::Built | Status::AlreadyValid | Status::ResolvesToAlreadyValid => Outcome::Succeeded,
        Status::Substituted => Outcome::Substituted,
        Status::PermanentFailure | Status::CachedFailure | Status::NotDeterministic => {
            faults_of_the_machine(message).unwrap_or(Outcome::Failed)
        }
        // a builder of a fixed output that failed is `TransientFailure`, since its source may come back: a failure for us
        Status::TransientFailure | Status::InputRejected => faults_of_the_machine(message).unwrap_or(Outcome::Failed),
        Status::HashMismatch => Outcome::HashMismatch,
        Status::OutputRejected if message.contains("hash mismatch") => Outcome::HashMismatch,
        Status::OutputRejected if message.contains("is too large") => Outcome::OutputLimit,
        Status::OutputRejected => faults_of_the_machine(message).unwrap_or(Outcome::Failed),
        Status::TimedOut if is_silence(message, took, settings) => Outcome::SilentTimedOut,
        Status::TimedOut => Outcome::TimedOut,
        Status::LogLimitExceeded => Outcome::LogLimit,
        Status::DependencyFailed => Outcome::DependencyFailed,
        Status::NoSubstituters | Status::MiscFailure => faults_of_the_machine(message).unwrap_or(Outcome::Infrastructure),
    }
}

/// Older daemons say "of silence"; newer ones name only the limit, and where both limits are the same, the time it took tells.
fn is_silence(message: &str, took: Duration, settings: &ClientSettings) -> bool {
    if message.contains("of silence") {
        return true;
    }
    match (settings.timeout, settings.max_silent) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(timeout), Some(silent)) => {
            let names = |limit: Duration| message.contains(&format!("after {} seconds", limit.as_secs()));
            match (names(timeout), names(silent)) {
                (true, false) => false,
                (false, true) => true,
                (true, true) | (false, false) => took < timeout,
            }
        }
    }
}

/// What a message says of the machine rather than of the derivation.
fn faults_of_the_machine(message: &str) -> Option<Outcome> {
    const UNSUPPORTED: [&str; 5] = [
        "platform mismatch",
        "missing system features",
        "required system or feature not available",
        "local builds are disabled",
        ", but I am a '",
    ];
    const INFRASTRUCTURE: [&str; 13] = [
        "No space left on device",
        "lack of free disk space",
        "some substitutes for the outputs of derivation",
        "build users are currently in use",
        "the build users group",
        "unable to start any build",
        "Read-only file system",
        "Too many open files",
        "unable to fork",
        "Disk quota exceeded",
        "Cannot allocate memory",
        "database or disk is full",
        "with a primary store that isn't a local store",
    ];
    let says = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
    if says(&UNSUPPORTED) || message.contains("Required system:") {
        Some(Outcome::Unsupported)
    } else if says(&INFRASTRUCTURE) {
        Some(Outcome::Infrastructure)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn silence_is_told_from_a_long_build() {
        let both = ClientSettings { timeout: Some(60 * SECOND), max_silent: Some(5 * SECOND), ..Default::default() };
        let same = ClientSettings { timeout: Some(5 * SECOND), ..both.clone() };
        let ended = |message, took, settings| outcome(Status::TimedOut, message, took, settings);
        assert_eq!(ended("timed out after 5 seconds", 9 * SECOND, &both), Outcome::SilentTimedOut);
        assert_eq!(ended("timed out after 60 seconds", 60 * SECOND, &both), Outcome::TimedOut);
        assert_eq!(ended("timed out after 5 seconds of silence", 5 * SECOND, &same), Outcome::SilentTimedOut);
        assert_eq!(ended("timed out after 5 seconds", 5 * SECOND, &same), Outcome::TimedOut);
        assert_eq!(ended("timed out after 5 seconds", 5 * SECOND, &ClientSettings::default()), Outcome::TimedOut);
    }

    #[test]
    fn the_machine_is_told_from_the_derivation() {
        let of = |status, message| outcome(status, message, SECOND, &ClientSettings::default());
        assert_eq!(of(Status::PermanentFailure, "builder failed with exit code 1"), Outcome::Failed);
        assert_eq!(
            of(Status::TransientFailure, "note: build failure may have been caused by lack of free disk space"),
            Outcome::Infrastructure
        );
        assert_eq!(of(Status::TransientFailure, "builder failed with exit code 1"), Outcome::Failed);
        assert_eq!(of(Status::InputRejected, "Cannot build.\nReason: platform mismatch"), Outcome::Unsupported);
        assert_eq!(
            of(Status::MiscFailure, "a 'aarch64-linux' with features {} is required to build 'x', but I am a 'x86_64-linux'"),
            Outcome::Unsupported
        );
        assert_eq!(of(Status::OutputRejected, "hash mismatch in fixed-output derivation"), Outcome::HashMismatch);
        assert_eq!(of(Status::OutputRejected, "path 'x' is too large at 9 bytes; limit is 1 bytes"), Outcome::OutputLimit);
    }

    #[test]
    fn the_log_in_a_message_is_dropped() {
        let message = "Cannot build 'x.drv'.\nReason: builder failed with exit code 1.\nOutput paths:\n  /nix/store/x\n\
                       Last 2 log lines:\n> one\n> two\nFor full logs, run:\n  nix log x.drv\nnote: more";
        assert_eq!(without_log(message), "builder failed with exit code 1.");
        assert_eq!(
            without_log("builder failed;\n       last 1 log lines:\n       > x\n       For full logs, run 'nix log x'."),
            "builder failed;"
        );
    }

    #[test]
    fn outputs_are_read_in_both_spellings() {
        let hash = "8x4imr87h9x530l6y2kdaj7ih62z8kgx";
        let (name, path) = output("sha256:00!dev", &format!("{{\"outPath\":\"{hash}-a-dev\"}}"), "/nix/store").unwrap();
        assert_eq!((name.as_str(), path.as_str()), ("dev", format!("/nix/store/{hash}-a-dev").as_str()));
        assert!(output("sha256:00!out", &format!("{{\"outPath\":\"/gnu/store/{hash}-a\"}}"), "/nix/store").is_some());
        for (id, text) in [("out", "{}"), ("x!out", "{}"), ("x!out", "["), ("x!out", "{\"outPath\":\"../etc\"}")] {
            assert!(output(id, text, "/nix/store").is_none());
        }
    }
}
