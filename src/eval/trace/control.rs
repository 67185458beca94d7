//! What a recording is told while it runs.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    #[default]
    Go,
    /// Its processes wait, without a place, until the order changes. They keep their memory.
    Pause,
    /// It ends; what is recorded so far is handed out.
    Stop,
}

/// Asked between two groups, some milliseconds of work each.
pub trait Control: Send + Sync {
    fn order(&self) -> Order;
    /// Waits until the order is another.
    fn changed(&self) -> BoxFuture<'_, ()>;
}

/// Who holds the sender gives the orders. Without one, the last order stands; a pause then is a stop.
impl Control for watch::Receiver<Order> {
    fn order(&self) -> Order {
        match (*self.borrow(), self.has_changed()) {
            (Order::Pause, Err(_)) => Order::Stop,
            (order, _) => order,
        }
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        let mut receiver = self.clone();
        async move {
            let now = *receiver.borrow_and_update();
            // the sender is gone: see `order`
            receiver.wait_for(|order| *order != now).await.map(drop).unwrap_or(());
        }
        .boxed()
    }
}

/// Nobody stops it.
pub struct Always;

impl Control for Always {
    fn order(&self) -> Order {
        Order::Go
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        std::future::pending().boxed()
    }
}
