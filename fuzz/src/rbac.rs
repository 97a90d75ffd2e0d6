//! RBAC: a list of roles and bindings in YAML.

use rbac::{Attributes, Policy, User};
use serde_json::Value;

pub fn run(input: &[u8]) {
    let Ok(objects) = serde_saphyr::from_str::<Vec<Value>>(&String::from_utf8_lossy(input)) else { return };
    let policy = Policy::new(&objects, |selector, labels| selector["matchLabels"] == *labels);
    let _ = rbac::findings(&policy);
    for (resource, namespace, path) in [("secrets", "default", ""), ("clusterroles", "", ""), ("", "", "/healthz")] {
        let attributes = Attributes {
            verb: "get".to_owned(),
            is_resource: path.is_empty(),
            resource: resource.to_owned(),
            namespace: namespace.to_owned(),
            path: path.to_owned(),
            ..Attributes::default()
        };
        for subject in rbac::subjects(&policy) {
            let groups = subject.groups();
            let may = rbac::authorize(&policy, User { name: &subject.user(), groups: &groups }, &attributes).is_some();
            assert_eq!(policy.allows(&subject, &attributes).is_some(), may, "{subject}");
        }
    }
    let user = User { name: "jane", groups: &[] };
    for object in &objects {
        let _ = rbac::escalation::check(&policy, &policy, user, object, None);
    }
}
