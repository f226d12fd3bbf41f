//! Holds JSON to the description that the server publishes of it.
//!
//! It never passes over a keyword it does not know, and takes objects as closed: what
//! is sent and not described is a fault, though clients are told to ignore it.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};

/// A document with schemas in it (JSON Schema draft 7, as far as ours use it).
pub struct Description(Value);

/// Keywords that say something to people only, or repeat what `type` says.
const ANNOTATIONS: [&str; 5] = ["title", "description", "format", "default", "examples"];

impl Description {
    /// The document at a path of a site.
    ///
    /// # Errors
    /// When there is none.
    pub async fn fetch(site: &str, path: &str) -> Result<Self> {
        let answer = reqwest::get(format!("{site}{path}")).await?;
        Ok(Self(answer.error_for_status()?.json().await?))
    }

    /// The document itself.
    pub fn document(&self) -> &Value {
        &self.0
    }

    /// Whether `value` is as the schema at this JSON pointer says.
    ///
    /// # Errors
    /// With the place where it is not.
    pub fn hold(&self, value: &Value, pointer: &str) -> Result<()> {
        let schema = self
            .0
            .pointer(pointer)
            .with_context(|| format!("{pointer} is not described"))?;
        self.check(schema, value)
            .with_context(|| format!("{value} is not as {pointer} says"))
    }

    fn check(&self, schema: &Value, value: &Value) -> Result<()> {
        let Value::Object(keywords) = schema else {
            ensure!(*schema == Value::Bool(true), "nothing is allowed here");
            return Ok(());
        };
        for (keyword, said) in keywords {
            let list = || said.as_array().context("a list of schemas");
            match keyword.as_str() {
                "$ref" => {
                    let path = said.as_str().and_then(|path| path.strip_prefix('#'));
                    self.hold(value, path.context("a local reference")?)?;
                }
                "type" => ensure!(is_of(said, value), "{value} is no {said}"),
                "const" => ensure!(said == value, "{value} is not {said}"),
                "enum" => ensure!(list()?.contains(value), "{value} is none of {said}"),
                // Of what is no number they say nothing.
                "minimum" => ensure!(
                    value
                        .as_f64()
                        .is_none_or(|value| Some(value) >= said.as_f64()),
                    "{value} < {said}"
                ),
                "maximum" => ensure!(
                    value
                        .as_f64()
                        .is_none_or(|value| Some(value) <= said.as_f64()),
                    "{value} > {said}"
                ),
                "allOf" => list()?.iter().try_for_each(|one| self.check(one, value))?,
                "anyOf" | "oneOf" => {
                    let faults = list()?
                        .iter()
                        .filter_map(|one| self.check(one, value).err());
                    let faults: Vec<String> = faults.map(|fault| format!("{fault:#}")).collect();
                    let fits = list()?.len() - faults.len();
                    let enough = fits == 1 || (fits > 1 && keyword == "anyOf");
                    ensure!(enough, "{fits} alternatives fit: {}", faults.join("; "));
                }
                "items" => {
                    let entries = value.as_array().into_iter().flatten();
                    entries
                        .into_iter()
                        .try_for_each(|entry| self.check(said, entry))?;
                }
                "required" => {
                    let missing = list()?.iter().filter_map(Value::as_str);
                    let missing: Vec<&str> = missing
                        .filter(|name| value.is_object() && value.get(name).is_none())
                        .collect();
                    ensure!(missing.is_empty(), "{missing:?} are missing");
                }
                "properties" | "additionalProperties" => self.fields(keywords, value)?,
                other if ANNOTATIONS.contains(&other) => {}
                other => bail!("the keyword {other} is not known here"),
            }
        }
        Ok(())
    }

    fn fields(&self, keywords: &Map<String, Value>, value: &Value) -> Result<()> {
        for (name, field) in value.as_object().into_iter().flatten() {
            let known = keywords.get("properties").and_then(|known| known.get(name));
            let schema = known.or(keywords.get("additionalProperties"));
            let schema = schema.with_context(|| format!("{name} is not described"))?;
            self.check(schema, field).with_context(|| name.clone())?;
        }
        Ok(())
    }
}

/// Whether a value is of a type, or of one of several.
fn is_of(types: &Value, value: &Value) -> bool {
    match types {
        Value::Array(types) => types.iter().any(|one| is_of(one, value)),
        one => match one.as_str() {
            Some("null") => value.is_null(),
            Some("boolean") => value.is_boolean(),
            Some("integer") => value.is_i64() || value.is_u64(),
            Some("number") => value.is_number(),
            Some("string") => value.is_string(),
            Some("array") => value.is_array(),
            Some("object") => value.is_object(),
            _ => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_as_described_is_found() {
        let document = Description(json!({
            "frame": {
                "type": "object",
                "properties": { "t": { "const": "up" }, "s": { "$ref": "#/count" }, "d": { "anyOf": [
                    { "type": "null" },
                    { "type": "array", "items": { "enum": ["a", "b"] } },
                ] } },
                "required": ["t", "s"],
            },
            "count": { "type": "integer", "minimum": 0 },
            "odd": { "pattern": "x" },
        }));

        for good in [
            json!({"t": "up", "s": 1}),
            json!({"t": "up", "s": 0, "d": ["a", "b"]}),
            json!({"t": "up", "s": 0, "d": null}),
        ] {
            document.hold(&good, "/frame").unwrap();
        }
        for bad in [
            json!({"t": "up"}),
            json!({"t": "down", "s": 1}),
            json!({"t": "up", "s": -1}),
            json!({"t": "up", "s": "1"}),
            json!({"t": "up", "s": 1, "d": ["c"]}),
            json!({"t": "up", "s": 1, "extra": true}),
            json!([]),
        ] {
            assert!(document.hold(&bad, "/frame").is_err(), "{bad}");
        }
        assert!(document.hold(&json!("x"), "/odd").is_err());
        assert!(document.hold(&json!("x"), "/missing").is_err());
    }
}
