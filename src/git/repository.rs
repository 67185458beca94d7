//! One repository of the user's, and the scratch repository that stands before it.
//!
//! References are read in the user's repository. Everything that works on objects runs in a bare repository of ours that has no
//! references and no configuration but borrows the user's objects: new objects land there, and neither the hooks, filters, merge
//! drivers and index of the user's repository nor the machine's configuration have a say in what a tree is.

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::GitError;
use super::command::{Git, quoted_alternate};
use crate::domain::{CommitId, TreeId};

/// A repository that is read and never written. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Repository(Arc<Places>);

#[derive(Debug)]
struct Places {
    path: PathBuf,
    /// Has HEAD: of the linked worktree, where it is one.
    git_dir: PathBuf,
    /// Has the references and objects.
    common_dir: PathBuf,
    bare: bool,
    scratch: PathBuf,
}

/// What a checked-out file holds is exactly its blob. With conversions (line ends, keywords, encodings), a file's content would
/// depend on which tree was in the slot before: git does not write an unchanged file again when only its attributes changed.
const ATTRIBUTES: &str = "* -text !eol !crlf !filter !ident !working-tree-encoding\n";

impl Repository {
    /// `path`: anywhere inside a repository, bare or not, or a linked worktree. `scratch`: a directory of ours for new objects,
    /// which may serve any number of repositories.
    pub async fn open(path: &Path, scratch: &Path) -> Result<Repository, GitError> {
        check_version().await?;
        let path = tokio::fs::canonicalize(path).await.map_err(|_| GitError::NoSuchDirectory(path.to_owned()))?;
        if !path.is_dir() {
            return Err(GitError::NotARepository(path));
        }
        let kind = Git::new().in_dir(&path).run(["rev-parse", "--show-object-format", "--is-bare-repository"]).await?;
        if kind.code != 0 {
            return Err(if kind.stderr.contains("dubious ownership") {
                GitError::DubiousOwnership(path)
            } else if kind.stderr.contains("not a git repository") {
                GitError::NotARepository(path)
            } else {
                kind.failure()
            });
        }
        let kind = String::from_utf8_lossy(&kind.stdout).into_owned();
        if !kind.starts_with("sha1\n") {
            return Err(GitError::Sha256(path));
        }
        let git_dir = directory(&path, "--absolute-git-dir").await?;
        let common_dir = directory(&path, "--git-common-dir").await?;
        let key = data_encoding::HEXLOWER.encode(&Sha256::digest(common_dir.as_os_str().as_bytes())[..8]);
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(40).collect();
        let scratch = std::path::absolute(scratch).map_err(GitError::io("finding the scratch directory"))?;
        let scratch = scratch.join(format!("{name}-{key}.git"));
        prepare_scratch(&scratch).await?;
        Ok(Repository(Arc::new(Places { path, git_dir, common_dir, bare: kind.ends_with("true\n"), scratch })))
    }

    /// Where the user said the repository is, absolute.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The directory that has the references: `.git`, the bare repository, or what a linked worktree points to.
    pub fn common_dir(&self) -> &Path {
        &self.0.common_dir
    }

    pub fn is_bare(&self) -> bool {
        self.0.bare
    }

    /// A shallow clone: history ends where it was cut.
    pub fn is_shallow(&self) -> bool {
        std::fs::metadata(self.shallow_file()).is_ok_and(|file| file.len() > 0)
    }

    fn shallow_file(&self) -> PathBuf {
        self.0.common_dir.join("shallow")
    }

    /// Distinguishes repositories in a pool of worktrees.
    pub(super) fn key(&self) -> &std::ffi::OsStr {
        self.0.scratch.file_name().unwrap_or_default()
    }

    /// Git on the user's repository: for references and revisions only.
    pub(super) fn references(&self) -> Git {
        Git::new().in_dir(&self.0.git_dir).env("GIT_DIR", &self.0.git_dir)
    }

    /// Git on the scratch repository: for all that reads or makes objects.
    pub(super) fn objects(&self) -> Git {
        Git::new()
            .without_configuration()
            .in_dir(&self.0.scratch)
            .env("GIT_DIR", &self.0.scratch)
            .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", quoted_alternate(&self.0.common_dir.join("objects")))
            .env("GIT_SHALLOW_FILE", self.shallow_file())
    }

    /// Whether the work tree or its index differs from HEAD; files that git does not know don't count.
    pub async fn has_uncommitted_changes(&self) -> Result<bool, GitError> {
        if self.0.bare {
            return Ok(false);
        }
        let status = Git::new().in_dir(&self.0.path).run(["status", "--porcelain", "--untracked-files=no"]).await?;
        // a hint is not worth a failure: `path` may be the `.git` directory itself
        Ok(status.code == 0 && !status.stdout.is_empty())
    }

    /// The commit that a revision names: a branch, a tag, an id, `HEAD~2` …
    pub async fn resolve(&self, rev: &str) -> Result<CommitId, GitError> {
        if rev.is_empty() || rev.contains(['\0', '\n']) {
            return Err(GitError::NoSuchRevision { rev: rev.escape_debug().to_string(), hint: String::new() });
        }
        let answer = self.references().run(["rev-parse", "--verify", "--end-of-options", rev]).await?;
        if answer.code != 0 {
            return Err(self.no_such_revision(rev, &answer.stderr).await);
        }
        let object = answer.line()?;
        let commit = self.references().run(["rev-parse", "--verify", &format!("{object}^{{commit}}")]).await?;
        match commit.code {
            0 => id(&commit.line()?),
            _ if commit.stderr.contains("expected commit type") => Err(GitError::NotACommit(rev.to_owned())),
            _ => Err(self.no_such_revision(rev, &commit.stderr).await),
        }
    }

    async fn no_such_revision(&self, rev: &str, stderr: &str) -> GitError {
        let names = self.references().run(["for-each-ref", "--format=%(refname:short)"]).await;
        let names = match names.and_then(|answer| answer.success()) {
            Ok(names) => String::from_utf8_lossy(&names).into_owned(),
            Err(error) => return error,
        };
        if names.is_empty() && rev == "HEAD" {
            return GitError::NoCommits(self.0.path.clone());
        }
        let nearest = names.lines().map(|name| (strsim::damerau_levenshtein(rev, name), name)).min();
        let hint = if stderr.contains("is ambiguous") {
            " is ambiguous; give more digits of the id".to_owned()
        } else if let Some((_, name)) = nearest.filter(|(distance, _)| *distance <= 1 + rev.chars().count() / 4) {
            format!("; did you mean `{name}`?")
        } else if self.is_shallow() {
            "; this clone is shallow, `git fetch --unshallow` brings the rest of its history".to_owned()
        } else if names.is_empty() {
            "; the repository has no commits yet".to_owned()
        } else {
            String::new()
        };
        GitError::NoSuchRevision { rev: rev.escape_debug().to_string(), hint }
    }

    pub async fn tree_of(&self, commit: &CommitId) -> Result<TreeId, GitError> {
        let tree = self.objects().run(["rev-parse", "--verify", &format!("{commit}^{{tree}}")]).await?;
        id(&tree.line()?)
    }
}

/// What git printed as an object id.
pub(super) fn id<T: std::str::FromStr<Err = crate::domain::GitIdError>>(text: &str) -> Result<T, GitError> {
    text.parse()
        .map_err(|error: crate::domain::GitIdError| GitError::Failed { command: "printed".into(), message: error.to_string() })
}

async fn check_version() -> Result<(), GitError> {
    let text = Git::new().run(["version"]).await?.line()?;
    // "git version 2.39.5 (Apple Git-154)"
    let version = text.split_whitespace().nth(2).unwrap_or_default();
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let number = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if number < (2, 38) { Err(GitError::TooOld(version.to_owned())) } else { Ok(()) }
}

/// One directory of the repository at `path`; its name may hold anything but NUL, so only the final newline is git's.
async fn directory(path: &Path, which: &str) -> Result<PathBuf, GitError> {
    let answer = Git::new().in_dir(path).run(["rev-parse", "--path-format=absolute", which]).await?;
    let mut bytes = answer.success()?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    Ok(std::ffi::OsString::from_vec(bytes).into())
}

async fn prepare_scratch(scratch: &Path) -> Result<(), GitError> {
    let attributes = scratch.join("info/attributes");
    // written last: where it stands, all stands
    if tokio::fs::read(&attributes).await.is_ok_and(|text| text == ATTRIBUTES.as_bytes()) {
        return Ok(());
    }
    let io = |_| GitError::io(format!("preparing {}", scratch.display()));
    super::own::bare(scratch).await?;
    tokio::fs::create_dir_all(scratch.join("info")).await.map_err(io(()))?;
    let unfinished = tempfile::NamedTempFile::new_in(scratch).map_err(io(()))?;
    tokio::fs::write(unfinished.path(), ATTRIBUTES).await.map_err(io(()))?;
    unfinished.persist(&attributes).map_err(|error| io(())(error.error))?;
    Ok(())
}
