//! The commits of the generated review: a package set of many files, of which the first branch touches some hundred.

use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};

use jiff::Timestamp;
use snowgate::domain::CommitId;

use super::name;

const PACKAGES: usize = 800;
const TOUCHED: usize = 400;
/// A file that the first branch touches.
pub const COMMON: &str = "pkgs/top-level/all-packages.nix";
pub const COMMON_LINES: u32 = 2_000;

pub fn title(i: usize) -> String {
    if i == 0 {
        "gcc: 14.3.0 -> 15.2.0".into()
    } else {
        format!("{}: {}.{} -> {}.{}", name(i * 31 + 60), i % 9, i % 5, i % 9, i % 5 + 1)
    }
}

pub fn author(i: usize) -> String {
    const NAMES: [&str; 6] = ["Ines Ørsted", "Tomás Vela", "Aiko Mori", "Noor Haddad", "Lena Fischer", "Sam Okoro"];
    NAMES[i % NAMES.len()].into()
}

/// The common file and those of some packages, in their version of this number.
fn files(packages: Range<usize>, version: usize) -> Vec<(String, String)> {
    let package = |i: usize| {
        let name = name(i + 60);
        let text = format!(
            "{{ lib, stdenv, fetchurl, cmake }}:\n\nstdenv.mkDerivation rec {{\n  pname = \"{name}\";\n  version = \"{}.{version}\";\n\n  \
             src = fetchurl {{\n    url = \"https://{name}.example.org/{name}-${{version}}.tar.gz\";\n    hash = \
             \"sha256-{:043}=\";\n  }};\n\n  nativeBuildInputs = [ cmake ];\n\n  # it compares with what is not there\n  \
             doCheck = {};\n\n  meta = {{\n    description = \"A small and fast {name}\";\n    license = lib.licenses.mit;\n    \
             platforms = lib.platforms.all;\n  }};\n}}\n",
            i % 9,
            i * 31 + version,
            version > 1,
        );
        (format!("pkgs/by-name/{:02}/{name}/package.nix", i % 26), text)
    };
    let line = |n: u32| {
        let other = if version > 1 && n.is_multiple_of(100) { " { stdenv = gcc15Stdenv; }" } else { " { }" };
        format!("  package{n} = callPackage ../by-name/package{n}/package.nix{other};\n")
    };
    let common = (0..COMMON_LINES).map(line).collect::<String>();
    let mut files = vec![(COMMON.to_owned(), format!("pkgs: with pkgs;\n{{\n{common}}}\n"))];
    files.extend(packages.map(package));
    files
}

/// As many branches of one commit each, made at once; their heads. The first touches many files, the others one.
pub fn branches(repository: &Path, number: usize) -> Vec<CommitId> {
    std::fs::create_dir_all(repository).expect("a directory");
    git(repository, &["init", "--quiet", "--initial-branch=main"]);
    let mut stream = String::new();
    let now = Timestamp::now().as_second();
    let mut commit = |reference: &str, who: &str, at: i64, what: &str, from: &str, files: &[(String, String)]| {
        stream += &format!(
            "commit refs/heads/{reference}\ncommitter {who} <somebody@example.org> {at} +0000\ndata {}\n{what}\n{from}",
            what.len()
        );
        for (file, text) in files {
            stream += &format!("M 100644 inline {file}\ndata {}\n{text}\n", text.len());
        }
        stream += "\n";
    };
    commit("main", "Ines Ørsted", now - 10_000_000, "A package set", "", &files(0..PACKAGES, 1));
    for i in 0..number {
        let at = now - 17 * 60 * i as i64;
        let own = if i == 0 { files(0..TOUCHED, 2) } else { vec![(format!("{i}.nix"), "{ }".into())] };
        commit(&format!("change-{i:04}"), &author(i), at, &title(i), "from refs/heads/main\n", &own);
    }
    let mut child = Command::new("git")
        .args(["fast-import", "--quiet"])
        .current_dir(repository)
        .stdin(Stdio::piped())
        .spawn()
        .expect("git runs");
    std::io::Write::write_all(&mut child.stdin.take().expect("its standard input"), stream.as_bytes()).expect("commits");
    assert!(child.wait().expect("its end").success(), "git fast-import");
    let heads = git(repository, &["for-each-ref", "--sort=refname", "--format=%(objectname)", "refs/heads/change-*"]);
    heads.lines().map(|line| line.parse().expect("a commit")).collect()
}

pub fn git(repository: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git").args(arguments).current_dir(repository).output().expect("git runs");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
