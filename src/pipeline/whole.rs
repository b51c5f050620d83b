//! The JSON Schema of a whole document, for editors: the sections, and in them every kind with its settings.

use serde_json::{Map, Value as Json, json};

use super::kinds::{Family, kinds};
use crate::engine::EngineSettings;

/// The JSON Schema of pipeline documents (draft 2020-12), made of the schemas of all kinds.
pub fn schema() -> Json {
    let mut defs = Map::new();
    let mut sections = Map::new();
    for family in Family::ALL {
        let mut forms = Map::new();
        for (name, schema) in kinds(family) {
            let own = format!("{}.{name}", family.name());
            let mut schema = adopt(schema, &own, &mut defs);
            // A kind that needs no settings may stand alone: `parquet:`.
            if schema["required"].as_array().is_none_or(Vec::is_empty) {
                schema["type"] = json!(["object", "null"]);
            }
            forms.insert(name.into(), json!({ "$ref": format!("#/$defs/{own}") }));
            defs.insert(own, schema);
        }
        let one_kind = json!({
            "description": family.about(),
            "type": "object",
            "properties": forms,
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": false
        });
        defs.insert(family.name().into(), one_kind);
        let step = json!({ "$ref": format!("#/$defs/{}", family.name()) });
        sections.insert(family.name().into(), if family == Family::Source { step } else { labelled(family, &step) });
    }
    let engine = adopt(schemars::schema_for!(EngineSettings).to_value(), "engine", &mut defs);
    defs.insert("engine".into(), engine);
    let mut properties = Map::from_iter([
        ("description".into(), json!({ "type": "string", "description": "What the pipeline is for." })),
        (
            "parameters".into(),
            json!({ "type": "object", "description": "Names that `${name}` stands for; `--set name=value` changes them." }),
        ),
        (
            "run".into(),
            json!({ "type": "string", "description": "The run directory: every table, the rejects, the commits." }),
        ),
        (
            "seed".into(),
            or_parameter(json!({ "type": "integer", "minimum": 0, "description": "The seed of every draw." })),
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

/// A schema whose definitions move to the common ones, under a prefix that keeps them apart.
fn adopt(mut schema: Json, own: &str, defs: &mut Map<String, Json>) -> Json {
    if let Some(map) = schema.as_object_mut() {
        map.remove("$schema");
        if let Some(Json::Object(inner)) = map.remove("$defs") {
            for (name, definition) in inner {
                defs.insert(format!("{own}.{name}"), open(definition, own));
            }
        }
    }
    open(schema, own)
}

/// Points references to their new place, and lets a parameter stand for everything that is no text.
fn open(schema: Json, own: &str) -> Json {
    match schema {
        Json::Object(map) => {
            let map: Map<String, Json> = map
                .into_iter()
                .map(|(key, value)| match (key.as_str(), value) {
                    ("$ref", Json::String(path)) => {
                        let name = path.trim_start_matches("#/$defs/");
                        (key, format!("#/$defs/{own}.{name}").into())
                    }
                    // A parameter fits every one of several words.
                    ("oneOf", value) => ("anyOf".to_owned(), open(value, own)),
                    // What stands in these is no schema, whatever it looks like.
                    ("default" | "enum" | "const" | "examples" | "required" | "type", value) => (key, value),
                    ("properties", Json::Object(properties)) => (
                        key,
                        properties.into_iter().map(|(key, part)| (key, open(part, own))).collect::<Map<_, _>>().into(),
                    ),
                    (_, value) => (key, open(value, own)),
                })
                .collect();
            or_parameter(map.into())
        }
        Json::Array(items) => items.into_iter().map(|item| open(item, own)).collect(),
        other => other,
    }
}

/// The schema, or text with a parameter in it.
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
