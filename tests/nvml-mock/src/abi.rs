//! The C side: names and layouts of `nvml.h`.

use crate::{Gpu, Instance, Machine, Process};
use std::{
    ffi::{c_char, c_int, c_uint},
    path::PathBuf,
    sync::Mutex,
};

const SUCCESS: c_uint = 0;
const UNINITIALIZED: c_uint = 1;
const INVALID_ARGUMENT: c_uint = 2;
const NOT_SUPPORTED: c_uint = 3;
const NOT_FOUND: c_uint = 6;
const INSUFFICIENT_SIZE: c_uint = 7;
const UNKNOWN: c_uint = 999;

/// A handle is a number, never an address: GPU 0 is 1000, its MIG instance 2 is 1003.
type Handle = usize;
const STRIDE: usize = 1000;

static MACHINE: Mutex<Option<Machine>> = Mutex::new(None);

/// `nvmlPciInfo_t`.
#[repr(C)]
#[derive(Debug)]
pub struct Pci {
    legacy: [c_char; 16],
    domain: c_uint,
    bus: c_uint,
    device: c_uint,
    device_id: c_uint,
    sub_system_id: c_uint,
    bus_id: [c_char; 32],
}

/// `nvmlMemory_v2_t`.
#[repr(C)]
#[derive(Debug)]
pub struct MemoryV2 {
    version: c_uint,
    total: u64,
    reserved: u64,
    free: u64,
    used: u64,
}

/// `nvmlProcessInfo_t` of the third version of its functions.
#[repr(C)]
#[derive(Debug)]
pub struct ProcessInfo {
    pid: c_uint,
    used: u64,
    gpu_instance: c_uint,
    compute_instance: c_uint,
}

/// `nvmlSystemConfComputeSettings_v1_t`.
#[repr(C)]
#[derive(Debug)]
pub struct ConfComputeSettings {
    version: c_uint,
    environment: c_uint,
    cc_feature: c_uint,
    dev_tools: c_uint,
    multi_gpu: c_uint,
}

enum Found<'a> {
    Gpu(&'a Gpu),
    Instance(&'a Gpu, &'a Instance),
}

impl<'a> Found<'a> {
    fn gpu(&self) -> &'a Gpu {
        match self {
            Self::Gpu(gpu) | Self::Instance(gpu, _) => gpu,
        }
    }
}

/// The file beside the library that this code was loaded from.
fn description() -> Option<Machine> {
    let here = description as *const () as usize;
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let path = maps.lines().find_map(|line| {
        let (first, last) = line.split_whitespace().next()?.split_once('-')?;
        let range = usize::from_str_radix(first, 16).ok()?..usize::from_str_radix(last, 16).ok()?;
        range.contains(&here).then(|| line.find('/').map(|at| PathBuf::from(&line[at..])))?
    })?;
    serde_json::from_slice(&std::fs::read(path.with_extension("json")).ok()?).ok()
}

/// The answer of a function about the machine.
fn machine(function: &str, answer: impl FnOnce(&Machine) -> c_uint) -> c_uint {
    let machine = MACHINE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let Some(machine) = machine.as_ref() else { return UNINITIALIZED };
    machine.errors.get(function).copied().unwrap_or_else(|| answer(machine))
}

/// The answer of a function about a GPU or a MIG instance.
fn device(function: &str, handle: Handle, answer: impl FnOnce(Found<'_>) -> c_uint) -> c_uint {
    machine(function, |machine| {
        let Some(gpu) = (handle / STRIDE).checked_sub(1).and_then(|index| machine.gpus.get(index)) else { return INVALID_ARGUMENT };
        if let Some(code) = gpu.errors.get(function) {
            return *code;
        }
        let Some(instance) = (handle % STRIDE).checked_sub(1) else { return answer(Found::Gpu(gpu)) };
        let instance = u32::try_from(instance).ok().and_then(|instance| gpu.instances.get(&instance));
        instance.map_or(INVALID_ARGUMENT, |instance| answer(Found::Instance(gpu, instance)))
    })
}

/// The answer of a function about whole GPUs.
fn whole(function: &str, handle: Handle, answer: impl FnOnce(&Gpu) -> c_uint) -> c_uint {
    device(function, handle, |found| match found {
        Found::Gpu(gpu) => answer(gpu),
        Found::Instance(..) => NOT_SUPPORTED,
    })
}

fn instance(function: &str, handle: Handle, answer: impl FnOnce(&Instance) -> c_uint) -> c_uint {
    device(function, handle, |found| match found {
        Found::Instance(_, instance) => answer(instance),
        Found::Gpu(_) => INVALID_ARGUMENT,
    })
}

/// # Safety
///
/// `to` is null or may be written.
unsafe fn put<T>(to: *mut T, value: T) -> c_uint {
    if to.is_null() {
        return INVALID_ARGUMENT;
    }
    // SAFETY: not null, and the caller of NVML owns what it points to.
    unsafe { to.write(value) };
    SUCCESS
}

/// # Safety
///
/// `to` is null or has room for `length` bytes.
unsafe fn text(to: *mut c_char, length: c_uint, value: &str) -> c_uint {
    let length = usize::try_from(length).unwrap_or_default();
    if to.is_null() {
        return INVALID_ARGUMENT;
    }
    if value.len() >= length {
        return INSUFFICIENT_SIZE;
    }
    // SAFETY: the text and its NUL fit, as was just looked at.
    unsafe {
        std::ptr::copy_nonoverlapping(value.as_ptr().cast(), to, value.len());
        to.add(value.len()).write(0);
    }
    SUCCESS
}

/// # Safety
///
/// `count` may be read and written; `to` has room for so many.
unsafe fn list(count: *mut c_uint, to: *mut ProcessInfo, processes: &[Process]) -> c_uint {
    let length = c_uint::try_from(processes.len()).unwrap_or(c_uint::MAX);
    // SAFETY: the caller's number.
    let room = unsafe { count.read() };
    // SAFETY: as above.
    unsafe { count.write(length) };
    if length == 0 {
        return SUCCESS;
    }
    if to.is_null() || room < length {
        return INSUFFICIENT_SIZE;
    }
    for (index, process) in processes.iter().enumerate() {
        let info = ProcessInfo {
            pid: process.pid,
            used: process.memory.unwrap_or(u64::MAX),
            gpu_instance: process.gpu_instance.unwrap_or(c_uint::MAX),
            compute_instance: process.gpu_instance.map_or(c_uint::MAX, |_| 0),
        };
        // SAFETY: there is room for `room`, and `index` is below it.
        unsafe { to.add(index).write(info) };
    }
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlInit_v2() -> c_uint {
    let found = description();
    let code = found.as_ref().map_or(UNKNOWN, |machine| machine.errors.get("nvmlInit_v2").copied().unwrap_or(SUCCESS));
    *MACHINE.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = found;
    code
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlShutdown() -> c_uint {
    SUCCESS
}

/// # Safety
///
/// As `nvml.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetDriverVersion(to: *mut c_char, length: c_uint) -> c_uint {
    // SAFETY: pointers are the caller's, as NVML's own contract wants them.
    machine("nvmlSystemGetDriverVersion", |found| unsafe { text(to, length, &found.driver) })
}

/// # Safety
///
/// As `nvml.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetCudaDriverVersion_v2(to: *mut c_int) -> c_uint {
    // SAFETY: pointers are the caller's, as NVML's own contract wants them.
    machine("nvmlSystemGetCudaDriverVersion_v2", |found| unsafe { put(to, found.cuda) })
}

/// # Safety
///
/// As `nvml.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetConfComputeSettings(to: *mut ConfComputeSettings) -> c_uint {
    // SAFETY: pointers are the caller's, as NVML's own contract wants them.
    machine("nvmlSystemGetConfComputeSettings", |found| unsafe {
        let Some(state) = found.confidential else { return NOT_SUPPORTED };
        let settings = ConfComputeSettings {
            version: (*to).version,
            environment: 2,
            cc_feature: state.enabled.into(),
            dev_tools: state.dev_tools.into(),
            multi_gpu: 0,
        };
        put(to, settings)
    })
}

/// # Safety
///
/// As `nvml.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetConfComputeGpusReadyState(to: *mut c_uint) -> c_uint {
    // SAFETY: pointers are the caller's, as NVML's own contract wants them.
    machine("nvmlSystemGetConfComputeGpusReadyState", |found| unsafe {
        found.confidential.map_or(NOT_SUPPORTED, |state| put(to, state.ready.into()))
    })
}

/// # Safety
///
/// As `nvml.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCount_v2(to: *mut c_uint) -> c_uint {
    // SAFETY: pointers are the caller's, as NVML's own contract wants them.
    machine("nvmlDeviceGetCount_v2", |found| unsafe { put(to, c_uint::try_from(found.gpus.len()).unwrap_or_default()) })
}

/// # Safety
///
/// As `nvml.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: c_uint, to: *mut Handle) -> c_uint {
    // SAFETY: pointers are the caller's, as NVML's own contract wants them.
    machine("nvmlDeviceGetHandleByIndex_v2", |found| unsafe {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let Some(gpu) = found.gpus.get(index) else { return INVALID_ARGUMENT };
        gpu.errors.get("nvmlDeviceGetHandleByIndex_v2").copied().unwrap_or_else(|| put(to, (index + 1) * STRIDE))
    })
}

/// # Safety
///
/// As `nvml.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUUID(device_handle: Handle, to: *mut c_char, length: c_uint) -> c_uint {
    // SAFETY: pointers are the caller's, as NVML's own contract wants them.
    device("nvmlDeviceGetUUID", device_handle, |found| unsafe {
        match found {
            Found::Gpu(gpu) => text(to, length, &gpu.uuid),
            Found::Instance(_, instance) => text(to, length, &instance.uuid),
        }
    })
}

/// # Safety
///
/// As `nvml.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetName(device_handle: Handle, to: *mut c_char, length: c_uint) -> c_uint {
    // SAFETY: pointers are the caller's, as NVML's own contract wants them.
    device("nvmlDeviceGetName", device_handle, |found| unsafe {
        match found {
            Found::Gpu(gpu) => text(to, length, &gpu.name),
            Found::Instance(gpu, instance) => text(to, length, &format!("{} MIG {}", gpu.name, instance.profile)),
        }
    })
}

/// # Safety
///
/// As `nvml.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMinorNumber(device_handle: Handle, to: *mut c_uint) -> c_uint {
    // SAFETY: pointers are the caller's, as NVML's own contract wants them.
    whole("nvmlDeviceGetMinorNumber", device_handle, |gpu| unsafe { put(to, gpu.minor) })
}

/// # Safety
///
/// As `nvml.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetPciInfo_v3(device_handle: Handle, to: *mut Pci) -> c_uint {
    // SAFETY: pointers are the caller's, as NVML's own contract wants them.
    whole("nvmlDeviceGetPciInfo_v3", device_handle, |gpu| unsafe {
        let mut pci = Pci { legacy: [0; 16], domain: 0, bus: 0, device: 0, device_id: 0x2330_10de, sub_system_id: 0, bus_id: [0; 32] };
        match text(pci.bus_id.as_mut_ptr(), 32, &gpu.pci_bus_id) {
            SUCCESS => put(to, pci),
            code => code,
        }
    })
}

/// # Safety
///
/// As `nvml.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMemoryInfo_v2(device_handle: Handle, to: *mut MemoryV2) -> c_uint {
    // SAFETY: pointers are the caller's, as NVML's own contract wants them.
    device("nvmlDeviceGetMemoryInfo_v2", device_handle, |found| unsafe {
        let (total, used) = match found {
            Found::Gpu(gpu) => (gpu.total, gpu.used),
            Found::Instance(_, instance) => (instance.total, instance.used),
        };
        put(to, MemoryV2 { version: (*to).version, total, reserved: 0, free: total.saturating_sub(used), used })
    })
}

/// # Safety
///
/// As `nvml.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetComputeMode(device_handle: Handle, to: *mut c_uint) -> c_uint {
    // SAFETY: pointers are the caller's, as NVML's own contract wants them.
    whole("nvmlDeviceGetComputeMode", device_handle, |gpu| unsafe { put(to, gpu.compute_mode) })
}

/// # Safety
///
/// As `nvml.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCudaComputeCapability(device_handle: Handle, major: *mut c_int, minor: *mut c_int) -> c_uint {
    // SAFETY: pointers are the caller's, as NVML's own contract wants them.
    device("nvmlDeviceGetCudaComputeCapability", device_handle, |found| unsafe {
        let (first, second) = found.gpu().compute_capability;
        put(major, first) | put(minor, second)
    })
}

/// # Safety
///
/// As `nvml.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetComputeRunningProcesses_v3(
    device_handle: Handle,
    count: *mut c_uint,
    to: *mut ProcessInfo,
) -> c_uint {
    // SAFETY: pointers are the caller's, as NVML's own contract wants them.
    whole("nvmlDeviceGetComputeRunningProcesses_v3", device_handle, |gpu| unsafe { list(count, to, &gpu.compute) })
}

/// # Safety
///
/// As `nvml.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetGraphicsRunningProcesses_v3(
    device_handle: Handle,
    count: *mut c_uint,
    to: *mut ProcessInfo,
) -> c_uint {
    // SAFETY: pointers are the caller's, as NVML's own contract wants them.
    whole("nvmlDeviceGetGraphicsRunningProcesses_v3", device_handle, |gpu| unsafe { list(count, to, &gpu.graphics) })
}

/// # Safety
///
/// As `nvml.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMigMode(device_handle: Handle, current: *mut c_uint, pending: *mut c_uint) -> c_uint {
    // SAFETY: pointers are the caller's, as NVML's own contract wants them.
    whole("nvmlDeviceGetMigMode", device_handle, |gpu| unsafe {
        gpu.mig.map_or(NOT_SUPPORTED, |on| put(current, on.into()) | put(pending, on.into()))
    })
}

/// # Safety
///
/// As `nvml.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMaxMigDeviceCount(device_handle: Handle, to: *mut c_uint) -> c_uint {
    // SAFETY: pointers are the caller's, as NVML's own contract wants them.
    whole("nvmlDeviceGetMaxMigDeviceCount", device_handle, |gpu| unsafe { put(to, if gpu.mig.is_some() { 7 } else { 0 }) })
}

/// # Safety
///
/// As `nvml.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMigDeviceHandleByIndex(device_handle: Handle, index: c_uint, to: *mut Handle) -> c_uint {
    // SAFETY: pointers are the caller's, as NVML's own contract wants them.
    whole("nvmlDeviceGetMigDeviceHandleByIndex", device_handle, |gpu| unsafe {
        if !gpu.instances.contains_key(&index) {
            return NOT_FOUND;
        }
        put(to, device_handle + 1 + usize::try_from(index).unwrap_or_default())
    })
}

/// # Safety
///
/// As `nvml.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetGpuInstanceId(device_handle: Handle, to: *mut c_uint) -> c_uint {
    // SAFETY: pointers are the caller's, as NVML's own contract wants them.
    instance("nvmlDeviceGetGpuInstanceId", device_handle, |found| unsafe { put(to, found.gpu_instance) })
}

/// # Safety
///
/// As `nvml.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetComputeInstanceId(device_handle: Handle, to: *mut c_uint) -> c_uint {
    // SAFETY: pointers are the caller's, as NVML's own contract wants them.
    instance("nvmlDeviceGetComputeInstanceId", device_handle, |found| unsafe { put(to, found.compute_instance) })
}
