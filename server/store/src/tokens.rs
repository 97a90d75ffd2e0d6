//! Tokens that open one cluster, known by their hash.

use crate::database::Database;
use crate::error::{Doing, StoreError};
use crate::row::{self, Reader, ms, ms_or_none};
use async_trait::async_trait;
use jiff::Timestamp;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterToken {
    pub token_hash: String,
    pub attempt_id: String,
    /// `shell` or `download`; a new one of a purpose revokes those before it.
    pub purpose: String,
    /// As Kubernetes sees its holder.
    pub user_name: String,
    pub user_groups: Vec<String>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
}

#[async_trait]
pub trait ClusterTokens {
    async fn create_cluster_token(&self, token: &ClusterToken) -> Result<(), StoreError>;
    /// One that is not revoked; also one that has expired.
    async fn cluster_token(&self, token_hash: &str) -> Result<Option<ClusterToken>, StoreError>;
    /// All of a purpose of an attempt; `None`: all of the attempt. Returns the hashes that held until now.
    async fn revoke_cluster_tokens(&self, attempt_id: &str, purpose: Option<&str>, at: Timestamp) -> Result<Vec<String>, StoreError>;
}

#[async_trait]
impl ClusterTokens for Database {
    async fn create_cluster_token(&self, token: &ClusterToken) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO cluster_tokens (token_hash, attempt_id, purpose, user_name, user_groups, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(&token.token_hash)
        .bind(&token.attempt_id)
        .bind(&token.purpose)
        .bind(&token.user_name)
        .bind(row::json(&token.user_groups, "token")?)
        .bind(ms(token.created_at))
        .bind(ms_or_none(token.expires_at))
        .execute(&self.pool)
        .await
        .doing("make a token")?;
        Ok(())
    }

    async fn cluster_token(&self, token_hash: &str) -> Result<Option<ClusterToken>, StoreError> {
        let row = sqlx::query("SELECT * FROM cluster_tokens WHERE token_hash = $1 AND revoked_at IS NULL")
            .bind(token_hash)
            .fetch_optional(&self.pool)
            .await
            .doing("read a token")?;
        let Some(row) = row else { return Ok(None) };
        let row = Reader::new(&row, "token");
        Ok(Some(ClusterToken {
            token_hash: row.text("token_hash")?,
            attempt_id: row.text("attempt_id")?,
            purpose: row.text("purpose")?,
            user_name: row.text("user_name")?,
            user_groups: row.json("user_groups")?,
            created_at: row.time("created_at")?,
            expires_at: row.time_or_none("expires_at")?,
        }))
    }

    async fn revoke_cluster_tokens(&self, attempt_id: &str, purpose: Option<&str>, at: Timestamp) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query(
            "UPDATE cluster_tokens SET revoked_at = $2 WHERE attempt_id = $1 AND revoked_at IS NULL AND (purpose = $3 OR $3 = '') RETURNING token_hash",
        )
        .bind(attempt_id)
        .bind(ms(at))
        .bind(purpose.unwrap_or_default())
        .fetch_all(&self.pool)
        .await
        .doing("revoke tokens")?;
        rows.iter().map(|row| Reader::new(row, "token").text("token_hash")).collect()
    }
}
