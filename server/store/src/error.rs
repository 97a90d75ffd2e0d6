//! What can go wrong with the store.

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database refused to {operation}")]
    Database {
        operation: &'static str,
        #[source]
        source: sqlx::Error,
    },
    #[error("the database could not be brought up to date")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// A uniqueness rule was hit: the login is taken, the attempt exists.
    #[error("{0} exists already")]
    Exists(&'static str),
    /// A row holds what this version cannot read.
    #[error("a stored {what} cannot be read: {why}")]
    Unreadable { what: &'static str, why: String },
    #[error("cannot use the database: {0}")]
    Address(String),
}

impl StoreError {
    pub(crate) fn unreadable(what: &'static str, why: impl ToString) -> Self {
        Self::Unreadable { what, why: why.to_string() }
    }
}

/// Names the operation that failed.
pub(crate) trait Doing<T> {
    fn doing(self, operation: &'static str) -> Result<T, StoreError>;

    /// As `doing`; a broken uniqueness rule becomes `Exists(what)`.
    fn unless_exists(self, operation: &'static str, what: &'static str) -> Result<T, StoreError>;
}

impl<T> Doing<T> for Result<T, sqlx::Error> {
    fn doing(self, operation: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Database { operation, source })
    }

    fn unless_exists(self, operation: &'static str, what: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| match &source {
            sqlx::Error::Database(error) if error.is_unique_violation() => StoreError::Exists(what),
            _ => StoreError::Database { operation, source },
        })
    }
}
