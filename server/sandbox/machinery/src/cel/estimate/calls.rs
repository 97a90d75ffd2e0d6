//! What one call may cost at most, and how large what it makes may get.

use super::{
    Bounds, Entry, Part, Place,
    range::{ONE, Range, UNKNOWN, ZERO, fixed},
};
use crate::cel::{
    cost::{CHECK, FORMAT, LETTER, LIST, PATTERN, STRUCTURE},
    kind::Kind,
};
use kube_cel::cel::common::ast::operators;

pub(super) struct Made {
    pub cost: Range,
    pub size: Option<Range>,
    pub entry: Option<Entry>,
}

/// Whether values of the kind have one size.
pub(super) fn is_scalar(kind: &Kind) -> bool {
    match kind {
        Kind::Named(name) => matches!(*name, "bool" | "int" | "uint" | "double" | "timestamp" | "duration"),
        Kind::Optional(inner) => is_scalar(inner),
        _ => false,
    }
}

fn is(kind: &Kind, wanted: &[&str]) -> bool {
    matches!(kind, Kind::Named(name) if wanted.contains(name))
}

/// Whether a value of the kind may be a text, as one of no known kind may.
fn may_be_text(kind: &Kind) -> bool {
    is(kind, &["string", "bytes"]) || matches!(kind, Kind::Dyn)
}

fn costing(cost: Range) -> Made {
    Made { cost, size: None, entry: None }
}

/// The cost of the call alone, without that of its target and its arguments.
pub(super) fn estimate(name: &str, target: Option<&Part<'_>>, arguments: &[Part<'_>]) -> Made {
    let first = arguments.first();
    let size = |part: Option<&Part<'_>>| part.map_or(UNKNOWN, Part::size);
    let letters = |part: Option<&Part<'_>>, factor: f64| size(part).times(factor * LETTER);
    let pattern = || size(target).plus(ONE).times(LETTER).by(size(first).times(PATTERN));
    match name {
        "check" => costing(fixed(CHECK)),
        "fieldSelector" | "labelSelector" => {
            let requirements = size(first).times(0.5).times((LIST + STRUCTURE) as f64);
            costing(fixed(LIST).plus(letters(first, 1.0)).plus(requirements))
        }
        "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" if target.is_some() => costing(traversal(target)),
        "url" | "jsonpatch.escapeKey" => Made { size: Some(size(first)), ..costing(letters(first, 1.0)) },
        "lowerAscii" | "upperAscii" | "substring" | "trim" => Made { size: Some(size(target)), ..costing(letters(target, 1.0)) },
        "replace" if arguments.len() > 1 => {
            Made { size: Some(replaced(size(target), size(first), size(arguments.get(1)))), ..costing(letters(target, 2.0)) }
        }
        "split" => Made { size: Some(Range { min: 0, max: size(target).max }), ..costing(letters(target, 2.0)) },
        "join" => {
            let joined = joined(target, first);
            Made { size: Some(joined), ..costing(joined.times(LETTER)) }
        }
        "find" | "findAll" => Made { size: Some(Range { min: 0, max: size(target).max }), ..costing(pattern()) },
        "matches" if target.is_some() => costing(pattern()),
        "contains" => costing(letters(target, 1.0).by(letters(first, 1.0))),
        "cidr" | "isIP" | "isCIDR" | "quantity" | "isQuantity" | "semver" | "isSemver" => costing(letters(first, 1.0)),
        "ip" if target.is_none() => costing(letters(first, 1.0)),
        "sets.contains" | "sets.intersects" => costing(size(first).by(size(arguments.get(1))).plus(ONE)),
        "sets.equivalent" => costing(size(first).by(size(arguments.get(1))).by(fixed(2)).plus(ONE)),
        "ip.isCanonical" => costing(letters(first, 2.0)),
        "containsIP" | "containsCIDR" => {
            // Addresses have 4 or 16 bytes.
            let address = Range { min: 4, max: 16 };
            let mask = if name == "containsCIDR" { address.times(LETTER).plus(ONE) } else { ZERO };
            let parsed = if first.is_some_and(|first| may_be_text(&first.kind)) { letters(first, 1.0) } else { ZERO };
            costing(address.plus(address).times(LETTER).plus(mask).plus(parsed))
        }
        "validate" => costing(letters(first, 1.0).times(FORMAT as f64 * PATTERN)),
        // What is read is what the text is compared with.
        "startsWith" | "endsWith" => costing(letters(first, 1.0)),
        "format" => costing(letters(target, 1.0)),
        "strings.quote" => {
            let held = size(first);
            let quoted = Range { min: held.min.saturating_add(2), max: held.max.saturating_mul(2).saturating_add(2) };
            Made { size: Some(quoted), ..costing(letters(first, 1.0)) }
        }
        "bytes" if first.is_some_and(|first| is(&first.kind, &["string"])) => {
            let held = size(first);
            Made { size: Some(Range { min: held.min, max: held.max.saturating_mul(4) }), ..costing(letters(first, 1.0)) }
        }
        "string" if first.is_some_and(|first| is(&first.kind, &["bytes"])) => {
            let held = size(first);
            Made { size: Some(Range { min: held.min / 4, max: held.max }), ..costing(letters(first, 1.0)) }
        }
        _ => match arguments {
            [left, right] if target.is_none() => operator(name, left, right),
            _ => costing(ONE),
        },
    }
}

fn operator(name: &str, left: &Part<'_>, right: &Part<'_>) -> Made {
    let compared = || {
        let most = left.size().max.min(right.size().max);
        Range { min: u64::from(most > 0), max: most }.times(LETTER)
    };
    match name {
        operators::EQUALS | operators::NOT_EQUALS if matches!(left.kind, Kind::Named(name) if name.starts_with("kubernetes.")) => {
            costing(ONE)
        }
        operators::EQUALS | operators::NOT_EQUALS => costing(compared()),
        operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS => {
            match (may_be_text(&left.kind), matches!(left.kind, Kind::Dyn)) {
                (true, true) => costing(compared().or(ONE)),
                (true, false) => costing(compared()),
                _ => costing(ONE),
            }
        }
        operators::IN => match &right.kind {
            Kind::List(_) => costing(right.size()),
            Kind::Dyn => costing(right.size().or(ONE)),
            _ => costing(ONE),
        },
        operators::ADD => {
            let size = left.size().plus(right.size());
            let entry = left.entry.zip(right.entry).map(|(left, right)| left.or(right));
            match (&left.kind, &right.kind) {
                _ if entry.is_some() => Made { cost: ONE, size: Some(size), entry },
                (Kind::List(_), _) | (_, Kind::List(_)) => Made { cost: ONE, size: Some(size), entry },
                (left, right) if is(left, &["string", "bytes"]) || is(right, &["string", "bytes"]) => {
                    Made { size: Some(size), ..costing(size.times(LETTER)) }
                }
                (Kind::Dyn, Kind::Dyn) => Made { size: Some(size), ..costing(size.times(LETTER).or(ONE)) },
                _ => costing(ONE),
            }
        }
        _ => costing(ONE),
    }
}

/// A comparison of all elements, or of all letters of a text.
fn traversal(target: Option<&Part<'_>>) -> Range {
    let Some(target) = target else { return UNKNOWN };
    let Kind::List(item) = &target.kind else { return target.size().times(LETTER) };
    let letters = match is(item, &["string", "bytes"]) {
        true => element(target).times(LETTER),
        false => ZERO,
    };
    target.size().by(ONE.plus(letters))
}

/// The size of an element as the schema bounds it.
fn element(list: &Part<'_>) -> Range {
    match list.place {
        Place::Known(Bounds { element: Some(element), .. }) => Range { min: 0, max: element.most },
        _ => UNKNOWN,
    }
}

fn joined(target: Option<&Part<'_>>, separator: Option<&Part<'_>>) -> Range {
    let Some(target) = target else { return UNKNOWN };
    let items = target.size();
    let between = Range { min: items.min.saturating_sub(1), max: items.max.saturating_sub(1) };
    let letters = items.by(element(target));
    separator.map_or(letters, |separator| letters.plus(separator.size().by(between)))
}

/// How long a text may get where parts of it are replaced.
fn replaced(text: Range, old: Range, new: Range) -> Range {
    let count = |text: u64, old: u64| (text as f64 / old as f64).ceil() as u64;
    let (most, kept_most) = match old.min {
        0 => (text.max.saturating_add(1), text.max),
        least if new.max <= least => (0, text.max),
        least => (count(text.max, least), 0),
    };
    let (least, kept_least) = match old.max {
        0 => (text.min.saturating_add(1), text.min),
        most if most <= new.min => (0, text.min),
        most => (count(text.min, most), 0),
    };
    Range { min: least, max: most }.by(new).plus(Range { min: kept_least, max: kept_most })
}
