//! A container's log: whole lines with their times, the oldest go first.

use crate::shell::streams::LogSink;
use apiserver::node::LogOptions;
use bytes::Bytes;
use jiff::Timestamp;
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
};
use tokio::sync::{mpsc, watch};

const MOST_LINES: usize = 5_000;
const MOST_BYTES: usize = 512 * 1024;

#[derive(Debug, Default)]
struct Lines {
    /// Each with its newline, where it has one.
    all: VecDeque<(u64, Timestamp, Vec<u8>)>,
    bytes: usize,
    next: u64,
    /// Lines before this number are on the disk, which has so many bytes of them.
    saved: u64,
    on_disk: usize,
    /// What has no newline yet, for stdout and stderr.
    partial: [Vec<u8>; 2],
}

impl Lines {
    /// Adds a line, and lets go of the oldest ones; the number of the next.
    fn keep(&mut self, at: Timestamp, line: Vec<u8>) -> u64 {
        self.bytes += line.len();
        self.all.push_back((self.next, at, line));
        self.next += 1;
        while self.all.len() > MOST_LINES || self.bytes > MOST_BYTES {
            match self.all.pop_front() {
                Some((.., gone)) => self.bytes -= gone.len(),
                None => break,
            }
        }
        self.next
    }
}

#[derive(Debug)]
pub struct Log {
    lines: Mutex<Lines>,
    clock: Weak<dyn crate::shell::machine::Timer>,
    grown: watch::Sender<u64>,
    ended: watch::Sender<bool>,
    /// Who reads the output as it comes: with `true` for the error stream.
    attached: Mutex<Vec<mpsc::UnboundedSender<(bool, Bytes)>>>,
}

impl Log {
    pub fn new(clock: &Arc<dyn crate::shell::machine::Timer>) -> Self {
        Self {
            lines: Mutex::default(),
            clock: Arc::downgrade(clock),
            grown: watch::Sender::new(0),
            ended: watch::Sender::new(false),
            attached: Mutex::default(),
        }
    }

    /// What is written from now on, until the container ends.
    pub fn attach(&self) -> mpsc::UnboundedReceiver<(bool, Bytes)> {
        let (sender, receiver) = mpsc::unbounded_channel();
        if !*self.ended.borrow() {
            self.attached.lock().push(sender);
        }
        receiver
    }

    /// A log of a process that is gone, as [`Self::unsaved`] wrote it.
    pub fn read(clock: &Arc<dyn crate::shell::machine::Timer>, bytes: &[u8]) -> Self {
        let log = Self::new(clock);
        {
            let mut lines = log.lines.lock();
            for text in bytes.split(|byte| *byte == b'\n').filter(|text| !text.is_empty()) {
                let mut parts = text.splitn(4, |byte| *byte == b' ');
                let at = parts.next().and_then(|at| std::str::from_utf8(at).ok()?.parse().ok());
                // A line that was cut off in the middle has no four parts.
                let (_stream, tag) = (parts.next(), parts.next());
                let (Some(at), Some(line)) = (at, parts.next()) else { continue };
                let end: &[u8] = if tag == Some(b"F") { b"\n" } else { b"" };
                lines.keep(at, [line, end].concat());
            }
            (lines.saved, lines.on_disk) = (lines.next, bytes.len());
        }
        log.ended.send_replace(true);
        log
    }

    pub fn is_unsaved(&self) -> bool {
        let lines = self.lines.lock();
        lines.saved < lines.next
    }

    /// What the disk has not got, in the form of the files below `/var/log/pods`. True: in place of all that it has.
    pub fn unsaved(&self) -> Option<(bool, Vec<u8>)> {
        let mut lines = self.lines.lock();
        if lines.saved == lines.next {
            return None;
        }
        let whole = lines.on_disk > 2 * MOST_BYTES;
        let from = if whole { 0 } else { lines.saved };
        let text: Vec<u8> = lines.all.iter().filter(|(number, ..)| *number >= from).flat_map(written).collect();
        lines.saved = lines.next;
        lines.on_disk = text.len() + if whole { 0 } else { lines.on_disk };
        Some((whole, text))
    }

    /// The process has ended: nothing more comes.
    pub fn end(&self) {
        for stderr in [false, true] {
            let rest = std::mem::take(&mut self.lines.lock().partial[usize::from(stderr)]);
            if !rest.is_empty() {
                self.push(rest);
            }
        }
        self.ended.send_replace(true);
        self.attached.lock().clear();
    }

    fn push(&self, line: Vec<u8>) {
        let now = self.clock.upgrade().map_or(Timestamp::UNIX_EPOCH, |clock| clock.now());
        let next = self.lines.lock().keep(now, line);
        self.grown.send_replace(next);
    }

    /// The last lines, as a termination message falls back to.
    pub fn tail(&self, lines: usize, bytes: usize) -> String {
        let held = self.lines.lock();
        let skip = held.all.len().saturating_sub(lines);
        let text: Vec<u8> = held.all.iter().skip(skip).flat_map(|(.., line)| line.clone()).collect();
        String::from_utf8_lossy(&text[text.len().saturating_sub(bytes)..]).into_owned()
    }

    /// As the runtime writes it on the node: time, stream, tag, line.
    pub fn as_file(&self) -> Vec<u8> {
        let held = self.lines.lock();
        held.all.iter().flat_map(written).collect()
    }

    fn since(&self, from: u64) -> Vec<(u64, Timestamp, Vec<u8>)> {
        self.lines.lock().all.iter().filter(|(number, ..)| *number >= from).cloned().collect()
    }

    /// Sends what the options ask for; with `follow`, until the container ends or the client goes.
    pub async fn send(self: Arc<Self>, options: LogOptions, out: mpsc::Sender<Bytes>) {
        let mut left = options.limit_bytes.map(|limit| usize::try_from(limit).unwrap_or(0));
        let mut lines = self.since(0);
        if let Some(since) = options.since {
            lines.retain(|(_, at, _)| *at >= since);
        }
        if let Some(tail) = options.tail_lines {
            let tail = usize::try_from(tail).unwrap_or(0);
            lines.drain(..lines.len().saturating_sub(tail));
        }
        let mut next = self.lines.lock().next;
        let (mut grown, mut ended) = (self.grown.subscribe(), self.ended.subscribe());
        loop {
            for (number, at, line) in lines {
                next = next.max(number + 1);
                let mut text =
                    if options.timestamps { format!("{} ", at.strftime("%Y-%m-%dT%H:%M:%S.%9fZ")).into_bytes() } else { Vec::new() };
                text.extend(line);
                if let Some(left) = &mut left {
                    text.truncate(*left);
                    *left -= text.len();
                }
                if !text.is_empty() && out.send(text.into()).await.is_err() {
                    return;
                }
                if left == Some(0) {
                    return;
                }
            }
            let over = *ended.borrow_and_update();
            if !options.follow {
                return;
            }
            lines = self.since(next);
            if !lines.is_empty() {
                continue;
            }
            if over {
                return;
            }
            grown.borrow_and_update();
            lines = self.since(next);
            if lines.is_empty() {
                tokio::select! {
                    changed = grown.changed() => if changed.is_err() { return },
                    changed = ended.changed() => if changed.is_err() { return },
                    () = out.closed() => return,
                }
                lines = self.since(next);
            }
        }
    }
}

/// One line as it is written on the node: `F` where it is whole, `P` where its newline is yet to come.
fn written((_, at, line): &(u64, Timestamp, Vec<u8>)) -> Vec<u8> {
    let (tag, end) = if line.ends_with(b"\n") { ('F', "") } else { ('P', "\n") };
    let head = format!("{} stdout {tag} ", at.strftime("%Y-%m-%dT%H:%M:%S.%9fZ")).into_bytes();
    [head, line.clone(), end.into()].concat()
}

impl LogSink for Log {
    fn write(&self, stderr: bool, bytes: &[u8]) {
        self.attached.lock().retain(|to| to.send((stderr, Bytes::copy_from_slice(bytes))).is_ok());
        let mut rest = bytes;
        let which = usize::from(stderr);
        while let Some(at) = rest.iter().position(|b| *b == b'\n') {
            let mut line = std::mem::take(&mut self.lines.lock().partial[which]);
            line.extend_from_slice(&rest[..=at]);
            self.push(line);
            rest = &rest[at + 1..];
        }
        let whole = {
            let mut lines = self.lines.lock();
            let partial = &mut lines.partial[which];
            partial.extend_from_slice(rest);
            // The runtime cuts lines that are too long.
            if partial.len() > 16 * 1024 { Some(std::mem::take(partial)) } else { None }
        };
        if let Some(line) = whole {
            self.push(line);
        }
    }
}
