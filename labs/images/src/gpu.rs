//! Simulated GPUs: what a node holds, and what a container is given.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Where the node's GPUs are listed: in the folder that a device plugin mounts anyway, below it, since the kubelet removes files that
/// it finds there when it starts.
pub const INVENTORY: &str = "/var/lib/kubelet/device-plugins/cordon.dev/gpus.json";

/// By this variable the device plugin tells the programs in a container what its GPUs are, which a driver would tell them. JSON.
pub const GIVEN: &str = "CORDON_SIMULATED_GPUS";

/// A GPU as a driver would show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gpu {
    pub index: u32,
    /// `GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`.
    pub uuid: String,
    /// As `NVIDIA H100 80GB HBM3`.
    pub product: String,
    #[serde(rename = "memoryMiB")]
    pub memory_mib: u64,
}

/// The GPUs of a node; `product` with dashes, as the label of the node has it. The same node has the same ones again.
pub fn of_node(node: &str, count: u32, product: &str) -> Vec<Gpu> {
    let product = product.replace('-', " ");
    let gpu = |index| Gpu { index, uuid: uuid(node, index), memory_mib: memory_of(&product), product: product.clone() };
    (0..count).map(gpu).collect()
}

/// Which of them the container runtime of a GPU node shows for a value of `NVIDIA_VISIBLE_DEVICES`.
pub fn visible(gpus: &[Gpu], wanted: &str) -> Vec<Gpu> {
    match wanted {
        "" | "void" | "none" => Vec::new(),
        "all" => gpus.to_vec(),
        list => {
            let listed: Vec<&str> = list.split(',').map(str::trim).collect();
            let is_listed = |gpu: &&Gpu| listed.contains(&gpu.uuid.as_str()) || listed.contains(&gpu.index.to_string().as_str());
            gpus.iter().filter(is_listed).cloned().collect()
        }
    }
}

fn uuid(node: &str, index: u32) -> String {
    let digest = hex::encode(Sha256::digest(format!("cordon.dev/simulated gpu {node} {index}")));
    format!("GPU-{}-{}-{}-{}-{}", &digest[..8], &digest[8..12], &digest[12..16], &digest[16..20], &digest[20..32])
}

fn memory_of(product: &str) -> u64 {
    let sizes = [("H200", 143_771), ("B200", 183_359), ("H100", 81_559), ("A100", 81_920), ("L40S", 46_068), ("T4", 15_360)];
    sizes.iter().find(|(name, _)| product.contains(name)).map_or(81_559, |(_, size)| *size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_sees_what_the_variable_names() {
        let gpus = of_node("gpu-node", 2, "NVIDIA-H100-80GB-HBM3");
        assert_eq!((gpus[1].product.as_str(), gpus[1].memory_mib), ("NVIDIA H100 80GB HBM3", 81_559));
        assert_ne!(gpus[0].uuid, gpus[1].uuid);
        assert_eq!(gpus, of_node("gpu-node", 2, "NVIDIA-H100-80GB-HBM3"));
        let rows = [("", 0), ("void", 0), ("none", 0), ("all", 2), ("0", 1), ("1, 0", 2), (gpus[1].uuid.as_str(), 1), ("GPU-other", 0)];
        for (wanted, seen) in rows {
            assert_eq!(visible(&gpus, wanted).len(), seen, "{wanted}");
        }
    }
}
