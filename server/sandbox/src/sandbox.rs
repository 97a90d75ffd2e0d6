//! All clusters of this process.

use crate::{
    cluster::Cluster,
    files::{Description, Folder, Secret, is_id},
    options::{Options, SandboxError},
    template,
};
use jiff::Timestamp;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use sim::bootstrap::ClusterSpec;
use std::{collections::BTreeMap, fs, sync::Arc};

/// Makes, finds and removes clusters. Cheap to clone. Its methods read and write files for some milliseconds: call them from
/// where blocking is allowed. With [`crate::Time::Running`] they need a tokio runtime around them.
#[derive(Debug, Clone)]
pub struct Sandbox {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: Arc<Options>,
    entries: Mutex<BTreeMap<String, Entry>>,
}

#[derive(Debug)]
enum Entry {
    /// Somebody is making it right now.
    Reserved,
    /// On disk, not opened since the start.
    Closed(Arc<Closed>),
    Open(Arc<Cluster>),
    /// What is on disk cannot be read.
    Damaged(String),
}

#[derive(Debug)]
struct Closed {
    description: Description,
    /// Held by whoever opens it; the others wait for that one alone.
    opening: Mutex<()>,
}

enum Found {
    Open(Arc<Cluster>),
    Closed(Arc<Closed>),
}

/// A cluster as [`Sandbox::list`] shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub id: String,
    /// `None` where the cluster's file cannot be read.
    pub created_at: Option<Timestamp>,
    /// Why it cannot be opened.
    pub damaged: Option<String>,
    pub awake: bool,
}

impl Sandbox {
    /// Finds every cluster that the data folder holds; none is opened before somebody asks for it. A cluster whose files cannot
    /// be read is listed as damaged, and the others are served.
    pub fn new(options: Options) -> Result<Self, SandboxError> {
        let mut entries = BTreeMap::new();
        if let Some(data) = &options.data {
            let doing = || SandboxError::disk(format!("reading {}", data.display()));
            fs::create_dir_all(data).map_err(doing())?;
            for entry in fs::read_dir(data).map_err(doing())? {
                let Ok(id) = entry.map_err(doing())?.file_name().into_string() else { continue };
                if !is_id(&id) {
                    continue;
                }
                let folder = Folder::new(data, &id);
                match folder.read() {
                    Ok(Some(description)) if description.id == id => {
                        entries.insert(id, Entry::Closed(Arc::new(Closed { description, opening: Mutex::new(()) })));
                    }
                    Ok(Some(other)) => {
                        let why = format!("{} describes cluster {:?}", folder.path().display(), other.id);
                        tracing::error!(cluster.id = id, why, "a cluster's files are damaged");
                        entries.insert(id, Entry::Damaged(why));
                    }
                    Ok(None) => {
                        tracing::warn!(cluster.id = id, "removing what is left of a creation or removal that did not end");
                        folder.remove()?;
                    }
                    Err(why) => {
                        tracing::error!(cluster.id = id, why, "a cluster's files are damaged");
                        entries.insert(id, Entry::Damaged(why));
                    }
                }
            }
        }
        Ok(Self { inner: Arc::new(Inner { options: Arc::new(options), entries: Mutex::new(entries) }) })
    }

    pub fn options(&self) -> &Options {
        &self.inner.options
    }

    /// Makes ready what clusters of this shape begin from, so that the first one is as quick as the others.
    pub fn prepare(&self, spec: &ClusterSpec) -> Result<(), SandboxError> {
        let created_at = self.inner.options.time.clock().now();
        let description = self.describe("", spec, created_at);
        template::of(&self.inner.options, &description).map(drop)
    }

    /// Returns when the cluster is stored and its nodes are Ready.
    pub fn create(&self, id: &str, spec: &ClusterSpec) -> Result<Arc<Cluster>, SandboxError> {
        if !is_id(id) {
            return Err(SandboxError::BadId(id.to_owned()));
        }
        {
            let mut entries = self.inner.entries.lock();
            if entries.contains_key(id) {
                return Err(SandboxError::Exists(id.to_owned()));
            }
            entries.insert(id.to_owned(), Entry::Reserved);
        }
        let created_at = self.inner.options.time.clock().now();
        let description = self.describe(id, spec, created_at);
        let made = Cluster::create(Arc::clone(&self.inner.options), description);
        let mut entries = self.inner.entries.lock();
        match made {
            Ok(cluster) => {
                entries.insert(id.to_owned(), Entry::Open(Arc::clone(&cluster)));
                Ok(cluster)
            }
            Err(error) => {
                entries.remove(id);
                Err(error)
            }
        }
    }

    /// A cluster that exists, awake.
    pub fn open(&self, id: &str) -> Result<Arc<Cluster>, SandboxError> {
        let cluster = self.get(id)?;
        cluster.wake();
        Ok(cluster)
    }

    /// A cluster that exists, asleep or awake. Read from disk the first time after a start.
    pub fn get(&self, id: &str) -> Result<Arc<Cluster>, SandboxError> {
        let closed = match self.find(id)? {
            Found::Open(cluster) => return Ok(cluster),
            Found::Closed(closed) => closed,
        };
        let _opening = closed.opening.lock();
        // Somebody else may have opened or deleted it meanwhile; from now on nobody does either.
        match self.find(id)? {
            Found::Closed(same) if Arc::ptr_eq(&same, &closed) => {}
            Found::Open(cluster) => return Ok(cluster),
            Found::Closed(_) => return Err(SandboxError::NotFound(id.to_owned())),
        }
        let opened = Cluster::reopen(Arc::clone(&self.inner.options), closed.description.clone());
        let mut entries = self.inner.entries.lock();
        match &opened {
            Ok(cluster) => {
                entries.insert(id.to_owned(), Entry::Open(Arc::clone(cluster)));
            }
            Err(SandboxError::Damaged { why, .. }) => {
                tracing::error!(cluster.id = id, why, "a cluster's files are damaged");
                entries.insert(id.to_owned(), Entry::Damaged(why.clone()));
            }
            Err(_) => {}
        }
        opened
    }

    fn find(&self, id: &str) -> Result<Found, SandboxError> {
        match self.inner.entries.lock().get(id) {
            None | Some(Entry::Reserved) => Err(SandboxError::NotFound(id.to_owned())),
            Some(Entry::Open(cluster)) => Ok(Found::Open(Arc::clone(cluster))),
            Some(Entry::Damaged(why)) => Err(SandboxError::Damaged { id: id.to_owned(), why: why.clone() }),
            Some(Entry::Closed(closed)) => Ok(Found::Closed(Arc::clone(closed))),
        }
    }

    /// A cluster that is gone already is no error.
    pub fn delete(&self, id: &str) -> Result<(), SandboxError> {
        if !is_id(id) {
            return Ok(());
        }
        let closed = match self.find(id) {
            Ok(Found::Closed(closed)) => Some(closed),
            _ => None,
        };
        // Not while somebody opens it.
        let _opening = closed.as_ref().map(|closed| closed.opening.lock());
        let removed = {
            let mut entries = self.inner.entries.lock();
            match entries.get(id) {
                Some(Entry::Reserved) => return Err(SandboxError::Exists(id.to_owned())),
                _ => entries.remove(id),
            }
        };
        if let Some(Entry::Open(cluster)) = &removed {
            cluster.stop();
        }
        match (&self.inner.options.data, removed) {
            (Some(data), Some(_)) => Folder::new(data, id).remove(),
            _ => Ok(()),
        }
    }

    /// Every cluster, ordered by id.
    pub fn list(&self) -> Vec<Listed> {
        let entries = self.inner.entries.lock();
        let listed = entries.iter().filter_map(|(id, entry)| {
            let (created_at, damaged, awake) = match entry {
                Entry::Reserved => return None,
                Entry::Closed(closed) => (Some(closed.description.created_at), None, false),
                Entry::Open(cluster) => (Some(cluster.created_at()), None, cluster.is_awake()),
                Entry::Damaged(why) => (None, Some(why.clone()), false),
            };
            Some(Listed { id: id.clone(), created_at, damaged, awake })
        });
        listed.collect()
    }

    /// A new cluster's own draw: nobody who knows one cluster's can tell another's.
    fn describe(&self, id: &str, spec: &ClusterSpec, created_at: Timestamp) -> Description {
        let digest = |of: &[u8]| -> [u8; 32] {
            let mut hash = Sha256::new();
            hash.update(of);
            hash.update(created_at.as_nanosecond().to_le_bytes());
            hash.update(id);
            hash.finalize().into()
        };
        let [a, b, c, d, e, f, g, h, ..] = digest(&self.inner.options.seed.to_le_bytes());
        Description {
            id: id.to_owned(),
            spec: spec.clone(),
            created_at,
            seed: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            token_secret: Secret(hex::encode(digest(&self.inner.options.secret))),
        }
    }
}
