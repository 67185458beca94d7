//! How far a review is, on standard error: bars on a terminal, plain lines elsewhere.

mod board;

use std::io::IsTerminal;

use tokio::sync::{broadcast, oneshot};
use tokio::task::JoinHandle;

use self::board::Board;
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
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        match quiet {
            true => Style::Quiet,
            false if std::io::stderr().is_terminal() && !dumb => Style::Bars,
            false => Style::Lines,
        }
    }
}

/// Shows the events of one review until it is finished or dropped. Must be started within a tokio runtime.
pub struct Progress {
    stop: Option<oneshot::Sender<()>>,
    shown: JoinHandle<()>,
}

impl Progress {
    pub fn start(events: broadcast::Receiver<Event>, review: ReviewId, style: Style) -> Self {
        let (stop, stopped) = oneshot::channel();
        let board = Board::new(review, style);
        Self { stop: Some(stop), shown: tokio::spawn(follow(events, board, stopped)) }
    }

    /// Shows what has arrived, then clears the bars: call it before the report is printed.
    pub async fn finish(mut self) {
        drop(self.stop.take());
        if let Err(error) = (&mut self.shown).await {
            tracing::debug!(%error, "progress ended early");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.shown.abort();
    }
}

async fn follow(mut events: broadcast::Receiver<Event>, mut board: Board, mut stopped: oneshot::Receiver<()>) {
    use broadcast::error::{RecvError, TryRecvError};
    loop {
        tokio::select! {
            biased;
            event = events.recv() => match event {
                Ok(event) => board.show(&event),
                Err(RecvError::Lagged(_)) => {} // events are hints: the next one carries the totals again
                Err(RecvError::Closed) => return,
            },
            _ = &mut stopped => break,
        }
    }
    loop {
        match events.try_recv() {
            Ok(event) => board.show(&event),
            Err(TryRecvError::Lagged(_)) => {}
            Err(TryRecvError::Empty | TryRecvError::Closed) => return,
        }
    }
}
