//! Why a kubelet ends a pod that nobody deleted: its deadline, and what its volumes hold beyond their limit.

use super::pod::{Step, Worker, after};
use machinery::quantity::Quantity;
use serde_json::Value;

pub const EVICTED: &str = "Evicted";
const DEADLINE: &str = "DeadlineExceeded";
const DEADLINE_MESSAGE: &str = "Pod was active on the node longer than the specified deadline";
/// Milliseconds between two looks at the volumes (the eviction manager's monitoring interval).
const INTERVAL: i64 = 10_000;

/// What a stored status says of it.
pub fn known(status: &Value) -> Option<(&'static str, String)> {
    let reason = [EVICTED, DEADLINE].into_iter().find(|reason| status["reason"] == *reason)?;
    (status["phase"] == "Failed").then(|| (reason, status["message"].as_str().unwrap_or_default().to_owned()))
}

impl Worker {
    /// Fails the pod and ends its containers where it is time.
    pub(super) fn look_for_doom(&mut self, step: &Step<'_, '_>) {
        if self.doom.is_some() || self.rejected.is_some() || self.is_ending() || self.is_over() {
            return;
        }
        if let Some(seconds) = self.pod["spec"]["activeDeadlineSeconds"].as_i64() {
            let deadline = after(self.start_time, seconds.saturating_mul(1000));
            if deadline <= step.now {
                self.event(step, None, false, DEADLINE, DEADLINE_MESSAGE);
                self.doom = Some((DEADLINE, DEADLINE_MESSAGE.to_owned()));
                return self.stop_all(step);
            }
            self.wake_at(deadline);
        }
        if let Some(message) = self.overfull(step) {
            self.event(step, None, true, EVICTED, message.clone());
            self.doom = Some((EVICTED, message));
            self.stop_all(step);
        }
    }

    /// An emptyDir on the node's disk that holds more than its `sizeLimit`.
    fn overfull(&mut self, step: &Step<'_, '_>) -> Option<String> {
        let limits: Vec<(String, String)> = self.pod["spec"]["volumes"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|v| v["emptyDir"]["medium"] != "Memory")
            .filter_map(|v| Some((v["name"].as_str()?.to_owned(), v["emptyDir"]["sizeLimit"].as_str()?.to_owned())))
            .collect();
        let sandbox = self.sandbox.as_ref().filter(|_| !limits.is_empty())?;
        let over = limits.iter().find(|(name, limit)| {
            let most = Quantity::parse(limit).ok().and_then(|q| usize::try_from(q.value()).ok()).filter(|most| *most > 0);
            sandbox.volumes.get(name).zip(most).is_some_and(|(volume, most)| volume.tree.used() > most)
        });
        let message = over.map(|(name, limit)| format!("Usage of EmptyDir volume {name:?} exceeds the limit {limit:?}. "));
        self.wake_at(after(step.now, INTERVAL));
        message
    }
}
