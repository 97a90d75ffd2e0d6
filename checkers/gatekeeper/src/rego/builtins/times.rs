//! `time.*`: instants are nanoseconds since 1970, alone or with a time zone: `ns` or `[ns, "Europe/Paris"]`.

use super::{Entry, or_undefined, text};
use jiff::{Span, Timestamp, Zoned, tz::TimeZone};
use regorus::Value;

pub(super) const FUNCTIONS: &[Entry] = &[
    ("time.parse_rfc3339_ns", 1, |given| or_undefined(text(&given[0]).and_then(rfc3339).and_then(nanoseconds))),
    ("time.parse_duration_ns", 1, |given| or_undefined(text(&given[0]).and_then(duration).map(Value::from))),
    ("time.date", 1, |given| or_undefined(zoned(&given[0]).map(|at| list([at.year().into(), at.month().into(), at.day().into()])))),
    ("time.clock", 1, |given| or_undefined(zoned(&given[0]).map(|at| list([at.hour().into(), at.minute().into(), at.second().into()])))),
    ("time.weekday", 1, |given| {
        let names = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
        let day = zoned(&given[0]).map(|at| at.weekday().to_sunday_zero_offset());
        or_undefined(day.and_then(|day| names.get(usize::try_from(day).ok()?)).map(|name| Value::from(*name)))
    }),
    ("time.format", 1, |given| or_undefined(zoned(&given[0]).map(|at| Value::from(formatted(&at))))),
    ("time.add_date", 4, |given| {
        let number = |at: usize| given[at].as_i64().ok();
        let added = || {
            let span = Span::new().try_years(number(1)?).ok()?.try_months(number(2)?).ok()?.try_days(number(3)?).ok()?;
            nanoseconds(zoned(&given[0])?.checked_add(span).ok()?.timestamp())
        };
        or_undefined(added())
    }),
    ("time.diff", 2, |given| {
        let difference = || {
            let (a, b) = (zoned(&given[0])?, zoned(&given[1])?);
            let (early, late) = if a < b { (a, b) } else { (b, a) };
            let late = late.with_time_zone(early.time_zone().clone());
            let span = early.until((jiff::Unit::Year, &late)).ok()?;
            let parts = [span.get_years().into(), span.get_months(), span.get_days(), span.get_hours()].map(i64::from);
            let parts = parts.into_iter().chain([span.get_minutes(), span.get_seconds()]);
            Some(Value::from(parts.map(Value::from).collect::<Vec<_>>()))
        };
        or_undefined(difference())
    }),
];

fn list(parts: [i64; 3]) -> Value {
    Value::from(parts.map(Value::from).to_vec())
}

fn nanoseconds(at: Timestamp) -> Option<Value> {
    i64::try_from(at.as_nanosecond()).ok().map(Value::from)
}

/// RFC 3339, which wants a `T` and an offset.
fn rfc3339(text: &str) -> Option<Timestamp> {
    let shaped = text.get(10..11) == Some("T") && text.get(13..14) == Some(":") && text.get(16..17) == Some(":");
    text.parse().ok().filter(|_| shaped)
}

fn zoned(value: &Value) -> Option<Zoned> {
    let (nanoseconds, zone) = match value {
        Value::Array(list) => (list.first()?.as_i64().ok()?, list.get(1).and_then(text).unwrap_or("UTC")),
        other => (other.as_i64().ok()?, "UTC"),
    };
    let zone = if matches!(zone, "" | "UTC") { TimeZone::UTC } else { TimeZone::get(zone).ok()? };
    Some(Timestamp::from_nanosecond(nanoseconds.into()).ok()?.to_zoned(zone))
}

/// As Go's `RFC3339Nano`.
fn formatted(at: &Zoned) -> String {
    let fraction = at.subsec_nanosecond();
    let fraction = if fraction == 0 { String::new() } else { format!(".{fraction:09}").trim_end_matches('0').to_owned() };
    let offset = if at.offset().seconds() == 0 { "Z".to_owned() } else { at.strftime("%:z").to_string() };
    format!("{}{fraction}{offset}", at.strftime("%Y-%m-%dT%H:%M:%S"))
}

/// A duration as Go writes it: `1h15m30.5s`.
fn duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let units = [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 6e10), ("h", 3.6e12)];
        // `ms` before `m`: the longest that fits.
        let (name, factor) = units.iter().filter(|(name, _)| rest.starts_with(name)).max_by_key(|(name, _)| name.len())?;
        total += number * factor;
        rest = &rest[name.len()..];
    }
    let total = if negative { -total } else { total };
    #[expect(clippy::cast_possible_truncation, reason = "the bounds are checked")]
    (total.abs() < 9.2e18).then_some(total as i64)
}
