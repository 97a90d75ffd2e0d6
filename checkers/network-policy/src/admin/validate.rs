//! What the API server says about an administrator's policy. Its kinds are CustomResourceDefinitions: those of the experimental channel of
//! network-policy-api v0.1.7 (v1alpha1) and v0.3.0 (v1alpha2, v1beta1), which has every field.

use super::{
    AdminKind,
    schema::{Broken, Object, Schema, Text, check},
};
use crate::validate::{Problems, metadata};
use ipnet::IpNet;
use serde_json::Value;
use std::str::FromStr;

static STRING: Schema = Schema::Text(Text::ANY);
static PORT_NUMBER: Schema = Schema::Integer { min: 1, max: 65535 };
static PRIORITY: Schema = Schema::Integer { min: 0, max: 1000 };
static EXPRESSION: Schema = Schema::Object(Object {
    fields: &[("key", &STRING), ("operator", &STRING), ("values", &list(&STRING, (0, usize::MAX)))],
    required: &["key", "operator"],
    ..Object::ANY
});
static SELECTOR: Schema = Schema::Object(Object {
    fields: &[("matchExpressions", &list(&EXPRESSION, (0, usize::MAX))), ("matchLabels", &Schema::Strings)],
    ..Object::ANY
});
static NAMESPACED_POD: Schema = Schema::Object(Object {
    fields: &[("namespaceSelector", &SELECTOR), ("podSelector", &SELECTOR)],
    required: &["namespaceSelector", "podSelector"],
    ..Object::ANY
});
/// A subject, and whom traffic may come from.
static PODS: Schema = Schema::Object(Object { fields: &[("namespaces", &SELECTOR), ("pods", &NAMESPACED_POD)], ..Object::ONE_FIELD });

const fn list(items: &'static Schema, (min, max): (usize, usize)) -> Schema {
    Schema::List { items, min, max, set: false }
}

const fn set(items: &'static Schema) -> Schema {
    Schema::List { items, min: 1, max: 25, set: true }
}

/// The rules of one direction.
macro_rules! rules {
    ($actions:expr, $limit:expr, $peers_key:expr => $peers:expr, $ports_key:expr => $ports:expr, $rule:expr) => {
        list(
            &Schema::Object(Object {
                fields: &[
                    ("action", &Schema::Text(Text { choices: $actions, ..Text::ANY })),
                    ($peers_key, &list($peers, (1, $limit))),
                    ("name", &Schema::Text(Text { max_bytes: 100, ..Text::ANY })),
                    ($ports_key, &list($ports, (1, $limit))),
                ],
                required: &["action", $peers_key],
                rule: $rule,
                ..Object::ANY
            }),
            (0, $limit),
        )
    };
}

mod v1alpha1 {
    use super::*;

    static CIDR: Schema = Schema::Text(Text { max_bytes: 43, rule: Some(|value| broken_cidr(value, |_| true)), ..Text::ANY });
    static DOMAIN: Schema = Schema::Text(Text {
        pattern: Some((r"^(\*\.)?([a-zA-z0-9]([-a-zA-Z0-9_]*[a-zA-Z0-9])?\.)+[a-zA-z0-9]([-a-zA-Z0-9_]*[a-zA-Z0-9])?\.?$", |text| {
            // `A-z` also spans what lies between the capital and the small letters.
            is_domain(text, |byte| byte.is_ascii_digit() || (b'A'..=b'z').contains(&byte))
        })),
        ..Text::ANY
    });
    static PORT: Schema = Schema::Object(Object {
        fields: &[
            ("namedPort", &STRING),
            (
                "portNumber",
                // The protocol has a default.
                &Schema::Object(Object { fields: &[("port", &PORT_NUMBER), ("protocol", &STRING)], required: &["port"], ..Object::ANY }),
            ),
            (
                "portRange",
                &Schema::Object(Object {
                    fields: &[("end", &PORT_NUMBER), ("protocol", &STRING), ("start", &PORT_NUMBER)],
                    required: &["end", "start"],
                    ..Object::ANY
                }),
            ),
        ],
        ..Object::ONE_FIELD
    });
    static TO: Schema = Schema::Object(Object {
        fields: &[
            ("domainNames", &set(&DOMAIN)),
            ("namespaces", &SELECTOR),
            ("networks", &set(&CIDR)),
            ("nodes", &SELECTOR),
            ("pods", &NAMESPACED_POD),
        ],
        ..Object::ONE_FIELD
    });
    static BASELINE_TO: Schema = Schema::Object(Object {
        fields: &[("namespaces", &SELECTOR), ("networks", &set(&CIDR)), ("nodes", &SELECTOR), ("pods", &NAMESPACED_POD)],
        ..Object::ONE_FIELD
    });
    const NAMED: Broken = |rule| {
        named_port_of_no_pod(rule, "ports", "namedPort").then_some(
            "networks/nodes/domainNames peer cannot be set with namedPorts since there are no namedPorts for networks/nodes/domainNames",
        )
    };
    const BASELINE_NAMED: Broken = |rule| {
        named_port_of_no_pod(rule, "ports", "namedPort")
            .then_some("networks/nodes peer cannot be set with namedPorts since there are no namedPorts for networks/nodes")
    };

    pub(super) static ADMIN: Schema = Schema::Object(Object {
        fields: &[
            ("egress", &rules!(&["Allow", "Deny", "Pass"], 100, "to" => &TO, "ports" => &PORT, Some(NAMED))),
            ("ingress", &rules!(&["Allow", "Deny", "Pass"], 100, "from" => &PODS, "ports" => &PORT, None)),
            ("priority", &PRIORITY),
            ("subject", &PODS),
        ],
        required: &["priority", "subject"],
        ..Object::ANY
    });
    pub(super) static BASELINE: Schema = Schema::Object(Object {
        fields: &[
            ("egress", &rules!(&["Allow", "Deny"], 100, "to" => &BASELINE_TO, "ports" => &PORT, Some(BASELINE_NAMED))),
            ("ingress", &rules!(&["Allow", "Deny"], 100, "from" => &PODS, "ports" => &PORT, None)),
            ("subject", &PODS),
        ],
        required: &["subject"],
        ..Object::ANY
    });
}

mod v1alpha2 {
    use super::*;

    static CIDR: Schema =
        Schema::Text(Text { max_bytes: 43, rule: Some(|value| broken_cidr(value, |net| *net == net.trunc())), ..Text::ANY });
    static DOMAIN: Schema = Schema::Text(Text {
        pattern: Some((r"^(\*\.)?([a-zA-Z0-9]([-a-zA-Z0-9_]*[a-zA-Z0-9])?\.)+[a-zA-Z0-9]([-a-zA-Z0-9_]*[a-zA-Z0-9])?\.?$", |text| {
            is_domain(text, |byte| byte.is_ascii_alphanumeric())
        })),
        ..Text::ANY
    });
    static RANGE: Schema = Schema::Object(Object {
        fields: &[("end", &PORT_NUMBER), ("start", &PORT_NUMBER)],
        required: &["end", "start"],
        rule: Some(|range| (range["start"].as_f64() >= range["end"].as_f64()).then_some("Start port must be less than End port")),
        ..Object::ANY
    });
    static TRANSPORT: Schema = Schema::Object(Object {
        fields: &[(
            "destinationPort",
            &Schema::Object(Object { fields: &[("number", &PORT_NUMBER), ("range", &RANGE)], ..Object::ONE_FIELD }),
        )],
        count: (1, usize::MAX),
        ..Object::ANY
    });
    static PROTOCOL: Schema = Schema::Object(Object {
        fields: &[("destinationNamedPort", &STRING), ("sctp", &TRANSPORT), ("tcp", &TRANSPORT), ("udp", &TRANSPORT)],
        ..Object::ONE_FIELD
    });
    static TO: Schema = Schema::Object(Object {
        fields: &[
            ("domainNames", &set(&DOMAIN)),
            ("namespaces", &SELECTOR),
            ("networks", &set(&CIDR)),
            ("nodes", &SELECTOR),
            ("pods", &NAMESPACED_POD),
        ],
        ..Object::ONE_FIELD
    });
    const NAMED: Broken = |rule| {
        named_port_of_no_pod(rule, "protocols", "destinationNamedPort").then_some(
            "networks/nodes/domainNames peer cannot be set with namedPorts since there are no namedPorts for networks/nodes/domainNames",
        )
    };

    pub(super) static CLUSTER: Schema = Schema::Object(Object {
        fields: &[
            ("egress", &rules!(&["Accept", "Deny", "Pass"], 25, "to" => &TO, "protocols" => &PROTOCOL, Some(NAMED))),
            ("ingress", &rules!(&["Accept", "Deny", "Pass"], 25, "from" => &PODS, "protocols" => &PROTOCOL, None)),
            ("priority", &PRIORITY),
            ("subject", &PODS),
            ("tier", &Schema::Text(Text { choices: &["Admin", "Baseline"], ..Text::ANY })),
        ],
        required: &["priority", "subject", "tier"],
        ..Object::ANY
    });
}

pub(crate) fn validate(all: &mut Problems, object: &Value, kind: AdminKind) {
    let Some(_) = all.fields(object, "", &["apiVersion", "kind", "metadata", "spec", "status"]) else { return };
    metadata(all, &object["metadata"]);
    if object["spec"].is_null() {
        return all.required("spec", "");
    }
    let schema = match kind {
        AdminKind::AdminNetworkPolicy => &v1alpha1::ADMIN,
        AdminKind::BaselineAdminNetworkPolicy => &v1alpha1::BASELINE,
        AdminKind::ClusterNetworkPolicy => &v1alpha2::CLUSTER,
    };
    let asked = check(all, schema, &object["spec"], "spec");
    if asked && kind == AdminKind::BaselineAdminNetworkPolicy && object["metadata"]["name"] != "default" {
        // The rule is one of the whole object.
        let message = "Only one baseline admin network policy with metadata.name=\"default\" can be created in the cluster";
        all.add("metadata.name", format!("Invalid value: \"object\": {message}"));
    }
}

fn broken_cidr(value: &Value, more: fn(&IpNet) -> bool) -> Option<&'static str> {
    let net = value.as_str().and_then(|text| IpNet::from_str(text).ok());
    // An IPv4 address in IPv6 clothes is none.
    let fine = net.is_some_and(|net| more(&net) && !matches!(net, IpNet::V6(net) if net.addr().to_ipv4_mapped().is_some()));
    (!fine).then_some("Invalid CIDR format provided")
}

/// `first`: what a label may begin with.
fn is_domain(text: &str, first: fn(u8) -> bool) -> bool {
    let text = text.strip_prefix("*.").unwrap_or(text);
    let text = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| match label.as_bytes() {
        [] => false,
        [only] => first(*only),
        [head, middle @ .., last] => {
            first(*head) && last.is_ascii_alphanumeric() && middle.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte))
        }
    };
    text.contains('.') && text.split('.').all(label)
}

fn named_port_of_no_pod(rule: &Value, ports_key: &str, name_key: &str) -> bool {
    let any = |list: &Value, keys: &[&str]| {
        list.as_array().is_some_and(|items| items.iter().any(|item| keys.iter().any(|key| !item[*key].is_null())))
    };
    any(&rule["to"], &["networks", "nodes", "domainNames"]) && any(&rule[ports_key], &[name_key])
}
