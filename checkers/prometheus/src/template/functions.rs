//! Go's functions of templates, and Prometheus' own.

use super::{format::printf, value::Val};
use crate::{
    engine::{Sample, Value},
    number::{format_g, format_g_precision, parse_duration},
    regexp::Regexp,
};
use jiff::{Timestamp, tz::TimeZone};
use std::{cmp::Ordering, collections::BTreeMap, net::IpAddr};

pub struct Context<'c> {
    pub query: &'c dyn Fn(&str) -> Result<Vec<Sample>, String>,
    pub external_url: &'c str,
}

const NAMES: [&str; 45] = [
    "and",
    "args",
    "call",
    "eq",
    "externalURL",
    "first",
    "ge",
    "graphLink",
    "gt",
    "html",
    "humanize",
    "humanize1024",
    "humanizeDuration",
    "humanizePercentage",
    "humanizeTimestamp",
    "index",
    "js",
    "label",
    "le",
    "len",
    "lt",
    "match",
    "ne",
    "not",
    "or",
    "parseDuration",
    "pathPrefix",
    "print",
    "printf",
    "println",
    "query",
    "reReplaceAll",
    "safeHtml",
    "slice",
    "sortByLabel",
    "stripDomain",
    "stripPort",
    "strvalue",
    "tableLink",
    "title",
    "toLower",
    "toTime",
    "toUpper",
    "urlquery",
    "value",
];

pub fn is_function(name: &str) -> bool {
    NAMES.contains(&name)
}

pub fn call(name: &str, args: &[Val], context: &Context<'_>) -> Result<Val, String> {
    let text = |text: String| Ok(Val::Text(text));
    match (name, args) {
        ("not", [value]) => Ok(Val::Bool(!value.is_true())),
        ("eq", [value, others @ ..]) if !others.is_empty() => {
            for other in others {
                if equal(value, other)? {
                    return Ok(Val::Bool(true));
                }
            }
            Ok(Val::Bool(false))
        }
        ("ne", [a, b]) => Ok(Val::Bool(!equal(a, b)?)),
        ("lt", [a, b]) => Ok(Val::Bool(order(a, b)? == Some(Ordering::Less))),
        ("le", [a, b]) => Ok(Val::Bool(matches!(order(a, b)?, Some(Ordering::Less | Ordering::Equal)))),
        ("gt", [a, b]) => Ok(Val::Bool(order(a, b)? == Some(Ordering::Greater))),
        ("ge", [a, b]) => Ok(Val::Bool(matches!(order(a, b)?, Some(Ordering::Greater | Ordering::Equal)))),
        ("len", [value]) => match value {
            Val::Text(text) => Ok(Val::Int(text.len() as i64)),
            Val::List(list) => Ok(Val::Int(list.len() as i64)),
            Val::Labels(labels) => Ok(Val::Int(labels.iter().count() as i64)),
            Val::Map(map) => Ok(Val::Int(map.len() as i64)),
            other => Err(format!("len of type {}", other.go_type())),
        },
        ("index", [value, keys @ ..]) => keys.iter().try_fold(value.clone(), |value, key| index(&value, key)),
        ("slice", [Val::Text(whole), bounds @ ..]) => {
            let bound = |at: usize, default: usize| match bounds.get(at) {
                Some(Val::Int(value)) => {
                    usize::try_from(*value).ok().filter(|v| *v <= whole.len()).ok_or(format!("index out of range: {value}"))
                }
                _ => Ok(default),
            };
            let (low, high) = (bound(0, 0)?, bound(1, whole.len())?);
            text(whole.get(low..high).ok_or(format!("invalid slice index: {low} > {high}"))?.to_owned())
        }
        ("print", args) => text(print(args)),
        ("println", args) => text(args.iter().map(Val::text).collect::<Vec<_>>().join(" ") + "\n"),
        ("printf", [Val::Text(format), args @ ..]) => text(printf(format, args)),
        ("html", args) => text(escape_html(&print(args))),
        ("js", args) => text(print(args).replace('\\', "\\\\").replace('\'', "\\'").replace('"', "\\\"").replace('\n', "\\u000A")),
        ("urlquery", args) => text(url_query(&print(args))),
        ("safeHtml", [Val::Text(value)]) => text(value.clone()),
        ("query", [Val::Text(query)]) => Ok(Val::List((context.query)(query)?.into_iter().map(sample).collect())),
        ("first", [Val::List(list)]) => list.first().cloned().ok_or_else(|| "first() called on vector with no elements".to_owned()),
        ("label", [Val::Text(label), Val::Sample { labels, .. }]) => text(labels.get(label).to_owned()),
        ("value", [Val::Sample { value, .. }]) => Ok((**value).clone()),
        ("strvalue", [Val::Sample { labels, .. }]) => text(labels.get("__value__").to_owned()),
        ("sortByLabel", [Val::Text(label), Val::List(list)]) => {
            let mut list = list.clone();
            let key = |value: &Val| match value {
                Val::Sample { labels, .. } => labels.get(label).to_owned(),
                _ => String::new(),
            };
            list.sort_by_key(key);
            Ok(Val::List(list))
        }
        ("args", args) => {
            let entries = args.iter().enumerate().map(|(index, value)| (format!("arg{index}"), value.clone()));
            Ok(Val::Map(entries.collect::<BTreeMap<_, _>>()))
        }
        ("reReplaceAll", [Val::Text(pattern), Val::Text(replacement), Val::Text(value)]) => text(
            Regexp::unanchored(pattern).map_err(|error| format!("regexp: Compile({pattern:?}): {error}"))?.replace_all(value, replacement),
        ),
        ("match", [Val::Text(pattern), Val::Text(value)]) => Ok(Val::Bool(Regexp::unanchored(pattern)?.is_match(value))),
        ("title", [Val::Text(value)]) => text(title(value)),
        ("toUpper", [Val::Text(value)]) => text(value.to_uppercase()),
        ("toLower", [Val::Text(value)]) => text(value.to_lowercase()),
        ("stripPort", [Val::Text(value)]) => text(split_host_port(value).map_or_else(|| value.clone(), |(host, _)| host)),
        ("stripDomain", [Val::Text(value)]) => text(strip_domain(value)),
        ("humanize", [value]) => text(humanize(value.float()?)),
        ("humanize1024", [value]) => text(humanize1024(value.float()?)),
        ("humanizeDuration", [value]) => text(humanize_duration(value.float()?)),
        ("humanizePercentage", [value]) => text(format!("{}%", format_g_precision(value.float()? * 100.0, 4))),
        ("humanizeTimestamp", [value]) => {
            let value = value.float()?;
            if !value.is_finite() {
                return text(format_g_precision(value, 4));
            }
            text(go_time(value).ok_or_else(|| overflows(value))?)
        }
        ("toTime", [value]) => {
            let value = value.float()?;
            if !value.is_finite() {
                return Err("value is NaN or Inf".to_owned());
            }
            if (value * 1e9).abs() > i64::MAX as f64 { Err(overflows(value)) } else { Ok(Val::Time(value)) }
        }
        ("parseDuration", [Val::Text(value)]) => parse_duration(value).map(|milliseconds| Val::Float(milliseconds as f64 / 1000.0)),
        ("externalURL", []) => text(context.external_url.to_owned()),
        ("pathPrefix", []) => text(path_of(context.external_url)),
        ("graphLink", [Val::Text(query)]) => text(format!("/graph?g0.expr={}&g0.tab=0", url_query(query))),
        ("tableLink", [Val::Text(query)]) => text(format!("/graph?g0.expr={}&g0.tab=1", url_query(query))),
        _ => Err(wrong(name, args)),
    }
}

/// `2006-01-02 15:04:05.999 +0000 UTC`, to the millisecond.
pub fn go_time(seconds: f64) -> Option<String> {
    let milliseconds = (seconds * 1000.0).floor();
    let at = Timestamp::from_millisecond(milliseconds as i64).ok().filter(|_| milliseconds.is_finite())?;
    let at = at.to_zoned(TimeZone::UTC).datetime();
    let mut fraction = format!(".{:03}", at.millisecond());
    fraction.truncate(fraction.trim_end_matches('0').trim_end_matches('.').len());
    let date = format!("{:04}-{:02}-{:02} {:02}:{:02}:{:02}", at.year(), at.month(), at.day(), at.hour(), at.minute(), at.second());
    Some(format!("{date}{fraction} +0000 UTC"))
}

fn wrong(name: &str, args: &[Val]) -> String {
    let types: Vec<&str> = args.iter().map(Val::go_type).collect();
    format!("wrong number or type of arguments for {name}: got ({})", types.join(", "))
}

fn overflows(value: f64) -> String {
    format!("{} cannot be represented as a nanoseconds timestamp since it overflows int64", format_g(value))
}

fn sample(sample: Sample) -> Val {
    let value = match sample.value {
        Value::Float(value) => Val::Float(value),
        Value::Histogram(histogram) => Val::Histogram(histogram),
    };
    Val::Sample { labels: sample.metric, value: Box::new(value) }
}

fn equal(a: &Val, b: &Val) -> Result<bool, String> {
    Ok(match (a, b) {
        (Val::Bool(a), Val::Bool(b)) => a == b,
        (Val::Int(a), Val::Int(b)) => a == b,
        (Val::Float(a), Val::Float(b)) => a == b,
        (Val::Text(a), Val::Text(b)) => a == b,
        (Val::Nil, Val::Nil) => true,
        (Val::Nil, _) | (_, Val::Nil) => false,
        _ => return Err("incompatible types for comparison".to_owned()),
    })
}

fn order(a: &Val, b: &Val) -> Result<Option<Ordering>, String> {
    match (a, b) {
        (Val::Int(a), Val::Int(b)) => Ok(Some(a.cmp(b))),
        (Val::Float(a), Val::Float(b)) => Ok(a.partial_cmp(b)),
        (Val::Text(a), Val::Text(b)) => Ok(Some(a.cmp(b))),
        (Val::Int(_) | Val::Float(_) | Val::Text(_), Val::Int(_) | Val::Float(_) | Val::Text(_)) => {
            Err("incompatible types for comparison".to_owned())
        }
        _ => Err("invalid type for comparison".to_owned()),
    }
}

fn index(value: &Val, key: &Val) -> Result<Val, String> {
    match (value, key) {
        (Val::List(list), Val::Int(at)) => usize::try_from(*at)
            .ok()
            .and_then(|at| list.get(at))
            .cloned()
            .ok_or_else(|| format!("error calling index: index out of range: {at}")),
        (Val::Text(text), Val::Int(at)) => {
            let byte = usize::try_from(*at).ok().and_then(|at| text.as_bytes().get(at));
            byte.map(|byte| Val::Int(i64::from(*byte))).ok_or_else(|| format!("index out of range: {at}"))
        }
        (Val::Labels(_) | Val::Map(_), Val::Text(name)) => value.field(name),
        (other, _) => Err(format!("can't index item of type {}", other.go_type())),
    }
}

/// A blank between operands that are no strings.
fn print(args: &[Val]) -> String {
    let mut out = String::new();
    for (index, arg) in args.iter().enumerate() {
        let is_text = |arg: &Val| matches!(arg, Val::Text(_));
        if index > 0 && !is_text(arg) && !is_text(&args[index - 1]) {
            out.push(' ');
        }
        out += &arg.text();
    }
    out
}

fn scaled(
    mut value: f64,
    step: f64,
    prefixes: &[&'static str],
    done: impl Fn(f64) -> bool,
    apply: impl Fn(f64, f64) -> f64,
) -> (f64, &'static str) {
    let mut prefix = "";
    for next in prefixes {
        if done(value.abs()) {
            break;
        }
        prefix = next;
        value = apply(value, step);
    }
    (value, prefix)
}

const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];

fn humanize(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format_g_precision(value, 4);
    }
    let (value, prefix) = if value.abs() >= 1.0 {
        scaled(value, 1000.0, &LARGE, |v| v < 1000.0, |v, step| v / step)
    } else {
        scaled(value, 1000.0, &SMALL, |v| v >= 1.0, |v, step| v * step)
    };
    format!("{}{prefix}", format_g_precision(value, 4))
}

fn humanize1024(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return format_g_precision(value, 4);
    }
    let prefixes = ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
    let (value, prefix) = scaled(value, 1024.0, &prefixes, |v| v < 1024.0, |v, step| v / step);
    format!("{}{prefix}", format_g_precision(value, 4))
}

fn humanize_duration(value: f64) -> String {
    if !value.is_finite() {
        return format_g_precision(value, 4);
    }
    if value == 0.0 {
        return "0s".to_owned();
    }
    if value.abs() < 1.0 {
        let (value, prefix) = scaled(value, 1000.0, &SMALL, |v| v >= 1.0, |v, step| v * step);
        return format!("{}{prefix}s", format_g_precision(value, 4));
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let total = value.abs() as i64;
    let (days, hours, minutes, seconds) = (total / 86_400, total / 3600 % 24, total / 60 % 60, total % 60);
    if days != 0 {
        format!("{sign}{days}d {hours}h {minutes}m {seconds}s")
    } else if hours != 0 {
        format!("{sign}{hours}h {minutes}m {seconds}s")
    } else if minutes != 0 {
        format!("{sign}{minutes}m {seconds}s")
    } else {
        format!("{sign}{}s", format_g_precision(value.abs(), 4))
    }
}

/// Each word's first letter in upper case, the rest as it is.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for letter in text.chars() {
        let is_word = letter.is_alphanumeric() || letter == '_' || letter == '\'';
        if is_word && !inside {
            out.extend(letter.to_uppercase());
        } else {
            out.push(letter);
        }
        inside = is_word;
    }
    out
}

fn split_host_port(text: &str) -> Option<(String, String)> {
    let (host, port) = text.rsplit_once(':')?;
    match host.strip_prefix('[').map(|inner| inner.strip_suffix(']')) {
        Some(Some(inner)) => Some((inner.to_owned(), port.to_owned())),
        Some(None) => None,
        None if host.contains([':', '[', ']']) => None,
        None => Some((host.to_owned(), port.to_owned())),
    }
}

fn strip_domain(text: &str) -> String {
    let (host, port) = split_host_port(text).unwrap_or_else(|| (text.to_owned(), String::new()));
    if host.parse::<IpAddr>().is_ok() {
        return text.to_owned();
    }
    let first = host.split('.').next().unwrap_or_default();
    if port.is_empty() { first.to_owned() } else { format!("{first}:{port}") }
}

fn path_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or(String::new(), |at| rest[at..].split(['?', '#']).next().unwrap_or_default().to_owned())
}

fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&#34;").replace('\'', "&#39;")
}

fn url_query(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            other => out += &format!("%{other:02X}"),
        }
    }
    out
}
