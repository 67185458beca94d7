//! A new repository, written in one go.

use std::fmt::Write;
use std::path::Path;

use tokio::io::AsyncWriteExt;

use super::GitError;
use super::command::Git;

/// A commit to be made.
#[derive(Debug, Clone)]
pub struct NewCommit<'a> {
    pub branch: &'a str,
    /// The commit before it, as an index into the list; `None` for the first of a history.
    pub parent: Option<usize>,
    pub author: &'a str,
    pub email: &'a str,
    pub time: jiff::Timestamp,
    pub message: &'a str,
    /// Path and content; without content, the path goes.
    pub changes: Vec<(&'a str, Option<&'a str>)>,
}

/// Makes a repository at `path`, which must be absent or empty, with these commits and `branch` checked out. The same list gives
/// the same ids everywhere. Paths must have no newline and not begin with a quote.
pub async fn create(path: &Path, branch: &str, commits: &[NewCommit<'_>]) -> Result<(), GitError> {
    let io = || GitError::io(format!("creating {}", path.display()));
    tokio::fs::create_dir_all(path).await.map_err(io())?;
    if tokio::fs::read_dir(path).await.map_err(io())?.next_entry().await.map_err(io())?.is_some() {
        return Err(GitError::NotEmpty(path.to_owned()));
    }
    let git = || Git::new().without_configuration().in_dir(path);
    git().run(["init", "--quiet", "--template=", &format!("--initial-branch={branch}")]).await?.success()?;
    let mut child = git().start(["fast-import", "--quiet"])?;
    if let Some(mut stdin) = child.stdin.take() {
        // it dies early over a fault in the stream; what it says then is worth more than "broken pipe"
        match stdin.write_all(stream(commits).as_bytes()).await {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => return Err(io()(error)),
            _ => {}
        }
    }
    let output = child.wait_with_output().await.map_err(io())?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(GitError::Failed { command: "fast-import".into(), message });
    }
    git().run(["reset", "--quiet", "--hard"]).await?.success()?;
    Ok(())
}

/// The list in git-fast-import's language.
fn stream(commits: &[NewCommit]) -> String {
    let mut stream = String::new();
    let mut say = |line: std::fmt::Arguments| stream.write_fmt(line).unwrap_or_else(|_| unreachable!("a String takes all"));
    for (number, commit) in commits.iter().enumerate() {
        let who = format!("{} <{}> {} +0000", commit.author, commit.email, commit.time.as_second());
        say(format_args!("commit refs/heads/{}\nmark :{}\nauthor {who}\ncommitter {who}\n", commit.branch, number + 1));
        say(format_args!("data {}\n{}\n", commit.message.len(), commit.message));
        if let Some(parent) = commit.parent {
            say(format_args!("from :{}\n", parent + 1));
        }
        for (path, content) in &commit.changes {
            match content {
                Some(content) => say(format_args!("M 100644 inline {path}\ndata {}\n{content}\n", content.len())),
                None => say(format_args!("D {path}\n")),
            }
        }
        say(format_args!("\n"));
    }
    stream
}
