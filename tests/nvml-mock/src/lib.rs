//! NVIDIA's management library for tests, without a driver.
//!
//! ```text
//! test ──► library(folder, &Machine) ──► libnvidia-ml.so + libnvidia-ml.json
//!                                              ▲ dlopen
//! provision::gpu::nvml::look ──────────────────┘   every nvmlInit reads the JSON anew
//! ```
//!
//! The same crate is the library that is loaded (`abi`) and what tests describe it with. It exports only what `provision` calls. It
//! must never answer what its description does not say.

mod abi;

use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// One machine, as NVML would see it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Machine {
    pub driver: String,
    /// As NVML counts: 12080 is 12.8.
    pub cuda: i32,
    pub gpus: Vec<Gpu>,
    /// `None`: the driver says that this machine has none.
    pub confidential: Option<Confidential>,
    /// What a function returns instead of an answer, by its name: NVML's codes (15 is a GPU that is lost).
    pub errors: BTreeMap<String, u32>,
    /// Functions that an older driver does not have.
    pub lacks: Vec<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Gpu {
    pub uuid: String,
    pub name: String,
    pub minor: u32,
    pub pci_bus_id: String,
    /// Bytes.
    pub total: u64,
    pub used: u64,
    pub compute_mode: u32,
    pub compute_capability: (i32, i32),
    pub compute: Vec<Process>,
    pub graphics: Vec<Process>,
    /// `None`: this GPU cannot be divided.
    pub mig: Option<bool>,
    /// By their numbers on the GPU, with gaps.
    pub instances: BTreeMap<u32, Instance>,
    /// As [`Machine::errors`], for this GPU alone.
    pub errors: BTreeMap<String, u32>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Instance {
    pub uuid: String,
    pub profile: String,
    pub gpu_instance: u32,
    pub compute_instance: u32,
    pub total: u64,
    pub used: u64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Process {
    pub pid: u32,
    pub memory: Option<u64>,
    pub gpu_instance: Option<u32>,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Confidential {
    pub enabled: bool,
    pub dev_tools: bool,
    pub ready: bool,
}

/// Puts a library with this description into `folder`; the path is what NVML is loaded from. Again: the description is replaced, and
/// the next look sees another machine.
pub fn library(folder: &Path, machine: &Machine) -> io::Result<PathBuf> {
    let path = folder.join("libnvidia-ml.so");
    fs::write(path.with_extension("json"), serde_json::to_vec_pretty(machine)?)?;
    let mut bytes = fs::read(built()?)?;
    for function in &machine.lacks {
        // Another name of the same length in the table of names: the loader does not find the old one any more.
        let name = [&[0], function.as_bytes(), &[0]].concat();
        let places: Vec<usize> = (0..bytes.len().saturating_sub(name.len())).filter(|at| bytes[*at..].starts_with(&name)).collect();
        if places.is_empty() {
            return Err(io::Error::other(format!("the library exports no {function}")));
        }
        places.into_iter().for_each(|at| bytes[at + 1] = b'x');
    }
    // Never written in place: it may be loaded.
    let new = folder.join("libnvidia-ml.new");
    fs::write(&new, bytes)?;
    fs::rename(new, &path)?;
    Ok(path)
}

/// Cargo puts the library where it puts what a test is made of.
fn built() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let name = "libnvml_mock.so";
    let folders = program.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| io::Error::other(format!("there is no {name} beside {}", program.display())))
}
