//! What was seen in a cluster at one moment: stored, hashed into receipts, and all that a checker may look at.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    pub taken_at: Timestamp,
    pub kubernetes_version: String,
    /// `sandbox`, `kind` or `host`.
    pub engine: String,
    pub simulated: bool,
    /// The attempt's parameters (namespace, labels, ports).
    pub params: BTreeMap<String, String>,
    /// Every object that the lab's checks need, as the API gave it, ordered by kind, namespace and name.
    pub objects: Vec<Value>,
    pub probes: Vec<ProbeRecord>,
    pub scans: Vec<ScanRecord>,
    /// What we wanted to see and could not, in words: makes the checks that need it inconclusive.
    pub missing: Vec<String>,
    /// Why policies do nothing in this cluster, where its network was found not to enforce them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policies_not_enforced: Option<String>,
}

/// A live connection that was tried, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbeRecord {
    /// The probe's name in the lab.
    pub id: String,
    /// `namespace/pod`.
    pub from: String,
    pub host: String,
    pub port: u16,
    pub path: Option<String>,
    pub result: ProbeResult,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "outcome")]
pub enum ProbeResult {
    Connected { status: Option<u16>, body: String },
    NoSuchHost,
    Refused,
    TimedOut,
    Unknown { reason: String },
}

/// `cordon scan IMAGE`: who scanned which digest, when, and what was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScanRecord {
    pub image: String,
    /// `sha256:…`.
    pub digest: String,
    pub at: Timestamp,
    pub by: String,
    /// Vulnerability id to severity (`CRITICAL`, `HIGH`, …).
    pub findings: BTreeMap<String, String>,
    pub simulated: bool,
}
