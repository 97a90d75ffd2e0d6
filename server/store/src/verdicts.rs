//! Every verdict that was given, with the evidence that it was given on.

use crate::database::Database;
use crate::error::{Doing, StoreError};
use crate::row::{Reader, ms};
use async_trait::async_trait;
use jiff::Timestamp;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerdictRow {
    pub id: String,
    pub attempt_id: String,
    pub task: String,
    /// `passed`, `failed`, `inconclusive`.
    pub outcome: String,
    pub points: i64,
    /// JSON array of findings.
    pub findings: String,
    /// Digest of the evidence.
    pub evidence: String,
    /// Given by Finish: what the receipt signs.
    pub is_final: bool,
    pub at: Timestamp,
}

#[async_trait]
pub trait Verdicts {
    async fn create_verdict(&self, verdict: &VerdictRow) -> Result<(), StoreError>;
    /// Oldest first.
    async fn verdicts(&self, attempt_id: &str) -> Result<Vec<VerdictRow>, StoreError>;
}

#[async_trait]
impl Verdicts for Database {
    async fn create_verdict(&self, verdict: &VerdictRow) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO verdicts (id, attempt_id, task, outcome, points, findings, evidence, final, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(&verdict.id)
        .bind(&verdict.attempt_id)
        .bind(&verdict.task)
        .bind(&verdict.outcome)
        .bind(verdict.points)
        .bind(&verdict.findings)
        .bind(&verdict.evidence)
        .bind(i64::from(verdict.is_final))
        .bind(ms(verdict.at))
        .execute(&self.pool)
        .await
        .doing("write a verdict")?;
        Ok(())
    }

    async fn verdicts(&self, attempt_id: &str) -> Result<Vec<VerdictRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM verdicts WHERE attempt_id = $1 ORDER BY at, task")
            .bind(attempt_id)
            .fetch_all(&self.pool)
            .await
            .doing("read verdicts")?;
        rows.iter()
            .map(|row| {
                let row = Reader::new(row, "verdict");
                Ok(VerdictRow {
                    id: row.text("id")?,
                    attempt_id: row.text("attempt_id")?,
                    task: row.text("task")?,
                    outcome: row.text("outcome")?,
                    points: row.number("points")?,
                    findings: row.text("findings")?,
                    evidence: row.text("evidence")?,
                    is_final: row.flag("final")?,
                    at: row.time("at")?,
                })
            })
            .collect()
    }
}
