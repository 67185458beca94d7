//! One conversation with a daemon.

use super::{BuildResult, ClientSettings, LogSink, StoreError};
use crate::domain::DrvPath;

/// A connection, fresh after its handshake. A request that fails in the middle of the stream, or whose future is dropped, closes
/// the stream (and ends the daemon, when it is ours, with its builder): a desynchronised connection would poison its next user.
pub struct Connection {
    protocol: u64,
}

impl Connection {
    /// Builds one derivation and all its outputs. What can't be said of the derivation itself (the daemon is gone) is an error.
    pub async fn build(
        &mut self,
        drv: &DrvPath,
        settings: &ClientSettings,
        log: &mut dyn LogSink,
    ) -> Result<BuildResult, StoreError> {
        let _ = (drv, settings, log);
        todo!()
    }

    /// The protocol agreed on: major version times 256 plus the minor one.
    pub fn protocol(&self) -> u64 {
        self.protocol
    }

    pub fn daemon_version(&self) -> Option<&str> {
        todo!()
    }

    /// Whether the daemon takes restricted settings from us; `None` from daemons before Nix 2.15.
    pub fn trusted(&self) -> Option<bool> {
        todo!()
    }
}
