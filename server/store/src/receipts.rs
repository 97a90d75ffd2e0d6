//! The signed receipt of a finished attempt, as the learner gets it.

use crate::database::Database;
use crate::error::{Doing, StoreError};
use crate::row::{Reader, ms};
use async_trait::async_trait;
use jiff::Timestamp;

#[async_trait]
pub trait Receipts {
    /// The first one stays.
    async fn put_receipt(&self, attempt_id: &str, body: &str, at: Timestamp) -> Result<(), StoreError>;
    async fn receipt(&self, attempt_id: &str) -> Result<Option<String>, StoreError>;
}

#[async_trait]
impl Receipts for Database {
    async fn put_receipt(&self, attempt_id: &str, body: &str, at: Timestamp) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO receipts (attempt_id, body, at) VALUES ($1, $2, $3) ON CONFLICT (attempt_id) DO NOTHING")
            .bind(attempt_id)
            .bind(body)
            .bind(ms(at))
            .execute(&self.pool)
            .await
            .doing("write a receipt")?;
        Ok(())
    }

    async fn receipt(&self, attempt_id: &str) -> Result<Option<String>, StoreError> {
        let row = sqlx::query("SELECT body FROM receipts WHERE attempt_id = $1")
            .bind(attempt_id)
            .fetch_optional(&self.pool)
            .await
            .doing("read a receipt")?;
        row.map(|row| Reader::new(&row, "receipt").text("body")).transpose()
    }
}
