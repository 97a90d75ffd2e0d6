//! Tables from <https://kubernetes.io/docs/reference/access-authn-authz/rbac/>.

mod policy;
mod requests;
mod rules;

use crate::{Attributes, Policy};
use serde_json::Value;

/// Label selectors with `matchLabels` only: whoever uses the crate brings the whole of them.
fn match_labels(selector: &Value, labels: &Value) -> bool {
    selector["matchLabels"].as_object().is_some_and(|wanted| wanted.iter().all(|(key, value)| labels[key] == *value))
}

fn policy(yaml: &str) -> Policy {
    let objects: Vec<Value> = serde_saphyr::from_multiple(yaml).expect("the test's objects are YAML");
    Policy::new(&objects, match_labels)
}

/// `get pods/log serving -n ml`, `list apps/deployments`, `get /metrics`.
fn request(words: &str) -> Attributes {
    let mut attributes = Attributes::default();
    let mut words = words.split(' ');
    attributes.verb = words.next().unwrap_or_default().to_owned();
    let mut positional = 0;
    while let Some(word) = words.next() {
        if word == "-n" {
            attributes.namespace = words.next().unwrap_or_default().to_owned();
        } else if word.starts_with('/') {
            attributes.path = word.to_owned();
        } else if positional == 0 {
            positional += 1;
            attributes.is_resource = true;
            let (group, rest) = word.split_once(':').unwrap_or(("", word));
            attributes.group = group.to_owned();
            let (resource, subresource) = rest.split_once('/').unwrap_or((rest, ""));
            (attributes.resource, attributes.subresource) = (resource.to_owned(), subresource.to_owned());
        } else {
            attributes.name = word.to_owned();
        }
    }
    attributes
}
