//! What outlives the processes of the nodes, as their disks outlive a reboot: logs, emptyDirs, claims, the nodes' own files.
//!
//! Where it is kept is the sandbox's affair. It is brought up to date a moment after something has changed, and when a cluster goes to
//! sleep; what a process keeps in memory, and a container's own layer, are gone with it, as they are on a real node.

use super::{live::Live, logs::Log, runtime::Runtime};
use crate::shell::filesystem::Tree;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use std::{collections::BTreeMap, fmt::Debug, sync::Arc};

/// How long changes gather before they are written.
pub const PAUSE: SignedDuration = SignedDuration::from_millis(250);
/// A tree of more bytes than this is written at most once in `LARGE_PAUSE`.
const LARGE: usize = 256 << 10;
const LARGE_PAUSE: SignedDuration = SignedDuration::from_secs(10);

/// Files by name: `pods/<uid>/…`, `claims/<volume>`, `nodes/<name>`. A failure is the disk's own affair to report.
pub trait Disk: Send + Sync + Debug {
    fn read(&self, name: &str) -> Option<Vec<u8>>;

    /// In place of what was there, whole or not at all.
    fn write(&self, name: &str, content: &[u8]);

    fn append(&self, name: &str, content: &[u8]);

    fn rename(&self, from: &str, to: &str);

    /// A file, or a folder with all that is in it.
    fn remove(&self, name: &str);

    /// Names of the entries of a folder.
    fn list(&self, folder: &str) -> Vec<String>;
}

/// What the disk has.
#[derive(Debug, Default)]
pub struct Saved {
    /// Trees as they were last written, by name: their version, and when.
    trees: Mutex<BTreeMap<String, (u64, Timestamp)>>,
    /// Held by whoever writes, so that lines stay in their order.
    writing: Mutex<()>,
}

/// Has a cluster write down at once what it would write down soon.
#[derive(Debug, Clone)]
pub struct Keeper(pub(super) Arc<Runtime>);

impl Keeper {
    pub fn save(&self) {
        self.0.save(Timestamp::MAX);
    }
}

fn log_name(uid: &str, container: &str, previous: bool) -> String {
    format!("pods/{uid}/logs/{container}.{}", if previous { "previous" } else { "log" })
}

/// Where an emptyDir is kept.
pub fn volume_name(uid: &str, volume: &str) -> String {
    format!("pods/{uid}/volumes/{volume}")
}

impl Runtime {
    /// The trees that are kept, with their names.
    fn kept(&self) -> Vec<(String, Arc<Tree>)> {
        let mut kept = Vec::new();
        for (uid, live) in self.pods.lock().iter() {
            kept.extend(live.kept.iter().map(|(volume, tree)| (volume_name(uid, volume), Arc::clone(tree))));
        }
        kept.extend(self.claims.lock().iter().map(|(volume, tree)| (format!("claims/{volume}"), Arc::clone(tree))));
        for (name, node) in self.nodes.lock().iter() {
            kept.extend(node.tree.iter().map(|tree| (format!("nodes/{name}"), Arc::clone(tree))));
        }
        kept
    }

    fn logs(&self) -> Vec<(String, Arc<Log>)> {
        let pods = self.pods.lock();
        let of = |uid: &str, live: &Live| -> Vec<(String, Arc<Log>)> {
            let containers = live.containers.lock();
            containers.iter().filter_map(|(name, c)| Some((log_name(uid, name, false), Arc::clone(c.log.as_ref()?)))).collect()
        };
        pods.iter().flat_map(|(uid, live)| of(uid, live)).collect()
    }

    /// When there is something to write, if anything.
    pub fn save_due(&self, now: Timestamp) -> Option<Timestamp> {
        self.disk.as_ref()?;
        let soon = now.saturating_add(PAUSE).unwrap_or(now);
        if self.logs().iter().any(|(_, log)| log.is_unsaved()) {
            return Some(soon);
        }
        let kept = self.kept();
        let saved = self.saved.trees.lock();
        let due = |name: &str, tree: &Tree| match saved.get(name) {
            None if tree.version() == 0 => None,
            Some((version, _)) if *version == tree.version() => None,
            Some((_, at)) if tree.used() > LARGE => Some(at.saturating_add(LARGE_PAUSE).unwrap_or(soon).max(soon)),
            _ => Some(soon),
        };
        kept.iter().filter_map(|(name, tree)| due(name, tree)).min()
    }

    /// Writes what has changed, large trees only where their time has come.
    pub fn save(&self, now: Timestamp) {
        let Some(disk) = &self.disk else { return };
        // Whoever rotates a log holds its pod while it waits to write: pods are looked at first.
        let (logs, kept) = (self.logs(), self.kept());
        let _writing = self.saved.writing.lock();
        for (name, log) in logs {
            save_log(disk.as_ref(), &name, &log);
        }
        for (name, tree) in kept {
            let version = tree.version();
            let before = self.saved.trees.lock().get(&name).copied();
            let changed = before.map_or(version != 0, |(saved, _)| saved != version);
            let early = before.is_some_and(|(_, at)| tree.used() > LARGE && at.saturating_add(LARGE_PAUSE).is_ok_and(|due| now < due));
            if changed && !early {
                disk.write(&name, &tree.encode());
                self.saved.trees.lock().insert(name, (version, now.min(self.now())));
            }
        }
    }

    /// Nothing that was written counts any more.
    pub fn wipe(&self) {
        let Some(disk) = &self.disk else { return };
        let _writing = self.saved.writing.lock();
        ["pods", "claims", "nodes"].into_iter().for_each(|folder| disk.remove(folder));
        self.saved.trees.lock().clear();
    }

    /// A tree as the disk has it.
    pub fn load_tree(&self, name: &str, limit: usize) -> Option<Tree> {
        let tree = Tree::decode(&self.disk.as_ref()?.read(name)?, limit)?;
        self.saved.trees.lock().insert(name.to_owned(), (tree.version(), self.now()));
        Some(tree)
    }

    /// A container begins anew: its log becomes the previous one.
    pub fn rotate_log(&self, uid: &str, container: &str, log: &Log) {
        if let Some(disk) = &self.disk {
            let _writing = self.saved.writing.lock();
            let name = log_name(uid, container, false);
            save_log(disk.as_ref(), &name, log);
            disk.rename(&name, &log_name(uid, container, true));
        }
    }

    /// A container's log and the one before, as the disk has them.
    pub fn load_logs(&self, uid: &str, container: &str) -> [Option<Arc<Log>>; 2] {
        let timer: Arc<dyn crate::shell::machine::Timer> = self.timer.clone();
        [false, true].map(|previous| {
            let bytes = self.disk.as_ref()?.read(&log_name(uid, container, previous))?;
            Some(Arc::new(Log::read(&timer, &bytes)))
        })
    }

    /// The pod is gone.
    pub fn forget(&self, uid: &str) {
        if let Some(disk) = &self.disk {
            disk.remove(&format!("pods/{uid}"));
            let folder = volume_name(uid, "");
            self.saved.trees.lock().retain(|name, _| !name.starts_with(&folder));
        }
    }

    /// Removes what is left of pods that went while nobody looked.
    pub fn sweep(&self, present: &[String]) {
        if let Some(disk) = &self.disk {
            for uid in disk.list("pods").iter().filter(|uid| !present.contains(uid)) {
                disk.remove(&format!("pods/{uid}"));
            }
        }
    }
}

fn save_log(disk: &dyn Disk, name: &str, log: &Log) {
    match log.unsaved() {
        Some((true, all)) => disk.write(name, &all),
        Some((false, more)) => disk.append(name, &more),
        None => {}
    }
}
