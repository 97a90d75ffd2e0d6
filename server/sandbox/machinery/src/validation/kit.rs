//! What all rules share: reading values, and the small checks that many fields have in common.

use super::names;
use crate::field::FieldError;
use serde_json::Value;

pub(super) type Errors = Vec<FieldError>;

pub(super) const IMMUTABLE: &str = "field is immutable";
pub(super) const NEGATIVE: &str = "must be greater than or equal to 0";
pub(super) const NOT_POSITIVE: &str = "must be greater than zero";
pub(super) const SELECTOR_MISMATCH: &str = "`selector` does not match template `labels`";

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

pub(super) fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

pub(super) fn has(value: &Value) -> bool {
    !value.is_null()
}

/// The entries of a map in order of their keys.
pub(super) fn entries(value: &Value) -> Vec<(&String, &Value)> {
    let mut all: Vec<_> = value.as_object().into_iter().flatten().collect();
    all.sort_by_key(|(key, _)| *key);
    all
}

/// One `Invalid` for each message.
pub(super) fn refuse(errors: &mut Errors, path: &str, value: &str, messages: Vec<String>) {
    errors.extend(messages.into_iter().map(|message| FieldError::invalid(path, value, message)));
}

pub(super) fn not_negative(errors: &mut Errors, path: &str, value: &Value) {
    if number(value) < 0 {
        errors.push(FieldError::invalid(path, value, NEGATIVE));
    }
}

pub(super) fn positive(errors: &mut Errors, path: &str, value: &Value) {
    if number(value) <= 0 {
        errors.push(FieldError::invalid(path, number(value), NOT_POSITIVE));
    }
}

pub(super) fn in_range(errors: &mut Errors, path: &str, value: &Value, low: i64, high: i64) {
    if !(low..=high).contains(&number(value)) {
        errors.push(FieldError::invalid(path, number(value), format!("must be between {low} and {high}, inclusive")));
    }
}

pub(super) fn port_number(errors: &mut Errors, path: &str, value: &Value) {
    in_range(errors, path, value, 1, 65_535);
}

/// A port by number or by name.
pub(super) fn port(errors: &mut Errors, path: &str, value: &Value) {
    match value {
        Value::String(name) => refuse(errors, path, name, names::port_name(name)),
        other => port_number(errors, path, other),
    }
}

/// The value must be one of these; an empty one is missing.
pub(super) fn one_of(errors: &mut Errors, path: &str, value: &Value, supported: &[&str]) {
    let value = text(value);
    if value.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else {
        supported_or_refuse(errors, path, value, supported);
    }
}

pub(super) fn supported_or_refuse(errors: &mut Errors, path: &str, value: &str, supported: &[&str]) {
    if !supported.contains(&value) {
        errors.push(FieldError::not_supported(path, value, supported));
    }
}

pub(super) fn required(errors: &mut Errors, path: &str, value: &Value) {
    if text(value).is_empty() {
        errors.push(FieldError::required(path, ""));
    }
}

pub(super) fn immutable(errors: &mut Errors, path: &str, new: &Value, old: &Value) {
    if !crate::strategy::equal(new, old) {
        errors.push(FieldError::invalid(path, new, IMMUTABLE));
    }
}

pub(super) fn ip(errors: &mut Errors, path: &str, value: &str) {
    if parse_ip(value).is_none() {
        errors.push(FieldError::invalid(path, value, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"));
    }
}

/// Leading zeros are forgiven, as Kubernetes forgives them.
pub(super) fn parse_ip(value: &str) -> Option<std::net::IpAddr> {
    if let Ok(address) = value.parse() {
        return Some(address);
    }
    let parts: Vec<_> = value.split('.').collect();
    let octets: Vec<u8> = parts.iter().filter(|p| p.bytes().all(|b| b.is_ascii_digit())).filter_map(|p| p.parse().ok()).collect();
    let octets: [u8; 4] = octets.try_into().ok()?;
    (parts.len() == 4).then(|| std::net::IpAddr::from(octets))
}

/// Address and length of the prefix, without the bits below the prefix.
pub(super) fn parse_cidr(value: &str) -> Option<ipnet::IpNet> {
    let (address, length) = value.split_once('/')?;
    if length.is_empty() || !length.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    ipnet::IpNet::new(parse_ip(address)?, length.parse().ok()?).ok().map(|net| net.trunc())
}

pub(super) fn cidr(errors: &mut Errors, path: &str, value: &str) -> Option<ipnet::IpNet> {
    let parsed = parse_cidr(value);
    if parsed.is_none() {
        errors.push(FieldError::invalid(path, value, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"));
    }
    parsed
}

/// An integer, or a percentage as `25%`.
pub(super) fn integer_or_percent(errors: &mut Errors, path: &str, value: &Value) {
    match value {
        Value::String(percent) => refuse(errors, path, percent, names::percent(percent)),
        other => not_negative(errors, path, other),
    }
}

/// A percentage may not exceed 100%.
pub(super) fn at_most_100_percent(errors: &mut Errors, path: &str, value: &Value) {
    if let Some(percent) = value.as_str().filter(|p| names::percent(p).is_empty()) {
        let number: u64 = percent.trim_end_matches('%').parse().unwrap_or(u64::MAX);
        if number > 100 {
            errors.push(FieldError::invalid(path, percent, "must not be greater than 100%"));
        }
    }
}
