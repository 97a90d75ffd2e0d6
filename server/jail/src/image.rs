//! A workspace's own file system: an ext4 image of a fixed size and a fixed number of files, so that the kernel itself refuses what
//! would be too much (`ENOSPC` from the very write) and everything else stays as it is.
//!
//! ```text
//! images/blank-….ext4 ──copied──► images/ID.ext4 ──losetup──► /dev/loopN ──fsmount──► a detached mount, held by one descriptor
//!                                                                  └─ mounted once more in the namespace of the learner's launcher
//! ```
//!
//! The mount hangs in no folder: it is gone with the last descriptor and the last jail that use it, however the server ends, and
//! the loop device with it. What was written is in the image. Only root may do this, and only where there are loop devices.

use crate::Limits;
use parking_lot::Mutex;
use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, Gid, Mode, OFlags, SeekFrom, Uid},
    io::Errno,
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen},
};
use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const BLOCK: u64 = 4096;
/// What ext4 keeps for itself beside the inodes: its journal, its tables.
const JOURNAL: u64 = 4 << 20;
const TABLES: u64 = 256 << 10;
const INODE: u64 = 256;
/// Inodes that ext4 uses itself.
const OWN_INODES: u64 = 11;
/// Only root may use these: the server saves from the editor, and a new kubeconfig, where the learner has used up the rest.
const RESERVED: u64 = 1 << 20;
/// A device that is found in use may be gone a moment later, with the last jail of a server that was killed.
const TRIES: usize = 5;

/// Makes and mounts images, each at most once at a time.
#[derive(Debug)]
pub(crate) struct Images {
    folder: PathBuf,
    blank: PathBuf,
    losetup: PathBuf,
    mounted: Mutex<HashMap<String, Mounted>>,
}

/// A mounted image.
#[derive(Debug)]
pub(crate) struct Mounted {
    pub root: OwnedFd,
    /// For the launcher, which mounts it where the jail will see it. It stays this image's device while `root` is open.
    pub device: PathBuf,
}

/// Where the image of a workspace lies, whether or not it can be mounted here.
pub(crate) fn place(folder: &Path, id: &str) -> PathBuf {
    folder.join(format!("{id}.ext4"))
}

impl Images {
    /// Tries it for real, with a blank image that is then the pattern of all others. The error says why it cannot be had here.
    pub fn open(folder: &Path, limits: &Limits) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("mounting a file system of its own needs root".to_owned());
        }
        let mkfs = program("mkfs.ext4").ok_or("mkfs.ext4 is not installed (Debian: e2fsprogs)")?;
        let losetup = program("losetup").ok_or("losetup is not installed (Debian: mount)")?;
        let blank = folder.join(format!("blank-{}-{}.ext4", limits.workspace_bytes, limits.workspace_files));
        if !blank.exists() {
            make_blank(&mkfs, &blank, limits)?;
        }
        let images = Self { folder: folder.to_owned(), blank, losetup, mounted: Mutex::default() };
        let trial = folder.join("trial.new");
        let tried =
            copy(&images.blank, &trial).map_err(|error| format!("cannot copy an image: {error}")).and_then(|()| images.mount(&trial));
        let _ = fs::remove_file(&trial);
        tried.map(|_| images)
    }

    /// Makes the image of a new workspace, whole or not at all.
    pub fn make(&self, id: &str) -> io::Result<()> {
        let (image, new) = (place(&self.folder, id), self.folder.join(format!("{id}.new")));
        copy(&self.blank, &new)?;
        fs::rename(new, image)
    }

    /// The image's own root folder and its device; mounted where it is not. Its files belong to `owner`, if one is named.
    pub fn get(&self, id: &str, owner: (u32, u32)) -> Result<(OwnedFd, PathBuf), String> {
        let mut mounted = self.mounted.lock();
        let failed = |error: io::Error| format!("cannot use the workspace's image: {error}");
        if !mounted.contains_key(id) {
            let fresh = self.mount(&place(&self.folder, id))?;
            // A new image still belongs to whoever made the pattern.
            let stat = rustix::fs::fstat(&fresh.root).map_err(|error| failed(error.into()))?;
            if (stat.st_uid, stat.st_gid) != owner {
                let _ = rustix::fs::unlinkat(&fresh.root, "lost+found", AtFlags::REMOVEDIR);
                rustix::fs::fchmod(&fresh.root, Mode::RWXU).map_err(|error| failed(error.into()))?;
                let (uid, gid) = (Uid::from_raw(owner.0), Gid::from_raw(owner.1));
                rustix::fs::fchown(&fresh.root, Some(uid), Some(gid)).map_err(|error| failed(error.into()))?;
            }
            mounted.insert(id.to_owned(), fresh);
        }
        let held = &mounted[id];
        Ok((held.root.try_clone().map_err(failed)?, held.device.clone()))
    }

    /// Lets go of the mounts that `wanted` does not name; they end when nobody uses them any more.
    pub fn keep_only(&self, wanted: impl Fn(&str) -> bool) {
        self.mounted.lock().retain(|id, _| wanted(id));
    }

    fn mount(&self, image: &Path) -> Result<Mounted, String> {
        let mut problem = String::new();
        for _ in 0..TRIES {
            let device = self.attach(image)?;
            let mounted = mount_detached(&device);
            // From here on the device goes away by itself with the last mount; at once, where mounting failed.
            let _ = Command::new(&self.losetup).arg("--detach").arg(&device).stderr(Stdio::null()).status();
            match mounted {
                Ok(root) => return Ok(Mounted { root, device }),
                Err(error) => problem = format!("cannot mount {} by {}: {error}", image.display(), device.display()),
            }
        }
        Err(problem)
    }

    /// The loop device of an image: the one that it has already, or a new one.
    fn attach(&self, image: &Path) -> Result<PathBuf, String> {
        let output = Command::new(&self.losetup)
            .args(["--find", "--show", "--nooverlap"])
            .arg(image)
            .output()
            .map_err(|error| format!("cannot start losetup: {error}"))?;
        let device = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if output.status.success() && device.starts_with("/dev/") {
            return Ok(PathBuf::from(device));
        }
        Err(format!("no loop device: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}

/// Debian keeps such programs out of an ordinary user's `PATH`, and `su` keeps that.
fn program(name: &str) -> Option<PathBuf> {
    ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].iter().map(|folder| Path::new(folder).join(name)).find(|path| path.exists())
}

fn make_blank(mkfs: &Path, blank: &Path, limits: &Limits) -> Result<(), String> {
    let new = blank.with_extension("new");
    let _ = fs::remove_file(&new);
    let inodes = limits.workspace_files + OWN_INODES;
    // Beside the tables, the kernel holds a fiftieth back.
    let bytes =
        (limits.workspace_bytes + limits.workspace_bytes / 50 + JOURNAL + TABLES + RESERVED + inodes * INODE).next_multiple_of(BLOCK);
    let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).and_then(|file| file.set_len(bytes));
    made.map_err(|error| format!("cannot make an image: {error}"))?;
    let reserved = RESERVED as f64 * 100.0 / bytes as f64;
    let output = Command::new(mkfs)
        .args(["-q", "-F", "-b", "4096", "-I", "256", "-N", &inodes.to_string(), "-m", &format!("{reserved:.2}"), "-e", "remount-ro"])
        .args(["-J", "size=4", "-O", "^resize_inode", "-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1"])
        .arg(&new)
        .output()
        .map_err(|error| format!("cannot start mkfs.ext4: {error}"))?;
    if !output.status.success() {
        return Err(format!("mkfs.ext4: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    fs::rename(&new, blank).map_err(|error| format!("cannot keep an image: {error}"))
}

/// Copies what is written in a sparse file, and leaves its holes.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let source = fs::File::open(from)?;
    let target = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(to)?;
    target.set_len(source.metadata()?.len())?;
    let mut at = 0;
    loop {
        let start = match rustix::fs::seek(&source, SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        at = rustix::fs::seek(&source, SeekFrom::Hole(start))?;
        let mut piece = vec![0; usize::try_from(at - start).unwrap_or(0)];
        source.read_exact_at(&mut piece, start)?;
        target.write_all_at(&piece, start)?;
    }
}

/// Mounts the device nowhere. The way to it is the descriptor that this gives.
fn mount_detached(device: &Path) -> io::Result<OwnedFd> {
    let context = fsopen("ext4", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "source", device)?;
    // What a learner removes is given back to the disk that the image lies on; what was never written is not zeroed.
    fsconfig_set_flag(&context, "discard")?;
    fsconfig_set_flag(&context, "noinit_itable")?;
    fsconfig_create(&context)?;
    let flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOATIME;
    let mount = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, flags)?;
    // The mount's own descriptor is only a place; this one can be read and changed.
    Ok(rustix::fs::openat(&mount, ".", OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_keep_their_holes() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let file = fs::File::create(&from).unwrap();
        file.set_len(8 << 20).unwrap();
        file.write_all_at(b"first", 0).unwrap();
        file.write_all_at(b"later", 4 << 20).unwrap();
        copy(&from, &to).unwrap();
        assert_eq!(fs::read(&from).unwrap(), fs::read(&to).unwrap());
        assert!(std::os::unix::fs::MetadataExt::blocks(&fs::metadata(&to).unwrap()) < 2048, "the holes were written");
    }
}
