//! The groups that are ours: a subtree below where this process stands, marked with its owner.
//!
//! The mark is a lock on the subtree's directory, in each hierarchy, which the kernel takes away with the process, however that ends.
//! A directory that nobody holds was left behind by a kill: whoever comes next ends what is in it. No number of a process is trusted
//! for that, since numbers come again, and differ between containers; and no hierarchy for another, since processes may stand apart
//! in one and together in another.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cgroups_rs::Controllers;

use super::place::{CONTROLLERS, NoGround, Place, Version};
use super::{Group, Limits, ends};

/// Subtrees are called so, a number and a number.
const PREFIX: &str = "snowgate-run-";
/// Where the processes of a delegated group go, since one with groups below it can't have any itself.
const MAIN: &str = "snowgate-main";
/// How often a name is tried that another takes first, or takes away.
const TRIES: u32 = 100;

/// Where groups can be made. Clones are the same ground; it goes with the last of them and the last of its groups.
#[derive(Clone)]
pub struct Ground(Arc<Own>);

/// Our subtree.
#[derive(Debug)]
pub(super) struct Own {
    /// Its directories.
    pub place: Place,
    next: AtomicU64,
    _marks: Vec<File>,
}

impl Own {
    /// Its directory; of version 1, that where the memory is.
    pub fn dir(&self) -> &Path {
        &self.place.dirs[0].1
    }
}

impl Ground {
    /// Ends what was left behind here, and makes a subtree.
    pub fn open() -> Result<Self, NoGround> {
        Self::at(Place::of_this_process()?)
    }

    fn at(mut around: Place) -> Result<Self, NoGround> {
        if around.version == Version::V2 {
            around = out_of_main(around);
        }
        let Some((_, dir)) = around.dirs.first() else { return Err(NoGround::NotMounted) };
        let dir = dir.clone();
        let not_writable = |fault: io::Error| NoGround::NotWritable { dir: dir.clone(), fault: fault.to_string() };
        sweep(&around).map_err(not_writable)?;
        let (marks, place) = make_own(&around).map_err(not_writable)?;
        let mut own = Own { place, next: AtomicU64::new(0), _marks: marks };
        if around.version == Version::V2 {
            enable_controllers(&dir, own.dir())?;
            own.keep_controllers()?;
        }
        Ok(Self(Arc::new(own)))
    }

    /// A fresh group.
    pub fn group(&self, limits: &Limits) -> io::Result<Group> {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        Group::make(self.0.clone(), &number.to_string(), limits)
    }

    /// The limits that nobody holds here.
    pub fn beyond(&self, limits: &Limits) -> Vec<&'static str> {
        let present: Vec<Controllers> = self.0.place.dirs.iter().map(|(controller, _)| controller.clone()).collect();
        limits.beyond(&present)
    }
}

impl Own {
    /// Of version 2: has the groups below get the controllers that there are, and forgets the others.
    fn keep_controllers(&mut self) -> Result<(), NoGround> {
        let dir = self.dir().to_owned();
        let no_controllers = |fault: io::Error| NoGround::NoControllers { dir: dir.clone(), fault: fault.to_string() };
        let present = fs::read_to_string(dir.join("cgroup.controllers")).map_err(no_controllers)?;
        let present: Vec<&str> = present.split_whitespace().collect();
        for name in present.iter().filter(|name| WANTED.contains(name)) {
            fs::write(dir.join("cgroup.subtree_control"), format!("+{name}")).map_err(no_controllers)?;
        }
        if !present.iter().any(|name| WANTED.contains(name)) {
            return Err(no_controllers(io::Error::other("cgroup.controllers names none")));
        }
        self.place.dirs.retain(|(controller, _)| match controller {
            // every group of version 2 can be frozen, and counts its processor time
            Controllers::Freezer | Controllers::Cpu => true,
            Controllers::BlkIo => present.contains(&"io"),
            other => CONTROLLERS.iter().any(|(controller, name)| controller == other && present.contains(name)),
        });
        Ok(())
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        for dir in self.place.directories() {
            if let Err(fault) = ends::remove(dir) {
                tracing::warn!(dir = %dir.display(), %fault, "a control group is left behind");
            }
        }
    }
}

/// Controllers of version 2.
const WANTED: [&str; 4] = ["memory", "pids", "cpu", "io"];

/// Where the first Snowgate in this group has moved us, we stand beside its subtree and not above it.
fn out_of_main(mut place: Place) -> Place {
    for (_, dir) in &mut place.dirs {
        if dir.file_name().is_some_and(|name| name == MAIN) {
            dir.pop();
        }
    }
    place
}

/// Makes a subtree in each hierarchy: its locks, and where it is. A hierarchy where that fails is done without, but for the first.
fn make_own(around: &Place) -> io::Result<(Vec<File>, Place)> {
    'names: for n in 0..TRIES {
        let name = format!("{PREFIX}{}-{n}", std::process::id());
        let mut made: Vec<(File, PathBuf)> = Vec::new();
        for dir in around.directories() {
            let own = dir.join(&name);
            match make_held(&own) {
                Ok(Some(mark)) => made.push((mark, own)),
                Ok(None) => {
                    made.iter().try_for_each(|(_, own)| ends::remove(own))?;
                    continue 'names;
                }
                Err(fault) if made.is_empty() => return Err(fault),
                Err(fault) => tracing::warn!(dir = %own.display(), %fault, "a controller is not used"),
            }
        }
        let (marks, made): (Vec<File>, Vec<PathBuf>) = made.into_iter().unzip();
        let dirs = around.dirs.iter().map(|(controller, dir)| (controller.clone(), dir.join(&name)));
        let dirs = dirs.filter(|(_, dir)| made.contains(dir)).collect();
        return Ok((marks, Place { version: around.version, dirs }));
    }
    Err(io::Error::other("others take every name"))
}

/// A new directory and the lock on it; `None` where it is another's, or was taken for one that was left behind before it was locked.
fn make_held(dir: &Path) -> io::Result<Option<File>> {
    match fs::create_dir(dir) {
        Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => Ok(None),
        made => made.and_then(|()| hold(dir)),
    }
}

/// The lock on a subtree's directory; `None` if another holds it, or it is gone.
fn hold(dir: &Path) -> io::Result<Option<File>> {
    let file = match File::open(dir) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => return Ok(None),
        Err(fs::TryLockError::Error(fault)) => return Err(fault),
    }
    let is_there = fs::metadata(dir).is_ok_and(|there| file.metadata().is_ok_and(|held| held.ino() == there.ino()));
    Ok(is_there.then_some(file))
}

/// Ends what is in subtrees that nobody holds, and removes them.
fn sweep(around: &Place) -> io::Result<()> {
    let dirs = around.directories();
    let names: BTreeSet<String> =
        dirs.iter().map(|dir| subtrees(dir)).collect::<io::Result<Vec<_>>>()?.into_iter().flatten().collect();
    for name in names {
        let mut left = Vec::new();
        for dir in dirs.iter().map(|dir| dir.join(&name)) {
            // one held by its owner stays
            if let Some(mark) = hold(&dir)? {
                left.push((mark, dir));
            }
        }
        if left.is_empty() {
            continue;
        }
        tracing::info!(name, "ending what an earlier run left in its control groups");
        let all: Vec<&Path> = left.iter().map(|(_, dir)| dir.as_path()).collect();
        if let Err(fault) = ends::kill_all(&all).and_then(|()| all.iter().try_for_each(|dir| ends::remove(dir))) {
            tracing::warn!(name, %fault, "control groups that an earlier run left behind stay");
        }
    }
    Ok(())
}

fn subtrees(dir: &Path) -> io::Result<Vec<String>> {
    let names = fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.filter(|name| name.as_ref().map_or(true, |name| name.starts_with(PREFIX))).collect()
}

/// Has the groups below `dir` get the controllers of version 2. A group with groups below it that have controllers can't have
/// processes: they go to a group beside ours, if `dir` is delegated to us or has nobody but us.
fn enable_controllers(dir: &Path, own: &Path) -> Result<(), NoGround> {
    let no_controllers = |fault: io::Error| NoGround::NoControllers { dir: dir.to_owned(), fault: fault.to_string() };
    let words = |file: &Path| -> io::Result<Vec<String>> {
        Ok(fs::read_to_string(file)?.split_whitespace().map(str::to_owned).collect())
    };
    let there = words(&dir.join("cgroup.controllers")).map_err(no_controllers)?;
    let given = words(&own.join("cgroup.controllers")).map_err(no_controllers)?;
    let missing: Vec<&String> = there.iter().filter(|name| WANTED.contains(&name.as_str()) && !given.contains(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    // the root of all groups is the exception to that rule, and has no type
    if dir.join("cgroup.type").exists() {
        move_out(dir)?;
    }
    for name in missing {
        fs::write(dir.join("cgroup.subtree_control"), format!("+{name}")).map_err(no_controllers)?;
    }
    Ok(())
}

fn move_out(dir: &Path) -> Result<(), NoGround> {
    let not_writable = |fault: io::Error| NoGround::NotWritable { dir: dir.to_owned(), fault: fault.to_string() };
    let main = dir.join(MAIN);
    match fs::create_dir(&main) {
        Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => {}
        made => made.map_err(not_writable)?,
    }
    let us = std::process::id().to_string();
    for _ in 0..TRIES {
        let processes = fs::read_to_string(dir.join("cgroup.procs")).map_err(not_writable)?;
        if processes.is_empty() {
            return Ok(());
        }
        if processes.lines().any(|process| process != us) && !is_delegated(dir) {
            return Err(NoGround::Shared(dir.to_owned()));
        }
        for process in processes.lines() {
            match fs::write(main.join("cgroup.procs"), process) {
                // it has ended
                Err(fault) if fault.raw_os_error() == Some(libc::ESRCH) => {}
                moved => moved.map_err(not_writable)?,
            }
        }
    }
    Err(NoGround::Shared(dir.to_owned()))
}

/// As systemd marks the groups of units with `Delegate=yes`.
fn is_delegated(dir: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let Ok(path) = std::ffi::CString::new(dir.as_os_str().as_bytes()) else { return false };
    [c"user.delegate", c"trusted.delegate"].into_iter().any(|name| {
        let mut value = [0_u8; 8];
        // SAFETY: both strings end with a zero, and no more is written than there is room for.
        #[allow(unsafe_code)]
        let length = unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
        length == 1 && value[0] == b'1'
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plain directories in the place of hierarchies: what is locked, taken and removed is the same.
    fn place(memory: &Path, pids: &Path) -> Place {
        let dirs = vec![(Controllers::Mem, memory.to_owned()), (Controllers::Pids, pids.to_owned())];
        dirs.iter().for_each(|(_, dir)| fs::create_dir_all(dir).unwrap());
        Place { version: Version::V1, dirs }
    }

    #[test]
    fn those_who_stand_together_in_one_hierarchy_alone_leave_each_other_in_peace() {
        let root = tempfile::tempdir().unwrap();
        let shared = root.path().join("pids");
        let one = Ground::at(place(&root.path().join("memory/one"), &shared)).unwrap();
        let of_one = subtrees(&shared).unwrap();
        let other = Ground::at(place(&root.path().join("memory/other"), &shared)).unwrap();
        assert_eq!(of_one.len(), 1);
        assert!(shared.join(&of_one[0]).exists(), "the second ended what is the first's");
        assert_eq!(subtrees(&shared).unwrap().len(), 2);
        drop(one);
        assert!(!shared.join(&of_one[0]).exists());
        assert_eq!(subtrees(&shared).unwrap().len(), 1);
        drop(other);
        assert_eq!(subtrees(&shared).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_nobody_holds_goes_in_each_hierarchy() {
        let root = tempfile::tempdir().unwrap();
        let (memory, pids) = (root.path().join("memory"), root.path().join("pids"));
        for left in [memory.join("snowgate-run-1-0/3"), pids.join("snowgate-run-1-0/3"), pids.join("snowgate-run-2-0")] {
            fs::create_dir_all(left).unwrap();
        }
        fs::create_dir_all(pids.join("another's")).unwrap();
        let ground = Ground::at(place(&memory, &pids)).unwrap();
        assert_eq!(subtrees(&memory).unwrap(), subtrees(&pids).unwrap());
        drop(ground);
        assert_eq!(fs::read_dir(&pids).unwrap().count(), 1);
        assert_eq!(fs::read_dir(&memory).unwrap().count(), 0);
    }
}
