//! What one build may use, in the slots of this machine.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::server::Build;
use crate::cgroup::Limits;

/// More than any honest build needs, and few enough that a fork bomb leaves room for others.
pub const PIDS_MAX: u64 = 16_384;
/// Nix itself does not start with less.
const LEAST_MEMORY_MB: u64 = 64;
/// For Nix and a builder.
const LEAST_PIDS: u64 = 16;
const WEIGHTS: std::ops::RangeInclusive<u64> = 1..=10_000;

/// The larger slots. What is not said of them is as of the others, but for memory and processor time: these have no limit then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Big {
    /// Builds at once, beside those of `build.jobs`.
    #[schemars(range(min = 1))]
    pub jobs: u32,
    /// As of `build`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 64))]
    pub memory_mb: Option<u64>,
    /// As of `build`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub cpu_weight: Option<u64>,
    /// As of `build`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub cpu_percent: Option<u64>,
    /// As of `build`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 16))]
    pub pids_max: Option<u64>,
    /// As of `build`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub io_weight: Option<u64>,
}

impl Default for Big {
    fn default() -> Self {
        Self { jobs: 1, memory_mb: None, cpu_weight: None, cpu_percent: None, pids_max: None, io_weight: None }
    }
}

/// A key of `[build]` that can't be as it is.
pub(super) struct SlotFault {
    pub path: Vec<&'static str>,
    pub message: String,
}

impl Build {
    /// Of one build in an ordinary slot.
    pub fn slot_limits(&self) -> Limits {
        Limits {
            memory_bytes: self.memory_mb.map(bytes),
            cpu_weight: self.cpu_weight,
            cpu_percent: self.cpu_percent,
            pids_max: Some(self.pids_max),
            io_weight: self.io_weight,
        }
    }

    /// Of one build in a larger slot, if there are such.
    pub fn big_slot_limits(&self) -> Option<Limits> {
        let big = self.big.as_ref()?;
        Some(Limits {
            memory_bytes: big.memory_mb.map(bytes),
            cpu_weight: big.cpu_weight.or(self.cpu_weight),
            cpu_percent: big.cpu_percent,
            pids_max: Some(big.pids_max.unwrap_or(self.pids_max)),
            io_weight: big.io_weight.or(self.io_weight),
        })
    }

    pub(super) fn check_slots(&self) -> Result<(), SlotFault> {
        let fault = |path: &[&'static str], what: String| {
            Err(SlotFault { path: path.to_vec(), message: format!("`{}` must be {what}", path.join(".")) })
        };
        let big = self.big.clone().unwrap_or_default();
        for (path, value, least) in [
            (&["build", "memory_mb"][..], self.memory_mb, LEAST_MEMORY_MB),
            (&["build", "pids_max"], Some(self.pids_max), LEAST_PIDS),
            (&["build", "big", "jobs"], Some(u64::from(big.jobs)), 1),
            (&["build", "big", "memory_mb"], big.memory_mb, LEAST_MEMORY_MB),
            (&["build", "big", "pids_max"], big.pids_max, LEAST_PIDS),
            (&["build", "big", "cpu_percent"], big.cpu_percent, 1),
        ] {
            if value.is_some_and(|value| value < least) {
                return fault(path, format!("at least {least}"));
            }
        }
        for (path, weight) in [
            (&["build", "cpu_weight"][..], self.cpu_weight),
            (&["build", "io_weight"], self.io_weight),
            (&["build", "big", "cpu_weight"], big.cpu_weight),
            (&["build", "big", "io_weight"], big.io_weight),
        ] {
            if weight.is_some_and(|weight| !WEIGHTS.contains(&weight)) {
                return fault(path, "between 1 and 10000".into());
            }
        }
        if let (Some(big), Some(others)) = (big.memory_mb, self.memory_mb)
            && big <= others
        {
            return fault(&["build", "big", "memory_mb"], "more than `build.memory_mb`: these are the larger slots".into());
        }
        if self.worker.as_ref().is_some_and(|socket| !socket.is_absolute()) {
            return fault(&["build", "worker"], "an absolute path".into());
        }
        Ok(())
    }
}

fn bytes(mib: u64) -> u64 {
    mib.saturating_mul(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;

    fn build(text: &str) -> Build {
        Settings::parse(text).unwrap().build
    }

    #[test]
    fn slots_have_the_limits_of_their_class() {
        let limits = build("").slot_limits();
        assert_eq!(limits, Limits { pids_max: Some(PIDS_MAX), ..Limits::default() });
        assert_eq!(build("").big_slot_limits(), None);
        let build =
            build("[build]\nmemory_mb = 512\ncpu_weight = 50\ncpu_percent = 100\n[build.big]\nmemory_mb = 4096\npids_max = 99");
        assert_eq!(build.slot_limits().memory_bytes, Some(512 << 20));
        let big = build.big_slot_limits().unwrap();
        assert_eq!(build.big.unwrap().jobs, 1);
        let expected =
            Limits { memory_bytes: Some(4 << 30), cpu_weight: Some(50), cpu_percent: None, pids_max: Some(99), io_weight: None };
        assert_eq!(big, expected);
    }

    #[test]
    fn a_slot_that_cannot_be_is_named() {
        for (text, fault) in [
            ("build.memory_mb = 10", "line 1: `build.memory_mb` must be at least 64"),
            ("[build]\npids_max = 1", "line 2: `build.pids_max` must be at least 16"),
            ("build.cpu_weight = 10001", "line 1: `build.cpu_weight` must be between 1 and 10000"),
            ("[build.big]\nio_weight = 0", "line 2: `build.big.io_weight` must be between 1 and 10000"),
            ("[build.big]\njobs = 0", "line 2: `build.big.jobs` must be at least 1"),
            (
                "[build]\nmemory_mb = 512\n[build.big]\nmemory_mb = 512",
                "line 4: `build.big.memory_mb` must be more than `build.memory_mb`: these are the larger slots",
            ),
            ("build.worker = \"sock\"", "line 1: `build.worker` must be an absolute path"),
        ] {
            assert_eq!(Settings::parse(text).unwrap_err().to_string(), fault);
        }
    }
}
