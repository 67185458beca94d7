//! `snowgate log DRV_OR_ATTR`: a captured build log.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use futures_util::StreamExt;

use super::{Status, complain};
use crate::config::StateDir;
use crate::db::Db;
use crate::domain::{AttrPath, DrvPath};
use crate::review::report::Report;
use crate::store::logs::{LogRange, Logs, Until};

#[derive(Args)]
pub struct Arguments {
    /// A derivation (its path, or HASH-NAME.drv), or an attribute of the latest review.
    what: String,
    /// Where the state lives.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

pub fn main(arguments: &Arguments) -> ExitCode {
    let printed = actix::System::new().block_on(print(arguments));
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => complain(Status::NotCompleted, sentence),
    }
}

async fn print(arguments: &Arguments) -> Result<(), String> {
    let state = arguments.state.clone().map(StateDir::new).or_else(StateDir::default_for_user);
    let state = state.ok_or("there is no state directory: set HOME, or name one with --state")?;
    let logs = Logs::open(state.logs()).map_err(|error| error.to_string())?;
    let name = match derivation(&arguments.what) {
        Some(name) => name,
        None => of_attribute(&arguments.what, &state).await?,
    };
    let unreadable = |error: std::io::Error| format!("the log of {name} can't be read: {error}");
    let log = logs.place(&name, None, LogRange::All).await.map_err(unreadable)?;
    let log = log.ok_or_else(|| format!("there is no log of {name} in {}: it was not built here", state.root().display()))?;
    let attempt = log.attempt.to_string();
    let mut text = Box::pin(logs.follow(&name, Some(&attempt), 0, Until::Offset(log.length)));
    let mut out = std::io::stdout().lock();
    while let Some(chunk) = text.next().await {
        match out.write_all(&chunk.map_err(unreadable)?.bytes) {
            Ok(()) => {}
            // `snowgate log … | head`
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => return Err(error.to_string()),
        }
    }
    out.flush().map_err(|error| error.to_string())
}

/// The base name, where the text names a derivation.
fn derivation(what: &str) -> Option<String> {
    let path = if what.starts_with('/') { what.to_owned() } else { format!("/nix/store/{what}") };
    path.parse::<DrvPath>().ok().map(|drv| drv.base_name().to_owned())
}

/// The log that tells most about an attribute: of what made it fail on head, else its own.
async fn of_attribute(what: &str, state: &StateDir) -> Result<String, String> {
    let attr: AttrPath = what.parse().map_err(|error| format!("{error}"))?;
    let db = Db::open(state).map_err(|error| error.to_string())?;
    for row in db.latest_reviews(1000).await.map_err(|error| error.to_string())? {
        let report = db.report(&row.id).await.map_err(|error| error.to_string())?;
        if let Some(drv) = report.as_ref().and_then(|report| in_report(report, &attr)) {
            return Ok(drv);
        }
    }
    Err(format!("no review in {} changed the attribute {attr}; `snowgate log` takes a derivation too", state.root().display()))
}

fn in_report(report: &Report, attr: &AttrPath) -> Option<String> {
    let change = report.changes.iter().find(|change| change.attr == *attr || change.aliases.contains(attr))?;
    let side = change.head.as_ref().or(change.base.as_ref())?;
    Some(side.root_cause.as_ref().unwrap_or(&side.drv).base_name().to_owned())
}
