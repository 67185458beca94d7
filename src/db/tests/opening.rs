use std::os::unix::fs::PermissionsExt;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;

use super::*;
use crate::db::{OpenError, open};

fn raw(house: &House) -> SqliteConnection {
    SqliteConnection::establish(house.state.db().to_str().unwrap()).unwrap()
}

/// Everything in the directory, by name: that a refusal changed nothing.
fn contents(house: &House) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(house.state.root())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| *path != house.state.lock())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

fn refusal(house: &House) -> String {
    let before = contents(house);
    let error = Db::open(&house.state).err().unwrap().to_string();
    assert!(contents(house) == before, "a refusal changed something");
    assert!(!error.contains('\n'), "{error}");
    error
}

#[test]
fn a_fresh_directory_is_private_and_in_order() {
    let house = House::new();
    drop(house.open());
    assert_eq!(std::fs::metadata(house.state.root()).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(std::fs::metadata(house.state.db()).unwrap().permissions().mode() & 0o777, 0o600);
    #[derive(diesel::QueryableByName)]
    struct Text {
        #[diesel(sql_type = diesel::sql_types::Text)]
        value: String,
    }
    let pragma = |name: &str| {
        let query = format!("SELECT CAST({name} AS TEXT) AS value FROM pragma_{name}()");
        diesel::sql_query(query).get_result::<Text>(&mut raw(&house)).unwrap().value
    };
    assert_eq!(pragma("journal_mode"), "wal");
    assert_eq!(pragma("integrity_check"), "ok");
    // closed in good order: nothing is left in the log
    assert!(!house.state.root().join("snowgate.sqlite-wal").exists());
}

#[test]
fn the_migrations_can_be_undone_and_done_again() {
    use diesel_migrations::MigrationHarness;
    let house = House::new();
    drop(house.open());
    raw(&house).revert_all_migrations(open::MIGRATIONS).unwrap();
    drop(house.open());
}

#[test]
fn a_second_one_is_told_who_was_first() {
    let house = House::new();
    let first = house.open();
    let error = Db::open(&house.state).err().unwrap();
    assert!(matches!(error, OpenError::InUse { .. }));
    let sentence = error.to_string();
    assert!(sentence.contains(&format!("pid {}: ", std::process::id())), "{sentence}");
    assert!(sentence.contains(house.state.root().to_str().unwrap()), "{sentence}");
    drop(first);
    drop(house.open());
}

#[actix::test]
async fn closing_lets_the_next_one_in_while_handles_remain() {
    let house = House::new();
    let first = house.open();
    let handle = first.clone();
    first.close().await;
    assert!(matches!(handle.outcomes(&[]).await, Err(crate::db::DbError::Closed)));
    assert!(matches!(handle.flush().await, Err(crate::db::DbError::Closed)));
    handle.post_outcome(&drv(1), crate::domain::Outcome::Failed, None, crate::db::DEFAULT_REMEMBER);
    drop(house.open());
}

#[test]
fn a_newer_version_is_refused_before_anything_is_written() {
    let house = House::new();
    drop(house.open());
    raw(&house).batch_execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('29991231235959')").unwrap();
    let error = refusal(&house);
    assert!(error.contains("written by a newer snowgate (it has the schema step 29991231235959"), "{error}");
}

#[test]
fn a_newer_version_that_was_killed_is_refused_too() {
    let house = House::new();
    drop(house.open());
    // what a kill leaves: the step is in the log only, not in the file
    let mut newer = raw(&house);
    newer
        .batch_execute("PRAGMA wal_autocheckpoint = 0; INSERT INTO __diesel_schema_migrations (version) VALUES ('2999')")
        .unwrap();
    let copy = House::new();
    std::fs::create_dir(copy.state.root()).unwrap();
    for name in ["snowgate.sqlite", "snowgate.sqlite-wal"] {
        std::fs::copy(house.state.root().join(name), copy.state.root().join(name)).unwrap();
    }
    let database = std::fs::read(copy.state.db()).unwrap();
    let error = Db::open(&copy.state).err().unwrap();
    assert!(matches!(error, OpenError::Newer { .. }), "{error}");
    assert!(std::fs::read(copy.state.db()).unwrap() == database);
}

#[test]
fn what_is_no_database_is_left_alone() {
    let house = House::new();
    std::fs::create_dir(house.state.root()).unwrap();
    std::fs::write(house.state.db(), "Dear diary, this is no database at all.\n".repeat(100)).unwrap();
    assert!(refusal(&house).contains("is not a snowgate database (file is not a database); move it away"));
}

#[test]
fn another_programs_database_is_left_alone() {
    let house = House::new();
    std::fs::create_dir(house.state.root()).unwrap();
    raw(&house).batch_execute("CREATE TABLE bookmarks (url TEXT)").unwrap();
    assert!(refusal(&house).contains("is not a snowgate database (it belongs to another program)"));
}

#[test]
fn a_damaged_database_is_left_alone() {
    let house = House::new();
    drop(house.open());
    let mut bytes = std::fs::read(house.state.db()).unwrap();
    // the head of the file still says that it is a database
    bytes[100..].fill(0x5a);
    std::fs::write(house.state.db(), bytes).unwrap();
    let error = refusal(&house);
    assert!(error.contains("is damaged; move it away to begin afresh"), "{error}");
}

#[test]
fn an_empty_file_is_a_start_that_was_killed() {
    let house = House::new();
    std::fs::create_dir(house.state.root()).unwrap();
    std::fs::write(house.state.db(), "").unwrap();
    drop(house.open());
}

#[test]
fn a_directory_that_cannot_be_is_one_sentence() {
    let house = House::new();
    std::fs::write(house.state.root(), "a file").unwrap();
    let error = Db::open(&house.state).err().unwrap().to_string();
    assert!(error.contains("can't be used: it is a file; name a writable one with --state"), "{error}");
    let below = StateDir::new(house.state.root().join("below"));
    let error = Db::open(&below).err().unwrap().to_string();
    assert!(error.contains("can't be used: it can't be created: "), "{error}");
}

#[test]
fn odd_names_of_directories_are_opened_as_they_are() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let house = House::new();
    for name in [&b"a b?mode=memory#x%20"[..], b"not\xfftext"] {
        let state = StateDir::new(house.directory.path().join(OsStr::from_bytes(name)));
        drop(Db::open(&state).unwrap());
        assert!(state.db().is_file());
    }
}

#[test]
fn a_lock_that_outlives_its_holder_for_a_moment_is_waited_for() {
    let house = House::new();
    drop(house.open());
    // as a process that was killed leaves it to the one it was starting
    std::fs::write(house.state.lock(), format!("pid {}: snowgate serve\n", u32::MAX)).unwrap();
    let mut heir = std::process::Command::new("flock").arg(house.state.lock()).args(["sleep", "0.3"]).spawn().unwrap();
    let file = std::fs::File::open(house.state.lock()).unwrap();
    while file.try_lock().is_ok() {
        file.unlock().unwrap();
        assert!(heir.try_wait().unwrap().is_none(), "it held the lock too shortly to be seen");
    }
    drop(file);
    let begun = std::time::Instant::now();
    drop(house.open());
    assert!(begun.elapsed() < std::time::Duration::from_secs(5));
    heir.wait().unwrap();
}
