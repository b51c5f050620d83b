//! The JSON Schema of a pipeline document, for editors: its sections, and every kind with its settings.

use serde_json::{Map, Value as Json, json};

use super::{
    kinds::{Family, kinds},
    settings::PATH,
};
use crate::engine::EngineSettings;

/// The JSON Schema of pipeline documents (draft 2020-12), assembled from the schemas of all kinds.
pub fn schema() -> Json {
    let mut defs = Map::new();
    let mut sections = Map::new();
    for family in Family::ALL {
        let mut variants = Map::new();
        for (name, schema) in kinds(family) {
            let own = format!("{}.{name}", family.name());
            let mut schema = move_definitions(schema, &own, &mut defs);
            // A kind without required settings may have an empty value: `parquet:`.
            if schema["required"].as_array().is_none_or(Vec::is_empty) {
                schema["type"] = json!(["object", "null"]);
            }
            variants.insert(name.into(), json!({ "$ref": format!("#/$defs/{own}") }));
            defs.insert(own, schema);
        }
        let one_kind = json!({
            "description": family.about(),
            "type": "object",
            "properties": variants,
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": false
        });
        defs.insert(family.name().into(), one_kind);
        let step = json!({ "$ref": format!("#/$defs/{}", family.name()) });
        sections.insert(family.name().into(), if family == Family::Source { step } else { labelled(family, &step) });
    }
    let engine = move_definitions(schemars::schema_for!(EngineSettings).to_value(), "engine", &mut defs);
    defs.insert("engine".into(), engine);
    let mut properties = Map::from_iter([
        ("description".into(), json!({ "type": "string", "description": "A description of the pipeline." })),
        (
            "parameters".into(),
            json!({ "type": "object", "description": "Parameters and their values: `${name}` inserts one, `--set name=value` overrides it." }),
        ),
        (
            "run".into(),
            json!({ "type": "string", "format": PATH, "description": "The run directory: tables, rejects and commit records." }),
        ),
        (
            "seed".into(),
            or_parameter(json!({ "type": "integer", "minimum": 0, "description": "The seed of all random draws." })),
        ),
        ("engine".into(), json!({ "$ref": "#/$defs/engine" })),
    ]);
    properties.append(&mut sections);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Lucarne pipeline",
        "type": "object",
        "properties": properties,
        "required": ["source"],
        "additionalProperties": false,
        "$defs": defs
    })
}

fn labelled(family: Family, step: &Json) -> Json {
    json!({
        "type": ["object", "null"],
        "description": family.about(),
        "propertyNames": { "pattern": "^[A-Za-z][A-Za-z0-9_]*$" },
        "additionalProperties": step
    })
}

/// Moves the definitions of a schema to the common ones, under a prefix that avoids collisions, and returns the rest.
fn move_definitions(mut schema: Json, own: &str, defs: &mut Map<String, Json>) -> Json {
    if let Some(map) = schema.as_object_mut() {
        map.remove("$schema");
        if let Some(Json::Object(inner)) = map.remove("$defs") {
            for (name, definition) in inner {
                defs.insert(format!("{own}.{name}"), adapt(definition, own));
            }
        }
    }
    adapt(schema, own)
}

/// Adapts references to the moved definitions, and accepts a parameter for every scalar that is not text.
fn adapt(schema: Json, own: &str) -> Json {
    match schema {
        Json::Object(map) => {
            let map: Map<String, Json> = map
                .into_iter()
                .map(|(key, value)| match (key.as_str(), value) {
                    ("$ref", Json::String(path)) => {
                        let name = path.trim_start_matches("#/$defs/");
                        (key, format!("#/$defs/{own}.{name}").into())
                    }
                    // A parameter matches every alternative, which `oneOf` would refuse.
                    ("oneOf", value) => ("anyOf".to_owned(), adapt(value, own)),
                    // The values of these keywords are not schemas, even if they look like one.
                    ("default" | "enum" | "const" | "examples" | "required" | "type", value) => (key, value),
                    ("properties", Json::Object(properties)) => (
                        key,
                        properties.into_iter().map(|(key, part)| (key, adapt(part, own))).collect::<Map<_, _>>().into(),
                    ),
                    (_, value) => (key, adapt(value, own)),
                })
                .collect();
            or_parameter(map.into())
        }
        Json::Array(items) => items.into_iter().map(|item| adapt(item, own)).collect(),
        other => other,
    }
}

/// The schema, or text that contains a parameter.
fn or_parameter(schema: Json) -> Json {
    let scalar = |name: &Json| ["integer", "number", "boolean"].iter().any(|scalar| name == scalar);
    let is_scalar = match &schema["type"] {
        Json::Array(names) => names.iter().any(scalar) && !names.iter().any(|name| name == "string"),
        name => scalar(name),
    };
    let words = schema["enum"].is_array() || schema["const"].is_string();
    if !is_scalar && !words {
        return schema;
    }
    let mut outer = Map::new();
    let mut inner = schema;
    for key in ["description", "default"] {
        if let Some(value) = inner.as_object_mut().and_then(|map| map.remove(key)) {
            outer.insert(key.into(), value);
        }
    }
    outer.insert("anyOf".into(), json!([inner, { "type": "string", "pattern": "\\$\\{[^}]+\\}" }]));
    outer.into()
}
