//! Running `git`: a known environment, no prompts, no pager, no hooks, no child that outlives us.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Stdio;

use tokio::process::{Child, Command};

use super::GitError;

/// One invocation.
pub(super) struct Git {
    command: Command,
    /// The subcommand, for messages.
    name: String,
}

/// What an invocation that ran to its end said.
pub(super) struct Answer {
    /// -1 when a signal ended it.
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
    name: String,
}

impl Git {
    /// `git`, with nothing of the caller's environment that could point it at another repository or make it write.
    pub fn new() -> Git {
        let mut command = Command::new("git");
        // a hook that starts us exports GIT_DIR, GIT_INDEX_FILE and the like: they mean its repository, not ours
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_bytes().starts_with(b"GIT_")) {
            command.env_remove(name);
        }
        command
            .env("LC_ALL", "C")
            .env_remove("LANGUAGE")
            .env("GIT_TERMINAL_PROMPT", "0")
            // `status` and friends refresh the user's index unless told not to
            .env("GIT_OPTIONAL_LOCKS", "0")
            // a replaced object is not what its id says; results are keyed by ids
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_PAGER", "cat")
            .args(["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "maintenance.auto=false"])
            .args(["-c", "gc.auto=0", "-c", "advice.detachedHead=false", "-c", "color.ui=false"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            // Ctrl-C is ours to handle: it must not reach git half-way through a checkout
            .process_group(0);
        // SAFETY: prctl and umask are async-signal-safe and allocate nothing.
        unsafe {
            command.pre_exec(|| {
                // killed with us; the evaluator may run as another user, who has to read what is checked out
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                libc::umask(0o022);
                Ok(())
            });
        }
        Git { command, name: String::new() }
    }

    pub fn in_dir(mut self, dir: &Path) -> Git {
        self.command.current_dir(dir);
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Git {
        self.command.env(name, value);
        self
    }

    /// Leaves a descriptor open, under its number, in git and in what git starts.
    pub fn inherit(mut self, fd: OwnedFd) -> Git {
        // SAFETY: fcntl is async-signal-safe; the closure owns the descriptor, which is open as long as the command is there.
        unsafe {
            self.command.pre_exec(move || match libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, 0) {
                -1 => Err(std::io::Error::last_os_error()),
                _ => Ok(()),
            });
        }
        self
    }

    /// A setting for this invocation; before [`Git::run`]'s arguments.
    pub fn config(mut self, setting: &str) -> Git {
        self.command.args(["-c", setting]);
        self
    }

    /// Only what is said here counts, not what the user or the machine configured.
    pub fn without_configuration(self) -> Git {
        self.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1")
    }

    fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Git {
        for arg in args {
            if self.name.is_empty() {
                self.name = arg.as_ref().to_string_lossy().into_owned();
            }
            self.command.arg(arg);
        }
        self
    }

    /// Runs to the end, whatever the exit status.
    pub async fn run<A: AsRef<OsStr>>(self, args: impl IntoIterator<Item = A>) -> Result<Answer, GitError> {
        let mut git = self.args(args);
        let output = git.command.output().await.map_err(starting)?;
        Ok(answer(&git.name, output))
    }

    /// Starts with pipes on all standard streams.
    pub fn start<A: AsRef<OsStr>>(self, args: impl IntoIterator<Item = A>) -> Result<Child, GitError> {
        self.args(args).command.stdin(Stdio::piped()).spawn().map_err(starting)
    }
}

/// What a process that was started by [`Git::start`] said, when it has ended.
pub(super) fn answer(name: &str, output: std::process::Output) -> Answer {
    Answer {
        code: output.status.code().unwrap_or(-1),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        name: name.to_owned(),
    }
}

fn starting(error: std::io::Error) -> GitError {
    if error.kind() == std::io::ErrorKind::NotFound {
        GitError::Missing
    } else {
        GitError::Io { what: "starting git".into(), source: error }
    }
}

impl Answer {
    /// Standard output, if all went well.
    pub fn success(self) -> Result<Vec<u8>, GitError> {
        if self.code == 0 { Ok(self.stdout) } else { Err(self.failure()) }
    }

    /// The first line of standard output, if all went well.
    pub fn line(self) -> Result<String, GitError> {
        let stdout = self.success()?;
        let text = String::from_utf8_lossy(&stdout);
        Ok(text.lines().next().unwrap_or_default().to_owned())
    }

    /// An error with git's own reason, which stands in its last `fatal:` or `error:` line.
    pub fn failure(&self) -> GitError {
        let lines = || self.stderr.lines().map(str::trim).filter(|line| !line.is_empty());
        let reason = |prefix| lines().rev().find_map(|line| line.strip_prefix(prefix));
        let message = reason("fatal: ").or_else(|| reason("error: ")).or_else(|| lines().next_back());
        let message = message.map_or_else(
            || if self.code < 0 { "was killed".to_owned() } else { format!("exit status {}", self.code) },
            str::to_owned,
        );
        GitError::Failed { command: self.name.clone(), message }
    }
}

/// A directory as an element of GIT_ALTERNATE_OBJECT_DIRECTORIES, whose separator is a colon: quoted as git quotes in C style.
pub(super) fn quoted_alternate(dir: &Path) -> OsString {
    let mut quoted = vec![b'"'];
    for byte in dir.as_os_str().as_bytes() {
        match byte {
            b'"' | b'\\' => quoted.extend([b'\\', *byte]),
            b'\n' => quoted.extend(b"\\n"),
            _ => quoted.push(*byte),
        }
    }
    quoted.push(b'"');
    OsStr::from_bytes(&quoted).to_owned()
}
