//! Folders with `policies.yaml`, `resources.yaml` and `aux.json`: what the policies say, a JSON line for each rule.

use kyverno::{Evidence, Policies};
use serde_json::{Value, json};
use std::{fs, io::Write, path::Path};

fn documents(path: &Path) -> Vec<Value> {
    let Ok(bytes) = fs::read(path) else { return Vec::new() };
    match checkers::manifest::read(&bytes) {
        Ok(manifests) => manifests.into_iter().map(|manifest| manifest.value).collect(),
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            Vec::new()
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "an example is an edge: functions such as time_now() need the time")]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

fn main() {
    let mut out = std::io::stdout().lock();
    for folder in std::env::args().skip(1) {
        let folder = Path::new(&folder);
        let policies = Policies::read(&documents(&folder.join("policies.yaml")));
        for finding in &policies.findings {
            eprintln!("{}: {}: {}", finding.document, finding.field, finding.message);
        }
        let mut evidence = Evidence { now: now(), ..Evidence::default() };
        let aux: Value = fs::read(folder.join("aux.json")).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        evidence.add(&aux);
        for result in kyverno::apply(&policies, &documents(&folder.join("resources.yaml")), &evidence) {
            let line = json!(result);
            let _ = writeln!(out, "{line}");
        }
    }
}
