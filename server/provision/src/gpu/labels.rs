//! Labels of a node with GPUs, as GPU feature discovery and node feature discovery write them
//! (<https://github.com/NVIDIA/k8s-device-plugin/tree/main/docs/gpu-feature-discovery>).

use crate::gpu::{Device, Gpu, Inventory};
use std::collections::BTreeMap;

/// `discovered`: as if the device plugin and feature discovery had run before; else only what the PCI bus says.
pub fn labels(devices: &[Device], inventory: &Inventory, discovered: bool) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let Some(first) = devices.first() else { return labels };
    let mut put = |key: &str, value: String| labels.insert(key.to_owned(), value);
    put("feature.node.kubernetes.io/pci-10de.present", "true".to_owned());
    if !discovered {
        return labels;
    }
    put("nvidia.com/gpu.present", "true".to_owned());
    put("nvidia.com/gpu.count", devices.len().to_string());
    put("nvidia.com/gpu.product", first.product());
    put("nvidia.com/gpu.memory", (first.memory >> 20).to_string());
    let of_it = |gpu: &&Gpu| gpu.uuid == first.uuid || gpu.instances.iter().any(|instance| instance.uuid == first.uuid);
    put("nvidia.com/mig.capable", inventory.gpus.iter().find(of_it).is_some_and(|gpu| gpu.mig_capable).to_string());
    if let Some((major, minor)) = first.compute_capability {
        put("nvidia.com/gpu.compute.major", major.to_string());
        put("nvidia.com/gpu.compute.minor", minor.to_string());
        if let Some(family) = family(major, minor) {
            put("nvidia.com/gpu.family", family.to_owned());
        }
    }
    if first.slice.is_some() {
        put("nvidia.com/mig.strategy", "single".to_owned());
    }
    if let Ok(driver) = &inventory.driver {
        let mut parts = driver.splitn(3, '.');
        put("nvidia.com/cuda.driver-version.full", driver.clone());
        for part in ["major", "minor", "revision"] {
            put(&format!("nvidia.com/cuda.driver-version.{part}"), parts.next().unwrap_or_default().to_owned());
        }
    }
    if let Ok((major, minor)) = &inventory.cuda {
        put("nvidia.com/cuda.runtime-version.full", format!("{major}.{minor}"));
        put("nvidia.com/cuda.runtime-version.major", major.to_string());
        put("nvidia.com/cuda.runtime-version.minor", minor.to_string());
    }
    labels
}

/// By compute capability (<https://developer.nvidia.com/cuda-gpus>).
fn family(major: u32, minor: u32) -> Option<&'static str> {
    match (major, minor) {
        (7, 5) => Some("turing"),
        (7, _) => Some("volta"),
        (8, 9) => Some("ada-lovelace"),
        (8, _) => Some("ampere"),
        (9, _) => Some("hopper"),
        (10 | 12, _) => Some("blackwell"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::choose::tests::{divided, gpu, inventory};
    use expect_test::expect;

    fn text(inventory: &Inventory, uuid: &str, discovered: bool) -> String {
        let device = inventory.device(uuid).unwrap();
        labels(&[device], inventory, discovered).iter().map(|(key, value)| format!("{key}={value}\n")).collect()
    }

    #[test]
    fn of_a_node_before_and_after_discovery() {
        assert_eq!(text(&inventory(vec![gpu(0)]), "GPU-0", false), "feature.node.kubernetes.io/pci-10de.present=true\n");
        expect![[r#"
            feature.node.kubernetes.io/pci-10de.present=true
            nvidia.com/cuda.driver-version.full=570.86.15
            nvidia.com/cuda.driver-version.major=570
            nvidia.com/cuda.driver-version.minor=86
            nvidia.com/cuda.driver-version.revision=15
            nvidia.com/cuda.runtime-version.full=12.8
            nvidia.com/cuda.runtime-version.major=12
            nvidia.com/cuda.runtime-version.minor=8
            nvidia.com/gpu.compute.major=9
            nvidia.com/gpu.compute.minor=0
            nvidia.com/gpu.count=1
            nvidia.com/gpu.family=hopper
            nvidia.com/gpu.memory=81559
            nvidia.com/gpu.present=true
            nvidia.com/gpu.product=NVIDIA-H100-80GB-HBM3
            nvidia.com/mig.capable=true
        "#]]
        .assert_eq(&text(&inventory(vec![gpu(0)]), "GPU-0", true));
        expect![[r#"
            feature.node.kubernetes.io/pci-10de.present=true
            nvidia.com/cuda.driver-version.full=570.86.15
            nvidia.com/cuda.driver-version.major=570
            nvidia.com/cuda.driver-version.minor=86
            nvidia.com/cuda.driver-version.revision=15
            nvidia.com/cuda.runtime-version.full=12.8
            nvidia.com/cuda.runtime-version.major=12
            nvidia.com/cuda.runtime-version.minor=8
            nvidia.com/gpu.compute.major=9
            nvidia.com/gpu.compute.minor=0
            nvidia.com/gpu.count=1
            nvidia.com/gpu.family=hopper
            nvidia.com/gpu.memory=9984
            nvidia.com/gpu.present=true
            nvidia.com/gpu.product=NVIDIA-H100-80GB-HBM3-MIG-1g.10gb
            nvidia.com/mig.capable=true
            nvidia.com/mig.strategy=single
        "#]]
        .assert_eq(&text(&inventory(vec![divided(1)]), "MIG-1-1", true));
        assert!(labels(&[], &inventory(vec![gpu(0)]), true).is_empty());
    }
}
