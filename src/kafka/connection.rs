//! How brokers are reached.

use std::collections::BTreeMap;

use rdkafka::ClientConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Code, Diagnostic};

/// Options of librdkafka that decide which messages are delivered, or hold a secret.
const RESERVED: [(&str, &str); 12] = [
    ("bootstrap.servers", "set `servers`"),
    ("metadata.broker.list", "set `servers`"),
    ("group.id", "no consumer group takes part: offsets are in the commit records of the run"),
    ("enable.auto.commit", "offsets are in the commit records of the run"),
    ("enable.auto.offset.store", "offsets are in the commit records of the run"),
    ("auto.offset.reset", "set `from`: an offset that is lost is an error"),
    ("isolation.level", "messages of aborted transactions are never read"),
    ("enable.partition.eof", "the end of a partition has to be known"),
    ("sasl.username", "set `security.username_env` to the name of an environment variable"),
    ("sasl.password", "set `security.password_env` to the name of an environment variable"),
    ("ssl.key.password", "set `security.key_password_env` to the name of an environment variable"),
    ("security.protocol", "set `security.protocol`"),
];

/// The brokers, and how they are reached.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Connection {
    /// The brokers to begin with: `host:port`, several with commas.
    pub servers: String,
    /// Encryption and authentication; by default neither.
    #[serde(default)]
    pub security: Option<Security>,
    /// Seconds without any broker after which a run ends. It can be resumed.
    #[serde(default = "minute")]
    #[schemars(range(min = 0.1, max = 86400))]
    pub timeout_seconds: f64,
    /// Further options of librdkafka, by name: `{fetch.message.max.bytes: 4194304}`. Options that decide which messages are delivered, and
    /// secrets, are refused.
    #[serde(default)]
    pub options: BTreeMap<String, OptionValue>,
}

/// The value of an option of librdkafka.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OptionValue {
    /// A number.
    Integer(i64),
    /// A switch.
    Switch(bool),
    /// A word.
    Text(String),
}

fn minute() -> f64 {
    60.0
}

/// Encryption and authentication. Secrets are read from environment variables and are not written anywhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Security {
    /// The protocol of the listener.
    pub protocol: Protocol,
    /// How a user is authenticated, for `sasl_ssl` and `sasl_plaintext`.
    #[serde(default)]
    pub mechanism: Option<Mechanism>,
    /// The environment variable with the name of the user.
    #[serde(default)]
    pub username_env: Option<String>,
    /// The environment variable with the password of the user.
    #[serde(default)]
    pub password_env: Option<String>,
    /// A file with the certificates of authorities (PEM); by default those of the system.
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    pub ca_file: Option<String>,
    /// A file with the certificate of the client (PEM).
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    pub certificate_file: Option<String>,
    /// A file with the key of the client (PEM).
    #[serde(default)]
    #[schemars(extend("format" = "path"))]
    pub key_file: Option<String>,
    /// The environment variable with the password of the key.
    #[serde(default)]
    pub key_password_env: Option<String>,
}

/// The protocol of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// TLS; the client may have a certificate.
    Ssl,
    /// A user, over TLS.
    SaslSsl,
    /// A user, without encryption.
    SaslPlaintext,
}

/// How a user is authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mechanism {
    /// Name and password as they are.
    #[serde(rename = "PLAIN")]
    Plain,
    /// SCRAM with SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// SCRAM with SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

impl Connection {
    /// Brokers by their addresses, with defaults for all else.
    pub fn new(servers: impl Into<String>) -> Self {
        Self { servers: servers.into(), timeout_seconds: minute(), ..Self::default() }
    }

    /// All mistakes that the settings show by themselves.
    pub(crate) fn mistakes(&self) -> Vec<Diagnostic> {
        let mut diagnostics = Vec::new();
        let mut refuse = |key: &str, code, message: String, help: &str| {
            diagnostics.push(Diagnostic::at(key, code, message).help(help));
        };
        let is_address = |server: &str| {
            let (host, port) = server.trim().rsplit_once(':').unwrap_or((server.trim(), "9092"));
            !host.is_empty() && port.parse::<u16>().is_ok()
        };
        if !self.servers.split(',').all(is_address) {
            let message =
                format!("`servers` is `{}`, expected `host:port`, several with commas", self.servers.escape_debug());
            refuse("servers", Code::OutOfRange, message, "`servers: broker.example.org:9092`");
        }
        for name in self.options.keys() {
            let reserved = RESERVED.iter().find(|(own, _)| own == name).map(|(_, help)| *help);
            let is_secret = ["password", "passphrase", "secret", "token", ".pem", "oauthbearer.config", "plugin"]
                .iter()
                .any(|word| name.contains(word));
            let help =
                reserved.or(is_secret.then_some("neither secrets nor libraries to load are taken from documents"));
            if let Some(help) = help {
                refuse(&format!("options.{name}"), Code::Conflict, format!("the option `{name}` cannot be set"), help);
            }
        }
        if let Some(security) = &self.security {
            let is_sasl = security.protocol != Protocol::Ssl;
            let has = [security.mechanism.is_some(), security.username_env.is_some(), security.password_env.is_some()];
            if is_sasl && has != [true; 3] {
                let message = "a user needs `mechanism`, `username_env` and `password_env`".to_owned();
                refuse("security", Code::MissingKey, message, "name the environment variables, not the secrets");
            } else if !is_sasl && has != [false; 3] {
                let message = "`protocol: ssl` authenticates no user".to_owned();
                refuse("security.protocol", Code::Conflict, message, "set `protocol: sasl_ssl`");
            }
        }
        diagnostics
    }

    /// The configuration of a client.
    ///
    /// # Errors
    /// An environment variable that is not set.
    pub(super) fn client_config(&self) -> Result<ClientConfig, Diagnostic> {
        let mut config = ClientConfig::new();
        for (name, value) in &self.options {
            match value {
                OptionValue::Integer(value) => config.set(name, value.to_string()),
                OptionValue::Switch(value) => config.set(name, value.to_string()),
                OptionValue::Text(value) => config.set(name, value),
            };
        }
        config.set("bootstrap.servers", &self.servers);
        let Some(security) = &self.security else { return Ok(config) };
        let protocol = match security.protocol {
            Protocol::Ssl => "ssl",
            Protocol::SaslSsl => "sasl_ssl",
            Protocol::SaslPlaintext => "sasl_plaintext",
        };
        config.set("security.protocol", protocol);
        if let Some(mechanism) = security.mechanism {
            config.set(
                "sasl.mechanism",
                match mechanism {
                    Mechanism::Plain => "PLAIN",
                    Mechanism::ScramSha256 => "SCRAM-SHA-256",
                    Mechanism::ScramSha512 => "SCRAM-SHA-512",
                },
            );
        }
        for (option, key, variable) in [
            ("sasl.username", "username_env", &security.username_env),
            ("sasl.password", "password_env", &security.password_env),
            ("ssl.key.password", "key_password_env", &security.key_password_env),
        ] {
            if let Some(variable) = variable {
                config.set(option, secret(variable, &format!("security.{key}"))?);
            }
        }
        for (option, file) in [
            ("ssl.ca.location", &security.ca_file),
            ("ssl.certificate.location", &security.certificate_file),
            ("ssl.key.location", &security.key_file),
        ] {
            if let Some(file) = file {
                config.set(option, file);
            }
        }
        Ok(config)
    }
}

/// The content of an environment variable.
pub(super) fn secret(variable: &str, key: &str) -> Result<String, Diagnostic> {
    std::env::var(variable).map_err(|_| {
        let message = format!("the environment variable `{}` is not set", variable.escape_debug());
        Diagnostic::at(key, Code::MissingKey, message).help("`export` it before the run")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_decides_delivery_and_secrets_cannot_be_options() {
        let mut connection = Connection::new("a:1,b:2");
        assert!(connection.mistakes().is_empty());
        for (name, _) in RESERVED {
            connection.options = [(name.to_owned(), OptionValue::Switch(true))].into();
            assert_eq!(connection.mistakes().len(), 1, "{name}");
        }
        for servers in ["", "a:b", ":9092", "a:1,"] {
            assert_eq!(Connection::new(servers).mistakes().len(), 1, "{servers}");
        }
    }

    #[test]
    fn a_user_is_named_by_variables() {
        let mut security = Security {
            protocol: Protocol::SaslSsl,
            mechanism: Some(Mechanism::ScramSha512),
            username_env: Some("LUCARNE_TEST_NOT_SET".into()),
            password_env: Some("PATH".into()),
            ca_file: None,
            certificate_file: None,
            key_file: None,
            key_password_env: None,
        };
        let of = |security: &Security| Connection { security: Some(security.clone()), ..Connection::new("a:1") };
        assert!(of(&security).mistakes().is_empty());
        let diagnostic = of(&security).client_config().expect_err("not set");
        assert_eq!(diagnostic.path, ["security", "username_env"]);
        security.username_env = Some("HOME".into());
        let config = of(&security).client_config().expect("set");
        assert_eq!(config.get("sasl.mechanism"), Some("SCRAM-SHA-512"));
        assert_eq!(config.get("sasl.password"), std::env::var("PATH").ok().as_deref());
        security.protocol = Protocol::Ssl;
        assert_eq!(of(&security).mistakes()[0].path, ["security", "protocol"]);
        security = Security { protocol: Protocol::SaslPlaintext, mechanism: None, ..security };
        assert_eq!(of(&security).mistakes()[0].path, ["security"]);
    }
}
