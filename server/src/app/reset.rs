//! Back to the start or to any step that was passed: cluster and files as they were then.

use crate::app::course::LabPlan;
use crate::app::live::LiveEvent;
use crate::app::{App, AppError};
use provision::Cluster;
use std::collections::BTreeMap;
use store::{Attempt, EvidenceBlob, SnapshotRow, User};

/// Where a reset can lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResetPoint {
    Start,
    /// The id of a step that was passed: the state in which its last task passed.
    Step(String),
}

pub(crate) const START: &str = "start";

impl ResetPoint {
    /// `start` or `step.<id>`, as forms carry it.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("step.") {
            Some("") => None,
            Some(step) => Some(Self::Step(step.to_owned())),
            None => (text == START).then_some(Self::Start),
        }
    }
}

impl std::fmt::Display for ResetPoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Start => f.write_str(START),
            Self::Step(step) => write!(f, "step.{step}"),
        }
    }
}

impl App {
    /// Where this attempt can go back to, in the order in which it got there.
    pub async fn reset_points(&self, user: &User, attempt: &str) -> Result<Vec<ResetPoint>, AppError> {
        self.attempt(user, attempt).await?;
        let rows = self.store.snapshots(attempt).await?;
        Ok(rows.iter().filter_map(|row| ResetPoint::parse(&row.name)).collect())
    }

    /// What happened since is lost: points that were earned later too. Hints stay paid, the clock runs on, scans stay remembered.
    pub async fn reset(&self, user: &User, attempt: &str, to: &ResetPoint) -> Result<(), AppError> {
        let lock = self.attempt_lock(attempt);
        let _held = lock.lock().await;
        let attempt = self.running_attempt(user, attempt).await?;
        let name = to.to_string();
        let rows = self.store.snapshots(&attempt.id).await?;
        let row = rows.into_iter().find(|row| row.name == name).ok_or(AppError::NotFound("snapshot"))?;
        let files = self.remembered_files(&attempt, &name).await?;
        self.engine.restore(&attempt.id, &name).await?;
        self.reset_workspace(&attempt.id, files).await?;
        let kept: Vec<String> = match to {
            ResetPoint::Start => Vec::new(),
            ResetPoint::Step(_) => {
                let states = self.store.task_states(&attempt.id).await?;
                states.into_iter().filter(|state| state.passed_at.is_some_and(|at| at <= row.taken_at)).map(|state| state.task).collect()
            }
        };
        self.store.keep_task_states(&attempt.id, &kept).await?;
        self.store.delete_snapshots_after(&attempt.id, row.taken_at).await?;
        self.touch(&attempt).await?;
        self.tell(&attempt.id, LiveEvent::Reset { to: name }).await;
        Ok(())
    }

    /// Takes a snapshot of cluster and files under `name`.
    pub(crate) async fn remember(&self, attempt: &Attempt, cluster: &dyn Cluster, name: &str) -> Result<(), AppError> {
        let files = self.export_workspace(&attempt.id).await?;
        let files: BTreeMap<String, String> = files.into_iter().map(|(path, bytes)| (path, hex::encode(bytes))).collect();
        let json = serde_json::to_vec(&files).map_err(|error| AppError::internal("write a snapshot", error))?;
        cluster.snapshot(name).await?;
        // Kept beside the evidence, under a digest that no evidence can have.
        let blob = EvidenceBlob { digest: files_key(name), ..EvidenceBlob::new(self.clock.now(), json) };
        self.store.replace_evidence(&attempt.id, &blob).await?;
        let row = SnapshotRow { attempt_id: attempt.id.clone(), name: name.to_owned(), taken_at: self.clock.now() };
        Ok(self.store.put_snapshot(&row).await?)
    }

    async fn remembered_files(&self, attempt: &Attempt, name: &str) -> Result<BTreeMap<String, Vec<u8>>, AppError> {
        let blob = self.store.evidence(&attempt.id, &files_key(name)).await?.ok_or(AppError::NotFound("snapshot"))?;
        let files: BTreeMap<String, String> =
            serde_json::from_slice(&blob.json).map_err(|error| AppError::internal("read a snapshot", error))?;
        let decoded: Result<BTreeMap<_, _>, _> =
            files.into_iter().map(|(path, text)| hex::decode(text).map(|bytes| (path, bytes))).collect();
        decoded.map_err(|error| AppError::internal("read a snapshot", error))
    }

    /// A snapshot for each step all of whose tasks pass now and that has none yet.
    pub(crate) async fn remember_passed_steps(
        &self,
        attempt: &Attempt,
        cluster: &dyn Cluster,
        plan: &LabPlan,
        passed: &BTreeMap<String, i64>,
    ) -> Result<(), AppError> {
        let have: Vec<String> = self.store.snapshots(&attempt.id).await?.into_iter().map(|row| row.name).collect();
        for step in &plan.steps {
            let name = ResetPoint::Step(step.id.clone()).to_string();
            let done = !step.tasks.is_empty() && step.tasks.iter().all(|task| passed.contains_key(task));
            if done && !have.contains(&name) && self.engine.capabilities().snapshots {
                self.remember(attempt, cluster, &name).await?;
            }
        }
        Ok(())
    }
}

fn files_key(name: &str) -> String {
    format!("files:{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_have_names() {
        for (text, expected) in [
            ("start", Some(ResetPoint::Start)),
            ("step.gpu", Some(ResetPoint::Step("gpu".to_owned()))),
            ("step.", None),
            ("other", None),
            ("", None),
        ] {
            assert_eq!(ResetPoint::parse(text), expected, "{text:?}");
            assert!(expected.is_none_or(|point| point.to_string() == text));
        }
    }
}
