//! Schema registries: the schema of a number, over HTTP.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::connection::secret;
use crate::error::{Code, Diagnostic};

const TIMEOUT: Duration = Duration::from_secs(10);
/// The most bytes of an answer.
const MAX_BYTES: u64 = 16 << 20;
/// How deep schemas may refer to others.
const MAX_DEPTH: usize = 16;

/// A schema registry with the interface of Confluent's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// Its address: `https://registry.example.org`.
    pub url: String,
    /// The environment variable with the name of the user.
    #[serde(default)]
    pub username_env: Option<String>,
    /// The environment variable with the password of the user.
    #[serde(default)]
    pub password_env: Option<String>,
}

/// A schema, and those of the records that it names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RegisteredSchema {
    pub(crate) json: String,
    pub(crate) named: Vec<String>,
}

/// Why a registry gives no schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoSchema {
    /// It does not have the number.
    Unknown(String),
    /// It does not answer now.
    Unanswered(String),
}

#[derive(Deserialize)]
struct SchemaAnswer {
    schema: String,
    #[serde(rename = "schemaType", default)]
    kind: Option<String>,
    #[serde(default)]
    references: Vec<SchemaReference>,
}

#[derive(Deserialize)]
struct SchemaReference {
    subject: String,
    version: i64,
}

/// A registry that can be asked.
pub(crate) struct RegistryClient {
    url: String,
    agent: ureq::Agent,
    /// The header with the user.
    authorization: Option<String>,
}

impl Registry {
    /// All mistakes that the settings show by themselves.
    pub(crate) fn mistakes(&self) -> Vec<Diagnostic> {
        let mut diagnostics = Vec::new();
        if !["http://", "https://"].iter().any(|scheme| self.url.starts_with(scheme)) || self.url.contains('@') {
            // An address with a user has a password.
            let shown = if self.url.contains('@') { "an address with a user" } else { self.url.as_str() };
            let message = format!("`registry.url` is `{}`, expected an address without a user", shown.escape_debug());
            let help = "`https://registry.example.org`; users are named by `username_env` and `password_env`";
            diagnostics.push(Diagnostic::at("registry.url", Code::OutOfRange, message).help(help));
        }
        if self.username_env.is_some() != self.password_env.is_some() {
            let message = "`username_env` and `password_env` belong together";
            diagnostics.push(Diagnostic::at("registry", Code::MissingKey, message).help("set both or neither"));
        }
        diagnostics
    }

    /// Prepares a client.
    ///
    /// # Errors
    /// An environment variable that is not set.
    pub(crate) fn client(&self) -> Result<RegistryClient, Diagnostic> {
        let authorization = match (&self.username_env, &self.password_env) {
            (Some(username), Some(password)) => {
                let user = secret(username, "registry.username_env")?;
                let password = secret(password, "registry.password_env")?;
                use base64::Engine as _;
                let token = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
                Some(format!("Basic {token}"))
            }
            _ => None,
        };
        let agent = ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false).build();
        let url = self.url.trim_end_matches('/').to_owned();
        Ok(RegistryClient { url, agent: agent.into(), authorization })
    }
}

impl RegistryClient {
    /// The schema of a number.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn schema(&self, id: u32) -> Result<RegisteredSchema, NoSchema> {
        let answer = self.get(&format!("schemas/ids/{id}"), id)?;
        let mut found = RegisteredSchema { json: answer.schema, named: Vec::new() };
        let mut subjects = Vec::new();
        self.collect(answer.references, id, MAX_DEPTH, &mut subjects, &mut found.named)?;
        Ok(found)
    }

    /// Registers a schema under a subject, and returns its number. The same schema has the same number again.
    ///
    /// # Errors
    /// Why it is not registered: another schema of the subject may not be compatible.
    pub(crate) fn register(&self, subject: &str, json: &str) -> Result<u32, NoSchema> {
        #[derive(Deserialize)]
        struct Registered {
            id: u32,
        }
        let url = format!("{}/subjects/{subject}/versions", self.url);
        let body = serde_json::json!({ "schema": json }).to_string();
        let mut request = self.agent.post(&url).header("Content-Type", "application/vnd.schemaregistry.v1+json");
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let refused = |reason: String| {
            NoSchema::Unanswered(format!("the schema registry `{url}` does not register a schema: {reason}"))
        };
        let mut response = request.send(body).map_err(|error| refused(error.to_string()))?;
        let status = response.status().as_u16();
        let answer = response.body_mut().with_config().limit(MAX_BYTES).read_to_string();
        let answer = answer.map_err(|error| refused(error.to_string()))?;
        if status != 200 {
            let start: String = answer.chars().take(200).collect();
            return Err(refused(format!("status {status}, `{}`", start.escape_debug())));
        }
        let registered: Registered = serde_json::from_str(&answer).map_err(|error| refused(error.to_string()))?;
        Ok(registered.id)
    }

    fn collect(
        &self,
        references: Vec<SchemaReference>,
        id: u32,
        depth: usize,
        subjects: &mut Vec<String>,
        named: &mut Vec<String>,
    ) -> Result<(), NoSchema> {
        for SchemaReference { subject, version } in references {
            if depth == 0 || subjects.contains(&subject) {
                continue;
            }
            subjects.push(subject.clone());
            let answer = self.get(&format!("subjects/{subject}/versions/{version}"), id)?;
            self.collect(answer.references, id, depth - 1, subjects, named)?;
            named.push(answer.schema);
        }
        Ok(())
    }

    fn get(&self, path: &str, id: u32) -> Result<SchemaAnswer, NoSchema> {
        let url = format!("{}/{path}", self.url);
        let mut request =
            self.agent.get(&url).header("Accept", "application/vnd.schemaregistry.v1+json, application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let unanswered =
            |reason: String| NoSchema::Unanswered(format!("the schema registry `{url}` does not answer: {reason}"));
        let mut response = request.call().map_err(|error| unanswered(error.to_string()))?;
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(MAX_BYTES).read_to_string();
        match status {
            200 => {}
            404 => {
                let url = &self.url;
                return Err(NoSchema::Unknown(format!(
                    "has the schema {id}, which the registry `{url}` does not have"
                )));
            }
            status => return Err(unanswered(format!("status {status}"))),
        }
        let body = body.map_err(|error| unanswered(error.to_string()))?;
        let answer: SchemaAnswer =
            serde_json::from_str(&body).map_err(|error| unanswered(format!("its answer is not a schema: {error}")))?;
        match answer.kind.as_deref() {
            None | Some("AVRO") => Ok(answer),
            Some(other) => {
                let kind = other.escape_debug();
                Err(NoSchema::Unknown(format!("has the schema {id}, which is of the kind `{kind}`, expected Avro")))
            }
        }
    }
}
