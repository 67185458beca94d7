//! The threads behind [`super::Db`]: one writes, two read and compress. Each owns its connection and is sent closures.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use diesel::connection::SimpleConnection;
use diesel::sqlite::SqliteConnection;
use tokio::sync::{oneshot, watch};

use super::lock::Lock;
use super::{DbError, OpenError, open};
use crate::config::StateDir;

/// Why a closure did not succeed, before it is put in words.
#[derive(Debug)]
pub(super) enum Fault {
    Sql(diesel::result::Error),
    Known(DbError),
    Panic,
}

impl From<diesel::result::Error> for Fault {
    fn from(error: diesel::result::Error) -> Self {
        Fault::Sql(error)
    }
}

impl From<DbError> for Fault {
    fn from(error: DbError) -> Self {
        Fault::Known(error)
    }
}

impl Fault {
    fn in_words(self, path: &Path) -> DbError {
        match self {
            Fault::Sql(error) => {
                let reason = error.to_string();
                if open::is_full(path, &reason) {
                    DbError::Full(path.to_owned())
                } else {
                    DbError::Failed { path: path.to_owned(), reason }
                }
            }
            Fault::Known(error) => error,
            Fault::Panic => DbError::Failed { path: path.to_owned(), reason: "a query panicked; its log line says where".into() },
        }
    }
}

/// A closure on its way to the writer. It may be run twice: once with others in one transaction, and alone if one of them failed.
trait Write: Send {
    fn run(&mut self, connection: &mut SqliteConnection) -> Result<(), Fault>;
    /// After the commit, or instead of it.
    fn answer(self: Box<Self>, committed: Result<(), DbError>);
}

struct Awaited<T, F> {
    work: F,
    value: Option<T>,
    reply: oneshot::Sender<Result<T, DbError>>,
}

impl<T: Send, F: FnMut(&mut SqliteConnection) -> Result<T, Fault> + Send> Write for Awaited<T, F> {
    fn run(&mut self, connection: &mut SqliteConnection) -> Result<(), Fault> {
        self.value = Some((self.work)(connection)?);
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), DbError>) {
        let Awaited { value, reply, .. } = *self;
        // a caller that went away needs no answer
        drop(reply.send(committed.and_then(|()| value.ok_or(DbError::Closed))));
    }
}

struct Posted<F> {
    what: &'static str,
    work: F,
}

impl<F: FnMut(&mut SqliteConnection) -> Result<(), Fault> + Send> Write for Posted<F> {
    fn run(&mut self, connection: &mut SqliteConnection) -> Result<(), Fault> {
        (self.work)(connection)
    }

    fn answer(self: Box<Self>, committed: Result<(), DbError>) {
        if let Err(error) = committed {
            tracing::error!("{} was not stored: {error}", self.what);
        }
    }
}

type Read = Box<dyn FnOnce(&mut SqliteConnection) + Send>;

struct Senders {
    writer: Sender<Box<dyn Write>>,
    readers: Sender<Read>,
}

pub(super) struct Threads {
    path: PathBuf,
    /// `None` once closed.
    senders: Mutex<Option<Senders>>,
    writer: Option<JoinHandle<()>>,
    /// Transactions that were written.
    written: Arc<AtomicU64>,
    /// Its sender goes when the file is closed and the lock released.
    closed: watch::Receiver<()>,
}

const READERS: usize = 2;
/// Of one transaction: so that the first of many waits for milliseconds, not for all of them.
const BATCH: usize = 512;

impl Threads {
    pub(super) fn start(state: &StateDir) -> Result<Self, OpenError> {
        open::create_directory(state)?;
        let lock = Lock::take(state)?;
        let path = state.db();
        let broken = |error: std::io::Error| OpenError::Broken { path: state.db(), reason: error.to_string() };
        let connection = open::writer(&path)?;
        let (readers_in, readers_out) = channel::<Read>();
        let readers_out = Arc::new(Mutex::new(readers_out));
        let mut readers = Vec::new();
        for number in 0..READERS {
            let connection = open::reader(&path)?;
            let work = readers_out.clone();
            let thread = std::thread::Builder::new().name(format!("db-read-{number}")).spawn(move || read(connection, &work));
            readers.push(thread.map_err(broken)?);
        }
        let (writer_in, writer_out) = channel();
        let (closing, closed) = watch::channel(());
        let file = path.clone();
        let written = Arc::new(AtomicU64::new(0));
        let count = written.clone();
        let writer = std::thread::Builder::new().name("db-write".into()).spawn(move || {
            write(connection, &file, &writer_out, readers, &count);
            // in this order: whoever waits for the end may take the lock
            drop(lock);
            drop(closing);
        });
        Ok(Self {
            path,
            senders: Mutex::new(Some(Senders { writer: writer_in, readers: readers_in })),
            writer: Some(writer.map_err(broken)?),
            written,
            closed,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    fn senders(&self) -> std::sync::MutexGuard<'_, Option<Senders>> {
        // nothing is left half-done under this mutex
        self.senders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, write: Box<dyn Write>) {
        let refused = match self.senders().as_ref() {
            Some(senders) => senders.writer.send(write).err().map(|error| error.0),
            None => Some(write),
        };
        if let Some(write) = refused {
            write.answer(Err(DbError::Closed));
        }
    }

    /// Runs the closure in a transaction; the answer comes after the commit.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut SqliteConnection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, DbError> {
        let (reply, answer) = oneshot::channel();
        self.send(Box::new(Awaited { work, value: None, reply }));
        answer.await.unwrap_or(Err(DbError::Closed))
    }

    /// Queues the closure; a failure is logged as "`what` was not stored".
    pub(super) fn post(&self, what: &'static str, work: impl FnMut(&mut SqliteConnection) -> Result<(), Fault> + Send + 'static) {
        self.send(Box::new(Posted { what, work }));
    }

    /// Runs the closure on a reading thread, in one snapshot of the database.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut SqliteConnection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, DbError> {
        let (reply, answer) = oneshot::channel();
        let path = self.path.clone();
        let read: Read = Box::new(move |connection| {
            // whoever asked has gone meanwhile, and others wait
            if reply.is_closed() {
                return;
            }
            let value = in_snapshot(connection, work).map_err(|fault| fault.in_words(&path));
            // a caller that went away needs no answer
            drop(reply.send(value));
        });
        match self.senders().as_ref() {
            // a closure that is not taken drops its reply, which is the answer
            Some(senders) => drop(senders.readers.send(read)),
            None => drop(read),
        }
        answer.await.unwrap_or(Err(DbError::Closed))
    }

    pub(super) async fn close(&self) {
        self.senders().take();
        let mut closed = self.closed.clone();
        while closed.changed().await.is_ok() {}
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.senders().take();
        if let Some(Err(_)) = self.writer.take().map(JoinHandle::join) {
            tracing::error!("the thread that writes the database panicked");
        }
    }
}

/// A panic in one query must not take the thread, and with it the database, from everybody else.
fn guarded<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(Fault::Panic))
}

fn read(mut connection: SqliteConnection, work: &Mutex<Receiver<Read>>) {
    loop {
        let next = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Ok(work) => work(&mut connection),
            Err(_) => return,
        }
    }
}

fn in_snapshot<T>(
    connection: &mut SqliteConnection,
    work: impl FnOnce(&mut SqliteConnection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    connection.batch_execute("BEGIN")?;
    let value = guarded(|| work(connection));
    end(connection, "COMMIT");
    value
}

fn write(
    mut connection: SqliteConnection,
    path: &Path,
    work: &Receiver<Box<dyn Write>>,
    readers: Vec<JoinHandle<()>>,
    written: &AtomicU64,
) {
    while let Ok(first) = work.recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH {
            match work.try_recv() {
                Ok(next) => batch.push(next),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        commit(&mut connection, path, batch, written);
    }
    for reader in readers {
        if reader.join().is_err() {
            tracing::error!("a thread that reads the database panicked");
        }
    }
    // the last connection to close writes the log back into the file
}

/// All in one transaction. If that fails, each alone, so that a fault is its owner's only.
fn commit(connection: &mut SqliteConnection, path: &Path, mut batch: Vec<Box<dyn Write>>, written: &AtomicU64) {
    match transaction(connection, &mut batch) {
        Ok(()) => {
            // before anybody hears of it: who then reads what was kept of before would not find what he wrote
            written.fetch_add(1, Ordering::Release);
            batch.into_iter().for_each(|write| write.answer(Ok(())));
        }
        Err(fault) if batch.len() == 1 => {
            let error = fault.in_words(path);
            batch.into_iter().for_each(|write| write.answer(Err(error.clone())));
        }
        Err(_) => batch.into_iter().for_each(|write| commit(connection, path, vec![write], written)),
    }
}

fn transaction(connection: &mut SqliteConnection, batch: &mut [Box<dyn Write>]) -> Result<(), Fault> {
    connection.batch_execute("BEGIN IMMEDIATE")?;
    let done = batch
        .iter_mut()
        .try_for_each(|write| guarded(|| write.run(connection)))
        .and_then(|()| Ok(connection.batch_execute("COMMIT")?));
    if done.is_err() {
        end(connection, "ROLLBACK");
    }
    done
}

/// Ends a transaction that SQLite may have ended by itself, as it does on a full disk.
fn end(connection: &mut SqliteConnection, how: &str) {
    if let Err(error) = connection.batch_execute(how) {
        tracing::debug!("{how}: {error}");
    }
}
