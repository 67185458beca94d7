//! `snowgate demo`: the sample repository, served with its reviews under way.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::serve::{self, Fault};
use super::{demo_sample, start_tracing};
use crate::config::StateDir;
use crate::config::server::{Repository, Settings};
use crate::domain::RepositoryName;

#[derive(Args)]
pub struct Arguments {
    /// Address and port of the pages; by default 127.0.0.1:7669.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Where the sample and its state live; by default $XDG_STATE_HOME/snowgate-demo. Kept, so that the next start is quick.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// A Nix setting.
    #[arg(long, value_names = ["NAME", "VALUE"], num_args = 2, action = clap::ArgAction::Append)]
    option: Vec<String>,
}

pub fn main(arguments: Arguments) -> ExitCode {
    start_tracing("warn");
    match actix::System::new().block_on(demo(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => fault.complain(),
    }
}

async fn demo(arguments: &Arguments) -> Result<(), Fault> {
    let directory = match &arguments.state {
        Some(directory) => std::path::absolute(directory).map_err(Fault::house)?,
        None => StateDir::default_for_user()
            .map(|state| state.root().with_file_name("snowgate-demo"))
            .ok_or_else(|| Fault::Configuration("there is no state directory: set HOME, or name one with --state".into()))?,
    };
    let sample = directory.join("fjell");
    if !sample.join(".git/HEAD").exists() {
        demo_sample::write(&sample).await.map_err(|error| Fault::house(format!("{error:#}")))?;
    }
    let mut settings = Settings::default();
    if let Some(listen) = arguments.listen {
        settings.listen = listen;
    }
    settings.state_dir = Some(directory.join("state"));
    settings.eval.accept_unconfined = true;
    settings.build.options = arguments.option.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    settings.repositories =
        vec![Repository { name: RepositoryName::new("demo/fjell"), path: sample.clone(), base_branch: Some("main".into()) }];
    serve::serve(&settings, None, |url| {
        println!("Snowgate serves its sample repository at {url}");
        println!("It has four open changes, which are being reviewed now. Push to it and watch: {}", sample.display());
        println!("Ctrl-C ends it.");
    })
    .await
}
