//! What is written down about each request: who did what to which object and how it ended. Never a body, never a token.

use jiff::Timestamp;
use std::fmt::Debug;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    pub at: Timestamp,
    pub cluster: String,
    /// Short hash of the token; empty where there was none that we know.
    pub token_id: String,
    pub user: String,
    /// Kubernetes' verb: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    pub group: String,
    /// Plural, with the subresource: `pods/exec`. The path itself for what is no resource.
    pub resource: String,
    pub namespace: String,
    pub name: String,
    pub code: u16,
    /// From the request's head to the answer's head.
    pub milliseconds: i64,
}

/// Takes rows and returns at once.
pub trait AuditSink: Send + Sync + Debug {
    fn record(&self, row: AuditRow);
}

/// Where nobody keeps a trail (`sandbox up`): the rows go to the log at debug level.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogOnly;

impl AuditSink for LogOnly {
    fn record(&self, row: AuditRow) {
        tracing::debug!(
            cluster.id = row.cluster,
            user = row.user,
            verb = row.verb,
            resource = row.resource,
            namespace = row.namespace,
            name = row.name,
            code = row.code,
            milliseconds = row.milliseconds,
            "request"
        );
    }
}
