//! The audit trail of the gateway: written in batches, read by time.

use crate::database::Database;
use crate::error::{Doing, StoreError};
use crate::row::{Reader, ms};
use async_trait::async_trait;
use jiff::Timestamp;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Sorts by time.
    pub id: String,
    pub at: Timestamp,
    pub cluster: String,
    pub token_id: String,
    pub user_name: String,
    pub verb: String,
    pub api_group: String,
    pub resource: String,
    pub namespace: String,
    pub name: String,
    pub code: i64,
    pub milliseconds: i64,
}

#[async_trait]
pub trait AuditTrail {
    /// All or none.
    async fn append_audit(&self, rows: &[AuditRow]) -> Result<(), StoreError>;
    /// Oldest first, after the row `after` (empty: from the start), at most `limit`.
    async fn audit(&self, cluster: &str, after: &str, limit: i64) -> Result<Vec<AuditRow>, StoreError>;
    async fn delete_audit_before(&self, before: Timestamp) -> Result<u64, StoreError>;
}

#[async_trait]
impl AuditTrail for Database {
    async fn append_audit(&self, rows: &[AuditRow]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        for row in rows {
            sqlx::query(
                "INSERT INTO audit (id, at, cluster, token_id, user_name, verb, api_group, resource, namespace, name, code, milliseconds) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (id) DO NOTHING",
            )
            .bind(&row.id)
            .bind(ms(row.at))
            .bind(&row.cluster)
            .bind(&row.token_id)
            .bind(&row.user_name)
            .bind(&row.verb)
            .bind(&row.api_group)
            .bind(&row.resource)
            .bind(&row.namespace)
            .bind(&row.name)
            .bind(row.code)
            .bind(row.milliseconds)
            .execute(&mut *transaction)
            .await
            .doing("write the audit trail")?;
        }
        transaction.commit().await.doing("write the audit trail")
    }

    async fn audit(&self, cluster: &str, after: &str, limit: i64) -> Result<Vec<AuditRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM audit WHERE cluster = $1 AND id > $2 ORDER BY id LIMIT $3")
            .bind(cluster)
            .bind(after)
            .bind(limit)
            .fetch_all(&self.pool)
            .await
            .doing("read the audit trail")?;
        rows.iter()
            .map(|row| {
                let row = Reader::new(row, "audit row");
                Ok(AuditRow {
                    id: row.text("id")?,
                    at: row.time("at")?,
                    cluster: row.text("cluster")?,
                    token_id: row.text("token_id")?,
                    user_name: row.text("user_name")?,
                    verb: row.text("verb")?,
                    api_group: row.text("api_group")?,
                    resource: row.text("resource")?,
                    namespace: row.text("namespace")?,
                    name: row.text("name")?,
                    code: row.number("code")?,
                    milliseconds: row.number("milliseconds")?,
                })
            })
            .collect()
    }

    async fn delete_audit_before(&self, before: Timestamp) -> Result<u64, StoreError> {
        let done =
            sqlx::query("DELETE FROM audit WHERE at < $1").bind(ms(before)).execute(&self.pool).await.doing("trim the audit trail")?;
        Ok(done.rows_affected())
    }
}
