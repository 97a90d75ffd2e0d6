//! `application/vnd.kubernetes.protobuf` request bodies, which kubectl's typed commands send (`create namespace`, `create role`,
//! `auth can-i`, `drain`, …). They are read into the same JSON that other clients send, and judged like it. Answers are always
//! JSON, which those clients accept too.
//!
//! A body is `k8s\0` and a `runtime.Unknown` that names the kind and holds the message. `protobuf.txt` lists the fields.

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use machinery::{
    ApiError,
    clock::{rfc3339, rfc3339_micro},
};
use serde_json::{Map, Value, json};
use std::{collections::HashMap, sync::LazyLock};

const MAGIC: &[u8] = b"k8s\0";
/// Nesting of messages; the API's own types need about 30.
const DEPTH: usize = 100;

#[derive(Debug)]
struct Field {
    name: &'static str,
    /// A letter for a scalar, else the name of a message.
    kind: &'static str,
    list: bool,
    map: bool,
    pointer: bool,
    zero: bool,
    inline: bool,
}

static MESSAGES: LazyLock<HashMap<&'static str, HashMap<u64, Field>>> = LazyLock::new(|| {
    let lines = include_str!("protobuf.txt").lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| {
            let mut words = line.split(' ');
            let message = words.next()?;
            let fields = words.filter_map(|word| {
                let mut parts = word.splitn(3, ':');
                let (number, name, kind) = (parts.next()?.parse().ok()?, parts.next()?, parts.next()?);
                let plain = kind.trim_start_matches(['*', '%', '?', '!', '~']);
                let has = |flag| kind[..kind.len() - plain.len()].contains(flag);
                let field = Field { name, kind: plain, list: has('*'), map: has('%'), pointer: has('?'), zero: has('!'), inline: has('~') };
                Some((number, field))
            });
            Some((message, fields.collect()))
        })
        .collect()
});

fn broken() -> ApiError {
    ApiError::bad_request("the body of the request is no valid protobuf message")
}

/// One field as it stands on the wire.
#[derive(Debug, Clone, Copy)]
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(bytes: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(head)
}

fn next<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Wire<'a>)> {
    let key = varint(bytes)?;
    let wire = match key & 7 {
        0 => Wire::Number(varint(bytes)?),
        1 => Wire::Number(u64::from_le_bytes(take(bytes, 8)?.try_into().ok()?)),
        2 => {
            let length = varint(bytes)?;
            Wire::Bytes(take(bytes, length)?)
        }
        5 => Wire::Number(u64::from(u32::from_le_bytes(take(bytes, 4)?.try_into().ok()?))),
        _ => return None,
    };
    Some((key >> 3, wire))
}

fn fields<'a>(mut bytes: &'a [u8]) -> Result<Vec<(u64, Wire<'a>)>, ApiError> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        found.push(next(&mut bytes).ok_or_else(broken)?);
    }
    Ok(found)
}

fn text(wire: Wire<'_>) -> Result<String, ApiError> {
    match wire {
        Wire::Bytes(bytes) => std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| broken()),
        Wire::Number(_) => Err(broken()),
    }
}

/// The object of a body, as other clients would send it in JSON.
pub(super) fn decode(body: &[u8]) -> Result<Value, ApiError> {
    let unknown = body.strip_prefix(MAGIC).ok_or_else(|| {
        ApiError::bad_request("the provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    })?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for (number, wire) in fields(unknown)? {
        match (number, wire) {
            (1, Wire::Bytes(meta)) => {
                for (number, wire) in fields(meta)? {
                    match number {
                        1 => api_version = text(wire)?,
                        2 => kind = text(wire)?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let (group, version) = api_version.split_once('/').unwrap_or(("core", &api_version));
    let package = group.split('.').next().unwrap_or_default();
    let name = if kind == "DeleteOptions" { "meta.v1.DeleteOptions".to_owned() } else { format!("{package}.{version}.{kind}") };
    if !MESSAGES.contains_key(name.as_str()) {
        return Err(ApiError::bad_request(format!("no kind {kind:?} is registered for version {api_version:?} in protobuf; send JSON")));
    }
    let mut object = message(&name, raw, 0)?;
    object["apiVersion"] = api_version.into();
    object["kind"] = kind.into();
    Ok(object)
}

fn message(name: &str, bytes: &[u8], depth: usize) -> Result<Value, ApiError> {
    if depth > DEPTH {
        return Err(ApiError::bad_request("the body is nested too deeply"));
    }
    if let Some(special) = special(name, bytes)? {
        return Ok(special);
    }
    let Some(known) = MESSAGES.get(name) else { return Err(broken()) };
    let mut object = Map::new();
    for (number, wire) in fields(bytes)? {
        let Some(field) = known.get(&number) else { continue };
        if field.map {
            let (key, value) = entry(field, wire, depth)?;
            let map = object.entry(field.name).or_insert_with(|| json!({}));
            map[key] = value;
            continue;
        }
        let value = value(field, wire, depth)?;
        if field.list {
            let list = object.entry(field.name).or_insert_with(|| json!([]));
            if let Some(list) = list.as_array_mut() {
                list.push(value);
            }
        } else if field.inline {
            if let Value::Object(inner) = value {
                object.extend(inner);
            }
        } else if !value.is_null() && (field.pointer || field.zero || !is_zero(&value)) {
            object.insert(field.name.to_owned(), value);
        }
    }
    Ok(Value::Object(object))
}

/// What `omitempty` leaves out. An empty object stays: Go writes empty structs.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(_) | Value::Object(_) => false,
    }
}

fn value(field: &Field, wire: Wire<'_>, depth: usize) -> Result<Value, ApiError> {
    Ok(match (field.kind, wire) {
        ("s", wire) => text(wire)?.into(),
        ("b", Wire::Number(number)) => (number != 0).into(),
        ("i", Wire::Number(number)) => number.cast_signed().into(),
        ("d", Wire::Number(number)) => f64::from_bits(number).into(),
        ("y", Wire::Bytes(bytes)) => STANDARD.encode(bytes).into(),
        (name, Wire::Bytes(bytes)) if name.len() > 1 => message(name, bytes, depth + 1)?,
        _ => return Err(broken()),
    })
}

fn entry(field: &Field, wire: Wire<'_>, depth: usize) -> Result<(String, Value), ApiError> {
    let Wire::Bytes(bytes) = wire else { return Err(broken()) };
    let (mut key, mut held) = (String::new(), None);
    for (number, wire) in fields(bytes)? {
        match number {
            1 => key = text(wire)?,
            2 => held = Some(value(field, wire, depth)?),
            _ => {}
        }
    }
    let held = match held {
        Some(held) => held,
        None if matches!(field.kind, "s" | "y") => "".into(),
        None => message(field.kind, &[], depth + 1)?,
    };
    Ok((key, held))
}

/// Types with a JSON form of their own.
fn special(name: &str, bytes: &[u8]) -> Result<Option<Value>, ApiError> {
    let number = |wanted: u64| -> Result<i64, ApiError> {
        let found = fields(bytes)?.into_iter().find(|(number, _)| *number == wanted);
        match found {
            Some((_, Wire::Number(number))) => Ok(number.cast_signed()),
            Some(_) => Err(broken()),
            None => Ok(0),
        }
    };
    let string = |wanted: u64| -> Result<String, ApiError> {
        fields(bytes)?.into_iter().find(|(number, _)| *number == wanted).map_or(Ok(String::new()), |(_, wire)| text(wire))
    };
    Ok(Some(match name {
        "meta.v1.Time" | "meta.v1.MicroTime" => {
            // An absent time is an empty message.
            if bytes.is_empty() {
                return Ok(Some(Value::Null));
            }
            let nanoseconds = i32::try_from(number(2)?).map_err(|_| broken())?;
            let time = Timestamp::new(number(1)?, nanoseconds).map_err(|_| broken())?;
            if name == "meta.v1.Time" { rfc3339(time).into() } else { rfc3339_micro(time).into() }
        }
        "resource.Quantity" => string(1)?.into(),
        "intstr.IntOrString" => match number(1)? {
            0 => number(2)?.into(),
            _ => string(3)?.into(),
        },
        "runtime.RawExtension" | "meta.v1.FieldsV1" => {
            let raw = string(1)?;
            if raw.is_empty() { Value::Null } else { serde_json::from_str(&raw).map_err(|_| broken())? }
        }
        _ if name.ends_with(".ExtraValue") => {
            let items = fields(bytes)?.into_iter().map(|(_, wire)| text(wire).map(Value::from));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        _ => return Ok(None),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2, u8::try_from(content.len()).unwrap()];
        out.extend_from_slice(content);
        out
    }

    fn body(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let meta = [bytes(1, api_version.as_bytes()), bytes(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), bytes(1, &meta), bytes(2, raw)].concat()
    }

    #[test]
    fn every_type_that_a_field_names_is_known() {
        for (message, fields) in MESSAGES.iter() {
            for field in fields.values().filter(|field| field.kind.len() > 1) {
                let known = MESSAGES.contains_key(field.kind) || special(field.kind, &[]).unwrap().is_some();
                assert!(known, "{message}.{} is a {}", field.name, field.kind);
            }
        }
    }

    #[test]
    fn a_deployment_reads_as_its_json() {
        // What `kubectl create deployment d --image=i --replicas=0` writes, with the zero values that gogo writes too.
        let metadata = [bytes(1, b"d"), bytes(2, b""), bytes(8, b""), bytes(11, &[bytes(1, b"app"), bytes(2, b"d")].concat())].concat();
        let container = [bytes(1, b"i"), bytes(2, b"nginx"), bytes(5, b""), bytes(8, b"")].concat();
        let template = [bytes(1, &bytes(8, b"")), bytes(2, &bytes(2, &container))].concat();
        let rolling = bytes(2, &bytes(1, &[8, 1, 16, 0, 26, 3, b'2', b'5', b'%']));
        let spec = [vec![8, 0], bytes(3, &template), bytes(4, &rolling), vec![40, 0]].concat();
        let raw = [bytes(1, &metadata), bytes(2, &spec)].concat();
        let expected = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "d", "labels": {"app": "d"}},
            "spec": {
                "replicas": 0,
                "strategy": {"rollingUpdate": {"maxUnavailable": "25%"}},
                "template": {"metadata": {}, "spec": {"containers": [{"name": "i", "image": "nginx", "resources": {}}]}},
            },
        });
        assert_eq!(decode(&body("apps/v1", "Deployment", &raw)).unwrap(), expected);
    }

    #[test]
    fn special_types() {
        let secret = bytes(2, &[bytes(1, b"k"), bytes(2, b"\xff")].concat());
        assert_eq!(decode(&body("v1", "Secret", &secret)).unwrap()["data"], json!({"k": "/w=="}));
        let pod = bytes(1, &bytes(8, &[0x8, 0xa5, 0xeb, 0xdc, 0xca, 0x6]));
        assert_eq!(decode(&body("v1", "Pod", &pod)).unwrap()["metadata"]["creationTimestamp"], "2026-01-02T03:04:05Z");
    }

    #[test]
    fn rubbish_is_an_error() {
        let good = body("v1", "Pod", &bytes(1, &bytes(1, b"name")));
        for length in 0..good.len() {
            // A cut message may still be a message, but never a panic.
            drop(decode(&good[..length]));
        }
        assert!(decode(b"{}").is_err());
        assert!(decode(&body("v1", "Nothing", &[])).is_err());
        assert!(decode(&body("v1", "Pod", &[0xff; 12])).is_err());
    }
}
