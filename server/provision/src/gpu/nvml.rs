//! Asks the driver. Everything may fail alone: a call that this driver or GPU does not know leaves the others as they are.

use crate::gpu::{
    inventory::{ComputeMode, Confidential, Gpu, Inventory, Look, Lost, Memory, MigInstance, Process, Reading, Use},
    raw,
};
use nvml_wrapper::{
    Device, Nvml, cuda_driver_version_major, cuda_driver_version_minor, enum_wrappers::device::ComputeMode as NvmlMode,
    enums::device::UsedGpuMemory, error::NvmlError, struct_wrappers::device::ProcessInfo,
};
use std::path::Path;

/// Where the loader finds NVML on a machine with a driver.
pub const LIBRARY: &str = "libnvidia-ml.so.1";

/// Looks once. Blocks: NVML wakes every GPU, which takes a second or more where nothing keeps the driver loaded.
pub fn look(library: &Path) -> Look {
    match Nvml::builder().lib_path(library.as_os_str()).init() {
        Ok(nvml) => read(&nvml).unwrap_or_else(|error| broken(&error)),
        Err(NvmlError::LibloadingError(error)) => {
            let words = error.to_string();
            if words.contains("No such file or directory") {
                return Look::NoDriver;
            }
            Look::Broken { cause: format!("NVML cannot be loaded: {words}"), remedy: "install the driver anew".to_owned() }
        }
        Err(error) => broken(&error),
    }
}

fn read(nvml: &Nvml) -> Result<Look, NvmlError> {
    let mut inventory = Inventory {
        driver: nvml.sys_driver_version().map_err(why),
        cuda: nvml.sys_cuda_driver_version().map_err(why).map(|version| {
            let part = |part: i32| u32::try_from(part).unwrap_or_default();
            (part(cuda_driver_version_major(version)), part(cuda_driver_version_minor(version)))
        }),
        confidential: Err("no GPU answers".to_owned()),
        gpus: Vec::new(),
        lost: Vec::new(),
    };
    for index in 0..nvml.device_count()? {
        let found = nvml.device_by_index(index).and_then(|device| Ok((device.uuid()?, device.name()?, device)));
        match found {
            Ok((uuid, name, device)) => {
                inventory.confidential = confidential(&device);
                inventory.gpus.push(gpu(&device, index, uuid, name));
            }
            Err(error) => inventory.lost.push(Lost { index, why: why(error) }),
        }
    }
    Ok(Look::Found(inventory))
}

fn gpu(device: &Device<'_>, index: u32, uuid: String, name: String) -> Gpu {
    let (mig_capable, mig) = match device.mig_mode() {
        Ok(mode) => (true, Ok(mode.current == 1)),
        // GPUs before Ampere, and drivers that know no MIG: whole GPUs.
        Err(NvmlError::NotSupported | NvmlError::FailedToLoadSymbol(_)) => (false, Ok(false)),
        Err(error) => (false, Err(why(error))),
    };
    let instances = if mig == Ok(true) { instances(device) } else { Vec::new() };
    Gpu {
        index,
        uuid,
        name,
        minor: device.minor_number().map_err(why),
        pci_bus_id: device.pci_info().map(|pci| pci.bus_id).map_err(why),
        memory: memory(device),
        compute_mode: compute_mode(device),
        compute_capability: device.cuda_compute_capability().map_err(why).map(|capability| {
            let part = |part: i32| u32::try_from(part).unwrap_or_default();
            (part(capability.major), part(capability.minor))
        }),
        processes: processes(device),
        mig_capable,
        mig,
        instances,
    }
}

/// The numbers of a GPU's instances need not be without gaps.
fn instances(device: &Device<'_>) -> Vec<MigInstance> {
    let most = device.mig_device_count().unwrap_or_default();
    let devices = (0..most).filter_map(|index| device.mig_device_by_index(index).ok());
    let named = devices.filter_map(|instance| Some((instance.uuid().ok()?, instance)));
    named
        .map(|(uuid, instance)| MigInstance {
            uuid,
            // `NVIDIA H100 80GB HBM3 MIG 1g.10gb`.
            profile: instance.name().map_err(why).and_then(|name| {
                let profile = name.rsplit_once(" MIG ").map(|(_, profile)| profile.to_owned());
                profile.ok_or_else(|| format!("{name:?} names no MIG profile"))
            }),
            gpu_instance: raw::gpu_instance(&instance).map_err(why),
            compute_instance: raw::compute_instance(&instance).map_err(why),
            memory: memory(&instance),
        })
        .collect()
}

fn memory(device: &Device<'_>) -> Reading<Memory> {
    device.memory_info().map(|memory| Memory { total: memory.total, used: memory.used }).map_err(why)
}

fn compute_mode(device: &Device<'_>) -> Reading<ComputeMode> {
    match device.compute_mode() {
        Ok(NvmlMode::Prohibited) => Ok(ComputeMode::Prohibited),
        // The mode for one thread became that for one process long ago.
        Ok(NvmlMode::ExclusiveProcess | NvmlMode::ExclusiveThread) => Ok(ComputeMode::ExclusiveProcess),
        Ok(NvmlMode::Default) => Ok(ComputeMode::Default),
        Err(error) => Err(why(error)),
    }
}

fn processes(device: &Device<'_>) -> Reading<Vec<Process>> {
    let process = |does: Use| {
        move |found: ProcessInfo| Process {
            pid: found.pid,
            does,
            memory: match found.used_gpu_memory {
                UsedGpuMemory::Used(bytes) => Some(bytes),
                UsedGpuMemory::Unavailable => None,
            },
            gpu_instance: found.gpu_instance_id,
        }
    };
    let mut all: Vec<Process> = device.running_compute_processes().map_err(why)?.into_iter().map(process(Use::Compute)).collect();
    match device.running_graphics_processes() {
        Ok(found) => all.extend(found.into_iter().map(process(Use::Graphics))),
        // A GPU without graphics, or one that is divided.
        Err(NvmlError::NotSupported) => {}
        Err(error) => return Err(why(error)),
    }
    Ok(all)
}

fn confidential(device: &Device<'_>) -> Reading<Confidential> {
    let read = || {
        let enabled = device.is_cc_enabled()?;
        Ok(Confidential {
            enabled,
            dev_tools: device.is_cc_dev_mode_enabled()?,
            ready: enabled && device.get_confidential_compute_state()?,
        })
    };
    read().map_err(why)
}

/// NVML's words for one call that failed, with the function where the driver lacks it.
#[expect(clippy::needless_pass_by_value, reason = "map_err hands it over")]
fn why(error: NvmlError) -> String {
    match &error {
        NvmlError::FailedToLoadSymbol(words) => {
            let function = words.rsplit("undefined symbol: ").next().unwrap_or(words).trim();
            format!("this driver is too old for {function}")
        }
        NvmlError::UnexpectedVariant(code) => format!("NVML answers {code}, which is not known here"),
        _ => error.to_string(),
    }
}

/// NVML as a whole does not work.
fn broken(error: &NvmlError) -> Look {
    let remedy = match error {
        NvmlError::DriverNotLoaded => "load it: modprobe nvidia; what stands against it: dmesg | grep NVRM",
        NvmlError::LibRmVersionMismatch => {
            "the library was updated and the loaded module was not: reboot, or unload all nvidia modules and modprobe nvidia"
        }
        NvmlError::NoPermission | NvmlError::OperatingSystem => "let this user use /dev/nvidiactl and /dev/nvidia*, or run as root",
        NvmlError::GpuLost | NvmlError::ResetRequired => "nvidia-smi --gpu-reset, or reboot; what happened: dmesg | grep Xid",
        _ => "nvidia-smi and dmesg | grep NVRM say more",
    };
    let cause = match error {
        NvmlError::DriverNotLoaded => "NVML is here, but the driver's kernel module is not loaded".to_owned(),
        NvmlError::LibRmVersionMismatch => "NVML and the loaded kernel module are of different versions".to_owned(),
        NvmlError::FailedToLoadSymbol(words) => format!("what is called NVML here is none: {words}"),
        NvmlError::UnexpectedVariant(code) => format!("NVML answers {code}, which is not known here"),
        other => format!("NVML says: {other}"),
    };
    Look::Broken { cause, remedy: remedy.to_owned() }
}
