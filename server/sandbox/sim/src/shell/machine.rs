//! What a process sees of the world: files, other processes, the network, time. The kubelet builds one per container;
//! tests build one by hand.

use super::{
    filesystem::{Credentials, View},
    process::Process,
};
use crate::{
    catalogue::{Image, Tools},
    network::{Failure, Listener, Protocol, RecordType, Reply, Sockets},
};
use futures::future::BoxFuture;
pub use images::gpu::Gpu;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    fmt::Debug,
    net::Ipv4Addr,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering},
    },
    task::Waker,
};

/// Simulated time: whoever steps the simulator moves it.
pub trait Timer: Send + Sync + Debug {
    fn now(&self) -> Timestamp;

    fn sleep(&self, duration: SignedDuration) -> BoxFuture<'static, ()>;
}

/// Runs what a process leaves behind in the background.
pub trait Spawner: Send + Sync + Debug {
    fn spawn(&self, task: BoxFuture<'static, ()>);
}

/// The network as it looks from one pod.
pub trait Network: Send + Sync + Debug {
    /// Through the pod's resolver; the name as it was found and its addresses.
    fn resolve(&self, host: &str) -> Result<(String, Vec<Ipv4Addr>), Failure>;

    /// One question to the first nameserver.
    fn query(&self, name: &str, kind: RecordType) -> Result<Reply, Failure>;

    /// The search list of `/etc/resolv.conf`.
    fn search(&self) -> Vec<String>;

    fn dial(&self, address: Ipv4Addr, port: u16, protocol: Protocol) -> Result<Listener, Failure>;

    fn sockets(&self) -> Arc<Sockets>;

    fn address(&self) -> Ipv4Addr;

    /// Of the first nameserver in `/etc/resolv.conf`.
    fn nameserver(&self) -> Ipv4Addr;
}

/// Facts about the container and its node.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    pub hostname: String,
    pub node: String,
    pub node_address: String,
    pub gpus: Vec<Gpu>,
    /// Bytes; 0 is none.
    pub memory_limit: u64,
    pub memory_total: u64,
    pub cpus: u32,
    /// Below it, binding wants NET_BIND_SERVICE: `net.ipv4.ip_unprivileged_port_start`.
    pub unprivileged_port_start: u16,
    pub no_new_privileges: bool,
    /// As `/proc/self/status` shows it: 0 none, 2 a filter.
    pub seccomp: u32,
    pub bounding: u64,
    pub permitted: u64,
    pub privileged: bool,
    pub host_pid: bool,
    pub host_network: bool,
    /// Name of the container in its pod.
    pub container: String,
    pub sysctls: BTreeMap<String, String>,
}

/// The container that a process runs in.
#[derive(Debug)]
pub struct Machine {
    pub facts: Facts,
    pub image: Arc<Image>,
    pub tools: Tools,
    pub view: Arc<View>,
    pub processes: Arc<Processes>,
    pub network: Arc<dyn Network>,
    pub timer: Arc<dyn Timer>,
    pub spawner: Arc<dyn Spawner>,
    /// Names of users and groups beside root, from the image.
    pub accounts: Vec<(String, i64, i64)>,
    /// What components of the cluster are told, as the device plugin: kind, JSON.
    pub announce: Arc<dyn Announce>,
    /// The kernel has ended the container because of its memory.
    pub out_of_memory: Arc<AtomicBool>,
}

impl Machine {
    /// The same container with other files and programs: what `chroot` and `nsenter` run in.
    pub fn rooted(&self, view: Arc<View>, tools: Tools, hostname: String) -> Self {
        Self {
            facts: Facts { hostname, ..self.facts.clone() },
            image: Arc::default(),
            tools,
            view,
            processes: Arc::clone(&self.processes),
            network: Arc::clone(&self.network),
            timer: Arc::clone(&self.timer),
            spawner: Arc::clone(&self.spawner),
            accounts: Vec::new(),
            announce: Arc::clone(&self.announce),
            out_of_memory: Arc::clone(&self.out_of_memory),
        }
    }
}

/// How a component tells its node something that a real one would tell through a socket.
pub trait Announce: Send + Sync + Debug {
    /// A device plugin registers (`true`) or goes (`false`).
    fn device_plugin(&self, resource: &str, present: bool);

    /// Labels that feature discovery writes on the node.
    fn node_labels(&self, labels: BTreeMap<String, String>);

    /// GPUs of the node.
    fn node_gpus(&self) -> Vec<Gpu>;

    /// What answers on the API server's port, on the node of the control plane.
    fn api_server(&self) -> Option<Listener>;

    /// The cluster's objects, to be read at once and past RBAC: the cache of a program that has listed and watches them. What it may
    /// not list it finds out over the network first, and what it writes it sends that way.
    fn cluster(&self) -> Option<apiserver::Client>;

    /// Wakes when objects of these API groups have changed.
    fn changes(&self, groups: &'static [&'static str]) -> Arc<tokio::sync::Notify>;
}

/// One running process.
#[derive(Debug, Clone)]
pub struct ProcessEntry {
    pub pid: u32,
    pub parent: u32,
    pub arguments: Vec<String>,
    pub who: Credentials,
    pub environment: Arc<Vec<(String, String)>>,
    pub started: Timestamp,
    pub control: Arc<Control>,
    /// First process of its container: the kernel spares it signals that it does not handle.
    pub init: bool,
    pub container: String,
    /// Its files: `/proc/PID/root`.
    pub root: Option<Arc<View>>,
    /// Seen from a namespace around its own: SIGKILL reaches it even where it is the first of its own.
    pub from_outside: bool,
}

/// A pid namespace. That of a node holds those of its containers.
#[derive(Debug, Default)]
pub struct Processes {
    entries: Mutex<BTreeMap<u32, ProcessEntry>>,
    next: AtomicU64,
    inner: Mutex<Vec<(u32, Weak<Processes>)>>,
}

/// Numbers that each inner namespace takes up.
const INNER: u32 = 10_000;

impl Processes {
    pub fn add(&self, mut entry: ProcessEntry) -> u32 {
        let pid = u32::try_from(self.next.fetch_add(1, Ordering::Relaxed) + 1).unwrap_or(u32::MAX);
        entry.pid = pid;
        self.entries.lock().insert(pid, entry);
        pid
    }

    pub fn remove(&self, pid: u32) {
        self.entries.lock().remove(&pid);
    }

    pub fn rename(&self, pid: u32, arguments: Vec<String>) {
        if let Some(entry) = self.entries.lock().get_mut(&pid) {
            entry.arguments = arguments;
        }
    }

    pub fn get(&self, pid: u32) -> Option<ProcessEntry> {
        if let Some(entry) = self.entries.lock().get(&pid) {
            return Some(entry.clone());
        }
        let inner = self.inner.lock().iter().find(|(base, _)| (*base..*base + INNER).contains(&pid)).cloned();
        let (base, inner) = inner?;
        Some(Self::outside(base, inner.upgrade()?.get(pid - base)?))
    }

    pub fn all(&self) -> Vec<ProcessEntry> {
        let mut all: Vec<ProcessEntry> = self.entries.lock().values().cloned().collect();
        let mut inner = self.inner.lock();
        inner.retain(|(_, inner)| inner.strong_count() > 0);
        let held: Vec<_> = inner.iter().filter_map(|(base, inner)| Some((*base, inner.upgrade()?))).collect();
        drop(inner);
        for (base, inner) in held {
            all.extend(inner.all().into_iter().map(|entry| Self::outside(base, entry)));
        }
        all
    }

    /// A process of an inner namespace, with the number that it has in this one.
    fn outside(base: u32, entry: ProcessEntry) -> ProcessEntry {
        let parent = if entry.parent == 0 { 1 } else { entry.parent + base };
        ProcessEntry { pid: entry.pid + base, parent, from_outside: true, ..entry }
    }

    /// Shows the processes of another namespace in this one too.
    pub fn hold(&self, inner: &Arc<Self>) {
        let mut held = self.inner.lock();
        held.retain(|(_, inner)| inner.strong_count() > 0);
        if held.iter().all(|(_, present)| !Weak::ptr_eq(present, &Arc::downgrade(inner))) {
            let base = held.last().map_or(INNER, |(base, _)| base + INNER);
            held.push((base, Arc::downgrade(inner)));
        }
    }

    /// The first process and the sessions of a container.
    pub fn of_container(&self, container: &str) -> Vec<ProcessEntry> {
        self.entries.lock().values().filter(|entry| entry.container == container).cloned().collect()
    }

    pub fn count(&self) -> usize {
        self.entries.lock().len()
    }
}

/// Signals to a process, and the account of what it may still do.
#[derive(Debug, Default)]
pub struct Control {
    pending: AtomicI32,
    wakers: Mutex<Vec<Waker>>,
    /// Signals that the process handles itself, as bits.
    pub handled: AtomicU64,
    pub steps: AtomicU64,
}

impl Control {
    pub fn signal(&self, signal: i32) {
        self.pending.store(signal, Ordering::SeqCst);
        for waker in self.wakers.lock().drain(..) {
            waker.wake();
        }
    }

    pub fn pending(&self) -> Option<i32> {
        Some(self.pending.load(Ordering::SeqCst)).filter(|signal| *signal != 0)
    }

    pub fn take(&self) -> Option<i32> {
        Some(self.pending.swap(0, Ordering::SeqCst)).filter(|signal| *signal != 0)
    }

    pub fn handles(&self, signal: i32) -> bool {
        self.handled.load(Ordering::SeqCst) >> signal & 1 == 1
    }

    /// Ready when a signal is pending.
    pub async fn signalled(&self) -> i32 {
        std::future::poll_fn(|context| {
            if let Some(signal) = self.pending() {
                return std::task::Poll::Ready(signal);
            }
            let mut wakers = self.wakers.lock();
            wakers.retain(|waker| !waker.will_wake(context.waker()));
            wakers.push(context.waker().clone());
            std::task::Poll::Pending
        })
        .await
    }
}

/// Waits for `work`, or for a signal to `process`.
pub async fn unless_signalled<T>(process: &Process, work: impl Future<Output = T> + Send) -> Option<T> {
    let control = Arc::clone(&process.control);
    tokio::select! {
        biased;
        _ = control.signalled() => None,
        done = work => Some(done),
    }
}
