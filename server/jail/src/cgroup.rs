//! Control groups, where this machine lets us have them: memory in total, processes and CPU share of a whole jail.
//!
//! Version 2 where our own group is delegated to us with its controllers, version 1 where its hierarchies are writable; nowhere else.
//! Source: the kernel's `admin-guide/cgroup-v1` and `cgroup-v2`.

use crate::Limits;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where groups can be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cgroups {
    /// A folder below which version 2 groups with `memory` and `pids` can be made.
    unified: Option<PathBuf>,
    /// Version 1: the hierarchy's name and a folder below which groups can be made.
    legacy: Vec<(&'static str, PathBuf)>,
}

/// The groups of one jail; removed when dropped, after everything in them was killed.
#[derive(Debug)]
pub struct Group {
    folders: Vec<PathBuf>,
    unified: bool,
}

impl Cgroups {
    /// Looks below `/sys/fs/cgroup` by really making a group.
    pub fn detect() -> Self {
        Self::detect_in(Path::new("/sys/fs/cgroup"), &fs::read_to_string("/proc/self/cgroup").unwrap_or_default())
    }

    fn detect_in(root: &Path, own: &str) -> Self {
        let own: Vec<(&str, &str)> = own.lines().filter_map(|line| line.split(':').nth(1).zip(line.splitn(3, ':').nth(2))).collect();
        let mut found = Self::default();
        if root.join("cgroup.controllers").exists() {
            // Our own group cannot hold both processes and limited children, so groups are made beside it, in its parent.
            let path = own.iter().find(|(controllers, _)| controllers.is_empty()).map_or("/", |(_, path)| path);
            let parent = Path::new(path.trim_start_matches('/')).parent().unwrap_or(Path::new(""));
            let base = root.join(parent);
            let delegated = fs::read_to_string(base.join("cgroup.subtree_control")).unwrap_or_default();
            let have = |name: &str| delegated.split_whitespace().any(|word| word == name);
            if have("memory") && have("pids") && can_make(&base) {
                found.unified = Some(base);
            }
            return found;
        }
        for name in ["memory", "pids", "cpu"] {
            let path = own.iter().find(|(controllers, _)| controllers.split(',').any(|word| word == name)).map_or("/", |(_, path)| path);
            let base = [root.join(name).join(path.trim_start_matches('/')), root.join(name)].into_iter().find(|base| base.is_dir());
            if let Some(base) = base.filter(|base| can_make(base)) {
                found.legacy.push((name, base));
            }
        }
        found
    }

    /// True where a controller of that name will hold.
    pub fn holds(&self, controller: &str) -> bool {
        self.unified.is_some() || self.legacy.iter().any(|(name, _)| *name == controller)
    }

    /// Makes the groups of one jail. What cannot be made is left out: resource limits hold in any case.
    pub fn make(&self, name: &str, limits: &Limits) -> Group {
        let name = format!("cordon-{name}");
        let mut group = Group { folders: Vec::new(), unified: self.unified.is_some() };
        let mut make = |base: &Path, settings: &[(&str, String)]| {
            let folder = base.join(&name);
            if fs::create_dir(&folder).is_err() && !folder.is_dir() {
                return;
            }
            for (file, value) in settings {
                if let Err(error) = fs::write(folder.join(file), value) {
                    tracing::debug!(%error, file, "cgroup setting not taken");
                }
            }
            group.folders.push(folder);
        };
        // Half as many again as the resource limit, for the jail's own pid 1 and its relay.
        let pids = (limits.processes * 3 / 2 + 2 * limits.connections as u64).to_string();
        if let Some(base) = &self.unified {
            make(
                base,
                &[
                    ("memory.max", limits.memory_bytes.to_string()),
                    ("memory.swap.max", "0".to_owned()),
                    ("memory.oom.group", "0".to_owned()),
                    ("pids.max", pids.clone()),
                    ("cpu.weight", "50".to_owned()),
                ],
            );
        }
        for (controller, base) in &self.legacy {
            match *controller {
                "memory" => make(
                    base,
                    &[
                        ("memory.limit_in_bytes", limits.memory_bytes.to_string()),
                        ("memory.memsw.limit_in_bytes", limits.memory_bytes.to_string()),
                    ],
                ),
                "pids" => make(base, &[("pids.max", pids.clone())]),
                _ => make(base, &[("cpu.shares", "512".to_owned())]),
            }
        }
        group
    }
}

impl Group {
    /// The files into which a process writes its id to join.
    pub fn procs(&self) -> Vec<PathBuf> {
        self.folders.iter().map(|folder| folder.join("cgroup.procs")).collect()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for folder in &self.folders {
            if self.unified {
                let _ = fs::write(folder.join("cgroup.kill"), "1");
            }
            // Busy while its last process is on its way out; a leftover is empty and is taken again by its name.
            let _ = fs::remove_dir(folder);
        }
    }
}

fn can_make(base: &Path) -> bool {
    let trial = base.join(format!("cordon-trial-{}", std::process::id()));
    let made = fs::create_dir(&trial).is_ok();
    let _ = fs::remove_dir(&trial);
    made
}
