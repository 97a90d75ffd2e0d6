//! One attempted connection, made from where a process in the pod would make it.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    pub from_namespace: String,
    pub from_pod: String,
    /// Pod IP, Service name or `name.namespace`.
    pub to_host: String,
    pub to_port: u16,
    /// Path for an HTTP GET; `None` for a bare TCP connection.
    #[serde(default)]
    pub http_path: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "outcome")]
pub enum ProbeOutcome {
    /// Connected; for HTTP with the answer's status and the first bytes of its body.
    Connected {
        status: Option<u16>,
        body: String,
    },
    /// The name does not resolve.
    NoSuchHost,
    Refused,
    TimedOut,
    /// We could not look (the pod does not run, the engine failed).
    Unknown {
        reason: String,
    },
}
