//! Functions on texts.

use super::{failed, number, shown, string, wrong_type};
use crate::{
    Error, image,
    interpreter::{Answer, Run},
    semver,
    value::Value,
    wildcard,
};
use go_regexp::Regexp;
use std::{cmp::Ordering, net::IpAddr};

type Given<'a> = Vec<Value<'a>>;

/// An `int`, not a float64: nothing in the language compares with it.
pub(super) fn compare<'a>(_: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    Ok(Value::Int(match string(&given[0]).cmp(string(&given[1])) {
        Ordering::Less => -1,
        Ordering::Equal => 0,
        Ordering::Greater => 1,
    }))
}

pub(super) fn equal_fold<'a>(_: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    let fold = |c: char| lower(upper(c));
    Ok(Value::Bool(string(&given[0]).chars().map(fold).eq(string(&given[1]).chars().map(fold))))
}

/// One letter for one, as Go maps them.
fn upper(letter: char) -> char {
    let mut mapped = letter.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => letter,
    }
}

fn lower(letter: char) -> char {
    let mut mapped = letter.to_lowercase();
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => letter,
    }
}

pub(super) fn to_upper<'a>(run: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    run.text(string(&given[0]).chars().map(upper).collect())
}

pub(super) fn to_lower<'a>(run: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    run.text(string(&given[0]).chars().map(lower).collect())
}

pub(super) fn to_boolean<'a>(_: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    let text = string(&given[0]);
    match text.to_lowercase().as_str() {
        "true" => Ok(Value::Bool(true)),
        "false" => Ok(Value::Bool(false)),
        _ => Err(failed("to_boolean", format_args!("lowercase argument must be 'true' or 'false' (provided: '{text}')"))),
    }
}

pub(super) fn replace<'a>(run: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    let times = usize::try_from(number(&given[3]) as i64).unwrap_or(usize::MAX);
    replaced(run, &given, times)
}

pub(super) fn replace_all<'a>(run: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    replaced(run, &given, usize::MAX)
}

fn replaced<'a>(run: &mut Run<'a>, given: &[Value<'a>], times: usize) -> Answer<'a> {
    let (text, old, new) = (string(&given[0]), string(&given[1]), string(&given[2]));
    let found = if old.is_empty() { text.chars().count() + 1 } else { text.matches(old).count() }.min(times);
    run.charge(found.saturating_mul(new.len()) / 8)?;
    run.text(text.replacen(old, new, found))
}

pub(super) fn split<'a>(run: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    let (text, separator) = (string(&given[0]), string(&given[1]));
    run.charge(text.len())?;
    let parts: Vec<_> = match separator {
        "" => text.chars().map(Value::text).collect(),
        separator => text.split(separator).map(Value::text).collect(),
    };
    Ok(Value::list(parts))
}

pub(super) fn trim<'a>(run: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    let (text, cutset) = (string(&given[0]), string(&given[1]));
    run.charge(cutset.len())?;
    run.text(text.trim_matches(|letter| cutset.contains(letter)).to_owned())
}

pub(super) fn trim_prefix<'a>(run: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    let text = string(&given[0]);
    run.text(text.strip_prefix(string(&given[1])).unwrap_or(text).to_owned())
}

pub(super) fn truncate<'a>(run: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    let length = number(&given[1]) as usize;
    run.text(string(&given[0]).chars().take(length).collect())
}

pub(super) fn pattern_match<'a>(run: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    let Some(text) = shown(&given[1]) else { return Err(wrong_type("regex_match", 2, "String or Real")) };
    run.charge(string(&given[0]).len().saturating_mul(text.len()) / 64)?;
    Ok(Value::Bool(wildcard::matches(string(&given[0]), &text)))
}

pub(super) fn regex_match<'a>(run: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    let Some(text) = shown(&given[1]) else { return Err(wrong_type("regex_match", 2, "String or Real")) };
    let regexp = regexp(run, string(&given[0]), &text)?.map_err(Error::Failed)?;
    Ok(Value::Bool(regexp.is_match(&text)))
}

pub(super) fn regex_replace_all<'a>(run: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    substituted(run, "regex_replace_all", &given, Regexp::replace_all)
}

pub(super) fn regex_replace_all_literal<'a>(run: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    substituted(run, "regex_replace_all_literal", &given, Regexp::replace_all_literal)
}

fn substituted<'a>(run: &mut Run<'a>, name: &str, given: &[Value<'a>], replace: fn(&Regexp, &str, &str) -> String) -> Answer<'a> {
    let Some(text) = shown(&given[1]) else { return Err(wrong_type(name, 2, "String or Real")) };
    let Some(new) = shown(&given[2]) else { return Err(wrong_type(name, 3, "String or Real")) };
    let regexp = regexp(run, string(&given[0]), &text)?.map_err(|problem| failed(name, problem))?;
    // At worst every letter is replaced, by as many copies of the text as the replacement names groups.
    let groups = new.matches('$').count();
    run.charge((text.len() + 1).saturating_mul(new.len() + groups.saturating_mul(text.len().min(64))) / 64)?;
    run.text(replace(&regexp, &text, &new))
}

/// What a pattern costs on a text grows with both.
fn regexp(run: &mut Run<'_>, pattern: &str, text: &str) -> Result<Result<Regexp, String>, Error> {
    run.charge((pattern.len() + 16).saturating_mul(text.len() + 256) / 256)?;
    Ok(Regexp::unanchored(pattern))
}

pub(super) fn semver_compare<'a>(_: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    // A text that is no version counts as 0.0.0.
    let version = semver::Version::parse(string(&given[0])).unwrap_or_default();
    let range = semver::Range::parse(string(&given[1])).map_err(Error::Failed)?;
    Ok(Value::Bool(range.contains(&version)))
}

pub(super) fn image_normalize<'a>(run: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    let image = image::Image::parse(string(&given[0])).map_err(|problem| failed("image_normalize", problem))?;
    run.text(image.to_string())
}

/// As `filepath.Join` of one path: without empty, `.` and inner `..` elements.
pub(super) fn path_canonicalize<'a>(run: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    let path = string(&given[0]);
    if path.is_empty() {
        return Ok(Value::text(""));
    }
    let rooted = path.starts_with('/');
    let mut kept: Vec<&str> = Vec::new();
    for element in path.split('/') {
        match element {
            "" | "." => {}
            ".." if kept.last().is_some_and(|last| *last != "..") => {
                kept.pop();
            }
            ".." if rooted => {}
            other => kept.push(other),
        }
    }
    let joined = kept.join("/");
    run.text(match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    })
}

/// Whether a URL leads neither to this host nor to a private network. Names are looked up in [`crate::Env::hosts`].
pub(super) fn is_external_url<'a>(run: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    let url = string(&given[0]);
    if url.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(Error::Failed(format!("parse {url:?}: net/url: invalid control character in URL")));
    }
    let host = host(url);
    let external = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => !(ip.is_loopback() || ip.is_private()),
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => !(ip.is_loopback() || ip.is_private()),
            None => !(ip.is_loopback() || ip.is_unique_local()),
        },
    };
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(Value::Bool(external(&ip)));
    }
    match run.env.hosts.get(host) {
        Some(addresses) => Ok(Value::Bool(addresses.iter().all(external))),
        None => Err(Error::Failed(format!("lookup {host}: no such host"))),
    }
}

/// The host of `scheme://user@host:port/…`.
fn host(url: &str) -> &str {
    let Some((_, rest)) = url.split_once("//") else { return "" };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match host.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((address, _)) => address.split('%').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}
