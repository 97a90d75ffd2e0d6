//! Server-side apply: `v1 pods`, then configurations that one manager after another applies, divided by lines of three dashes.

use machinery::{
    Resource, Scheme,
    apply::{self, Manager},
};

/// Parts of an input, divided by lines of three dashes.
fn parts(input: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(input).split("\n---\n").map(str::to_owned).collect()
}

/// `apps/v1 deployments …`; pods where it names nothing.
fn resource(line: &str) -> &'static Resource {
    let mut words = line.split_whitespace();
    let (version, plural) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let named = Scheme::builtin().iter().find(|resource| resource.api_version() == version && resource.plural == plural);
    named.or_else(|| Scheme::find_builtin("", "v1", "pods")).expect("there are pods")
}

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
