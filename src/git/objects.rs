//! Objects, read through one `git cat-file --batch`.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use super::{EntryKind, GitError, Repository};
use crate::domain::{ObjectId, TreeId};

/// Largest object that is read into memory, in bytes. What we read are commits and configuration files.
const LIMIT: u64 = 16 << 20;

pub(super) struct Object {
    /// `blob`, `tree`, `commit`, `tag`.
    pub kind: String,
    pub bytes: Vec<u8>,
}

/// A file of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// Relative to the root; any bytes but NUL.
    pub path: Vec<u8>,
    pub kind: EntryKind,
    pub id: ObjectId,
}

/// What to do about an object that is larger than [`LIMIT`].
#[derive(Clone, Copy)]
enum Large {
    Refuse,
    Skip,
}

impl Repository {
    /// All files and links of a tree, without submodules.
    pub async fn blobs(&self, tree: &TreeId) -> Result<Vec<Blob>, GitError> {
        let listing = self.objects().run(["ls-tree", "-r", "-z", "--full-tree", tree.as_str()]).await?.success()?;
        let mut blobs = Vec::new();
        for line in listing.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
            // MODE TYPE ID\tPATH
            let tab = line.iter().position(|byte| *byte == b'\t').unwrap_or(line.len());
            let words: Vec<&str> = std::str::from_utf8(&line[..tab]).unwrap_or_default().split(' ').collect();
            let (Some(path), [mode, kind, object]) = (line.get(tab + 1..), words.as_slice()) else {
                let message = format!("printed `{}`", String::from_utf8_lossy(line));
                return Err(GitError::Failed { command: "ls-tree".into(), message });
            };
            if let Some(kind) = EntryKind::of_mode(mode).filter(|_| *kind == "blob") {
                blobs.push(Blob { path: path.to_vec(), kind, id: super::repository::id(object)? });
            }
        }
        Ok(blobs)
    }

    /// The bytes of blobs, in their order, through one process; `None` for one that is absent, no blob, or larger than 16 MiB.
    pub async fn read_blobs(&self, ids: &[ObjectId]) -> Result<Vec<Option<Vec<u8>>>, GitError> {
        let names: Vec<Vec<u8>> = ids.iter().map(|id| id.as_str().into()).collect();
        let objects = self.talk(&[], &names, Large::Skip).await?;
        let bytes = |object: Object| (object.kind == "blob").then_some(object.bytes);
        Ok(objects.into_iter().map(|object| object.and_then(bytes)).collect())
    }

    /// How large blobs are, in bytes, in their order and without reading them; `None` for one that is absent or no blob.
    pub async fn blob_sizes(&self, ids: &[ObjectId]) -> Result<Vec<Option<u64>>, GitError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let io = || GitError::io("talking to git cat-file");
        let mut child = self.objects().start(["cat-file", "--batch-check"])?;
        let Some(mut stdin) = child.stdin.take() else { unreachable!("it is a pipe") };
        let ask = async {
            for id in ids {
                stdin.write_all(format!("{id}\n").as_bytes()).await?;
            }
            stdin.shutdown().await?;
            drop(stdin);
            Ok(())
        };
        let (asked, output) = tokio::join!(ask, child.wait_with_output());
        let output = output.map_err(io())?;
        asked.map_err(io())?;
        // ID TYPE SIZE, or ID missing
        let size = |line: &str| match line.split(' ').collect::<Vec<_>>()[..] {
            [_, "blob", size] => size.parse().ok(),
            _ => None,
        };
        let sizes: Vec<Option<u64>> = String::from_utf8_lossy(&output.stdout).lines().map(size).collect();
        if sizes.len() != ids.len() {
            let message = format!("answered {} of {} questions", sizes.len(), ids.len());
            return Err(GitError::Failed { command: "cat-file".into(), message });
        }
        Ok(sizes)
    }

    /// A file's bytes; `None` if there is no such file. Symbolic links inside the tree are followed, others are no file.
    pub async fn read_file(&self, tree: &TreeId, path: &str) -> Result<Option<Vec<u8>>, GitError> {
        Ok(self.read_files(tree, &[path]).await?.remove(path))
    }

    /// Many files through one process; those that do not exist are absent.
    pub async fn read_files(&self, tree: &TreeId, paths: &[&str]) -> Result<BTreeMap<String, Vec<u8>>, GitError> {
        let named: Vec<(&str, Vec<u8>)> =
            paths.iter().filter_map(|path| Some((*path, format!("{tree}:{}", plain(path)?).into_bytes()))).collect();
        let names: Vec<Vec<u8>> = named.iter().map(|(_, name)| name.clone()).collect();
        let objects = self.read_objects(&["--follow-symlinks"], &names).await?;
        let files = named.into_iter().zip(objects).filter_map(|((path, _), object)| Some((path.to_owned(), object?)));
        Ok(files.filter(|(_, object)| object.kind == "blob").map(|(path, object)| (path, object.bytes)).collect())
    }

    /// The objects of these names, in their order; `None` for one that does not exist.
    pub(super) async fn read_objects(&self, options: &[&str], names: &[Vec<u8>]) -> Result<Vec<Option<Object>>, GitError> {
        self.talk(options, names, Large::Refuse).await
    }

    async fn talk(&self, options: &[&str], names: &[Vec<u8>], large: Large) -> Result<Vec<Option<Object>>, GitError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let io = || GitError::io("talking to git cat-file");
        let mut child = self.objects().start(["cat-file", "--batch", "-z"].iter().chain(options))?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            unreachable!("both are pipes");
        };
        let ask = async {
            for name in names {
                stdin.write_all(name).await?;
                stdin.write_all(&[0]).await?;
            }
            stdin.shutdown().await?;
            drop(stdin);
            Ok(())
        };
        let hear = async {
            let mut stdout = BufReader::new(stdout);
            let mut objects = Vec::with_capacity(names.len());
            for name in names {
                objects.push(read_object(&mut stdout, name, large).await?);
            }
            Ok::<_, GitError>(objects)
        };
        // at once: git stops reading while nobody takes what it answers
        let (asked, objects) = tokio::join!(ask, hear);
        let objects = objects?;
        asked.map_err(io())?;
        child.wait().await.map_err(io())?;
        Ok(objects)
    }
}

/// A path below the root as git wants it after `TREE:`; `None` for one that leads out or nowhere.
fn plain(path: &str) -> Option<String> {
    let mut names = Vec::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => names.push(name.to_str()?),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    (!names.is_empty() && !path.contains('\0')).then(|| names.join("/"))
}

/// One answer: `ID TYPE SIZE\nCONTENT\n`; `NAME missing\n`; or, for links that lead nowhere in the tree, `WORD SIZE\nTEXT\n`.
async fn read_object(from: &mut (impl AsyncBufRead + Unpin), name: &[u8], large: Large) -> Result<Option<Object>, GitError> {
    let io = || GitError::io("reading from git cat-file");
    let mut header = Vec::new();
    from.read_until(b'\n', &mut header).await.map_err(io())?;
    if header.is_empty() {
        let message = format!("ended before it answered for {}", String::from_utf8_lossy(name));
        return Err(GitError::Failed { command: "cat-file".into(), message });
    }
    let text = String::from_utf8_lossy(&header);
    let words: Vec<&str> = text.split_whitespace().collect();
    let (kind, size) = match words[..] {
        [id, kind @ ("blob" | "tree" | "commit" | "tag"), size] if id.len() == 40 => (Some(kind), size.parse::<u64>().ok()),
        ["symlink" | "dangling" | "loop" | "notdir", size] => (None, size.parse().ok()),
        _ => (None, None),
    };
    let Some(size) = size else {
        // missing: git repeats the name, which may itself have newlines
        for _ in name.iter().filter(|byte| **byte == b'\n') {
            from.read_until(b'\n', &mut header).await.map_err(io())?;
        }
        return Ok(None);
    };
    if let (true, Large::Skip) = (size > LIMIT, large) {
        tokio::io::copy(&mut from.take(size + 1), &mut tokio::io::sink()).await.map_err(io())?;
        return Ok(None);
    }
    if size > LIMIT {
        let path = String::from_utf8_lossy(name);
        let path = path.split_once(':').map_or(&*path, |(_, path)| path).to_owned();
        return Err(GitError::TooLarge { path, limit: LIMIT });
    }
    let mut bytes = vec![0; size as usize + 1];
    from.read_exact(&mut bytes).await.map_err(io())?;
    bytes.pop();
    Ok(kind.map(|kind| Object { kind: kind.to_owned(), bytes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_inside_the_tree_are_asked_for() {
        assert_eq!(plain("./a//b/").as_deref(), Some("a/b"));
        for path in ["", ".", "..", "../a", "a/../b", "/a", "a\0b"] {
            assert_eq!(plain(path), None, "{path:?}");
        }
    }
}
