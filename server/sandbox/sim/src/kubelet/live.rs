//! A pod as it runs: what exec, logs and port-forward reach.

use super::{executor::ContainerTasks, logs::Log};
use crate::{
    network::Sockets,
    shell::{
        filesystem::Tree,
        machine::{Control, Machine},
        process::Process,
    },
};
use bytes::Bytes;
use machinery::object;
use parking_lot::Mutex;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{Arc, Weak},
};
use tokio::sync::mpsc;

/// One container's present instance.
#[derive(Debug, Clone)]
pub struct Instance {
    pub machine: Arc<Machine>,
    /// A process as the container's first one was: exec starts from it.
    pub template: Process,
    pub tasks: Arc<ContainerTasks>,
    pub pid: u32,
    pub task: u64,
    /// Exit code, once it has ended.
    pub exit: Arc<Mutex<Option<i32>>>,
    pub log: Arc<Log>,
    /// The first process' input, where the container keeps one open for those who attach.
    pub stdin: Arc<Mutex<Option<mpsc::Sender<Bytes>>>>,
    /// Sessions inside it, which end with it.
    pub sessions: Arc<Mutex<Vec<Weak<Control>>>>,
}

#[derive(Debug, Default, Clone)]
pub struct ContainerLive {
    pub instance: Option<Instance>,
    pub log: Option<Arc<Log>>,
    pub previous: Option<Arc<Log>>,
}

/// A pod as it runs.
#[derive(Debug)]
pub struct Live {
    /// `namespace_name_uid`, as its folder of logs is called.
    pub folder: String,
    pub node: String,
    /// Its volumes: the folder of their kind, their name, and their files.
    pub volumes: Vec<(&'static str, String, Arc<Tree>)>,
    pub address: Ipv4Addr,
    pub sockets: Arc<Sockets>,
    pub containers: Mutex<BTreeMap<String, ContainerLive>>,
    /// Volumes that outlive the processes, by name.
    pub kept: BTreeMap<String, Arc<Tree>>,
}

impl Live {
    pub fn folder_of(pod: &Value) -> String {
        format!("{}_{}_{}", object::namespace(pod), object::name(pod), object::uid(pod))
    }

    pub fn instance(&self, container: &str) -> Option<Instance> {
        self.containers.lock().get(container)?.instance.clone()
    }
}
