//! What client and worker say: lines of JSON.

use std::io::{self, BufRead, Read};

use serde::{Deserialize, Serialize};

use crate::cgroup::{Account, Limits};

/// No line is longer.
pub(super) const MAX_LINE: u64 = 64 << 10;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Request {
    /// Would I be served?
    Hello,
    /// Start a daemon on the stream that comes with this.
    Start { limits: Limits },
    /// What has it used up to now?
    Account,
    /// Move it to a fresh group with the same limits, and end whatever else is in the last one.
    Renew,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    Welcome,
    Renewed,
    Started,
    Account(Account),
    /// In a sentence. The connection is closed after it.
    Refused(String),
}

pub(super) fn line(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

/// The next line; `None` at the end of the stream.
pub(super) fn read<T: for<'a> Deserialize<'a>>(stream: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = String::new();
    stream.take(MAX_LINE).read_line(&mut line)?;
    match line.strip_suffix('\n') {
        Some(line) => Ok(Some(serde_json::from_str(line)?)),
        None if line.is_empty() => Ok(None),
        None => Err(io::Error::new(io::ErrorKind::InvalidData, "a line without an end")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_one_line_of_nothing_but_limits() {
        let request = Request::Start { limits: Limits { memory_bytes: Some(1), ..Limits::default() } };
        let line = line(&request).unwrap();
        assert_eq!(read::<Request>(&mut line.as_slice()).unwrap(), Some(request));
        assert_eq!(read::<Request>(&mut &b""[..]).unwrap(), None);
        for text in [
            "{\"start\":{\"limits\":{},\"program\":\"/bin/sh\"}}\n",
            "{\"start\":{\"limits\":{\"options\":{}}}}\n",
            "{\"start\":{}}\n",
            "\"stop\"\n",
            "\"account\"",
            "\n",
        ] {
            assert!(read::<Request>(&mut text.as_bytes()).is_err(), "{text}");
        }
        let long = [b'['].repeat(1 << 20);
        assert!(read::<Request>(&mut long.as_slice()).is_err());
    }
}
