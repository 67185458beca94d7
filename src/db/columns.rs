//! Between columns and the words of the field.

use std::fmt::Display;
use std::str::FromStr;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{DbError, PullState};
use crate::domain::Outcome;
use crate::review::report::{Decision, State};

/// SQLite refuses a statement with more than 32,766 variables (sqlite.org/limits.html), and an older one with more than 999: a
/// jobset of ten thousand attributes is asked for in parts.
pub(super) const CHUNK: usize = 900;

/// Enums that are words in the database.
pub(super) trait Word: Copy + 'static {
    const WORDS: &'static [(Self, &'static str)];
}

impl Word for State {
    const WORDS: &'static [(Self, &'static str)] = &[
        (State::Evaluating, "evaluating"),
        (State::Building, "building"),
        (State::Complete, "complete"),
        (State::Cancelled, "cancelled"),
        (State::Error, "error"),
    ];
}

impl Word for Decision {
    const WORDS: &'static [(Self, &'static str)] =
        &[(Decision::Mergeable, "mergeable"), (Decision::Blocked, "blocked"), (Decision::Pending, "pending")];
}

impl Word for PullState {
    const WORDS: &'static [(Self, &'static str)] =
        &[(PullState::Open, "open"), (PullState::Merged, "merged"), (PullState::Closed, "closed")];
}

pub(super) fn word<T: Word + PartialEq>(value: T) -> &'static str {
    T::WORDS.iter().find(|(known, _)| *known == value).map_or("", |(_, word)| word)
}

pub(super) fn of_word<T: Word>(what: &str, text: &str) -> Result<T, DbError> {
    let found = T::WORDS.iter().find(|(_, word)| *word == text).map(|(value, _)| *value);
    found.ok_or_else(|| unreadable(what, format!("`{text}` is not a known word")))
}

pub(super) fn outcome(what: &str, text: &str) -> Result<Outcome, DbError> {
    Outcome::parse(text).ok_or_else(|| unreadable(what, format!("`{text}` is not a known outcome")))
}

pub(super) fn parsed<T: FromStr<Err: Display>>(what: &str, text: &str) -> Result<T, DbError> {
    text.parse().map_err(|error: T::Err| unreadable(what, error.to_string()))
}

pub(super) fn unreadable(what: &str, reason: String) -> DbError {
    DbError::Unreadable { what: what.to_owned(), reason }
}

/// Milliseconds since the epoch, as stored.
pub(super) fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

pub(super) fn time(what: &str, milliseconds: i64) -> Result<Timestamp, DbError> {
    Timestamp::from_millisecond(milliseconds).map_err(|error| unreadable(what, error.to_string()))
}

/// SQLite's integers have a sign; no count of ours needs the last bit.
pub(super) fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn count(integer: i64) -> u64 {
    u64::try_from(integer).unwrap_or(0)
}

/// zstd's default: reports and evaluations are written once and read often, and shrink to a tenth.
const LEVEL: i32 = 3;

pub(super) fn compressed(what: &str, value: &impl Serialize) -> Result<Vec<u8>, DbError> {
    let json = serde_json::to_vec(value).map_err(|error| unreadable(what, error.to_string()))?;
    zstd::bulk::compress(&json, LEVEL).map_err(|error| unreadable(what, error.to_string()))
}

pub(super) fn expanded<T: DeserializeOwned>(what: &str, json: &[u8]) -> Result<T, DbError> {
    let json = zstd::decode_all(json).map_err(|error| unreadable(what, error.to_string()))?;
    serde_json::from_slice(&json).map_err(|error| unreadable(what, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_the_reports() {
        for (state, word) in State::WORDS {
            assert_eq!(serde_json::to_value(state).unwrap(), *word);
        }
        for (decision, word) in Decision::WORDS {
            assert_eq!(serde_json::to_value(decision).unwrap(), *word);
        }
        for (state, word) in PullState::WORDS {
            assert_eq!(serde_json::to_value(state).unwrap(), *word);
        }
    }
}
