//! From "start" to a cluster that is ready, in stages that the page shows. No stage hangs without an end: all of them together
//! have a limit, and what was under way when it ran out is the failure that the learner reads.

use crate::app::live::LiveEvent;
use crate::app::{App, AppError, error, kube};
use crate::app::{course::LabPlan, reset::START};
use provision::{Cluster, UserInfo};
use std::sync::Arc;
use store::{Attempt, AttemptState};

/// The stages in their order, for the page.
pub const STAGES: [&str; 4] = ["Making your cluster", "Putting the lab into it", "Preparing your files", "Remembering the start"];

impl App {
    /// At start of the server: attempts that were being prepared when it ended are prepared anew.
    pub async fn resume(self: &Arc<Self>) -> Result<(), AppError> {
        for attempt in self.store.open_attempts().await? {
            if attempt.state == AttemptState::Preparing {
                self.prepare_in_background(attempt);
            }
        }
        Ok(())
    }

    pub(crate) fn prepare_in_background(self: &Arc<Self>, attempt: Attempt) {
        if !self.preparing.lock().insert(attempt.id.clone()) {
            return;
        }
        let app = self.clone();
        tokio::spawn(async move {
            let stage = parking_lot::Mutex::new(STAGES[0]);
            let limit = app.settings.start_limit;
            let result = match tokio::time::timeout(limit, app.prepare(&attempt, &stage)).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => {
                    tracing::error!(attempt.id, stage = *stage.lock(), "{}", error::chain(&error));
                    Err(format!("{}: {}", stage.lock(), error::chain(&error)))
                }
                Err(_) => Err(format!("{}: not done after {} seconds", stage.lock(), limit.as_secs())),
            };
            if let Err(failure) = result {
                if let Err(error) = app.store.fail_attempt(&attempt.id, &failure).await {
                    tracing::error!(attempt.id, "{}", error::chain(&error));
                }
                app.tell(&attempt.id, LiveEvent::State { state: AttemptState::Failed, failure: Some(failure) }).await;
            }
            app.preparing.lock().remove(&attempt.id);
        });
    }

    async fn prepare(&self, attempt: &Attempt, stage: &parking_lot::Mutex<&'static str>) -> Result<(), AppError> {
        let plan = self.course.lab(&attempt.lab).ok_or(AppError::NotFound("lab"))?;
        let begin = async |name: &'static str| {
            *stage.lock() = name;
            self.tell(&attempt.id, LiveEvent::Stage { stage: name.to_owned(), done: false }).await;
        };
        let end = async |name: &'static str| self.tell(&attempt.id, LiveEvent::Stage { stage: name.to_owned(), done: true }).await;

        begin(STAGES[0]).await;
        let cluster = self.make_cluster(attempt, &plan).await?;
        end(STAGES[0]).await;

        begin(STAGES[1]).await;
        let caller = kube::Caller { cluster: &*cluster, user: UserInfo::admin() };
        let start = self.course.start(&attempt.lab, &attempt.params).map_err(|error| AppError::internal("read the lab", error))?;
        for applied in kube::apply_all(&caller, "cordon-lab", "default", start.objects, false).await {
            if let Some(problem) = applied.problem {
                return Err(AppError::internal("put the lab into the cluster", format!("{}: {problem}", applied.object)));
            }
        }
        cluster.settle(std::time::Duration::from_secs(5)).await;
        end(STAGES[1]).await;

        begin(STAGES[2]).await;
        self.reset_workspace(&attempt.id, start.workspace.clone()).await?;
        end(STAGES[2]).await;

        begin(STAGES[3]).await;
        self.remember(attempt, &*cluster, START).await?;
        end(STAGES[3]).await;

        let now = self.clock.now();
        let expires_at = plan.time_limit.map(|limit| self.later(limit));
        if self.store.start_attempt(&attempt.id, now, expires_at).await? {
            self.tell(&attempt.id, LiveEvent::State { state: AttemptState::Running, failure: None }).await;
        }
        Ok(())
    }

    async fn make_cluster(&self, attempt: &Attempt, plan: &LabPlan) -> Result<Arc<dyn Cluster>, AppError> {
        // What is left of a start that was cut off.
        self.engine.delete(&attempt.id).await?;
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let making = self.engine.create(&attempt.id, &plan.cluster, sender);
        tokio::pin!(making);
        loop {
            tokio::select! {
                // What was said before the end is told before the end.
                biased;
                Some(progress) = receiver.recv() => {
                    self.tell(&attempt.id, LiveEvent::Stage { stage: progress.stage, done: progress.done }).await;
                }
                made = making.as_mut() => {
                    while let Ok(progress) = receiver.try_recv() {
                        self.tell(&attempt.id, LiveEvent::Stage { stage: progress.stage, done: progress.done }).await;
                    }
                    return Ok(made?);
                }
            }
        }
    }
}
