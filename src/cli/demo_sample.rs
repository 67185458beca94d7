//! The repository that `snowgate demo` serves: Fjell, a made-up package set of some sixty packages. Its builds need nothing but
//! a shell, take a second or two, and fail for reasons that a reviewer knows: a symbol that a library does not export, a test.
//!
//! On `main`, `quill` does not compile against the current `librx`, `gopherd` fails a test, and an alias throws.

mod files;
#[cfg(test)]
mod tests;

use std::path::Path;

use anyhow::{Context, Result};

use self::files::File;
use crate::git::{self, NewCommit};

/// The sample's branches other than `main`: the first breaks a library that many depend on, the second fixes a package that is
/// broken on `main` and with it the one that depends on it, the third renames and removes, the last touches only documents.
pub const BRANCHES: [&str; 4] = ["update/libtls-3.4", "fix/quill-librx-2", "tidy/old-names", "docs/contributing"];

const MAIN: &str = "main";

struct Person {
    name: &'static str,
    email: &'static str,
}

const INES: Person = Person { name: "Ines Ørsted", email: "ines@example.org" };
const KOFI: Person = Person { name: "Kofi Mensah-Blum", email: "kofi@example.org" };
const MARIT: Person = Person { name: "Marit Solheim", email: "marit@example.org" };
const TADEO: Person = Person { name: "Tadeo Quispe", email: "tadeo@example.org" };
const YUN: Person = Person { name: "Yun-seo Hale", email: "yun@example.org" };

/// 2 March 2026, 09:14 UTC: when the first commit was made. The others follow in their order.
const BEGIN: i64 = 1_772_442_840;
/// Between two commits: a day, and some hours so that nobody seems to commit at the same time each day.
const PACE: i64 = 31 * 3600 + 1620;

/// Writes the sample as a git repository at `path`, which must be absent or empty. The commits are the same each time.
pub async fn write(path: &Path) -> Result<()> {
    let commits = commits()?;
    git::create(path, MAIN, &commits).await.with_context(|| format!("writing the sample repository to {}", path.display()))
}

fn commits() -> Result<Vec<NewCommit<'static>>> {
    let tools = |path: &str| path.starts_with("pkgs/") && !is_library(path);
    let documents = |path: &str| path.ends_with(".md");
    let settings = |path: &str| path == "snowgate.toml";
    let [libtls, quill, tidy, docs] = BRANCHES;
    let mut history = History::default();
    let first = history.add(MAIN, None, MARIT, "Begin with the standard environment, libraries and Lantern", {
        of(files::BASE, |path| !tools(path) && !documents(path) && !settings(path))
    })?;
    let second = history.add(MAIN, Some(first), KOFI, "Add the tools", of(files::BASE, tools))?;
    let third = history.add(MAIN, Some(second), YUN, "Say what this is and how to add a package", of(files::BASE, documents))?;
    let tip = history.add(MAIN, Some(third), INES, "Review changes with Snowgate", of(files::BASE, settings))?;

    // begun before the base moved: what is reviewed is the merge
    let bump = of(files::LIBTLS, |path| path.contains("libtls"));
    let message = "libtls: 3.3.2 -> 3.4.0\n\nThe handshake takes the same time whatever the key is.";
    let curlew = of(files::LIBTLS, |path| path.contains("curlew"));
    let bumped = history.add(libtls, Some(third), MARIT, "curlew: 8.9.1 -> 8.10.0", curlew)?;
    // the last one gives the change its title
    history.add(libtls, Some(bumped), MARIT, message, bump)?;

    history.add(quill, Some(tip), YUN, "quill: fix build with librx 2", of(files::QUILL, |_| true))?;

    let mut removals = of(files::TIDY, |_| true);
    removals.extend(["tables", "fingerd", "proverbs"].map(|name| (package(name), None)));
    let message = "Rename tables to tablefmt, remove fingerd and proverbs\n\n\
        There are three things called tables by now. Nobody has fingered anybody since 1998.";
    history.add(tidy, Some(tip), TADEO, message, removals)?;

    history.add(docs, Some(tip), INES, "docs: say how a change gets in", of(files::DOCS, |_| true))?;
    Ok(history.0)
}

/// Libraries, and what `lantern/` needs: the set evaluates from its first commit on.
fn is_library(path: &str) -> bool {
    path.starts_with("pkgs/lib") || ["zpack", "larder", "lantern", "curlew"].iter().any(|name| path == package(name))
}

/// The file of a package on `main`.
fn package(name: &str) -> &'static str {
    let wanted = format!("pkgs/{name}/default.nix");
    files::BASE.iter().map(|(path, _)| *path).find(|path| *path == wanted).unwrap_or_default()
}

fn of(files: &'static [File], wanted: impl Fn(&str) -> bool) -> Vec<(&'static str, Option<&'static str>)> {
    files.iter().filter(|(path, _)| wanted(path)).map(|(path, content)| (*path, Some(*content))).collect()
}

#[derive(Default)]
struct History(Vec<NewCommit<'static>>);

impl History {
    /// The commit's index.
    fn add(
        &mut self,
        branch: &'static str,
        parent: Option<usize>,
        who: Person,
        message: &'static str,
        changes: Vec<(&'static str, Option<&'static str>)>,
    ) -> Result<usize> {
        let index = self.0.len();
        let time = jiff::Timestamp::from_second(BEGIN + PACE * i64::try_from(index)?)?;
        self.0.push(NewCommit { branch, parent, author: who.name, email: who.email, time, message, changes });
        Ok(index)
    }
}
