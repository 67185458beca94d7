//! A Nix store on another machine, reached with the system's own OpenSSH client, so that keys, agents and `~/.ssh/config` work as
//! everywhere else.
//!
//! One `ssh` per connection, and no connection that several share (`ControlMaster`): a server takes ten sessions over one
//! connection by default (`MaxSessions`) and a builder may have more slots; the end of one `ssh` costs one build and not all of them;
//! and what is copied for one build does not stand before the log of another. The price, a greeting of some tenths of a second, is
//! paid once for each slot, since connections are used again.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::StoreError;

/// How a store on another machine is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssh {
    pub host: String,
    pub user: Option<String>,
    pub port: Option<u16>,
    /// The private key; `None`: what the user's ssh offers.
    pub key_file: Option<PathBuf>,
    /// The one file in which the host's key may stand; `None`: those of the user and of the system.
    pub known_hosts: Option<PathBuf>,
    /// For slow links.
    pub compress: bool,
    /// `nix-daemon`, or a path, and arguments.
    pub program: Vec<String>,
    /// The store there, where it is not the default one.
    pub store: Option<String>,
}

/// Under which the host's key stands in our file: it names the file's only host, whatever the host is called.
const ALIAS: &str = "builder";
/// A host that is not there is given up after so many seconds.
const CONNECT: u32 = 15;
/// A host that says nothing is asked for a sign of life after so many seconds, and is lost when it has given none three times.
const ALIVE: u32 = 10;

impl Ssh {
    /// Writes the file that [`Ssh::known_hosts`] names: the host's key as its `/etc/ssh/ssh_host_….pub` says, one or more lines.
    pub fn write_known_hosts(file: &Path, host_keys: &str) -> io::Result<()> {
        let dir = file.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(dir)?;
        let mut new = tempfile::NamedTempFile::new_in(dir)?;
        for key in host_keys.lines().filter(|line| !line.trim().is_empty()) {
            writeln!(new, "{ALIAS} {}", key.trim())?;
        }
        new.persist(file)?;
        Ok(())
    }

    /// What reaches it.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new("ssh");
        // no terminal, no display, no agent over there
        command.args(["-T", "-x", "-a"]);
        let mut option = |text: String| {
            command.args(["-o", &text]);
        };
        // nobody is there to answer a question
        option("BatchMode=yes".into());
        option("StrictHostKeyChecking=yes".into());
        option("UpdateHostKeys=no".into());
        option("ClearAllForwardings=yes".into());
        option("PermitLocalCommand=no".into());
        option("ControlMaster=no".into());
        option("ControlPath=none".into());
        option("LogLevel=ERROR".into());
        option(format!("ConnectTimeout={CONNECT}"));
        option(format!("ServerAliveInterval={ALIVE}"));
        option("ServerAliveCountMax=3".into());
        if self.compress {
            option("Compression=yes".into());
        }
        if let Some(file) = &self.known_hosts {
            option(format!("UserKnownHostsFile={}", quoted_for_config(file)));
            option("GlobalKnownHostsFile=/dev/null".into());
            option(format!("HostKeyAlias={ALIAS}"));
        }
        if let Some(file) = &self.key_file {
            option("IdentitiesOnly=yes".into());
            command.arg("-i").arg(file);
        }
        if let Some(port) = self.port {
            command.args(["-p", &port.to_string()]);
        }
        if let Some(user) = &self.user {
            command.args(["-l", user]);
        }
        command.args(["--", &self.host]).arg(self.remote_command());
        command
    }

    fn remote_command(&self) -> String {
        let store = self.store.iter().flat_map(|store| ["--store", store]);
        let words = self.program.iter().map(String::as_str).chain(["--stdio"]).chain(store);
        words.map(quoted_for_shell).collect::<Vec<_>>().join(" ")
    }

    pub(super) fn does_not_start(&self, fault: &io::Error) -> StoreError {
        StoreError::Ssh(match fault.kind() {
            io::ErrorKind::NotFound => "there is no `ssh` on PATH; install the OpenSSH client".into(),
            _ => format!("`ssh` does not start: {fault}"),
        })
    }

    /// What went wrong before the daemon there had greeted: ssh's words, with the way out where there is one.
    pub(super) fn explain(&self, error: StoreError) -> StoreError {
        let said = match &error {
            StoreError::Closed { said, .. } => said.as_str(),
            StoreError::Protocol { .. } => {
                return StoreError::Ssh(format!(
                    "what runs as `{}` on {} does not speak Nix's worker protocol: allow this user to run that command there, \
                     or say where it is with `?remote-program=` in the builder's URI ({error})",
                    self.program.join(" "),
                    self.host
                ));
            }
            StoreError::Unreachable { .. }
            | StoreError::Broken { .. }
            | StoreError::TooOld(_)
            | StoreError::Refused(_)
            | StoreError::Ssh(_)
            | StoreError::Abandoned => return StoreError::Ssh(format!("{}: {error}", self.host)),
        };
        StoreError::Ssh(self.in_words(said))
    }

    fn in_words(&self, said: &str) -> String {
        let host = &self.host;
        if said.contains("REMOTE HOST IDENTIFICATION HAS CHANGED")
            || (said.contains("Host key verification failed") && self.known_hosts.is_some())
        {
            let where_it_stands = match &self.known_hosts {
                Some(_) => "the one that is configured for it (`host_key`, or the eighth field of the machines file)",
                None => "the one in known_hosts",
            };
            return format!(
                "the host key of {host} is not {where_it_stands}: either somebody else answers in its place, or the machine has a new \
                 key; compare with `{}`, and correct it if it is right",
                self.keyscan()
            );
        }
        if said.contains("Host key verification failed") || said.contains("host key is known for") {
            return format!(
                "the host key of {host} is not known: add `host_key = \"…\"` to its [[builder]], or the key in base64 as the eighth \
                 field of its line in the machines file; `{}` prints it, and the machine's own /etc/ssh/ssh_host_ed25519_key.pub says \
                 whether it is right",
                self.keyscan()
            );
        }
        if said.contains("Permission denied") {
            let key = match &self.key_file {
                Some(file) => format!("the key {}", file.display()),
                None => "any key of this user".into(),
            };
            let user = self.user.as_ref().map_or_else(|| "the account".to_owned(), |user| format!("the account `{user}`"));
            return format!(
                "{host} does not accept {key}: add its public half to {user}'s authorized_keys there ({})",
                last_line(said)
            );
        }
        if said.contains("not found") || said.contains("No such file or directory") && said.contains("nix") {
            return format!(
                "there is no `{}` on {host}: install Nix 2.8 or later there, or say where it is with `?remote-program=` in the builder's URI ({})",
                self.program.join(" "),
                last_line(said)
            );
        }
        match last_line(said) {
            "" => format!("{host} closed the connection before its Nix daemon had greeted; `ssh {host}` may say why"),
            line => format!("{host}: {line}"),
        }
    }

    /// What prints the host's key.
    fn keyscan(&self) -> String {
        let port = self.port.map(|port| format!("-p {port} ")).unwrap_or_default();
        format!("ssh-keyscan -t ed25519 {port}{}", self.host)
    }
}

impl fmt::Display for Ssh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ssh-ng://")?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        f.write_str(&self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

fn last_line(said: &str) -> &str {
    said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default()
}

/// In ssh's own configuration a space separates, and a percent sign begins a token.
fn quoted_for_config(file: &Path) -> String {
    format!("\"{}\"", file.display().to_string().replace('%', "%%"))
}

/// For the shell over there, which is anybody's: single quotes mean the same to all of them.
fn quoted_for_shell(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ssh() -> Ssh {
        Ssh {
            host: "big.example".into(),
            user: Some("nix".into()),
            port: Some(2222),
            key_file: None,
            known_hosts: None,
            compress: false,
            program: vec!["nix-daemon".into()],
            store: Some("/srv/a b?x='1'".into()),
        }
    }

    fn explained(ssh: &Ssh, said: &str) -> String {
        ssh.explain(StoreError::Closed { during: "while greeting", said: said.into() }).to_string()
    }

    #[test]
    fn the_remote_shell_gets_words() {
        assert_eq!(ssh().remote_command(), r#"nix-daemon --stdio --store '/srv/a b?x='\''1'\'''"#);
        assert_eq!(ssh().to_string(), "ssh-ng://nix@big.example:2222");
    }

    #[test]
    fn what_ssh_says_has_a_way_out() {
        let unknown =
            "No ED25519 host key is known for big.example and you have requested strict checking.\nHost key verification failed.";
        let text = explained(&ssh(), unknown);
        assert!(text.contains("host_key = \"…\"") && text.contains("`ssh-keyscan -t ed25519 -p 2222 big.example`"), "{text}");
        let pinned = Ssh { known_hosts: Some("/x".into()), ..ssh() };
        assert!(explained(&pinned, unknown).contains("somebody else answers in its place"));
        assert!(explained(&ssh(), "nix@big.example: Permission denied (publickey).").contains("authorized_keys"));
        assert!(explained(&ssh(), "bash: line 1: nix-daemon: command not found").contains("?remote-program="));
        let refused = "ssh: connect to host big.example port 2222: Connection refused";
        assert_eq!(explained(&ssh(), refused), format!("big.example: {refused}"));
        assert!(explained(&ssh(), "").contains("closed the connection"));
    }
}
