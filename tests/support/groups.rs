//! The control groups that are left on this machine.

use std::path::PathBuf;

/// The control groups of a process's making, anywhere.
pub fn groups_of(pid: u32) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if entry.file_name().to_string_lossy().starts_with(&format!("snowgate-run-{pid}-")) {
                    found.push(entry.path());
                }
                dirs.push(entry.path());
            }
        }
    }
    found
}
