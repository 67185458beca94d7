//! Where builds run: each in a cell, or over connections without one. Both are used again.

use std::cell::RefCell;

use tokio::task::JoinHandle;

use crate::cgroup::{Account, Limits};
use crate::store::{Cell, Cells, ClientSettings, Connection, Store, StoreError};

/// How a Pool's builds are kept apart.
#[derive(Clone, Default)]
pub struct Quarters {
    /// `None`: they aren't.
    pub cells: Option<Cells>,
    pub limits: Limits,
}

/// Where one build runs.
pub(super) enum Lodging {
    Cell(Cell),
    Shared(Connection),
}

pub(super) struct Lodgings {
    store: Store,
    quarters: Quarters,
    waiting: RefCell<Waiting>,
}

/// What nobody is in.
#[derive(Default)]
struct Waiting {
    /// Being made ready for the next build, or ready.
    lodgings: Vec<JoinHandle<Option<Lodging>>>,
    /// The fewest there were since it was last looked at: so many have not been needed.
    unused: usize,
}

impl Waiting {
    fn take(&mut self) -> Option<JoinHandle<Option<Lodging>>> {
        let lodging = self.lodgings.pop();
        self.unused = self.unused.min(self.lodgings.len());
        lodging
    }
}

impl Lodgings {
    pub fn new(store: Store, quarters: Quarters) -> Self {
        Self { store, quarters, waiting: RefCell::default() }
    }

    pub fn limits(&self) -> &Limits {
        &self.quarters.limits
    }

    /// One for a build with these settings.
    pub async fn enter(&self, settings: &ClientSettings) -> Result<Lodging, StoreError> {
        loop {
            let waiting = self.waiting.borrow_mut().take();
            let Some(waiting) = waiting else { break };
            let Ok(Some(mut ready)) = waiting.await else { continue };
            // the worker may have been restarted meanwhile, and its daemons be gone: one that has to be told something shows it
            if ready.connection().set_options(settings).await.is_ok() {
                return Ok(ready);
            }
        }
        match &self.quarters.cells {
            Some(cells) => cells.open(&self.quarters.limits).await.map(Lodging::Cell),
            None => self.store.connect().await.map(Lodging::Shared),
        }
    }

    /// A build came to its end. What it left behind is ended at once; the next build waits for that, and for nothing longer.
    pub fn leave(&self, lodging: Lodging) {
        let ready = actix::spawn(async move {
            match lodging {
                Lodging::Cell(cell) => cell.renewed().await.map(Lodging::Cell),
                Lodging::Shared(connection) => connection.is_usable().then_some(Lodging::Shared(connection)),
            }
        });
        self.waiting.borrow_mut().lodgings.push(ready);
    }

    /// Closes what has not been needed since the last call.
    pub fn close_unused(&self) {
        let mut waiting = self.waiting.borrow_mut();
        let unused = waiting.unused.min(waiting.lodgings.len());
        // what a task returns to nobody is dropped
        waiting.lodgings.drain(..unused);
        waiting.unused = waiting.lodgings.len();
    }
}

impl Lodging {
    pub fn connection(&mut self) -> &mut Connection {
        match self {
            Lodging::Cell(cell) => &mut cell.connection,
            Lodging::Shared(connection) => connection,
        }
    }

    /// What the build has used, where that is known.
    pub async fn account(&mut self) -> Option<Account> {
        match self {
            Lodging::Cell(cell) => cell.account().await,
            Lodging::Shared(_) => None,
        }
    }
}
