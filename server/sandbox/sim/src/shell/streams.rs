//! Where a process reads from and writes to.

use super::filesystem::{Found, Kind};
use bytes::Bytes;
use jiff::Timestamp;
use parking_lot::Mutex;
use std::{fmt::Debug, sync::Arc};
use tokio::sync::{Mutex as AsyncMutex, mpsc};

/// A log that takes lines.
pub trait LogSink: Send + Sync + Debug {
    fn write(&self, stderr: bool, bytes: &[u8]);
}

#[derive(Debug, Clone)]
pub enum Output {
    Null,
    /// Captured, up to a limit.
    Buffer(Arc<Mutex<Vec<u8>>>),
    /// A client's end; `terminal` turns newlines into carriage return and newline.
    Channel {
        sender: mpsc::Sender<Bytes>,
        terminal: bool,
    },
    Log {
        sink: Arc<dyn LogSink>,
        stderr: bool,
    },
    File {
        found: Box<Found>,
        now: Timestamp,
    },
    Full,
    /// To one and to the other.
    Both(Box<Output>, Box<Output>),
}

/// Most that is captured by `$(…)` or a probe.
pub const CAPTURE_LIMIT: usize = 1 << 20;

impl Output {
    pub fn buffer() -> (Self, Arc<Mutex<Vec<u8>>>) {
        let buffer = Arc::new(Mutex::new(Vec::new()));
        (Self::Buffer(Arc::clone(&buffer)), buffer)
    }

    pub fn pipe() -> (Self, Input) {
        let (sender, receiver) = mpsc::channel(16);
        (Self::Channel { sender, terminal: false }, Input::channel(receiver))
    }

    /// False when nobody reads any more, or nothing more fits.
    pub async fn write(&self, bytes: &[u8]) -> bool {
        // Nothing written is not an end of file.
        if bytes.is_empty() {
            return true;
        }
        match self {
            Self::Null => true,
            Self::Full => false,
            Self::Both(one, other) => Box::pin(one.write(bytes)).await & Box::pin(other.write(bytes)).await,
            Self::Buffer(buffer) => {
                let mut held = buffer.lock();
                let room = CAPTURE_LIMIT.saturating_sub(held.len());
                held.extend_from_slice(&bytes[..bytes.len().min(room)]);
                bytes.len() <= room
            }
            Self::Channel { sender, terminal } => {
                let bytes = if *terminal { Self::with_carriage_returns(bytes) } else { bytes.to_vec() };
                sender.send(Bytes::from(bytes)).await.is_ok()
            }
            Self::Log { sink, stderr } => {
                sink.write(*stderr, bytes);
                true
            }
            Self::File { found, now } => found.mount.tree.append(found.id, bytes, *now).is_ok(),
        }
    }

    /// Newlines as a terminal sends them on.
    pub fn with_carriage_returns(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len() + 8);
        for byte in bytes {
            if *byte == b'\n' {
                out.push(b'\r');
            }
            out.push(*byte);
        }
        out
    }

    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Channel { terminal: true, .. })
    }

    /// The file that was opened, as a device or a regular file.
    pub fn to(found: Found, now: Timestamp) -> Self {
        match found.inode.kind {
            Kind::Device { major: 1, minor: 7, .. } => Self::Full,
            Kind::Device { .. } | Kind::Pipe | Kind::Socket => Self::Null,
            _ => Self::File { found: Box::new(found), now },
        }
    }
}

#[derive(Debug)]
enum Source {
    Empty,
    Channel(mpsc::Receiver<Bytes>),
    Zeros,
    Random(u64),
}

#[derive(Debug)]
struct State {
    buffered: Vec<u8>,
    source: Source,
}

/// Shared by all that inherit it: what one reads, the next does not see.
#[derive(Debug, Clone)]
pub struct Input {
    state: Arc<AsyncMutex<State>>,
    pub terminal: bool,
}

impl Input {
    fn new(buffered: Vec<u8>, source: Source) -> Self {
        Self { state: Arc::new(AsyncMutex::new(State { buffered, source })), terminal: false }
    }

    pub fn empty() -> Self {
        Self::new(Vec::new(), Source::Empty)
    }

    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(bytes.into(), Source::Empty)
    }

    pub fn channel(receiver: mpsc::Receiver<Bytes>) -> Self {
        Self::new(Vec::new(), Source::Channel(receiver))
    }

    pub fn zeros() -> Self {
        Self::new(Vec::new(), Source::Zeros)
    }

    pub fn random(seed: u64) -> Self {
        Self::new(Vec::new(), Source::Random(seed | 1))
    }

    /// Whether it goes on for ever, as `/dev/zero` does.
    pub fn is_endless(&self) -> bool {
        self.state.try_lock().is_ok_and(|state| matches!(state.source, Source::Zeros | Source::Random(_)))
    }

    /// Up to `most` bytes; empty at the end.
    pub async fn read(&self, most: usize) -> Vec<u8> {
        let mut state = self.state.lock().await;
        if state.buffered.is_empty() && !state.fill().await {
            return Vec::new();
        }
        let take = state.buffered.len().min(most);
        state.buffered.drain(..take).collect()
    }

    /// A line with its newline; `None` at the end.
    pub async fn line(&self) -> Option<Vec<u8>> {
        let mut state = self.state.lock().await;
        loop {
            if let Some(at) = state.buffered.iter().position(|b| *b == b'\n') {
                return Some(state.buffered.drain(..=at).collect());
            }
            if state.buffered.len() > CAPTURE_LIMIT || !state.fill().await {
                return Some(std::mem::take(&mut state.buffered)).filter(|rest| !rest.is_empty());
            }
        }
    }

    /// Everything, up to a limit.
    pub async fn all(&self) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < CAPTURE_LIMIT {
            let more = self.read(CAPTURE_LIMIT - all.len()).await;
            if more.is_empty() {
                break;
            }
            all.extend(more);
        }
        all
    }
}

impl State {
    async fn fill(&mut self) -> bool {
        match &mut self.source {
            Source::Empty => false,
            Source::Channel(receiver) => loop {
                match receiver.recv().await {
                    Some(bytes) if bytes.is_empty() => {}
                    Some(bytes) => {
                        self.buffered.extend_from_slice(&bytes);
                        return true;
                    }
                    None => {
                        self.source = Source::Empty;
                        return false;
                    }
                }
            },
            Source::Zeros => {
                self.buffered.resize(4096, 0);
                true
            }
            Source::Random(state) => {
                for _ in 0..512 {
                    *state ^= *state << 13;
                    *state ^= *state >> 7;
                    *state ^= *state << 17;
                    self.buffered.extend_from_slice(&state.to_le_bytes());
                }
                true
            }
        }
    }
}
