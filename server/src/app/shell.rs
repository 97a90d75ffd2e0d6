//! The learner's shell: theirs alone, with a kubeconfig that leads through the jail's relay to the gateway.

use crate::app::{App, AppError, Purpose};
use jail::{JailError, Shell, ShellSpec};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::User;

/// Where kubectl finds the relay inside the jail's own network.
const RELAY_PORT: u16 = 6443;

impl App {
    /// The running shell of the attempt, or a new one of `(columns, rows)`. `Unavailable` where the jail cannot run here.
    pub async fn shell(&self, user: &User, attempt: &str, size: (u16, u16)) -> Result<Arc<Shell>, AppError> {
        let attempt = self.running_attempt(user, attempt).await?;
        self.touch(&attempt).await?;
        let server = format!("https://127.0.0.1:{RELAY_PORT}");
        let kubeconfig = self.kubeconfig(user, &attempt.id, Purpose::Shell, Some(&server)).await?;
        let title = self.course.lab(&attempt.lab).map(|plan| plan.title.clone()).unwrap_or_default();
        let note = if self.capabilities().simulated { " Nodes, GPUs and containers are simulated." } else { "" };
        let spec = ShellSpec {
            gateway: self.settings.gateway_address,
            relay_port: RELAY_PORT,
            kubeconfig,
            env: BTreeMap::from([("CORDON_LAB".to_owned(), attempt.lab.clone())]),
            greeting: format!("{title}: kubectl is set up for your cluster.{note}\r\n"),
            columns: size.0.clamp(20, 500),
            rows: size.1.clamp(5, 200),
        };
        self.jails.shell(&attempt.id, &spec).await.map_err(|error| match error {
            JailError::Unavailable(why) => AppError::Unavailable(why),
            JailError::Workspace(problem) => AppError::Conflict(problem.to_string()),
            other => AppError::internal("start a shell", other),
        })
    }
}
