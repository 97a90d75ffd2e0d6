//! Browser sessions, known by the hash of their cookie.

use crate::database::Database;
use crate::error::{Doing, StoreError};
use crate::row::{Reader, ms};
use async_trait::async_trait;
use jiff::Timestamp;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub token_hash: String,
    pub user_id: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

#[async_trait]
pub trait Sessions {
    async fn create_session(&self, session: &Session) -> Result<(), StoreError>;
    /// Also one that has expired; the caller knows the time.
    async fn session(&self, token_hash: &str) -> Result<Option<Session>, StoreError>;
    async fn extend_session(&self, token_hash: &str, expires_at: Timestamp) -> Result<(), StoreError>;
    async fn delete_session(&self, token_hash: &str) -> Result<(), StoreError>;
    async fn delete_sessions_of(&self, user_id: &str) -> Result<(), StoreError>;
    async fn delete_expired_sessions(&self, now: Timestamp) -> Result<u64, StoreError>;
}

#[async_trait]
impl Sessions for Database {
    async fn create_session(&self, session: &Session) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO sessions (token_hash, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4)")
            .bind(&session.token_hash)
            .bind(&session.user_id)
            .bind(ms(session.created_at))
            .bind(ms(session.expires_at))
            .execute(&self.pool)
            .await
            .doing("open a session")?;
        Ok(())
    }

    async fn session(&self, token_hash: &str) -> Result<Option<Session>, StoreError> {
        let row = sqlx::query("SELECT * FROM sessions WHERE token_hash = $1")
            .bind(token_hash)
            .fetch_optional(&self.pool)
            .await
            .doing("read a session")?;
        let Some(row) = row else { return Ok(None) };
        let row = Reader::new(&row, "session");
        Ok(Some(Session {
            token_hash: row.text("token_hash")?,
            user_id: row.text("user_id")?,
            created_at: row.time("created_at")?,
            expires_at: row.time("expires_at")?,
        }))
    }

    async fn extend_session(&self, token_hash: &str, expires_at: Timestamp) -> Result<(), StoreError> {
        sqlx::query("UPDATE sessions SET expires_at = $2 WHERE token_hash = $1")
            .bind(token_hash)
            .bind(ms(expires_at))
            .execute(&self.pool)
            .await
            .doing("extend a session")?;
        Ok(())
    }

    async fn delete_session(&self, token_hash: &str) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM sessions WHERE token_hash = $1").bind(token_hash).execute(&self.pool).await.doing("close a session")?;
        Ok(())
    }

    async fn delete_sessions_of(&self, user_id: &str) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM sessions WHERE user_id = $1").bind(user_id).execute(&self.pool).await.doing("close sessions")?;
        Ok(())
    }

    async fn delete_expired_sessions(&self, now: Timestamp) -> Result<u64, StoreError> {
        let done =
            sqlx::query("DELETE FROM sessions WHERE expires_at <= $1").bind(ms(now)).execute(&self.pool).await.doing("close sessions")?;
        Ok(done.rows_affected())
    }
}
