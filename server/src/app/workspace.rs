//! The learner's files, always opened beneath their folder (see the `jail` crate).

use crate::app::{App, AppError};
use jail::{Entry, WorkspaceError};
use std::collections::BTreeMap;
use store::User;

/// Bytes of a file that the editor opens.
const READ_LIMIT: u64 = 1024 * 1024;

impl App {
    pub async fn files(&self, user: &User, attempt: &str) -> Result<Vec<Entry>, AppError> {
        let attempt = self.attempt(user, attempt).await?;
        self.in_workspace(&attempt.id, |workspace| workspace.list()).await
    }

    pub async fn read_file(&self, user: &User, attempt: &str, path: &str) -> Result<Vec<u8>, AppError> {
        let attempt = self.attempt(user, attempt).await?;
        let path = path.to_owned();
        self.in_workspace(&attempt.id, move |workspace| workspace.read(&path, READ_LIMIT)).await
    }

    pub async fn write_file(&self, user: &User, attempt: &str, path: &str, bytes: Vec<u8>) -> Result<(), AppError> {
        let attempt = self.running_attempt(user, attempt).await?;
        self.touch(&attempt).await?;
        let path = path.to_owned();
        self.in_workspace(&attempt.id, move |workspace| workspace.write(&path, &bytes)).await
    }

    pub async fn remove_file(&self, user: &User, attempt: &str, path: &str) -> Result<(), AppError> {
        let attempt = self.running_attempt(user, attempt).await?;
        self.touch(&attempt).await?;
        let path = path.to_owned();
        self.in_workspace(&attempt.id, move |workspace| workspace.remove(&path)).await
    }

    pub(crate) async fn reset_workspace(&self, attempt: &str, files: BTreeMap<String, Vec<u8>>) -> Result<(), AppError> {
        self.in_workspace(attempt, move |workspace| workspace.reset(&files)).await
    }

    pub(crate) async fn export_workspace(&self, attempt: &str) -> Result<BTreeMap<String, Vec<u8>>, AppError> {
        self.in_workspace(attempt, |workspace| workspace.export(READ_LIMIT)).await
    }

    async fn in_workspace<T: Send + 'static>(
        &self,
        attempt: &str,
        work: impl FnOnce(&jail::Workspace) -> Result<T, WorkspaceError> + Send + 'static,
    ) -> Result<T, AppError> {
        let (jails, id) = (self.jails.clone(), attempt.to_owned());
        let done = tokio::task::spawn_blocking(move || {
            let workspace = jails.workspace(&id).map_err(|error| AppError::internal("open the workspace", error))?;
            work(&workspace).map_err(problem)
        });
        done.await.map_err(|error| AppError::internal("reach the workspace", error))?
    }
}

fn problem(error: WorkspaceError) -> AppError {
    match error {
        WorkspaceError::NotFound(_) => AppError::NotFound("file"),
        WorkspaceError::Io { .. } => AppError::internal("reach the workspace", error),
        other => AppError::invalid("path", other.to_string()),
    }
}
