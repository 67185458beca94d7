//! The instrumented copies of one recording, on disk for as long as it lasts.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::bindings::{NAME_LENGTH, Tracked, TrackedFile};
use crate::eval::driver::nonce;

/// What their directories are called; one that is there at the start is what a kill left.
const PREFIX: &str = "copies-";

pub struct Copies {
    /// The copy, and the path below the tree's root that it stands for.
    files: Vec<(PathBuf, PathBuf)>,
    /// What each file is called in its marks, by its path: another name in each recording and for each file, which can't be guessed.
    /// Evaluated code that has read the copy knows it, and no other: it may then hide that it reads the file once more, but it has read
    /// all of it already.
    names: HashMap<String, String>,
    /// Goes with all that is in it. None where there are no copies.
    _directory: Option<tempfile::TempDir>,
}

impl Copies {
    /// In a directory below `directory`, for files of `checkout`.
    pub fn write(tracked: &Tracked, checkout: &Path, directory: &Path) -> std::io::Result<Copies> {
        if tracked.files.is_empty() {
            return Ok(Copies { files: Vec::new(), names: HashMap::new(), _directory: None });
        }
        let directory = tempfile::Builder::new().prefix(PREFIX).tempdir_in(directory)?;
        let mut files = Vec::with_capacity(tracked.files.len());
        let mut names = HashMap::with_capacity(tracked.files.len());
        let secret = nonce()?;
        for (index, file) in tracked.files.iter().enumerate() {
            let TrackedFile { path, .. } = &**file;
            let mut name = data_encoding::HEXLOWER.encode(&Sha256::digest(format!("{secret} {path}")));
            name.truncate(NAME_LENGTH);
            let copy = directory.path().join(index.to_string());
            std::fs::write(&copy, file.marked(&name))?;
            names.insert(path.clone(), name);
            // for everybody to read, and executable if the file is: that can be seen
            let executable = std::fs::symlink_metadata(checkout.join(path))?.permissions().mode() & 0o111 != 0;
            std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(if executable { 0o755 } else { 0o644 }))?;
            files.push((copy, path.into()));
        }
        Ok(Copies { files, names, _directory: Some(directory) })
    }

    pub fn files(&self) -> impl Iterator<Item = (PathBuf, PathBuf)> + '_ {
        self.files.iter().cloned()
    }

    pub fn names(&self) -> &HashMap<String, String> {
        &self.names
    }

    /// Removes what an earlier life left.
    pub fn clear(directory: &Path) -> std::io::Result<()> {
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(PREFIX) {
                std::fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}
