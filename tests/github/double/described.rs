//! GitHub's description of its interface (npm's `@octokit/openapi`): what Snowgate asks must be in it, and so must what we answer.
//! An answer says what a story is about; what GitHub says beside that is filled in from the description.
//!
//! Not described, and so not checked here:
//! - `/login/oauth/*`, which is of GitHub's pages and not of its interface. What is sent there are forms; the doubles read them by hand,
//!   as docs.github.com has it ("Generating a user access token for a GitHub App"), and a field that is missing fails the story;
//! - git over HTTP, which real git speaks on both sides;
//! - refusals that any operation may answer with and few name: 401, rate limits (403 and 429), 404 of what is hidden, and 5xx. Where an
//!   operation does name one, its form is checked;
//! - deliveries, which GitHub's own examples are replayed for (`examples.rs`).

use std::path::PathBuf;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

/// Where `assets/setup/octokit` puts what it brings.
pub fn file(path: &str) -> String {
    let directory = std::env::var_os("SNOWGATE_OCTOKIT").map(PathBuf::from).unwrap_or_else(|| {
        let cache = || std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let home = || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache");
        let base = if nix::unistd::geteuid().is_root() { "/opt".into() } else { cache().unwrap_or_else(home) };
        base.join("snowgate/octokit")
    });
    let file = directory.join(path);
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}; run assets/setup/octokit first", file.display()))
}

static DESCRIPTION: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(&file("openapi/generated/api.github.com.json")).unwrap());

/// `null` in truth, though the description knows of no such case: the fork is gone.
const NULL_ALL_THE_SAME: &str = ".head.repo";

/// The operation that this request is of, or what is wrong with it. `query`: names.
pub fn operation(method: &str, path: &str, query: &[String]) -> Result<&'static Value, String> {
    let paths = DESCRIPTION["paths"].as_object().unwrap();
    // a literal segment is nearer than a parameter, and than a part of one
    let length = |path: &str| path.split('/').count();
    let distance = |template: &&String| (length(template) != length(path), template.matches('{').count());
    let template = paths.keys().filter(|template| fits(template, path)).min_by_key(distance);
    let template = template.ok_or_else(|| format!("{method} {path} is not described"))?;
    let operation = &paths[template][method.to_ascii_lowercase()];
    if operation.is_null() {
        return Err(format!("{method} of {template} is not described"));
    }
    let known = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let known: Vec<&Value> = known.iter().map(resolved).filter(|parameter| parameter["in"] == "query").collect();
    match query.iter().find(|name| !known.iter().any(|parameter| parameter["name"] == name.as_str())) {
        Some(unknown) => Err(format!("{method} {template} has no parameter {unknown}")),
        None => Ok(operation),
    }
}

/// What an App may be given, and how much of it.
pub fn permissions() -> &'static Value {
    &DESCRIPTION["components"]["schemas"]["app-permissions"]["properties"]
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
    let is_parameter = |part: &str| part.starts_with('{');
    // the name of a reference has slashes
    let long = template.last() == Some(&"{ref}") && path.len() > template.len();
    (long || template.len() == path.len())
        && template.iter().zip(&path).all(|(template, path)| is_parameter(template) || template == path)
}

/// The answer in full; what is wrong with it goes to `faults`.
pub fn answer(operation: &'static Value, status: u16, value: Value, faults: &mut Vec<String>) -> Value {
    let response = resolved(&operation["responses"][status.to_string()]);
    let schema = &response["content"]["application/json"]["schema"];
    if response.is_null() || schema.is_null() != value.is_null() {
        faults.push(format!("{} does not answer {status} {value}", operation["operationId"]));
    }
    if schema.is_null() {
        return value;
    }
    let full = filled(schema, value);
    check(schema, &full, &operation["operationId"].to_string(), faults);
    full
}

/// A refusal, as far as the operation names it; what is wrong with it goes to `faults`.
pub fn refused(operation: &'static Value, status: u16, value: &Value, faults: &mut Vec<String>) {
    let schema = &resolved(&operation["responses"][status.to_string()])["content"]["application/json"]["schema"];
    if !schema.is_null() {
        check(schema, value, &format!("{} refusing", operation["operationId"]), faults);
    }
}

/// What was asked with this body; what is wrong with it goes to `faults`.
pub fn asked(operation: &'static Value, body: &Value, faults: &mut Vec<String>) {
    let schema = resolved(&resolved(&operation["requestBody"])["content"]["application/json"]["schema"]);
    let at = format!("{} asked", operation["operationId"]);
    if schema.is_null() || body.is_null() {
        if schema.is_null() != body.is_null() && operation["requestBody"]["required"] == true {
            faults.push(format!("{at}: {body}"));
        }
        return;
    }
    check_one(schema, body, &at, Others::None, faults);
    for name in list(schema, "required").iter().map(|name| name.as_str().unwrap()) {
        if body[name].is_null() {
            faults.push(format!("{at} has no {name}"));
        }
    }
}

fn resolved(schema: &'static Value) -> &'static Value {
    match schema["$ref"].as_str() {
        Some(reference) => resolved(DESCRIPTION.pointer(reference.trim_start_matches('#')).unwrap()),
        None => schema,
    }
}

fn list(schema: &'static Value, key: &str) -> &'static [Value] {
    schema[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The one of several that a value is meant as: of objects, any object.
fn alternative(schema: &'static Value, value: &Value) -> Option<&'static Value> {
    let all = list(schema, "anyOf").iter().chain(list(schema, "oneOf"));
    let mut all = all.map(resolved);
    let first = all.clone().next();
    all.find(|schema| (schema["type"] == "object" || !list(schema, "allOf").is_empty()) == value.is_object()).or(first)
}

fn filled(schema: &'static Value, value: Value) -> Value {
    let schema = resolved(schema);
    if value.is_null() {
        return value;
    }
    let value = list(schema, "allOf").iter().fold(value, |value, part| filled(part, value));
    if let Some(alternative) = alternative(schema, &value) {
        return filled(alternative, value);
    }
    match value {
        Value::Object(fields) => Value::Object(with_fields(schema, fields)),
        Value::Array(items) if !schema["items"].is_null() => {
            items.into_iter().map(|item| filled(&schema["items"], item)).collect()
        }
        value => value,
    }
}

fn with_fields(schema: &'static Value, fields: Map<String, Value>) -> Map<String, Value> {
    let properties = &schema["properties"];
    let mut full: Map<String, Value> = fields
        .into_iter()
        .map(|(name, value)| {
            let value = if properties[&name].is_null() { value } else { filled(&properties[&name], value) };
            (name, value)
        })
        .collect();
    for name in list(schema, "required").iter().map(|name| name.as_str().unwrap()) {
        if !full.contains_key(name) {
            full.insert(name.to_owned(), something(&properties[name]));
        }
    }
    full
}

/// What could stand there.
fn something(schema: &'static Value) -> Value {
    let schema = resolved(schema);
    if schema["nullable"] == true {
        return Value::Null;
    }
    if let Some(first) = list(schema, "enum").first() {
        return first.clone();
    }
    if let Some(first) = list(schema, "anyOf").iter().chain(list(schema, "oneOf")).next() {
        return something(first);
    }
    if !list(schema, "allOf").is_empty() {
        return filled(schema, json!({}));
    }
    match (schema["type"].as_str().unwrap_or("object"), schema["format"].as_str()) {
        ("string", Some("date-time")) => json!("2026-11-21T10:00:00Z"),
        ("string", Some("uri")) => json!("https://github.example/"),
        ("string", _) => json!(""),
        ("integer" | "number", _) => json!(0),
        ("boolean", _) => json!(false),
        ("array", _) => json!([]),
        _ => filled(schema, json!({})),
    }
}

fn check(schema: &'static Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    let schema = resolved(schema);
    if value.is_null() {
        if schema["nullable"] != true && !at.ends_with(NULL_ALL_THE_SAME) {
            faults.push(format!("{at} may not be null"));
        }
        return;
    }
    let parts = list(schema, "allOf");
    for part in parts {
        check_one(part, value, at, Others::Allowed, faults);
    }
    if let Some(alternative) = alternative(schema, value) {
        return check(alternative, value, at, faults);
    }
    if parts.is_empty() {
        check_one(schema, value, at, Others::None, faults);
    }
}

/// Whether an object may have fields that the schema does not name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Others {
    Allowed,
    None,
}

fn check_one(schema: &'static Value, value: &Value, at: &str, others: Others, faults: &mut Vec<String>) {
    let schema = resolved(schema);
    let is_right = match schema["type"].as_str() {
        Some("string") => value.is_string(),
        Some("integer") => value.is_u64() || value.is_i64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => true,
    };
    let choices = list(schema, "enum");
    if !is_right || (!choices.is_empty() && !choices.contains(value)) {
        faults.push(format!("{at} is {value}"));
        return;
    }
    match value {
        Value::Object(fields) => {
            let properties = &schema["properties"];
            let open = others == Others::Allowed || properties.is_null() || !schema["additionalProperties"].is_null();
            for (name, value) in fields {
                match &properties[name] {
                    Value::Null if open => {}
                    Value::Null => faults.push(format!("{at} has no field {name}")),
                    schema => check(schema, value, &format!("{at}.{name}"), faults),
                }
            }
        }
        Value::Array(items) if !schema["items"].is_null() => {
            for item in items {
                check(&schema["items"], item, at, faults);
            }
        }
        _ => {}
    }
}

#[test]
fn what_is_not_githubs_is_found() {
    assert!(operation("GET", "/repos/us/packages/pulls", &["state".into(), "page".into()]).is_ok());
    assert!(operation("GET", "/repos/us/packages/git/ref/heads/a/b", &[]).is_ok());
    assert!(operation("GET", "/repos/us/packages/pulls", &["stat".into()]).is_err());
    assert!(operation("DELETE", "/repos/us/packages/pulls", &[]).is_err());
    assert!(operation("GET", "/repos/us/packages/pulled", &[]).is_err());
    let pulls = operation("GET", "/repos/us/packages/pulls", &[]).unwrap();
    let faults = |status: u16, value: Value| {
        let mut faults = Vec::new();
        answer(pulls, status, value, &mut faults);
        faults
    };
    assert_eq!(faults(200, json!([{"number": 1}])), Vec::<String>::new());
    assert_eq!(faults(200, json!([{"number": "one"}])), ["\"pulls/list\".number is \"one\""]);
    assert_eq!(faults(200, json!([{"numbers": 1}])), ["\"pulls/list\" has no field numbers"]);
    assert_eq!(faults(200, json!([{"head": {"sha": null}}])), ["\"pulls/list\".head.sha may not be null"]);
    assert_eq!(faults(200, json!([{"author_association": "FRIEND"}])), ["\"pulls/list\".author_association is \"FRIEND\""]);
    assert_eq!(faults(202, json!([])).len(), 1);
    let refusal = |value: Value| {
        let mut faults = Vec::new();
        refused(operation("GET", "/repos/us/packages", &[]).unwrap(), 404, &value, &mut faults);
        faults
    };
    assert_eq!(refusal(json!({"message": "Not Found"})), Vec::<String>::new());
    assert_eq!(refusal(json!({"message": 404})).len(), 1);
    let revoke = operation("DELETE", "/applications/Iv1.0/token", &[]).unwrap();
    let mut found = Vec::new();
    asked(revoke, &json!({"token": "ghu_x"}), &mut found);
    answer(revoke, 204, Value::Null, &mut found);
    assert_eq!(found.len(), 2, "a field that is none, and one that is missing: {found:#?}");
}
