//! Which GPUs a lab gets: a function of what is here, what is taken and what is asked for.

use crate::gpu::inventory::{ComputeMode, Gpu, Inventory, Memory, MigInstance, Process};
use std::collections::BTreeMap;

/// Memory that may be in use on a GPU that nobody uses: what the driver and its tools hold.
const IDLE_MEMORY: u64 = 512 << 20;
const MIB: u64 = 1 << 20;

/// Which GPUs learners get, as the operator says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum GpuChoice {
    /// Those of the machine where it has any that can be given, simulated ones elsewhere.
    #[default]
    Auto,
    None,
    /// Those of the machine are left alone.
    Simulated,
    /// These and no others: `GPU-…` or `MIG-…`.
    Listed(Vec<String>),
}

/// What one node asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub count: usize,
    /// As GPU feature discovery names it: `NVIDIA-H100-80GB-HBM3`, and with `-MIG-1g.10gb` a MIG instance. Whole GPUs of another
    /// product serve as well; instances of another profile do not.
    pub product: String,
}

/// A whole GPU or a MIG instance that a node can be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    pub uuid: String,
    /// Of the GPU, as NVML spells it.
    pub name: String,
    /// Of the GPU.
    pub minor: u32,
    pub memory: u64,
    pub compute_capability: Option<(u32, u32)>,
    pub slice: Option<Slice>,
}

/// Which part of its GPU a MIG instance is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    pub profile: String,
    pub gpu_instance: u32,
    pub compute_instance: u32,
}

impl Device {
    /// As GPU feature discovery writes it in a label.
    pub fn product(&self) -> String {
        let name = product(&self.name);
        self.slice.as_ref().map_or_else(|| name.clone(), |slice| format!("{name}-MIG-{}", slice.profile))
    }
}

/// A name in a label's letters.
pub fn product(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join("-")
}

/// Everything that could be given to a node, each with why it cannot be now. A GPU that is divided is given in parts only.
pub fn devices(inventory: &Inventory) -> Vec<(Device, Option<String>)> {
    let mut all = Vec::new();
    for gpu in &inventory.gpus {
        if gpu.mig == Ok(true) {
            all.extend(gpu.instances.iter().map(|instance| slice(gpu, instance)));
        } else {
            all.push(whole(gpu));
        }
    }
    all
}

/// One list of devices for each of `wanted`, or why not, in words for the learner and the operator. `taken` says by UUID which
/// cluster has a device.
pub fn choose(
    inventory: &Inventory,
    choice: &GpuChoice,
    taken: &BTreeMap<String, String>,
    wanted: &[Wanted],
) -> Result<Vec<Vec<Device>>, String> {
    let mut all = devices(inventory);
    if let GpuChoice::Listed(listed) = choice {
        all.retain(|(device, _)| listed.contains(&device.uuid));
    }
    let any_whole = all.iter().any(|(device, _)| device.slice.is_none());
    let mut given = Vec::new();
    for ask in wanted.iter() {
        let profile = ask.product.rsplit_once("-MIG-").map(|(_, profile)| profile);
        let fits = |device: &Device| match (&device.slice, profile) {
            (Some(slice), Some(profile)) => slice.profile == profile,
            (Some(_), None) => !any_whole,
            (None, profile) => profile.is_none(),
        };
        let mut kind: Vec<&(Device, Option<String>)> = all.iter().filter(|(device, _)| fits(device)).collect();
        // The sort is stable: NVML's order among those of one product.
        kind.sort_by_key(|(device, _)| device.product() != ask.product);
        let free = |device: &Device| !taken.contains_key(&device.uuid) && !given.iter().flatten().any(|other: &Device| other == device);
        let chosen: Vec<Device> = kind
            .iter()
            .filter(|(device, unfit)| unfit.is_none() && free(device))
            .map(|(device, _)| device.clone())
            .take(ask.count)
            .collect();
        if chosen.len() < ask.count {
            return Err(refusal(inventory, choice, taken, wanted, &kind, profile));
        }
        given.push(chosen);
    }
    Ok(given)
}

fn refusal(
    inventory: &Inventory,
    choice: &GpuChoice,
    taken: &BTreeMap<String, String>,
    wanted: &[Wanted],
    kind: &[&(Device, Option<String>)],
    profile: Option<&str>,
) -> String {
    let what = profile.map_or_else(|| "GPUs".to_owned(), |profile| format!("MIG instances {profile}"));
    let total = kind.len();
    let asked: usize = wanted.iter().map(|ask| ask.count).sum();
    let learners = kind.iter().filter(|(device, _)| taken.contains_key(&device.uuid)).count();
    let unfit: Vec<&str> =
        kind.iter().filter(|(device, _)| !taken.contains_key(&device.uuid)).filter_map(|(_, why)| why.as_deref()).collect();
    let mut reasons = vec![match total {
        0 => format!("this machine has no {what} for labs"),
        _ if asked > total => format!("this lab needs {asked} {what}, and this machine has {total} for labs"),
        _ if learners + unfit.len() == total => format!("all {total} {what} are in use; try again later"),
        _ => format!("{} of {total} {what} are free, and this lab needs {asked}; try again later", total - learners - unfit.len()),
    }];
    reasons.extend(unfit.into_iter().map(str::to_owned));
    for lost in &inventory.lost {
        reasons.push(format!(
            "GPU {} does not answer ({}): nvidia-smi --gpu-reset, or reboot; what happened: dmesg | grep Xid",
            lost.index, lost.why
        ));
    }
    reasons.extend(absent(inventory, choice));
    reasons.join("; ")
}

/// UUIDs of the configuration that are not on this machine.
pub fn absent(inventory: &Inventory, choice: &GpuChoice) -> Vec<String> {
    let GpuChoice::Listed(listed) = choice else { return Vec::new() };
    let here = devices(inventory);
    let missing = listed.iter().filter(|uuid| !here.iter().any(|(device, _)| device.uuid == **uuid));
    missing.map(|uuid| format!("{uuid} of kind.gpus is not here; nvidia-smi -L lists what is")).collect()
}

fn whole(gpu: &Gpu) -> (Device, Option<String>) {
    let unfit = gpu
        .mig
        .as_ref()
        .err()
        .map(|why| format!("the driver does not say whether it is divided ({why})"))
        .or_else(|| unfit(gpu, gpu.memory.as_ref(), |_| true));
    (device(gpu, None, gpu.memory.as_ref()), unfit.map(|why| format!("GPU {} ({}): {why}", gpu.index, gpu.uuid)))
}

fn slice(gpu: &Gpu, instance: &MigInstance) -> (Device, Option<String>) {
    let numbers = instance.gpu_instance.clone().and_then(|gi| Ok((gi, instance.compute_instance.clone()?)));
    let (unfit, (gpu_instance, compute_instance)) = match numbers {
        // Where a process does not say which instance it is on, it may be on this one.
        Ok(numbers) => {
            (unfit(gpu, instance.memory.as_ref(), |process| process.gpu_instance.is_none_or(|instance| instance == numbers.0)), numbers)
        }
        Err(why) => (Some(format!("the driver does not say which part of its GPU it is ({why})")), (0, 0)),
    };
    let slice = Slice { profile: instance.profile.clone().unwrap_or_default(), gpu_instance, compute_instance };
    let named = |why| format!("MIG instance {} of GPU {} ({}): {why}", slice.profile, gpu.index, instance.uuid);
    let unfit = unfit.map(named);
    let device = Device { uuid: instance.uuid.clone(), ..device(gpu, Some(slice), instance.memory.as_ref()) };
    (device, unfit)
}

fn device(gpu: &Gpu, slice: Option<Slice>, memory: Result<&Memory, &String>) -> Device {
    Device {
        uuid: gpu.uuid.clone(),
        name: gpu.name.clone(),
        minor: gpu.minor.clone().unwrap_or_default(),
        memory: memory.map_or(0, |memory| memory.total),
        compute_capability: gpu.compute_capability.clone().ok(),
        slice,
    }
}

/// Why a device cannot be given to anybody now. What is not known counts against it.
fn unfit(gpu: &Gpu, memory: Result<&Memory, &String>, on_it: impl Fn(&Process) -> bool) -> Option<String> {
    if let Err(why) = &gpu.minor {
        return Some(format!("its device node is not known ({why}), and other nodes could not be kept from it"));
    }
    let processes = match &gpu.processes {
        Ok(processes) => processes.iter().filter(|process| on_it(process)),
        Err(why) => return Some(format!("the driver does not say who uses it ({why})")),
    };
    let users: Vec<&Process> = processes.collect();
    if !users.is_empty() {
        let named: Vec<String> = users.iter().map(|process| format!("{} ({})", process.pid, process.does)).collect();
        let pids: Vec<String> = users.iter().map(|process| process.pid.to_string()).collect();
        let processes = if users.len() == 1 { "process" } else { "processes" };
        return Some(format!(
            "{processes} {} on it; end what should not run (kill {}), or leave it out of kind.gpus",
            named.join(", "),
            pids.join(" ")
        ));
    }
    if gpu.compute_mode == Ok(ComputeMode::Prohibited) {
        return Some(format!("its compute mode is Prohibited; nvidia-smi -i {} -c DEFAULT", gpu.uuid));
    }
    match memory {
        Ok(memory) if memory.used > IDLE_MEMORY => Some(format!(
            "{} MiB of its memory are in use though no process shows; a container or another user's process may hold it: \
             fuser -v /dev/nvidia*, or nvidia-smi --gpu-reset",
            memory.used / MIB
        )),
        Ok(_) => None,
        Err(why) => Some(format!("the driver does not say how much of its memory is in use ({why})")),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::gpu::inventory::{Lost, Use};

    pub fn gpu(index: u32) -> Gpu {
        Gpu {
            index,
            uuid: format!("GPU-{index}"),
            name: "NVIDIA H100 80GB HBM3".to_owned(),
            minor: Ok(7 - index),
            pci_bus_id: Ok(format!("00000000:0{index}:00.0")),
            memory: Ok(Memory { total: 81_559 << 20, used: 4 << 20 }),
            compute_mode: Ok(ComputeMode::Default),
            compute_capability: Ok((9, 0)),
            processes: Ok(Vec::new()),
            mig_capable: true,
            mig: Ok(false),
            instances: Vec::new(),
        }
    }

    pub fn inventory(gpus: Vec<Gpu>) -> Inventory {
        Inventory { driver: Ok("570.86.15".to_owned()), cuda: Ok((12, 8)), confidential: Err("no".to_owned()), gpus, lost: Vec::new() }
    }

    pub fn divided(index: u32) -> Gpu {
        let instance = |number: u32, profile: &str| MigInstance {
            uuid: format!("MIG-{index}-{number}"),
            profile: Ok(profile.to_owned()),
            gpu_instance: Ok(number),
            compute_instance: Ok(0),
            memory: Ok(Memory { total: 9_984 << 20, used: 0 }),
        };
        Gpu { mig: Ok(true), instances: vec![instance(1, "1g.10gb"), instance(2, "1g.10gb"), instance(3, "2g.20gb")], ..gpu(index) }
    }

    fn ask(count: usize, product: &str) -> Wanted {
        Wanted { count, product: product.to_owned() }
    }

    const H100: &str = "NVIDIA-H100-80GB-HBM3";

    /// UUIDs, nodes apart by `|`, or the refusal.
    fn row(gpus: Vec<Gpu>, choice: &GpuChoice, taken: &[&str], wanted: &[Wanted]) -> String {
        let taken = taken.iter().map(|uuid| ((*uuid).to_owned(), "somebody".to_owned())).collect();
        match choose(&inventory(gpus), choice, &taken, wanted) {
            Ok(nodes) => {
                let names = |node: &Vec<Device>| node.iter().map(|device| device.uuid.as_str()).collect::<Vec<_>>().join(" ");
                nodes.iter().map(names).collect::<Vec<_>>().join(" | ")
            }
            Err(why) => why,
        }
    }

    #[test]
    fn who_gets_what() {
        let auto = GpuChoice::Auto;
        let listed = |uuids: &[&str]| GpuChoice::Listed(uuids.iter().map(|uuid| (*uuid).to_owned()).collect());
        let other = Gpu { name: "NVIDIA A100-SXM4-40GB".to_owned(), ..gpu(0) };
        let rows: Vec<(String, &str)> = vec![
            (row(vec![gpu(0), gpu(1)], &auto, &[], &[ask(1, H100)]), "GPU-0"),
            (row(vec![gpu(0), gpu(1)], &auto, &["GPU-0"], &[ask(1, H100)]), "GPU-1"),
            (row(vec![gpu(0), gpu(1)], &auto, &[], &[ask(1, H100), ask(1, H100)]), "GPU-0 | GPU-1"),
            (row(vec![gpu(0), gpu(1)], &auto, &[], &[ask(0, ""), ask(2, H100)]), " | GPU-0 GPU-1"),
            // The product that is asked for comes first; another one serves.
            (row(vec![other.clone(), gpu(1)], &auto, &[], &[ask(1, H100)]), "GPU-1"),
            (row(vec![other.clone()], &auto, &[], &[ask(1, H100)]), "GPU-0"),
            (row(vec![gpu(0), gpu(1)], &listed(&["GPU-1"]), &[], &[ask(1, H100)]), "GPU-1"),
            // Instances where they are asked for, or where there is nothing else.
            (row(vec![gpu(0), divided(1)], &auto, &[], &[ask(1, H100)]), "GPU-0"),
            (row(vec![gpu(0), divided(1)], &auto, &["MIG-1-1"], &[ask(1, &format!("{H100}-MIG-1g.10gb"))]), "MIG-1-2"),
            (row(vec![divided(1)], &auto, &[], &[ask(3, H100)]), "MIG-1-1 MIG-1-2 MIG-1-3"),
            (row(vec![gpu(0), gpu(1)], &auto, &["GPU-0", "GPU-1"], &[ask(1, H100)]), "all 2 GPUs are in use; try again later"),
            (row(vec![gpu(0), gpu(1)], &auto, &["GPU-0"], &[ask(2, H100)]), "1 of 2 GPUs are free, and this lab needs 2; try again later"),
            (row(vec![gpu(0)], &auto, &[], &[ask(2, H100)]), "this lab needs 2 GPUs, and this machine has 1 for labs"),
            (row(vec![], &auto, &[], &[ask(1, H100)]), "this machine has no GPUs for labs"),
            (row(vec![gpu(0)], &auto, &[], &[ask(1, "X-MIG-1g.10gb")]), "this machine has no MIG instances 1g.10gb for labs"),
            (
                row(vec![gpu(0)], &listed(&["GPU-9"]), &[], &[ask(1, H100)]),
                "this machine has no GPUs for labs; GPU-9 of kind.gpus is not here; nvidia-smi -L lists what is",
            ),
        ];
        for (index, (got, expected)) in rows.into_iter().enumerate() {
            assert_eq!(got, expected, "row {index}");
        }
    }

    #[test]
    fn what_is_not_handed_out_and_why() {
        let busy = |pid, does, gpu_instance| Process { pid, does, memory: None, gpu_instance };
        type Change = fn(&mut Gpu);
        let rows: Vec<(Change, &str)> = vec![
            (|g| g.minor = Err("WSL".to_owned()), "its device node is not known (WSL)"),
            (|g| g.processes = Err("too old".to_owned()), "does not say who uses it (too old)"),
            (|g| g.memory = Err("too old".to_owned()), "how much of its memory is in use (too old)"),
            (|g| g.memory = Ok(Memory { total: 1 << 36, used: 700 << 20 }), "700 MiB of its memory are in use though no process shows"),
            (|g| g.compute_mode = Ok(ComputeMode::Prohibited), "nvidia-smi -i GPU-0 -c DEFAULT"),
            (|g| g.mig = Err("odd".to_owned()), "whether it is divided (odd)"),
        ];
        for (change, words) in rows {
            let mut changed = gpu(0);
            change(&mut changed);
            let said = row(vec![changed], &GpuChoice::Auto, &[], &[ask(1, H100)]);
            assert!(said.starts_with("all 1 GPUs are in use") && said.contains("GPU 0 (GPU-0): ") && said.contains(words), "{said}");
        }
        let used = Gpu { processes: Ok(vec![busy(4242, Use::Compute, None), busy(17, Use::Graphics, None)]), ..gpu(0) };
        let said = row(vec![used], &GpuChoice::Auto, &[], &[ask(1, H100)]);
        assert!(said.contains("processes 4242 (compute), 17 (graphics) on it; end what should not run (kill 4242 17)"), "{said}");

        // A process on one instance leaves the others free.
        let used = Gpu { processes: Ok(vec![busy(1, Use::Compute, Some(1))]), ..divided(0) };
        assert_eq!(row(vec![used], &GpuChoice::Auto, &[], &[ask(2, "")]), "MIG-0-2 MIG-0-3");
        let mut nameless = divided(0);
        nameless.instances[0].gpu_instance = Err("no".to_owned());
        assert_eq!(row(vec![nameless], &GpuChoice::Auto, &[], &[ask(1, "")]), "MIG-0-2");

        let mut inventory = inventory(vec![]);
        inventory.lost.push(Lost { index: 1, why: "fell off the bus".to_owned() });
        let said = choose(&inventory, &GpuChoice::Auto, &BTreeMap::new(), &[ask(1, H100)]).unwrap_err();
        assert!(said.contains("GPU 1 does not answer (fell off the bus): nvidia-smi --gpu-reset"), "{said}");
    }

    #[test]
    fn devices_carry_what_a_node_needs() {
        let device = inventory(vec![gpu(0)]).device("GPU-0").unwrap();
        assert_eq!((device.minor, device.memory, device.product().as_str()), (7, 81_559 << 20, H100));
        let slice = inventory(vec![divided(1)]).device("MIG-1-3").unwrap();
        assert_eq!((slice.minor, slice.product().as_str()), (6, "NVIDIA-H100-80GB-HBM3-MIG-2g.20gb"));
        assert_eq!(slice.slice, Some(Slice { profile: "2g.20gb".to_owned(), gpu_instance: 3, compute_instance: 0 }));
        assert_eq!(inventory(vec![gpu(0)]).device("GPU-1"), None);
    }
}
