//! Where this process stands among the control groups of the machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cgroups_rs::Controllers;

/// Why no groups can be made, with the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoGround {
    #[error("this machine shows no control groups; mount them at /sys/fs/cgroup")]
    NotMounted,
    #[error("the control group `{0}` of this process is not below what is mounted; mount all of /sys/fs/cgroup")]
    OutOfSight(String),
    #[error("the control group {dir} can't be written ({fault}); run this as root, or by a unit with `Delegate=yes`")]
    NotWritable { dir: PathBuf, fault: String },
    #[error(
        "the control group {0} is shared with processes of others; run this by a unit with `Delegate=yes`, say \
         `systemd-run --scope -p Delegate=yes snowgate …`"
    )]
    Shared(PathBuf),
    #[error("{dir} offers no controller for limits ({fault}); enable them in the groups above it")]
    NoControllers { dir: PathBuf, fault: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V2,
}

/// This process's own group: one directory in version 2, one for each controller in version 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub version: Version,
    pub dirs: Vec<(Controllers, PathBuf)>,
}

/// The controllers that we use. Memory first: it must be there. Files of
/// memory are written back for the input and output of the same group only if that is joined first, so it is joined in reverse order.
pub(super) const CONTROLLERS: [(Controllers, &str); 6] = [
    (Controllers::Mem, "memory"),
    (Controllers::Pids, "pids"),
    (Controllers::Cpu, "cpu"),
    (Controllers::CpuAcct, "cpuacct"),
    (Controllers::Freezer, "freezer"),
    (Controllers::BlkIo, "blkio"),
];

impl Place {
    pub fn of_this_process() -> Result<Self, NoGround> {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/self/{file}")).map_err(|_| NoGround::NotMounted);
        Self::find(&read("mountinfo")?, &read("cgroup")?)
    }

    /// Each directory once, though several controllers may share one; that of the memory first.
    pub fn directories(&self) -> Vec<&Path> {
        let mut all: Vec<&Path> = Vec::new();
        for (_, dir) in &self.dirs {
            if !all.contains(&dir.as_path()) {
                all.push(dir);
            }
        }
        all
    }

    /// From `/proc/self/mountinfo` and `/proc/self/cgroup`. Where there are both versions, the one that has the memory.
    fn find(mountinfo: &str, cgroup: &str) -> Result<Self, NoGround> {
        let mounts: Vec<Mount> = mountinfo.lines().filter_map(Mount::parse).collect();
        let own = own_paths(cgroup);
        let v1 =
            |name: &str| mounts.iter().find(|mount| mount.kind == "cgroup" && mount.options.iter().any(|option| option == name));
        if v1("memory").is_some() {
            let mut dirs = Vec::new();
            for (controller, name) in CONTROLLERS {
                let (Some(mount), Some(path)) = (v1(name), own.get(name)) else { continue };
                dirs.push((controller, mount.dir_of(path)?));
            }
            return Ok(Self { version: Version::V1, dirs });
        }
        let unified = mounts.iter().find(|mount| mount.kind == "cgroup2").zip(own.get(""));
        let (mount, path) = unified.ok_or(NoGround::NotMounted)?;
        let dir = mount.dir_of(path)?;
        let dirs = CONTROLLERS.into_iter().filter(|(controller, _)| *controller != Controllers::CpuAcct);
        Ok(Self { version: Version::V2, dirs: dirs.map(|(controller, _)| (controller, dir.clone())).collect() })
    }
}

/// The path in each hierarchy, by controller; version 2 has none.
fn own_paths(cgroup: &str) -> BTreeMap<&str, &str> {
    let lines = cgroup.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    lines.flat_map(|(controllers, path)| controllers.split(',').map(move |controller| (controller, path))).collect()
}

struct Mount {
    /// What of the hierarchy is mounted.
    root: PathBuf,
    point: PathBuf,
    kind: String,
    options: Vec<String>,
}

impl Mount {
    /// `36 35 98:0 /root /point rw,noatime shared:1 - cgroup cgroup rw,memory`: see proc_pid_mountinfo(5).
    fn parse(line: &str) -> Option<Self> {
        let (mount, system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3).map(|path| PathBuf::from(unescaped(path)));
        let mut system = system.split(' ');
        Some(Self {
            root: mount.next()?,
            point: mount.next()?,
            kind: system.next()?.to_owned(),
            options: system.nth(1)?.split(',').map(str::to_owned).collect(),
        })
    }

    fn dir_of(&self, path: &str) -> Result<PathBuf, NoGround> {
        let out_of_sight = || NoGround::OutOfSight(path.to_owned());
        let below = Path::new(path).strip_prefix(&self.root).map_err(|_| out_of_sight())?;
        if below.components().any(|part| part == std::path::Component::ParentDir) {
            return Err(out_of_sight());
        }
        // not `join` alone: of nothing it would end with a slash
        Ok(if below == Path::new("") { self.point.clone() } else { self.point.join(below) })
    }
}

/// Blanks in paths are written `\040`.
fn unescaped(path: &str) -> String {
    path.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir_of(place: &Place, controller: Controllers) -> &str {
        place.dirs.iter().find(|(other, _)| *other == controller).unwrap().1.to_str().unwrap()
    }

    /// Of a service on Debian 13.
    #[test]
    fn version_2_with_systemd() {
        let mounts = "25 30 0:23 / /proc rw,nosuid shared:12 - proc proc rw\n\
                      31 24 0:27 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n";
        let place = Place::find(mounts, "0::/system.slice/snowgate-worker.service\n").unwrap();
        assert_eq!(place.version, Version::V2);
        assert_eq!(dir_of(&place, Controllers::Mem), "/sys/fs/cgroup/system.slice/snowgate-worker.service");
        assert!(place.dirs.iter().all(|(controller, _)| *controller != Controllers::CpuAcct));
    }

    #[test]
    fn version_2_of_a_container() {
        let mounts = "31 24 0:27 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw,nsdelegate\n";
        assert_eq!(dir_of(&Place::find(mounts, "0::/\n").unwrap(), Controllers::Pids), "/sys/fs/cgroup");
        // moved out of its namespace's root
        assert_eq!(Place::find(mounts, "0::/../other\n"), Err(NoGround::OutOfSight("/../other".into())));
    }

    /// Joint controllers, a mount of a part, a version 2 without controllers beside it.
    #[test]
    fn version_1() {
        let mounts = "40 32 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                      41 32 0:31 /docker/1f /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      42 32 0:32 / /sys/fs/cgroup/with\\040blank rw - cgroup cgroup rw,pids\n\
                      43 32 0:33 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
                      44 32 0:34 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let own = "9:name=systemd:/\n8:pids:/a\n4:memory:/docker/1f/b:c\n2:cpu,cpuacct:/\n0::/\n";
        let place = Place::find(mounts, own).unwrap();
        assert_eq!(place.version, Version::V1);
        assert_eq!(dir_of(&place, Controllers::Mem), "/sys/fs/cgroup/memory/b:c");
        assert_eq!(dir_of(&place, Controllers::Cpu), "/sys/fs/cgroup/cpu,cpuacct");
        assert_eq!(dir_of(&place, Controllers::CpuAcct), "/sys/fs/cgroup/cpu,cpuacct");
        assert_eq!(dir_of(&place, Controllers::Pids), "/sys/fs/cgroup/with blank/a");
        assert_eq!(place.dirs.len(), 4);
    }

    #[test]
    fn nothing_mounted() {
        assert_eq!(Place::find("25 30 0:23 / /proc rw - proc proc rw\n", "0::/\n"), Err(NoGround::NotMounted));
        assert_eq!(Place::find("", ""), Err(NoGround::NotMounted));
    }
}
