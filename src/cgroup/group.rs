//! One group: a way in, what it has used, its end.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use cgroups_rs::blkio::BlkIoController;
use cgroups_rs::cgroup::Cgroup;
use cgroups_rs::cpu::CpuController;
use cgroups_rs::cpuacct::CpuAcctController;
use cgroups_rs::freezer::FreezerController;
use cgroups_rs::memory::MemController;
use cgroups_rs::pid::PidController;
use cgroups_rs::{Controllers, Hierarchy, Subsystem};
use nix::unistd::Pid;

use super::ground::Own;
use super::place::Version;
use super::{Account, Ground, Limits, ends};

/// A group without groups below it. Dropping it kills whoever is left in it, and waits for their end: not for a thread that others
/// wait for.
pub struct Group {
    cgroup: Cgroup,
    /// Each once, that of the memory first.
    dirs: Vec<PathBuf>,
    /// Goes after its groups.
    _own: std::sync::Arc<Own>,
}

/// A group to be made when a program is started.
#[derive(Clone)]
pub struct Confined {
    pub ground: Ground,
    pub limits: Limits,
}

impl Confined {
    pub fn group(&self) -> io::Result<Group> {
        self.ground.group(&self.limits)
    }
}

/// The ways into a group, opened beforehand: between fork and exec nothing may be allocated.
struct Doors(Vec<File>);

impl Doors {
    /// Moves the calling process in. Async-signal-safe.
    fn enter(&mut self) -> io::Result<()> {
        // 0: who writes
        self.0.iter_mut().try_for_each(|door| door.write_all(b"0"))
    }
}

impl Group {
    pub(super) fn make(own: std::sync::Arc<Own>, name: &str, limits: &Limits) -> io::Result<Self> {
        let cgroup = Cgroup::load(Box::new(Below(own.clone())), name);
        let dirs = own.place.directories().into_iter().map(|dir| dir.join(name)).collect();
        // from here on what was made is removed again
        let group = Self { cgroup, dirs, _own: own };
        for dir in &group.dirs {
            std::fs::create_dir(dir).map_err(|fault| about(dir, &fault))?;
        }
        limits.apply(group.cgroup.subsystems())?;
        Ok(group)
    }

    /// Has what is started by this command enter before it becomes its program.
    pub fn receive(&self, command: &mut Command) -> io::Result<()> {
        let mut doors = self.doors()?;
        // SAFETY: write is async-signal-safe; nothing is allocated.
        #[allow(unsafe_code)]
        unsafe {
            command.pre_exec(move || doors.enter());
        }
        Ok(())
    }

    fn doors(&self) -> io::Result<Doors> {
        let open = |dir: &PathBuf| {
            let file = dir.join("cgroup.procs");
            File::options().write(true).open(&file).map_err(|fault| about(&file, &fault))
        };
        // see `CONTROLLERS`
        Ok(Doors(self.dirs.iter().rev().map(open).collect::<io::Result<_>>()?))
    }

    /// Moves a process in, with all its threads. What it has used so far stays where it was.
    pub fn admit(&self, process: Pid) -> io::Result<()> {
        // see `CONTROLLERS`
        self.dirs.iter().rev().try_for_each(|dir| {
            let file = dir.join("cgroup.procs");
            std::fs::write(&file, process.to_string()).map_err(|fault| about(&file, &fault))
        })
    }

    /// What everything in it has used up to now.
    pub fn account(&self) -> Account {
        Account::of(self.cgroup.subsystems())
    }

    /// Kills everything in it, and waits for it.
    pub fn kill(&self) -> io::Result<()> {
        ends::kill_all(&self.dirs.iter().map(PathBuf::as_path).collect::<Vec<_>>())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let ended = self.kill().and_then(|()| self.dirs.iter().rev().try_for_each(|dir| ends::remove(dir)));
        if let Err(fault) = ended {
            tracing::warn!(dir = %self.dirs[0].display(), %fault, "a control group is left behind");
        }
    }
}

fn about(path: &Path, fault: &io::Error) -> io::Error {
    io::Error::new(fault.kind(), format!("{}: {fault}", path.display()))
}

/// Our own groups as a hierarchy: the crate's own begin at the root, where they are systemd's.
#[derive(Debug)]
struct Below(std::sync::Arc<Own>);

impl Hierarchy for Below {
    fn subsystems(&self) -> Vec<Subsystem> {
        let v2 = self.v2();
        let subsystem = |(controller, dir): &(Controllers, PathBuf)| {
            let dir = dir.clone();
            Some(match controller {
                Controllers::Mem => Subsystem::Mem(MemController::new(dir, v2)),
                Controllers::Pids => Subsystem::Pid(PidController::new(dir, v2)),
                Controllers::Cpu => Subsystem::Cpu(CpuController::new(dir, v2)),
                Controllers::CpuAcct => Subsystem::CpuAcct(CpuAcctController::new(dir)),
                Controllers::Freezer => Subsystem::Freezer(FreezerController::new(dir, v2)),
                Controllers::BlkIo => Subsystem::BlkIo(BlkIoController::new(dir, v2)),
                Controllers::CpuSet
                | Controllers::Devices
                | Controllers::NetCls
                | Controllers::PerfEvent
                | Controllers::NetPrio
                | Controllers::HugeTlb
                | Controllers::Rdma
                | Controllers::Systemd => return None,
            })
        };
        self.0.place.dirs.iter().filter_map(subsystem).collect()
    }

    fn root(&self) -> PathBuf {
        self.0.dir().to_owned()
    }

    fn root_control_group(&self) -> Cgroup {
        Cgroup::load(Box::new(Below(self.0.clone())), "")
    }

    fn parent_control_group(&self, _: &str) -> Cgroup {
        self.root_control_group()
    }

    fn v2(&self) -> bool {
        self.0.place.version == Version::V2
    }
}
