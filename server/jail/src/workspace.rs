//! A learner's files as the server sees them: opened beneath their folder, without following any link, regular files only, with
//! a cap on size. Nothing that a learner plants (links, pipes, sockets, devices, deep trees) can lead elsewhere or block.

use crate::Limits;
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Uid},
    io::Errno,
};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    ffi::{CStr, CString},
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
};

/// Deeper trees are not listed; they count all the same.
const MAX_DEPTH: usize = 16;
/// Honest work makes no deeper trees. One that is deeper breaks a limit, where counting is what holds the limits.
const MAX_COUNTED_DEPTH: usize = 64;
/// How often the limit may be broken in a plain folder before its shell stays shut.
const HOPELESS: u64 = 4;
const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::RDONLY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Longer paths are refused.
const MAX_PATH: usize = 512;

#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    #[error("there is no file {0}")]
    NotFound(String),
    /// Not a plain relative path: empty, absolute, with `..`, or too long.
    #[error("{0:?} is no path in the workspace")]
    BadPath(String),
    /// A link, folder, pipe, socket or device, or something behind a link.
    #[error("{0} is not a regular file of the workspace")]
    NotRegular(String),
    #[error("{path} is larger than {limit} bytes")]
    TooLarge { path: String, limit: u64 },
    #[error("the workspace is full: {0}")]
    Full(String),
    #[error("{operation} failed")]
    Io {
        operation: &'static str,
        #[source]
        source: std::io::Error,
    },
}

/// One regular file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Relative to the workspace, with `/`.
    pub path: String,
    pub bytes: u64,
}

/// What a workspace holds; in a plain folder counted until its limits are broken beyond hope.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    pub bytes: u64,
    /// Files, folders, links and everything else with a name.
    pub files: u64,
    /// There is more, below folders that lie too deep to be counted.
    pub too_deep: bool,
}

impl Usage {
    /// The limit that is broken, in words for the learner.
    pub fn broken(&self, limits: &Limits) -> Option<String> {
        if self.files > limits.workspace_files {
            Some(format!("more than {} files in the workspace", limits.workspace_files))
        } else if self.bytes > limits.workspace_bytes {
            Some(format!("more than {} MiB in the workspace", limits.workspace_bytes >> 20))
        } else if self.too_deep {
            Some(format!("more than {MAX_COUNTED_DEPTH} folders within each other in the workspace"))
        } else {
            None
        }
    }

    /// So far beyond its limits that its shell must not start: each start could add a little more.
    pub(crate) fn hopeless(&self, limits: &Limits) -> bool {
        self.too_deep
            || self.files > limits.workspace_files.saturating_mul(HOPELESS)
            || self.bytes > limits.workspace_bytes.saturating_mul(HOPELESS)
    }
}

/// A learner's folder, held open.
#[derive(Debug)]
pub struct Workspace {
    root: OwnedFd,
    path: PathBuf,
    /// The device of the workspace's own file system, which holds the limits by itself; without one they are counted.
    device: Option<PathBuf>,
    owner: (u32, u32),
    limits: Limits,
}

impl Workspace {
    /// Opens a folder that exists. New files belong to the folder's owner.
    pub fn open(path: &Path, limits: Limits) -> Result<Self, WorkspaceError> {
        let root = rustix::fs::open(path, FOLDER, Mode::empty()).map_err(io("open the workspace"))?;
        Self::held(root, path, None, limits)
    }

    /// A workspace on a file system of its own, whose root folder is `root`.
    pub(crate) fn on_device(root: OwnedFd, path: &Path, device: PathBuf, limits: Limits) -> Result<Self, WorkspaceError> {
        Self::held(root, path, Some(device), limits)
    }

    fn held(root: OwnedFd, path: &Path, device: Option<PathBuf>, limits: Limits) -> Result<Self, WorkspaceError> {
        let stat = rustix::fs::fstat(&root).map_err(io("look at the workspace"))?;
        Ok(Self { root, path: path.to_owned(), device, owner: (stat.st_uid, stat.st_gid), limits })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn device(&self) -> Option<&Path> {
        self.device.as_deref()
    }

    pub(crate) fn owner_uid(&self) -> u32 {
        self.owner.0
    }

    /// All regular files, by path; hidden ones (`.kube`, `.bash_history`) are left out. Never more than the limit of files.
    pub fn list(&self) -> Result<Vec<Entry>, WorkspaceError> {
        let mut found = Vec::new();
        let mut left = self.limits.workspace_files;
        self.list_folder(self.root.as_fd(), "", 0, &mut left, &mut found)?;
        found.sort_by(|left, right| left.path.cmp(&right.path));
        Ok(found)
    }

    fn list_folder(
        &self,
        folder: BorrowedFd<'_>,
        prefix: &str,
        depth: usize,
        left: &mut u64,
        found: &mut Vec<Entry>,
    ) -> Result<(), WorkspaceError> {
        for entry in Dir::read_from(folder).map_err(io("read a folder"))? {
            let Ok(entry) = entry else { break };
            // Names that are no UTF-8 cannot be shown or asked for; the shell still sees them.
            let Ok(name) = entry.file_name().to_str() else { continue };
            if name.starts_with('.') {
                continue;
            }
            let Some(rest) = left.checked_sub(1) else { return Ok(()) };
            *left = rest;
            let Ok(stat) = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let path = format!("{prefix}{name}");
            // What could not be opened by its name is not offered either.
            if check_path(&path).is_err() {
                continue;
            }
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => found.push(Entry { path, bytes: size(&stat) }),
                FileType::Directory if depth < MAX_DEPTH => {
                    if let Ok(below) = rustix::fs::openat(
                        folder,
                        name,
                        OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                        Mode::empty(),
                    ) {
                        self.list_folder(below.as_fd(), &format!("{path}/"), depth + 1, left, found)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The bytes of a regular file of at most `cap` bytes.
    pub fn read(&self, path: &str, cap: u64) -> Result<Vec<u8>, WorkspaceError> {
        check_path(path)?;
        // A pipe or device must neither block nor act: O_NONBLOCK, and nothing is read before the kind is known.
        let file = self.open_beneath(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
        let stat = rustix::fs::fstat(&file).map_err(io("look at a file"))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(WorkspaceError::NotRegular(path.to_owned()));
        }
        let mut bytes = Vec::new();
        fs::File::from(file)
            .take(cap + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| WorkspaceError::Io { operation: "read a file", source })?;
        if bytes.len() as u64 > cap {
            return Err(WorkspaceError::TooLarge { path: path.to_owned(), limit: cap });
        }
        Ok(bytes)
    }

    /// Replaces or makes a file, whole or not at all. Folders on the way are made.
    pub fn write(&self, path: &str, bytes: &[u8]) -> Result<(), WorkspaceError> {
        check_path(path)?;
        if bytes.len() as u64 > self.limits.file_bytes {
            return Err(WorkspaceError::TooLarge { path: path.to_owned(), limit: self.limits.file_bytes });
        }
        if self.device.is_none() {
            let used = self.usage()?;
            if let Some(broken) =
                (Usage { bytes: used.bytes + bytes.len() as u64, files: used.files + 1, too_deep: false }).broken(&self.limits)
            {
                return Err(WorkspaceError::Full(broken));
            }
        }
        let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
        let folder = self.make_folders(folder)?;
        // What is in the way must be a regular file or nothing: a folder is not replaced by accident.
        match rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                return Err(WorkspaceError::NotRegular(path.to_owned()));
            }
            _ => {}
        }
        let hidden = format!(".{}.cordon-new", &name[..name.floor_char_boundary(name.len().min(200))]);
        let _ = rustix::fs::unlinkat(&folder, &hidden, AtFlags::empty());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&folder, &hidden, flags, Mode::from_raw_mode(0o644)).map_err(io("make a file"))?;
        self.hand_over(file.as_fd())?;
        let mut file = fs::File::from(file);
        let done = file.write_all(bytes).and_then(|()| file.sync_data());
        if let Err(source) = done {
            let _ = rustix::fs::unlinkat(&folder, &hidden, AtFlags::empty());
            return Err(match Errno::from_io_error(&source) {
                Some(error) => io("write a file")(error),
                None => WorkspaceError::Io { operation: "write a file", source },
            });
        }
        rustix::fs::renameat(&folder, &hidden, &folder, name).map_err(io("put a file in its place"))
    }

    /// Removes a regular file or a link. One that is not there is no error.
    pub fn remove(&self, path: &str) -> Result<(), WorkspaceError> {
        check_path(path)?;
        let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
        let folder = match self.open_beneath(folder, OFlags::DIRECTORY | OFlags::RDONLY) {
            Ok(folder) => folder,
            Err(WorkspaceError::NotFound(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        match rustix::fs::unlinkat(&folder, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::ISDIR | Errno::PERM) => Err(WorkspaceError::NotRegular(path.to_owned())),
            Err(error) => Err(io("remove a file")(error)),
        }
    }

    /// All regular files that are not hidden, with their content: what a snapshot keeps. Files above `cap` are left out.
    pub fn export(&self, cap: u64) -> Result<BTreeMap<String, Vec<u8>>, WorkspaceError> {
        let mut files = BTreeMap::new();
        for entry in self.list()? {
            match self.read(&entry.path, cap) {
                Ok(bytes) => drop(files.insert(entry.path, bytes)),
                // Changed under our hands, or too large: the shell may be at work.
                Err(WorkspaceError::NotFound(_) | WorkspaceError::NotRegular(_) | WorkspaceError::TooLarge { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(files)
    }

    /// Makes the visible content exactly `files`. Hidden files (shell history, kubeconfig) stay.
    pub fn reset(&self, files: &BTreeMap<String, Vec<u8>>) -> Result<(), WorkspaceError> {
        let names: Vec<_> = Dir::read_from(&self.root)
            .map_err(io("read the workspace"))?
            .filter_map(Result::ok)
            .map(|entry| entry.file_name().to_owned())
            .filter(|name| !name.to_bytes().starts_with(b"."))
            .collect();
        for name in names {
            remove_all(self.root.as_fd(), &name)?;
        }
        for (path, bytes) in files {
            self.write(path, bytes)?;
        }
        Ok(())
    }

    /// What the workspace holds. In a plain folder counting stops where the limits are broken beyond hope, so its cost is bounded.
    pub fn usage(&self) -> Result<Usage, WorkspaceError> {
        if self.device.is_some() {
            let all = rustix::fs::fstatvfs(&self.root).map_err(io("look at the workspace"))?;
            let used = |all: u64, free: u64| all.saturating_sub(free);
            let (bytes, files) = (used(all.f_blocks, all.f_bfree) * all.f_frsize, used(all.f_files, all.f_ffree));
            return Ok(Usage { bytes, files, too_deep: false });
        }
        let mut usage = Usage::default();
        self.count(self.root.as_fd(), 0, &mut usage)?;
        Ok(usage)
    }

    fn count(&self, folder: BorrowedFd<'_>, depth: usize, usage: &mut Usage) -> Result<(), WorkspaceError> {
        // One descriptor per level.
        if depth > MAX_COUNTED_DEPTH {
            usage.too_deep = true;
            return Ok(());
        }
        for entry in Dir::read_from(folder).map_err(io("read a folder"))? {
            let Ok(entry) = entry else { break };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            usage.files += 1;
            if usage.hopeless(&self.limits) {
                return Ok(());
            }
            let Ok(stat) = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            // What it takes on disk: a sparse file is not as large as it says, a small one takes a block.
            usage.bytes = usage.bytes.saturating_add(u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512));
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory
                && let Ok(below) = rustix::fs::openat(folder, name, FOLDER, Mode::empty())
            {
                self.count(below.as_fd(), depth + 1, usage)?;
            }
        }
        Ok(())
    }

    fn open_beneath(&self, path: &str, flags: OFlags) -> Result<OwnedFd, WorkspaceError> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        rustix::fs::openat2(&self.root, path, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty(), resolve).map_err(|error| {
            match error {
                Errno::NOENT | Errno::NOTDIR => WorkspaceError::NotFound(path.to_owned()),
                // A link on the way or at its end, a way out, another file system, a socket (which cannot be opened).
                Errno::LOOP | Errno::XDEV | Errno::NXIO => WorkspaceError::NotRegular(path.to_owned()),
                error => io("open a file")(error),
            }
        })
    }

    fn make_folders(&self, path: &str) -> Result<OwnedFd, WorkspaceError> {
        match self.open_beneath(path, OFlags::DIRECTORY | OFlags::RDONLY) {
            Err(WorkspaceError::NotFound(_)) => {
                let (above, name) = path.rsplit_once('/').unwrap_or((".", path));
                let above = self.make_folders(above)?;
                match rustix::fs::mkdirat(&above, name, Mode::from_raw_mode(0o755)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(io("make a folder")(error)),
                }
                let folder = self.open_beneath(path, OFlags::DIRECTORY | OFlags::RDONLY).map_err(|error| match error {
                    WorkspaceError::NotFound(path) => WorkspaceError::NotRegular(path),
                    error => error,
                })?;
                self.hand_over(folder.as_fd())?;
                Ok(folder)
            }
            other => other,
        }
    }

    fn hand_over(&self, file: BorrowedFd<'_>) -> Result<(), WorkspaceError> {
        let stat = rustix::fs::fstat(file).map_err(io("look at a file"))?;
        if (stat.st_uid, stat.st_gid) == self.owner {
            return Ok(());
        }
        rustix::fs::fchown(file, Some(Uid::from_raw(self.owner.0)), Some(Gid::from_raw(self.owner.1))).map_err(io("hand over a file"))
    }
}

fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

/// Removes an entry of `top` with everything below it, however deep, on a bounded stack: what lies too deep is lifted to `top` and
/// removed in a later round.
fn remove_all(top: BorrowedFd<'_>, name: &CStr) -> Result<(), WorkspaceError> {
    let mut waiting = vec![name.to_owned()];
    while let Some(name) = waiting.pop() {
        remove_tree(top, top, &name, 0, &mut waiting)?;
    }
    Ok(())
}

fn remove_tree(
    top: BorrowedFd<'_>,
    folder: BorrowedFd<'_>,
    name: &CStr,
    depth: usize,
    lifted: &mut Vec<CString>,
) -> Result<(), WorkspaceError> {
    match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(io("remove a file")(error)),
    }
    let below = rustix::fs::openat(folder, name, FOLDER, Mode::empty()).map_err(io("open a folder"))?;
    for entry in Dir::read_from(&below).map_err(io("read a folder"))?.filter_map(Result::ok) {
        if matches!(entry.file_name().to_bytes(), b"." | b"..") {
            continue;
        }
        if depth < 100 {
            remove_tree(top, below.as_fd(), entry.file_name(), depth + 1, lifted)?;
        } else if rustix::fs::unlinkat(&below, entry.file_name(), AtFlags::empty()).is_err() {
            let name = CString::new(format!(".cordon-lifted-{}-{}", entry.ino(), lifted.len())).unwrap_or_default();
            rustix::fs::renameat(&below, entry.file_name(), top, &name).map_err(io("lift a deep folder"))?;
            lifted.push(name);
        }
    }
    rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR).map_err(io("remove a folder"))
}

fn check_path(path: &str) -> Result<(), WorkspaceError> {
    let plain = !path.is_empty()
        && path.len() <= MAX_PATH
        && path.split('/').count() <= MAX_DEPTH
        && path.split('/').all(|part| !matches!(part, "" | "." | "..") && part.len() <= 200 && !part.chars().any(char::is_control));
    if plain { Ok(()) } else { Err(WorkspaceError::BadPath(path.to_owned())) }
}

fn io(operation: &'static str) -> impl FnOnce(Errno) -> WorkspaceError {
    move |error| match error {
        Errno::NOSPC | Errno::DQUOT => WorkspaceError::Full("no space is left; remove something first".to_owned()),
        error => WorkspaceError::Io { operation, source: error.into() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn workspace(limits: Limits) -> (tempfile::TempDir, Workspace) {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::open(folder.path(), limits).unwrap();
        (folder, workspace)
    }

    #[test]
    fn keeps_files() {
        let (_folder, workspace) = workspace(Limits::default());
        workspace.write("manifests/a.yaml", b"one").unwrap();
        workspace.write("manifests/a.yaml", b"two").unwrap();
        workspace.write("b.yaml", b"").unwrap();
        workspace.write(".hidden", b"x").unwrap();
        assert_eq!(workspace.read("manifests/a.yaml", 10).unwrap(), b"two");
        let paths: Vec<_> = workspace.list().unwrap().into_iter().map(|entry| (entry.path, entry.bytes)).collect();
        assert_eq!(paths, [("b.yaml".to_owned(), 0), ("manifests/a.yaml".to_owned(), 3)]);
        workspace.reset(&BTreeMap::from([("c.yaml".to_owned(), b"new".to_vec())])).unwrap();
        assert_eq!(workspace.export(100).unwrap(), BTreeMap::from([("c.yaml".to_owned(), b"new".to_vec())]));
        assert_eq!(workspace.read(".hidden", 10).unwrap(), b"x");
        workspace.remove("c.yaml").unwrap();
        workspace.remove("c.yaml").unwrap();
        assert!(matches!(workspace.read("c.yaml", 10), Err(WorkspaceError::NotFound(_))));
    }

    #[test]
    fn never_leaves_the_folder() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "secret").unwrap();
        let (folder, workspace) = workspace(Limits::default());
        symlink(outside.path().join("secret"), folder.path().join("link")).unwrap();
        symlink(outside.path(), folder.path().join("folder")).unwrap();
        nix::unistd::mkfifo(&folder.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
        for path in ["link", "folder/secret", "pipe", "socket"] {
            assert!(matches!(workspace.read(path, 100), Err(WorkspaceError::NotRegular(_))), "{path}");
        }
        for path in ["", "/etc/passwd", "../secret", "a/../../b", "a//b", "a/./b", "a\nb", &"x/".repeat(40), &"y".repeat(600)] {
            assert!(matches!(workspace.read(path, 100), Err(WorkspaceError::BadPath(_))), "{path:?}");
            assert!(matches!(workspace.write(path, b""), Err(WorkspaceError::BadPath(_))), "{path:?}");
        }
        assert!(matches!(workspace.write("folder/planted", b""), Err(WorkspaceError::NotRegular(_))));
        // A link at the place of the file is replaced, not followed.
        workspace.write("link", b"mine").unwrap();
        workspace.write("pipe", b"mine").unwrap();
        assert_eq!(fs::read(outside.path().join("secret")).unwrap(), b"secret");
        assert_eq!(workspace.read("link", 10).unwrap(), b"mine");
        assert!(workspace.list().unwrap().iter().all(|entry| !entry.path.contains("secret")));
        workspace.reset(&BTreeMap::new()).unwrap();
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1, "a link to a folder is removed, not what it points to");
    }

    #[test]
    fn holds_its_limits() {
        let (folder, workspace) =
            workspace(Limits { workspace_bytes: 64 << 10, workspace_files: 10, file_bytes: 32 << 10, ..Limits::default() });
        assert!(matches!(workspace.write("large", &vec![0; 40 << 10]), Err(WorkspaceError::TooLarge { .. })));
        workspace.write("half", &vec![1; 32 << 10]).unwrap();
        workspace.write("half2", &vec![1; 20 << 10]).unwrap();
        assert!(matches!(workspace.write("half3", &vec![1; 32 << 10]), Err(WorkspaceError::Full(_))));
        assert!(matches!(workspace.read("half", 100), Err(WorkspaceError::TooLarge { .. })));
        for number in 0..30 {
            fs::write(folder.path().join(format!("z{number}")), "").unwrap();
        }
        let usage = workspace.usage().unwrap();
        assert!(usage.broken(&workspace.limits).is_some() && !usage.hopeless(&workspace.limits), "{usage:?}");
        for number in 0..1000 {
            fs::write(folder.path().join(format!("y{number}")), "").unwrap();
        }
        let usage = workspace.usage().unwrap();
        assert!(usage.hopeless(&workspace.limits) && usage.files < 50, "counting has an end: {usage:?}");
        assert_eq!(workspace.read("half", 1 << 20).unwrap().len(), 32 << 10);
    }

    #[test]
    fn survives_a_deep_tree() {
        let (folder, workspace) = workspace(Limits::default());
        let mut below = rustix::fs::open(folder.path(), OFlags::DIRECTORY, Mode::empty()).unwrap();
        for _ in 0..900 {
            rustix::fs::mkdirat(&below, "d", Mode::from_raw_mode(0o755)).unwrap();
            below = rustix::fs::openat(&below, "d", OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        assert!(workspace.usage().unwrap().broken(&workspace.limits).is_some());
        assert!(workspace.list().unwrap().is_empty());
        workspace.reset(&BTreeMap::new()).unwrap();
        assert_eq!(workspace.usage().unwrap().broken(&workspace.limits), None);
    }
}
