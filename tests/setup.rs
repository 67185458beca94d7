//! The set-up scripts on machines that have, or lack, what they look for: a `PATH` of links stands for the machine.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A machine on which the given programs are installed, beside those that every Debian has.
struct Machine(TempDir);

impl Machine {
    fn with(programs: &[&str]) -> Self {
        let machine = Self(TempDir::new().unwrap());
        std::fs::create_dir(machine.bin()).unwrap();
        for program in ["bash", "env", "cat", "cksum", "dirname", "id", "mkdir", "mktemp", "rm", "stat"] {
            let real = ["/bin", "/usr/bin"].iter().map(|dir| Path::new(dir).join(program)).find(|path| path.exists());
            let real = real.or_else(|| on_path(program)).unwrap_or_else(|| panic!("{program} is missing here"));
            symlink(real, machine.bin().join(program)).unwrap();
        }
        for program in programs {
            machine.install(program, &format!("echo this is {program}"));
        }
        machine
    }

    fn bin(&self) -> PathBuf {
        self.0.path().join("bin")
    }

    fn install(&self, program: &str, script: &str) {
        let path = self.bin().join(program);
        std::fs::write(&path, format!("#!{}\n{script}\n", self.bin().join("bash").display())).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/setup/with");
        Command::new(self.bin().join("bash"))
            .arg(script)
            .args(arguments)
            .env_clear()
            .env("PATH", self.bin())
            .env("HOME", self.0.path())
            .env("SNOWGATE_NIX_PREFIX", self.0.path().join("prefix"))
            .output()
            .unwrap()
    }
}

fn on_path(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join(program)).find(|path| path.exists())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const ALL: [&str; 5] = ["cargo", "cc", "git", "pkg-config", "nix"];

#[test]
fn a_nix_that_is_there_is_used_as_it_is() {
    let machine = Machine::with(&ALL);
    let output = machine.run(&["bash", "-c", "nix; echo \"settings: ${NIX_CONF_DIR-untouched}\""]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "this is nix\nsettings: untouched\n");
    assert_eq!(text(&output.stderr), "");
    assert!(!machine.0.path().join("prefix").exists());
}

#[test]
fn the_status_of_the_command_is_the_status() {
    assert_eq!(Machine::with(&ALL).run(&["bash", "-c", "exit 7"]).status.code(), Some(7));
}

#[test]
fn without_rust_it_says_so_in_one_sentence() {
    let output = Machine::with(&["cc", "git", "pkg-config", "nix"]).run(&["true"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "snowgate: Rust is missing: install it (rustup.rs says how), then try again.\n");
}

#[test]
fn where_packages_cannot_be_installed_it_names_them() {
    let output = Machine::with(&["cargo", "git", "pkg-config", "nix"]).run(&["true"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stderr),
        "snowgate: please install these with your package manager, then try again: gcc libc6-dev.\n"
    );
}
