//! What a use-case answers when it cannot do what was asked.

use provision::ProvisionError;
use store::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Not there, or not theirs.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    #[error("{0}")]
    Forbidden(String),
    /// A field of a form, in words for the person who filled it in.
    #[error("{message}")]
    Invalid { field: &'static str, message: String },
    /// Not in this state, or somebody was faster.
    #[error("{0}")]
    Conflict(String),
    #[error("too many attempts; try again in {seconds} seconds")]
    TooMany { seconds: u64 },
    /// Not now; trying again later may help.
    #[error("{0}")]
    Unavailable(String),
    #[error("the server failed to {doing}")]
    Internal {
        doing: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl AppError {
    pub fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid { field, message: message.into() }
    }

    pub(crate) fn internal(doing: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal { doing, source: source.into() }
    }
}

impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        Self::internal("reach its database", error)
    }
}

impl From<ProvisionError> for AppError {
    fn from(error: ProvisionError) -> Self {
        match error {
            ProvisionError::NotFound => Self::NotFound("cluster"),
            ProvisionError::Unavailable(why) => Self::Unavailable(why),
            other => Self::internal("reach the cluster", other),
        }
    }
}

/// The whole chain of causes in one line, for the log.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        // Some errors carry their cause in their own words already.
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        next = cause.source();
    }
    text
}
