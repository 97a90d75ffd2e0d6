//! Real kind clusters through the Docker API: not in this version, and said so.

use crate::contract::{Capabilities, EngineKind, GpuSupport};

/// What `doctor` and the pages say of this engine.
pub fn offers() -> Capabilities {
    Capabilities {
        engine: EngineKind::Kind,
        simulated: false,
        snapshots: false,
        network_policy_enforced: true,
        gpus: GpuSupport::None,
        unavailable: Some("real kind clusters are not in this version of Cordon; labs run on the simulated sandbox".to_owned()),
    }
}
