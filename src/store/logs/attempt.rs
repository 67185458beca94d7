//! When an attempt began: also its name.

use std::fmt;
use std::str::FromStr;

/// The start of an attempt, UTC, to the millisecond, as `20261120T124000.123Z`. Sorts by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptTime(jiff::Timestamp);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the time of an attempt, such as 20261120T124000.123Z")]
pub struct AttemptTimeError(String);

impl AttemptTime {
    pub fn now() -> Self {
        Self::from(jiff::Timestamp::now())
    }

    /// A millisecond later.
    pub fn next(self) -> Self {
        Self::from(self.0 + jiff::SignedDuration::from_millis(1))
    }

    pub fn timestamp(self) -> jiff::Timestamp {
        self.0
    }
}

impl From<jiff::Timestamp> for AttemptTime {
    /// Cuts off what is finer than a millisecond, so that the printed name means the same value.
    fn from(time: jiff::Timestamp) -> Self {
        Self(jiff::Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time))
    }
}

impl fmt::Display for AttemptTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.strftime("%Y%m%dT%H%M%S%.3fZ"))
    }
}

impl FromStr for AttemptTime {
    type Err = AttemptTimeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fault = || AttemptTimeError(text.to_owned());
        let time = text
            .strip_suffix('Z')
            .and_then(|time| jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S%.f", time).ok())
            .and_then(|time| time.to_zoned(jiff::tz::TimeZone::UTC).ok())
            .ok_or_else(fault)?;
        let time = Self::from(time.timestamp());
        // one spelling only: the name is a file's name
        if time.to_string() == text { Ok(time) } else { Err(fault()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_time_and_back() {
        let time: AttemptTime = "20261120T124000.123Z".parse().unwrap();
        assert_eq!(time.to_string(), "20261120T124000.123Z");
        assert_eq!(time.timestamp().as_millisecond() % 1000, 123);
        let now = AttemptTime::now();
        assert_eq!(now.to_string().parse(), Ok(now));
    }

    #[test]
    fn other_names_are_refused() {
        for text in ["", "..", "20261120T124000.123", "20261120T124000Z", "20261120T124000.12Z", "20261320T124000.123Z", "../x"] {
            assert!(text.parse::<AttemptTime>().is_err(), "{text}");
        }
    }
}
