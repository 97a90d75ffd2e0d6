//! The two calls that nvml-wrapper does not have: a MIG instance's numbers on its GPU.
#![expect(unsafe_code, reason = "nvml-wrapper loads these functions and wraps them nowhere")]

use nvml_wrapper::{
    Device,
    error::{NvmlError, nvml_sym, nvml_try},
};

/// `nvmlDeviceGetGpuInstanceId` of a MIG device.
pub fn gpu_instance(device: &Device<'_>) -> Result<u32, NvmlError> {
    let get = nvml_sym(device.nvml().lib().nvmlDeviceGetGpuInstanceId.as_ref())?;
    let mut id = 0;
    // SAFETY: the handle comes from the library that `get` belongs to, which `device` keeps loaded; NVML writes one number.
    nvml_try(unsafe { get(device.handle(), &raw mut id) })?;
    Ok(id)
}

/// `nvmlDeviceGetComputeInstanceId` of a MIG device.
pub fn compute_instance(device: &Device<'_>) -> Result<u32, NvmlError> {
    let get = nvml_sym(device.nvml().lib().nvmlDeviceGetComputeInstanceId.as_ref())?;
    let mut id = 0;
    // SAFETY: as above.
    nvml_try(unsafe { get(device.handle(), &raw mut id) })?;
    Ok(id)
}
