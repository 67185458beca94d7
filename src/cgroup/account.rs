//! What a group has used, read from the kernel's files.

use std::collections::HashMap;
use std::path::Path;

use cgroups_rs::Subsystem;
use serde::{Deserialize, Serialize};

use crate::build::Usage;

/// What everything that ever was in a group has used. `None`: the kernel does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    pub cpu_seconds: Option<f64>,
    /// File cache is part of it, as of the limit.
    pub peak_memory_bytes: Option<u64>,
    pub io_read_bytes: Option<u64>,
    pub io_written_bytes: Option<u64>,
    /// Processes that the kernel killed because there was no memory left.
    pub oom_kills: u64,
    /// How often the limit of memory was in the way; much of that is only file cache that has to go. Not every kernel counts.
    pub memory_limit_hits: u64,
    /// Processes and threads that could not be started because there were too many.
    pub refused_forks: u64,
}

impl Account {
    pub(super) fn of(subsystems: &[Subsystem]) -> Self {
        let mut account = Account::default();
        for subsystem in subsystems {
            let controller = subsystem.to_controller();
            account.add(subsystem, controller.path(), controller.v2());
        }
        account
    }

    fn add(&mut self, subsystem: &Subsystem, dir: &Path, v2: bool) {
        // a file that is not there: the kernel is too old for it
        let read = |file: &str| std::fs::read_to_string(dir.join(file)).unwrap_or_default();
        match (subsystem, v2) {
            (Subsystem::Mem(_), true) => {
                self.peak_memory_bytes = number(&read("memory.peak"));
                let events = read("memory.events");
                let events = pairs(&events);
                self.oom_kills = events.get("oom_kill").copied().unwrap_or_default();
                self.memory_limit_hits = events.get("max").copied().unwrap_or_default();
            }
            (Subsystem::Mem(_), false) => {
                self.peak_memory_bytes = number(&read("memory.max_usage_in_bytes"));
                self.oom_kills = pairs(&read("memory.oom_control")).get("oom_kill").copied().unwrap_or_default();
                // whichever of the two limits is met first counts, and they are the same
                let hits = |file| number(&read(file)).unwrap_or_default();
                self.memory_limit_hits = hits("memory.failcnt").saturating_add(hits("memory.memsw.failcnt"));
            }
            (Subsystem::Cpu(_), true) => {
                self.cpu_seconds = pairs(&read("cpu.stat")).get("usage_usec").map(|microseconds| *microseconds as f64 / 1e6);
            }
            (Subsystem::CpuAcct(_), _) => {
                self.cpu_seconds = number(&read("cpuacct.usage")).map(|nanoseconds| nanoseconds as f64 / 1e9);
            }
            (Subsystem::BlkIo(_), true) => (self.io_read_bytes, self.io_written_bytes) = moved(&read("io.stat")),
            (Subsystem::BlkIo(_), false) => {
                (self.io_read_bytes, self.io_written_bytes) = moved_v1(&read("blkio.throttle.io_service_bytes_recursive"));
            }
            (Subsystem::Pid(_), _) => self.refused_forks = pairs(&read("pids.events")).get("max").copied().unwrap_or_default(),
            // these measure nothing
            (_, _) => {}
        }
    }

    pub fn usage(&self) -> Usage {
        Usage {
            cpu_seconds: self.cpu_seconds,
            peak_memory_bytes: self.peak_memory_bytes,
            io_read_bytes: self.io_read_bytes,
            io_written_bytes: self.io_written_bytes,
            ..Usage::default()
        }
    }
}

fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// Lines of a name and a number.
fn pairs(text: &str) -> HashMap<&str, u64> {
    text.lines().filter_map(|line| line.split_once(' ')).filter_map(|(name, value)| Some((name, number(value)?))).collect()
}

/// Bytes read and written, of `8:0 rbytes=4096 wbytes=0 rios=1 …`, one line for each device. A group that did nothing has no line.
fn moved(text: &str) -> (Option<u64>, Option<u64>) {
    let sum = |name: &str| {
        let values = text.split_whitespace().filter_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse::<u64>().ok());
        Some(values.sum())
    };
    (sum("rbytes"), sum("wbytes"))
}

/// The same of version 1: `8:0 Read 4096`.
fn moved_v1(text: &str) -> (Option<u64>, Option<u64>) {
    if text.is_empty() {
        return (None, None);
    }
    let sum = |kind: &str| {
        let words = text.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        Some(words.filter(|words| words.len() == 3 && words[1] == kind).filter_map(|words| number(words[2])).sum())
    };
    (sum("Read"), sum("Write"))
}

#[cfg(test)]
mod tests {
    use cgroups_rs::blkio::BlkIoController;
    use cgroups_rs::cpu::CpuController;
    use cgroups_rs::cpuacct::CpuAcctController;
    use cgroups_rs::memory::MemController;
    use cgroups_rs::pid::PidController;

    use super::*;

    /// A directory with files as a kernel wrote them.
    fn recorded(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    fn subsystems(dir: &Path, v2: bool) -> Vec<Subsystem> {
        let dir = || dir.to_owned();
        let mut all = vec![
            Subsystem::Mem(MemController::new(dir(), v2)),
            Subsystem::Cpu(CpuController::new(dir(), v2)),
            Subsystem::BlkIo(BlkIoController::new(dir(), v2)),
            Subsystem::Pid(PidController::new(dir(), v2)),
        ];
        if !v2 {
            all.push(Subsystem::CpuAcct(CpuAcctController::new(dir())));
        }
        all
    }

    #[test]
    fn version_2_is_read() {
        let dir = recorded(&[
            ("memory.peak", "536870912\n"),
            ("memory.events", "low 0\nhigh 0\nmax 4193\noom 3\noom_kill 2\noom_group_kill 0\n"),
            ("cpu.stat", "usage_usec 2500000\nuser_usec 1900000\nsystem_usec 600000\nnr_periods 0\n"),
            ("io.stat", "254:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n8:0 rbytes=1 wbytes=2 rios=1 wios=1\n"),
            ("pids.events", "max 7\n"),
        ]);
        let expected = Account {
            cpu_seconds: Some(2.5),
            peak_memory_bytes: Some(512 << 20),
            io_read_bytes: Some(4097),
            io_written_bytes: Some(8194),
            oom_kills: 2,
            memory_limit_hits: 4193,
            refused_forks: 7,
        };
        assert_eq!(Account::of(&subsystems(dir.path(), true)), expected);
    }

    #[test]
    fn version_1_is_read() {
        let dir = recorded(&[
            ("memory.max_usage_in_bytes", "1048576\n"),
            ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"),
            ("memory.failcnt", "5\n"),
            ("memory.memsw.failcnt", "7\n"),
            ("cpuacct.usage", "1500000000\n"),
            ("cpu.stat", "nr_periods 0\nnr_throttled 0\nthrottled_time 0\n"),
            (
                "blkio.throttle.io_service_bytes_recursive",
                "254:0 Read 512\n254:0 Write 1024\n254:0 Sync 0\n254:0 Total 1536\n8:0 Read 1\n8:0 Write 0\nTotal 1537\n",
            ),
            ("pids.events", "max 0\n"),
        ]);
        let expected = Account {
            cpu_seconds: Some(1.5),
            peak_memory_bytes: Some(1 << 20),
            io_read_bytes: Some(513),
            io_written_bytes: Some(1024),
            oom_kills: 1,
            memory_limit_hits: 12,
            refused_forks: 0,
        };
        assert_eq!(Account::of(&subsystems(dir.path(), false)), expected);
    }

    #[test]
    fn what_a_kernel_does_not_say_is_not_zero() {
        let dir = recorded(&[("memory.events", "low 0\nmax 0\noom 0\n")]);
        let account = Account::of(&subsystems(dir.path(), true));
        assert_eq!((account.peak_memory_bytes, account.cpu_seconds, account.oom_kills), (None, None, 0));
        assert_eq!(Account::of(&subsystems(dir.path(), false)), Account::default());
    }
}
