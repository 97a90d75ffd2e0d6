//! The only room that speaks SQL.
//!
//! ```text
//! app ──► one trait per entity (Users, Attempts, Verdicts, …) ──► Database ──► SQLite | PostgreSQL
//! ```
//!
//! One text of SQL serves both. Times are milliseconds in BIGINT; a missing row is `Ok(None)`; secrets arrive here hashed. It must
//! never know what a lab, a verdict or a cluster means: findings and parameters are text to it.

pub mod attempts;
pub mod audit;
pub mod database;
pub mod error;
pub mod events;
pub mod evidence;
pub mod gpus;
pub mod hints;
pub mod links;
pub mod receipts;
mod row;
pub mod scans;
pub mod sessions;
pub mod snapshots;
pub mod tasks;
pub mod tokens;
pub mod users;
pub mod verdicts;

pub use attempts::{Attempt, AttemptState, Attempts};
pub use audit::{AuditRow, AuditTrail};
pub use database::Database;
pub use error::StoreError;
pub use events::{Event, Timeline};
pub use evidence::{EvidenceBlob, EvidenceBlobs};
pub use gpus::{GpuClaim, GpuClaims};
pub use hints::{HintTaken, HintsTaken};
pub use links::{LoginLink, LoginLinks};
pub use receipts::Receipts;
pub use scans::{Scan, Scans};
pub use sessions::{Session, Sessions};
pub use snapshots::{SnapshotRow, Snapshots};
pub use tasks::{TaskState, TaskStates};
pub use tokens::{ClusterToken, ClusterTokens};
pub use users::{Role, User, Users};
pub use verdicts::{VerdictRow, Verdicts};

/// Everything that the application needs stored.
pub trait Store:
    Users
    + Sessions
    + LoginLinks
    + Attempts
    + ClusterTokens
    + TaskStates
    + Verdicts
    + EvidenceBlobs
    + Snapshots
    + HintsTaken
    + Scans
    + AuditTrail
    + Receipts
    + Timeline
    + GpuClaims
    + std::fmt::Debug
    + Send
    + Sync
{
}

impl Store for Database {}
