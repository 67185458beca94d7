//! Where a builder is, as Nix's settings say it.

use std::path::PathBuf;

use super::host_key;

/// `ssh-ng://[user@]host[:port][?parameters]`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Uri {
    pub host: String,
    pub user: Option<String>,
    pub port: Option<u16>,
    pub key_file: Option<PathBuf>,
    pub host_key: Option<String>,
    pub compress: bool,
    pub program: Vec<String>,
    pub store: Option<String>,
}

/// Parameters of Nix's that mean nothing to us: what they tune is Nix's own client.
const OTHERS: [&str; 9] = [
    "max-connections",
    "max-connection-age",
    "log-fd",
    "system-features",
    "trusted",
    "priority",
    "path-info-cache-size",
    "want-mass-query",
    "store",
];
const KNOWN: [&str; 5] = ["ssh-key", "base64-ssh-public-host-key", "compress", "remote-program", "remote-store"];

impl Uri {
    /// `ssh://` is taken for the same: any Nix since 2.8 speaks the newer protocol as well. So is a host without scheme, as in Nix.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rest = match text.split_once("://") {
            Some(("ssh" | "ssh-ng", rest)) => rest,
            Some((scheme, _)) => return Err(format!("`{scheme}://` is no way to a builder; use `ssh-ng://host`")),
            None if text.contains('/') || ["auto", "daemon", "local"].contains(&text.split('?').next().unwrap_or(text)) => {
                return Err(format!("`{text}` is a store of this machine, and no builder elsewhere; use `ssh-ng://host`"));
            }
            None => text,
        };
        let (authority, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user.to_owned()), host),
            None => (None, authority),
        };
        let (host, port) = host_and_port(host)?;
        let option =
            |word: &str| word.is_empty() || word.starts_with('-') || word.contains(|c: char| c.is_whitespace() || c.is_control());
        // a word that ssh would take for an option
        if option(&host) || user.as_deref().is_some_and(option) {
            return Err(format!("`{text}` names no host"));
        }
        let mut uri = Self {
            host,
            user,
            port,
            key_file: None,
            host_key: None,
            compress: false,
            program: vec!["nix-daemon".into()],
            store: None,
        };
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            uri.parameter(name, decoded(value)?)?;
        }
        Ok(uri)
    }

    fn parameter(&mut self, name: &str, value: String) -> Result<(), String> {
        match name {
            "ssh-key" => self.key_file = Some(value.into()),
            "base64-ssh-public-host-key" => self.host_key = Some(host_key::lines(&value)?),
            "compress" => self.compress = ["true", "1", "yes"].contains(&value.as_str()),
            "remote-store" => self.store = (!value.is_empty()).then_some(value),
            "remote-program" => {
                self.program = value.split_whitespace().map(str::to_owned).collect();
                if self.program.is_empty() {
                    return Err("`remote-program` is empty".into());
                }
            }
            other if OTHERS.contains(&other) => {}
            other => {
                let near = KNOWN.into_iter().min_by_key(|known| strsim::damerau_levenshtein(known, other)).unwrap_or_default();
                return Err(format!("unknown parameter `{other}` in its URI; did you mean `{near}`?"));
            }
        }
        Ok(())
    }
}

/// An IPv6 address stands in brackets, or alone.
fn host_and_port(text: &str) -> Result<(String, Option<u16>), String> {
    let port = |port: &str| port.parse().map(Some).map_err(|_| format!("`{port}` is no port"));
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return match rest.strip_prefix(':') {
            Some(number) => Ok((host.to_owned(), port(number)?)),
            None if rest.is_empty() => Ok((host.to_owned(), None)),
            None => Err(format!("`{text}` is no host")),
        };
    }
    match text.split_once(':') {
        Some((host, number)) if !number.contains(':') => Ok((host.to_owned(), port(number)?)),
        Some(_) | None => Ok((text.to_owned(), None)),
    }
}

/// `%20` is a space.
fn decoded(text: &str) -> Result<String, String> {
    let wrong = || format!("`{text}` is not encoded as a URI is");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = (digit().ok_or_else(wrong)?, digit().ok_or_else(wrong)?);
                (high * 16 + low) as u8
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}
