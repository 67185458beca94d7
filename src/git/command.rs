//! Running `git`.
