//! The connection: SQLite in a file (write-ahead log, every commit on the disk) or PostgreSQL.

use crate::error::{Doing, StoreError};
use sqlx::any::AnyPoolOptions;
use sqlx::{Any, AnyPool, Executor, Transaction};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations");

/// Cheap to clone; all clones share the connections.
#[derive(Debug, Clone)]
pub struct Database {
    pub(crate) pool: AnyPool,
    sqlite: bool,
}

impl Database {
    /// SQLite in `file`, made where it is missing, readable by its owner only; brought up to date.
    pub async fn open_file(file: &Path) -> Result<Self, StoreError> {
        // SQLite gives its journal files the mode of the database.
        let opened = std::fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(file);
        opened
            .and_then(|opened| opened.set_permissions(std::fs::Permissions::from_mode(0o600)))
            .map_err(|error| StoreError::Address(format!("{}: {error}", file.display())))?;
        let path = file.to_str().ok_or_else(|| StoreError::Address(format!("{} is not UTF-8", file.display())))?;
        let escaped: String =
            path.chars().map(|c| if matches!(c, '%' | '?' | '#') { format!("%{:02X}", c as u32) } else { c.to_string() }).collect();
        Self::open(&format!("sqlite://{escaped}?mode=rwc")).await
    }

    /// `sqlite://…` or `postgres://…`; brought up to date.
    pub async fn open(address: &str) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let sqlite = address.starts_with("sqlite:");
        if !sqlite && !address.starts_with("postgres:") && !address.starts_with("postgresql:") {
            return Err(StoreError::Address("expected sqlite:… or postgres:…".to_owned()));
        }
        let options = AnyPoolOptions::new()
            .max_connections(if sqlite { 6 } else { 16 })
            .acquire_timeout(Duration::from_secs(20))
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if sqlite {
                        for pragma in [
                            "PRAGMA busy_timeout = 15000",
                            "PRAGMA journal_mode = WAL",
                            "PRAGMA synchronous = FULL",
                            "PRAGMA foreign_keys = ON",
                        ] {
                            connection.execute(pragma).await?;
                        }
                    }
                    Ok(())
                })
            });
        let pool = options.connect(address).await.doing("open it")?;
        MIGRATIONS.run(&pool).await.map_err(StoreError::Migrate)?;
        Ok(Self { pool, sqlite })
    }

    /// A transaction that may write. SQLite takes its write lock at once: one that is upgraded later may fail for no fault of its own.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Any>, StoreError> {
        if self.sqlite { self.pool.begin_with("BEGIN IMMEDIATE").await } else { self.pool.begin().await }.doing("begin a transaction")
    }

    /// Waits for what is under way and closes all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
