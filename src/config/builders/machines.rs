//! Nix's `machines` file (nix, libstore/machines.cc): a builder per line, of up to eight fields.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Builder, SshBuilder};
use crate::config::ConfigError;
use crate::config::watch::Noticing;
use crate::domain::System;

/// Files within files.
const DEEPEST: usize = 8;

/// What a machines file and those that it includes come to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Machines {
    pub builders: Vec<SshBuilder>,
    /// Everything that was read, and what is missing of it.
    pub files: Vec<PathBuf>,
}

/// A machines file, kept up to date as long as this lives. A bad edit is refused and what was read before stays in force.
pub struct Watched {
    file: PathBuf,
    state: Arc<Mutex<State>>,
    _noticing: Noticing,
}

#[derive(Default)]
struct State {
    machines: Machines,
    refused: Option<ConfigError>,
}

impl Watched {
    /// `changed` is called when there is something new, from a thread of its own.
    pub fn open(file: &Path, changed: impl Fn() + Send + 'static) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        look(file, &state);
        let (looking, its) = (file.to_owned(), state.clone());
        let noticing = Noticing::of(file, move || {
            if look(&looking, &its) {
                changed();
            }
        });
        Self { file: file.to_owned(), state, _noticing: noticing }
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    pub fn builders(&self) -> Vec<SshBuilder> {
        locked(&self.state).machines.builders.clone()
    }

    /// Why the file as it is now is not followed.
    pub fn refused(&self) -> Option<ConfigError> {
        locked(&self.state).refused.clone()
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether there was something new.
fn look(file: &Path, state: &Mutex<State>) -> bool {
    let read = load(file);
    let mut state = locked(state);
    match read {
        Ok(machines) => {
            let new = state.machines != machines || state.refused.is_some();
            *state = State { machines, refused: None };
            new
        }
        Err(error) => {
            let new = state.refused.as_ref() != Some(&error);
            if new {
                tracing::error!("the builders of {} stay as they were: {error}", file.display());
            }
            state.refused = Some(error);
            new
        }
    }
}

/// Reads a file and what it includes with `@`. As in Nix, an included file that does not exist is an empty one.
pub fn load(file: &Path) -> Result<Machines, ConfigError> {
    let text = crate::config::text_of(file)?;
    let mut machines = Machines { builders: Vec::new(), files: vec![file.to_owned()] };
    let mut read = |file: &Path| match crate::config::text_of(file) {
        Ok(text) => Ok(text),
        Err(_) if !file.exists() => Ok(String::new()),
        Err(error) => Err(error),
    };
    parse(file, &text, &mut read, DEEPEST, &mut machines)?;
    Ok(machines)
}

/// `read` gives the text of an included file.
fn parse(
    file: &Path,
    text: &str,
    read: &mut impl FnMut(&Path) -> Result<String, ConfigError>,
    depth: usize,
    machines: &mut Machines,
) -> Result<(), ConfigError> {
    for (index, line) in text.lines().enumerate() {
        let fault = |message: String| ConfigError { file: None, line: Some(index + 1), message }.in_file(file);
        let line = line.split('#').next().unwrap_or_default();
        for entry in line.split(';').map(str::trim).filter(|entry| !entry.is_empty()) {
            match entry.strip_prefix('@') {
                Some(included) => {
                    if depth == 0 {
                        return Err(fault("files are included too deeply; does one include itself?".into()));
                    }
                    let included = PathBuf::from(included.trim());
                    if !included.is_absolute() {
                        return Err(fault(format!("`@{}` must be an absolute path", included.display())));
                    }
                    machines.files.push(included.clone());
                    let text = read(&included)?;
                    parse(&included, &text, read, depth - 1, machines)?;
                }
                None => machines.builders.extend(builder(entry).map_err(fault)?),
            }
        }
    }
    Ok(())
}

/// `-` and what is left out are the default. A builder of no jobs is none.
fn builder(entry: &str) -> Result<Option<SshBuilder>, String> {
    let fields: Vec<&str> = entry.split_whitespace().collect();
    let [uri, ..] = fields.as_slice() else { return Ok(None) };
    if let Some(surplus) = fields.get(8) {
        return Err(format!(
            "`{surplus}` is a ninth field, and there are eight: URI, systems, key, jobs, speed, features, mandatory features, host key"
        ));
    }
    let field = |index: usize| fields.get(index).copied().filter(|field| *field != "-");
    let list = |index: usize| {
        let words = field(index).unwrap_or_default().split(',').filter(|word| !word.is_empty());
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    let jobs = match field(3) {
        Some(text) => text.parse().map_err(|_| format!("the fourth field is the number of jobs, and `{text}` is none"))?,
        None => 1,
    };
    let speed = match field(4) {
        Some(text) => text.parse::<f64>().ok().filter(|speed| speed.is_finite() && *speed >= 0.0),
        None => Some(1.0),
    };
    let speed = speed.ok_or_else(|| format!("the fifth field is the speed factor, and `{}` is none", fields[4]))?;
    if jobs == 0 {
        return Ok(None);
    }
    let described = Builder {
        name: "machine".into(),
        uri: (*uri).to_owned(),
        systems: match list(1) {
            systems if systems.is_empty() => vec![System::host().as_str().to_owned()],
            systems => systems,
        },
        ssh_key_file: field(2).map(PathBuf::from),
        max_jobs: jobs,
        // as Nix has it
        speed_factor: if speed == 0.0 { 1.0 } else { speed },
        features: list(5),
        mandatory_features: list(6),
        host_key: field(7).map(str::to_owned),
        compress: false,
        use_substitutes: false,
    };
    let resolved = described.resolve().map_err(|fault| fault.trim_start_matches("builder `machine`: ").to_owned())?;
    Ok(Some(SshBuilder { name: resolved.host.clone(), ..resolved }))
}
