//! The groups that are ours: a subtree below where this process stands, marked with its owner.
//!
//! The mark is a lock on the subtree's directory, which the kernel takes away with the process, however that ends. A subtree that
//! nobody holds was left behind by a kill: whoever comes next ends what is in it. No number of a process is trusted for that, since
//! numbers come again, and differ between containers.

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
    _mark: File,
}

impl Own {
    /// The directory that bears the mark.
    pub fn mark(&self) -> &Path {
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
        let (mark, name) = make_own(&dir).map_err(not_writable)?;
        let mut own = Own {
            place: Place {
                version: around.version,
                dirs: around.dirs.iter().map(|(controller, dir)| (controller.clone(), dir.join(&name))).collect(),
            },
            next: AtomicU64::new(0),
            _mark: mark,
        };
        match around.version {
            Version::V2 => {
                enable_controllers(&dir, own.mark())?;
                own.keep_controllers()?;
            }
            Version::V1 => own.make_others(),
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
    /// The same directory in the other hierarchies. One where that fails is done without.
    fn make_others(&mut self) {
        let mark = self.mark().to_owned();
        self.place.dirs.retain(|(_, dir)| {
            let made = match fs::create_dir(dir) {
                Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                made => made,
            };
            *dir == mark
                || made.inspect_err(|fault| tracing::warn!(dir = %dir.display(), %fault, "a controller is not used")).is_ok()
        });
    }

    /// Of version 2: has the groups below get the controllers that there are, and forgets the others.
    fn keep_controllers(&mut self) -> Result<(), NoGround> {
        let dir = self.mark().to_owned();
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
        // the mark's directory stays the first, since all are the same
        Ok(())
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // the mark last: while it is there, this is not a subtree that was left behind
        for (_, dir) in self.place.dirs.iter().rev() {
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

/// Makes the directory with the mark below `dir`: the locked directory and its name.
fn make_own(dir: &Path) -> io::Result<(File, String)> {
    for n in 0..TRIES {
        let name = format!("{PREFIX}{}-{n}", std::process::id());
        let own = dir.join(&name);
        match fs::create_dir(&own) {
            Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => continue,
            made => made?,
        }
        // between the two lines above and below another may take it for one that was left behind
        if let Some(mark) = hold(&own)? {
            return Ok((mark, name));
        }
    }
    Err(io::Error::other("others take every name"))
}

/// The lock on a subtree; `None` if another holds it, or it is gone.
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
    let marks = &around.dirs[0].1;
    for name in subtrees(marks)? {
        // one held by its owner stays
        let Some(_held) = hold(&marks.join(&name))? else { continue };
        tracing::info!(name, "ending what an earlier run left in its control groups");
        end(around, &name);
    }
    // without their marks: a kill came between the removal of one directory and that of the next
    for (_, dir) in &around.dirs {
        for name in subtrees(dir)?.into_iter().filter(|name| !marks.join(name).exists()) {
            end(around, &name);
        }
    }
    Ok(())
}

fn end(around: &Place, name: &str) {
    let mut dirs: Vec<PathBuf> = around.dirs.iter().map(|(_, dir)| dir.join(name)).collect();
    let all: Vec<&Path> = dirs.iter().map(PathBuf::as_path).collect();
    let ended = ends::kill_all(&all).and_then(|()| {
        dirs.reverse();
        dirs.iter().try_for_each(|dir| ends::remove(dir))
    });
    if let Err(fault) = ended {
        tracing::warn!(name, %fault, "control groups that an earlier run left behind stay");
    }
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
