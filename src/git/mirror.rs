//! Our copy of a repository that is elsewhere. It is fetched into reference by reference, as asked for, and nothing is ever pushed.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use tokio::io::AsyncWriteExt;
use tokio::process::Child;

use super::command::Git;
use super::repository::id;
use super::{GitError, Repository, own};
use crate::domain::{CommitId, Secret};

/// A bare repository of ours that follows another.
#[derive(Debug)]
pub struct Mirror {
    dir: PathBuf,
    repository: Repository,
}

/// References that the other side does not have at the moment.
pub type Absent = Vec<String>;

/// So many references of one fetch may turn out to be gone; then it is given up.
const GONE_AT_ONCE: usize = 50;

/// Who shows a token to GitHub (docs.github.com, "Authenticating as a GitHub App installation").
const USER: &str = "x-access-token";

impl Mirror {
    /// Makes the directory where it is missing. `scratch`: as for [`Repository::open`].
    pub async fn open(dir: &Path, scratch: &Path) -> Result<Mirror, GitError> {
        own::bare(dir).await?;
        Ok(Mirror { dir: dir.to_owned(), repository: Repository::open(dir, scratch).await? })
    }

    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Every reference and what it points to, `refs/heads/main` and so on.
    pub async fn references(&self) -> Result<BTreeMap<String, CommitId>, GitError> {
        let listing = self.git().run(["for-each-ref", "--format=%(objectname) %(refname)"]).await?.success()?;
        let lines = listing.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok()?.split_once(' '));
        lines.map(|(object, name)| Ok((name.to_owned(), id(object)?))).collect()
    }

    /// Drops these references; one that is not there is no fault. What they pointed to stays until git is told to clean up.
    pub async fn forget(&self, references: &[String]) -> Result<(), GitError> {
        if references.is_empty() {
            return Ok(());
        }
        let child = self.git().start(["update-ref", "--stdin"])?;
        let orders: String = references.iter().map(|name| format!("delete {name}\n")).collect();
        self.told("update-ref", child, &orders).await
    }

    /// Brings these references as they are at `url` now, whatever they were here. Those that are not there are told and left as they
    /// were. `token`: for `url` alone, by a pipe that git's children inherit; it stands in no command line, environment or file.
    pub async fn fetch(&self, url: &str, token: Option<&Secret>, references: &[String]) -> Result<Absent, GitError> {
        let (mut wanted, mut absent) = (references.to_vec(), Absent::new());
        while !wanted.is_empty() {
            let error = match self.fetch_all(url, token, &wanted).await {
                Ok(()) => break,
                Err(error) => error,
            };
            let gone = gone(&error).filter(|gone| wanted.contains(gone) && absent.len() < GONE_AT_ONCE);
            let Some(gone) = gone else { return Err(error) };
            wanted.retain(|name| *name != gone);
            absent.push(gone);
        }
        Ok(absent)
    }

    async fn fetch_all(&self, url: &str, token: Option<&Secret>, references: &[String]) -> Result<(), GitError> {
        let failed = || GitError::io("fetching");
        let mut git = self
            .git()
            // a token is shown to the address that it is for, and to nobody whom that one names
            .config("http.followRedirects=false")
            .config("protocol.allow=never")
            .config("protocol.https.allow=always")
            .config("protocol.http.allow=always")
            // a connection that is dead is not waited for; while it packs, GitHub sends a few bytes every five seconds
            .config("http.lowSpeedLimit=1")
            .config("http.lowSpeedTime=120")
            // nobody else is asked for a password: no helper of the machine's, no window
            .config("credential.helper=")
            .env("GIT_ASKPASS", "");
        if let Some(token) = token {
            let pipe = pipe_with(token).map_err(failed())?;
            git = git.config(&format!("credential.helper={}", reader_of(&pipe))).inherit(pipe);
        }
        let more =
            ["--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--no-auto-maintenance", "--stdin"];
        let child = git.start(["fetch"].into_iter().chain(more).chain([url]))?;
        let specs: String = references.iter().map(|name| format!("+{name}:{name}\n")).collect();
        self.told("fetch", child, &specs).await
    }

    async fn told(&self, name: &'static str, mut child: Child, lines: &str) -> Result<(), GitError> {
        if let Some(mut stdin) = child.stdin.take() {
            // it dies early over a fault of its own; what it says then is worth more than "broken pipe"
            match stdin.write_all(lines.as_bytes()).await {
                Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => return Err(GitError::io(name)(error)),
                _ => {}
            }
        }
        let output = child.wait_with_output().await.map_err(GitError::io(name))?;
        super::command::answer(name, output).success().map(drop)
    }

    fn git(&self) -> Git {
        Git::new().in_dir(&self.dir).env("GIT_DIR", &self.dir)
    }
}

/// Git brings nothing where one reference is missing, and names the first such.
fn gone(error: &GitError) -> Option<String> {
    let GitError::Failed { message, .. } = error else { return None };
    message.strip_prefix("couldn't find remote ref ").map(str::to_owned)
}

/// The reading end of a pipe that holds the token, a line for each time that git may ask.
fn pipe_with(token: &Secret) -> std::io::Result<OwnedFd> {
    use std::io::Write;
    let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    // far less than the 64 KiB that a pipe takes without a reader
    std::fs::File::from(write).write_all(format!("{}\n", token.expose()).repeat(8).as_bytes())?;
    Ok(read)
}

/// A credential helper (gitcredentials(7)) that answers from the pipe. Only words of the shell itself: a program's arguments would
/// show the token.
fn reader_of(pipe: &OwnedFd) -> String {
    let fd = pipe.as_raw_fd();
    format!(
        "!f() {{ test \"$1\" = get && IFS= read -r token </dev/fd/{fd} && echo username={USER} && echo \"password=$token\"; }}; f"
    )
}
