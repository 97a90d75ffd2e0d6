//! Pod Security Standards: every control of *baseline* and *restricted*, for every policy version.
//!
//! ```text
//! pod metadata + spec ──► Pod (one view of all its containers) ──► each Control at (level, version) ──► Evaluation
//!        ▲                                                                                              reason, detail,
//!        └── template: the pod inside a Deployment, a CronJob, …                                        fields
//! ```
//!
//! Pure: no I/O, no clock, no knowledge of clusters. Reasons and details are spelled as Kubernetes' own admission spells them
//! (<https://kubernetes.io/docs/concepts/security/pod-security-standards/>), because the sandbox refuses pods with them; beside
//! the words each [`Violation`] names container, field, actual and expected value for whoever explains it to a learner.
//! An absent field means what the API server's defaulting makes of it: a volume without a source is an `emptyDir`.

mod control;
mod controls;
mod level;
mod malformed;
mod pod;
mod policy;
mod template;
mod words;

pub use control::{Control, Forbidden, Violation, controls};
pub use level::{Level, NEWEST_VERSION, ParseError, Version};
pub use malformed::{Malformed, malformed};
pub use pod::{Container, Pod};
pub use policy::{LabelError, LevelVersion, Policy};
pub use template::{PodTemplate, holds_pod, pod_template};

use serde_json::Value;

/// What one pod looks like in the eyes of one level and version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluation {
    pub level: Level,
    pub version: Version,
    /// In the order in which Kubernetes lists them: baseline controls by name, then restricted ones by name.
    pub forbidden: Vec<Forbidden>,
}

impl Evaluation {
    pub fn allowed(&self) -> bool {
        self.forbidden.is_empty()
    }

    /// `host namespaces, privileged`: what a warning about a whole namespace lists.
    pub fn reasons(&self) -> String {
        self.forbidden.iter().map(|f| f.reason.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// `host namespaces (hostNetwork=true), privileged (container "a" must not set securityContext.privileged=true)`.
    pub fn details(&self) -> String {
        let one = |f: &Forbidden| if f.detail.is_empty() { f.reason.clone() } else { format!("{} ({})", f.reason, f.detail) };
        self.forbidden.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// `violates PodSecurity "restricted:latest": …`; empty where the pod is allowed.
    pub fn message(&self) -> String {
        if self.allowed() {
            return String::new();
        }
        format!("violates PodSecurity \"{}:{}\": {}", self.level, self.version, self.details())
    }
}

/// Judges a pod (or the pod of a template): `metadata` for the old annotations, `spec` a `PodSpec`.
///
/// A version beyond [`NEWEST_VERSION`] counts as the newest one, as in Kubernetes. Cost is linear in the size of the pod.
pub fn evaluate(level: Level, version: Version, metadata: &Value, spec: &Value) -> Evaluation {
    let pod = Pod::new(metadata, spec);
    let forbidden = control::active(level, version).into_iter().filter_map(|check| check(&pod)).collect();
    Evaluation { level, version, forbidden }
}
