//! Whether Nix takes a text for a file of its language. Of a file that it does not take, a variable that nothing binds being enough,
//! it reads no part at all; no other parser knows for certain.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use super::confine;
use super::evaluator::Evaluator;
use super::launch::StoreView;

/// A file of twenty thousand lines takes a tenth of a second.
const PATIENCE: Duration = Duration::from_secs(20);

impl Evaluator {
    /// By Nix itself, behind the same walls as an evaluation; `options` as in a [`Request`](super::Request). A doubt is a no.
    pub async fn takes(&self, text: &[u8], options: &BTreeMap<String, String>) -> bool {
        match timeout(PATIENCE, self.parses(text, options)).await {
            Ok(Ok(parses)) => parses,
            Ok(Err(error)) => {
                tracing::warn!("whether Nix takes a file is not known: {error:#}");
                false
            }
            Err(_) => false,
        }
    }

    async fn parses(&self, text: &[u8], options: &BTreeMap<String, String>) -> anyhow::Result<bool> {
        let mut spec = self.spec(&StoreView::Memory, false, Vec::new());
        spec.program = self.nix.with_file_name("nix-instantiate");
        spec.arguments = ["--parse", "--store", "dummy://"].map(str::to_owned).to_vec();
        let ours = [("experimental-features", "nix-command flakes"), ("restrict-eval", "true")];
        let theirs = options.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in ours.into_iter().chain(theirs) {
            spec.arguments.extend(["--option", name, value].map(str::to_owned));
        }
        spec.arguments.push("-".to_owned());
        let mut child = Command::from(confine::command(&self.snowgate, &spec)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // one that ended before it read everything says so by its status
            if let Err(error) = stdin.write_all(text).await {
                tracing::debug!("Nix did not read a file to its end: {error}");
                return Ok(false);
            }
        }
        Ok(child.wait().await?.success())
    }
}
