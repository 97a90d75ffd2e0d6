//! Lengths of time as kubectl prints them (k8s.io/apimachinery/pkg/util/duration HumanDuration).

use jiff::Timestamp;
use serde_json::Value;

/// Age as kubectl prints it: two or three significant figures, as `45s`, `3m12s`, `2d4h`, `400d`.
/// Up to two seconds of a clock that runs ahead are forgiven; beyond that it is `<invalid>`.
pub fn human_duration(seconds: i64) -> String {
    match seconds {
        i64::MIN..=-2 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => pair(seconds / 60, 'm', seconds % 60, 's'),
        600..10_800 => format!("{}m", seconds / 60),
        10_800..28_800 => pair(seconds / 3600, 'h', seconds / 60 % 60, 'm'),
        28_800..172_800 => format!("{}h", seconds / 3600),
        172_800..691_200 => pair(seconds / 86_400, 'd', seconds / 3600 % 24, 'h'),
        691_200..63_072_000 => format!("{}d", seconds / 86_400),
        63_072_000..252_288_000 => pair(seconds / 31_536_000, 'y', seconds / 86_400 % 365, 'd'),
        _ => format!("{}y", seconds / 31_536_000),
    }
}

fn pair(large: i64, large_unit: char, small: i64, small_unit: char) -> String {
    if small == 0 { format!("{large}{large_unit}") } else { format!("{large}{large_unit}{small}{small_unit}") }
}

/// Time since a `metav1.Time` or `MicroTime`; `<unknown>` where it is missing.
pub(super) fn since(time: &Value, now: Timestamp) -> String {
    match parse(time) {
        Some(then) => between(then, now),
        None => "<unknown>".to_owned(),
    }
}

pub(super) fn between(then: Timestamp, now: Timestamp) -> String {
    let seconds = (now.as_nanosecond() - then.as_nanosecond()) / 1_000_000_000;
    human_duration(i64::try_from(seconds).unwrap_or(i64::MAX))
}

pub(super) fn parse(time: &Value) -> Option<Timestamp> {
    time.as_str()?.parse().ok()
}

/// Since `metadata.creationTimestamp`.
pub(super) fn age(object: &Value, now: Timestamp) -> Value {
    since(&object["metadata"]["creationTimestamp"], now).into()
}
