//! Where each task of an attempt stands.

use crate::database::Database;
use crate::error::{Doing, StoreError};
use crate::row::{Reader, ms, ms_or_none};
use async_trait::async_trait;
use jiff::Timestamp;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskState {
    pub attempt_id: String,
    pub task: String,
    /// As the last check that could look saw it.
    pub passed: bool,
    /// After the cost of hints; 0 unless passed.
    pub points: i64,
    /// When it passed, without a break since.
    pub passed_at: Option<Timestamp>,
    pub checked_at: Timestamp,
}

#[async_trait]
pub trait TaskStates {
    async fn task_states(&self, attempt_id: &str) -> Result<Vec<TaskState>, StoreError>;
    async fn put_task_state(&self, state: &TaskState) -> Result<(), StoreError>;
    /// After a reset: only these tasks are still passed.
    async fn keep_task_states(&self, attempt_id: &str, tasks: &[String]) -> Result<(), StoreError>;
}

#[async_trait]
impl TaskStates for Database {
    async fn task_states(&self, attempt_id: &str) -> Result<Vec<TaskState>, StoreError> {
        let rows = sqlx::query("SELECT * FROM task_states WHERE attempt_id = $1 ORDER BY task")
            .bind(attempt_id)
            .fetch_all(&self.pool)
            .await
            .doing("read the tasks")?;
        rows.iter()
            .map(|row| {
                let row = Reader::new(row, "task");
                Ok(TaskState {
                    attempt_id: row.text("attempt_id")?,
                    task: row.text("task")?,
                    passed: row.text("outcome")? == "passed",
                    points: row.number("points")?,
                    passed_at: row.time_or_none("passed_at")?,
                    checked_at: row.time("checked_at")?,
                })
            })
            .collect()
    }

    async fn put_task_state(&self, state: &TaskState) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO task_states (attempt_id, task, outcome, points, passed_at, checked_at) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (attempt_id, task) DO UPDATE SET outcome = excluded.outcome, points = excluded.points, passed_at = excluded.passed_at, \
             checked_at = excluded.checked_at",
        )
        .bind(&state.attempt_id)
        .bind(&state.task)
        .bind(if state.passed { "passed" } else { "failed" })
        .bind(state.points)
        .bind(ms_or_none(state.passed_at))
        .bind(ms(state.checked_at))
        .execute(&self.pool)
        .await
        .doing("write a task")?;
        Ok(())
    }

    async fn keep_task_states(&self, attempt_id: &str, tasks: &[String]) -> Result<(), StoreError> {
        let states = self.task_states(attempt_id).await?;
        let mut transaction = self.begin().await?;
        for state in states.iter().filter(|state| !tasks.contains(&state.task)) {
            sqlx::query("DELETE FROM task_states WHERE attempt_id = $1 AND task = $2")
                .bind(attempt_id)
                .bind(&state.task)
                .execute(&mut *transaction)
                .await
                .doing("reset a task")?;
        }
        transaction.commit().await.doing("reset tasks")
    }
}
