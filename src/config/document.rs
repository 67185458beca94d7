//! A TOML file read into a type, with faults that name the key, its line, and the nearest key that is known. What is known comes
//! from the type's JSON Schema, so that the messages and the schema can't disagree.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::de::DeserializeOwned;
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::ConfigError;

/// What was read, with the places of its keys.
pub(super) struct Document<'a> {
    text: &'a str,
    root: DeTable<'a>,
}

/// The JSON Schema of a file, without references: editors and the check of the keys both walk it as it is.
pub(super) fn schema<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

pub(super) fn read<T: DeserializeOwned + JsonSchema>(text: &str) -> Result<(T, Document<'_>), ConfigError> {
    let root = DeTable::parse(text).map_err(|error| in_words(text, &error))?.into_inner();
    let document = Document { text, root };
    document.check_keys(&schema::<T>())?;
    let value = toml::from_str(text).map_err(|error| document.fault_of_value(&error))?;
    Ok((value, document))
}

impl Document<'_> {
    /// A fault of the key at this path, or of the nearest one above it that the file has.
    pub(super) fn fault(&self, path: &[&str], message: impl Into<String>) -> ConfigError {
        let mut table = &self.root;
        let mut offset = None;
        for name in path {
            let Some((key, value)) = table.iter().find(|(key, _)| key.get_ref().as_ref() == *name) else { break };
            offset = Some(key.span().start);
            match value.get_ref() {
                DeValue::Table(inner) => table = inner,
                _ => break,
            }
        }
        ConfigError { file: None, line: offset.map(|offset| line(self.text, offset)), message: message.into() }
    }

    /// A fault of an element of an array of tables.
    pub(super) fn fault_of_element(&self, array: &str, index: usize, message: impl Into<String>) -> ConfigError {
        let offset = self.root.iter().find(|(key, _)| key.get_ref().as_ref() == array).and_then(|(_, value)| {
            let element = value.get_ref().as_array()?.get(index)?;
            Some(element.span().start)
        });
        ConfigError { file: None, line: offset.map(|offset| line(self.text, offset)), message: message.into() }
    }

    fn check_keys(&self, schema: &Value) -> Result<(), ConfigError> {
        let mut unknown = Vec::new();
        unknown_keys(&self.root, schema, &mut Vec::new(), &mut unknown);
        // the first in the file, as a person reads it
        let Some(first) = unknown.into_iter().min_by_key(|key| key.offset) else { return Ok(()) };
        let path = first.path.join(".");
        let hint = hint(&first, schema);
        Err(ConfigError {
            file: None,
            line: Some(line(self.text, first.offset)),
            message: format!("unknown key `{path}`; {hint}"),
        })
    }

    /// serde's words, after the key whose value they are about.
    fn fault_of_value(&self, error: &toml::de::Error) -> ConfigError {
        let key = error.span().and_then(|span| key_at(&self.root, span.start));
        let fault = in_words(self.text, error);
        match key {
            Some(key) => ConfigError { message: format!("`{key}`: {}", fault.message), ..fault },
            None => fault,
        }
    }
}

struct Unknown {
    /// From the root to the key.
    path: Vec<String>,
    offset: usize,
    /// What is known where it stands.
    siblings: Vec<String>,
}

/// The schema itself, or what it offers to choose from.
fn branches(schema: &Value) -> Vec<&Value> {
    let mut found = vec![schema];
    for choice in ["anyOf", "oneOf", "allOf"] {
        found.extend(schema[choice].as_array().into_iter().flatten().flat_map(branches));
    }
    found
}

fn unknown_keys(table: &DeTable<'_>, schema: &Value, path: &mut Vec<String>, unknown: &mut Vec<Unknown>) {
    let branches = branches(schema);
    let known: Vec<_> = branches.iter().filter_map(|branch| branch["properties"].as_object()).flatten().collect();
    let any_key = branches.iter().map(|branch| &branch["additionalProperties"]).find(|rest| rest.is_object());
    if known.is_empty() && any_key.is_none() {
        // not a table at all: reading the value says so
        return;
    }
    for (key, value) in table.iter() {
        let name = key.get_ref().as_ref();
        let inner = known.iter().find(|(known, _)| *known == name).map(|(_, inner)| *inner).or(any_key);
        path.push(name.to_owned());
        match inner {
            Some(inner) => unknown_keys_of_value(value, inner, path, unknown),
            None => unknown.push(Unknown {
                path: path.clone(),
                offset: key.span().start,
                siblings: known.iter().map(|(name, _)| (*name).clone()).collect(),
            }),
        }
        path.pop();
    }
}

fn unknown_keys_of_value(value: &Spanned<DeValue<'_>>, schema: &Value, path: &mut Vec<String>, unknown: &mut Vec<Unknown>) {
    match value.get_ref() {
        DeValue::Table(table) => unknown_keys(table, schema, path, unknown),
        DeValue::Array(array) => {
            for items in branches(schema).iter().map(|branch| &branch["items"]).filter(|items| items.is_object()) {
                for element in array.iter() {
                    unknown_keys_of_value(element, items, path, unknown);
                }
            }
        }
        DeValue::String(_) | DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
    }
}

/// The way out: the nearest key beside it; the same key where it belongs; else what there is to choose from.
fn hint(unknown: &Unknown, schema: &Value) -> String {
    let name = unknown.path.last().map_or("", String::as_str);
    let distance = |known: &str| strsim::damerau_levenshtein(&plain(name), &plain(known));
    let near = unknown.siblings.iter().min_by_key(|known| distance(known));
    if let Some(near) = near.filter(|near| distance(near) <= near.chars().count().max(3) / 3) {
        return format!("did you mean `{near}`?");
    }
    // `branch` for `base_branch`
    let part = unknown.siblings.iter().find(|known| plain(known).contains(&plain(name)) && !plain(name).is_empty());
    let mut elsewhere = Vec::new();
    places_of(name, schema, &mut Vec::new(), &mut elsewhere);
    match (elsewhere.first().or(part), near) {
        (Some(place), _) => format!("did you mean `{place}`?"),
        (None, Some(near)) => format!("the nearest known one is `{near}`, of {}", unknown.siblings.join(", ")),
        (None, None) => "no key is known here".into(),
    }
}

/// `max-silent` and `maxSilent` are near `max_silent`.
fn plain(key: &str) -> String {
    key.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn places_of(name: &str, schema: &Value, path: &mut Vec<String>, found: &mut Vec<String>) {
    for branch in branches(schema) {
        for (key, inner) in branch["properties"].as_object().into_iter().flatten() {
            path.push(key.clone());
            if plain(key) == plain(name) {
                found.push(path.join("."));
            }
            places_of(name, inner, path, found);
            path.pop();
        }
        for (placeholder, inner) in [("NAME", &branch["additionalProperties"]), ("", &branch["items"])] {
            if inner.is_object() {
                path.extend((!placeholder.is_empty()).then(|| placeholder.to_owned()));
                places_of(name, inner, path, found);
                path.truncate(path.len() - usize::from(!placeholder.is_empty()));
            }
        }
    }
}

fn key_at(table: &DeTable<'_>, offset: usize) -> Option<String> {
    table.iter().find_map(|(key, value)| {
        let name = key.get_ref();
        match value.get_ref() {
            DeValue::Table(inner) => key_at(inner, offset).map(|rest| format!("{name}.{rest}")),
            DeValue::Array(array) => array
                .iter()
                .filter_map(|element| element.get_ref().as_table())
                .find_map(|inner| key_at(inner, offset))
                .map(|rest| format!("{name}.{rest}"))
                .or_else(|| value.span().contains(&offset).then(|| name.to_string())),
            _ => value.span().contains(&offset).then(|| name.to_string()),
        }
    })
}

fn in_words(text: &str, error: &toml::de::Error) -> ConfigError {
    let line = error.span().map(|span| line(text, span.start));
    // one sentence: the parser puts what it expected on a second line
    let message = error.message().lines().map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
    ConfigError { file: None, line, message }
}

/// From 1.
fn line(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
