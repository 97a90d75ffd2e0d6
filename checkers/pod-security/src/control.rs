//! The table of controls: which holds at which level and version, and which one replaces which.

use crate::{controls::*, level::Level, level::Version, pod::Pod};

/// One control forbids a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forbidden {
    /// The control's id, as `runAsNonRoot`.
    pub control: &'static str,
    /// Kubernetes' short reason, as `runAsNonRoot != true`.
    pub reason: String,
    /// Kubernetes' detail, without parentheses; may be empty.
    pub detail: String,
    /// The same, field by field.
    pub violations: Vec<Violation>,
}

/// One setting that is not as the control wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Name of the container, `None` for the pod's own settings.
    pub container: Option<String>,
    /// Path in the pod: `spec.containers[0].securityContext.privileged`.
    pub field: String,
    /// The value as it takes effect, in words where nothing is set.
    pub actual: String,
    pub expected: String,
}

pub(crate) type Check = fn(&Pod<'_>) -> Option<Forbidden>;

/// A control of the Pod Security Standards.
#[derive(Debug, Clone, Copy)]
pub struct Control {
    pub id: &'static str,
    pub level: Level,
    /// From which minor policy version on which rule holds, oldest first.
    pub(crate) versions: &'static [(u32, Check)],
    /// The baseline control that this restricted one replaces wherever it holds.
    pub replaces: Option<&'static str>,
}

impl Control {
    /// The first policy version (minor) that knows this control.
    pub fn since(&self) -> u32 {
        self.versions.first().map_or(0, |(minor, _)| *minor)
    }

    fn at(&self, minor: u32) -> Option<Check> {
        self.versions.iter().rev().find(|(since, _)| *since <= minor).map(|(_, check)| *check)
    }
}

const fn baseline(id: &'static str, versions: &'static [(u32, Check)]) -> Control {
    Control { id, level: Level::Baseline, versions, replaces: None }
}

const fn restricted(id: &'static str, replaces: Option<&'static str>, versions: &'static [(u32, Check)]) -> Control {
    Control { id, level: Level::Restricted, versions, replaces }
}

/// Baseline by id, then restricted by id: the order in which Kubernetes lists what it forbids.
static CONTROLS: [Control; 19] = [
    baseline("appArmorProfile", &[(0, app_armor::check)]),
    baseline("capabilities_baseline", &[(0, capabilities::baseline)]),
    baseline("hostNamespaces", &[(0, host_namespaces::check)]),
    baseline("hostPathVolumes", &[(0, host_path_volumes::check)]),
    baseline("hostPorts", &[(0, host_ports::check)]),
    baseline("hostProbesAndHostLifecycle", &[(34, host_probes::check)]),
    baseline("privileged", &[(0, privileged::check)]),
    baseline("procMount", &[(0, proc_mount::always), (35, proc_mount::unless_user_namespace)]),
    baseline("seLinuxOptions", &[(0, se_linux::v1_0), (31, se_linux::v1_31)]),
    baseline("seccompProfile_baseline", &[(0, seccomp::annotations), (19, seccomp::baseline)]),
    baseline("sysctls", &[(0, sysctls::v1_0), (27, sysctls::v1_27), (29, sysctls::v1_29), (32, sysctls::v1_32), (37, sysctls::v1_37)]),
    baseline("windowsHostProcess", &[(0, windows_host_process::check)]),
    restricted("allowPrivilegeEscalation", None, &[(8, privilege_escalation::v1_8), (25, privilege_escalation::v1_25)]),
    restricted(
        "capabilities_restricted",
        Some("capabilities_baseline"),
        &[(22, capabilities::restricted_v1_22), (25, capabilities::restricted_v1_25)],
    ),
    restricted("procMount_restricted", Some("procMount"), &[(35, proc_mount::restricted)]),
    restricted("restrictedVolumes", Some("hostPathVolumes"), &[(0, restricted_volumes::check)]),
    restricted("runAsNonRoot", None, &[(0, run_as_non_root::v1_0), (35, run_as_non_root::v1_35)]),
    restricted("runAsUser", None, &[(23, run_as_user::v1_23), (35, run_as_user::v1_35)]),
    restricted(
        "seccompProfile_restricted",
        Some("seccompProfile_baseline"),
        &[(19, seccomp::restricted_v1_19), (25, seccomp::restricted_v1_25)],
    ),
];

/// Every control that there is, in the order of messages.
pub fn controls() -> &'static [Control] {
    &CONTROLS
}

/// The rules that hold at a level and version, in the order of messages.
pub(crate) fn active(level: Level, version: Version) -> Vec<Check> {
    let minor = version.minor();
    let holds = |control: &&Control| control.level <= level && control.at(minor).is_some();
    let replaced: Vec<&str> = CONTROLS.iter().filter(holds).filter_map(|control| control.replaces).collect();
    CONTROLS.iter().filter(holds).filter(|control| !replaced.contains(&control.id)).filter_map(|control| control.at(minor)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_are_in_the_order_of_messages_and_replace_what_exists() {
        let key = |c: &Control| (c.level, c.id);
        assert!(CONTROLS.windows(2).all(|pair| key(&pair[0]) < key(&pair[1])));
        for control in &CONTROLS {
            assert!(control.versions.windows(2).all(|pair| pair[0].0 < pair[1].0), "{}", control.id);
            if let Some(replaced) = control.replaces {
                assert!(CONTROLS.iter().any(|c| c.id == replaced && c.level == Level::Baseline), "{}", control.id);
            }
        }
    }

    #[test]
    fn how_many_rules_hold() {
        for (level, version, want) in [
            (Level::Privileged, Version::Latest, 0),
            (Level::Baseline, Version::Minor(0), 11),
            (Level::Baseline, Version::Latest, 12),
            (Level::Restricted, Version::Minor(0), 12),
            (Level::Restricted, Version::Minor(8), 13),
            (Level::Restricted, Version::Minor(34), 15),
            (Level::Restricted, Version::Latest, 15),
        ] {
            assert_eq!(active(level, version).len(), want, "{level} {version}");
        }
    }
}
