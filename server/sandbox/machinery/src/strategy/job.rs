//! Jobs: the selector that they make for themselves.

use serde_json::{Value, json};

const LABELS: [(&str, &str); 4] = [
    ("job-name", "name"),
    ("batch.kubernetes.io/job-name", "name"),
    ("controller-uid", "uid"),
    ("batch.kubernetes.io/controller-uid", "uid"),
];

pub(super) fn prepare_create(job: &mut Value) {
    if job["spec"]["manualSelector"] == true || !job["spec"]["template"].is_object() {
        return;
    }
    let labels = LABELS.map(|(key, field)| (key, job["metadata"][field].as_str().unwrap_or_default().to_owned()));
    let uid = job["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let spec = &mut job["spec"];
    if !spec["template"]["metadata"].is_object() {
        spec["template"]["metadata"] = json!({});
    }
    let template = &mut spec["template"]["metadata"];
    let shared = template["labels"].clone();
    if !template["labels"].is_object() {
        template["labels"] = json!({});
    }
    for (key, value) in labels {
        if template["labels"].get(key).is_none() {
            template["labels"][key] = value.into();
        }
    }
    let all = template["labels"].clone();
    if !spec["selector"].is_object() {
        spec["selector"] = json!({});
    }
    if !spec["selector"]["matchLabels"].is_object() {
        spec["selector"]["matchLabels"] = json!({});
    }
    let key = "batch.kubernetes.io/controller-uid";
    if spec["selector"]["matchLabels"].get(key).is_none() {
        spec["selector"]["matchLabels"][key] = uid.into();
    }
    // A job without labels of its own takes its template's: in Go both are one map, so that these labels show there too.
    if job["metadata"]["labels"] == shared {
        job["metadata"]["labels"] = all;
    }
}
