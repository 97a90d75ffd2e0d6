//! What running an expression costs, in the units of cel-go and of Kubernetes' libraries, and what it may cost.
//!
//! The count is blind for some work (making lists longer, the text of large values), which [`super::Run`] bounds by itself.

use kube_cel::cel::{Value as Cel, common::ast::operators};

/// What one expression may cost.
pub const PER_CALL: u64 = 1_000_000;
/// What all expressions of a policy may cost, or all rules of a schema over one object.
pub const BUDGET: u64 = 10_000_000;
/// What all match conditions of a policy may cost.
pub const BUDGET_OF_CONDITIONS: u64 = 2_500_000;

pub const OVER_LIMIT: &str = "operation cancelled: actual cost limit exceeded";
pub const OUT_OF_BUDGET: &str = "validation failed due to running out of cost budget, no further validation rules will be run";

pub(super) const CALL: u64 = 1;
pub(super) const SELECT: u64 = 1;
pub(super) const LIST: u64 = 10;
pub(super) const MAP: u64 = 30;
pub(super) const STRUCTURE: u64 = 40;
/// For each letter of a text that is read.
pub(super) const LETTER: f64 = 0.1;
/// For each letter of a pattern, times the text.
pub(super) const PATTERN: f64 = 0.25;
/// Two checks of an authorizer fit into one expression.
pub(super) const CHECK: u64 = 350_000;
/// Letters of the longest pattern behind a named format.
pub(super) const FORMAT: u64 = 128;

/// `size()` of what has one, else 1.
pub(super) fn size(value: &Cel) -> u64 {
    let size = match value {
        Cel::String(held) => held.chars().count(),
        Cel::Bytes(held) => held.len(),
        Cel::List(items) => items.len(),
        Cel::Map(entries) => entries.map.len(),
        Cel::Opaque(_) => return super::value::optional(value).flatten().map_or(1, |held| size(&held)),
        _ => 1,
    };
    u64::try_from(size).unwrap_or(u64::MAX)
}

/// `size` times a factor, rounded up, as a double has it.
pub(super) fn times(size: u64, factor: f64) -> u64 {
    (size as f64 * factor).ceil() as u64
}

/// An operator of two operands that is neither logical nor `in`.
pub(super) fn of_operator(name: &str, left: &Cel, right: &Cel) -> u64 {
    let is_text = |value: &Cel| matches!(value, Cel::String(_) | Cel::Bytes(_));
    match name {
        operators::EQUALS | operators::NOT_EQUALS if super::value::optional(left).is_none() && matches!(left, Cel::Opaque(_)) => CALL,
        operators::EQUALS | operators::NOT_EQUALS => times(size(left).min(size(right)), LETTER),
        operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS if is_text(left) => {
            times(size(left).min(size(right)), LETTER)
        }
        operators::ADD if is_text(left) => times(size(left).saturating_add(size(right)), LETTER),
        _ => CALL,
    }
}

/// A function by its name and arguments, the target first.
pub(super) fn of_call(name: &str, arguments: &[Cel]) -> u64 {
    let Some(first) = arguments.first() else { return CALL };
    let letters = |factor: f64| times(size(first), factor * LETTER);
    let pattern = |letters: u64| times(size(first).saturating_add(1), LETTER).saturating_mul(times(letters, PATTERN));
    let second = arguments.get(1).map_or(0, size);
    match name {
        "check" => CHECK,
        "fieldSelector" | "labelSelector" => LIST + times(second, LETTER) + times(times(second, 0.5), (LIST + STRUCTURE) as f64),
        "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" => traversal(first, 0),
        "url" | "lowerAscii" | "upperAscii" | "substring" | "trim" | "jsonpatch.escapeKey" => letters(1.0),
        "cidr" | "isIP" | "isCIDR" | "quantity" | "isQuantity" | "semver" | "isSemver" => letters(1.0),
        "ip" if matches!(first, Cel::String(_)) => letters(1.0),
        "replace" | "split" | "ip.isCanonical" => letters(2.0),
        "join" => times(joined(first, second), 2.0 * LETTER),
        "sets.contains" | "sets.intersects" => size(first).saturating_mul(second).saturating_add(CALL),
        "sets.equivalent" => size(first).saturating_mul(second).saturating_mul(2).saturating_add(CALL),
        "find" | "findAll" | "matches" => pattern(second),
        "validate" => times(second.saturating_add(1), LETTER).saturating_mul(times(FORMAT, PATTERN)),
        "contains" => times(size(first), LETTER).saturating_mul(times(second, LETTER)),
        "containsIP" => times(2, LETTER) + if matches!(arguments.get(1), Some(Cel::String(_))) { times(second, LETTER) } else { 0 },
        "containsCIDR" => {
            times(2, LETTER)
                + times(1, LETTER)
                + CALL
                + if matches!(arguments.get(1), Some(Cel::String(_))) { times(second, LETTER) } else { 0 }
        }
        "startsWith" | "endsWith" | "strings.quote" | "format" => letters(1.0),
        "bytes" if matches!(first, Cel::String(_)) => letters(1.0),
        "string" if matches!(first, Cel::Bytes(_)) => letters(1.0),
        _ => CALL,
    }
}

/// Letters of what `join` makes.
fn joined(list: &Cel, separator: u64) -> u64 {
    let Cel::List(items) = list else { return 1 };
    let letters: u64 = items.iter().map(size).fold(0, u64::saturating_add);
    letters.saturating_add(separator.saturating_mul(u64::try_from(items.len().saturating_sub(1)).unwrap_or(u64::MAX)))
}

/// What reading a value to its last part costs; the depth is that of the evaluation's values, which is bounded before.
fn traversal(value: &Cel, depth: usize) -> u64 {
    let letters = |length: usize| (length as f64 * LETTER) as u64;
    match value {
        Cel::String(held) => letters(held.len()),
        Cel::Bytes(held) => letters(held.len()),
        Cel::List(items) if depth < 2 => items.iter().map(|item| traversal(item, depth + 1)).fold(0, u64::saturating_add),
        _ => 1,
    }
}
