//! Whether so many learners fit on this machine, and what runs out first: counted from what clusters were measured to take.

use crate::kind::preflight::Verdict;
use serde::{Deserialize, Serialize};

const MIB: u64 = 1 << 20;
/// About what systemd and a kubelet of one node hold (measured; the kernel does not say who holds how many).
pub const INOTIFY: u64 = 28;

/// What one cluster takes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Use {
    /// Bytes that its nodes hold and that cannot be taken back from them.
    pub memory: u64,
    /// Cores.
    pub cpus: f64,
    pub pids: u64,
    /// Bytes that its nodes have written.
    pub disk: u64,
    pub nodes: u64,
}

impl Use {
    /// One idle node, as docs/kind.md gives it.
    pub const DOCUMENTED: Self = Self { memory: 600 * MIB, cpus: 0.15, pids: 250, disk: 1024 * MIB, nodes: 1 };

    /// The largest of each, since a lesson fills clusters alike. `None`: nothing was measured.
    pub fn largest(all: &[Self]) -> Option<Self> {
        all.iter().copied().reduce(|a, b| Self {
            memory: a.memory.max(b.memory),
            cpus: a.cpus.max(b.cpus),
            pids: a.pids.max(b.pids),
            disk: a.disk.max(b.disk),
            nodes: a.nodes.max(b.nodes),
        })
    }
}

/// Where the figures of [`Use`] come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Of so many clusters, now.
    Measured(usize),
    /// Of earlier ones, at that time.
    Remembered(String),
    Documented,
}

/// What is left of this machine, beside the clusters that run already; `None` where it cannot be found out.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Left {
    pub memory: Option<u64>,
    pub cpus: Option<f64>,
    pub disk: Option<u64>,
    pub inotify_instances: Option<u64>,
    pub pids: Option<u64>,
    pub subnets: Option<u64>,
    pub ports: Option<u64>,
    /// Clusters that there are already, which take learners too.
    pub clusters: u64,
}

/// One verdict for each thing that can run out, the first to run out first, and one in front that says yes or no.
pub fn judge(learners: u64, each: Use, source: &Source, left: Left) -> Vec<Verdict> {
    let fit = |free: u64, one: u64| left.clusters + free / one.max(1);
    let mib = |bytes: u64| format!("{} MiB", bytes / MIB);
    let mut all: Vec<(u64, &'static str, String, &'static str)> = Vec::new();
    let mut add = |what, fits: u64, says: String, remedy| all.push((fits, what, says, remedy));
    if let Some(free) = left.memory {
        let says = format!("{} are free, and a cluster takes {}", mib(free), mib(each.memory));
        add("memory", fit(free, each.memory), says, "close other programs, or use a larger machine");
    }
    if let Some(free) = left.cpus {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number of clusters, not below none")]
        let more = (free.max(0.0) / each.cpus.max(0.01)).min(1e6) as u64;
        let says = format!("{:.1} cores are free, and a cluster takes {:.2}", free.max(0.0), each.cpus);
        add("CPU", left.clusters + more, says, "use a machine with more cores; clusters that wait in the pool are paused and take none");
    }
    if let Some(free) = left.disk {
        let says = format!("{} are free, and a cluster writes {}", mib(free), mib(each.disk));
        add("disk", fit(free, each.disk), says, "docker system prune, or a larger disk");
    }
    if let Some(free) = left.inotify_instances {
        let says = format!("{free} are free, and a cluster takes about {}", INOTIFY * each.nodes);
        add("inotify instances", fit(free, INOTIFY * each.nodes), says, "sysctl -w fs.inotify.max_user_instances=8192");
    }
    if let Some(free) = left.pids {
        let says = format!("{free} are free, and a cluster runs {}", each.pids);
        add("processes", fit(free, each.pids), says, "sysctl -w kernel.pid_max=4194304");
    }
    if let Some(free) = left.subnets {
        add("subnets", fit(free, 1), format!("{free} are free in kind.subnets"), "set kind.subnets to a larger range");
    }
    if let Some(free) = left.ports {
        add("ports", fit(free, 1), format!("{free} are left in kind.ports"), "set kind.ports to a larger range");
    }
    all.sort_by_key(|(fits, ..)| *fits);
    let told = match source {
        Source::Measured(1) => "as the cluster that is here was measured".to_owned(),
        Source::Measured(clusters) => format!("as the largest of the {clusters} clusters that are here was measured"),
        Source::Remembered(at) => format!("as clusters were measured at {at}"),
        Source::Documented => "as docs/kind.md gives it, since no cluster was measured here yet".to_owned(),
    };
    let mut verdicts = Vec::new();
    if let Some((fits, what, _, remedy)) = all.first() {
        verdicts.push(if *fits >= learners {
            Verdict::fine("learners", format!("yes: {learners} fit, {told}; at {fits} the {what} would run out"))
        } else {
            Verdict::fatal("learners", format!("no: {fits} of {learners} fit, {told}; the {what} runs out first"), *remedy)
        });
    }
    verdicts.extend(all.into_iter().map(|(fits, what, says, remedy)| {
        let says = format!("enough for {fits}: {says}");
        if fits >= learners { Verdict::fine(what, says) } else { Verdict::narrow(what, says, remedy) }
    }));
    verdicts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roomy() -> Left {
        Left {
            memory: Some(64 << 30),
            cpus: Some(32.0),
            disk: Some(500 << 30),
            inotify_instances: Some(8000),
            pids: Some(100_000),
            subnets: Some(4000),
            ports: Some(9000),
            clusters: 2,
        }
    }

    #[test]
    fn what_runs_out_first_and_what_mends_it() {
        type Change = fn(&mut Left);
        let rows: &[(Change, u64, &str, &str)] = &[
            (|_| {}, 100, "yes: 100 fit, as docs/kind.md", ""),
            (|left| left.memory = Some(6000 * MIB), 20, "no: 12 of 20 fit, as docs/kind.md", "the memory runs out first"),
            (|left| left.cpus = Some(1.5), 20, "no: 12 of 20 fit", "the CPU runs out first"),
            (|left| left.cpus = Some(-1.0), 3, "no: 2 of 3 fit", "the CPU runs out first"),
            (|left| left.disk = Some(10 << 30), 20, "no: 12 of 20 fit", "docker system prune"),
            (|left| left.inotify_instances = Some(100), 20, "no: 5 of 20 fit", "fs.inotify.max_user_instances"),
            (|left| left.pids = Some(1000), 20, "no: 6 of 20 fit", "kernel.pid_max"),
            (|left| left.subnets = Some(0), 3, "no: 2 of 3 fit", "kind.subnets"),
            (|left| left.ports = Some(1), 3, "yes: 3 fit", "at 3 the ports would run out"),
            (|left| *left = Left { memory: Some(0), ..Left::default() }, 1, "no: 0 of 1 fit", "memory"),
        ];
        for (change, learners, first, more) in rows {
            let mut left = roomy();
            change(&mut left);
            let verdicts = judge(*learners, Use::DOCUMENTED, &Source::Documented, left);
            let said = verdicts[0].to_string();
            assert!(said.contains(first) && said.contains(more), "{said}\nexpected {first:?} and {more:?}");
        }
        assert_eq!(judge(1, Use::DOCUMENTED, &Source::Documented, Left::default()), []);
    }

    #[test]
    fn where_the_figures_come_from() {
        let each = Use { memory: 1 << 30, ..Use::DOCUMENTED };
        let largest = Use::largest(&[Use::DOCUMENTED, each, Use { pids: 900, ..Use::DOCUMENTED }]);
        assert_eq!(largest, Some(Use { memory: 1 << 30, pids: 900, ..Use::DOCUMENTED }));
        assert_eq!(Use::largest(&[]), None);
        for (source, words) in [
            (Source::Measured(1), "as the cluster that is here was measured"),
            (Source::Measured(3), "as the largest of the 3 clusters"),
            (Source::Remembered("2026-11-27".to_owned()), "as clusters were measured at 2026-11-27"),
        ] {
            assert!(judge(1, each, &source, roomy())[0].says.contains(words));
        }
    }
}
