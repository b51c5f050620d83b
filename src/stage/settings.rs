//! Kinds: the settings of a stage, and the literal tables that register them.

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

use crate::error::{Code, Diagnostic};

/// A row of a literal table of kinds: the word in YAML and how its settings become a stage.
pub struct Kind<T: ?Sized> {
    /// The name in YAML, which is also the name of the file.
    pub name: &'static str,
    /// The schema of the settings; its descriptions are the reference that `lucarne kinds` prints.
    pub schema: fn() -> schemars::Schema,
    /// Examples of its settings, as YAML.
    pub examples: fn() -> &'static [&'static str],
    /// Reads settings and writes them back, with every default filled in.
    pub normalize: fn(settings: serde_json::Value) -> serde_json::Result<serde_json::Value>,
    /// Builds the stage of a label from settings that the schema has accepted.
    pub build: Build<T>,
}

/// Builds the stage of a label from its settings.
pub type Build<T> = fn(label: &str, settings: serde_json::Value) -> Result<Box<T>, Vec<Diagnostic>>;

/// The settings of a kind, and the stage they build.
pub trait Settings<T: ?Sized>: Serialize + DeserializeOwned + JsonSchema {
    /// The name in YAML.
    const NAME: &'static str;
    /// Examples of these settings, as YAML. The reference, the schema and the conformance tests read them, so each must build:
    /// images are called `image`, `y10_sky`, `y1_sky` (electrons), `y10` and `y1` (stretched), scores `da_y10` and `da_y1`, a
    /// monitor to follow `attack`.
    fn examples() -> &'static [&'static str];
    /// Builds the stage of a label.
    ///
    /// # Errors
    /// Mistakes that a JSON Schema cannot express.
    fn build(self, label: &str) -> Result<Box<T>, Vec<Diagnostic>>;
}

impl<T: ?Sized> Kind<T> {
    /// The table row of a kind.
    pub const fn of<S: Settings<T>>() -> Self {
        Self {
            name: S::NAME,
            schema: || schemars::schema_for!(S),
            examples: S::examples,
            normalize: |settings| serde_json::from_value::<S>(settings).and_then(serde_json::to_value),
            build: |label, settings| match serde_json::from_value::<S>(settings) {
                Ok(settings) => settings.build(label),
                Err(error) => Err(vec![Diagnostic::at("", Code::WrongType, error.to_string())]),
            },
        }
    }
}
