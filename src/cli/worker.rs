//! `snowgate worker`: the privileged half. Starts builds for a `serve` that may not, and does nothing else.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::{Status, complain, signals, start_tracing};
use crate::config::Settings;
use crate::config::server::WORKER_SOCKET;
use crate::store::worker::{Admitted, Listening, Served, Serving, Socket};
use crate::store::{ClientSettings, Nix, last_daemon_ended};

#[derive(Args)]
pub struct Arguments {
    /// The socket to listen at; by default the one that `build.worker` names, else /run/snowgate/worker.sock. A socket that the
    /// service manager passes comes before it.
    #[arg(long, value_name = "SOCKET")]
    listen: Option<PathBuf>,
    /// The configuration, the same as the server's.
    #[arg(long, value_name = "FILE", default_value = CONFIGURATION)]
    config: PathBuf,
}

const CONFIGURATION: &str = "/etc/snowgate/config.toml";

/// Daemons that don't end when they are asked to are killed after five seconds.
const LAST_DAEMON: Duration = Duration::from_secs(10);

pub fn main(arguments: Arguments) -> ExitCode {
    // the usual file need not be there: its defaults are good
    let settings = match arguments.config.exists() || arguments.config.as_os_str() != CONFIGURATION {
        true => Settings::load(&arguments.config),
        false => Ok(Settings::default()),
    };
    let settings = match settings {
        Ok(settings) => settings,
        Err(error) => return complain(Status::Usage, error),
    };
    start_tracing(&settings.log.filter);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(Status::NotCompleted, error),
    };
    let worked = runtime.block_on(work(&settings, &arguments));
    if !last_daemon_ended(LAST_DAEMON) {
        tracing::warn!("a Nix daemon has not ended; it is left to the system");
    }
    match worked {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(Status::NotCompleted, error),
    }
}

async fn work(settings: &Settings, arguments: &Arguments) -> anyhow::Result<()> {
    let admitted = Admitted::of(settings.worker.users.as_deref(), settings.worker.group.as_deref())?;
    let nix = Nix::discover(&settings.build.options)?;
    let socket = Socket {
        path: arguments.listen.clone().or_else(|| settings.build.worker.clone()).unwrap_or_else(|| WORKER_SOCKET.into()),
        mode: settings.worker.mode_bits().unwrap_or(0o600),
        group: admitted.group(),
    };
    let serving = Serving { admitted, most: settings.worker.most(), daemons: settings.worker.daemons as usize };
    let daemons = ClientSettings {
        max_log_bytes: Some(settings.build.max_log_bytes()),
        overrides: settings.build.options.clone(),
        ..ClientSettings::default()
    };
    let served = Served::open(&nix, &daemons, serving).await?;
    let listening = Listening::open(&socket)?;
    // polled once: from here on the signals are listened to, and whoever reads that we serve may send one
    let mut asked = std::pin::pin!(signals::asked_to_end());
    tokio::select! {
        biased;
        asked = &mut asked => return Ok(asked?),
        () = std::future::ready(()) => {}
    }
    tracing::info!("serving at {}", listening.place);
    let listener = listening.listener()?;
    let serves = served.clone();
    // it ends with the process: nothing wakes who waits for a client
    std::thread::Builder::new().name("worker".into()).spawn(move || serves.serve(&listener))?;
    asked.await?;
    tracing::info!("asked to end; what is being built is stopped, and built again later");
    served.close();
    Ok(())
}
