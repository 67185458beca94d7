//! Trees as values, and a repository that holds them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use snowgate::domain::TreeId;

/// Stands for a byte that is no UTF-8 in names of files.
pub const STRANGE: char = '\u{E0FF}';

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    File {
        text: String,
        executable: bool,
    },
    Link(String),
    /// A submodule: an empty directory in every checkout.
    Module(u8),
}

impl Entry {
    pub fn file(text: impl Into<String>) -> Self {
        Entry::File { text: text.into(), executable: false }
    }
}

/// Files, links and submodules by path. Directories are where something lies in them, as git has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree(BTreeMap<String, Entry>);

impl Tree {
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.0.get(path)
    }

    pub fn text(&self, path: &str) -> Option<&str> {
        match self.0.get(path) {
            Some(Entry::File { text, .. }) => Some(text),
            _ => None,
        }
    }

    pub fn paths(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    pub fn entries(&self) -> impl Iterator<Item = (&String, &Entry)> {
        self.0.iter()
    }

    pub fn is_directory(&self, path: &str) -> bool {
        path.is_empty() || self.below(path).next().is_some()
    }

    pub fn directories(&self) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for path in self.0.keys() {
            for (at, _) in path.match_indices('/') {
                found.push(path[..at].to_owned());
            }
        }
        found.sort();
        found.dedup();
        found
    }

    pub fn below(&self, directory: &str) -> impl Iterator<Item = &String> {
        let prefix = format!("{directory}/");
        self.0.range(prefix.clone()..).map(|(path, _)| path).take_while(move |path| path.starts_with(&prefix))
    }

    /// What is in the way, above or below, goes.
    pub fn put(&mut self, path: &str, entry: Entry) {
        for (at, _) in path.match_indices('/') {
            self.0.remove(&path[..at]);
        }
        self.remove(path);
        self.0.insert(path.to_owned(), entry);
    }

    /// A file, or a directory with all that it holds.
    pub fn remove(&mut self, path: &str) {
        let below: Vec<String> = self.below(path).cloned().collect();
        for path in below {
            self.0.remove(&path);
        }
        self.0.remove(path);
    }

    pub fn set_text(&mut self, path: &str, text: String) {
        if let Some(Entry::File { text: old, .. }) = self.0.get_mut(path) {
            *old = text;
        }
    }
}

/// How two trees differ, for a person who looks for the fault.
pub fn difference(from: &Tree, to: &Tree) -> String {
    let mut text = String::new();
    let mut paths: Vec<&String> = from.0.keys().chain(to.0.keys()).collect();
    paths.sort();
    paths.dedup();
    for path in paths.into_iter().filter(|path| from.get(path) != to.get(path)) {
        let _ = writeln!(text, "--- {path}\n-   {:?}\n+   {:?}", from.get(path), to.get(path));
    }
    text
}

pub fn print(tree: &Tree) -> String {
    let mut text = String::new();
    for (path, entry) in &tree.0 {
        match entry {
            Entry::File { text: file, executable } => {
                let _ = writeln!(text, "=== {path}{}\n{file}", if *executable { " (executable)" } else { "" });
            }
            Entry::Link(to) => drop(writeln!(text, "=== {path} -> {to}")),
            Entry::Module(_) => drop(writeln!(text, "=== {path}: submodule")),
        }
    }
    text
}

/// A bare repository for trees.
pub struct Repo {
    pub path: PathBuf,
    count: std::cell::Cell<usize>,
}

impl Repo {
    pub fn new(path: &Path) -> Self {
        std::fs::create_dir_all(path).unwrap();
        git(path, &["init", "-q", "--bare", "-b", "main", "."]);
        git(path, &["config", "fastimport.unpackLimit", "100000"]);
        Self { path: path.to_owned(), count: std::cell::Cell::new(0) }
    }

    /// Writes the trees, each as the commit of a branch of its own; their ids.
    pub fn write(&self, trees: &[&Tree]) -> Vec<TreeId> {
        let mut stream: Vec<u8> = Vec::new();
        let first = self.count.get();
        for (number, tree) in trees.iter().enumerate() {
            write!(stream, "commit refs/heads/t{}\ncommitter A <a@b> 0 +0000\ndata 0\ndeleteall\n", first + number).unwrap();
            for (path, entry) in &tree.0 {
                let (mode, data): (&str, &[u8]) = match entry {
                    Entry::File { text, executable: false } => ("100644", text.as_bytes()),
                    Entry::File { text, executable: true } => ("100755", text.as_bytes()),
                    Entry::Link(to) => ("120000", to.as_bytes()),
                    Entry::Module(number) => {
                        writeln!(stream, "M 160000 {} {}", format!("{number:02x}").repeat(20), quoted(path)).unwrap();
                        continue;
                    }
                };
                write!(stream, "M {mode} inline {}\ndata {}\n", quoted(path), data.len()).unwrap();
                stream.extend_from_slice(data);
                stream.push(b'\n');
            }
        }
        self.count.set(first + trees.len());
        let mut import = Command::new("git")
            .args(["fast-import", "--quiet", "--force"])
            .current_dir(&self.path)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        import.stdin.take().unwrap().write_all(&stream).unwrap();
        assert!(import.wait().unwrap().success());
        let names: Vec<String> = (first..first + trees.len()).map(|n| format!("refs/heads/t{n}^{{tree}}")).collect();
        let mut arguments = vec!["rev-parse"];
        arguments.extend(names.iter().map(String::as_str));
        git(&self.path, &arguments).lines().map(|line| line.parse().unwrap()).collect()
    }
}

/// As fast-import reads it: octal where it is not plain.
fn quoted(path: &str) -> String {
    let mut text = String::from("\"");
    for c in path.chars() {
        if c == STRANGE {
            text.push_str("\\377");
        } else if c.is_ascii_alphanumeric() || "/._- +".contains(c) {
            text.push(c);
        } else {
            let mut bytes = [0; 4];
            c.encode_utf8(&mut bytes).bytes().for_each(|byte| text.push_str(&format!("\\{byte:03o}")));
        }
    }
    text.push('"');
    text
}

pub fn git(directory: &Path, arguments: &[&str]) -> String {
    let output =
        Command::new("git").args(arguments).current_dir(directory).env("GIT_CONFIG_GLOBAL", "/dev/null").output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
