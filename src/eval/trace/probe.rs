//! Whether this machine can record: tried with the real Nix, when it is first needed.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use tokio::io::AsyncReadExt;

use super::frames::{Access, Frame, Frames, MARKS};
use crate::config::repository::{Jobset, JobsetSource};
use crate::domain::System;
use crate::eval::Confinement;
use crate::eval::driver::{Driver, Heard};
use crate::eval::evaluator::Evaluator;
use crate::eval::launch::{StoreView, TREE};
use crate::eval::terms::Request;
use crate::eval::worker::Guard;

/// How an evaluation can be recorded here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tracing {
    /// Evaluating processes tell what they read, and can be forked.
    Forks,
    /// They tell what they read, but can't be forked: the reason, in one line.
    Chains(String),
    /// Nothing can be recorded: the reason, in one line.
    Off(String),
}

/// When Nix finds the line of a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Positions {
    /// When it is asked for, by reading the file again: whoever asks is seen to read all of it (Nix 2.21 and later).
    Lazy,
    /// When it parses the file: lines come to be known unseen. What reads are told of parts of the file then says nothing of them.
    Eager,
}

/// What was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::eval) struct Probed {
    pub tracing: Tracing,
    pub positions: Positions,
}

impl Probed {
    fn off(reason: String) -> Probed {
        Probed { tracing: Tracing::Off(reason), positions: Positions::Eager }
    }
}

/// A machine that can't record can't three times.
const TRIALS: u32 = 3;

/// A warm machine takes a tenth of a second.
const PATIENCE: Duration = Duration::from_secs(30);

impl Evaluator {
    /// How this machine can record. Asked of Nix once.
    pub async fn tracing(&self) -> &Tracing {
        &self.probed().await.tracing
    }

    pub(super) async fn probed(&self) -> &Probed {
        self.probed
            .get_or_init(|| async {
                match self.confinement() {
                    Confinement::Limited(reason) => Probed::off(reason.clone()),
                    Confinement::Full => self.try_often().await,
                }
            })
            .await
    }

    /// As if this machine could record so and not otherwise.
    pub fn recording_by(&self, tracing: Tracing) -> Self {
        let probed = Probed { tracing, positions: Positions::Lazy };
        Self { probed: std::sync::Arc::new(tokio::sync::OnceCell::new_with(Some(probed))), ..self.clone() }
    }

    /// What is found holds as long as we run, and a process that was killed tells nothing of the machine.
    async fn try_often(&self) -> Probed {
        let mut reason = String::new();
        for _ in 0..TRIALS {
            match self.try_tracing().await {
                Ok(probed) => return probed,
                Err(error) => reason = format!("{error:#}"),
            }
        }
        Probed::off(reason)
    }

    async fn try_tracing(&self) -> anyhow::Result<Probed> {
        let tree = tempfile::tempdir_in(&self.directory)?;
        std::fs::set_permissions(tree.path(), PermissionsExt::from_mode(0o755))?;
        for name in ["default.nix", FILE] {
            let path = tree.path().join(name);
            std::fs::write(&path, "{ a = 1; }")?;
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644))?;
        }
        let launch = self.launch(&request(tree.path())?, &StoreView::Memory).await?;
        let driver = Driver::start(&self.traced(launch, [])).await?;
        let (_guard, mut driver) = Guard::around(driver);
        // an import is remembered: it is read twice only where two processes come to it
        let marks = format!("{MARKS}/{}", driver.nonce());
        let lines =
            [format!("builtins.pathExists \"{marks}.fork.1\""), IMPORT.into(), format!("builtins.pathExists \"{marks}.exit\"")];
        let line = format!("builtins.pathExists \"{marks}.line\"\n(builtins.unsafeGetAttrPos \"a\" ({IMPORT})).line");
        driver.tell(&format!("{}\n{IMPORT}\n{line}\n:q\n", lines.join("\n"))).await;
        let Some(mut trace) = driver.trace.take() else { anyhow::bail!("there is no trace") };
        let mut bytes = Vec::new();
        let told = async { tokio::join!(trace.read_to_end(&mut bytes), until_its_end(&mut driver)).0 };
        let read = tokio::time::timeout(PATIENCE, told).await;
        let printed = driver.printed();
        let usage = driver.stop().await;
        let Ok(read) = read else { return Ok(Probed::off("Nix does not answer".into())) };
        read?;
        if !usage.status.success() {
            let reason = printed.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
            anyhow::bail!("{}", reason.trim_start_matches("snowgate: cannot confine the evaluator: "));
        }
        let mut frames = Frames::default();
        frames.add(&bytes);
        judge(frames, &marks).map_or_else(|| anyhow::bail!("what Nix reads is not seen"), Ok)
    }
}

const FILE: &str = "probe.nix";
const IMPORT: &str = "import /snowgate/source/probe.nix";

async fn until_its_end(driver: &mut Driver) {
    while !matches!(driver.hear(PATIENCE).await, Heard::Died | Heard::Silent) {}
}

/// What the stream of the probe shows; `None` if it is not what was asked for.
fn judge(frames: impl Iterator<Item = Frame>, marks: &str) -> Option<Probed> {
    let file = format!("{TREE}/{FILE}");
    let seen: Vec<String> = frames
        .filter_map(|frame| match frame {
            Frame::Seen { access: Access::Stat | Access::Content, path, .. } => String::from_utf8(path).ok(),
            Frame::Seen { .. } | Frame::Unknown(_) => None,
        })
        .collect();
    // each import is a look-up and then an opening
    let told: Vec<&str> =
        seen.iter().filter_map(|path| path.strip_prefix(marks).or_else(|| (*path == file).then_some("file"))).collect();
    let (imports, line) = told.split_at(told.iter().position(|mark| *mark == ".line").unwrap_or(told.len()));
    let tracing = match imports {
        [".fork.1", "file", "file", ".exit", "file", "file"] => Tracing::Forks,
        [".fork.1", "file", "file", ".exit"] => Tracing::Chains("a library can't be preloaded into this Nix".into()),
        _ => {
            tracing::debug!("the probe of a recording told {told:?}");
            return None;
        }
    };
    let positions = match line {
        [".line", "file", ..] => Positions::Lazy,
        _ => {
            tracing::info!("no file is followed binding by binding: this Nix knows lines without reading the file again");
            Positions::Eager
        }
    };
    Some(Probed { tracing, positions })
}

fn request(tree: &Path) -> anyhow::Result<Request> {
    Ok(Request {
        // the empty tree's; nothing is looked up by it
        tree: "4b825dc642cb6eb9a060e54bf8d69288fbee4904".parse()?,
        checkout: tree.to_owned(),
        jobset: Jobset {
            name: "probe".into(),
            source: JobsetSource::File("default.nix".into()),
            attrs: Vec::new(),
            systems: Vec::new(),
            args: BTreeMap::new(),
            argstrs: BTreeMap::new(),
            force_recurse: false,
        },
        system: System::new("x86_64-linux"),
        options: BTreeMap::new(),
        workers: 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(told: &str) -> Option<Probed> {
        let frame = |name: &str| {
            let path = if name == "file" { format!("{TREE}/{FILE}") } else { format!("/m/N{name}") };
            Frame::Seen { access: Access::Stat, follows: false, path: path.into() }
        };
        judge(told.split_whitespace().map(frame), "/m/N")
    }

    #[test]
    fn what_is_not_seen_to_be_is_not() {
        let chains = || Tracing::Chains("a library can't be preloaded into this Nix".into());
        let forked = ".fork.1 file file .exit file file";
        for (frames, tracing, positions) in [
            (format!("{forked} .line file"), Tracing::Forks, Positions::Lazy),
            (format!("{forked} .line file file"), Tracing::Forks, Positions::Lazy),
            (format!("{forked} .line"), Tracing::Forks, Positions::Eager),
            (forked.to_owned(), Tracing::Forks, Positions::Eager),
            (".fork.1 file file .exit .line file".to_owned(), chains(), Positions::Lazy),
            (".fork.1 file file .exit .line".to_owned(), chains(), Positions::Eager),
        ] {
            assert_eq!(told(&frames), Some(Probed { tracing, positions }), "{frames}");
        }
        for nonsense in ["", ".line file", ".fork.1 file .line file", ".fork.1 file file .exit file .line file"] {
            assert_eq!(told(nonsense), None, "{nonsense}");
        }
    }
}
