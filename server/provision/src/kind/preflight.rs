//! What this machine lacks for kind clusters, each with the command that mends it. Looked at before the first cluster and by `cordon doctor`.

use std::fmt;

/// API 1.41 came with Docker 20.10: a private cgroup namespace, which nodes need.
pub const OLDEST_API: (u32, u32) = (1, 41);
/// About what systemd and a kubelet of one node hold (measured).
const INOTIFY_OF_A_NODE: u64 = 28;
const MIB: u64 = 1 << 20;

/// What was found on the machine; `None` where it could not be found out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Version of Docker's API.
    pub api: Option<(u32, u32)>,
    pub docker: String,
    pub os: String,
    /// `1` or `2`.
    pub cgroup_version: String,
    /// Docker runs without root.
    pub rootless: bool,
    pub memory_limit: bool,
    pub pids_limit: bool,
    pub inotify_instances: Option<u64>,
    pub inotify_watches: Option<u64>,
    /// Bytes that are free where Docker keeps its data.
    pub disk: Option<u64>,
    /// Bytes of memory that are available.
    pub memory: Option<u64>,
}

/// What the engine wants to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Minor of Kubernetes in the node image, where it is known.
    pub minor: Option<u32>,
    /// Bytes that one node may take.
    pub node_memory: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    Fine,
    /// It runs, but not many clusters, or not as it should.
    Narrow,
    /// No cluster can run here.
    Fatal,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub what: &'static str,
    pub grade: Grade,
    pub says: String,
    /// The command or the step that mends it; empty where nothing is to be mended.
    pub remedy: String,
}

impl Verdict {
    pub fn fine(what: &'static str, says: impl Into<String>) -> Self {
        Self { what, grade: Grade::Fine, says: says.into(), remedy: String::new() }
    }

    pub fn narrow(what: &'static str, says: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what, grade: Grade::Narrow, says: says.into(), remedy: remedy.into() }
    }

    pub fn fatal(what: &'static str, says: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what, grade: Grade::Fatal, says: says.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.says)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, " ({})", self.remedy) }
    }
}

/// Everything that was looked at, good or not.
pub fn judge(facts: &Facts, wanted: Wanted) -> Vec<Verdict> {
    let mut verdicts = vec![docker(facts)];
    if facts.rootless {
        verdicts.push(verdict(
            "Docker",
            Grade::Fatal,
            "runs without root, and its limits and firewall do not hold for privileged nodes",
            "use a Docker that runs as root: export DOCKER_HOST=unix:///var/run/docker.sock",
        ));
    }
    verdicts.push(cgroups(facts, wanted));
    if !facts.memory_limit || !facts.pids_limit {
        let lacking = if facts.memory_limit { "processes" } else { "memory" };
        verdicts.push(verdict(
            "limits",
            Grade::Narrow,
            &format!("this kernel does not limit {lacking} of a container"),
            "boot with cgroup_enable=memory swapaccount=1, or use cgroup v2",
        ));
    }
    verdicts.extend(facts.inotify_instances.map(inotify_instances));
    verdicts.extend(facts.inotify_watches.map(inotify_watches));
    verdicts.extend(facts.disk.map(disk));
    verdicts.extend(facts.memory.map(|free| memory(free, wanted.node_memory)));
    verdicts
}

/// Why no cluster can run here: all fatal verdicts in one line.
pub fn fatal(verdicts: &[Verdict]) -> Option<String> {
    let fatal: Vec<String> = verdicts.iter().filter(|v| v.grade == Grade::Fatal).map(ToString::to_string).collect();
    (!fatal.is_empty()).then(|| fatal.join("; "))
}

fn verdict(what: &'static str, grade: Grade, says: &str, remedy: &str) -> Verdict {
    Verdict { what, grade, says: says.to_owned(), remedy: remedy.to_owned() }
}

fn docker(facts: &Facts) -> Verdict {
    if facts.os != "linux" {
        return verdict("Docker", Grade::Fatal, &format!("runs {} containers", facts.os), "switch Docker to Linux containers");
    }
    match facts.api {
        Some(api) if api >= OLDEST_API => verdict("Docker", Grade::Fine, &format!("{} (API {}.{})", facts.docker, api.0, api.1), ""),
        Some(api) => verdict(
            "Docker",
            Grade::Fatal,
            &format!("{} speaks API {}.{}, and nodes need {}.{}", facts.docker, api.0, api.1, OLDEST_API.0, OLDEST_API.1),
            "install Docker 20.10 or newer: https://docs.docker.com/engine/install/",
        ),
        None => verdict("Docker", Grade::Fatal, "does not say the version of its API", "install Docker 20.10 or newer"),
    }
}

/// Kubernetes 1.35 leaves cgroup v1 (<https://kubernetes.io/docs/concepts/architecture/cgroups/>).
fn cgroups(facts: &Facts, wanted: Wanted) -> Verdict {
    let two = "boot with systemd.unified_cgroup_hierarchy=1";
    match (facts.cgroup_version.as_str(), wanted.minor) {
        ("2", _) => verdict("cgroups", Grade::Fine, "version 2", ""),
        ("1", Some(minor)) if minor > 34 => {
            verdict("cgroups", Grade::Fatal, &format!("version 1, and a kubelet of 1.{minor} refuses it"), two)
        }
        ("1", _) => verdict("cgroups", Grade::Narrow, "version 1, which Kubernetes takes up to 1.34", two),
        (other, _) => verdict("cgroups", Grade::Narrow, &format!("version {other:?} is not known here"), two),
    }
}

fn inotify_instances(instances: u64) -> Verdict {
    let nodes = instances / INOTIFY_OF_A_NODE;
    let says = format!("fs.inotify.max_user_instances is {instances}: enough for about {nodes} nodes");
    let grade = match nodes {
        0 => Grade::Fatal,
        1..8 => Grade::Narrow,
        _ => Grade::Fine,
    };
    let remedy = if grade == Grade::Fine { "" } else { "sysctl -w fs.inotify.max_user_instances=8192" };
    verdict("inotify instances", grade, &says, remedy)
}

fn inotify_watches(watches: u64) -> Verdict {
    let says = format!("fs.inotify.max_user_watches is {watches}");
    if watches < 65_536 {
        return verdict("inotify watches", Grade::Narrow, &says, "sysctl -w fs.inotify.max_user_watches=524288");
    }
    verdict("inotify watches", Grade::Fine, &says, "")
}

/// A node writes some hundred MiB: unpacked images, etcd, logs.
fn disk(free: u64) -> Verdict {
    let says = format!("{} MiB are free where Docker keeps its data", free / MIB);
    match free / MIB {
        0..1024 => verdict("disk", Grade::Fatal, &says, "docker system prune, or a larger disk"),
        1024..10_240 => verdict("disk", Grade::Narrow, &says, "docker system prune, or a larger disk"),
        _ => verdict("disk", Grade::Fine, &says, ""),
    }
}

fn memory(free: u64, node: u64) -> Verdict {
    // What an idle node takes (measured: 450 to 600 MiB).
    const IDLE: u64 = 600;
    let fit = free / MIB / IDLE;
    let says = format!("{} MiB are available: about {fit} idle clusters; one may take {} MiB", free / MIB, node / MIB);
    let remedy = "close other programs, lower kind.memory, or use a larger machine";
    match fit {
        0 => verdict("memory", Grade::Fatal, &says, remedy),
        _ if free < node => verdict("memory", Grade::Narrow, &says, remedy),
        _ => verdict("memory", Grade::Fine, &says, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted = Wanted { minor: Some(34), node_memory: 3 << 30 };

    fn good() -> Facts {
        Facts {
            api: Some((1, 45)),
            docker: "26.1.5".to_owned(),
            os: "linux".to_owned(),
            cgroup_version: "2".to_owned(),
            rootless: false,
            memory_limit: true,
            pids_limit: true,
            inotify_instances: Some(8192),
            inotify_watches: Some(524_288),
            disk: Some(100 << 30),
            memory: Some(16 << 30),
        }
    }

    /// Verdicts that are not fine, one a line.
    fn complaints(facts: &Facts, wanted: Wanted) -> String {
        let lines = judge(facts, wanted).into_iter().filter(|v| v.grade > Grade::Fine).map(|v| format!("{:?} {v}", v.grade));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_good_machine_has_nothing_to_mend() {
        assert_eq!(complaints(&good(), WANTED), "");
        assert!(judge(&good(), WANTED).iter().all(|v| v.remedy.is_empty()));
        assert_eq!(fatal(&judge(&good(), WANTED)), None);
        // What could not be found out is no complaint.
        let blind = Facts { inotify_instances: None, inotify_watches: None, disk: None, memory: None, ..good() };
        assert_eq!(complaints(&blind, WANTED), "");
    }

    #[test]
    fn every_lack_names_what_mends_it() {
        type Change = fn(&mut Facts);
        let rows: &[(Change, Grade, &str)] = &[
            (|f| f.api = Some((1, 40)), Grade::Fatal, "install Docker 20.10"),
            (|f| f.api = None, Grade::Fatal, "install Docker 20.10"),
            (|f| f.os = "windows".into(), Grade::Fatal, "Linux containers"),
            (|f| f.rootless = true, Grade::Fatal, "export DOCKER_HOST="),
            (|f| f.cgroup_version = "1".into(), Grade::Narrow, "unified_cgroup_hierarchy"),
            (|f| f.memory_limit = false, Grade::Narrow, "cgroup_enable=memory"),
            (|f| f.pids_limit = false, Grade::Narrow, "does not limit processes"),
            (|f| f.inotify_instances = Some(20), Grade::Fatal, "sysctl -w fs.inotify.max_user_instances="),
            (|f| f.inotify_instances = Some(128), Grade::Narrow, "enough for about 4 nodes"),
            (|f| f.inotify_watches = Some(8192), Grade::Narrow, "sysctl -w fs.inotify.max_user_watches="),
            (|f| f.disk = Some(500 << 20), Grade::Fatal, "docker system prune"),
            (|f| f.disk = Some(5 << 30), Grade::Narrow, "docker system prune"),
            (|f| f.memory = Some(300 << 20), Grade::Fatal, "lower kind.memory"),
            (|f| f.memory = Some(2 << 30), Grade::Narrow, "about 3 idle clusters"),
        ];
        for (change, grade, words) in rows {
            let mut facts = good();
            change(&mut facts);
            let complaints = complaints(&facts, WANTED);
            assert_eq!(complaints.lines().count(), 1, "{complaints}");
            assert!(
                complaints.starts_with(&format!("{grade:?}")) && complaints.contains(words),
                "{complaints}\nexpected {grade:?} {words}"
            );
            assert!(complaints.contains('('), "{complaints} has no remedy");
        }
    }

    #[test]
    fn newer_kubelets_refuse_the_old_hierarchy() {
        let old = Facts { cgroup_version: "1".to_owned(), ..good() };
        for (minor, expected) in [(Some(34), None), (None, None), (Some(35), Some("a kubelet of 1.35 refuses it"))] {
            let fatal = fatal(&judge(&old, Wanted { minor, ..WANTED }));
            assert_eq!(fatal.is_some(), expected.is_some(), "{fatal:?}");
            assert!(fatal.unwrap_or_default().contains(expected.unwrap_or_default()));
        }
    }
}
