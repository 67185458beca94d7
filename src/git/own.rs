//! Bare repositories of our own. Nobody else uses them: they lie in the state directory, which one process has at a time.

use std::path::{Path, PathBuf};

use super::GitError;
use super::command::Git;

/// Makes a bare repository where there is none, and whole where a kill came between. A git that was killed leaves its locks behind,
/// which would keep every later one from its work.
pub(super) async fn bare(dir: &Path) -> Result<(), GitError> {
    let io = || GitError::io(format!("preparing {}", dir.display()));
    tokio::fs::create_dir_all(dir).await.map_err(io())?;
    let locked = dir.to_owned();
    let removed = tokio::task::spawn_blocking(move || remove_locks(&locked)).await;
    removed.map_err(|error| io()(std::io::Error::other(error)))?.map_err(io())?;
    let init = Git::new().without_configuration().in_dir(dir);
    init.run(["init", "--quiet", "--bare", "--template=", "--initial-branch=none", "."]).await?.success().map(drop)
}

/// Of the files at its top, and of references.
fn remove_locks(dir: &Path) -> std::io::Result<()> {
    let mut dirs: Vec<PathBuf> = vec![dir.to_owned()];
    while let Some(at) = dirs.pop() {
        for entry in std::fs::read_dir(&at)? {
            let (entry, is_top) = (entry?, at == dir);
            let name = entry.file_name();
            if entry.file_type()?.is_dir() {
                if !is_top || name == "refs" {
                    dirs.push(entry.path());
                }
            } else if Path::new(&name).extension().is_some_and(|extension| extension == "lock") {
                std::fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix::test]
    async fn the_locks_of_a_killed_git_keep_nobody_from_going_on() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("own.git");
        bare(&dir).await.unwrap();
        std::fs::create_dir_all(dir.join("refs/pull/1")).unwrap();
        let locks = ["config.lock", "HEAD.lock", "packed-refs.lock", "refs/pull/1/head.lock"].map(|lock| dir.join(lock));
        locks.iter().for_each(|lock| std::fs::write(lock, "").unwrap());
        bare(&dir).await.unwrap();
        assert!(locks.iter().all(|lock| !lock.exists()));
    }
}
