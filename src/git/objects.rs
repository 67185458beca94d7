//! Objects, read through one `git cat-file --batch`.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use super::{GitError, Repository};
use crate::domain::TreeId;

/// Largest object that is read into memory, in bytes. What we read are commits and configuration files.
const LIMIT: u64 = 16 << 20;

pub(super) struct Object {
    /// `blob`, `tree`, `commit`, `tag`.
    pub kind: String,
    pub bytes: Vec<u8>,
}

impl Repository {
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
                objects.push(read_object(&mut stdout, name).await?);
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
async fn read_object(from: &mut (impl AsyncBufRead + Unpin), name: &[u8]) -> Result<Option<Object>, GitError> {
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
