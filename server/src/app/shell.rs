//! The learner's shell, with a kubeconfig that leads through the jail's relay to the gateway.

use crate::app::{App, AppError, Purpose};
use jail::{JailError, Shell, ShellSpec};
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};
use store::User;

/// Where the relay listens inside the jail; a real control plane's port.
const RELAY_PORT: u16 = 6443;

impl App {
    /// The running shell of the attempt, or a new one. `gateway` is where the gateway listens; `size` is columns and rows.
    pub async fn shell(&self, user: &User, attempt: &str, gateway: SocketAddr, size: (u16, u16)) -> Result<Arc<Shell>, AppError> {
        let attempt = self.running_attempt(user, attempt).await?;
        self.touch(&attempt).await?;
        let server = format!("https://127.0.0.1:{RELAY_PORT}");
        let kubeconfig = self.kubeconfig(user, &attempt.id, Purpose::Shell, Some(&server)).await?;
        let title = self.course.lab(&attempt.lab).map_or_else(|| attempt.lab.clone(), |plan| plan.title.clone());
        let simulated = if self.capabilities().simulated { " The cluster is simulated." } else { "" };
        let env = BTreeMap::from([
            ("CORDON_SERVER".to_owned(), server),
            ("CORDON_CLUSTER".to_owned(), attempt.id.clone()),
            ("CORDON_LAB".to_owned(), attempt.lab.clone()),
        ]);
        let spec = ShellSpec {
            gateway,
            relay_port: RELAY_PORT,
            kubeconfig,
            env,
            greeting: format!("{title}.{simulated} Your files are here; `k` is kubectl, and Tab completes."),
            columns: size.0,
            rows: size.1,
        };
        self.jails.shell(&attempt.id, &spec).await.map_err(|error| match error {
            JailError::Unavailable(why) => AppError::Unavailable(why),
            error => AppError::internal("start the shell", error),
        })
    }
}
