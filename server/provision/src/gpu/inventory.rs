//! What NVML says of the GPUs of a machine, in types of our own.

use crate::gpu::choose::{self, Device};
use std::fmt;

/// What the driver said, or why it said nothing.
pub type Reading<T> = Result<T, String>;

/// One look at a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// No NVIDIA driver is installed, and nothing is wrong.
    NoDriver,
    /// There is a driver, and it does not work.
    Broken {
        cause: String,
        remedy: String,
    },
    Found(Inventory),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    /// As `570.86.15`.
    pub driver: Reading<String>,
    /// Newest CUDA that the driver runs: major and minor.
    pub cuda: Reading<(u32, u32)>,
    pub confidential: Reading<Confidential>,
    /// In NVML's order.
    pub gpus: Vec<Gpu>,
    /// GPUs that NVML counts and that do not answer.
    pub lost: Vec<Lost>,
}

/// One whole GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// NVML's number, which may be another one after the next boot.
    pub index: u32,
    /// `GPU-…`, which stays.
    pub uuid: String,
    /// As `NVIDIA H100 80GB HBM3`.
    pub name: String,
    /// Its device node is `/dev/nvidia<minor>`. Not always the index.
    pub minor: Reading<u32>,
    pub pci_bus_id: Reading<String>,
    pub memory: Reading<Memory>,
    pub compute_mode: Reading<ComputeMode>,
    pub compute_capability: Reading<(u32, u32)>,
    pub processes: Reading<Vec<Process>>,
    /// Whether the GPU can be divided into instances.
    pub mig_capable: bool,
    /// Whether it is divided now.
    pub mig: Reading<bool>,
    pub instances: Vec<MigInstance>,
}

/// A part of a GPU with memory and processors of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigInstance {
    /// `MIG-…`.
    pub uuid: String,
    /// As `1g.10gb`.
    pub profile: Reading<String>,
    /// Its numbers on the GPU, by which the kernel names its capabilities.
    pub gpu_instance: Reading<u32>,
    pub compute_instance: Reading<u32>,
    pub memory: Reading<Memory>,
}

/// Bytes. What the driver itself has set aside is not in `used`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    pub total: u64,
    pub used: u64,
}

/// A process that holds a context on a GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    pub does: Use,
    /// Bytes.
    pub memory: Option<u64>,
    /// Of a process on a MIG instance.
    pub gpu_instance: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Compute,
    Graphics,
}

/// As `nvidia-smi` spells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComputeMode {
    Default,
    ExclusiveProcess,
    Prohibited,
}

/// Confidential computing is a mode of the machine: NVML says one for all its GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confidential {
    pub enabled: bool,
    /// Debuggers may look in: nothing is confidential then.
    pub dev_tools: bool,
    /// Whether the GPUs take work, which they do after attestation.
    pub ready: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    pub index: u32,
    pub why: String,
}

impl Inventory {
    /// The GPU or MIG instance of this UUID, used or not; `None` where it is not here, or a node could not be kept to it.
    pub fn device(&self, uuid: &str) -> Option<Device> {
        let whole = |gpu: &Gpu| gpu.uuid == uuid;
        let part =
            |gpu: &Gpu| gpu.instances.iter().any(|part| part.uuid == uuid && part.gpu_instance.is_ok() && part.compute_instance.is_ok());
        self.gpus.iter().find(|gpu| gpu.minor.is_ok() && (whole(gpu) || part(gpu)))?;
        choose::devices(self).into_iter().map(|(device, _)| device).find(|device| device.uuid == uuid)
    }
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Compute => "compute",
            Self::Graphics => "graphics",
        })
    }
}

impl fmt::Display for ComputeMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "Default",
            Self::ExclusiveProcess => "Exclusive_Process",
            Self::Prohibited => "Prohibited",
        })
    }
}
