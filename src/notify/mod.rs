//! What leaves the house for a forge. It is worked out from the database when it is sent, by the Outbox in `actors/`, so that what arrives is
//! the newest state of things, after whatever outage. Here is what is said; how it is sent, `forge/` knows. The local forge wants to be
//! told nothing.

pub mod check;
pub mod labels;
