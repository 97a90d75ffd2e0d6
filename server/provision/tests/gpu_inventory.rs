//! Tier: the real loader and the real calls, against a library of our own in the place of NVML; and against NVML where it is.

use nvml_mock::{Confidential, Gpu, Instance, Machine, Process, library};
use provision::gpu::{Inventory, Look, inventory::Reading, nvml};
use std::{collections::BTreeMap, fmt::Write as _, path::Path, process::Command};

const LOST: u32 = 15;
const NOT_SUPPORTED: u32 = 3;

fn h100(uuid: &str, minor: u32) -> Gpu {
    Gpu {
        uuid: uuid.to_owned(),
        name: "NVIDIA H100 80GB HBM3".to_owned(),
        minor,
        pci_bus_id: format!("00000000:{:02X}:00.0", 0x19 + minor),
        total: 85_520_809_984,
        used: 4 << 20,
        compute_capability: (9, 0),
        mig: Some(false),
        ..Gpu::default()
    }
}

fn machine(gpus: Vec<Gpu>) -> Machine {
    Machine { driver: "570.86.15".to_owned(), cuda: 12_080, gpus, ..Machine::default() }
}

fn codes(rows: &[(&str, u32)]) -> BTreeMap<String, u32> {
    rows.iter().map(|(function, code)| ((*function).to_owned(), *code)).collect()
}

fn look(machine: &Machine) -> Look {
    let folder = tempfile::tempdir().unwrap();
    nvml::look(&library(folder.path(), machine).unwrap())
}

/// Everything that was read, one line for a GPU and for an instance.
fn text(look: &Look) -> String {
    let inventory = match look {
        Look::NoDriver => return "no driver".to_owned(),
        Look::Broken { cause, remedy } => return format!("broken: {cause}; {remedy}"),
        Look::Found(inventory) => inventory,
    };
    fn said<T: std::fmt::Debug>(reading: &Reading<T>) -> String {
        match reading {
            Ok(value) => format!("{value:?}"),
            Err(why) => format!("<{why}>"),
        }
    }
    let mut text =
        format!("driver {} cuda {} confidential {}\n", said(&inventory.driver), said(&inventory.cuda), said(&inventory.confidential));
    for gpu in &inventory.gpus {
        let _ = writeln!(
            text,
            "{} {} {} minor {} pci {} {} {} capability {} mig {}",
            gpu.index,
            gpu.uuid,
            gpu.name,
            said(&gpu.minor),
            said(&gpu.pci_bus_id),
            said(&gpu.memory),
            said(&gpu.compute_mode),
            said(&gpu.compute_capability),
            said(&gpu.mig),
        );
        let _ = match &gpu.processes {
            Ok(processes) => processes.iter().try_for_each(|process| writeln!(text, "  {process:?}")),
            Err(why) => writeln!(text, "  processes <{why}>"),
        };
        for part in &gpu.instances {
            let numbers = (said(&part.gpu_instance), said(&part.compute_instance));
            let _ = writeln!(text, "  {} {} gi {} ci {} {}", part.uuid, said(&part.profile), numbers.0, numbers.1, said(&part.memory));
        }
    }
    for lost in &inventory.lost {
        let _ = writeln!(text, "{} lost: {}", lost.index, lost.why);
    }
    text
}

fn found(look: Look) -> Inventory {
    match look {
        Look::Found(inventory) => inventory,
        other => panic!("{}", text(&other)),
    }
}

#[test]
fn machines_and_what_is_read_of_them() {
    let one = machine(vec![h100("GPU-a", 0)]);
    assert_eq!(
        text(&look(&one)),
        "driver \"570.86.15\" cuda (12, 8) confidential <the requested operation is not available on the target device>\n\
         0 GPU-a NVIDIA H100 80GB HBM3 minor 0 pci \"00000000:19:00.0\" Memory { total: 85520809984, used: 4194304 } Default capability (9, 0) \
         mig false\n"
    );

    // Index and minor number are two things.
    let two = found(look(&machine(vec![h100("GPU-a", 1), h100("GPU-b", 0)])));
    assert_eq!(two.gpus.iter().map(|gpu| (gpu.index, gpu.minor.clone())).collect::<Vec<_>>(), [(0, Ok(1)), (1, Ok(0))]);
    assert_eq!(two.device("GPU-a").unwrap().minor, 1);

    let busy = Gpu {
        compute: vec![Process { pid: 4242, memory: Some(1 << 30), gpu_instance: None }, Process { pid: 7, ..Process::default() }],
        graphics: vec![Process { pid: 1017, memory: Some(64 << 20), gpu_instance: None }],
        compute_mode: 3,
        ..h100("GPU-a", 0)
    };
    let said = text(&look(&machine(vec![busy])));
    for words in [
        "Process { pid: 4242, does: Compute, memory: Some(1073741824), gpu_instance: None }",
        "Process { pid: 7, does: Compute, memory: None, gpu_instance: None }",
        "Process { pid: 1017, does: Graphics, memory: Some(67108864), gpu_instance: None }",
        "ExclusiveProcess",
    ] {
        assert!(said.contains(words), "{said}\nlacks {words}");
    }

    let confidential = Confidential { enabled: true, dev_tools: false, ready: true };
    let said = text(&look(&Machine { confidential: Some(confidential), ..machine(vec![h100("GPU-a", 0)]) }));
    assert!(said.contains("confidential Confidential { enabled: true, dev_tools: false, ready: true }"), "{said}");
}

#[test]
fn a_divided_gpu() {
    let part = |number: u32, profile: &str| Instance {
        uuid: format!("MIG-{number}"),
        profile: profile.to_owned(),
        gpu_instance: 10 + number,
        compute_instance: 0,
        total: 9_984 << 20,
        used: 12 << 20,
    };
    // Numbers with a gap, as after an instance was destroyed.
    let instances = BTreeMap::from([(0, part(0, "1g.10gb")), (2, part(2, "2g.20gb"))]);
    let gpu = Gpu {
        mig: Some(true),
        instances,
        compute: vec![Process { pid: 5, memory: None, gpu_instance: Some(12) }],
        errors: codes(&[("nvmlDeviceGetGraphicsRunningProcesses_v3", NOT_SUPPORTED)]),
        ..h100("GPU-a", 3)
    };
    let inventory = found(look(&machine(vec![gpu])));
    let said = text(&Look::Found(inventory.clone()));
    for words in [
        "mig true",
        "  MIG-0 \"1g.10gb\" gi 10 ci 0 Memory { total: 10468982784, used: 12582912 }",
        "  MIG-2 \"2g.20gb\" gi 12 ci 0",
        "Process { pid: 5, does: Compute, memory: None, gpu_instance: Some(12) }",
    ] {
        assert!(said.contains(words), "{said}\nlacks {words}");
    }
    let slice = inventory.device("MIG-2").unwrap();
    assert_eq!((slice.minor, slice.product().as_str()), (3, "NVIDIA-H100-80GB-HBM3-MIG-2g.20gb"));
    assert_eq!(inventory.device("GPU-a"), None, "a divided GPU is no device");
}

/// Every call that may fail alone leaves what the others say.
#[test]
fn calls_that_fail_say_why_and_leave_the_rest() {
    let rows = [
        ("nvmlDeviceGetMinorNumber", NOT_SUPPORTED, "minor <the requested operation is not available on the target device>"),
        ("nvmlDeviceGetPciInfo_v3", 999, "pci <an internal driver error occurred>"),
        ("nvmlDeviceGetMemoryInfo_v2", NOT_SUPPORTED, "<the requested operation is not available on the target device> Default"),
        ("nvmlDeviceGetComputeMode", NOT_SUPPORTED, "<the requested operation is not available on the target device> capability"),
        ("nvmlDeviceGetCudaComputeCapability", 999, "capability <an internal driver error occurred>"),
        ("nvmlDeviceGetComputeRunningProcesses_v3", 4, "processes <the current user does not have permission"),
        ("nvmlDeviceGetGraphicsRunningProcesses_v3", 999, "processes <an internal driver error occurred>"),
        ("nvmlDeviceGetMigMode", 999, "mig <an internal driver error occurred>"),
        ("nvmlDeviceGetMigMode", NOT_SUPPORTED, "mig false"),
        ("nvmlDeviceGetHandleByIndex_v2", LOST, "0 lost: device fell off the bus"),
        ("nvmlDeviceGetUUID", LOST, "0 lost: device fell off the bus"),
        ("nvmlDeviceGetName", 31, "0 lost: NVML answers 31, which is not known here"),
    ];
    for (function, code, words) in rows {
        let failing = Gpu { errors: codes(&[(function, code)]), ..h100("GPU-a", 0) };
        let said = text(&look(&machine(vec![failing, h100("GPU-b", 1)])));
        assert!(said.contains(words), "{function} {code}: {said}");
        assert!(said.contains("1 GPU-b NVIDIA H100 80GB HBM3 minor 1 pci \"00000000:1A:00.0\" Memory"), "{function}: {said}");
    }
    for (function, code, words) in [
        ("nvmlSystemGetDriverVersion", 999, "driver <an internal driver error occurred>"),
        ("nvmlSystemGetCudaDriverVersion_v2", 12, "cuda <a shared library couldn't be found or loaded>"),
        ("nvmlSystemGetConfComputeSettings", 25, "confidential <NVML answers 25, which is not known here>"),
    ] {
        let said = text(&look(&Machine { errors: codes(&[(function, code)]), ..machine(vec![h100("GPU-a", 0)]) }));
        assert!(said.contains(words) && said.contains("0 GPU-a"), "{function}: {said}");
    }
}

#[test]
fn an_old_driver_lacks_functions() {
    let rows = [
        ("nvmlDeviceGetMemoryInfo_v2", "<this driver is too old for nvmlDeviceGetMemoryInfo_v2> Default"),
        ("nvmlDeviceGetComputeRunningProcesses_v3", "processes <this driver is too old for nvmlDeviceGetComputeRunningProcesses_v3>"),
        ("nvmlSystemGetConfComputeSettings", "confidential <this driver is too old for nvmlSystemGetConfComputeSettings>"),
        ("nvmlDeviceGetMigMode", "mig false"),
    ];
    for (function, words) in rows {
        let said = text(&look(&Machine { lacks: vec![function.to_owned()], ..machine(vec![h100("GPU-a", 0)]) }));
        assert!(said.contains(words) && said.contains("0 GPU-a"), "{function}: {said}");
    }
    let said = text(&look(&Machine { lacks: vec!["nvmlInit_v2".to_owned()], ..machine(vec![]) }));
    assert!(said.starts_with("broken: what is called NVML here is none"), "{said}");
}

#[test]
fn no_driver_is_not_a_broken_one() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(nvml::look(&folder.path().join("libnvidia-ml.so.1")), Look::NoDriver);
    let text_file = folder.path().join("no-library.so");
    std::fs::write(&text_file, "not an ELF file").unwrap();
    let said = text(&nvml::look(&text_file));
    assert!(said.starts_with("broken: NVML cannot be loaded: ") && said.contains("no-library.so"), "{said}");
    for (code, cause, remedy) in [
        (9, "the driver's kernel module is not loaded", "modprobe nvidia"),
        (18, "of different versions", "reboot, or unload"),
        (4, "does not have permission", "/dev/nvidiactl"),
        (LOST, "fell off the bus", "nvidia-smi --gpu-reset"),
        (999, "internal driver error", "dmesg"),
        (77, "NVML answers 77", "dmesg"),
    ] {
        for function in ["nvmlInit_v2", "nvmlDeviceGetCount_v2"] {
            let said = text(&look(&Machine { errors: codes(&[(function, code)]), ..machine(vec![h100("GPU-a", 0)]) }));
            assert!(said.starts_with("broken: ") && said.contains(cause) && said.contains(remedy), "{function} {code}: {said}");
        }
    }
    assert_eq!(found(look(&machine(vec![]))).gpus, []);
}

#[test]
fn a_gpu_that_vanishes_between_two_looks() {
    let folder = tempfile::tempdir().unwrap();
    let path = library(folder.path(), &machine(vec![h100("GPU-a", 0), h100("GPU-b", 1)])).unwrap();
    assert_eq!(found(nvml::look(&path)).gpus.len(), 2);
    let fallen = Gpu { errors: codes(&[("nvmlDeviceGetHandleByIndex_v2", LOST)]), ..h100("GPU-b", 1) };
    library(folder.path(), &machine(vec![h100("GPU-a", 0), fallen])).unwrap();
    let inventory = found(nvml::look(&path));
    assert_eq!((inventory.gpus.len(), inventory.lost[0].index), (1, 1));
    assert_eq!(inventory.device("GPU-b"), None);
    library(folder.path(), &Machine { errors: codes(&[("nvmlInit_v2", 9)]), ..machine(vec![]) }).unwrap();
    assert!(matches!(nvml::look(&path), Look::Broken { .. }));
}

/// The driver of this machine, where it has one, against its own tool.
#[test]
fn the_gpus_of_this_machine() {
    use std::io::Write as _;
    let look = nvml::look(Path::new(nvml::LIBRARY));
    let _ = writeln!(std::io::stderr(), "the GPUs of this machine: {}", text(&look));
    let Look::Found(inventory) = look else {
        let _ = writeln!(std::io::stderr(), "NOT RUN: the inventory against nvidia-smi -L: this machine has no NVIDIA driver that works");
        return;
    };
    match Command::new("nvidia-smi").arg("-L").output() {
        Ok(output) if output.status.success() => {
            let printed = String::from_utf8_lossy(&output.stdout).into_owned();
            let mut expected: Vec<&str> = inventory.gpus.iter().map(|gpu| gpu.uuid.as_str()).collect();
            expected.extend(inventory.gpus.iter().flat_map(|gpu| &gpu.instances).map(|part| part.uuid.as_str()));
            let mut listed: Vec<&str> = printed.lines().filter_map(|line| line.split_once("(UUID: ")?.1.strip_suffix(')')).collect();
            expected.sort_unstable();
            listed.sort_unstable();
            assert_eq!(expected, listed, "{printed}");
        }
        _ => {
            let _ = writeln!(std::io::stderr(), "NOT RUN: the inventory against nvidia-smi -L: there is no nvidia-smi that runs");
        }
    }
}
