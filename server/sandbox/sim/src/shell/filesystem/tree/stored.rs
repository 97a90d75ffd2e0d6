//! A tree as bytes, for a disk that outlives the process: JSON, contents in base64.

use super::{Inode, Inodes, Kind, ROOT, Tree};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum StoredKind {
    File(String),
    Directory(BTreeMap<String, u64>),
    Symlink(String),
    Device { major: u32, minor: u32, block: bool },
    Pipe,
    Socket,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    id: u64,
    kind: StoredKind,
    mode: u32,
    uid: i64,
    gid: i64,
    modified: Timestamp,
}

impl Tree {
    pub fn encode(&self) -> Vec<u8> {
        let held = self.inodes.lock();
        let mut ids: Vec<u64> = held.all.keys().copied().collect();
        ids.sort_unstable();
        let stored: Vec<Stored> = ids.iter().filter_map(|id| Some(store(*id, held.all.get(id)?))).collect();
        serde_json::to_vec(&stored).unwrap_or_default()
    }

    /// `None` where the bytes are no tree.
    pub fn decode(bytes: &[u8], limit: usize) -> Option<Self> {
        let stored: Vec<Stored> = serde_json::from_slice(bytes).ok()?;
        let mut all = HashMap::new();
        for one in stored {
            let kind = match one.kind {
                StoredKind::File(content) => Kind::File(Arc::new(BASE64_STANDARD.decode(content).ok()?)),
                StoredKind::Directory(entries) => Kind::Directory(entries),
                StoredKind::Symlink(target) => Kind::Symlink(target),
                StoredKind::Device { major, minor, block } => Kind::Device { major, minor, block },
                StoredKind::Pipe => Kind::Pipe,
                StoredKind::Socket => Kind::Socket,
            };
            all.insert(one.id, Inode { kind, mode: one.mode, uid: one.uid, gid: one.gid, modified: one.modified });
        }
        if !all.get(&ROOT)?.is_directory() {
            return None;
        }
        let bytes = all.values().filter(|inode| !inode.is_directory()).map(Inode::size).sum();
        let next = all.keys().max()? + 1;
        Some(Self { inodes: Mutex::new(Inodes { all, next, bytes, version: 0 }), limit })
    }
}

fn store(id: u64, inode: &Inode) -> Stored {
    let kind = match &inode.kind {
        Kind::File(content) => StoredKind::File(BASE64_STANDARD.encode(content.as_slice())),
        Kind::Directory(entries) => StoredKind::Directory(entries.clone()),
        Kind::Symlink(target) => StoredKind::Symlink(target.clone()),
        Kind::Device { major, minor, block } => StoredKind::Device { major: *major, minor: *minor, block: *block },
        Kind::Pipe => StoredKind::Pipe,
        Kind::Socket => StoredKind::Socket,
    };
    Stored { id, kind, mode: inode.mode, uid: inode.uid, gid: inode.gid, modified: inode.modified }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_comes_back_as_it_was() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let tree = Tree::new(0o1777, 1000, now);
        tree.put("/a/b", Inode::file("content", 0o640).owned(7, 8).at(now));
        tree.put("/a/link", Inode::symlink("b").at(now));
        tree.put("/null", Inode::device(1, 3).at(now));
        let back = Tree::decode(&tree.encode(), 1000).unwrap();
        assert_eq!(back.encode(), tree.encode());
        assert_eq!((back.used(), back.find("/a/b")), (tree.used(), tree.find("/a/b")));
        assert!(back.add(ROOT, "more", Inode::file("x", 0o644)).is_ok(), "new entries take new numbers");
        for bad in ["", "[]", "{", r#"[{"id":1,"kind":{"file":""},"mode":0,"uid":0,"gid":0,"modified":"2026-01-01T00:00:00Z"}]"#] {
            assert!(Tree::decode(bad.as_bytes(), 1000).is_none(), "{bad}");
        }
    }
}
