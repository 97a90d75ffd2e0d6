//! What `nvidia-smi -L` prints, and whether a node sees exactly its own.

use crate::gpu::choose::Device;
use std::collections::BTreeSet;

/// UUIDs that a program can use here: of MIG instances where a GPU shows some, else of the GPU itself.
pub fn usable(printed: &str) -> BTreeSet<String> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for line in printed.lines() {
        let Some(uuid) = line.split_once("(UUID: ").and_then(|(_, rest)| rest.split(')').next()) else { continue };
        match found.last_mut() {
            Some((_, instances)) if uuid.starts_with("MIG-") => instances.push(uuid.to_owned()),
            _ => found.push((uuid.to_owned(), Vec::new())),
        }
    }
    found.into_iter().flat_map(|(gpu, instances)| if instances.is_empty() { vec![gpu] } else { instances }).collect()
}

/// `Err`: what the node sees beside what it shall see.
pub fn verify(printed: &str, devices: &[Device]) -> Result<(), String> {
    let seen = usable(printed);
    let wanted: BTreeSet<String> = devices.iter().map(|device| device.uuid.clone()).collect();
    if seen == wanted {
        return Ok(());
    }
    let list = |uuids: &BTreeSet<String>| match uuids.len() {
        0 => "none".to_owned(),
        _ => uuids.iter().cloned().collect::<Vec<_>>().join(", "),
    };
    Err(format!("the node sees the GPUs {} and shall see {}", list(&seen), list(&wanted)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings() {
        let rows = [
            ("GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-a)\nGPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-b)\n", "GPU-a GPU-b"),
            (
                "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-a)\n  MIG 1g.5gb      Device  0: (UUID: MIG-x)\n  MIG 1g.5gb      Device  1: (UUID: MIG-y)\n\
                 GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-b)\n",
                "GPU-b MIG-x MIG-y",
            ),
            ("No devices found.\n", ""),
            ("", ""),
            ("GPU 0: odd (UUID: GPU-a", "GPU-a"),
        ];
        for (printed, expected) in rows {
            assert_eq!(usable(printed).into_iter().collect::<Vec<_>>().join(" "), expected, "{printed:?}");
        }
    }

    #[test]
    fn a_node_sees_its_own_and_nothing_else() {
        let device =
            |uuid: &str| Device { uuid: uuid.to_owned(), name: String::new(), minor: 0, memory: 0, compute_capability: None, slice: None };
        let printed = "GPU 0: x (UUID: GPU-a)\nGPU 1: x (UUID: GPU-b)\n";
        assert_eq!(verify(printed, &[device("GPU-b"), device("GPU-a")]), Ok(()));
        let rows = [
            (printed, vec![device("GPU-a")], "the node sees the GPUs GPU-a, GPU-b and shall see GPU-a"),
            ("", vec![device("GPU-a")], "the node sees the GPUs none and shall see GPU-a"),
        ];
        for (printed, devices, expected) in rows {
            assert_eq!(verify(printed, &devices).unwrap_err(), expected);
        }
    }
}
