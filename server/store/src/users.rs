//! People: learners, instructors, interviewers, admins; guests have no login.

use crate::database::Database;
use crate::error::{Doing, StoreError};
use crate::row::{Reader, ms, words};
use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::any::AnyRow;

words! {
    pub enum Role {
        Learner = "learner",
        Instructor = "instructor",
        Interviewer = "interviewer",
        Admin = "admin",
    }
}

#[derive(Clone, PartialEq, Eq)]
pub struct User {
    pub id: String,
    /// Lower case; `None` for a guest.
    pub login: Option<String>,
    pub display_name: String,
    pub role: Role,
    /// argon2id as a PHC string; `None` for a guest.
    pub password_hash: Option<String>,
    pub disabled: bool,
    pub created_at: Timestamp,
}

impl User {
    pub fn is_guest(&self) -> bool {
        self.login.is_none()
    }
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("id", &self.id).field("login", &self.login).field("role", &self.role).finish_non_exhaustive()
    }
}

#[async_trait]
pub trait Users {
    /// `Exists` where the login is taken.
    async fn create_user(&self, user: &User) -> Result<(), StoreError>;
    async fn user(&self, id: &str) -> Result<Option<User>, StoreError>;
    async fn user_by_login(&self, login: &str) -> Result<Option<User>, StoreError>;
    /// Everything but `id` and `created_at`. `false` where there is no such user; `Exists` where the login is taken.
    async fn update_user(&self, user: &User) -> Result<bool, StoreError>;
    /// All who are no guests, by login.
    async fn accounts(&self) -> Result<Vec<User>, StoreError>;
    async fn count_admins(&self) -> Result<i64, StoreError>;
    /// A guest's attempts become the account's; numbers go on counting. The guest is gone afterwards.
    async fn merge_guest(&self, guest: &str, account: &str) -> Result<(), StoreError>;
    /// Guests made before `before` who have no attempt and no session.
    async fn delete_idle_guests(&self, before: Timestamp) -> Result<u64, StoreError>;
}

fn read(row: &AnyRow) -> Result<User, StoreError> {
    let row = Reader::new(row, "user");
    Ok(User {
        id: row.text("id")?,
        login: row.text_or_none("login")?,
        display_name: row.text("display_name")?,
        role: row.word("role", Role::parse)?,
        password_hash: row.text_or_none("password_hash")?,
        disabled: row.flag("disabled")?,
        created_at: row.time("created_at")?,
    })
}

#[async_trait]
impl Users for Database {
    async fn create_user(&self, user: &User) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO users (id, login, display_name, role, password_hash, disabled, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(&user.id)
        .bind(user.login.clone())
        .bind(&user.display_name)
        .bind(user.role.as_str())
        .bind(user.password_hash.clone())
        .bind(i64::from(user.disabled))
        .bind(ms(user.created_at))
        .execute(&self.pool)
        .await
        .unless_exists("create a user", "the login")?;
        Ok(())
    }

    async fn user(&self, id: &str) -> Result<Option<User>, StoreError> {
        let row = sqlx::query("SELECT * FROM users WHERE id = $1").bind(id).fetch_optional(&self.pool).await.doing("read a user")?;
        row.as_ref().map(read).transpose()
    }

    async fn user_by_login(&self, login: &str) -> Result<Option<User>, StoreError> {
        let row = sqlx::query("SELECT * FROM users WHERE login = $1")
            .bind(login.to_lowercase())
            .fetch_optional(&self.pool)
            .await
            .doing("read a user")?;
        row.as_ref().map(read).transpose()
    }

    async fn update_user(&self, user: &User) -> Result<bool, StoreError> {
        let done =
            sqlx::query("UPDATE users SET login = $2, display_name = $3, role = $4, password_hash = $5, disabled = $6 WHERE id = $1")
                .bind(&user.id)
                .bind(user.login.clone())
                .bind(&user.display_name)
                .bind(user.role.as_str())
                .bind(user.password_hash.clone())
                .bind(i64::from(user.disabled))
                .execute(&self.pool)
                .await
                .unless_exists("change a user", "the login")?;
        Ok(done.rows_affected() > 0)
    }

    async fn accounts(&self) -> Result<Vec<User>, StoreError> {
        let rows = sqlx::query("SELECT * FROM users WHERE login IS NOT NULL ORDER BY login")
            .fetch_all(&self.pool)
            .await
            .doing("list the users")?;
        rows.iter().map(read).collect()
    }

    async fn count_admins(&self) -> Result<i64, StoreError> {
        let row = sqlx::query("SELECT COUNT(*) AS n FROM users WHERE role = 'admin' AND disabled = 0")
            .fetch_one(&self.pool)
            .await
            .doing("count the admins")?;
        Reader::new(&row, "count").number("n")
    }

    async fn merge_guest(&self, guest: &str, account: &str) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        sqlx::query(
            "UPDATE attempts SET user_id = $2, number = number + (SELECT COALESCE(MAX(b.number), 0) FROM attempts b WHERE b.user_id = $2 AND b.lab = attempts.lab) \
             WHERE user_id = $1",
        )
        .bind(guest)
        .bind(account)
        .execute(&mut *transaction)
        .await
        .doing("hand over attempts")?;
        sqlx::query("DELETE FROM users WHERE id = $1 AND login IS NULL")
            .bind(guest)
            .execute(&mut *transaction)
            .await
            .doing("remove a guest")?;
        transaction.commit().await.doing("hand over attempts")
    }

    async fn delete_idle_guests(&self, before: Timestamp) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "DELETE FROM users WHERE login IS NULL AND created_at < $1 AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.user_id = users.id) \
             AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.user_id = users.id)",
        )
        .bind(ms(before))
        .execute(&self.pool)
        .await
        .doing("remove idle guests")?;
        Ok(done.rows_affected())
    }
}
