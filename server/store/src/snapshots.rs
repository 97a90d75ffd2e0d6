//! Which snapshots of its cluster an attempt can go back to.

use crate::database::Database;
use crate::error::{Doing, StoreError};
use crate::row::{Reader, ms};
use async_trait::async_trait;
use jiff::Timestamp;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotRow {
    pub attempt_id: String,
    /// `start`, or the id of the step that was passed.
    pub name: String,
    pub taken_at: Timestamp,
}

#[async_trait]
pub trait Snapshots {
    async fn put_snapshot(&self, snapshot: &SnapshotRow) -> Result<(), StoreError>;
    /// Oldest first.
    async fn snapshots(&self, attempt_id: &str) -> Result<Vec<SnapshotRow>, StoreError>;
    /// After a reset: what was taken later than `at` is gone.
    async fn delete_snapshots_after(&self, attempt_id: &str, at: Timestamp) -> Result<(), StoreError>;
}

#[async_trait]
impl Snapshots for Database {
    async fn put_snapshot(&self, snapshot: &SnapshotRow) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO snapshots (attempt_id, name, taken_at) VALUES ($1, $2, $3) ON CONFLICT (attempt_id, name) DO UPDATE SET taken_at = excluded.taken_at",
        )
        .bind(&snapshot.attempt_id)
        .bind(&snapshot.name)
        .bind(ms(snapshot.taken_at))
        .execute(&self.pool)
        .await
        .doing("write a snapshot")?;
        Ok(())
    }

    async fn snapshots(&self, attempt_id: &str) -> Result<Vec<SnapshotRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM snapshots WHERE attempt_id = $1 ORDER BY taken_at, name")
            .bind(attempt_id)
            .fetch_all(&self.pool)
            .await
            .doing("list snapshots")?;
        rows.iter()
            .map(|row| {
                let row = Reader::new(row, "snapshot");
                Ok(SnapshotRow { attempt_id: row.text("attempt_id")?, name: row.text("name")?, taken_at: row.time("taken_at")? })
            })
            .collect()
    }

    async fn delete_snapshots_after(&self, attempt_id: &str, at: Timestamp) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM snapshots WHERE attempt_id = $1 AND taken_at > $2")
            .bind(attempt_id)
            .bind(ms(at))
            .execute(&self.pool)
            .await
            .doing("remove snapshots")?;
        Ok(())
    }
}
