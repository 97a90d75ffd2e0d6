//! What a cluster is asked to be.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The nodes and peculiarities of one simulated cluster. The default is one node, `gpu-node`, with one GPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClusterSpec {
    pub nodes: Vec<NodeSpec>,
    /// An image that the catalogue does not know simply runs, instead of `ImagePullBackOff`.
    pub run_unknown_images: bool,
}

impl Default for ClusterSpec {
    fn default() -> Self {
        Self { nodes: vec![NodeSpec { control_plane: true, ..NodeSpec::with_gpus("gpu-node", 1) }], run_unknown_images: false }
    }
}

/// One simulated node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NodeSpec {
    pub name: String,
    /// Cores.
    pub cpu: u32,
    /// A quantity, as `128Gi`.
    pub memory: String,
    /// How many GPUs the node holds. They are not in its capacity until a device plugin says so.
    pub gpus: u32,
    /// As `NVIDIA-H100-80GB-HBM3`; empty where there are none.
    pub gpu_product: String,
    /// `nvidia.com/gpu` is in the capacity from the start, with the labels of GPU feature discovery, as if a device plugin
    /// had run before.
    pub gpus_in_capacity: bool,
    /// Carries the control plane's role and pods. Its taint is absent, as on a cluster of a single node. Where no node says so,
    /// the first one carries the pods, without the role.
    pub control_plane: bool,
    /// Beside the labels that every node has.
    pub labels: BTreeMap<String, String>,
}

impl Default for NodeSpec {
    fn default() -> Self {
        Self {
            name: String::new(),
            cpu: 16,
            memory: "128Gi".to_owned(),
            gpus: 0,
            gpu_product: String::new(),
            gpus_in_capacity: false,
            control_plane: false,
            labels: BTreeMap::new(),
        }
    }
}

impl NodeSpec {
    pub fn with_gpus(name: &str, gpus: u32) -> Self {
        let gpu_product = if gpus > 0 { "NVIDIA-H100-80GB-HBM3".to_owned() } else { String::new() };
        Self { name: name.to_owned(), gpus, gpu_product, ..Self::default() }
    }
}
