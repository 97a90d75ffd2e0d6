//! What must happen although nobody asks: timers that end, clusters that idle, what is left over.

use crate::app::{App, AppError, LiveEvent, error};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use store::{Attempt, AttemptState};
use tokio_util::sync::CancellationToken;

const ROUND: Duration = Duration::from_secs(5);
/// Rounds between two looks at what is rare: orphans, old rows.
const RARE: u32 = 60;

impl App {
    /// Runs until `stop`.
    pub async fn reap(self: Arc<Self>, stop: CancellationToken) {
        let mut rounds = tokio::time::interval(ROUND);
        rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for round in 0_u32.. {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = rounds.tick() => {}
            }
            if let Err(error) = self.reap_once(round % RARE == 0).await {
                tracing::error!("the reaper could not do its round: {}", error::chain(&error));
            }
        }
    }

    /// One round. One attempt that cannot be tended does not keep the others waiting.
    pub async fn reap_once(&self, rare: bool) -> Result<(), AppError> {
        for attempt in self.store.open_attempts().await? {
            let id = attempt.id.clone();
            if let Err(error) = self.tend(attempt).await {
                tracing::error!(attempt.id = id, "{}", error::chain(&error));
            }
        }
        let gone_before = self.earlier(self.settings.keep_ended);
        for attempt in self.store.ended_with_cluster().await? {
            if attempt.finished_at.unwrap_or(attempt.active_at) <= gone_before
                && let Err(error) = self.remove_cluster(&attempt).await
            {
                tracing::error!(attempt.id, "{}", error::chain(&error));
            }
        }
        if rare {
            self.sweep().await?;
        }
        Ok(())
    }

    async fn tend(&self, attempt: Attempt) -> Result<(), AppError> {
        let now = self.clock.now();
        if attempt.state != AttemptState::Preparing && attempt.expires_at.is_some_and(|end| end <= now) {
            tracing::info!(attempt.id, "the time is over");
            self.finish_attempt(&attempt).await?;
        } else if attempt.state == AttemptState::Running && attempt.active_at <= self.earlier(self.settings.idle_after) {
            if self.jails.running(&attempt.id).is_some_and(|shell| shell.viewers() > 0) {
                return self.touch(&attempt).await;
            }
            let lock = self.attempt_lock(&attempt.id);
            let Ok(_held) = lock.try_lock() else { return Ok(()) };
            if self.store.change_state(&attempt.id, &[AttemptState::Running], AttemptState::Sleeping).await? {
                self.engine.open(&attempt.id).await?.sleep().await?;
                self.tell(&attempt.id, LiveEvent::State { state: AttemptState::Sleeping, failure: None }).await;
            }
        }
        Ok(())
    }

    async fn remove_cluster(&self, attempt: &Attempt) -> Result<(), AppError> {
        self.engine.delete(&attempt.id).await?;
        self.jails.delete(&attempt.id).await.map_err(|error| AppError::internal("remove a workspace", error))?;
        Ok(self.store.cluster_gone(&attempt.id).await?)
    }

    /// Clusters that no attempt knows, sessions and audit rows that are too old, guests who left nothing.
    async fn sweep(&self) -> Result<(), AppError> {
        let listed: BTreeSet<String> = self.engine.list().await?.into_iter().collect();
        for id in listed {
            let known = self.store.attempt(&id).await?.is_some_and(|attempt| !attempt.cluster_gone);
            if !known {
                tracing::warn!(cluster.id = id, "removing a cluster that belongs to no attempt");
                self.engine.delete(&id).await?;
            }
        }
        self.engine.tidy().await?;
        let jails = Arc::clone(&self.jails);
        let rested = tokio::task::spawn_blocking(move || jails.rest()).await;
        rested.map_err(|error| AppError::internal("let workspaces rest", error))?;
        self.store.delete_expired_sessions(self.clock.now()).await?;
        self.store.delete_audit_before(self.earlier(self.settings.keep_audit)).await?;
        self.store.delete_idle_guests(self.earlier(Duration::from_secs(7 * 86_400))).await?;
        Ok(())
    }

    fn earlier(&self, by: Duration) -> Timestamp {
        let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
        self.clock.now().checked_sub(by).unwrap_or(Timestamp::MIN)
    }
}
