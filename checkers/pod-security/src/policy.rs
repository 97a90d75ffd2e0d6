//! What a namespace's labels ask of its pods.

use crate::level::{Level, ParseError, Version};
use serde_json::{Map, Value};
use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LevelVersion {
    pub level: Level,
    pub version: Version,
}

impl fmt::Display for LevelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.level, self.version)
    }
}

/// `pod-security.kubernetes.io/{enforce,audit,warn}` and `…-version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    pub enforce: LevelVersion,
    pub audit: LevelVersion,
    pub warn: LevelVersion,
}

/// A label that could not be understood; a server refuses to store it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelError {
    pub label: String,
    pub value: String,
    pub error: ParseError,
}

impl Default for Policy {
    fn default() -> Self {
        let privileged = LevelVersion { level: Level::Privileged, version: Version::Latest };
        Self { enforce: privileged, audit: privileged, warn: privileged }
    }
}

impl Policy {
    /// Reads a namespace's labels. A policy comes back even with errors: enforcing then fails closed (restricted), auditing and
    /// warning fail open, as in Kubernetes.
    pub fn from_labels(labels: Option<&Map<String, Value>>) -> (Self, Vec<LabelError>) {
        let mut policy = Self::default();
        let mut errors = Vec::new();
        let text = |label: &str| labels.and_then(|labels| labels.get(label)).and_then(Value::as_str);
        for (mode, on_error, slot) in [
            ("enforce", Level::Restricted, &mut policy.enforce),
            ("audit", Level::Privileged, &mut policy.audit),
            ("warn", Level::Privileged, &mut policy.warn),
        ] {
            let label = format!("pod-security.kubernetes.io/{mode}");
            if let Some(value) = text(&label) {
                slot.level = value.parse().unwrap_or_else(|error| {
                    errors.push(LabelError { label: label.clone(), value: value.to_owned(), error });
                    on_error
                });
            }
            let label = format!("{label}-version");
            if let Some(value) = text(&label) {
                slot.version = value.parse().unwrap_or_else(|error| {
                    errors.push(LabelError { label: label.clone(), value: value.to_owned(), error });
                    Version::Latest
                });
            }
        }
        // Who enforces without a word about warnings wants them at the same level: workloads are not refused, only their pods.
        let understood = |label: &str| text(label).is_some_and(|value| value.parse::<Level>().is_ok());
        if text("pod-security.kubernetes.io/warn").is_none()
            && understood("pod-security.kubernetes.io/enforce")
            && policy.enforce.level > policy.warn.level
        {
            policy.warn.level = policy.enforce.level;
            if text("pod-security.kubernetes.io/warn-version").is_none() {
                policy.warn.version = policy.enforce.version;
            }
        }
        (policy, errors)
    }

    /// Nothing is asked of pods at all.
    pub fn fully_privileged(&self) -> bool {
        [self.enforce, self.audit, self.warn].iter().all(|lv| lv.level == Level::Privileged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn labels_to_policy() {
        let labels = json!({
            "pod-security.kubernetes.io/enforce": "strict",
            "pod-security.kubernetes.io/audit": "baseline",
            "pod-security.kubernetes.io/audit-version": "v1.25",
            "pod-security.kubernetes.io/warn": "none",
            "app": "x",
        });
        let (policy, errors) = Policy::from_labels(labels.as_object());
        assert_eq!(
            (policy.enforce.to_string(), policy.audit.to_string(), policy.warn.to_string()),
            ("restricted:latest".to_owned(), "baseline:v1.25".to_owned(), "privileged:latest".to_owned())
        );
        assert_eq!(errors.iter().map(|e| e.value.as_str()).collect::<Vec<_>>(), ["strict", "none"]);
        assert!(Policy::from_labels(None).0.fully_privileged());
        let labels = json!({"pod-security.kubernetes.io/enforce": "baseline", "pod-security.kubernetes.io/enforce-version": "v1.30"});
        assert_eq!(Policy::from_labels(labels.as_object()).0.warn.to_string(), "baseline:v1.30");
        let labels = json!({"pod-security.kubernetes.io/enforce": "baseline", "pod-security.kubernetes.io/warn": "privileged"});
        assert_eq!(Policy::from_labels(labels.as_object()).0.warn.to_string(), "privileged:latest");
    }
}
