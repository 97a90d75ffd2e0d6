//! Hints that were taken, with the price that was shown.

use crate::database::Database;
use crate::error::{Doing, StoreError};
use crate::row::{Reader, ms};
use async_trait::async_trait;
use jiff::Timestamp;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HintTaken {
    pub attempt_id: String,
    pub task: String,
    /// From 0.
    pub hint: i64,
    pub cost: i64,
    pub at: Timestamp,
}

#[async_trait]
pub trait HintsTaken {
    /// Taken twice (two tabs), it is paid once.
    async fn take_hint(&self, hint: &HintTaken) -> Result<(), StoreError>;
    async fn hints_taken(&self, attempt_id: &str) -> Result<Vec<HintTaken>, StoreError>;
}

#[async_trait]
impl HintsTaken for Database {
    async fn take_hint(&self, hint: &HintTaken) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO hints_taken (attempt_id, task, hint, cost, at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (attempt_id, task, hint) DO NOTHING")
            .bind(&hint.attempt_id)
            .bind(&hint.task)
            .bind(hint.hint)
            .bind(hint.cost)
            .bind(ms(hint.at))
            .execute(&self.pool)
            .await
            .doing("write a hint")?;
        Ok(())
    }

    async fn hints_taken(&self, attempt_id: &str) -> Result<Vec<HintTaken>, StoreError> {
        let rows = sqlx::query("SELECT * FROM hints_taken WHERE attempt_id = $1 ORDER BY task, hint")
            .bind(attempt_id)
            .fetch_all(&self.pool)
            .await
            .doing("list hints")?;
        rows.iter()
            .map(|row| {
                let row = Reader::new(row, "hint");
                Ok(HintTaken {
                    attempt_id: row.text("attempt_id")?,
                    task: row.text("task")?,
                    hint: row.number("hint")?,
                    cost: row.number("cost")?,
                    at: row.time("at")?,
                })
            })
            .collect()
    }
}
