//! Machines to build on: each an sshd of its own on a loopback port, whose only command is a Nix daemon on a store of its own.

#![allow(dead_code, reason = "each binary uses its own part")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running machine. It is down when this is dropped.
pub struct Host {
    pub name: String,
    pub port: u16,
    directory: PathBuf,
    program: PathBuf,
    sshd: Option<Child>,
}

/// What is special about a machine.
#[derive(Default, Clone, Copy)]
pub struct Nature<'a> {
    /// Further arguments of its daemon.
    pub daemon: &'a [&'a str],
    /// A shell command before the daemon begins.
    pub before: &'a str,
}

/// The store here, in a directory.
pub fn local_store(root: &Path) -> String {
    let root = root.display();
    format!("local?store={root}/store&state={root}/state&log={root}/log")
}

impl Host {
    /// `root` holds the store here, whose paths the machine's own store shares; what is the machine's lies beside it.
    pub fn start(root: &Path, nix_daemon: &Path, name: &str, nature: Nature<'_>) -> Host {
        let (at, own) = (root.display(), root.join("hosts").join(name));
        let own = own.display();
        // the same paths as here, kept elsewhere: what is built there really has to be copied
        let store = format!("local?store={at}/store&real={own}/store&state={own}/state&log={own}/log");
        Self::with_store(root, nix_daemon, name, nature, &store)
    }

    /// One for builds of this machine's own store. What is the other machine's lies in `root`.
    pub fn for_own_store(root: &Path, nix_daemon: &Path, name: &str) -> Host {
        let store = format!("local?root={}", root.join("hosts").join(name).join("root").display());
        Self::with_store(root, nix_daemon, name, Nature::default(), &store)
    }

    fn with_store(root: &Path, nix_daemon: &Path, name: &str, nature: Nature<'_>, store: &str) -> Host {
        let directory = root.join("hosts").join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let user_key = root.join("hosts/key");
        if !user_key.exists() {
            keygen(&user_key);
        }
        keygen(&directory.join("host_key"));
        let program = directory.join("daemon");
        write_program(&program, store, nix_daemon, nature);
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut host = Host { name: name.to_owned(), port, directory, program, sshd: None };
        host.up();
        host
    }

    pub fn up(&mut self) {
        let at = |name: &str| self.directory.join(name).display().to_string();
        let key = self.directory.parent().unwrap().join("key.pub").display().to_string();
        let config = format!(
            "Port {}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {key}\nPidFile none\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\nMaxStartups 100\n",
            self.port,
            at("host_key")
        );
        std::fs::write(at("config"), config).unwrap();
        if nix::unistd::geteuid().is_root() {
            // where sshd keeps its unprivileged half, made by its service otherwise
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        let mut sshd = Command::new(sshd());
        sshd.args(["-D", "-e", "-f", &at("config")]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut sshd = sshd.spawn().unwrap();
        let mut said = BufReader::new(sshd.stderr.take().unwrap()).lines();
        let mut all = String::new();
        loop {
            let line = said.next().unwrap_or_else(|| panic!("sshd does not start: {all}")).unwrap();
            if line.contains("Server listening") {
                break;
            }
            all.push_str(&line);
        }
        // it must not block on what nobody reads
        std::thread::spawn(move || said.for_each(drop));
        self.sshd = Some(sshd);
    }

    /// Nobody answers any more. Connections that are there stay.
    pub fn down(&mut self) {
        if let Some(mut sshd) = self.sshd.take() {
            sshd.kill().unwrap();
            sshd.wait().unwrap();
        }
    }

    /// `TYPE BLOB` of its host key.
    pub fn host_key(&self) -> String {
        let line = std::fs::read_to_string(self.directory.join("host_key.pub")).unwrap();
        line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    }

    pub fn key_file(&self) -> PathBuf {
        self.directory.parent().unwrap().join("key")
    }

    pub fn uri(&self, scheme: &str) -> String {
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name;
        format!("{scheme}://{user}@127.0.0.1:{}?remote-program={}", self.port, self.program.display())
    }

    /// Where a path of its store really lies.
    pub fn path(&self, path: &str) -> PathBuf {
        self.directory.join("store").join(path.rsplit('/').next().unwrap())
    }

    /// Its `[[builder]]`, but for what `more` says.
    pub fn described(&self, more: &str) -> String {
        format!(
            "[[builder]]\nname = \"{}\"\nuri = \"{}\"\nssh_key_file = \"{}\"\nhost_key = \"{}\"\n{more}\n",
            self.name,
            self.uri("ssh-ng"),
            self.key_file().display(),
            self.host_key()
        )
    }

    /// Its line of a machines file.
    pub fn machine(&self, more: &str) -> String {
        let key = data_encoding::BASE64.encode(format!("{} root@{}\n", self.host_key(), self.name).as_bytes());
        format!("{} - {} {more} - - {key}", self.uri("ssh"), self.key_file().display())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.down();
    }
}

/// It insists on being called by its whole path, and lies where users do not look.
fn sshd() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    places
        .map(|place| place.join("sshd"))
        .find(|file| file.exists())
        .expect("these tests need OpenSSH's server: install openssh-server")
}

fn keygen(file: &Path) {
    let output = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// sshd begins with an empty environment, so that what this Nix needs of ours is written down.
fn write_program(program: &Path, store: &str, nix_daemon: &Path, nature: Nature<'_>) {
    let conf = std::env::var("NIX_CONF_DIR").map(|dir| format!("NIX_CONF_DIR='{dir}'")).unwrap_or_default();
    let mut options = String::new();
    for (name, value) in [("build-users-group", ""), ("sandbox", "true"), ("substituters", ""), ("require-sigs", "true")] {
        options += &format!(" --option {name} '{value}'");
    }
    for argument in nature.daemon {
        options += &format!(" '{argument}'");
    }
    let path = std::env::var("PATH").unwrap();
    let script = format!(
        "#!/bin/sh\n{}\nexec env -u NIX_REMOTE PATH='{path}' {conf} '{}' \"$@\" --store '{store}'{options}\n",
        nature.before,
        nix_daemon.display()
    );
    std::fs::write(program, script).unwrap();
    std::fs::set_permissions(program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}
