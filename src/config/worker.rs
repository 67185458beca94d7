//! What `snowgate worker` goes by. It reads the same file as the server; the settings of builds' daemons are those of `build.options`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cgroup::Limits;

/// The privileged half, `snowgate worker`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Worker {
    /// The mode of its socket, in octal. A socket that the service manager made stays as it is.
    pub mode: String,
    /// The group of its socket, whose members may connect; by default `snowgate`, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Users who may connect besides root, by name or number; by default `snowgate`, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<Vec<String>>,
    /// No build gets more MiB of memory, whatever is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_mb: Option<u64>,
    /// No build gets more processor time, 100 being one processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<u64>,
    /// No build gets more processes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids_max: Option<u64>,
    /// Daemons at once; a build has one, and a few more are kept ready.
    #[schemars(range(min = 1))]
    pub daemons: u32,
}

impl Default for Worker {
    fn default() -> Self {
        Self { mode: "0660".into(), group: None, users: None, memory_mb: None, cpu_percent: None, pids_max: None, daemons: 256 }
    }
}

impl Worker {
    /// What no request may go beyond.
    pub fn most(&self) -> Limits {
        Limits {
            memory_bytes: self.memory_mb.map(|mib| mib.saturating_mul(1 << 20)),
            cpu_percent: self.cpu_percent,
            pids_max: self.pids_max,
            ..Limits::default()
        }
    }

    /// The bits of the socket's mode.
    pub fn mode_bits(&self) -> Option<u32> {
        u32::from_str_radix(&self.mode, 8).ok().filter(|mode| *mode <= 0o777)
    }

    pub(super) fn check(&self) -> Result<(), String> {
        match self.mode_bits() {
            Some(_) => Ok(()),
            None => Err(format!("`worker.mode` must be an octal mode such as \"0660\", not \"{}\"", self.mode)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;

    #[test]
    fn the_mode_is_octal() {
        assert_eq!(Worker::default().mode_bits(), Some(0o660));
        let fault = Settings::parse("[worker]\nmode = \"rw\"").unwrap_err().to_string();
        assert_eq!(fault, "line 2: `worker.mode` must be an octal mode such as \"0660\", not \"rw\"");
        let worker = Settings::parse("[worker]\nmemory_mb = 2\nusers = [\"snowgate\", \"1000\"]").unwrap().worker;
        assert_eq!(worker.most(), Limits { memory_bytes: Some(2 << 20), ..Limits::default() });
    }
}
