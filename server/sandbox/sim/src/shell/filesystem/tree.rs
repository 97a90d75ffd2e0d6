//! A tree of inodes: one volume, or the writable layer of one container over its image.

mod stored;

use super::Errno;
use jiff::Timestamp;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// Number of a tree's root.
pub const ROOT: u64 = 1;

#[derive(Debug, Clone)]
pub enum Kind {
    File(Arc<Vec<u8>>),
    Directory(BTreeMap<String, u64>),
    Symlink(String),
    Device { major: u32, minor: u32, block: bool },
    Pipe,
    Socket,
}

#[derive(Debug, Clone)]
pub struct Inode {
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    pub uid: i64,
    pub gid: i64,
    pub modified: Timestamp,
}

impl Inode {
    pub fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory(_))
    }

    pub fn size(&self) -> usize {
        match &self.kind {
            Kind::File(content) => content.len(),
            Kind::Symlink(target) => target.len(),
            Kind::Directory(_) => 4096,
            Kind::Device { .. } | Kind::Pipe | Kind::Socket => 0,
        }
    }

    pub fn file(content: impl Into<Vec<u8>>, mode: u32) -> Self {
        Self { kind: Kind::File(Arc::new(content.into())), mode, uid: 0, gid: 0, modified: Timestamp::UNIX_EPOCH }
    }

    pub fn directory(mode: u32) -> Self {
        Self { kind: Kind::Directory(BTreeMap::new()), mode, uid: 0, gid: 0, modified: Timestamp::UNIX_EPOCH }
    }

    pub fn symlink(target: impl Into<String>) -> Self {
        Self { kind: Kind::Symlink(target.into()), mode: 0o777, uid: 0, gid: 0, modified: Timestamp::UNIX_EPOCH }
    }

    pub fn device(major: u32, minor: u32) -> Self {
        Self { kind: Kind::Device { major, minor, block: false }, mode: 0o666, uid: 0, gid: 0, modified: Timestamp::UNIX_EPOCH }
    }

    pub fn socket(mode: u32) -> Self {
        Self { kind: Kind::Socket, mode, uid: 0, gid: 0, modified: Timestamp::UNIX_EPOCH }
    }

    pub fn block_device(major: u32, minor: u32) -> Self {
        Self { kind: Kind::Device { major, minor, block: true }, mode: 0o660, uid: 0, gid: 6, modified: Timestamp::UNIX_EPOCH }
    }

    #[must_use]
    pub fn owned(mut self, uid: i64, gid: i64) -> Self {
        (self.uid, self.gid) = (uid, gid);
        self
    }

    #[must_use]
    pub fn at(mut self, when: Timestamp) -> Self {
        self.modified = when;
        self
    }
}

/// Shared by whoever mounts it. Bounded in bytes and inodes.
#[derive(Debug)]
pub struct Tree {
    inodes: Mutex<Inodes>,
    limit: usize,
}

#[derive(Debug)]
struct Inodes {
    all: HashMap<u64, Inode>,
    next: u64,
    bytes: usize,
    /// Counts changes.
    version: u64,
}

const MOST_INODES: usize = 20_000;

impl Tree {
    /// An empty directory of mode `mode` that holds at most `limit` bytes.
    pub fn new(mode: u32, limit: usize, now: Timestamp) -> Self {
        let all = HashMap::from([(ROOT, Inode::directory(mode).at(now))]);
        Self { inodes: Mutex::new(Inodes { all, next: ROOT + 1, bytes: 0, version: 0 }), limit }
    }

    pub fn limit(&self) -> usize {
        self.limit
    }

    pub fn used(&self) -> usize {
        self.inodes.lock().bytes
    }

    /// Another number after each change.
    pub fn version(&self) -> u64 {
        self.inodes.lock().version
    }

    pub fn get(&self, id: u64) -> Option<Inode> {
        self.inodes.lock().all.get(&id).cloned()
    }

    pub fn child(&self, directory: u64, name: &str) -> Option<u64> {
        match &self.inodes.lock().all.get(&directory)?.kind {
            Kind::Directory(entries) => entries.get(name).copied(),
            _ => None,
        }
    }

    /// Names in a directory, in order.
    pub fn names(&self, directory: u64) -> Vec<String> {
        match self.inodes.lock().all.get(&directory).map(|inode| &inode.kind) {
            Some(Kind::Directory(entries)) => entries.keys().cloned().collect(),
            _ => Vec::new(),
        }
    }

    pub fn add(&self, directory: u64, name: &str, inode: Inode) -> Result<u64, Errno> {
        let mut held = self.inodes.lock();
        let bytes = inode.size().min(if inode.is_directory() { 0 } else { usize::MAX });
        if held.bytes + bytes > self.limit || held.all.len() >= MOST_INODES {
            return Err(Errno::NoSpace);
        }
        if name.len() > 255 {
            return Err(Errno::NameTooLong);
        }
        let (id, when) = (held.next, inode.modified);
        let parent = held.all.get_mut(&directory).ok_or(Errno::NotFound)?;
        let Kind::Directory(entries) = &mut parent.kind else { return Err(Errno::NotDirectory) };
        if entries.contains_key(name) {
            return Err(Errno::Exists);
        }
        entries.insert(name.to_owned(), id);
        parent.modified = parent.modified.max(when);
        held.all.insert(id, inode);
        held.next += 1;
        held.bytes += bytes;
        held.version += 1;
        Ok(id)
    }

    /// Puts an inode that exists under another name too.
    pub fn link(&self, directory: u64, name: &str, id: u64) -> Result<(), Errno> {
        let mut held = self.inodes.lock();
        held.version += 1;
        match held.all.get_mut(&directory).map(|parent| &mut parent.kind) {
            Some(Kind::Directory(entries)) if entries.contains_key(name) => Err(Errno::Exists),
            Some(Kind::Directory(entries)) => {
                entries.insert(name.to_owned(), id);
                Ok(())
            }
            _ => Err(Errno::NotDirectory),
        }
    }

    /// Takes the name away. The content stays for who mounts it by its inode, as a `subPath` does.
    pub fn unlink(&self, directory: u64, name: &str) -> Result<u64, Errno> {
        let mut held = self.inodes.lock();
        let Some(Kind::Directory(entries)) = held.all.get_mut(&directory).map(|parent| &mut parent.kind) else {
            return Err(Errno::NotDirectory);
        };
        let id = entries.remove(name).ok_or(Errno::NotFound)?;
        let freed = held.all.get(&id).map_or(0, |inode| if inode.is_directory() { 0 } else { inode.size() });
        held.bytes = held.bytes.saturating_sub(freed);
        held.version += 1;
        Ok(id)
    }

    pub fn write(&self, id: u64, content: Vec<u8>, now: Timestamp) -> Result<(), Errno> {
        let mut held = self.inodes.lock();
        let before = held.all.get(&id).ok_or(Errno::NotFound)?.size();
        if held.bytes - before.min(held.bytes) + content.len() > self.limit {
            return Err(Errno::NoSpace);
        }
        held.bytes = held.bytes.saturating_sub(before) + content.len();
        held.version += 1;
        if let Some(inode) = held.all.get_mut(&id) {
            inode.kind = Kind::File(Arc::new(content));
            inode.modified = now;
        }
        Ok(())
    }

    /// Appends without copying what nobody else holds.
    pub fn append(&self, id: u64, content: &[u8], now: Timestamp) -> Result<(), Errno> {
        let mut held = self.inodes.lock();
        if held.bytes + content.len() > self.limit {
            return Err(Errno::NoSpace);
        }
        held.bytes += content.len();
        held.version += 1;
        if let Some(inode) = held.all.get_mut(&id) {
            if let Kind::File(present) = &mut inode.kind {
                Arc::make_mut(present).extend_from_slice(content);
            }
            inode.modified = now;
        }
        Ok(())
    }

    pub fn change(&self, id: u64, change: impl FnOnce(&mut Inode)) {
        let mut held = self.inodes.lock();
        held.version += 1;
        if let Some(inode) = held.all.get_mut(&id) {
            change(inode);
        }
    }

    /// Makes `path` below the root with all its folders, whatever the modes say: how images and volumes are filled.
    /// An existing entry stays; a file replaces a file's content.
    pub fn put(&self, path: &str, inode: Inode) -> u64 {
        let mut at = ROOT;
        let parts: Vec<_> = path.split('/').filter(|p| !p.is_empty()).collect();
        for (i, part) in parts.iter().enumerate() {
            let last = i + 1 == parts.len();
            at = match self.child(at, part) {
                Some(id) if last => {
                    if !inode.is_directory() {
                        self.change(id, |present| *present = inode.clone());
                    }
                    id
                }
                Some(id) => id,
                None if last => return self.add(at, part, inode).unwrap_or(at),
                None => match self.add(at, part, Inode::directory(0o755).at(inode.modified)) {
                    Ok(id) => id,
                    Err(_) => return at,
                },
            };
        }
        at
    }

    /// Follows plain names from the root; no links.
    pub fn find(&self, path: &str) -> Option<u64> {
        path.split('/').filter(|p| !p.is_empty()).try_fold(ROOT, |at, part| self.child(at, part))
    }
}
