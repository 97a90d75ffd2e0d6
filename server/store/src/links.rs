//! One-time links: whoever opens one may make an account with its role.

use crate::database::Database;
use crate::error::{Doing, StoreError};
use crate::row::{Reader, ms};
use crate::users::Role;
use async_trait::async_trait;
use jiff::Timestamp;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginLink {
    pub token_hash: String,
    pub role: Role,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

#[async_trait]
pub trait LoginLinks {
    async fn create_link(&self, link: &LoginLink) -> Result<(), StoreError>;
    /// A link that is unused and not expired.
    async fn link(&self, token_hash: &str, now: Timestamp) -> Result<Option<LoginLink>, StoreError>;
    /// Marks it used; `false` where somebody was faster, it has expired or never was.
    async fn use_link(&self, token_hash: &str, now: Timestamp) -> Result<bool, StoreError>;
    /// Removes all links of a role, so that only the newest works.
    async fn delete_links(&self, role: Role) -> Result<(), StoreError>;
}

#[async_trait]
impl LoginLinks for Database {
    async fn create_link(&self, link: &LoginLink) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO login_links (token_hash, role, created_at, expires_at) VALUES ($1, $2, $3, $4)")
            .bind(&link.token_hash)
            .bind(link.role.as_str())
            .bind(ms(link.created_at))
            .bind(ms(link.expires_at))
            .execute(&self.pool)
            .await
            .doing("make a link")?;
        Ok(())
    }

    async fn link(&self, token_hash: &str, now: Timestamp) -> Result<Option<LoginLink>, StoreError> {
        let row = sqlx::query("SELECT * FROM login_links WHERE token_hash = $1 AND used_at IS NULL AND expires_at > $2")
            .bind(token_hash)
            .bind(ms(now))
            .fetch_optional(&self.pool)
            .await
            .doing("read a link")?;
        let Some(row) = row else { return Ok(None) };
        let row = Reader::new(&row, "link");
        Ok(Some(LoginLink {
            token_hash: row.text("token_hash")?,
            role: row.word("role", Role::parse)?,
            created_at: row.time("created_at")?,
            expires_at: row.time("expires_at")?,
        }))
    }

    async fn use_link(&self, token_hash: &str, now: Timestamp) -> Result<bool, StoreError> {
        let done = sqlx::query("UPDATE login_links SET used_at = $2 WHERE token_hash = $1 AND used_at IS NULL AND expires_at > $2")
            .bind(token_hash)
            .bind(ms(now))
            .execute(&self.pool)
            .await
            .doing("use a link")?;
        Ok(done.rows_affected() == 1)
    }

    async fn delete_links(&self, role: Role) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM login_links WHERE role = $1").bind(role.as_str()).execute(&self.pool).await.doing("remove links")?;
        Ok(())
    }
}
