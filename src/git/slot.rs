//! One slot of the pool: a directory with a checked-out tree and a private index.
//!
//! ```text
//! SLOT/tree/     the files
//! SLOT/index     git's index of them
//! SLOT/holds     "REPOSITORY TREE": what is there in full. Absent while it is being filled.
//! ```

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{GitError, Repository};
use crate::domain::TreeId;

#[derive(Debug)]
pub(super) struct Slot {
    dir: PathBuf,
    /// The repository whose tree was here last: filling from the same one changes the fewest files.
    pub repository: Option<std::ffi::OsString>,
    pub tree: Option<TreeId>,
    /// When it was last given out, as a count of checkouts.
    pub last_used: u64,
}

impl Slot {
    /// A slot as an earlier run left it; one that was being filled counts as empty.
    pub fn found_at(dir: PathBuf) -> Slot {
        let holds = std::fs::read_to_string(dir.join("holds")).unwrap_or_default();
        let held = holds.split_once(' ').and_then(|(repository, tree)| Some((repository.into(), tree.trim_end().parse().ok()?)));
        let (repository, tree) = held.unzip();
        Slot { dir, repository, tree, last_used: 0 }
    }

    pub fn files(&self) -> PathBuf {
        self.dir.join("tree")
    }

    /// Makes the files exactly those of `tree`.
    pub async fn fill(&mut self, repository: &Repository, tree: &TreeId) -> Result<(), GitError> {
        let usable = self.tree.take().is_some();
        self.repository = None;
        // from here on the slot is not to be trusted, whoever kills us
        self.forget().await?;
        if !usable || self.switch(repository, tree).await.is_err() {
            self.wipe().await?;
            self.switch(repository, tree).await?;
        }
        let holds = format!("{} {tree}\n", repository.key().to_string_lossy());
        tokio::fs::write(self.dir.join("holds"), holds).await.map_err(GitError::io("writing to a worktree slot"))?;
        self.repository = Some(repository.key().to_owned());
        self.tree = Some(tree.clone());
        Ok(())
    }

    async fn forget(&self) -> Result<(), GitError> {
        match tokio::fs::remove_file(self.dir.join("holds")).await {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(GitError::io("emptying a worktree slot")(error)),
            _ => Ok(()),
        }
    }

    /// From whatever the index says to `tree`, touching only what differs; then away with what no tree put there.
    async fn switch(&self, repository: &Repository, tree: &TreeId) -> Result<(), GitError> {
        let files = self.files();
        let io = || GitError::io(format!("creating {}", files.display()));
        tokio::fs::create_dir_all(&files).await.map_err(io())?;
        // as what git writes below it: the evaluator may run as another user, and our umask may be 077
        tokio::fs::set_permissions(&files, std::fs::Permissions::from_mode(0o755)).await.map_err(io())?;
        let git = || {
            let git = repository.objects().in_dir(&files).env("GIT_WORK_TREE", &files);
            // `git init` probed the file system of the scratch repository, not of this directory
            git.env("GIT_INDEX_FILE", self.dir.join("index")).config("core.fileMode=true").config("core.symlinks=true")
        };
        git().run(["read-tree", "--reset", "-u", tree.as_str()]).await?.success()?;
        git().run(["clean", "--quiet", "-ffdx"]).await?.success()?;
        Ok(())
    }

    /// Empties the slot. Its directory is moved away first: a git that was killed a moment ago may still write, into the
    /// directory that it has open.
    async fn wipe(&self) -> Result<(), GitError> {
        let io = || GitError::io(format!("emptying {}", self.dir.display()));
        let dir = self.dir.clone();
        let wiped = tokio::task::spawn_blocking(move || {
            let parent = dir.parent().unwrap_or(Path::new("/"));
            let rubbish = tempfile::Builder::new().prefix(RUBBISH).tempdir_in(parent)?;
            match std::fs::rename(&dir, rubbish.path().join("slot")) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            rubbish.close()?;
            std::fs::create_dir_all(&dir)
        });
        wiped.await.map_err(|error| io()(std::io::Error::other(error)))?.map_err(io())
    }
}

/// How the names of directories begin that are on their way out; what a kill left of them goes at the next start.
pub(super) const RUBBISH: &str = "rubbish-";
