//! The cluster as one scheduling round sees it.

use super::resources::{self, Amounts};
use crate::controllers::common::{self, items, text};
use apiserver::Client;
use machinery::{gvr, object};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, sync::Arc};

/// Why a node will not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub reasons: Vec<String>,
    /// Whether taking other pods away could change it.
    pub resolvable: bool,
}

impl Refusal {
    pub fn resolvable(reason: impl Into<String>) -> Self {
        Self { reasons: vec![reason.into()], resolvable: true }
    }

    pub fn unresolvable(reason: impl Into<String>) -> Self {
        Self { reasons: vec![reason.into()], resolvable: false }
    }
}

#[derive(Debug, Clone)]
pub struct NodeInfo {
    pub name: String,
    pub node: Arc<Value>,
    pub allocatable: Amounts,
    pub requested: Amounts,
    pub pods: Vec<Arc<Value>>,
}

impl NodeInfo {
    pub fn labels(&self) -> Option<&Map<String, Value>> {
        object::labels(&self.node)
    }

    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels()?.get(key)?.as_str()
    }

    /// Counts the pod as running here.
    pub fn assume(&mut self, pod: &Arc<Value>) {
        resources::add(&mut self.requested, &resources::requests(pod));
        self.pods.push(Arc::clone(pod));
    }

    /// The node without the pods that `gone` names.
    pub fn without(&self, gone: impl Fn(&Value) -> bool) -> Self {
        let mut left = Self { pods: Vec::new(), requested: Amounts::new(), ..self.clone() };
        for pod in self.pods.iter().filter(|pod| !gone(pod)) {
            left.assume(pod);
        }
        left
    }
}

#[derive(Debug, Clone)]
pub struct Cluster {
    pub nodes: Vec<NodeInfo>,
    /// Labels of each namespace, for selectors over namespaces.
    pub namespaces: BTreeMap<String, Map<String, Value>>,
}

impl Cluster {
    pub fn look(client: &Client, pods: &[Arc<Value>]) -> Self {
        let mut nodes: Vec<_> = client
            .list(gvr::NODES, None)
            .into_iter()
            .map(|node| NodeInfo {
                name: object::name(&node).to_owned(),
                allocatable: resources::amounts(&node["status"]["allocatable"]),
                requested: Amounts::new(),
                pods: Vec::new(),
                node,
            })
            .collect();
        for pod in pods.iter().filter(|pod| !common::is_pod_finished(pod)) {
            if let Some(node) = nodes.iter_mut().find(|node| node.name == text(&pod["spec"]["nodeName"])) {
                node.assume(pod);
            }
        }
        let namespaces = client
            .list(gvr::NAMESPACES, None)
            .iter()
            .map(|namespace| (object::name(namespace).to_owned(), object::labels(namespace).cloned().unwrap_or_default()))
            .collect();
        Self { nodes, namespaces }
    }

    /// Pods with the node that they run on.
    pub fn placed(&self) -> impl Iterator<Item = (&NodeInfo, &Arc<Value>)> {
        self.nodes.iter().flat_map(|node| node.pods.iter().map(move |pod| (node, pod)))
    }
}

/// Host ports that the pod asks for: protocol, address, port.
pub fn host_ports(pod: &Value) -> Vec<(String, String, i64)> {
    let containers = items(&pod["spec"]["containers"])
        .iter()
        .chain(items(&pod["spec"]["initContainers"]).iter().filter(|container| container["restartPolicy"] == "Always"));
    containers
        .flat_map(|container| items(&container["ports"]))
        .filter_map(|port| {
            let number = port["hostPort"].as_i64().filter(|number| *number > 0)?;
            let protocol = port["protocol"].as_str().unwrap_or("TCP").to_owned();
            let address = port["hostIP"].as_str().filter(|address| !address.is_empty()).unwrap_or("0.0.0.0").to_owned();
            Some((protocol, address, number))
        })
        .collect()
}
