//! How far a review is, on standard error: bars on a terminal, plain lines elsewhere.

use tokio::sync::broadcast;

use crate::actors::events::Event;
use crate::domain::ReviewId;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Bars,
    Lines,
    Quiet,
}

impl Style {
    /// Bars where standard error is a terminal that can show them.
    pub fn for_stderr(quiet: bool) -> Self {
        todo!()
    }
}

/// Shows the events of one review until it is finished or dropped.
pub struct Progress {}

impl Progress {
    pub fn start(events: broadcast::Receiver<Event>, review: ReviewId, style: Style) -> Self {
        todo!()
    }

    /// Shows what has arrived, then clears the bars: call it before the report is printed.
    pub async fn finish(self) {
        todo!()
    }
}
