//! Parts of an image reference, as AssignImage replaces them: domain, path, and tag or digest with its sign.

use regex::Regex;
use std::sync::LazyLock;

static DOMAIN: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^(?:[0-9A-Za-z_][0-9A-Za-z_\-]*\.[0-9A-Za-z_\-.]*[0-9A-Za-z_]|localhost)(?::[0-9]+)?$").ok());
static PATH: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[a-z0-9]+(?:(?:[._/]|__|-*)[a-z0-9]+)*$").ok());
static TAG: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let tag = r":[0-9A-Za-z_][0-9A-Za-z_.-]{0,127}";
    let digest = r"@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9A-Fa-f]{32,}";
    Regex::new(&format!("^(?:{tag}|{digest})$")).ok()
});

/// `image` with the parts that are not empty in place of its own.
pub(super) fn mutate(domain: &str, path: &str, tag: &str, image: &str) -> String {
    let (old_domain, rest) = split_domain(image);
    let (old_path, old_tag) = rest.split_at(rest.find([':', '@']).unwrap_or(rest.len()));
    let or = |new: &'_ str, old: &'_ str| if new.is_empty() { old.to_owned() } else { new.to_owned() };
    let domain = or(domain, old_domain);
    let slash = if domain.is_empty() { "" } else { "/" };
    format!("{domain}{slash}{}{}", or(path, old_path), or(tag, old_tag))
}

/// Where what is before the first slash looks like a host, it is one.
fn split_domain(image: &str) -> (&str, &str) {
    match image.split_once('/') {
        Some((domain, rest)) if domain.contains(['.', ':']) || domain == "localhost" => (domain, rest),
        _ => ("", image),
    }
}

/// Refuses parts that would be taken apart differently the next time. The field, and what is wrong with it.
pub(super) fn validate(domain: &str, path: &str, tag: &str) -> Result<(), (&'static str, String)> {
    let fits = |regex: &LazyLock<Option<Regex>>, part: &str| part.is_empty() || regex.as_ref().is_some_and(|regex| regex.is_match(part));
    if domain.is_empty() && path.is_empty() && tag.is_empty() {
        return Err(("", "at least one of assignDomain, assignPath, assignTag must be set".to_owned()));
    }
    if !fits(&DOMAIN, domain) {
        return Err((
            ".assignDomain",
            format!("assignDomain {domain:?} is no domain: a host with a dot or localhost, with a port if need be"),
        ));
    }
    if !fits(&PATH, path) {
        return Err((".assignPath", format!("assignPath {path:?} is no path of an image")));
    }
    if !fits(&TAG, tag) {
        return Err((".assignTag", format!("assignTag {tag:?} is neither `:tag` nor `@algorithm:digest`")));
    }
    if domain.is_empty() && !split_domain(path).0.is_empty() {
        let message = format!("assignDomain must be set if the path {path:?} begins with what could be taken for a domain");
        return Err((".assignPath", message));
    }
    Ok(())
}
