//! The GPUs of this machine: what is here, who may have which, and how a node keeps to its own.
//!
//! ```text
//! NVML ──► nvml ──► Inventory ──► choose ──► Device ──► passage   how Docker hands it over: CDI, or mounts
//!                       │            ▲                    mask      foreign device nodes leave the node
//!                       └─► labels   │                    listing   `nvidia-smi -L` in the node says the same
//!                                    └── claims of a GpuLedger, kept by the application
//! ```
//!
//! Only `nvml` asks the driver; everything else is a function of what it said. This room must never hand out a GPU that somebody
//! uses or of which the driver does not say who uses it, and never knows Docker: `kind` does.

pub mod choose;
pub mod inventory;
pub mod labels;
pub mod listing;
pub mod mask;
pub mod nvml;
pub mod passage;
mod raw;

pub use choose::{Device, GpuChoice, Slice, Wanted};
pub use inventory::{ComputeMode, Confidential, Gpu, Inventory, Look, Lost, Memory, MigInstance, Process, Reading, Use};
