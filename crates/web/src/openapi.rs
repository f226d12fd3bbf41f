//! `GET /api/v1/openapi.json`: what programs may ask for.
//!
//! Addresses, methods and permissions come from the table of routes, and schemas from
//! the types that are sent; only the sentences are written here. A route for programs
//! without a sentence fails a test, and so does a sentence without a route.

mod told;

use std::collections::BTreeMap;

use actix_web::web;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use self::told::{Gives, TOLD, Takes, Told};
use crate::app::routes;
use crate::routes::health::Readiness;
use crate::routes::plain::{Received, ReceivedList};
use crate::routes::session::SignIn;
use crate::trace::Problem;
use crate::wire::{JobList, UploadList};

/// `GET /api/v1/openapi.json`
pub(crate) async fn openapi() -> web::Json<Value> {
    web::Json(document())
}

fn document() -> Value {
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for (method, path, access) in routes() {
        let told = TOLD
            .iter()
            .find(|told| (told.0, told.1) == (&*method, path));
        if let Some(told) = told {
            let operation = operation(*told, access);
            paths
                .entry(path)
                .or_default()
                .insert(method.to_lowercase(), operation);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Slipway",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Resumable uploads by tus 1.0.0 and the IETF draft, jobs on them, and plain ways in. \
                Progress comes over the WebSocket /live. What an operation needs is its x-slipway-access.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "__Host-slipway"},
            },
        },
    })
}

fn operation((method, path, summary, takes, gives): Told, access: &str) -> Value {
    let mut parameters: Vec<Value> = path
        .split(['{', '}'])
        .skip(1)
        .step_by(2)
        .map(|name| parameter("path", name, true, path_schema(method, name)))
        .collect();
    let mut operation = json!({
        "operationId": format!("{} {path}", method.to_lowercase()),
        "summary": summary,
        "x-slipway-access": access,
        "responses": responses(gives),
        "security": match access {
            "everybody" | "key" => json!([]),
            _ => json!([{"bearer": []}, {"session": []}]),
        },
    });
    parameters.extend(headers(takes));
    operation["parameters"] = parameters.into();
    if let Some(body) = body(takes) {
        operation["requestBody"] = body;
    }
    operation
}

fn path_schema(method: &str, name: &str) -> Value {
    match (method, name) {
        ("PUT", _) => json!({"type": "string", "description": "what the file is called"}),
        (_, "topic") => json!({"type": "string", "pattern": "^(upload|job|account):"}),
        (_, "id") => json!({"type": "string", "format": "uuid"}),
        _ => json!({"type": "string", "description": "the id of an upload and a signature"}),
    }
}

fn parameter(place: &str, name: &str, required: bool, schema: Value) -> Value {
    json!({"in": place, "name": name, "required": required, "schema": schema})
}

fn headers(takes: Takes) -> Vec<Value> {
    let count = json!({"type": "integer", "minimum": 0});
    let version = parameter("header", "Tus-Resumable", true, json!({"const": "1.0.0"}));
    match takes {
        Takes::Page => vec![
            parameter(
                "query",
                "cursor",
                false,
                json!({"type": "string", "format": "uuid"}),
            ),
            parameter("query", "owner", false, json!({"const": "all"})),
        ],
        Takes::Position => vec![
            parameter("query", "since", false, json!({"type": "string"})),
            parameter("query", "wait", false, count),
        ],
        Takes::Announcement => vec![
            version,
            parameter("header", "Upload-Length", true, count),
            parameter(
                "header",
                "Upload-Metadata",
                false,
                json!({"type": "string"}),
            ),
        ],
        Takes::Version => vec![version],
        Takes::Continuation => vec![version, parameter("header", "Upload-Offset", true, count)],
        Takes::Nothing | Takes::Json(_) | Takes::Bytes | Takes::Form => Vec::new(),
    }
}

fn body(takes: Takes) -> Option<Value> {
    let (media_type, schema) = match takes {
        Takes::Json(name) => ("application/json", reference(name)),
        Takes::Bytes => ("application/octet-stream", json!({})),
        Takes::Continuation => ("application/offset+octet-stream", json!({})),
        Takes::Form => (
            "multipart/form-data",
            json!({"type": "object", "required": ["files"], "properties": {"files": {"type": "string", "format": "binary"}}}),
        ),
        Takes::Nothing | Takes::Page | Takes::Position | Takes::Announcement | Takes::Version => {
            return None;
        }
    };
    // A file may be empty.
    let required = !matches!(takes, Takes::Bytes);
    Some(json!({"required": required, "content": {media_type: {"schema": schema}}}))
}

fn responses(gives: Gives) -> Value {
    let (status, content) = match gives {
        Gives::Nothing(status) => (status, json!({})),
        Gives::Json(status, name) => (
            status,
            json!({"application/json": {"schema": reference(name)}}),
        ),
        Gives::Text => (200, json!({"text/plain": {"schema": {"type": "string"}}})),
        Gives::Bytes => (200, json!({"*/*": {}})),
        Gives::Events => (
            200,
            json!({"text/event-stream": {"schema": {"type": "string"}}}),
        ),
        Gives::Anything => (
            200,
            json!({"application/json": {"schema": {"type": "object"}}}),
        ),
    };
    let mut done = json!({"description": "done"});
    if content != json!({}) {
        done["content"] = content;
    }
    json!({
        status.to_string(): done,
        "default": {
            "description": "it was not done; the problem says why",
            "content": {"application/problem+json": {"schema": reference("Problem")}},
        },
    })
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#{SCHEMAS}/{name}")})
}

/// Where schemas are kept in the document.
const SCHEMAS: &str = "/components/schemas";

/// The schema of every type that is sent, with those inside it.
fn schemas() -> Map<String, Value> {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = SCHEMAS.into();
    let mut generator: SchemaGenerator = settings.into_generator();
    generator.subschema_for::<UploadList>();
    generator.subschema_for::<JobList>();
    generator.subschema_for::<Received>();
    generator.subschema_for::<ReceivedList>();
    generator.subschema_for::<Readiness>();
    generator.subschema_for::<Problem<'static>>();
    generator.subschema_for::<SignIn>();
    generator.take_definitions(true)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_for_programs_is_described_and_nothing_else() {
        let is_for_programs = |method: &str, path: &str| {
            let plain = [("PUT", "/uploads/{id}"), ("POST", "/uploads")];
            let prefixes = ["/api/", "/files", "/healthz", "/readyz"];
            plain.contains(&(method, path))
                || prefixes.iter().any(|prefix| path.starts_with(prefix))
        };
        let served: BTreeSet<_> = routes()
            .into_iter()
            .filter(|(method, path, _)| is_for_programs(method, path))
            .map(|(method, path, _)| (method, path))
            .collect();
        let told: BTreeSet<_> = TOLD
            .iter()
            .map(|told| (told.0.to_owned(), told.1))
            .collect();

        assert_eq!(served, told);
        assert_eq!(told.len(), TOLD.len());
    }

    #[test]
    fn whatever_is_referred_to_is_there() {
        let document = document();
        let text = document.to_string();

        for name in text.split("#/components/schemas/").skip(1) {
            let name = name.split('"').next().unwrap_or_default();
            let schema = &document["components"]["schemas"][name];
            assert!(schema.is_object(), "{name}");
        }
        let upload = &document["components"]["schemas"]["UploadJson"]["properties"];
        assert_eq!(upload["created_at"]["format"], "date-time");
        assert_eq!(upload["stored_bytes"]["type"], "integer");
    }
}
