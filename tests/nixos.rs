//! The flake, the NixOS modules and their tests are Nix that parses; and, where a nixpkgs is at hand, a module that does as it says.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn nix_instantiate(arguments: &[&str]) -> Output {
    Command::new("nix-instantiate").args(arguments).current_dir(root()).output().expect("nix-instantiate is on PATH")
}

fn nix_files() -> Vec<PathBuf> {
    let mut files = vec![PathBuf::from("flake.nix")];
    for folder in ["nixos", "vm-tests"] {
        let entries = root().join(folder).read_dir().unwrap();
        files.extend(entries.map(|entry| Path::new(folder).join(entry.unwrap().file_name())));
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "nix"));
    files
}

#[test]
fn every_nix_file_parses() {
    let files = nix_files();
    assert!(files.len() > 4, "{files:?}");
    for file in files {
        let output = nix_instantiate(&["--parse", file.to_str().unwrap()]);
        assert!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_module_does_as_it_says() {
    if !nix_instantiate(&["--find-file", "nixpkgs/lib"]).status.success() {
        eprintln!("no nixpkgs is at hand: only parsed");
        return;
    }
    let output = nix_instantiate(&["--eval", "--readonly-mode", "vm-tests/module.nix", "--arg", "lib", "import <nixpkgs/lib>"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "true", "{}", String::from_utf8_lossy(&output.stderr));
}
