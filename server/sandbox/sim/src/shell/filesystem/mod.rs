//! Files inside a container: trees of inodes in memory, put together by mounts, guarded by user, group and mode.

mod tree;
mod view;

pub use tree::{Inode, Kind, ROOT, Tree};
pub use view::{Found, Mount, MountKind, View};

use std::fmt;

/// The errors of Unix file calls, as `strerror` words them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Errno {
    NotFound,
    PermissionDenied,
    NotPermitted,
    ReadOnly,
    IsDirectory,
    NotDirectory,
    Exists,
    NotEmpty,
    NoSpace,
    Invalid,
    Busy,
    TooManyLinks,
    CrossDevice,
    NameTooLong,
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "No such file or directory",
            Self::PermissionDenied => "Permission denied",
            Self::NotPermitted => "Operation not permitted",
            Self::ReadOnly => "Read-only file system",
            Self::IsDirectory => "Is a directory",
            Self::NotDirectory => "Not a directory",
            Self::Exists => "File exists",
            Self::NotEmpty => "Directory not empty",
            Self::NoSpace => "No space left on device",
            Self::Invalid => "Invalid argument",
            Self::Busy => "Device or resource busy",
            Self::TooManyLinks => "Too many levels of symbolic links",
            Self::CrossDevice => "Invalid cross-device link",
            Self::NameTooLong => "File name too long",
        })
    }
}

/// Who a process is, for the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Credentials {
    pub uid: i64,
    pub gid: i64,
    /// Supplementary groups, without `gid`.
    pub groups: Vec<i64>,
    /// Effective capabilities, one bit each (linux/capability.h).
    pub capabilities: u64,
}

/// Bits of the capability sets that the shell asks about.
pub mod capability {
    pub const CHOWN: u32 = 0;
    pub const DAC_OVERRIDE: u32 = 1;
    pub const FOWNER: u32 = 3;
    pub const KILL: u32 = 5;
    pub const SETGID: u32 = 6;
    pub const SETUID: u32 = 7;
    pub const NET_BIND_SERVICE: u32 = 10;
    pub const NET_ADMIN: u32 = 12;
    pub const NET_RAW: u32 = 13;
    pub const SYS_CHROOT: u32 = 18;
    pub const SYS_ADMIN: u32 = 21;
    pub const SYS_TIME: u32 = 25;
    pub const MKNOD: u32 = 27;
    pub const SYSLOG: u32 = 34;
}

impl Credentials {
    pub fn can(&self, capability: u32) -> bool {
        self.capabilities >> capability & 1 == 1
    }

    /// As `getgroups` lists them: in order, with the process' own among them.
    pub fn all_groups(&self) -> Vec<i64> {
        let mut all = self.groups.clone();
        all.push(self.gid);
        all.sort_unstable();
        all.dedup();
        all
    }

    pub fn is_in(&self, group: i64) -> bool {
        self.gid == group || self.groups.contains(&group)
    }

    /// Whether the mode allows what `wanted` says (4 read, 2 write, 1 execute).
    pub fn allows(&self, inode: &Inode, wanted: u32) -> bool {
        if self.can(capability::DAC_OVERRIDE) {
            return wanted & 1 == 0 || inode.is_directory() || inode.mode & 0o111 != 0;
        }
        let shift = if inode.uid == self.uid {
            6
        } else if self.is_in(inode.gid) {
            3
        } else {
            0
        };
        inode.mode >> shift & wanted == wanted
    }
}

/// `/a/b/../c` from `base`: absolute, without `.` and `..`; links are not looked at.
pub fn absolute(base: &str, path: &str) -> String {
    let mut parts: Vec<&str> = if path.starts_with('/') { Vec::new() } else { base.split('/').filter(|p| !p.is_empty()).collect() };
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Folder and last name of an absolute path.
pub fn split(path: &str) -> (&str, &str) {
    let path = path.trim_end_matches('/');
    match path.rfind('/') {
        Some(0) => ("/", &path[1..]),
        Some(at) => (&path[..at], &path[at + 1..]),
        None => ("/", path),
    }
}
