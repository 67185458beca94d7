//! What leaves the house: check runs, comments, messages, by way of a durable outbox. The local forge wants to be told nothing, so
//! nothing leaves yet.
