//! Whether the API server would take a policy, and what it would say if not.

use crate::{
    admin::{self, AdminKind},
    labels,
};
use ipnet::IpNet;
use serde_json::{Map, Value};
use std::{fmt, str::FromStr};

/// One complaint: field and words as in a Status' causes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub field: String,
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// Validates a whole object, a NetworkPolicy or one of the administrators' kinds. Empty: it would be accepted.
pub fn validate(object: &Value) -> Vec<Problem> {
    let mut all = Problems::default();
    if let Some(kind) = AdminKind::of(object) {
        admin::validate(&mut all, object, kind);
        return all.0;
    }
    if object["kind"] != "NetworkPolicy" || object["apiVersion"] != "networking.k8s.io/v1" {
        all.add("kind", "must be NetworkPolicy of networking.k8s.io/v1");
        return all.0;
    }
    if let Some(fields) = all.fields(object, "", &["apiVersion", "kind", "metadata", "spec", "status"]) {
        metadata(&mut all, fields.get("metadata").unwrap_or(&Value::Null));
        if let Some(spec) = all.fields(&object["spec"], "spec", &["podSelector", "ingress", "egress", "policyTypes"]) {
            policy(&mut all, spec);
        }
    }
    all.0
}

#[derive(Default)]
pub(crate) struct Problems(Vec<Problem>);

impl Problems {
    pub(crate) fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem { field: field.into(), message: message.into() });
    }

    pub(crate) fn required(&mut self, field: impl Into<String>, detail: &str) {
        let message = if detail.is_empty() { "Required value".to_owned() } else { format!("Required value: {detail}") };
        self.add(field, message);
    }

    pub(crate) fn invalid(&mut self, field: impl Into<String>, value: &Value, detail: impl fmt::Display) {
        let value = if value.is_null() { "null".to_owned() } else { value.to_string() };
        self.add(field, format!("Invalid value: {value}: {detail}"));
    }

    pub(crate) fn unsupported(&mut self, field: impl Into<String>, value: &Value, supported: &[&str]) {
        let supported: Vec<_> = supported.iter().map(|s| format!("\"{s}\"")).collect();
        self.add(field, format!("Unsupported value: {value}: supported values: {}", supported.join(", ")));
    }

    /// The fields of an object; unknown ones are complained about, nothing is an empty object.
    pub(crate) fn fields<'a>(&mut self, value: &'a Value, path: &str, known: &[&str]) -> Option<&'a Map<String, Value>> {
        static EMPTY: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
        match value {
            Value::Null => Some(&EMPTY),
            Value::Object(fields) => {
                for key in fields.keys().filter(|key| !known.contains(&key.as_str())) {
                    let field = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    self.add(field, "unknown field");
                }
                Some(fields)
            }
            _ => {
                self.add(path, "must be an object");
                None
            }
        }
    }

    fn items<'a>(&mut self, value: &'a Value, path: &str) -> &'a [Value] {
        match value {
            Value::Null => &[],
            Value::Array(items) => items,
            _ => {
                self.add(path, "must be an array");
                &[]
            }
        }
    }
}

pub(crate) fn metadata(all: &mut Problems, metadata: &Value) {
    match metadata["name"].as_str() {
        None | Some("") if metadata["generateName"].is_string() => {}
        None | Some("") => all.required("metadata.name", "name or generateName is required"),
        Some(name) => {
            if let Some(message) = labels::object_name(name) {
                all.invalid("metadata.name", &metadata["name"], message);
            }
        }
    }
}

fn policy(all: &mut Problems, spec: &Map<String, Value>) {
    let get = |key: &str| spec.get(key).unwrap_or(&Value::Null);
    selector(all, get("podSelector"), "spec.podSelector");
    for (direction, peers_key) in [("ingress", "from"), ("egress", "to")] {
        let path = format!("spec.{direction}");
        for (r, rule) in all.items(get(direction), &path).iter().enumerate() {
            let path = format!("{path}[{r}]");
            let Some(_) = all.fields(rule, &path, &[peers_key, "ports"]) else { continue };
            let ports_path = format!("{path}.ports");
            for (p, port_value) in all.items(&rule["ports"], &ports_path).iter().enumerate() {
                port(all, port_value, &format!("{ports_path}[{p}]"));
            }
            let peers_path = format!("{path}.{peers_key}");
            for (p, peer_value) in all.items(&rule[peers_key], &peers_path).iter().enumerate() {
                peer(all, peer_value, &format!("{peers_path}[{p}]"));
            }
        }
    }
    let types = all.items(get("policyTypes"), "spec.policyTypes");
    if types.len() > 2 {
        all.invalid("spec.policyTypes", get("policyTypes"), "may not specify more than two policyTypes");
        return;
    }
    for (index, kind) in types.iter().enumerate() {
        if kind != "Ingress" && kind != "Egress" {
            all.unsupported(format!("spec.policyTypes[{index}]"), kind, &["Egress", "Ingress"]);
        }
    }
}

fn selector(all: &mut Problems, value: &Value, path: &str) {
    let Some(_) = all.fields(value, path, &["matchLabels", "matchExpressions"]) else { return };
    match &value["matchLabels"] {
        Value::Null => {}
        Value::Object(labels) => {
            let path = format!("{path}.matchLabels");
            for (key, value) in labels {
                if let Some(message) = labels::label_key(key) {
                    all.invalid(&path, &Value::String(key.clone()), message);
                }
                match value.as_str() {
                    None => all.add(format!("{path}[{key}]"), "must be a string"),
                    Some(text) => {
                        if let Some(message) = labels::label_value(text) {
                            all.invalid(&path, value, message);
                        }
                    }
                }
            }
        }
        _ => all.add(format!("{path}.matchLabels"), "must be an object"),
    }
    let path = format!("{path}.matchExpressions");
    for (index, expression) in all.items(&value["matchExpressions"], &path).iter().enumerate() {
        let path = format!("{path}[{index}]");
        let Some(_) = all.fields(expression, &path, &["key", "operator", "values"]) else { continue };
        let values_path = format!("{path}.values");
        let values = all.items(&expression["values"], &values_path);
        match expression["operator"].as_str() {
            Some("In" | "NotIn") if values.is_empty() => {
                all.required(&values_path, "must be specified when `operator` is 'In' or 'NotIn'");
            }
            Some("In" | "NotIn") => {}
            Some("Exists" | "DoesNotExist") if !values.is_empty() => {
                all.add(&values_path, "Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
            }
            Some("Exists" | "DoesNotExist") => {}
            _ => all.invalid(format!("{path}.operator"), &expression["operator"], "not a valid selector operator"),
        }
        let key = expression["key"].as_str().unwrap_or_default();
        if let Some(message) = labels::label_key(key) {
            all.invalid(format!("{path}.key"), &Value::String(key.to_owned()), message);
        }
        for (v, value) in values.iter().enumerate() {
            match value.as_str() {
                None => all.add(format!("{values_path}[{v}]"), "must be a string"),
                Some(text) => {
                    if let Some(message) = labels::label_value(text) {
                        all.invalid(format!("{values_path}[{v}]"), value, message);
                    }
                }
            }
        }
    }
}

fn port(all: &mut Problems, value: &Value, path: &str) {
    const RANGE: &str = "must be between 1 and 65535, inclusive";
    let Some(_) = all.fields(value, path, &["protocol", "port", "endPort"]) else { return };
    let protocol = &value["protocol"];
    if !protocol.is_null() && !matches!(protocol.as_str(), Some("TCP" | "UDP" | "SCTP")) {
        all.unsupported(format!("{path}.protocol"), protocol, &["SCTP", "TCP", "UDP"]);
    }
    let (port, end) = (&value["port"], &value["endPort"]);
    let (port_path, end_path) = (format!("{path}.port"), format!("{path}.endPort"));
    let valid = |number: i64| (1..=65535).contains(&number);
    if !(end.is_null() || end.is_i64()) {
        all.add(&end_path, "must be an integer");
        return;
    }
    match port {
        Value::Null => {
            if !end.is_null() {
                all.invalid(&end_path, end, "may not be specified when `port` is not specified");
            }
        }
        Value::String(name) => {
            if !end.is_null() {
                all.invalid(&end_path, end, "may not be specified when `port` is non-numeric");
            }
            for message in labels::port_name(name) {
                all.invalid(&port_path, port, message);
            }
        }
        _ => {
            let Some(number) = port.as_i64() else {
                all.add(&port_path, "must be an integer or a string");
                return;
            };
            if !valid(number) {
                all.invalid(&port_path, port, RANGE);
            }
            if let Some(last) = end.as_i64() {
                if last < number {
                    all.invalid(&end_path, port, "must be greater than or equal to `port`");
                }
                if !valid(last) {
                    all.invalid(&end_path, end, RANGE);
                }
            }
        }
    }
}

fn peer(all: &mut Problems, value: &Value, path: &str) {
    let Some(_) = all.fields(value, path, &["ipBlock", "namespaceSelector", "podSelector"]) else { return };
    let selectors: Vec<&str> = ["podSelector", "namespaceSelector"].into_iter().filter(|key| !value[*key].is_null()).collect();
    for key in &selectors {
        selector(all, &value[*key], &format!("{path}.{key}"));
    }
    let block = &value["ipBlock"];
    if !block.is_null() {
        ip_block(all, block, &format!("{path}.ipBlock"));
        if !selectors.is_empty() {
            all.add(path, "Forbidden: may not specify both ipBlock and another peer");
        }
    } else if selectors.is_empty() {
        all.required(path, "must specify a peer");
    }
}

fn ip_block(all: &mut Problems, block: &Value, path: &str) {
    const CIDR: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
    let Some(_) = all.fields(block, path, &["cidr", "except"]) else { return };
    let read = |value: &Value| value.as_str().and_then(|text| IpNet::from_str(text).ok());
    let cidr_path = format!("{path}.cidr");
    if block["cidr"].as_str().unwrap_or_default().is_empty() {
        all.required(&cidr_path, "");
        return;
    }
    let Some(cidr) = read(&block["cidr"]) else {
        all.invalid(&cidr_path, &block["cidr"], CIDR);
        return;
    };
    let path = format!("{path}.except");
    for (index, item) in all.items(&block["except"], &path).iter().enumerate() {
        let path = format!("{path}[{index}]");
        match read(item) {
            None => all.invalid(path, item, CIDR),
            Some(except) if !cidr.contains(&except.addr()) || except.prefix_len() <= cidr.prefix_len() => {
                all.invalid(path, item, "must be a strict subset of `cidr`");
            }
            Some(_) => {}
        }
    }
}
