//! Pages that take long to make: so many are made at once, some more wait, and whoever comes then is told to come again. Anybody may ask
//! for them, and there are few threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::fault::Fault;

/// Made at once.
const PLACES: usize = 3;
/// Visitors who wait for a place.
const WAITING: usize = 30;
/// A browser's visitor has gone by then.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Costly {
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// Held while the page is made; also by the thread that makes it, since a visitor who goes does not stop that.
pub type Place = OwnedSemaphorePermit;

impl Default for Costly {
    fn default() -> Self {
        Self::with(PLACES)
    }
}

/// One visitor, who may go at any moment.
struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Costly {
    /// For so many at once.
    pub fn with(places: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), waiting: AtomicUsize::new(0) }
    }

    pub async fn place(&self) -> Result<Place, Fault> {
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return Ok(place);
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waits = Waits(&self.waiting);
        if before >= WAITING {
            return Err(Fault::busy());
        }
        match tokio::time::timeout(PATIENCE, self.places.clone().acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(closed)) => Err(Fault::internal(closed)),
            Err(_) => Err(Fault::busy()),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::join_all;

    use super::*;

    #[actix_web::test]
    async fn whoever_comes_when_enough_wait_is_told_to_come_again() {
        let costly = Costly::default();
        let held = join_all((0..PLACES).map(|_| costly.place())).await;
        let mut waiting: Vec<_> = (0..WAITING).map(|_| Box::pin(costly.place())).collect();
        assert!(waiting.iter_mut().all(|place| place.now_or_never().is_none()));
        assert_eq!(costly.place().await.unwrap_err(), Fault::busy());
        // who went is not counted any more
        waiting.pop();
        let mut next = Box::pin(costly.place());
        assert!((&mut next).now_or_never().is_none());
        drop(held);
        assert!(waiting.remove(0).await.is_ok());
    }
}
