//! The disks of a cluster's nodes, in its folder: what outlives the server's process beside the journal.

use crate::files::write_whole;
use sim::kubelet::Disk;
use std::{
    fs, io,
    io::Write as _,
    path::{Component, Path, PathBuf},
};

#[derive(Debug)]
pub struct FileDisk(pub PathBuf);

impl FileDisk {
    /// The file of this name, strictly below the folder.
    fn path(&self, name: &str) -> io::Result<PathBuf> {
        let plain = !name.is_empty() && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        if plain { Ok(self.0.join(name)) } else { Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no name of a file")) }
    }

    /// The same, with its folder made.
    fn new_path(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.path(name)?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        Ok(path)
    }

    /// The cluster goes on without; only what should have outlived its processes will not.
    fn report(&self, name: &str, outcome: io::Result<()>) {
        match outcome {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::error!(folder = %self.0.display(), name, %error, "a node's disk could not be written");
            }
            _ => {}
        }
    }
}

impl Disk for FileDisk {
    fn read(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.path(name).ok()?).ok()
    }

    fn write(&self, name: &str, content: &[u8]) {
        self.report(name, self.new_path(name).and_then(|path| write_whole(&path, content)));
    }

    fn append(&self, name: &str, content: &[u8]) {
        let append = |path: PathBuf| fs::OpenOptions::new().create(true).append(true).open(path)?.write_all(content);
        self.report(name, self.new_path(name).and_then(append));
    }

    fn rename(&self, from: &str, to: &str) {
        self.report(from, self.path(from).and_then(|from| fs::rename(from, self.new_path(to)?)));
    }

    fn remove(&self, name: &str) {
        let remove = |path: PathBuf| if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        self.report(name, self.path(name).and_then(remove));
    }

    fn list(&self, folder: &str) -> Vec<String> {
        let entries = self.path(folder).and_then(fs::read_dir);
        entries.into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_stay_below_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let disk = FileDisk(folder.path().join("disk"));
        disk.append("pods/u/logs/c.log", b"one\n");
        disk.append("pods/u/logs/c.log", b"two\n");
        disk.rename("pods/u/logs/c.log", "pods/u/logs/c.previous");
        disk.write("pods/u/logs/c.log", b"three\n");
        assert_eq!(disk.read("pods/u/logs/c.previous").as_deref(), Some(&b"one\ntwo\n"[..]));
        assert_eq!(disk.list("pods"), ["u"]);
        for name in ["../out", "/etc/out", "", "pods/../../out", "."] {
            disk.write(name, b"x");
            disk.append(name, b"x");
            disk.remove(name);
            assert_eq!(disk.read(name), None, "{name}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing lies beside it");
        disk.remove("pods/u");
        assert!(disk.list("pods").is_empty());
    }
}
