//! The files that recording processes read, as they lie on disk.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::clock::{Name, has_words, may_tell_time};
use super::reads::{Files, Kind};
use crate::eval::launch::TREE;

/// Of a longer file only the words are looked for.
const LONGEST: u64 = 4 << 20;

/// What is remembered of so many paths; then it is looked up again.
const REMEMBERED: usize = 200_000;

pub struct Checkout {
    directory: PathBuf,
    kinds: HashMap<String, Kind>,
    times: HashMap<String, bool>,
}

impl Checkout {
    /// Of the tree; what is seen elsewhere is there for us, too.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, kinds: HashMap::new(), times: HashMap::new() }
    }
}

impl Files for Checkout {
    fn kind(&mut self, path: &str) -> Kind {
        remembered(&mut self.kinds, path, || match fs::symlink_metadata(self.directory.join(path)) {
            Ok(metadata) if metadata.is_symlink() => Kind::Link,
            Ok(metadata) if metadata.is_dir() => Kind::Directory,
            Ok(_) | Err(_) => Kind::Other,
        })
    }

    fn may_tell_time(&mut self, seen: &str) -> bool {
        remembered(&mut self.times, seen, || {
            let below = seen.strip_prefix(TREE).and_then(|rest| rest.strip_prefix('/'));
            let path = below.map_or_else(|| PathBuf::from(seen), |path| self.directory.join(path));
            match read_and_judge(&path, Name::of(seen)) {
                Ok(may) => may,
                // there is none, or a directory
                Err(error) => {
                    !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory)
                }
            }
        })
    }
}

fn remembered<T: Copy>(known: &mut HashMap<String, T>, path: &str, look: impl FnOnce() -> T) -> T {
    if let Some(known) = known.get(path) {
        return *known;
    }
    // a change can make an evaluation ask for as many as it likes
    if known.len() >= REMEMBERED {
        known.clear();
    }
    let found = look();
    known.insert(path.to_owned(), found);
    found
}

fn read_and_judge(path: &Path, name: Name) -> io::Result<bool> {
    // a pipe would keep us waiting, and a device may never end
    let mut file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Ok(false);
    }
    let mut bytes = Vec::new();
    (&mut file).take(LONGEST).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < LONGEST {
        return Ok(may_tell_time(&bytes, name));
    }
    // a word may lie across the end of a part
    const KEPT: usize = 16;
    loop {
        if has_words(&bytes) {
            return Ok(true);
        }
        bytes.drain(..bytes.len().saturating_sub(KEPT));
        if (&mut file).take(LONGEST).read_to_end(&mut bytes)? == 0 {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_looked_for_in_files_of_any_length() {
        let directory = tempfile::tempdir().unwrap();
        let mut files = Checkout::new(directory.path().to_owned());
        let mut may = |name: &str, text: &str| {
            fs::write(directory.path().join(name), text).unwrap();
            files.may_tell_time(&format!("{TREE}/{name}"))
        };
        assert!(may("a.nix", "builtins.currentTime"));
        assert!(!may("b.nix", "# builtins.currentTime"));
        let long = |before: u64| format!("#{}builtins", "\n".repeat((LONGEST - before) as usize));
        assert!(may("c.nix", &long(5)), "across the end of what is read at once");
        assert!(!may("d", &long(5).replace("builtins", "built")));
        assert!(may("e", &long(100)) && !may("f.nix", &long(100).replace("builtins", "builtins.x")));
        assert!(!files.may_tell_time(&format!("{TREE}/nowhere")) && !files.may_tell_time(TREE));
        assert!(!files.may_tell_time(&format!("{TREE}/a.nix/b.nix")));
        assert!(!files.may_tell_time("/dev/zero"), "it is read at all");
        let outside = directory.path().join("a.nix");
        assert!(files.may_tell_time(&outside.display().to_string()));
    }
}
