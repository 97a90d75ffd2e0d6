//! What happened in an attempt, in order: the live page and replays read it.

use crate::database::Database;
use crate::error::{Doing, StoreError};
use crate::row::{Reader, ms};
use async_trait::async_trait;
use jiff::Timestamp;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// 1, 2, … within the attempt.
    pub seq: i64,
    pub at: Timestamp,
    pub kind: String,
    /// JSON.
    pub body: String,
}

#[async_trait]
pub trait Timeline {
    /// Returns the event's number.
    async fn append_event(&self, attempt_id: &str, at: Timestamp, kind: &str, body: &str) -> Result<i64, StoreError>;
    /// Later than `after`, oldest first, at most 1,000.
    async fn events(&self, attempt_id: &str, after: i64) -> Result<Vec<Event>, StoreError>;
}

#[async_trait]
impl Timeline for Database {
    async fn append_event(&self, attempt_id: &str, at: Timestamp, kind: &str, body: &str) -> Result<i64, StoreError> {
        // Two at once may choose the same number on PostgreSQL: the primary key refuses one, which tries again.
        for last in [false, false, false, true] {
            let row = sqlx::query(
                "INSERT INTO events (attempt_id, seq, at, kind, body) \
                 VALUES ($1, (SELECT COALESCE(MAX(seq), 0) + 1 FROM events WHERE attempt_id = $1), $2, $3, $4) RETURNING seq",
            )
            .bind(attempt_id)
            .bind(ms(at))
            .bind(kind)
            .bind(body)
            .fetch_one(&self.pool)
            .await
            .unless_exists("write an event", "the event");
            match row {
                Ok(row) => return Reader::new(&row, "event").number("seq"),
                Err(StoreError::Exists(_)) if !last => {}
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Exists("the event"))
    }

    async fn events(&self, attempt_id: &str, after: i64) -> Result<Vec<Event>, StoreError> {
        let rows = sqlx::query("SELECT * FROM events WHERE attempt_id = $1 AND seq > $2 ORDER BY seq LIMIT 1000")
            .bind(attempt_id)
            .bind(after)
            .fetch_all(&self.pool)
            .await
            .doing("read events")?;
        rows.iter()
            .map(|row| {
                let row = Reader::new(row, "event");
                Ok(Event { seq: row.number("seq")?, at: row.time("at")?, kind: row.text("kind")?, body: row.text("body")? })
            })
            .collect()
    }
}
