//! The AsyncAPI 3 description of `slipway.progress.v1`, made of the types that are
//! sent and read.
//!
//! It never describes what is not sent: there is no second list of frames or fields.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::SUBPROTOCOL;
use crate::frame::{FromClient, FromServer};

/// Where schemas that several frames share are kept in the document.
const SCHEMAS: &str = "/components/schemas";

const ABOUT: &str = "Progress as state: a viewer gets the whole state of each topic once, and then what \
     changes, in absolute values. A message of the server is one frame or an array of frames; a message \
     of the client is one frame. Both ignore frames and fields that they do not know. The position of a \
     topic is an epoch `e` and a sequence number `s`; whoever comes back with a position gets only what \
     they lack. The same frames, one topic a request, come from /api/v1/progress/{topic} and \
     /api/v1/progress/{topic}/events.";

/// The document, for whoever writes a client or a test.
pub fn asyncapi() -> Value {
    // Draft 7 is what AsyncAPI takes for granted, so that schemas need no envelope.
    let mut settings = SchemaSettings::draft07();
    settings.definitions_path = SCHEMAS.into();
    let mut generator = settings.into_generator();
    let server = frames::<FromServer<'static>>(&mut generator);
    let client = frames::<FromClient>(&mut generator);
    let names = |frames: &Map<String, Value>| -> Vec<String> { frames.keys().cloned().collect() };
    let (sent, heard) = (names(&server), names(&client));
    let messages: Map<String, Value> = server.into_iter().chain(client).collect();
    let in_channel: Map<String, Value> = messages
        .keys()
        .map(|name| (name.clone(), reference("/components/messages", name)))
        .collect();
    json!({
        "asyncapi": "3.0.0",
        "info": { "title": "Slipway progress", "version": "1", "description": ABOUT },
        "defaultContentType": "application/json",
        "channels": {
            "live": {
                "address": "/live",
                "title": SUBPROTOCOL,
                "description": "A WebSocket (RFC 6455) with text messages and the subprotocol \
                    slipway.progress.v1, for whoever is signed in or sends a bearer token.",
                "messages": in_channel,
                "bindings": { "ws": { "method": "GET", "headers": {
                    "type": "object",
                    "required": ["Sec-WebSocket-Protocol"],
                    "properties": { "Sec-WebSocket-Protocol": { "const": SUBPROTOCOL } },
                } } },
            },
        },
        "operations": {
            "tell": operation("send", &sent),
            "ask": operation("receive", &heard),
        },
        "components": { "messages": messages, "schemas": generator.take_definitions(true) },
    })
}

fn operation(action: &str, names: &[String]) -> Value {
    let messages: Vec<Value> = names
        .iter()
        .map(|name| reference("/channels/live/messages", name))
        .collect();
    json!({ "action": action, "channel": reference("/channels", "live"), "messages": messages })
}

fn reference(folder: &str, name: &str) -> Value {
    json!({ "$ref": format!("#{folder}/{name}") })
}

/// A message for each kind of frame, by the name in `t`.
fn frames<T: JsonSchema>(generator: &mut SchemaGenerator) -> Map<String, Value> {
    let mut schema = T::json_schema(generator).to_value();
    let kinds = match schema.get_mut("oneOf").map(Value::take) {
        Some(Value::Array(kinds)) => kinds,
        _ => Vec::new(),
    };
    kinds.into_iter().filter_map(message).collect()
}

fn message(payload: Value) -> Option<(String, Value)> {
    let name = payload["properties"]["t"]["const"].as_str()?.to_owned();
    let summary = payload["description"].clone();
    let message = json!({ "name": name, "summary": summary, "payload": payload });
    Some((name, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every `$ref` in a document.
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn each_frame_is_described_and_nothing_else() {
        let document = asyncapi();

        let names = |list: &Value| -> Vec<String> {
            let list = list.as_array().unwrap().iter();
            let name = |entry: &Value| {
                let path = entry["$ref"].as_str().unwrap();
                path.rsplit('/').next().unwrap().to_owned()
            };
            let mut names: Vec<String> = list.map(name).collect();
            names.sort();
            names
        };
        assert_eq!(
            names(&document["operations"]["tell"]["messages"]),
            [
                "drain", "err", "ev", "gone", "hb", "hello", "ok", "snap", "up"
            ]
        );
        assert_eq!(
            names(&document["operations"]["ask"]["messages"]),
            ["ack", "sub", "unsub"]
        );
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = asyncapi();
        let mut found = Vec::new();
        references(&document, &mut found);

        assert!(found.len() > 20, "{found:?}");
        for path in found {
            let pointer = path.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{path}");
        }
    }
}
