//! Images: found on the node, pulled, or refused (pkg/kubelet/images).

use super::{
    container::Phase,
    pod::{FIRST_BACK_OFF, LONGEST_BACK_OFF, Step, Worker, after},
    start::Refusal,
};
use crate::catalogue::{LookupError, Reference};
use jiff::{SignedDuration, Timestamp};
use machinery::{gvr, object};

impl Worker {
    /// Says which `imagePullSecrets` there are not.
    pub(super) fn look_for_pull_secrets(&self, step: &Step<'_, '_>) {
        let named = self.pod["spec"]["imagePullSecrets"].as_array().into_iter().flatten().filter_map(|s| s["name"].as_str());
        let missing: Vec<&str> =
            named.filter(|name| step.runtime.client.get(gvr::SECRETS, object::namespace(&self.pod), name).is_none()).collect();
        if !missing.is_empty() {
            let message = format!(
                "Unable to retrieve some image pull secrets ({}); attempting to pull the image may not succeed.",
                missing.join(", ")
            );
            self.event(step, None, true, "FailedToRetrieveImagePullSecret", message);
        }
    }

    pub(super) fn begin_image(&mut self, index: usize, step: &Step<'_, '_>) {
        let now = step.now;
        if self.containers[index].told.take().is_some() {
            self.containers[index].restarts += 1;
        }
        let reference = self.containers[index].spec["image"].as_str().unwrap_or_default().to_owned();
        let policy = self.containers[index].spec["imagePullPolicy"].as_str().unwrap_or("IfNotPresent").to_owned();
        let found = step.runtime.find_image(&reference);
        if let Err(LookupError::Invalid(error)) = &found {
            let message = format!("Failed to apply default image tag {reference:?}: couldn't parse image name {reference:?}: {error}");
            self.event(step, Some(index), true, "InspectFailed", message.clone());
            self.event(step, Some(index), true, "Failed", "Error: InvalidImageName");
            self.containers[index].phase = Phase::Refused { refusal: Refusal { reason: "InvalidImageName", message }, retry_at: None };
            return;
        }
        let present = found.as_ref().is_ok_and(|image| {
            let nodes = step.runtime.nodes.lock();
            nodes.get(&self.node).is_some_and(|n| n.images.contains(&image.image_id()) || (image.known && image.image.preloaded))
        });
        match (present, policy.as_str()) {
            (true, "IfNotPresent" | "Never") => {
                self.event(step, Some(index), false, "Pulled", format!("Container image {reference:?} already present on machine"));
                self.containers[index].image = found.ok();
                self.containers[index].phase = Phase::Starting { at: after(now, 15) };
            }
            (false, "Never") => {
                self.event(
                    step,
                    Some(index),
                    true,
                    "ErrImageNeverPull",
                    format!("Container image {reference:?} is not present with pull policy of Never"),
                );
                self.event(step, Some(index), true, "Failed", "Error: ErrImageNeverPull");
                let refusal = Refusal {
                    reason: "ErrImageNeverPull",
                    message: format!("Container image {reference:?} is not present with pull policy of Never"),
                };
                self.containers[index].phase = Phase::Refused { refusal, retry_at: None };
            }
            _ => {
                self.event(step, Some(index), false, "Pulling", format!("Pulling image {reference:?}"));
                // As fast as a near registry: nobody waits for a simulated download.
                let size = found.as_ref().map_or(0, |i| i.image.size);
                let milliseconds = if present { 40 } else { 80 + i64::try_from(size / 4_000_000).unwrap_or(0).min(400) };
                self.containers[index].phase = Phase::Pulling { until: after(now, milliseconds), since: now };
            }
        }
    }

    pub(super) fn end_pull(&mut self, index: usize, since: Timestamp, step: &Step<'_, '_>) {
        let now = step.now;
        let reference = self.containers[index].spec["image"].as_str().unwrap_or_default().to_owned();
        match step.runtime.find_image(&reference) {
            Ok(image) => {
                if let Some(node) = step.runtime.nodes.lock().get_mut(&self.node) {
                    node.images.insert(image.image_id());
                }
                let took = format!("{}ms", now.duration_since(since).as_millis());
                let size = image.image.size;
                self.event(
                    step,
                    Some(index),
                    false,
                    "Pulled",
                    format!("Successfully pulled image {reference:?} in {took} ({took} including waiting). Image size: {size} bytes."),
                );
                let container = &mut self.containers[index];
                container.image = Some(image);
                container.pull_back_off = SignedDuration::ZERO;
                container.phase = Phase::Starting { at: after(now, 15) };
            }
            Err(error) => {
                let full = Reference::parse(&reference).map_or_else(|_| reference.clone(), |r| r.to_string());
                // An unknown status adds nothing: the kubelet takes it away.
                let status = if matches!(error, LookupError::NoSuchRegistry { .. }) { "" } else { "rpc error: code = NotFound desc = " };
                let message = format!("{status}failed to pull and unpack image {full:?}: failed to resolve reference {full:?}: {error}");
                self.event(step, Some(index), true, "Failed", format!("Failed to pull image {reference:?}: {message}"));
                self.event(step, Some(index), true, "Failed", "Error: ErrImagePull");
                let container = &mut self.containers[index];
                container.pull_back_off = if container.pull_back_off.is_zero() {
                    FIRST_BACK_OFF
                } else {
                    container.pull_back_off.saturating_mul(2).min(LONGEST_BACK_OFF)
                };
                container.phase = Phase::PullFailed { message, backing_off: false, until: after(now, 500) };
            }
        }
    }
}
