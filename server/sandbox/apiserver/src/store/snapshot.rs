//! Snapshots: the state at one resource version, in memory and as a file in the journal's own format.

use super::{
    State, Store,
    journal::{self, HEADER, Operation, Replayed},
};
use std::{
    io,
    path::Path,
    sync::{Arc, OnceLock},
};

/// Everything that is stored, at one resource version. Shares its objects with the server it was taken from and with every
/// server that it is restored into.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub resource_version: u64,
    pub(crate) content: Arc<Content>,
}

#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) state: State,
    encoded: OnceLock<Arc<[u8]>>,
}

/// The journal that holds exactly `state`.
pub(super) fn encode(state: &State) -> Vec<u8> {
    let mut out = HEADER.to_vec();
    let operations: Vec<_> = state
        .all()
        .map(|(group, resource, key, stored)| Operation { group, resource, key: key.to_owned(), object: Some(stored.raw()) })
        .collect();
    for chunk in operations.chunks(256) {
        // Encoding into memory fails only beyond 4 GiB in one frame, which 256 objects of at most 3 MiB cannot reach.
        if let Err(error) = journal::encode_frame(&mut out, state.resource_version(), chunk) {
            tracing::error!(%error, "a snapshot frame could not be encoded");
        }
    }
    if let Err(error) = journal::encode_frame(&mut out, state.resource_version(), &[]) {
        tracing::error!(%error, "a snapshot frame could not be encoded");
    }
    out
}

impl Snapshot {
    pub(crate) fn new(state: State) -> Self {
        Self { resource_version: state.resource_version(), content: Arc::new(Content { state, encoded: OnceLock::new() }) }
    }

    /// For what many clusters begin from: its objects are held ready for all of them.
    #[must_use]
    pub fn shared(self) -> Self {
        self.content.state.all().for_each(|(_, _, _, stored)| stored.share());
        self
    }

    /// The journal form; made once, however many clusters begin from this snapshot.
    pub(crate) fn encoded(&self) -> Arc<[u8]> {
        self.content.encoded.get_or_init(|| encode(&self.content.state).into()).clone()
    }

    /// How many objects it holds.
    pub fn len(&self) -> usize {
        self.content.state.all().count()
    }

    pub fn is_empty(&self) -> bool {
        self.content.state.all().next().is_none()
    }

    /// Writes the file whole or not at all (a neighbour that is renamed).
    pub fn write_to(&self, path: &Path) -> io::Result<()> {
        journal::write_whole(path, &encode(&self.content.state)).map(drop)
    }

    /// Reads what [`Self::write_to`] or [`Store::snapshot_to`] left; a file that is cut or damaged is an error that names it and the
    /// offset.
    pub fn read_from(path: &Path) -> io::Result<Self> {
        let bytes = std::fs::read(path)?;
        let Replayed { state, good, mut marks, .. } = journal::replay(path, &bytes)?;
        if let Some(marked) = marks.remove(&journal::mark(path)) {
            return Ok(Self::new(marked));
        }
        let refuse = |why: String| Err(io::Error::new(io::ErrorKind::InvalidData, format!("{}: {why}", path.display())));
        if let Some((other, _)) = marks.first_key_value() {
            return refuse(format!("this is a journal with the snapshot {other:?} and none of this name"));
        }
        if good == 0 || good < bytes.len() {
            return refuse(format!("snapshot is cut at offset {good}"));
        }
        Ok(Self::new(state))
    }
}

impl Store {
    /// The present state, and a file that holds it. Where there is a journal that file is the journal itself, by a second name, and
    /// costs neither time nor room; where a file can have one name only it is written whole.
    pub fn snapshot_to(&self, path: &Path) -> io::Result<Snapshot> {
        let mut writer = self.writer.lock();
        let snapshot = Snapshot::new(self.state());
        let linked = writer.journal.as_mut().map(|journal| journal.link(snapshot.resource_version, path));
        drop(writer);
        match linked {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                tracing::debug!(file = %path.display(), %error, "the journal has no second name here: the snapshot is written whole");
                snapshot.write_to(path)?;
            }
            None => snapshot.write_to(path)?,
        }
        Ok(snapshot)
    }
}
