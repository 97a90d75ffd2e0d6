//! What a container's securityContext makes of its process: user, groups, capabilities, filters.

use crate::{catalogue::Image, shell::filesystem::Credentials};
use serde_json::Value;

/// In the order of their bits (linux/capability.h).
const CAPABILITIES: &[&str] = &[
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];
/// containerd's default set.
const DEFAULT: u64 = 0xa804_25fb;
/// Every capability.
pub const ALL: u64 = (1 << 41) - 1;

/// What the process is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    pub who: Credentials,
    pub bounding: u64,
    pub no_new_privileges: bool,
    /// 0 unconfined, 2 filtered.
    pub seccomp: u32,
    pub privileged: bool,
    pub read_only_root: bool,
    /// `profiles/x.json` of a Localhost profile.
    pub seccomp_file: Option<String>,
}

/// The container's setting, else the pod's.
fn setting<'a>(pod: &'a Value, container: &'a Value, name: &str) -> &'a Value {
    let own = &container["securityContext"][name];
    if own.is_null() { &pod["spec"]["securityContext"][name] } else { own }
}

fn bits(names: &Value) -> u64 {
    names.as_array().into_iter().flatten().filter_map(Value::as_str).fold(0, |bits, name| {
        let name = name.to_uppercase();
        let name = name.strip_prefix("CAP_").unwrap_or(&name);
        match CAPABILITIES.iter().position(|c| *c == name) {
            _ if name == "ALL" => ALL,
            Some(bit) => bits | 1 << bit,
            None => bits,
        }
    })
}

/// The effective settings, or the kubelet's refusal (`CreateContainerConfigError`).
pub fn effective(pod: &Value, container: &Value, image: &Image) -> Result<Effective, String> {
    let number = |name| setting(pod, container, name).as_i64();
    let run_as = number("runAsUser");
    if setting(pod, container, "runAsNonRoot") == true {
        let place = || {
            let meta = &pod["metadata"];
            let text = |key: &str| meta[key].as_str().unwrap_or_default().to_owned();
            format!(
                "(pod: \"{}_{}({})\", container: {})",
                text("name"),
                text("namespace"),
                text("uid"),
                container["name"].as_str().unwrap_or_default()
            )
        };
        match (run_as, image.run_as.numeric()) {
            (Some(0), _) => return Err(format!("container's runAsUser breaks non-root policy {}", place())),
            (Some(_), _) => {}
            (None, Some(0)) => return Err(format!("container has runAsNonRoot and image will run as root {}", place())),
            (None, None) => {
                let user = image.run_as.user.split(':').next().unwrap_or_default();
                return Err(format!(
                    "container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root {}",
                    place()
                ));
            }
            (None, Some(_)) => {}
        }
    }
    let uid = run_as.unwrap_or_else(|| image.run_as.uid());
    let gid = number("runAsGroup").unwrap_or_else(|| image.run_as.gid(uid));
    let pod_context = &pod["spec"]["securityContext"];
    let mut groups: Vec<i64> = pod_context["supplementalGroups"].as_array().into_iter().flatten().filter_map(Value::as_i64).collect();
    groups.extend(pod_context["fsGroup"].as_i64());
    groups.retain(|g| *g != gid);
    groups.sort_unstable();
    groups.dedup();
    let own = &container["securityContext"];
    let privileged = own["privileged"] == true;
    let bounding = if privileged {
        ALL
    } else {
        let (add, drop) = (bits(&own["capabilities"]["add"]), bits(&own["capabilities"]["drop"]));
        // Dropping all comes first, then what is added stays.
        if drop == ALL {
            add
        } else if add == ALL {
            ALL & !drop
        } else {
            (DEFAULT | add) & !drop
        }
    };
    let profile = setting(pod, container, "seccompProfile");
    let seccomp = if privileged { 0 } else { u32::from(matches!(profile["type"].as_str(), Some("RuntimeDefault" | "Localhost"))) * 2 };
    let seccomp_file =
        if profile["type"] == "Localhost" && !privileged { profile["localhostProfile"].as_str().map(str::to_owned) } else { None };
    Ok(Effective {
        // The kernel clears the effective set of a process that is not root.
        who: Credentials { uid, gid, groups, capabilities: if uid == 0 { bounding } else { 0 } },
        bounding,
        no_new_privileges: own["allowPrivilegeEscalation"] == false,
        seccomp,
        privileged,
        read_only_root: own["readOnlyRootFilesystem"] == true,
        seccomp_file,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::RunAs;
    use serde_json::json;

    #[test]
    fn contexts_become_processes() {
        let image = |user: &str| Image { run_as: RunAs { user: user.to_owned(), accounts: Vec::new() }, ..Image::default() };
        let pod = |context: Value| json!({"metadata": {"name": "p", "namespace": "n", "uid": "u"}, "spec": {"securityContext": context}});
        for (user, pod_context, own, expected) in [
            ("", json!({}), json!({}), "0:0 [] a80425fb nnp=false seccomp=0"),
            (
                "",
                json!({}),
                json!({"runAsNonRoot": true}),
                "container has runAsNonRoot and image will run as root (pod: \"p_n(u)\", container: c)",
            ),
            (
                "app",
                json!({}),
                json!({"runAsNonRoot": true}),
                "container has runAsNonRoot and image has non-numeric user (app), cannot verify user is non-root (pod: \"p_n(u)\", container: c)",
            ),
            (
                "",
                json!({"runAsNonRoot": true}),
                json!({"runAsUser": 0}),
                "container's runAsUser breaks non-root policy (pod: \"p_n(u)\", container: c)",
            ),
            ("101", json!({"runAsNonRoot": true}), json!({}), "101:0 [] 0 nnp=false seccomp=0"),
            (
                "",
                json!({"runAsUser": 1000, "fsGroup": 2000, "supplementalGroups": [4000]}),
                json!({}),
                "1000:0 [2000, 4000] 0 nnp=false seccomp=0",
            ),
            ("", json!({}), json!({"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}), "0:0 [] 400 nnp=false seccomp=0"),
            ("", json!({}), json!({"capabilities": {"add": ["NET_ADMIN", "SYS_TIME"]}}), "0:0 [] aa0435fb nnp=false seccomp=0"),
            (
                "",
                json!({"seccompProfile": {"type": "RuntimeDefault"}}),
                json!({"allowPrivilegeEscalation": false}),
                "0:0 [] a80425fb nnp=true seccomp=2",
            ),
            ("", json!({}), json!({"privileged": true}), "0:0 [] 1ffffffffff nnp=false seccomp=0"),
        ] {
            let container = json!({"name": "c", "securityContext": own});
            let got = match effective(&pod(pod_context), &container, &image(user)) {
                Ok(e) => format!(
                    "{}:{} {:?} {:x} nnp={} seccomp={}",
                    e.who.uid, e.who.gid, e.who.groups, e.who.capabilities, e.no_new_privileges, e.seccomp
                ),
                Err(message) => message,
            };
            assert_eq!(got, expected);
        }
    }
}
