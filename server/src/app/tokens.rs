//! A learner's tokens and kubeconfigs for their own cluster.

use crate::app::{App, AppError, apply};
use crate::cli::kubeconfig::Kubeconfig;
use crate::gateway::token::Token;
use store::{Attempt, AttemptState, ClusterToken, User};

/// What a kubeconfig is for; each has a token of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Inside the jail, through its relay.
    Shell,
    /// On the learner's own machine.
    Download,
}

impl Purpose {
    fn word(self) -> &'static str {
        match self {
            Self::Shell => "shell",
            Self::Download => "download",
        }
    }
}

impl App {
    /// The same attempt and purpose give the same kubeconfig again, until the attempt ends. `server` is where the gateway is
    /// reached from there (`https://127.0.0.1:8443` in the jail); `None`: the gateway's public address.
    pub async fn kubeconfig(&self, user: &User, attempt: &str, purpose: Purpose, server: Option<&str>) -> Result<String, AppError> {
        let attempt = self.running_attempt(user, attempt).await?;
        let token = self.cluster_token(&attempt, purpose).await?;
        let base = server.unwrap_or(&self.settings.gateway_url).trim_end_matches('/');
        let namespace = self.namespace_of(&attempt);
        let config = Kubeconfig {
            server: &format!("{base}/clusters/{}", attempt.id),
            authority: self.settings.gateway_authority.as_deref(),
            user: "learner",
            token: token.reveal(),
            name: &attempt.lab,
            namespace: Some(&namespace),
        };
        Ok(config.to_yaml())
    }

    /// Derived from the server's key, so that it can be written down again without ever being stored; its hash is.
    async fn cluster_token(&self, attempt: &Attempt, purpose: Purpose) -> Result<Token, AppError> {
        debug_assert_ne!(attempt.state, AttemptState::Finished);
        let token = Token::derived(self.keys.derive(purpose.word(), &attempt.id));
        let hash = token.hash().to_hex();
        if self.store.cluster_token(&hash).await?.is_none() {
            let holder = apply::learner();
            let row = ClusterToken {
                token_hash: hash,
                attempt_id: attempt.id.clone(),
                purpose: purpose.word().to_owned(),
                user_name: holder.name,
                user_groups: holder.groups,
                created_at: self.clock.now(),
                expires_at: attempt.expires_at,
            };
            self.store.create_cluster_token(&row).await?;
        }
        Ok(token)
    }

    /// No token of the attempt opens anything from now on.
    pub(crate) async fn close_doors(&self, attempt: &str) -> Result<(), AppError> {
        let revoked = self.store.revoke_cluster_tokens(attempt, None, self.clock.now()).await?;
        self.admissions.forget(&revoked);
        Ok(())
    }
}
