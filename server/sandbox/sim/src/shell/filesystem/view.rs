//! What one container sees: its root tree with everything mounted over it.

use super::{Credentials, Errno, Inode, Kind, Tree, absolute, capability, split};
use jiff::Timestamp;
use parking_lot::RwLock;
use std::{collections::BTreeMap, sync::Arc};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountKind {
    /// overlay, ext4 or tmpfs: the files are those of the tree.
    Tree,
    /// Files that the kernel makes up; [`View`] leaves them to its caller.
    Proc,
    Sys,
}

#[derive(Debug, Clone)]
pub struct Mount {
    /// Canonical path; `/` for the root.
    pub path: String,
    pub tree: Arc<Tree>,
    /// Where in the tree the mount begins.
    pub root: u64,
    pub read_only: bool,
    pub kind: MountKind,
    /// As `/proc/mounts` shows them.
    pub source: String,
    pub file_system: String,
    pub options: String,
}

/// All mounts of a container.
#[derive(Debug)]
pub struct View {
    mounts: RwLock<Vec<Mount>>,
}

/// What a path leads to.
#[derive(Debug, Clone)]
pub struct Found {
    pub mount: Mount,
    pub id: u64,
    pub inode: Inode,
    /// Canonical path.
    pub path: String,
}

impl Found {
    /// A file's content, if it may be read.
    pub fn content(&self, who: &Credentials) -> Result<Arc<Vec<u8>>, Errno> {
        if !who.allows(&self.inode, 4) {
            return Err(Errno::PermissionDenied);
        }
        match &self.inode.kind {
            Kind::File(content) => Ok(Arc::clone(content)),
            Kind::Directory(_) => Err(Errno::IsDirectory),
            _ => Ok(Arc::default()),
        }
    }

    /// A directory's names, if they may be read.
    pub fn names(&self, who: &Credentials) -> Result<Vec<String>, Errno> {
        let Kind::Directory(entries) = &self.inode.kind else { return Err(Errno::NotDirectory) };
        if !who.allows(&self.inode, 4) {
            return Err(Errno::PermissionDenied);
        }
        Ok(entries.keys().cloned().collect())
    }
}

impl View {
    pub fn new(root: Mount) -> Self {
        Self { mounts: RwLock::new(vec![root]) }
    }

    /// Nothing but a root.
    pub fn empty(now: Timestamp) -> Self {
        let source = "overlay".to_owned();
        Self::new(Mount {
            path: "/".to_owned(),
            tree: Arc::new(Tree::new(0o755, 0, now)),
            root: super::ROOT,
            read_only: true,
            kind: MountKind::Tree,
            file_system: source.clone(),
            source,
            options: String::new(),
        })
    }

    pub fn mounts(&self) -> Vec<Mount> {
        self.mounts.read().clone()
    }

    /// Mounts over `mount.path`, making the mount point where it is missing, as the runtime does before the process starts.
    pub fn mount(&self, mount: Mount, now: Timestamp) {
        let (folder, name) = split(&mount.path);
        let is_directory = mount.tree.get(mount.root).is_none_or(|inode| inode.is_directory());
        let root = Credentials { capabilities: u64::MAX, ..Credentials::default() };
        self.make_all(folder, now);
        if let Ok(parent) = self.find(&root, folder, true)
            && parent.mount.kind == MountKind::Tree
            && parent.mount.tree.child(parent.id, name).is_none()
        {
            let inode = if is_directory { Inode::directory(0o755) } else { Inode::file("", 0o755) };
            let _ = parent.mount.tree.add(parent.id, name, inode.at(now));
        }
        let path = self.find(&root, folder, true).map_or_else(|_| mount.path.clone(), |parent| absolute(&parent.path, name));
        self.mounts.write().push(Mount { path, ..mount });
    }

    fn make_all(&self, path: &str, now: Timestamp) {
        let root = Credentials { capabilities: u64::MAX, ..Credentials::default() };
        let mut so_far = String::new();
        for part in path.split('/').filter(|p| !p.is_empty()) {
            let folder = if so_far.is_empty() { "/".to_owned() } else { so_far.clone() };
            so_far = format!("{so_far}/{part}");
            if self.find(&root, &so_far, true).is_err()
                && let Ok(parent) = self.find(&root, &folder, true)
            {
                let _ = parent.mount.tree.add(parent.id, part, Inode::directory(0o755).at(now));
            }
        }
    }

    fn mount_at(&self, path: &str) -> Option<Mount> {
        self.mounts.read().iter().rev().find(|mount| mount.path == path).cloned()
    }

    fn enter(&self, mount: Mount, path: String) -> Result<Found, Errno> {
        let inode = mount.tree.get(mount.root).ok_or(Errno::NotFound)?;
        Ok(Found { id: mount.root, inode, path, mount })
    }

    /// Walks `path` (absolute). `follow`: also a link at its end.
    pub fn find(&self, who: &Credentials, path: &str, follow: bool) -> Result<Found, Errno> {
        self.walk(who, path, follow, 0)
    }

    fn walk(&self, who: &Credentials, path: &str, follow: bool, depth: u32) -> Result<Found, Errno> {
        if depth > 20 {
            return Err(Errno::TooManyLinks);
        }
        if path.len() > 4096 {
            return Err(Errno::NameTooLong);
        }
        let root = self.mount_at("/").ok_or(Errno::NotFound)?;
        let mut at = self.enter(root, "/".to_owned())?;
        let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty() && *p != ".").collect();
        for (i, part) in parts.iter().enumerate() {
            if at.mount.kind != MountKind::Tree {
                // The kernel's own files: the caller knows them by their path.
                let rest = absolute(&at.path, &parts[i..].join("/"));
                return Ok(Found { path: rest, ..at });
            }
            if *part == ".." {
                let parent = split(&at.path).0.to_owned();
                at = self.walk(who, &parent, true, depth + 1)?;
                continue;
            }
            if !at.inode.is_directory() {
                return Err(Errno::NotDirectory);
            }
            if !who.allows(&at.inode, 1) {
                return Err(Errno::PermissionDenied);
            }
            let child = absolute(&at.path, part);
            if let Some(mount) = self.mount_at(&child) {
                at = self.enter(mount, child)?;
                continue;
            }
            let id = at.mount.tree.child(at.id, part).ok_or(Errno::NotFound)?;
            let inode = at.mount.tree.get(id).ok_or(Errno::NotFound)?;
            let last = i + 1 == parts.len();
            if let Kind::Symlink(target) = &inode.kind
                && (!last || follow)
            {
                let target = if target.starts_with('/') { target.clone() } else { format!("{}/{target}", at.path) };
                let rest = parts[i + 1..].join("/");
                let joined = if rest.is_empty() { target } else { format!("{target}/{rest}") };
                return self.walk(who, &joined, follow, depth + 1);
            }
            at = Found { id, inode, path: child, mount: at.mount };
        }
        Ok(at)
    }

    /// Names in a directory, mount points among them.
    pub fn list(&self, who: &Credentials, path: &str) -> Result<Vec<String>, Errno> {
        self.find(who, path, true)?.names(who)
    }

    pub fn read(&self, who: &Credentials, path: &str) -> Result<Arc<Vec<u8>>, Errno> {
        self.find(who, path, true)?.content(who)
    }

    /// The files as they are for a process whose root is the directory that was found, with what is mounted below it.
    pub fn rooted(&self, at: &Found) -> Self {
        let top = Mount { path: "/".to_owned(), root: at.id, ..at.mount.clone() };
        let below = |mount: &Mount| {
            let path = mount.path.strip_prefix(at.path.trim_end_matches('/'))?;
            (path.len() > 1 && path.starts_with('/')).then(|| Mount { path: path.to_owned(), ..mount.clone() })
        };
        let mounts = self.mounts.read();
        Self { mounts: RwLock::new(std::iter::once(top).chain(mounts.iter().filter_map(below)).collect()) }
    }

    /// Opens for writing: makes the file where it is missing. `truncate` empties it.
    pub fn open(&self, who: &Credentials, path: &str, truncate: bool, mode: u32, now: Timestamp) -> Result<Found, Errno> {
        match self.find(who, path, true) {
            Ok(found) => {
                if found.inode.is_directory() {
                    return Err(Errno::IsDirectory);
                }
                if found.mount.read_only && !matches!(found.inode.kind, Kind::Device { .. }) {
                    return Err(Errno::ReadOnly);
                }
                if !who.allows(&found.inode, 2) {
                    return Err(Errno::PermissionDenied);
                }
                if truncate && matches!(found.inode.kind, Kind::File(_)) {
                    found.mount.tree.write(found.id, Vec::new(), now)?;
                }
                Ok(found)
            }
            Err(Errno::NotFound) => self.make(who, path, Inode::file("", mode).at(now)),
            Err(other) => Err(other),
        }
    }

    /// Folder that holds `path`'s last name, writable.
    fn folder(&self, who: &Credentials, path: &str) -> Result<(Found, String), Errno> {
        let (folder, name) = split(path);
        if name.is_empty() || name == "." || name == ".." {
            return Err(Errno::Exists);
        }
        let parent = self.find(who, folder, true)?;
        if !parent.inode.is_directory() {
            return Err(Errno::NotDirectory);
        }
        if parent.mount.read_only || parent.mount.kind != MountKind::Tree {
            return Err(if parent.mount.kind == MountKind::Proc { Errno::NotFound } else { Errno::ReadOnly });
        }
        Ok((parent, name.to_owned()))
    }

    /// A new entry, owned by `who` (or by the folder's group, where that is setgid).
    pub fn make(&self, who: &Credentials, path: &str, inode: Inode) -> Result<Found, Errno> {
        let (folder, _) = split(path);
        let before = self.find(who, path, false);
        if before.is_ok() {
            return Err(Errno::Exists);
        }
        let (parent, name) = self.folder(who, path)?;
        let _ = folder;
        if !who.allows(&parent.inode, 3) {
            return Err(Errno::PermissionDenied);
        }
        let inherits = parent.inode.mode & 0o2000 != 0;
        let gid = if inherits { parent.inode.gid } else { who.gid };
        let mut inode = inode.owned(who.uid, gid);
        if inherits && inode.is_directory() {
            inode.mode |= 0o2000;
        }
        let id = parent.mount.tree.add(parent.id, &name, inode.clone())?;
        Ok(Found { id, inode, path: absolute(&parent.path, &name), mount: parent.mount })
    }

    fn may_remove(&self, who: &Credentials, parent: &Found, entry: &Found) -> Result<(), Errno> {
        if parent.mount.read_only {
            return Err(Errno::ReadOnly);
        }
        if !who.allows(&parent.inode, 3) {
            return Err(Errno::PermissionDenied);
        }
        let sticky = parent.inode.mode & 0o1000 != 0 && entry.inode.uid != who.uid && parent.inode.uid != who.uid;
        if sticky && !who.can(capability::FOWNER) {
            return Err(Errno::NotPermitted);
        }
        if self.mounts.read().iter().any(|mount| mount.path == entry.path) { Err(Errno::Busy) } else { Ok(()) }
    }

    pub fn remove(&self, who: &Credentials, path: &str, directory: bool) -> Result<(), Errno> {
        let entry = self.find(who, path, false)?;
        let (folder, name) = split(path);
        let parent = self.find(who, folder, true)?;
        self.may_remove(who, &parent, &entry)?;
        match (&entry.inode.kind, directory) {
            (Kind::Directory(_), false) => return Err(Errno::IsDirectory),
            (Kind::Directory(entries), true) if !entries.is_empty() => return Err(Errno::NotEmpty),
            (Kind::Directory(_), true) => {}
            (_, true) => return Err(Errno::NotDirectory),
            (_, false) => {}
        }
        parent.mount.tree.unlink(parent.id, name).map(|_| ())
    }

    pub fn rename(&self, who: &Credentials, from: &str, to: &str) -> Result<(), Errno> {
        let entry = self.find(who, from, false)?;
        let source = self.find(who, split(from).0, true)?;
        self.may_remove(who, &source, &entry)?;
        let (target, name) = self.folder(who, to)?;
        if !who.allows(&target.inode, 3) {
            return Err(Errno::PermissionDenied);
        }
        if !Arc::ptr_eq(&source.mount.tree, &target.mount.tree) {
            return Err(Errno::CrossDevice);
        }
        if target.path == entry.path || target.path.starts_with(&format!("{}/", entry.path)) {
            return Err(Errno::Invalid);
        }
        if let Ok(present) = self.find(who, to, false) {
            if present.id == entry.id {
                return Ok(());
            }
            self.remove(who, to, present.inode.is_directory())?;
        }
        target.mount.tree.link(target.id, &name, entry.id)?;
        source.mount.tree.unlink(source.id, split(from).1).map(|_| ())
    }

    /// From here on nothing below this mount (but what is mounted over it) can be written.
    pub fn set_read_only(&self, path: &str) {
        for mount in self.mounts.write().iter_mut().filter(|mount| mount.path == path) {
            mount.read_only = true;
        }
    }

    /// Takes the topmost mount at `path` away.
    pub fn unmount(&self, path: &str) -> bool {
        let mut mounts = self.mounts.write();
        match mounts.iter().rposition(|mount| mount.path == path && path != "/") {
            Some(at) => {
                mounts.remove(at);
                true
            }
            None => false,
        }
    }

    /// Bytes used and bytes at most, per mounted tree.
    pub fn usage(&self) -> BTreeMap<String, (usize, usize)> {
        self.mounts.read().iter().map(|mount| (mount.path.clone(), (mount.tree.used(), mount.tree.limit()))).collect()
    }
}
