//! What `cordon doctor` says of GPUs: what is here, who has what, and what stands between them and a node.

use crate::{
    gpu::{ComputeMode, Device, GpuChoice, Inventory, Look, MigInstance, Reading, choose, passage},
    kind::{
        docker::Engine,
        gpus,
        preflight::{Grade, Verdict},
        settings::KindSettings,
    },
};
use std::collections::BTreeMap;

const MIB: u64 = 1 << 20;

/// Everything that was looked at. Docker that cannot be asked is left out: another section says so.
pub async fn examine(settings: &KindSettings) -> Vec<Verdict> {
    let look = gpus::look(&settings.nvml).await;
    let docker = async {
        let engine = Engine::connect(&settings.docker).await.ok()?;
        Some((gpus::facts(&engine, &settings.nvidia_runtime).await.ok()?, gpus::held(&engine).await.ok()?))
    };
    report(&look, &settings.gpus, docker.await.as_ref())
}

/// `docker`: what it says of GPUs, and which node has which.
fn report(look: &Look, choice: &GpuChoice, docker: Option<&(passage::Facts, BTreeMap<String, String>)>) -> Vec<Verdict> {
    let inventory = match look {
        Look::NoDriver => return vec![neutral("NVIDIA driver", "none on this machine; real clusters have no GPUs of their own")],
        Look::Broken { cause, remedy } => return vec![Verdict::fatal("NVIDIA driver", cause, remedy)],
        Look::Found(inventory) => inventory,
    };
    let cuda = inventory.cuda.as_ref().map_or_else(Clone::clone, |(major, minor)| format!("{major}.{minor}"));
    let mut verdicts = vec![Verdict::fine("NVIDIA driver", format!("{}, CUDA {cuda}", said(&inventory.driver))), confidential(inventory)];
    let nobody = BTreeMap::new();
    let held = docker.map_or(&nobody, |(_, held)| held);
    let devices = choose::devices(inventory);
    for gpu in &inventory.gpus {
        let memory =
            gpu.memory.as_ref().map_or_else(Clone::clone, |memory| format!("{} of {} MiB in use", memory.used / MIB, memory.total / MIB));
        let node = gpu.minor.as_ref().map_or_else(Clone::clone, |minor| format!("/dev/nvidia{minor}"));
        let mode = gpu.compute_mode.as_ref().map_or_else(Clone::clone, ComputeMode::to_string);
        let mut says =
            format!("{}: {}, {}, {node}, {}, {memory}, compute mode {mode}", gpu.index, gpu.name, gpu.uuid, said(&gpu.pci_bus_id));
        if gpu.mig == Ok(true) {
            let parts = gpu.instances.len();
            says.push_str(&format!(", divided into {parts} MIG instance{}", if parts == 1 { "" } else { "s" }));
            verdicts.push(Verdict::fine("GPU", says));
            verdicts.extend(gpu.instances.iter().map(|part| owned("MIG instance", &instance(part), &part.uuid, held, &devices)));
        } else {
            verdicts.push(owned("GPU", &says, &gpu.uuid, held, &devices));
        }
    }
    for lost in &inventory.lost {
        let says = format!("{}: does not answer ({})", lost.index, lost.why);
        verdicts.push(Verdict::fatal("GPU", says, "nvidia-smi --gpu-reset, or reboot; what happened: dmesg | grep Xid"));
    }
    if let (Some((facts, _)), GpuChoice::Auto | GpuChoice::Listed(_)) = (docker, choice) {
        let offered = devices.iter().map(|(device, _)| device.uuid.as_str()).filter(|uuid| match choice {
            GpuChoice::Listed(listed) => listed.iter().any(|other| other == uuid),
            _ => true,
        });
        verdicts.push(match passage::passage(facts, offered) {
            Ok(passage::Passage::Cdi) => Verdict::fine("way into nodes", format!("CDI, from {}", facts.cdi_folders.join(", "))),
            Ok(passage::Passage::Mounts(_)) => Verdict::fine("way into nodes", "volume mounts that NVIDIA's container runtime reads"),
            Err(closed) => Verdict::fatal("way into nodes", closed.cause, closed.remedy),
        });
    }
    verdicts.push(match choice {
        GpuChoice::Auto => neutral("kind.gpus", "\"auto\": labs get the GPUs above, where there is a way into nodes"),
        GpuChoice::None => neutral("kind.gpus", "\"none\": labs get no GPUs"),
        GpuChoice::Simulated => neutral("kind.gpus", "\"simulated\": labs get none of the GPUs above"),
        GpuChoice::Listed(listed) => neutral("kind.gpus", &format!("labs get {}", listed.join(", "))),
    });
    verdicts.extend(choose::absent(inventory, choice).into_iter().map(|why| Verdict::fatal("kind.gpus", why, "")));
    verdicts
}

fn said(reading: &Reading<String>) -> &str {
    reading.as_ref().map_or_else(String::as_str, String::as_str)
}

fn neutral(what: &'static str, says: &str) -> Verdict {
    Verdict { what, grade: Grade::Narrow, says: says.to_owned(), remedy: String::new() }
}

fn confidential(inventory: &Inventory) -> Verdict {
    let says = match &inventory.confidential {
        Ok(state) if !state.enabled => "off".to_owned(),
        Ok(state) => {
            let ready = if state.ready {
                "the GPUs take work"
            } else {
                "the GPUs take no work yet (nvidia-smi conf-compute -srs 1 after attestation)"
            };
            let open = if state.dev_tools { ", in developers' mode, which protects nothing" } else { "" };
            format!("on, {ready}{open}")
        }
        Err(why) => format!("not known ({why})"),
    };
    neutral("confidential computing", &says)
}

fn instance(part: &MigInstance) -> String {
    let memory =
        part.memory.as_ref().map_or_else(Clone::clone, |memory| format!("{} of {} MiB in use", memory.used / MIB, memory.total / MIB));
    format!("{}, {}, {memory}", said(&part.profile), part.uuid)
}

/// Whose it is, and whether it could be given to somebody.
fn owned(what: &'static str, says: &str, uuid: &str, held: &BTreeMap<String, String>, devices: &[(Device, Option<String>)]) -> Verdict {
    if let Some(node) = held.get(uuid) {
        return Verdict::fine(what, format!("{says}; belongs to the node {node}"));
    }
    match devices.iter().find(|(device, _)| device.uuid == uuid).and_then(|(_, unfit)| unfit.clone()) {
        None => Verdict::fine(what, format!("{says}; free")),
        Some(why) => Verdict { what, grade: Grade::Narrow, says: says.to_owned(), remedy: format!("not given to labs: {why}") },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{
        Confidential, Lost, Process, Use,
        choose::tests::{divided, gpu, inventory},
    };
    use expect_test::expect;

    fn text(look: &Look, choice: &GpuChoice, docker: Option<&(passage::Facts, BTreeMap<String, String>)>) -> String {
        report(look, choice, docker).iter().map(|verdict| format!("{:?} {verdict}\n", verdict.grade)).collect()
    }

    #[test]
    fn a_machine_with_everything() {
        let mut found = inventory(vec![gpu(0), gpu(1), divided(2)]);
        found.gpus[1].processes = Ok(vec![Process { pid: 4242, does: Use::Compute, memory: None, gpu_instance: None }]);
        found.lost.push(Lost { index: 3, why: "fell off the bus".to_owned() });
        found.confidential = Ok(Confidential { enabled: true, dev_tools: true, ready: false });
        let facts = passage::Facts { cdi_folders: vec!["/etc/cdi".to_owned()], ..passage::Facts::default() };
        let docker = (facts, BTreeMap::from([("GPU-0".to_owned(), "cordon-a-control-plane".to_owned())]));
        expect![[r#"
            Fine NVIDIA driver: 570.86.15, CUDA 12.8
            Narrow confidential computing: on, the GPUs take no work yet (nvidia-smi conf-compute -srs 1 after attestation), in developers' mode, which protects nothing
            Fine GPU: 0: NVIDIA H100 80GB HBM3, GPU-0, /dev/nvidia7, 00000000:00:00.0, 4 of 81559 MiB in use, compute mode Default; belongs to the node cordon-a-control-plane
            Narrow GPU: 1: NVIDIA H100 80GB HBM3, GPU-1, /dev/nvidia6, 00000000:01:00.0, 4 of 81559 MiB in use, compute mode Default (not given to labs: GPU 1 (GPU-1): process 4242 (compute) on it; end what should not run (kill 4242), or leave it out of kind.gpus)
            Fine GPU: 2: NVIDIA H100 80GB HBM3, GPU-2, /dev/nvidia5, 00000000:02:00.0, 4 of 81559 MiB in use, compute mode Default, divided into 3 MIG instances
            Fine MIG instance: 1g.10gb, MIG-2-1, 0 of 9984 MiB in use; free
            Fine MIG instance: 1g.10gb, MIG-2-2, 0 of 9984 MiB in use; free
            Fine MIG instance: 2g.20gb, MIG-2-3, 0 of 9984 MiB in use; free
            Fatal GPU: 3: does not answer (fell off the bus) (nvidia-smi --gpu-reset, or reboot; what happened: dmesg | grep Xid)
            Fatal way into nodes: no CDI specification in /etc/cdi names GPU-0, and NVIDIA's container runtime is not in Docker (nvidia-ctk runtime configure --runtime=docker --set-as-default --cdi.enabled && nvidia-ctk cdi generate --device-name-strategy=uuid --output=/etc/cdi/nvidia.yaml && systemctl restart docker)
            Narrow kind.gpus: labs get GPU-0, GPU-9
            Fatal kind.gpus: GPU-9 of kind.gpus is not here; nvidia-smi -L lists what is
        "#]].assert_eq(&text(&Look::Found(found), &GpuChoice::Listed(vec!["GPU-0".to_owned(), "GPU-9".to_owned()]), Some(&docker)));
    }

    #[test]
    fn machines_with_less() {
        let broken = Look::Broken { cause: "the driver's kernel module is not loaded".to_owned(), remedy: "modprobe nvidia".to_owned() };
        let docker = (
            passage::Facts {
                cdi_folders: vec!["/etc/cdi".to_owned()],
                cdi_devices: ["nvidia.com/gpu=GPU-0".to_owned()].into(),
                ..passage::Facts::default()
            },
            BTreeMap::new(),
        );
        for (look, choice, docker, words) in [
            (&Look::NoDriver, GpuChoice::Auto, None, "Narrow NVIDIA driver: none on this machine"),
            (&broken, GpuChoice::Auto, None, "Fatal NVIDIA driver: the driver's kernel module is not loaded (modprobe nvidia)"),
            (&Look::Found(inventory(vec![gpu(0)])), GpuChoice::Simulated, None, "labs get none of the GPUs above"),
            (&Look::Found(inventory(vec![gpu(0)])), GpuChoice::None, None, "\"none\""),
            (&Look::Found(inventory(vec![gpu(0)])), GpuChoice::Auto, Some(&docker), "Fine way into nodes: CDI, from /etc/cdi"),
        ] {
            let said = text(look, &choice, docker);
            assert!(said.contains(words), "{said}\nlacks {words}");
        }
    }
}
