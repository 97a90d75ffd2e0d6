//! Virtual clusters on an existing Kubernetes: not in this version, and said so.

use crate::contract::{Capabilities, EngineKind, GpuSupport};

/// What `doctor` and the pages say of this engine.
pub fn offers() -> Capabilities {
    Capabilities {
        engine: EngineKind::Host,
        simulated: false,
        snapshots: false,
        network_policy_enforced: None,
        gpus: GpuSupport::None,
        unavailable: Some(
            "clusters on an existing Kubernetes are not in this version of Cordon; labs run on the simulated sandbox".to_owned(),
        ),
    }
}
