//! The repository that `snowgate demo` serves.
use std::path::Path;

use anyhow::Result;

/// The sample's branches other than its base, `main`.
pub const BRANCHES: [&str; 4] = ["update/libtls-3.4", "fix/quill-regex", "tidy/rename-tables", "docs/contributing"];

/// Writes the sample as a git repository at `path`, which must not exist or be empty. Same commits every time.
pub fn write(_path: &Path) -> Result<()> {
    todo!()
}
