//! Who may pass the gateway: the holders of an open attempt's tokens, and the ServiceAccounts of a cluster that is awake.

use crate::app::App;
use crate::gateway::access::{Access, Admission, Refusal};
use crate::gateway::token::{PREFIX, TokenHash};
use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;
use provision::{Cluster, UserInfo};
use std::collections::HashMap;
use std::sync::Arc;
use store::{AttemptState, ClusterToken};

/// How long an answer of the store is believed; revoking a token forgets it at once.
const BELIEVED_MS: i64 = 5_000;
const KEPT: usize = 10_000;

/// What was found out about a token a moment ago, so that a burst of requests is one look into the store.
#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<HashMap<String, Known>>);

#[derive(Debug, Clone)]
struct Known {
    at: Timestamp,
    token: ClusterToken,
    cluster: Arc<dyn Cluster>,
}

impl Cache {
    pub(crate) fn forget(&self, hashes: &[String]) {
        let mut known = self.0.lock();
        for hash in hashes {
            known.remove(hash);
        }
    }

    fn get(&self, hash: &str, now: Timestamp) -> Option<Known> {
        let known = self.0.lock().get(hash).cloned()?;
        (now.as_millisecond() - known.at.as_millisecond() < BELIEVED_MS).then_some(known)
    }

    fn put(&self, hash: String, known: Known) {
        let mut all = self.0.lock();
        if all.len() >= KEPT {
            let now = known.at.as_millisecond();
            all.retain(|_, other| now - other.at.as_millisecond() < BELIEVED_MS);
        }
        if all.len() < KEPT {
            all.insert(hash, known);
        }
    }
}

#[async_trait]
impl Admission for App {
    async fn admit(&self, cluster: &str, bearer_token: &str) -> Result<Access, Refusal> {
        let hash = TokenHash::of(bearer_token);
        if bearer_token.starts_with(PREFIX) {
            return self.admit_learner(cluster, hash).await;
        }
        // A ServiceAccount's token: its cluster judges it. It wakes nothing: pods of a sleeping cluster do not run.
        let attempt = self.store.attempt(cluster).await.map_err(unavailable)?;
        let running = attempt.is_some_and(|attempt| attempt.state == AttemptState::Running && !self.is_over(attempt.expires_at));
        if !running {
            return Err(Refusal::Unauthorized);
        }
        let opened = self.engine.open(cluster).await.map_err(|_| Refusal::Unauthorized)?;
        let user = opened.authenticate(bearer_token).await.ok_or(Refusal::Unauthorized)?;
        Ok(Access { user, cluster: opened, token_id: hash.short(), is_learner: false })
    }

    async fn home(&self, bearer_token: &str) -> Option<String> {
        if !bearer_token.starts_with(PREFIX) {
            return None;
        }
        let hash = TokenHash::of(bearer_token).to_hex();
        if let Some(known) = self.admissions.get(&hash, self.clock.now()) {
            return Some(known.token.attempt_id);
        }
        Some(self.store.cluster_token(&hash).await.ok()??.attempt_id)
    }
}

impl App {
    async fn admit_learner(&self, cluster: &str, hash: TokenHash) -> Result<Access, Refusal> {
        let now = self.clock.now();
        let hex = hash.to_hex();
        let known = match self.admissions.get(&hex, now) {
            Some(known) => known,
            None => {
                let token = self.store.cluster_token(&hex).await.map_err(unavailable)?.ok_or(Refusal::Unauthorized)?;
                if token.attempt_id != cluster {
                    return Err(Refusal::Forbidden);
                }
                let attempt = self.store.attempt(cluster).await.map_err(unavailable)?.ok_or(Refusal::Forbidden)?;
                if self.is_over(attempt.expires_at) {
                    return Err(Refusal::Over("the time of this attempt is over".to_owned()));
                }
                match attempt.state {
                    AttemptState::Running => self.touch(&attempt).await.map_err(unavailable)?,
                    AttemptState::Sleeping => self.wake(&attempt).await.map_err(unavailable)?,
                    AttemptState::Preparing => return Err(Refusal::Unavailable("the cluster is being prepared".to_owned())),
                    AttemptState::Failed | AttemptState::Finished => return Err(Refusal::Over("this attempt is over".to_owned())),
                }
                let opened = self.engine.open(cluster).await.map_err(unavailable)?;
                let known = Known { at: now, token, cluster: opened };
                self.admissions.put(hex, known.clone());
                known
            }
        };
        if known.token.attempt_id != cluster {
            return Err(Refusal::Forbidden);
        }
        if self.is_over(known.token.expires_at) {
            return Err(Refusal::Over("the time of this attempt is over".to_owned()));
        }
        let user = UserInfo { name: known.token.user_name, groups: known.token.user_groups, ..UserInfo::default() };
        Ok(Access { user, cluster: known.cluster, token_id: hash.short(), is_learner: true })
    }

    fn is_over(&self, end: Option<Timestamp>) -> bool {
        end.is_some_and(|end| end <= self.clock.now())
    }
}

fn unavailable(error: impl std::error::Error) -> Refusal {
    tracing::error!("{}", crate::app::error::chain(&error));
    Refusal::Unavailable("the server cannot tell now whether this token holds; try again".to_owned())
}
