//! The append-only file of one cluster.
//!
//! ```text
//! "cordon-journal 1\n"  then frames:  "CJF1"  length u32  crc32 u32  payload (JSON: {"rv": …, "ops": [{"g","r","k","o"}]})
//! ```
//!
//! A frame is one atomic write: it holds everything that one request changed. It is handed to the kernel before the request is
//! acknowledged, so that it survives the death of the process. A frame cut short at the end of the file was never acknowledged
//! and is cut off; any other damage, in the last frame too, is an error that names file and offset.
//!
//! A snapshot is this file by a second name, as far as a record without operations that marks the place: `{"rv": …, "ops": [], "mark":
//! "<its name>"}`. What was written is never written over, and a compaction makes another file.

use super::{Event, State};
use crate::client::ChangeKind;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

pub(super) const HEADER: &[u8] = b"cordon-journal 1\n";
const MAGIC: &[u8; 4] = b"CJF1";
const FRAME: usize = 12;
/// Bytes that a journal grows by, beyond twice its compacted size, before it is compacted again.
const SLACK: u64 = 4 << 20;

/// An open journal, positioned at its end.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    length: u64,
    /// Length right after the last compaction; of a file that was opened, what it would be by the share of records that still count.
    compacted: u64,
    /// Whether something was removed since the last compaction.
    freed: bool,
    /// Set when a failed write could not be taken back: nothing more may be acknowledged.
    broken: bool,
}

/// One object written or, without `object`, removed.
#[derive(Debug, Serialize)]
pub struct Operation<'a> {
    #[serde(rename = "g")]
    pub group: &'a str,
    #[serde(rename = "r")]
    pub resource: &'a str,
    #[serde(rename = "k")]
    pub key: String,
    #[serde(rename = "o", skip_serializing_if = "Option::is_none")]
    pub object: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Record<'a> {
    rv: u64,
    ops: &'a [Operation<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    mark: Option<&'a str>,
}

#[derive(Deserialize)]
struct StoredRecord {
    rv: u64,
    ops: Vec<StoredOperation>,
    #[serde(default)]
    mark: Option<String>,
}

#[derive(Deserialize)]
struct StoredOperation {
    g: String,
    r: String,
    k: String,
    #[serde(default)]
    o: Option<Box<RawValue>>,
}

impl<'a> Operation<'a> {
    pub(super) fn from_event(event: &'a Event) -> Self {
        let object = &event.change.object;
        let key = super::state::key(machinery::object::namespace(object), machinery::object::name(object));
        let object = (event.change.kind != ChangeKind::Deleted).then(|| event.stored.raw());
        Self { group: &event.change.group, resource: &event.change.resource, key, object }
    }
}

/// Appends one frame to `out`.
pub(super) fn encode_frame(out: &mut Vec<u8>, resource_version: u64, operations: &[Operation<'_>]) -> io::Result<()> {
    encode_record(out, &Record { rv: resource_version, ops: operations, mark: None })
}

fn encode_record(out: &mut Vec<u8>, record: &Record<'_>) -> io::Result<()> {
    let start = out.len();
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[0; 8]);
    serde_json::to_writer(&mut *out, record)?;
    let length = u32::try_from(out.len() - start - FRAME).map_err(|_| io::Error::other("a journal frame cannot exceed 4 GiB"))?;
    out[start + 4..start + 8].copy_from_slice(&length.to_le_bytes());
    let sum = checksum(length, &out[start + FRAME..]);
    out[start + 8..start + 12].copy_from_slice(&sum.to_le_bytes());
    Ok(())
}

fn checksum(length: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// The payload of the frame at `offset`, if a whole one stands there.
fn frame_at(bytes: &[u8], offset: usize) -> Option<&[u8]> {
    let head = bytes.get(offset..offset.checked_add(FRAME)?)?;
    if &head[..4] != MAGIC {
        return None;
    }
    let length = u32::from_le_bytes(head[4..8].try_into().ok()?);
    let sum = u32::from_le_bytes(head[8..12].try_into().ok()?);
    let start = offset + FRAME;
    let payload = bytes.get(start..start.checked_add(length as usize)?)?;
    (checksum(length, payload) == sum).then_some(payload)
}

fn damaged(path: &Path, offset: usize, what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{}: {what} at offset {offset}", path.display()))
}

/// Whether the end of a file, which is no whole frame, is one that was being written: cut short, or with blocks that never reached
/// the disk, which read as zeros (JSON has none). Anything else was whole once.
fn is_torn(rest: &[u8]) -> bool {
    let magic = rest.len().min(MAGIC.len());
    if rest[..magic] != MAGIC[..magic] {
        return rest.iter().all(|byte| *byte == 0);
    }
    let Some((head, payload)) = rest.split_at_checked(FRAME) else { return true };
    let field = |at: usize| head[at..at + 4].try_into().map_or(0, u32::from_le_bytes);
    let here = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    match payload.get(..field(4) as usize) {
        Some(payload) => payload.contains(&0),
        // Whole by its sum: it is the length that is damaged.
        None => checksum(here, payload) != field(8),
    }
}

/// What [`replay`] found.
pub(super) struct Replayed {
    pub state: State,
    /// Length of what is good; the rest is a torn tail.
    pub good: usize,
    /// The name of each mark, and the state there; the last one of a name counts.
    pub marks: BTreeMap<String, State>,
    /// Objects written and removed on the way.
    operations: u64,
}

/// Reads all frames of `bytes` into a state.
pub(super) fn replay(path: &Path, bytes: &[u8]) -> io::Result<Replayed> {
    let (mut operations, mut marks) = (0, BTreeMap::new());
    if bytes.len() < HEADER.len() && HEADER.starts_with(bytes) {
        return Ok(Replayed { state: State::default(), good: 0, marks, operations });
    }
    if !bytes.starts_with(HEADER) {
        return Err(damaged(path, 0, "not a cluster journal of this version"));
    }
    let mut state = State::default();
    let mut offset = HEADER.len();
    while offset < bytes.len() {
        let Some(payload) = frame_at(bytes, offset) else {
            let behind = (offset + 1..bytes.len()).filter(|at| bytes[*at] == MAGIC[0]).find(|at| frame_at(bytes, *at).is_some());
            if behind.is_none() && is_torn(&bytes[offset..]) {
                break;
            }
            return Err(damaged(path, offset, "damaged record"));
        };
        let record: StoredRecord =
            serde_json::from_slice(payload).map_err(|error| damaged(path, offset, &format!("unreadable record ({error})")))?;
        for operation in record.ops {
            operations += 1;
            state.replay(&operation.g, &operation.r, &operation.k, operation.o, record.rv);
        }
        state.raise(record.rv);
        if let Some(mark) = record.mark {
            marks.insert(mark, state.clone());
        }
        offset += FRAME + payload.len();
    }
    Ok(Replayed { state, good: offset, marks, operations })
}

impl Journal {
    /// Opens or makes the file; returns it with what it holds.
    pub fn open(path: PathBuf) -> io::Result<(Self, State)> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let Replayed { state, mut good, operations, .. } = replay(&path, &bytes)?;
        if good < bytes.len() {
            tracing::warn!(file = %path.display(), offset = good, lost = bytes.len() - good, "cut an unfinished record off the journal");
            file.set_len(good as u64)?;
        }
        if good == 0 {
            file.seek(SeekFrom::Start(0))?;
            file.write_all(HEADER)?;
            good = HEADER.len();
        }
        file.seek(SeekFrom::Start(good as u64))?;
        let length = good as u64;
        // Otherwise a server that is often started anew would let the file grow for ever.
        let compacted = length * state.all_count() as u64 / operations.max(1);
        Ok((Self { path, file, length, compacted, freed: true, broken: false }, state))
    }

    /// Hands one frame to the kernel, whole; what could not be written whole is taken back. `frees`: it removes something.
    pub(super) fn append(&mut self, frame: &[u8], frees: bool) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("an earlier failed write could not be taken back"));
        }
        if let Err(error) = self.file.write_all(frame) {
            let taken_back = self.file.set_len(self.length).and_then(|()| self.file.seek(SeekFrom::Start(self.length)));
            self.broken = taken_back.is_err();
            return Err(error);
        }
        self.length += frame.len() as u64;
        self.freed |= frees;
        Ok(())
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Whether a compaction would make a difference where space is short.
    pub(super) fn can_shrink(&self) -> bool {
        self.freed || self.length > self.compacted + SLACK
    }

    pub(super) fn wants_compaction(&self) -> bool {
        self.length > self.compacted * 2 + SLACK
    }

    /// Gives the file a second name, `path`, that stands for what it holds now.
    pub(super) fn link(&mut self, resource_version: u64, path: &Path) -> io::Result<()> {
        let mut frame = Vec::new();
        encode_record(&mut frame, &Record { rv: resource_version, ops: &[], mark: Some(&mark(path)) })?;
        self.append(&frame, false)?;
        let beside = beside(path);
        remove(&beside)?;
        fs::hard_link(&self.path, &beside)?;
        fs::rename(&beside, path)?;
        // Where `path` was a name of this file already, the rename has left both.
        remove(&beside)
    }

    /// Puts a file with the content `encoded` (from [`super::snapshot::encode`]) in this one's place, in one step.
    pub(super) fn replace(&mut self, encoded: &[u8]) -> io::Result<()> {
        let file = write_whole(&self.path, encoded)?;
        self.file = file;
        self.length = encoded.len() as u64;
        self.compacted = self.length;
        self.freed = false;
        self.broken = false;
        Ok(())
    }
}

/// What marks the place in a journal that the file `path` stands for.
pub(super) fn mark(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Writes a file beside `path` and renames it there; the returned file is positioned at its end. Like each write it is handed to the
/// kernel and does not wait for the disk, which only a loss of power would make necessary.
pub(super) fn write_whole(path: &Path, content: &[u8]) -> io::Result<File> {
    let beside = beside(path);
    // What a crash left there may be another name of a journal: it is not written to.
    remove(&beside)?;
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(&beside)?;
    if let Err(error) = file.write_all(content).and_then(|()| fs::rename(&beside, path)) {
        // The half-written neighbour is of no use; that it could not be removed changes nothing.
        drop(remove(&beside));
        return Err(error);
    }
    Ok(file)
}

/// As what is not finished is called in a cluster's folder: no snapshot has such a name.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    path.with_file_name(name)
}

/// Removes a file that may be gone already.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
