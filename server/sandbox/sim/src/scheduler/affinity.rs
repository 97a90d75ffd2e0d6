//! Node selectors and node affinity.

use super::state::{NodeInfo, Refusal};
use crate::controllers::common::{int, items, text};
use machinery::object;
use serde_json::Value;

pub fn filter(node: &NodeInfo, pod: &Value) -> Result<(), Refusal> {
    if matches(&node.node, pod) { Ok(()) } else { Err(Refusal::unresolvable("node(s) didn't match Pod's node affinity/selector")) }
}

/// `nodeSelector` and the required node affinity together.
pub fn matches(node: &Value, pod: &Value) -> bool {
    let labels = object::labels(node);
    let selected = pod["spec"]["nodeSelector"]
        .as_object()
        .is_none_or(|wanted| wanted.iter().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value)));
    let required = &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    selected && (required.is_null() || node_selector_matches(required, node))
}

/// A `v1.NodeSelector`: any of its terms; an empty term matches nothing.
pub fn node_selector_matches(selector: &Value, node: &Value) -> bool {
    items(&selector["nodeSelectorTerms"]).iter().any(|term| term_matches(term, node))
}

fn term_matches(term: &Value, node: &Value) -> bool {
    let (expressions, fields) = (items(&term["matchExpressions"]), items(&term["matchFields"]));
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    let label = |key: &str| object::labels(node).and_then(|labels| labels.get(key)).and_then(Value::as_str);
    expressions.iter().all(|expression| requirement(expression, label(text(&expression["key"]))))
        && fields.iter().all(|field| {
            let value = (text(&field["key"]) == "metadata.name").then(|| object::name(node));
            requirement(field, value)
        })
}

fn requirement(expression: &Value, value: Option<&str>) -> bool {
    let listed = |value: &str| items(&expression["values"]).iter().any(|other| other == value);
    let bound = || items(&expression["values"]).first().and_then(Value::as_str).and_then(|text| text.parse::<i64>().ok());
    let number = || value.and_then(|text| text.parse::<i64>().ok());
    match text(&expression["operator"]) {
        "In" => value.is_some_and(listed),
        "NotIn" => value.is_none_or(|value| !listed(value)),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => number().zip(bound()).is_some_and(|(number, bound)| number > bound),
        "Lt" => number().zip(bound()).is_some_and(|(number, bound)| number < bound),
        _ => false,
    }
}

/// Sum of the weights of the preferred terms that the node matches.
pub fn preference(node: &NodeInfo, pod: &Value) -> i64 {
    let preferred = &pod["spec"]["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"];
    items(preferred).iter().filter(|term| term_matches(&term["preference"], &node.node)).map(|term| int(&term["weight"], 0)).sum()
}
