//! How Go prints values of Kubernetes' internal types: as JSON with the names of the Go fields, in their order, nothing left out.
//! Messages that refuse a whole part of an object show it so.

use super::kit::{list, text};
use crate::field::{Shown, go_json_text, go_value};
use serde_json::Value;
use std::{collections::HashMap, sync::LazyLock};

struct Field {
    go_name: &'static str,
    json_name: &'static str,
    kind: &'static str,
}

static TYPES: LazyLock<HashMap<&'static str, Vec<Field>>> = LazyLock::new(|| {
    let mut types = HashMap::new();
    for line in include_str!("internal_types.txt").lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ');
        let name = words.next().unwrap_or_default();
        let fields = words.map(|word| {
            let mut parts = word.splitn(3, ':');
            let mut part = || parts.next().unwrap_or_default();
            Field { go_name: part(), json_name: part(), kind: part() }
        });
        types.insert(name, fields.collect());
    }
    types
});

/// A value of this type on one line, as a field error shows it.
pub(super) fn shown(kind: &str, value: &Value) -> Shown {
    let mut out = String::new();
    write(&mut out, kind, value, None);
    Shown::raw(out)
}

/// A list of values of this type.
pub(super) fn shown_list(kind: &str, values: &Value) -> Shown {
    let mut out = String::new();
    write_list(&mut out, kind, values, None);
    Shown::raw(out)
}

/// A value of this type on many lines, indented by single spaces, as diffs compare it.
pub(super) fn pretty(kind: &str, value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, kind, value, Some(0));
    out
}

/// `indent`: how deep, or none for a single line.
fn write(out: &mut String, kind: &str, value: &Value, indent: Option<usize>) {
    if value.is_null() {
        out.push_str("null");
        return;
    }
    let Some(fields) = TYPES.get(kind) else {
        plain(out, value, indent);
        return;
    };
    let inner = indent.map(|depth| depth + 1);
    let mut first = true;
    out.push('{');
    for field in fields {
        if let Some(embedded) = field.go_name.strip_prefix('#') {
            if embedded == "ObjectMeta" {
                metadata(out, &value["metadata"], inner, &mut first);
            }
            continue;
        }
        key(out, field.go_name, inner, &mut first);
        self::field(out, kind, field, value, inner);
    }
    close(out, '}', first, indent);
}

fn field(out: &mut String, kind: &str, field: &Field, owner: &Value, indent: Option<usize>) {
    // The pod's host flags stand in its security context inside Kubernetes, and in its spec outside.
    if kind == "PodSpec" && field.go_name == "SecurityContext" {
        let mut merged = owner["securityContext"].clone();
        if merged.is_object() {
            for flag in ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers"] {
                merged[flag] = owner[flag].clone();
            }
        }
        return write(out, "PodSecurityContext", &merged, indent);
    }
    let name = match (kind, field.go_name) {
        ("PodSecurityContext", "HostNetwork") => "hostNetwork",
        ("PodSecurityContext", "HostPID") => "hostPID",
        ("PodSecurityContext", "HostIPC") => "hostIPC",
        ("PodSecurityContext", "ShareProcessNamespace") => "shareProcessNamespace",
        ("PodSecurityContext", "HostUsers") => "hostUsers",
        _ => field.json_name,
    };
    let value = &owner[name];
    match field.kind {
        "s" => out.push_str(&go_json_text(text(value))),
        "n" => out.push_str(&value.as_i64().unwrap_or_default().to_string()),
        "b" => out.push_str(if *value == true { "true" } else { "false" }),
        "q" => out.push_str(&go_json_text(value.as_str().unwrap_or("0"))),
        "i" if value.is_null() => out.push('0'),
        of if of.starts_with('[') => write_list(out, &of[1..], value, indent),
        of if of.starts_with('*') => write(out, &of[1..], value, indent),
        of if of.starts_with('=') => {
            let empty = Value::Object(serde_json::Map::new());
            write(out, &of[1..], if value.is_null() { &empty } else { value }, indent);
        }
        _ => plain(out, value, indent),
    }
}

fn write_list(out: &mut String, kind: &str, values: &Value, indent: Option<usize>) {
    if values.is_null() {
        out.push_str("null");
        return;
    }
    let inner = indent.map(|depth| depth + 1);
    out.push('[');
    for (index, value) in list(values).iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        line(out, inner);
        write(out, kind, value, inner);
    }
    close(out, ']', list(values).is_empty(), indent);
}

/// The part of the metadata that is set: these names are the same inside and outside.
fn metadata(out: &mut String, metadata: &Value, indent: Option<usize>, first: &mut bool) {
    for name in ["name", "generateName", "namespace", "uid", "labels", "annotations", "ownerReferences", "finalizers"] {
        let value = &metadata[name];
        let empty = value.is_null() || value == "" || value.as_object().is_some_and(serde_json::Map::is_empty);
        if !empty {
            key(out, name, indent, first);
            plain(out, value, indent);
        }
    }
}

/// A value that is the same inside and outside: maps, lists of text, selectors.
fn plain(out: &mut String, value: &Value, indent: Option<usize>) {
    let Some(depth) = indent else {
        match value {
            Value::String(text) => out.push_str(&go_json_text(text)),
            other => out.push_str(&go_value(other)),
        }
        return;
    };
    let inner = Some(depth + 1);
    match value {
        Value::Object(map) => {
            let mut pairs: Vec<_> = map.iter().collect();
            pairs.sort_by_key(|(key, _)| *key);
            let mut first = true;
            out.push('{');
            for (name, value) in pairs {
                key(out, name, inner, &mut first);
                plain(out, value, inner);
            }
            close(out, '}', first, indent);
        }
        Value::Array(values) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                line(out, inner);
                plain(out, value, inner);
            }
            close(out, ']', values.is_empty(), indent);
        }
        Value::String(text) => out.push_str(&go_json_text(text)),
        other => out.push_str(&other.to_string()),
    }
}

fn key(out: &mut String, name: &str, indent: Option<usize>, first: &mut bool) {
    if !*first {
        out.push(',');
    }
    *first = false;
    line(out, indent);
    out.push_str(&go_json_text(name));
    out.push_str(if indent.is_some() { ": " } else { ":" });
}

fn close(out: &mut String, bracket: char, empty: bool, indent: Option<usize>) {
    if !empty {
        line(out, indent);
    }
    out.push(bracket);
}

fn line(out: &mut String, indent: Option<usize>) {
    if let Some(depth) = indent {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', depth));
    }
}
