//! `snowgate config check FILE` and `snowgate config schema`.

use std::io::{self, Write};
use std::path::Path;

use crate::config::builders::machines;
use crate::config::{ConfigError, Settings, repository};

/// Exit status of a configuration that is at fault, as of bad usage.
const AT_FAULT: u8 = 2;

/// Which of the two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Of `snowgate serve`.
    Server,
    /// `snowgate.toml` of a repository.
    Repository,
}

impl Kind {
    /// A file called `snowgate.toml` is a repository's, any other the server's.
    pub fn of(file: &Path) -> Self {
        if file.file_name().is_some_and(|name| name == "snowgate.toml") { Kind::Repository } else { Kind::Server }
    }
}

/// Says on `out` that the file is good, or on `err` what is wrong with it and where; the exit status.
pub fn check(file: &Path, out: &mut impl Write, err: &mut impl Write) -> io::Result<u8> {
    match good(file) {
        Ok(what) => {
            writeln!(out, "{}: {what}", file.display())?;
            Ok(0)
        }
        Err(error) => {
            writeln!(err, "{error}")?;
            Ok(AT_FAULT)
        }
    }
}

fn good(file: &Path) -> Result<String, ConfigError> {
    let some = |count: usize, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    match Kind::of(file) {
        Kind::Server => {
            let settings = Settings::load(file)?;
            if let Some(machines) = &settings.build.machines_file {
                machines::load(machines)?;
            }
            Ok(format!("good, with {}", some(settings.repositories.len(), "repository", "repositories")))
        }
        Kind::Repository => {
            let config = repository::load(file)?;
            Ok(format!("good, with {}", some(config.jobsets.len(), "jobset", "jobsets (variants included)")))
        }
    }
}

/// Prints the JSON Schema; the exit status.
pub fn schema(kind: Kind, out: &mut impl Write) -> io::Result<u8> {
    let schema = match kind {
        Kind::Server => Settings::schema(),
        Kind::Repository => repository::schema(),
    };
    writeln!(out, "{schema:#}")?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(name: &str, text: &str) -> (u8, String, String) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(name);
        std::fs::write(&file, text).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let status = check(&file, &mut out, &mut err).unwrap();
        let place = format!("{}/", directory.path().display());
        let relative = |text: Vec<u8>| String::from_utf8(text).unwrap().replace(&place, "");
        (status, relative(out), relative(err))
    }

    #[test]
    fn a_file_is_good_or_its_fault_has_a_place() {
        let one = "[[repository]]\nname = \"a/b\"\npath = \"/x\"\n";
        assert_eq!(checked("config.toml", one), (0, "config.toml: good, with 1 repository\n".into(), String::new()));
        assert_eq!(
            checked("config.toml", "\nlisten = 3"),
            (2, String::new(), "config.toml:2: `listen`: invalid type: integer `3`, expected socket address\n".into())
        );
        let machines = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&machines, "big - - many").unwrap();
        let named = checked("config.toml", &format!("build.machines_file = {:?}", machines.path()));
        assert!(named.0 == 2 && named.2.contains(":1: the fourth field is the number of jobs"), "{named:?}");
        let jobset = "[jobsets.a]\nfile = \"a.nix\"\n[jobsets.a.variants.b]\n";
        assert_eq!(
            checked("snowgate.toml", jobset),
            (0, "snowgate.toml: good, with 2 jobsets (variants included)\n".into(), String::new())
        );
        assert_eq!(checked("snowgate.toml", "[plicy]").0, 2);
    }

    #[test]
    fn the_schema_knows_every_key_and_says_what_it_is_for() {
        for kind in [Kind::Server, Kind::Repository] {
            let mut out = Vec::new();
            schema(kind, &mut out).unwrap();
            let schema: serde_json::Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(schema["additionalProperties"], false);
            let mut keys = 0;
            described(&schema, &mut keys);
            assert!(keys > 10, "{schema:#}");
        }
    }

    fn described(schema: &serde_json::Value, keys: &mut usize) {
        for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
            assert!(inner["description"].is_string(), "{key} has no description: {inner:#}");
            *keys += 1;
            described(inner, keys);
        }
        for inner in [&schema["additionalProperties"], &schema["items"]].into_iter().filter(|inner| inner.is_object()) {
            described(inner, keys);
        }
    }
}
