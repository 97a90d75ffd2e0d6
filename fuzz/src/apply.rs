//! Server-side apply: `v1 pods`, then configurations that one manager after another applies, divided by lines of three dashes.

use super::input::{parts, resource};
use machinery::apply::{self, Manager};

pub fn run(input: &[u8]) {
    let parts = parts(input);
    let Some((first, configurations)) = parts.split_first() else { return };
    let resource = resource(first);
    let mut live = None;
    for (index, text) in configurations.iter().take(8).enumerate() {
        let Ok(configuration) = apply::read(text.as_bytes()) else { continue };
        // The third comes from the first again, and so takes away what it does not say any more.
        let name = ["kubectl", "controller"][index % 2];
        let manager = Manager { name, subresource: "", now: jiff::Timestamp::UNIX_EPOCH };
        let _ = apply::apply(resource, live.as_ref(), &configuration, &manager, false);
        let Ok(applied) = apply::apply(resource, live.as_ref(), &configuration, &manager, true) else { continue };
        let mut updated = applied.clone();
        updated["metadata"]["labels"] = serde_json::json!({"by": "update"});
        apply::track_update(resource, Some(&applied), &mut updated, &Manager { name: "editor", ..manager });
        live = Some(if index % 3 == 2 { updated } else { applied });
    }
}
