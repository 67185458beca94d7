//! `GET /api/openapi.json`: the interface as OpenAPI 3.1. Addresses and words are written here by hand; the shapes are those of the
//! types that the handlers return. A test asks every address.

use actix_web::HttpResponse;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::api;
use super::reviewed::ReviewDocument;

/// `GET /api/openapi.json`
pub async fn document() -> HttpResponse {
    HttpResponse::Ok().json(openapi())
}

pub fn openapi() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut schemas = settings.into_generator();
    let paths = paths(&mut schemas);
    let mut definitions = schemas.take_definitions(true);
    definitions.insert(
        "Error".into(),
        json!({"type": "object", "required": ["error"], "properties": {"error": {"type": "object", "required": ["code", "message"],
            "properties": {"code": {"type": "string"}, "message": {"type": "string"}}}}}),
    );
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Snowgate", "version": env!("CARGO_PKG_VERSION"),
                 "description": "Reviews of changes to a Nix repository: base against head, what newly fails and why, and whether to merge."},
        "paths": paths,
        "components": {"schemas": definitions},
    })
}

fn paths(schemas: &mut SchemaGenerator) -> Value {
    let mut paths = Map::new();
    let mut get = |path: &str, summary: &str, parameters: Value, answer: Value| {
        let mut responses = json!({"200": answer, "default": fault()});
        if path.contains('{') {
            responses["404"] = fault();
        }
        paths.insert(path.into(), json!({"get": {"summary": summary, "parameters": parameters, "responses": responses}}));
    };
    let repositories = list(&schemas.subschema_for::<api::Repository>().to_value());
    get("/api/repositories", "Repositories that are served.", json!([]), repositories);
    let pulls = list(&schemas.subschema_for::<api::Pull>().to_value());
    get("/api/pulls", "Pull requests with their current reviews.", pulls_parameters(), pulls);
    let review = one(&schemas.subschema_for::<ReviewDocument<'_>>().to_value());
    get(
        "/api/reviews/{id}",
        "The report of a review, and what people who may write think of its pull request.",
        json!([in_path("id")]),
        review,
    );
    let derivation = one(&schemas.subschema_for::<api::DerivationDocument>().to_value());
    get(
        "/api/derivations/{id}",
        "A derivation, by HASH-NAME.drv, and the attempts to build it.",
        json!([in_path("id")]),
        derivation,
    );
    get("/api/logs/{id}", "The log of the latest attempt to build HASH-NAME.drv.", log_parameters(&["id"]), log());
    get("/api/logs/{id}/{timestamp}", "The log of one attempt.", log_parameters(&["id", "timestamp"]), log());
    get(
        "/api/search",
        "Attributes of base branches, derivations that were tried and pull requests, by any part of their names; 50 of each at most.",
        json!([in_query("q", "string", "Words, all of which have to occur.")]),
        one(&json!({"type": "object", "required": ["attributes", "more_attributes", "derivations", "pulls"], "properties": {
            "attributes": {"type": "array"}, "more_attributes": {"type": "boolean"}, "derivations": {"type": "array"}, "pulls": {"type": "array"}}})),
    );
    let builders = list(&schemas.subschema_for::<api::Builder>().to_value());
    get("/api/builders", "Builders, how they are and what they can build.", json!([]), builders);
    let stats = one(&schemas.subschema_for::<api::QueueStats>().to_value());
    get("/api/queue/stats", "The queue, counted by state and by builder.", json!([]), stats);
    let packages = one(&schemas.subschema_for::<api::QueuePackages>().to_value());
    get(
        "/api/queue/packages",
        "What is being built, and what waits in the order in which it will start.",
        json!([in_query("limit", "integer", "Waiting ones listed; 200 unless given.")]),
        packages,
    );
    get(
        "/api/events",
        "Reviews, builds and the queue as they change.",
        json!([in_query("review", "string", "Only what concerns this review.")]),
        text("text/event-stream"),
    );
    let alarms = list(&schemas.subschema_for::<super::alarms::Alarm>().to_value());
    get("/api/alarms", "What the self-check of evaluations found, newest first.", json!([]), alarms);
    get("/api/openapi.json", "This document.", json!([]), one(&json!({"type": "object"})));
    get(
        "/healthz",
        "Liveness, with the state of each actor; 503 while something is down.",
        json!([]),
        one(&json!({"type": "object"})),
    );
    get("/metrics", "Metrics in Prometheus' text format.", json!([]), text("text/plain"));
    for (action, summary) in [
        ("rerun", "Reviews the change again; what is remembered as failed is built again."),
        ("cancel", "Ends a review that is under way."),
        ("allow", "Lets a stranger's change be evaluated and built: the head that the review is of."),
        ("bump", "What the review still has to build goes before what others have."),
    ] {
        paths.insert(format!("/api/reviews/{{id}}/{action}"), action_item(summary, "the page of the review"));
    }
    for (action, summary) in [
        ("approve", "Approves the head on the forge, as the person who is signed in; fields: head, body, report=yes."),
        ("request-changes", "Requests changes on the forge; fields: head, body, report=yes."),
        ("comment", "Comments on the forge; fields: head, body, report=yes."),
        (
            "merge",
            "Merges the head on the forge; fields: head, method, title, message, when=mergeable. 409 where it has moved, or the forge's rules are against it.",
        ),
    ] {
        paths.insert(format!("/api/reviews/{{id}}/{action}"), action_item(summary, "the page of the review"));
    }
    for (action, summary) in [
        ("drain", "The builder takes nothing new; what runs on it comes to its end."),
        ("undrain", "The builder takes builds again."),
    ] {
        paths.insert(format!("/api/builders/{{id}}/{action}"), action_item(summary, "the page of builders"));
    }
    let retry =
        "Forgets how a derivation ended, and runs the current reviews again that it was built for: their ids are in `reviews`.";
    paths.insert("/api/derivations/{id}/retry".into(), action_item(retry, "the page of the derivation"));
    paths.insert("/api/alarms/{id}/{side}".into(), alarm_side());
    paths.insert("/api/alarms/{id}/acknowledge".into(), acknowledge_item());
    paths.insert(
        "/webhooks/github".into(),
        json!({"post": {
            "summary": "Deliveries of a GitHub App, signed with its webhook secret; 501 while there is no App.",
            "responses": {
                "200": one(&json!({"type": "object", "required": ["status"], "properties": {"status": {"enum": ["accepted", "ignored", "repeated"]}}})),
                "400": fault(), "401": fault(), "413": fault(), "501": fault(), "default": fault()}}}),
    );
    paths.extend(sign_in());
    Value::Object(paths)
}

/// There where people can sign in; 404 where nobody can.
fn sign_in() -> Map<String, Value> {
    let away = |to: &str| json!({"description": format!("To {to}."), "headers": {"location": {"schema": {"type": "string"}}}});
    let faulty = |mut responses: Value| {
        responses["404"] = fault();
        responses["default"] = fault();
        responses
    };
    let page = json!({"description": "The page.", "content": {"text/html": {"schema": {"type": "string"}}}});
    let form = json!({"content": {"application/x-www-form-urlencoded": {"schema": {"type": "object", "required": ["csrf"],
        "properties": {"csrf": {"type": "string", "description": "As the forms of the session's pages carry it."}}}}}});
    let done = json!({"description": "The session is over, and its token revoked."});
    let own = "Ends all sessions of a person: one's own, or as an administrator.";
    let ended = one(&json!({"type": "object", "required": ["id", "action"],
        "properties": {"id": {"type": "integer"}, "action": {"type": "string"}}}));
    let user = json!({"name": "user", "in": "path", "required": true, "schema": {"type": "integer"}, "description": "By the forge's number."});
    let items = json!({
        "/sessions": {"get": {
            "summary": "Where one is signed in; an administrator sees everybody.",
            "responses": faulty(json!({"200": page, "401": fault()}))}},
        "/auth/github/login": {"get": {
            "summary": "Sends a browser to GitHub to sign in, with a state and a PKCE challenge.",
            "parameters": [in_query("return", "string", "The page to come back to.")],
            "responses": faulty(json!({"303": away("GitHub")}))}},
        "/auth/github/callback": {"get": {
            "summary": "Where GitHub sends the browser back to: a session begins, in a cookie.",
            "parameters": [in_query("code", "string", "GitHub's."), in_query("state", "string", "Ours.")],
            "responses": faulty(json!({"303": away("the page that the browser came from"), "400": fault(), "403": fault()}))}},
        "/auth/sign-out": {"post": {
            "summary": "Ends this session.", "requestBody": form,
            "responses": faulty(json!({"204": done, "303": away("the first page, where the request accepts text/html"), "401": fault(), "403": fault()}))}},
        "/api/users/{user}/sign-out": {"post": {
            "summary": own, "parameters": [user], "requestBody": form,
            "responses": faulty(json!({"202": ended, "303": away("the first page, or the sessions"), "401": fault(), "403": fault()}))}},
    });
    match items {
        Value::Object(items) => items,
        _ => Map::new(),
    }
}

fn action_item(summary: &str, page: &str) -> Value {
    json!({"post": {
        "summary": summary,
        "description": "For who is signed in and has the right, with what the forms of their pages carry as the header x-csrf-token or the form field csrf. And from the server's own machine: there the cookie snowgate_csrf, which a page with buttons sets, and the token have the same value.",
        "parameters": [in_path("id"), {"name": "x-csrf-token", "in": "header", "schema": {"type": "string"}}],
        "responses": {
            "202": one(&json!({"type": "object", "required": ["id", "action"], "properties": {"id": {"type": "string"}, "action": {"type": "string"}}})),
            "303": {"description": format!("Where the request accepts text/html: to {page}.")},
            "401": fault(), "403": fault(), "404": fault(), "409": fault(), "default": fault()},
    }})
}

fn alarm_side() -> Value {
    let side =
        json!({"name": "side", "in": "path", "required": true, "schema": {"type": "string", "enum": ["full", "incremental"]}});
    json!({"get": {
        "summary": "One of the two evaluations that an alarm is about, as it was kept.",
        "parameters": [in_path("id"), side],
        "responses": {"200": one(&json!({"type": "object"})), "404": fault(), "default": fault()},
    }})
}

fn acknowledge_item() -> Value {
    json!({"post": {
        "summary": "Takes note of an alarm of the self-check.",
        "description": "For administrators, with the cookie and the token that /settings gives.",
        "parameters": [in_path("id"), {"name": "x-csrf-token", "in": "header", "schema": {"type": "string"}}],
        "responses": {
            "200": one(&json!({"type": "object", "required": ["id", "action"], "properties": {"id": {"type": "integer"}, "action": {"type": "string"}}})),
            "303": {"description": "Where the request accepts text/html: to the settings."},
            "403": fault(), "404": fault(), "default": fault()},
    }})
}

fn one(schema: &Value) -> Value {
    json!({"description": "As asked.", "content": {"application/json": {"schema": schema}}})
}

fn list(schema: &Value) -> Value {
    one(&json!({"type": "array", "items": schema}))
}

fn text(media: &str) -> Value {
    json!({"description": "As asked.", "content": {media: {"schema": {"type": "string"}}}})
}

fn log() -> Value {
    json!({"description": "The log. With `Accept: text/event-stream` its lines as they are written: each event's id is the offset after it; the last event is `end`.",
        "headers": {
            "x-log-attempt": {"description": "The attempt.", "schema": {"type": "string"}},
            "x-log-offset": {"description": "Where the text begins in the whole log, in bytes.", "schema": {"type": "integer"}},
            "x-log-live": {"description": "Whether the build still runs.", "schema": {"type": "boolean"}}},
        "content": {"text/plain": {"schema": {"type": "string"}}, "text/event-stream": {"schema": {"type": "string"}}}})
}

fn fault() -> Value {
    json!({"description": "Why not.", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}})
}

fn in_path(name: &str) -> Value {
    json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})
}

fn in_query(name: &str, kind: &str, description: &str) -> Value {
    json!({"name": name, "in": "query", "description": description, "schema": {"type": kind}})
}

fn log_parameters(in_path_too: &[&str]) -> Value {
    let mut parameters = in_path_too.iter().map(|name| in_path(name)).collect::<Vec<_>>();
    parameters.push(in_query("tail", "integer", "Only the last lines, this many."));
    parameters.push(in_query("offset", "integer", "Only from this byte on."));
    Value::Array(parameters)
}

fn pulls_parameters() -> Value {
    let choice = |name: &str, choices: &[&str], default: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "enum": choices, "default": default}});
    json!([
        in_query("repository", "string", "OWNER/NAME"),
        choice("state", &["open", "merged", "closed", "all"], "open"),
        choice("order", &["rebuilds", "verdict", "oldest", "created", "updated", "author", "repository", "number"], "rebuilds"),
        json!({"name": "verdict", "in": "query", "schema": {"type": "string", "enum": ["mergeable", "blocked", "pending"]}}),
        in_query("author", "string", "As the forge names them."),
        in_query("q", "string", "Words that all must occur in repository, title, author or branch."),
    ])
}
