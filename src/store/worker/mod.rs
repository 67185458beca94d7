//! The privileged half: a small service of root that starts a Nix daemon in a control group, on a stream that its client brings, and
//! says what that has used. It does nothing else: the client names limits, never a program, a store or a setting, and the
//! daemon does not trust it.
//!
//! The client sends one line of JSON with the daemon's end of a stream beside it. `"started"` answers; after that each line
//! `"account"` is answered with what has been used, and `"renew"` moves the daemon to a fresh group for the next build. Closing the
//! connection ends everything in the group.

mod client;
mod peers;
mod protocol;
mod server;
mod socket;

pub(super) use client::{Control, Worker};
pub use peers::{Admitted, NoSuchName};
pub use server::{CannotWork, Served, Serving};
pub use socket::{Listening, Socket, SocketFault};
