//! Pod Security: an object in YAML that is a pod or holds one.

use pod_security::{Level, Version};
use serde_json::Value;

pub fn run(input: &[u8]) {
    let Ok(object) = serde_saphyr::from_str::<Value>(&String::from_utf8_lossy(input)) else { return };
    let template = pod_security::pod_template(&object);
    let (metadata, spec) = template.as_ref().map_or((&object["metadata"], &object["spec"]), |template| (template.metadata, template.spec));
    let _ = pod_security::malformed(metadata, spec);
    for level in [Level::Privileged, Level::Baseline, Level::Restricted] {
        for version in [Version::Minor(0), Version::Minor(24), Version::Latest] {
            let evaluation = pod_security::evaluate(level, version, metadata, spec);
            assert_eq!(evaluation.allowed(), evaluation.message().is_empty());
        }
    }
    let _ = pod_security::Policy::from_labels(object["metadata"]["labels"].as_object());
}
