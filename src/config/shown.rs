//! PURE: the server's settings as a page may show them: every key with its value, what it is for and when an edit of it applies.
//! What is known of a key comes from the schema, so that a new one can't be forgotten here. Secrets are not in the settings, but a
//! Nix setting or an address can hold one: such values are not shown.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Settings;

/// Keys whose edits apply at once; all others apply at the next start.
const AT_ONCE: [&str; 15] = [
    "repository",
    "builder",
    "build.machines_file",
    "eval.allowed_uris",
    "eval.record",
    "eval.self_check_one_in",
    "eval.traces_max_mb",
    "eval.traces_max_days",
    "github.poll_seconds",
    "github.policy.trust",
    "github.policy.ask_again",
    "github.policy.trusted",
    "limits.poll_seconds",
    "sign_in.session_days",
    "sign_in.administrators",
];

/// One key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// With its section: `eval.workers`.
    pub key: String,
    /// As the file would say it; `None`: not set, and without a default.
    pub value: Option<String>,
    /// What the file says by now, where that applies at the next start only.
    pub next: Option<Option<String>>,
    pub is_default: bool,
    pub at_once: bool,
    pub meaning: String,
}

/// `started`: what the server was started with; `current`: what the file says by now.
pub fn shown(started: &Settings, current: &Settings) -> Vec<Shown> {
    let [started, current, default] = [started, current, &Settings::default()].map(leaves);
    let mut rows = Vec::new();
    walk(&Settings::schema(), "", &mut |key, meaning| {
        let at_once = applies_at_once(key);
        let (before, now) = (started.get(key), current.get(key));
        let in_force = if at_once { now } else { before };
        rows.push(Shown {
            key: key.to_owned(),
            value: in_force.map(|value| text(key, value)),
            next: (!at_once && before != now).then(|| now.map(|value| text(key, value))),
            is_default: in_force == default.get(key),
            at_once,
            meaning: meaning.to_owned(),
        });
    });
    rows
}

/// The first parts of the keys that differ and apply at the next start only.
pub(super) fn sections_for_next_start(before: &Settings, next: &Settings) -> Vec<String> {
    let (before, next) = (leaves(before), leaves(next));
    let mut sections = Vec::new();
    walk(&Settings::schema(), "", &mut |key, _| {
        let section = key.split('.').next().unwrap_or(key);
        if !applies_at_once(key) && before.get(key) != next.get(key) && !sections.iter().any(|known| known == section) {
            sections.push(section.to_owned());
        }
    });
    sections
}

fn applies_at_once(key: &str) -> bool {
    AT_ONCE.contains(&key)
}

/// Every key of the schema, sections entered. Tables without known keys (`build.options`) and lists are one key each.
fn walk(schema: &Value, prefix: &str, see: &mut impl FnMut(&str, &str)) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        if property["properties"].is_object() {
            walk(property, &key, see);
        } else {
            see(&key, property["description"].as_str().unwrap_or_default());
        }
    }
}

fn leaves(settings: &Settings) -> BTreeMap<String, Value> {
    let mut leaves = BTreeMap::new();
    let all = serde_json::to_value(settings).unwrap_or_default();
    walk(&Settings::schema(), "", &mut |key, _| {
        let value = key.split('.').try_fold(&all, |table, name| table.get(name)).filter(|value| !value.is_null());
        leaves.extend(value.map(|value| (key.to_owned(), value.clone())));
    });
    leaves
}

/// In the file's words.
fn text(key: &str, value: &Value) -> String {
    match value {
        Value::String(text) => format!("{:?}", without_credentials(text)),
        Value::Array(items) => format!("[{}]", items.iter().map(|item| text_of_item(key, item)).collect::<Vec<_>>().join(", ")),
        Value::Object(table) => {
            let entries: Vec<String> = table
                .iter()
                .map(|(name, value)| match is_secret(name) {
                    true => format!("{name} = (set, not shown)"),
                    false => format!("{name} = {}", text(name, value)),
                })
                .collect();
            if entries.is_empty() { "{}".into() } else { format!("{{ {} }}", entries.join(", ")) }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn text_of_item(key: &str, item: &Value) -> String {
    match item["name"].as_str() {
        Some(name) if key == "repository" || key == "builder" => name.to_owned(),
        _ => text(key, item),
    }
}

/// A Nix setting that holds a credential: `access-tokens`, `secret-key-files` and what plugins add of the kind. `trusted-public-keys`
/// holds none.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["token", "secret", "password", "passphrase", "private", "credential", "netrc", "auth"].iter().any(|word| name.contains(word))
}

/// `https://user:password@host?secret-key=…` without what stands before the `@` and after the `?`, in a text of one or more addresses.
fn without_credentials(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let Some((scheme, rest)) = word.split_once("://") else { return word.to_owned() };
        let (place, query) = rest.split_once('?').map_or((rest, ""), |(place, _)| (place, "?…"));
        let authority = place.find('/').unwrap_or(place.len());
        let place = match place[..authority].rfind('@') {
            Some(at) => format!("…{}", &place[at..]),
            None => place.to_owned(),
        };
        format!("{scheme}://{place}{query}")
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(started: &str, current: &str, key: &str) -> Shown {
        let [started, current] = [started, current].map(|text| Settings::parse(text).unwrap());
        shown(&started, &current).into_iter().find(|row| row.key == key).unwrap_or_else(|| panic!("no {key}"))
    }

    #[test]
    fn every_key_is_shown_with_what_it_is_for() {
        let rows = shown(&Settings::default(), &Settings::default());
        let keys: Vec<&str> = rows.iter().map(|row| row.key.as_str()).collect();
        for key in ["listen", "repository", "eval.workers", "eval.self_check_one_in", "build.options", "limits.poll_seconds"] {
            assert!(keys.contains(&key), "{keys:?}");
        }
        assert!(rows.iter().all(|row| row.is_default && row.next.is_none() && !row.meaning.is_empty()), "{rows:#?}");
        assert!(AT_ONCE.iter().all(|key| keys.contains(key)), "{keys:?}");
    }

    #[test]
    fn what_applies_at_the_next_start_is_shown_beside_what_is_in_force() {
        let edited = row("build.jobs = 2", "build.jobs = 4", "build.jobs");
        assert_eq!((edited.value.as_deref(), edited.next, edited.at_once), (Some("2"), Some(Some("4".into())), false));
        let edited = row("", "limits.poll_seconds = 7", "limits.poll_seconds");
        assert_eq!((edited.value.as_deref(), edited.next, edited.is_default), (Some("7"), None, false));
        assert_eq!(row("", "", "build.jobs").value, None);
    }

    #[test]
    fn no_secret_is_shown() {
        let file = "[build.options]\naccess-tokens = \"github.com=ghp_s3cret\"\nsubstituters = \"https://ann:s3cret@cache.example/x s3://b?secret=s3cret file:///a@b\"\n";
        let options = row(file, file, "build.options").value.unwrap();
        assert!(!options.contains("s3cret") && !options.contains("ann"), "{options}");
        assert!(options.contains("access-tokens = (set, not shown)"), "{options}");
        assert!(options.contains("https://…@cache.example/x s3://b?… file:///a@b"), "{options}");
    }
}
