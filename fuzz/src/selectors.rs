//! Selectors: each line as a label selector and as a field selector of some kinds.

use machinery::{
    Scheme,
    selector::{FieldSelector, LabelSelector},
};
use serde_json::json;

pub fn run(input: &[u8]) {
    let object = json!({"metadata": {"name": "a", "namespace": "b", "labels": {"app": "a", "tier": "web"}}, "spec": {"nodeName": "n"}});
    for line in String::from_utf8_lossy(input).lines() {
        if let Ok(selector) = LabelSelector::parse(line) {
            let _ = selector.matches(object["metadata"]["labels"].as_object());
            let _ = selector.matches(None);
        }
        for (group, version, plural) in [("", "v1", "pods"), ("", "v1", "events"), ("apps", "v1", "deployments")] {
            let resource = Scheme::find_builtin(group, version, plural).expect("it is served");
            if let Ok(selector) = FieldSelector::parse(resource, line) {
                let _ = selector.matches(&object);
            }
        }
    }
    if let Ok(selector) = serde_json::from_slice(input) {
        let _ = LabelSelector::from_object(&selector).map(|selector| selector.matches(object["metadata"]["labels"].as_object()));
    }
}
