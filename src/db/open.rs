//! From a directory to connections that can be trusted: what is there is looked at before anything is written.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource};
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel::sqlite::{Sqlite, SqliteConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::OpenError;
use crate::config::StateDir;

pub(super) const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

/// A checkpoint is due after this many pages of 4 KiB in the log (SQLite's own default), and never makes a reader wait.
const PRAGMAS: &str = "PRAGMA busy_timeout = 10000; PRAGMA foreign_keys = ON; PRAGMA synchronous = NORMAL; \
                       PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16000;";

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

pub(super) fn create_directory(state: &StateDir) -> Result<(), OpenError> {
    let directory = |reason| OpenError::Directory { dir: state.root().to_owned(), reason };
    if state.root().is_dir() {
        return Ok(());
    }
    if let Some(parent) = state.root().parent() {
        std::fs::create_dir_all(parent).map_err(|error| directory(format!("it can't be created: {error}")))?;
    }
    // of this user only: logs and sources of private repositories lie in it
    match DirBuilder::new().mode(0o700).create(state.root()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && state.root().is_dir() => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(directory("it is a file".into())),
        Err(error) => Err(directory(format!("it can't be created: {error}"))),
    }
}

/// The writing connection, with the schema up to date.
pub(super) fn writer(path: &Path) -> Result<SqliteConnection, OpenError> {
    refuse_what_is_not_ours(path)?;
    create_private(path)?;
    let open = || -> Result<SqliteConnection, String> {
        let mut connection = connect(path, "")?;
        connection.batch_execute("PRAGMA journal_mode = WAL").map_err(|error| error.to_string())?;
        connection.batch_execute(PRAGMAS).map_err(|error| error.to_string())?;
        connection.run_pending_migrations(MIGRATIONS).map_err(|error| error.to_string())?;
        Ok(connection)
    };
    open().map_err(|reason| in_words(path, reason))
}

/// For this user only, also where the directory was made by somebody else; SQLite gives its log the same mode. What is there
/// already must be writable: SQLite itself would find out at the first write.
fn create_private(path: &Path) -> Result<(), OpenError> {
    let directory = |reason| OpenError::Directory { dir: path.parent().unwrap_or(path).to_owned(), reason };
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) if error.kind() == ErrorKind::StorageFull => return Err(OpenError::Full { path: path.to_owned() }),
        Err(error) => return Err(directory(format!("its database can't be created: {error}"))),
    }
    for file in [path.to_owned(), beside(path, "-wal"), beside(path, "-shm")] {
        match OpenOptions::new().write(true).open(&file) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(directory(format!("its database can't be written to: {error}"))),
        }
    }
    Ok(())
}

/// SQLite's own files (sqlite.org/wal.html): the log, and the memory that its readers share.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A connection that cannot write.
pub(super) fn reader(path: &Path) -> Result<SqliteConnection, OpenError> {
    let open = || -> Result<SqliteConnection, String> {
        let mut connection = connect(path, "")?;
        connection.batch_execute(PRAGMAS).map_err(|error| error.to_string())?;
        connection.batch_execute("PRAGMA query_only = ON").map_err(|error| error.to_string())?;
        Ok(connection)
    };
    open().map_err(|reason| in_words(path, reason))
}

/// Looks at a file that exists, without writing to it: another program's database, or one of a newer version.
fn refuse_what_is_not_ours(path: &Path) -> Result<(), OpenError> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(in_words(path, error.to_string())),
        Ok(metadata) if !metadata.is_file() => {
            return Err(OpenError::NotADatabase { path: path.to_owned(), reason: "it is no file".into() });
        }
        // SQLite creates the file before it writes to it: this is a start that was killed
        Ok(metadata) if metadata.len() == 0 => return Ok(()),
        Ok(_) => {}
    }
    // with a log beside it, the file alone may be out of date; without one, looking at it need not create one
    let parameters = if beside(path, "-wal").exists() { "?mode=ro" } else { "?mode=ro&immutable=1" };
    let look = || -> Result<(BTreeSet<String>, Vec<String>), String> {
        let mut connection = connect(path, parameters)?;
        let tables = diesel::sql_query("SELECT name FROM sqlite_master WHERE type = 'table'")
            .load::<Name>(&mut connection)
            .map_err(|error| error.to_string())?;
        let tables: BTreeSet<String> = tables.into_iter().map(|table| table.name).collect();
        let applied = if tables.contains("__diesel_schema_migrations") {
            connection.applied_migrations().map_err(|error| error.to_string())?
        } else {
            Vec::new()
        };
        Ok((tables, applied.into_iter().map(|version| version.to_string()).collect()))
    };
    let (tables, applied) = look().map_err(|reason| in_words(path, reason))?;
    if !tables.is_empty() && !tables.contains("__diesel_schema_migrations") {
        return Err(OpenError::NotADatabase { path: path.to_owned(), reason: "it belongs to another program".into() });
    }
    let known = known_migrations().map_err(|reason| in_words(path, reason))?;
    match applied.into_iter().find(|step| !known.contains(step)) {
        Some(step) => Err(OpenError::Newer { path: path.to_owned(), step }),
        None => Ok(()),
    }
}

fn known_migrations() -> Result<BTreeSet<String>, String> {
    let migrations: Vec<Box<dyn Migration<Sqlite>>> = MIGRATIONS.migrations().map_err(|error| error.to_string())?;
    Ok(migrations.iter().map(|migration| migration.name().version().to_string()).collect())
}

fn connect(path: &Path, parameters: &str) -> Result<SqliteConnection, String> {
    SqliteConnection::establish(&format!("{}{parameters}", uri(path))).map_err(|error| error.to_string())
}

/// A `file:` URI, so that a path with a question mark, or one that is no text, is opened as it is (sqlite.org/uri.html).
fn uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => uri.push(char::from(*byte)),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

/// SQLite's words (sqlite3_errstr) are all that diesel hands on.
fn in_words(path: &Path, reason: String) -> OpenError {
    let path = path.to_owned();
    if is_full(&path, &reason) {
        OpenError::Full { path }
    } else if reason.contains("file is not a database") {
        OpenError::NotADatabase { path, reason }
    } else if reason.contains("malformed") {
        OpenError::Damaged { path }
    } else if reason.contains("readonly database") || reason.contains("unable to open database file") {
        let dir = path.parent().unwrap_or(&path).to_owned();
        OpenError::Directory { dir, reason: format!("its database can't be written to ({reason})") }
    } else {
        OpenError::Broken { path, reason }
    }
}

/// Where SQLite can't make its shared memory larger it says no more than `disk I/O error`.
const TOO_LITTLE: u64 = 64 * 1024;

/// Whether an error's reason is that the disk is full.
pub(super) fn is_full(path: &Path, reason: &str) -> bool {
    let space_left = || {
        let disk = nix::sys::statvfs::statvfs(path).ok()?;
        Some(disk.blocks_available() as u64 * disk.fragment_size() as u64)
    };
    reason.contains("database or disk is full")
        || (reason.contains("disk I/O error") && space_left().is_some_and(|bytes| bytes < TOO_LITTLE))
}
