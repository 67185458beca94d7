//! What a group of processes may use.

use std::{fmt, io};

use cgroups_rs::{Controller, Controllers, MaxValue, Subsystem};
use serde::{Deserialize, Serialize};

/// `None`: no limit of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Memory and swap together.
    pub memory_bytes: Option<u64>,
    /// The share of contended processors, 1 to 10000; others have 100.
    pub cpu_weight: Option<u64>,
    /// 100: one processor.
    pub cpu_percent: Option<u64>,
    /// Processes and threads at once.
    pub pids_max: Option<u64>,
    /// The share of contended disks, 1 to 10000; others have 100.
    pub io_weight: Option<u64>,
}

/// The period that a quota of processor time is counted in, in microseconds: the kernel's default.
const PERIOD: u64 = 100_000;

impl Limits {
    /// The limits that need a controller which is not among `present`, in the words of the settings.
    pub fn beyond(&self, present: &[Controllers]) -> Vec<&'static str> {
        let wanted = [
            ("memory", Controllers::Mem, self.memory_bytes.is_some()),
            ("the CPU", Controllers::Cpu, self.cpu_weight.is_some() || self.cpu_percent.is_some()),
            ("processes", Controllers::Pids, self.pids_max.is_some()),
            ("input and output", Controllers::BlkIo, self.io_weight.is_some()),
        ];
        wanted
            .into_iter()
            .filter(|(_, controller, wanted)| *wanted && !present.contains(controller))
            .map(|(what, _, _)| what)
            .collect()
    }

    /// Sets them. What has no controller here is left out: [`Limits::beyond`] says so beforehand.
    pub(super) fn apply(&self, subsystems: &[Subsystem]) -> io::Result<()> {
        for subsystem in subsystems {
            match subsystem {
                Subsystem::Mem(memory) => {
                    if let Some(bytes) = self.memory_bytes.map(signed) {
                        memory.set_limit(bytes).map_err(io::Error::other)?;
                        // version 1 counts both together, version 2 swap alone. Where there is no swap there is no such file
                        let swap = if memory.v2() { 0 } else { bytes };
                        if let Err(fault) = memory.set_memswap_limit(swap) {
                            tracing::debug!(%fault, "swap is not limited");
                        }
                    }
                }
                Subsystem::Cpu(cpu) => {
                    if let Some(weight) = self.cpu_weight {
                        let weight = if cpu.v2() { weight } else { shares(weight) };
                        cpu.set_shares(weight).map_err(io::Error::other)?;
                    }
                    if let Some(percent) = self.cpu_percent {
                        cpu.set_cfs_quota(signed(percent.saturating_mul(PERIOD / 100))).map_err(io::Error::other)?;
                    }
                }
                Subsystem::Pid(pids) => {
                    if let Some(max) = self.pids_max.map(signed) {
                        pids.set_pid_max(MaxValue::Value(max)).map_err(io::Error::other)?;
                    }
                }
                Subsystem::BlkIo(io) => {
                    if let Some(weight) = self.io_weight {
                        set_io_weight(io, weight)?;
                    }
                }
                // no limits of these
                _ => {}
            }
        }
        Ok(())
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [
            self.memory_bytes.map(|bytes| format!("{} of memory", size(bytes))),
            self.cpu_percent.map(|percent| format!("{percent} % of a processor")),
            self.cpu_weight.map(|weight| format!("weight {weight} of the processors")),
            self.pids_max.map(|most| format!("{most} processes")),
            self.io_weight.map(|weight| format!("weight {weight} of the disks")),
        ];
        let words: Vec<String> = words.into_iter().flatten().collect();
        f.write_str(if words.is_empty() { "none" } else { "" })?;
        f.write_str(&words.join(", "))
    }
}

/// Bytes as a person sets them: `512 MiB`.
pub fn size(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;
    match bytes {
        GIB.. if bytes.is_multiple_of(GIB) => format!("{} GiB", bytes / GIB),
        MIB.. if bytes.is_multiple_of(MIB) => format!("{} MiB", bytes / MIB),
        MIB.. => format!("{:.1} MiB", bytes as f64 / MIB as f64),
        _ => format!("{} KiB", bytes.div_ceil(1024)),
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The weight as version 1 counts it, where 1024 is what others have.
fn shares(weight: u64) -> u64 {
    (weight * 1024 / 100).clamp(2, 262_144)
}

/// Which file there is depends on the disk's scheduler, and none where it knows no weights: that is no reason not to build.
fn set_io_weight(io: &impl Controller, weight: u64) -> io::Result<()> {
    // BFQ counts to 1000
    let files = if io.v2() {
        [("io.weight", weight), ("io.bfq.weight", weight.min(1000))]
    } else {
        [("blkio.bfq.weight", weight.min(1000)), ("blkio.weight", weight.clamp(10, 1000))]
    };
    for (file, weight) in files {
        let file = io.path().join(file);
        if file.exists() {
            return std::fs::write(file, weight.to_string());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use cgroups_rs::blkio::BlkIoController;
    use cgroups_rs::cpu::CpuController;
    use cgroups_rs::memory::MemController;
    use cgroups_rs::pid::PidController;

    use super::*;

    const ALL: Limits = Limits {
        memory_bytes: Some(512 << 20),
        cpu_weight: Some(50),
        cpu_percent: Some(150),
        pids_max: Some(100),
        io_weight: Some(2000),
    };

    fn written(v2: bool, present: &[(&str, &str)]) -> impl Fn(&str) -> String {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in present {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let path = || dir.path().to_owned();
        let subsystems = [
            Subsystem::Mem(MemController::new(path(), v2)),
            Subsystem::Cpu(CpuController::new(path(), v2)),
            Subsystem::BlkIo(BlkIoController::new(path(), v2)),
            Subsystem::Pid(PidController::new(path(), v2)),
        ];
        ALL.apply(&subsystems).unwrap();
        move |file| std::fs::read_to_string(Path::new(dir.path()).join(file)).unwrap()
    }

    #[test]
    fn version_2_is_written() {
        let read = written(true, &[("cpu.max", "max 100000\n"), ("io.weight", "default 100\n")]);
        for (file, text) in [
            ("memory.max", "536870912"),
            ("memory.swap.max", "0"),
            ("cpu.weight", "50"),
            ("cpu.max", "150000 100000"),
            ("pids.max", "100"),
            ("io.weight", "2000"),
        ] {
            assert_eq!(read(file), text, "{file}");
        }
    }

    #[test]
    fn version_1_is_written() {
        let read = written(false, &[("blkio.bfq.weight", "100\n")]);
        for (file, text) in [
            ("memory.limit_in_bytes", "536870912"),
            ("memory.memsw.limit_in_bytes", "536870912"),
            ("cpu.shares", "512"),
            ("cpu.cfs_quota_us", "150000"),
            ("pids.max", "100"),
            ("blkio.bfq.weight", "1000"),
        ] {
            assert_eq!(read(file), text, "{file}");
        }
    }

    #[test]
    fn they_are_said_as_they_are_set() {
        assert_eq!(
            ALL.to_string(),
            "512 MiB of memory, 150 % of a processor, weight 50 of the processors, 100 processes, weight 2000 of the disks"
        );
        assert_eq!(Limits::default().to_string(), "none");
        for (bytes, text) in [(512 << 20, "512 MiB"), (2 << 30, "2 GiB"), ((1 << 20) + (1 << 19), "1.5 MiB"), (4096, "4 KiB")] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn what_a_machine_cannot_hold_is_named() {
        assert_eq!(ALL.beyond(&[Controllers::Cpu, Controllers::Pids]), ["memory", "input and output"]);
        assert!(Limits::default().beyond(&[]).is_empty());
    }
}
