//! The folder of a cluster on disk.
//!
//! ```text
//! <data>/<id>/cluster.json      what it is; written last, so a folder without it is an unfinished creation
//! <data>/<id>/journal           every acknowledged write (apiserver)
//! <data>/<id>/snapshots/<name>  named states
//! <data>/<id>/disk/…            logs and volumes of its pods
//! ```

use crate::options::SandboxError;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sim::bootstrap::ClusterSpec;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// `cluster.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    pub id: String,
    pub spec: ClusterSpec,
    pub created_at: Timestamp,
    pub seed: u64,
    /// 64 hexadecimal digits: what the key of its ServiceAccount tokens is made from. Clusters of before have none.
    #[serde(default)]
    pub token_secret: Secret,
}

/// Never printed.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Description {
    pub fn token_secret(&self) -> [u8; 32] {
        let mut secret = [0; 32];
        if hex::decode_to_slice(&self.token_secret.0, &mut secret).is_ok() {
            return secret;
        }
        let mut hash = Sha256::new();
        hash.update(b"cordon token secret of a cluster of before\0");
        hash.update(self.seed.to_le_bytes());
        hash.finalize().into()
    }
}

#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(data: &Path, id: &str) -> Self {
        Self(data.join(id))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }

    pub fn disk(&self) -> PathBuf {
        self.0.join("disk")
    }

    pub fn snapshot(&self, name: &str) -> PathBuf {
        self.0.join("snapshots").join(name)
    }

    pub fn begin(&self) -> Result<(), SandboxError> {
        let doing = || SandboxError::disk(format!("making {}", self.0.display()));
        if self.0.exists() {
            fs::remove_dir_all(&self.0).map_err(doing())?;
        }
        fs::create_dir_all(self.0.join("snapshots")).map_err(doing())
    }

    /// From now on the cluster exists.
    pub fn finish(&self, description: &Description) -> Result<(), SandboxError> {
        let text = serde_json::to_vec_pretty(description).unwrap_or_default();
        write_whole(&self.0.join("cluster.json"), &text).map_err(SandboxError::disk(format!("writing {}", self.0.display())))
    }

    /// `None` where nothing was finished here.
    pub fn read(&self) -> Result<Option<Description>, String> {
        let path = self.0.join("cluster.json");
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| format!("{}: {error}", path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    /// Names of the snapshots that are stored.
    pub fn snapshots(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.0.join("snapshots")) else { return Vec::new() };
        let mut names: Vec<_> =
            entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| is_snapshot_name(name)).collect();
        names.sort();
        names
    }

    pub fn remove(&self) -> Result<(), SandboxError> {
        // First it no longer exists, then it goes: a crash in between leaves an unfinished folder, which the next start sweeps.
        for result in [fs::remove_file(self.0.join("cluster.json")), fs::remove_dir_all(&self.0)] {
            match result {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(SandboxError::disk(format!("removing {}", self.0.display()))(error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Writes beside, renames: the file is the old one or the new one, never a part. As with the journal, what was written survives the
/// death of the process, not of the machine's power supply.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("part");
    fs::write(&beside, bytes)?;
    fs::rename(&beside, path)
}

pub fn is_id(id: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    (1..=63).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && edge(id.as_bytes().first())
        && edge(id.as_bytes().last())
}

pub fn is_snapshot_name(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && !name.starts_with('.')
        && !name.ends_with(".part")
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_names_stay_inside_their_folder() {
        for (text, id, name) in [
            ("a", true, true),
            ("a-1", true, true),
            ("step-1.passed", false, true),
            ("", false, false),
            ("..", false, false),
            (".hidden", false, false),
            ("a/b", false, false),
            ("A", false, false),
            ("-a", false, true),
            ("x.part", false, false),
            (&"a".repeat(64), false, false),
        ] {
            assert_eq!((is_id(text), is_snapshot_name(text)), (id, name), "{text:?}");
        }
    }
}
