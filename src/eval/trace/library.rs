//! The library that lets an evaluation be forked, see `preload.c`.

use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/preload.so"));

/// Where the evaluating process sees it.
pub const SEEN: &str = "/snowgate/fork.so";

/// What the library takes from its environment: the beginning of every mark that means something to it.
pub const VARIABLE: &str = "SNOWGATE_MARKS";

/// Changes with every change of the library.
pub fn fingerprint() -> String {
    use sha2::{Digest, Sha256};
    data_encoding::HEXLOWER.encode(&Sha256::digest(LIBRARY))
}

pub fn path(directory: &Path) -> PathBuf {
    directory.join("fork.so")
}

/// Writes it to `directory`, whole or not at all; for a user id that owns nothing to read, whatever our umask.
pub fn write(directory: &Path) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(LIBRARY)?;
    file.as_file().set_permissions(PermissionsExt::from_mode(0o644))?;
    file.persist(path(directory))?;
    Ok(())
}
