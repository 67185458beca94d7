//! The control group of an evaluating process and of all that it forks: what they may use together, and that none of them stays.

use super::confine::Urgency;
use crate::cgroup::{self, Confined, Ground};

/// Where groups of evaluating processes are made.
#[derive(Clone)]
pub struct Enclosure {
    ground: Ground,
    /// What builds get of the processors and disks, evaluating processes get too.
    like: cgroup::Limits,
}

/// Beyond an evaluating process's own data: its program, its stack, who waits for it.
const BESIDES_DATA: u64 = 256 << 20;

/// An evaluating process has a thread or two, and one of its collector for each processor; one that records forks deeply.
const PIDS: u64 = 512;

impl Enclosure {
    /// `like`: the limits of a build.
    pub fn new(ground: Ground, like: cgroup::Limits) -> Self {
        Self { ground, like }
    }

    /// `data_bytes`: what one process may have by itself, which it is the first to meet. Processes that record share most of theirs with
    /// those that they were forked from.
    pub(super) fn of(&self, data_bytes: u64, forks: bool, urgency: Urgency) -> Confined {
        let (cpu_weight, io_weight) = match urgency {
            Urgency::Usual => (self.like.cpu_weight, self.like.io_weight),
            Urgency::WhenIdle => (Some(1), Some(1)),
        };
        let data = if forks { data_bytes.saturating_mul(2) } else { data_bytes };
        let limits = cgroup::Limits {
            memory_bytes: Some(data.saturating_add(BESIDES_DATA)),
            cpu_weight,
            cpu_percent: self.like.cpu_percent,
            pids_max: Some(PIDS),
            io_weight,
        };
        Confined { ground: self.ground.clone(), limits }
    }
}
