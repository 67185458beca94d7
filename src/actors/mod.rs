//! The actor of each room and the supervisor that starts, restarts and stops them. Each actor is the only owner of its state;
//! mailboxes are bounded; nothing blocks an arbiter. A crash restarts that actor alone, from the database.

pub mod builders;
pub mod changes;
pub mod clerk;
pub mod config;
pub mod evaluator;
pub mod events;
pub mod house;
pub mod intake;
pub mod open;
pub mod outbox;
pub mod pool;
pub mod post;
pub mod recorder;
pub mod reviewer;
pub mod reviews;
pub mod scheduler;
pub mod sources;
pub mod staff;
