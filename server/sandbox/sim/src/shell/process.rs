//! One process: credentials, environment, working directory, streams; and the file calls that it makes.

use super::{
    filesystem::{Credentials, Errno, Found, Inode, Kind, MountKind, absolute},
    machine::{Control, Machine},
    procfs,
    streams::{Input, Output},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

/// Cheap to clone, as `fork` is.
#[derive(Debug, Clone)]
pub struct Process {
    pub machine: Arc<Machine>,
    pub who: Credentials,
    pub environment: BTreeMap<String, String>,
    pub directory: String,
    pub stdin: Input,
    pub stdout: Output,
    pub stderr: Output,
    pub pid: u32,
    pub parent: u32,
    pub umask: u32,
    pub control: Arc<Control>,
    /// How many commands and programs have called each other to get here.
    pub depth: u32,
    /// Name by which errors are told: `sh`, `cat`.
    pub name: String,
}

/// Steps after which a process that never waits is made to wait a while: it would burn a processor.
const BURST: u64 = 4_000;
/// Steps after which such a process is killed.
const MOST_STEPS: u64 = 4_000_000;

impl Process {
    pub async fn out(&self, text: impl AsRef<[u8]>) -> bool {
        self.stdout.write(text.as_ref()).await
    }

    pub async fn err(&self, text: impl AsRef<[u8]>) {
        self.stderr.write(text.as_ref()).await;
    }

    /// `name: text` on the error stream.
    pub async fn complain(&self, text: impl AsRef<str>) {
        self.err(format!("{}: {}\n", self.name, text.as_ref())).await;
    }

    pub fn path(&self, path: &str) -> String {
        absolute(&self.directory, path)
    }

    pub fn now(&self) -> jiff::Timestamp {
        self.machine.timer.now()
    }

    /// Counts a step; a process that never waits waits here. False: it has used up what it may.
    pub async fn step(&self) -> bool {
        let steps = self.control.steps.fetch_add(1, Ordering::Relaxed);
        if steps % BURST == BURST - 1 {
            self.machine.timer.sleep(jiff::SignedDuration::from_millis(250)).await;
        }
        steps < MOST_STEPS && self.control.pending().is_none()
    }

    pub async fn sleep(&self, duration: jiff::SignedDuration) {
        super::machine::unless_signalled(self, self.machine.timer.sleep(duration)).await;
    }

    /// Where the walk ends: with links followed and `..` as the kernel takes it.
    pub fn find(&self, path: &str, follow: bool) -> Result<Found, Errno> {
        let found = self.machine.view.find(&self.who, &joined(&self.directory, path), follow)?;
        match procfs::root_of(self, &found) {
            Some(there) => there.and_then(|(view, rest)| view.find(&self.who, &rest, follow)),
            None => procfs::check(self, found),
        }
    }

    pub fn read(&self, path: &str) -> Result<Arc<Vec<u8>>, Errno> {
        let found = self.find(path, true)?;
        if found.mount.kind != MountKind::Tree {
            return procfs::read(self, &found.path).map(Arc::new);
        }
        found.content(&self.who)
    }

    /// It needs more memory than there is for its container: the kernel ends all of that at once (`memory.oom.group`).
    pub fn run_out_of_memory(&self) -> i32 {
        let machine = &self.machine;
        machine.out_of_memory.store(true, Ordering::SeqCst);
        self.control.signal(9);
        for entry in machine.processes.of_container(&machine.facts.container) {
            entry.control.signal(9);
        }
        137
    }

    /// Whether so many bytes are more than its container, or its node, has.
    pub fn is_too_much(&self, bytes: u64) -> bool {
        let facts = &self.machine.facts;
        bytes > if facts.memory_limit > 0 { facts.memory_limit } else { facts.memory_total.max(1 << 30) }
    }

    /// A file as a stream, devices among them.
    pub fn open(&self, path: &str) -> Result<Input, Errno> {
        match path {
            "/dev/stdin" | "/proc/self/fd/0" => return Ok(self.stdin.clone()),
            _ => {}
        }
        let found = self.find(path, true)?;
        if let Kind::Device { major, .. } = found.inode.kind
            && !self.machine.facts.privileged
            && !matches!(major, 1 | 5 | 136 | 195 | 510)
        {
            // A node may be made, but the container's device list does not have it.
            return Err(Errno::NotPermitted);
        }
        if found.mount.kind == MountKind::Tree
            && let Kind::Device { major: 1, minor, .. } = found.inode.kind
        {
            if !self.who.allows(&found.inode, 4) {
                return Err(Errno::PermissionDenied);
            }
            return Ok(match minor {
                5 | 7 => Input::zeros(),
                8 | 9 => Input::random(self.now().as_microsecond().unsigned_abs()),
                _ => Input::empty(),
            });
        }
        self.read(path).map(|content| Input::bytes(content.to_vec()))
    }

    pub fn create(&self, path: &str, append: bool) -> Result<Output, Errno> {
        match path {
            "/dev/stdout" | "/proc/self/fd/1" | "/proc/1/fd/1" => return Ok(self.stdout.clone()),
            "/dev/stderr" | "/proc/self/fd/2" | "/proc/1/fd/2" => return Ok(self.stderr.clone()),
            _ => {}
        }
        let full = joined(&self.directory, path);
        if let Ok(found) = self.find(path, true)
            && found.mount.kind != MountKind::Tree
        {
            return procfs::open_for_write(self, &found.path).map(|()| Output::Null);
        }
        let found = self.machine.view.open(&self.who, &full, !append, 0o666 & !self.umask, self.now())?;
        Ok(Output::to(found, self.now()))
    }

    /// Whole content at once.
    pub fn write(&self, path: &str, content: Vec<u8>) -> Result<(), Errno> {
        match self.create(path, false)? {
            Output::File { found, now } => found.mount.tree.write(found.id, content, now),
            _ => Ok(()),
        }
    }

    pub fn list(&self, path: &str) -> Result<Vec<String>, Errno> {
        let found = self.find(path, true)?;
        if found.mount.kind != MountKind::Tree {
            return procfs::list(self, &found.path);
        }
        found.names(&self.who)
    }

    pub fn make_directory(&self, path: &str) -> Result<(), Errno> {
        let inode = Inode::directory(0o777 & !self.umask).at(self.now());
        self.machine.view.make(&self.who, &joined(&self.directory, path), inode).map(|_| ())
    }

    pub fn remove(&self, path: &str, directory: bool) -> Result<(), Errno> {
        self.machine.view.remove(&self.who, &joined(&self.directory, path), directory)
    }

    pub fn exists(&self, path: &str) -> bool {
        self.find(path, true).is_ok()
    }

    pub fn user_name(&self, uid: i64) -> Option<String> {
        if uid == 0 {
            return Some("root".to_owned());
        }
        self.machine.accounts.iter().find(|(_, id, _)| *id == uid).map(|(name, ..)| name.clone())
    }

    pub fn group_name(&self, gid: i64) -> Option<String> {
        if gid == 0 {
            return Some("root".to_owned());
        }
        self.machine.accounts.iter().find(|(.., id)| *id == gid).map(|(name, ..)| name.clone())
    }
}

fn joined(directory: &str, path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("{directory}/{path}") }
}
