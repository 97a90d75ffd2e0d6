//! `pod-template-hash`: controllers name what belongs to a template by a hash of it, and they hash what Go prints of it
//! (k8s.io/apimachinery/pkg/util/dump, k8s.io/kubernetes/pkg/controller `ComputeHash` and `HashControllerRevision`).
//!
//! ```text
//! PodTemplateSpec ──print──► (v1.PodTemplateSpec){ObjectMeta:(v1.ObjectMeta){Name:(string) … ──FNV-1a──► u32
//! ```
//!
//! The table beside this file holds Go's types: `@type`, then its fields in their order as JSON name (`.`: inline), Go name and Go type;
//! or `=` and what the type is made of.

use serde_json::Value;
use std::{collections::BTreeMap, sync::LazyLock};

/// JSON name, Go name, Go type.
type Field = (&'static str, &'static str, &'static str);

enum GoType {
    Struct(Vec<Field>),
    /// Another name for this.
    Named(&'static str),
}

static TYPES: LazyLock<BTreeMap<&'static str, GoType>> = LazyLock::new(|| {
    let mut types = BTreeMap::new();
    for block in include_str!("types.txt").split('@').skip(1) {
        let mut lines = block.lines();
        let name = lines.next().unwrap_or_default();
        let mut fields = Vec::new();
        for line in lines.map(str::trim).filter(|line| !line.is_empty()) {
            let mut words = line.splitn(3, ' ');
            match (words.next(), words.next(), words.next()) {
                (Some("="), Some(of), None) => {
                    types.insert(name, GoType::Named(of));
                }
                (Some(json), Some(go), Some(kind)) => fields.push((json, go, kind)),
                _ => {}
            }
        }
        types.entry(name).or_insert(GoType::Struct(fields));
    }
    types
});

/// The number in a `pod-template-hash`, before it is spelled with letters.
pub fn pod_template_hash(template: &Value, collisions: Option<i64>) -> u32 {
    let mut text = String::new();
    print(&mut text, "v1.PodTemplateSpec", template, true);
    let collisions = collisions.map(i64::to_le_bytes);
    let bytes = text.bytes().chain(collisions.into_iter().flatten());
    bytes.fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The number in the name of a StatefulSet's ControllerRevision: the hash of its data as Go writes JSON, with the count of collisions behind.
pub fn revision_hash(data: &Value, collisions: i64) -> u32 {
    let text = data.to_string().replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e");
    // FNV-1, where templates have FNV-1a.
    let bytes = text.bytes().chain(collisions.to_string().into_bytes());
    bytes.fold(0x811c_9dc5, |hash: u32, byte| hash.wrapping_mul(0x0100_0193) ^ u32::from(byte))
}

/// As `spew` prints a value for `%#v`: each with its type before it, but for what lies in a list, a map or behind a pointer.
fn print(out: &mut String, kind: &str, value: &Value, typed: bool) {
    if let Some(inner) = kind.strip_prefix('*') {
        if typed {
            out.push_str(&format!("({kind})"));
        }
        if value.is_null() {
            out.push_str("<nil>")
        } else {
            print(out, inner, value, false)
        }
        return;
    }
    if typed {
        out.push_str(&format!("({kind})"));
    }
    print_bare(out, kind, value);
}

fn print_bare(out: &mut String, kind: &str, value: &Value) {
    if let Some(element) = kind.strip_prefix("[]") {
        // What is empty is not there once it has been through protobuf.
        let Some(list) = value.as_array().filter(|list| !list.is_empty()) else { return out.push_str("<nil>") };
        for (index, entry) in list.iter().enumerate() {
            out.push(if index == 0 { '[' } else { ' ' });
            print(out, element, entry, false);
        }
        return out.push(']');
    }
    if let Some((key_kind, entry_kind)) = kind.strip_prefix("map[").and_then(|rest| rest.split_once(']')) {
        let Some(map) = value.as_object().filter(|map| !map.is_empty()) else { return out.push_str("<nil>") };
        let mut entries: Vec<_> = map.iter().collect();
        entries.sort_by_key(|(key, _)| key.as_str());
        for (index, (key, entry)) in entries.into_iter().enumerate() {
            out.push_str(if index == 0 { "map[" } else { " " });
            print(out, key_kind, &Value::from(key.as_str()), false);
            out.push(':');
            print(out, entry_kind, entry, false);
        }
        return out.push(']');
    }
    match kind {
        "string" => out.push_str(value.as_str().unwrap_or_default()),
        "bool" => out.push_str(if value == true { "true" } else { "false" }),
        "int32" | "int64" => out.push_str(&value.as_i64().unwrap_or(0).to_string()),
        "resource.Quantity" => out.push_str(&quantity(value)),
        // A template's times are not set.
        "v1.Time" => out.push_str("{Time:(time.Time){wall:(uint64)0 ext:(int64)0 loc:(*time.Location)<nil>}}"),
        "intstr.IntOrString" => {
            let (is_text, number, text) = (i32::from(value.is_string()), value.as_i64().unwrap_or(0), value.as_str().unwrap_or_default());
            out.push_str(&format!("{{Type:(intstr.Type){is_text} IntVal:(int32){number} StrVal:(string){text}}}"));
        }
        _ => match TYPES.get(kind) {
            Some(GoType::Named(of)) => print_bare(out, of, value),
            Some(GoType::Struct(fields)) => {
                out.push('{');
                for (index, (json, go, field_kind)) in fields.iter().enumerate() {
                    if index > 0 {
                        out.push(' ');
                    }
                    out.push_str(&format!("{go}:"));
                    print(out, field_kind, if *json == "." { value } else { &value[*json] }, true);
                }
                out.push('}');
            }
            None => out.push_str("<nil>"),
        },
    }
}

/// The inside of a `resource.Quantity` as parsing leaves it: a number with its power of ten, and the text where it is the usual one.
fn quantity(value: &Value) -> String {
    let number = value.as_number().map(ToString::to_string);
    let text = number.as_deref().or(value.as_str()).unwrap_or_default();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (digits, suffix) = text.split_at(split);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let shifted = format!("{}{fraction}", whole.trim_start_matches('0'));
    let mantissa: i64 = shifted.parse().unwrap_or(0);
    const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    const DECIMAL: [(&str, i32); 10] =
        [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
    let (amount, scale, kept, format) = if let Some(power) = BINARY.iter().position(|binary| *binary == suffix) {
        (mantissa.saturating_mul(1024_i64.saturating_pow(u32::try_from(power).unwrap_or(0) + 1)), 0, mantissa & 7 != 0, "BinarySI")
    } else {
        let (exponent, format) = match DECIMAL.iter().find(|(decimal, _)| *decimal == suffix) {
            Some((_, exponent)) => (*exponent, "DecimalSI"),
            None => (suffix.get(1..).and_then(|power| power.parse().ok()).unwrap_or(0), "DecimalExponent"),
        };
        let scale = exponent - i32::try_from(fraction.len()).unwrap_or(0);
        (mantissa, scale, scale % 3 == 0 && !shifted.ends_with("000") && !shifted.starts_with('0') && !shifted.is_empty(), format)
    };
    let kept = if kept || text == "0" { text } else { "" };
    format!(
        "{{i:(resource.int64Amount){{value:(int64){amount} scale:(resource.Scale){scale}}} d:(resource.infDecAmount){{Dec:(*inf.Dec)<nil>}} s:(string){kept} Format:(resource.Format){format}}}"
    )
}

#[cfg(test)]
mod tests;
