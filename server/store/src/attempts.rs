//! Attempts: one learner, one lab, one cluster.

use crate::database::Database;
use crate::error::{Doing, StoreError};
use crate::row::{self, Reader, ms, ms_or_none, words};
use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use std::collections::BTreeMap;

words! {
    pub enum AttemptState {
        /// The cluster is being made.
        Preparing = "preparing",
        Running = "running",
        /// Idle; the next request wakes it.
        Sleeping = "sleeping",
        /// The cluster could not be made; `failure` says why.
        Failed = "failed",
        Finished = "finished",
    }
}

impl AttemptState {
    /// Not over yet.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Preparing | Self::Running | Self::Sleeping)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Also the id of its cluster.
    pub id: String,
    pub user_id: String,
    pub lab: String,
    /// `sha256:…` of the lab as it was when the attempt began.
    pub lab_digest: String,
    /// 1, 2, … for one user and lab.
    pub number: i64,
    pub engine: String,
    pub state: AttemptState,
    pub params: BTreeMap<String, String>,
    pub created_at: Timestamp,
    /// When the cluster was ready and the time began to run.
    pub started_at: Option<Timestamp>,
    /// When the timer is at zero.
    pub expires_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    /// The last time the learner did anything.
    pub active_at: Timestamp,
    /// Once finished.
    pub score: Option<i64>,
    pub failure: Option<String>,
    /// The cluster has been removed for good.
    pub cluster_gone: bool,
}

#[async_trait]
pub trait Attempts {
    /// `Exists` where this user has this number of this lab already (two tabs at once).
    async fn create_attempt(&self, attempt: &Attempt) -> Result<(), StoreError>;
    async fn attempt(&self, id: &str) -> Result<Option<Attempt>, StoreError>;
    /// Newest first.
    async fn attempts_of(&self, user_id: &str) -> Result<Vec<Attempt>, StoreError>;
    async fn latest_attempt(&self, user_id: &str, lab: &str) -> Result<Option<Attempt>, StoreError>;
    /// All that are not over, for the reaper and the start.
    async fn open_attempts(&self) -> Result<Vec<Attempt>, StoreError>;
    /// Over, but their clusters still there.
    async fn ended_with_cluster(&self) -> Result<Vec<Attempt>, StoreError>;
    /// From one of `from` to `to`; `false` where it was in none of them (somebody was faster).
    async fn change_state(&self, id: &str, from: &[AttemptState], to: AttemptState) -> Result<bool, StoreError>;
    /// The cluster is there: the clock runs.
    async fn start_attempt(&self, id: &str, started_at: Timestamp, expires_at: Option<Timestamp>) -> Result<bool, StoreError>;
    async fn fail_attempt(&self, id: &str, failure: &str) -> Result<(), StoreError>;
    /// `false` where it was finished before.
    async fn finish_attempt(&self, id: &str, at: Timestamp, score: i64) -> Result<bool, StoreError>;
    async fn touch_attempt(&self, id: &str, at: Timestamp) -> Result<(), StoreError>;
    async fn cluster_gone(&self, id: &str) -> Result<(), StoreError>;
}

fn read(row: &AnyRow) -> Result<Attempt, StoreError> {
    let row = Reader::new(row, "attempt");
    Ok(Attempt {
        id: row.text("id")?,
        user_id: row.text("user_id")?,
        lab: row.text("lab")?,
        lab_digest: row.text("lab_digest")?,
        number: row.number("number")?,
        engine: row.text("engine")?,
        state: row.word("state", AttemptState::parse)?,
        params: row.json("params")?,
        created_at: row.time("created_at")?,
        started_at: row.time_or_none("started_at")?,
        expires_at: row.time_or_none("expires_at")?,
        finished_at: row.time_or_none("finished_at")?,
        active_at: row.time("active_at")?,
        score: row.number_or_none("score")?,
        failure: row.text_or_none("failure")?,
        cluster_gone: row.flag("cluster_gone")?,
    })
}

#[async_trait]
impl Attempts for Database {
    async fn create_attempt(&self, attempt: &Attempt) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO attempts (id, user_id, lab, lab_digest, number, engine, state, params, created_at, started_at, expires_at, finished_at, \
             active_at, score, failure, cluster_gone) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        )
        .bind(&attempt.id)
        .bind(&attempt.user_id)
        .bind(&attempt.lab)
        .bind(&attempt.lab_digest)
        .bind(attempt.number)
        .bind(&attempt.engine)
        .bind(attempt.state.as_str())
        .bind(row::json(&attempt.params, "attempt")?)
        .bind(ms(attempt.created_at))
        .bind(ms_or_none(attempt.started_at))
        .bind(ms_or_none(attempt.expires_at))
        .bind(ms_or_none(attempt.finished_at))
        .bind(ms(attempt.active_at))
        .bind(attempt.score)
        .bind(attempt.failure.clone())
        .bind(i64::from(attempt.cluster_gone))
        .execute(&self.pool)
        .await
        .unless_exists("create an attempt", "the attempt")?;
        Ok(())
    }

    async fn attempt(&self, id: &str) -> Result<Option<Attempt>, StoreError> {
        let row = sqlx::query("SELECT * FROM attempts WHERE id = $1").bind(id).fetch_optional(&self.pool).await.doing("read an attempt")?;
        row.as_ref().map(read).transpose()
    }

    async fn attempts_of(&self, user_id: &str) -> Result<Vec<Attempt>, StoreError> {
        let rows = sqlx::query("SELECT * FROM attempts WHERE user_id = $1 ORDER BY created_at DESC, number DESC")
            .bind(user_id)
            .fetch_all(&self.pool)
            .await
            .doing("list attempts")?;
        rows.iter().map(read).collect()
    }

    async fn latest_attempt(&self, user_id: &str, lab: &str) -> Result<Option<Attempt>, StoreError> {
        let row = sqlx::query("SELECT * FROM attempts WHERE user_id = $1 AND lab = $2 ORDER BY number DESC LIMIT 1")
            .bind(user_id)
            .bind(lab)
            .fetch_optional(&self.pool)
            .await
            .doing("read an attempt")?;
        row.as_ref().map(read).transpose()
    }

    async fn open_attempts(&self) -> Result<Vec<Attempt>, StoreError> {
        let rows = sqlx::query("SELECT * FROM attempts WHERE state IN ('preparing', 'running', 'sleeping') ORDER BY created_at")
            .fetch_all(&self.pool)
            .await
            .doing("list attempts")?;
        rows.iter().map(read).collect()
    }

    async fn ended_with_cluster(&self) -> Result<Vec<Attempt>, StoreError> {
        let rows = sqlx::query("SELECT * FROM attempts WHERE state IN ('finished', 'failed') AND cluster_gone = 0 ORDER BY created_at")
            .fetch_all(&self.pool)
            .await
            .doing("list attempts")?;
        rows.iter().map(read).collect()
    }

    async fn change_state(&self, id: &str, from: &[AttemptState], to: AttemptState) -> Result<bool, StoreError> {
        let mut transaction = self.begin().await?;
        for state in from {
            let done = sqlx::query("UPDATE attempts SET state = $3 WHERE id = $1 AND state = $2")
                .bind(id)
                .bind(state.as_str())
                .bind(to.as_str())
                .execute(&mut *transaction)
                .await
                .doing("change an attempt")?;
            if done.rows_affected() > 0 {
                transaction.commit().await.doing("change an attempt")?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn start_attempt(&self, id: &str, started_at: Timestamp, expires_at: Option<Timestamp>) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE attempts SET state = 'running', started_at = $2, expires_at = $3, active_at = $2 WHERE id = $1 AND state = 'preparing'",
        )
        .bind(id)
        .bind(ms(started_at))
        .bind(ms_or_none(expires_at))
        .execute(&self.pool)
        .await
        .doing("start an attempt")?;
        Ok(done.rows_affected() > 0)
    }

    async fn fail_attempt(&self, id: &str, failure: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE attempts SET state = 'failed', failure = $2 WHERE id = $1 AND state = 'preparing'")
            .bind(id)
            .bind(failure)
            .execute(&self.pool)
            .await
            .doing("fail an attempt")?;
        Ok(())
    }

    async fn finish_attempt(&self, id: &str, at: Timestamp, score: i64) -> Result<bool, StoreError> {
        let done =
            sqlx::query("UPDATE attempts SET state = 'finished', finished_at = $2, score = $3 WHERE id = $1 AND state <> 'finished'")
                .bind(id)
                .bind(ms(at))
                .bind(score)
                .execute(&self.pool)
                .await
                .doing("finish an attempt")?;
        Ok(done.rows_affected() > 0)
    }

    async fn touch_attempt(&self, id: &str, at: Timestamp) -> Result<(), StoreError> {
        sqlx::query("UPDATE attempts SET active_at = $2 WHERE id = $1 AND active_at < $2")
            .bind(id)
            .bind(ms(at))
            .execute(&self.pool)
            .await
            .doing("touch an attempt")?;
        Ok(())
    }

    async fn cluster_gone(&self, id: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE attempts SET cluster_gone = 1 WHERE id = $1").bind(id).execute(&self.pool).await.doing("change an attempt")?;
        Ok(())
    }
}
