//! Watching the references of a repository.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};

/// A push writes many files; the hint comes when it has been quiet for so long …
const QUIET: Duration = Duration::from_millis(60);
/// … but no later than this after the first change.
const PATIENCE: Duration = Duration::from_secs(1);

struct Watch {
    /// `None` where the system gives us no watch; then the timer alone finds changes.
    _watcher: Option<RecommendedWatcher>,
    /// Holds at most one hint: more say nothing more.
    hints: mpsc::Receiver<()>,
    /// Keeps the channel open where there is no watcher.
    _open: mpsc::Sender<()>,
    timer: Interval,
}

/// Hints for the repository whose references lie in `common_dir`, one of them `every` so often without a reason: some file systems
/// report nothing, and watches are a limited resource. The watch stands when this returns.
pub(super) fn hints(common_dir: &Path, every: Duration) -> BoxStream<'static, ()> {
    let (sender, hints) = mpsc::channel(1);
    let watcher = match start(common_dir, sender.clone()) {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            tracing::warn!(repository = %common_dir.display(), %error, "cannot watch the repository; it is read every {every:?}");
            None
        }
    };
    let mut timer = interval_at(Instant::now() + every, every);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let watch = Watch { _watcher: watcher, hints, _open: sender, timer };
    stream::unfold(watch, |mut watch| async move {
        tokio::select! {
            _ = watch.timer.tick() => {}
            _ = watch.hints.recv() => watch.settle().await,
        }
        Some(((), watch))
    })
    .boxed()
}

impl Watch {
    async fn settle(&mut self) {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end && timeout(QUIET, self.hints.recv()).await.is_ok() {}
    }
}

fn start(common_dir: &Path, sender: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let root: PathBuf = common_dir.to_owned();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let hint = match &event {
            Ok(event) => says_something(event, &root),
            // an overflow, say: something was lost
            Err(_) => true,
        };
        if hint {
            // full: a hint is waiting already; closed: nobody listens any more
            sender.try_send(()).ok();
        }
    })?;
    // HEAD and packed-refs are replaced by renaming, so their directory is watched, not they
    watcher.watch(common_dir, RecursiveMode::NonRecursive)?;
    for references in ["refs", "reftable"] {
        let dir = common_dir.join(references);
        if dir.is_dir() {
            watcher.watch(&dir, RecursiveMode::Recursive)?;
        }
    }
    Ok(watcher)
}

fn says_something(event: &notify::Event, root: &Path) -> bool {
    if event.need_rescan() {
        return true;
    }
    match event.kind {
        // our own reading must not be a reason to read again
        EventKind::Access(_) => false,
        EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Other => {
            event.paths.iter().any(|path| is_reference(path, root))
        }
    }
}

/// Whether a change at `path` can move a branch. A lock file is a change that has not happened yet.
fn is_reference(path: &Path, root: &Path) -> bool {
    if path.extension().is_some_and(|extension| extension == "lock") {
        return false;
    }
    let Ok(path) = path.strip_prefix(root) else { return false };
    path.starts_with("refs") || path.starts_with("reftable") || path == Path::new("packed-refs") || path == Path::new("HEAD")
}
