//! What a fault says: of which machine it is, and the way out.

use crate::actors::scheduler::End;
use crate::store::StoreError;

/// Why an attempt ends before its build did.
pub(super) type Stopped = End;

/// Something went wrong at the builder's end.
pub(super) fn there(name: &str, error: &StoreError) -> Stopped {
    match error {
        StoreError::Refused(message) if is_full(message) => full(name, message),
        StoreError::Refused(message) if is_distrust(message) => distrusted_there(name),
        StoreError::Refused(message) => End::Broke(format!("{name}: {message}")),
        StoreError::Ssh(reason) => End::Unreachable(reason.clone()),
        StoreError::Closed { .. } | StoreError::Broken { .. } => {
            End::Unreachable(format!("the connection to {name} was lost: {error}"))
        }
        StoreError::Unreachable { .. } | StoreError::Protocol { .. } | StoreError::TooOld(_) | StoreError::Abandoned => {
            End::Unreachable(format!("{name}: {error}"))
        }
    }
}

/// Something went wrong at our end, for which no builder is to blame.
pub(super) fn here(error: &StoreError) -> Stopped {
    match error {
        StoreError::Refused(message) if is_distrust(message) => End::Unreachable(
            "the Nix daemon of this machine does not take what the builder built, since it is not signed by a key that it knows: add this \
             user to `trusted-users` in nix.conf; or have the builder sign (`secret-key-files` there, \
             `trusted-public-keys` here)"
                .into(),
        ),
        _ => End::Broke(format!("this machine's store: {error}")),
    }
}

pub(super) fn full(name: &str, message: &str) -> Stopped {
    End::Unreachable(format!("the disk of {name} is full: {message}"))
}

pub(super) fn distrusted_there(name: &str) -> Stopped {
    End::Unreachable(format!(
        "{name} does not trust us, and takes no inputs that are not signed by a key that it knows: add the account that we sign in to \
         to `trusted-users` in nix.conf there"
    ))
}

/// Nix's and the system's words for it.
pub(super) fn is_full(message: &str) -> bool {
    ["No space left on device", "lack of free disk space", "database or disk is full", "Disk quota exceeded"]
        .iter()
        .any(|words| message.contains(words))
}

/// nix, libstore/local-store.cc: `addToStore`.
fn is_distrust(message: &str) -> bool {
    message.contains("lacks a signature by a trusted key") || message.contains("lacks a valid signature")
}

/// nix, libstore/daemon.cc: `BuildDerivation`.
pub(super) fn wants_the_closure(message: &str) -> bool {
    message.contains("not privileged to build input-addressed derivations")
}
