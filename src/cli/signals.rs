//! The signals that end a command.

use tokio::signal::unix::{SignalKind, signal};

/// Completes at the first Ctrl-C, or SIGTERM, or when the terminal hangs up. After that the signals act as if nobody listened, so
/// that a second Ctrl-C ends at once.
pub async fn asked_to_end() -> std::io::Result<()> {
    let (mut interrupt, mut terminate, mut hangup) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    tokio::task::spawn(async move {
        interrupt.recv().await;
        // the shell's way of reporting an interrupt
        std::process::exit(130);
    });
    Ok(())
}
