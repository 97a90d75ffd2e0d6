//! `verifyImages`: who signed an image and what is attested of it, as far as the evidence says so.

use crate::{
    condition,
    context::{Context, Image, images_of},
    engine::Response,
    exceptions,
    result::Status,
    subject::Subject,
};
use kyverno_jmespath::wildcard;
use regex::RegexBuilder;
use serde_json::{Value, json};

/// Kyverno notes here which images it has verified.
const ANNOTATION: &str = "kyverno.io/verify-images";
const REGEX_BYTES: usize = 1 << 20;

fn flag(block: &Value, name: &str) -> bool {
    block.get(name).and_then(Value::as_bool).unwrap_or(true)
}

fn list<'a>(block: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    block.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn texts<'a>(block: &'a Value, name: &str) -> Vec<&'a str> {
    let mut texts: Vec<&str> = list(block, name).filter_map(Value::as_str).collect();
    // The old form has one reference.
    if name == "imageReferences" {
        texts.extend(block.get("image").and_then(Value::as_str));
    }
    texts
}

fn blocks(rule: &Value) -> impl Iterator<Item = &Value> {
    list(rule, "verifyImages")
}

/// Whether validation looks at the images too: `verifyDigest` or `required`, which hold unless they are turned off.
pub fn has_checks(rule: &Value) -> bool {
    blocks(rule).any(|block| flag(block, "verifyDigest") || flag(block, "required"))
}

fn refers(patterns: &[&str], image: &str) -> bool {
    patterns.iter().any(|pattern| wildcard::matches(pattern, image))
}

/// The images that some block of the rule is about.
fn matching(subject: &Subject<'_>, rule: &Value) -> Result<Vec<Image>, String> {
    let Some(object) = &subject.new else { return Ok(Vec::new()) };
    let images = images_of(object, rule.get("imageExtractors")).map_err(|error| error.to_string())?;
    let all = images.into_values().flat_map(std::collections::BTreeMap::into_values);
    Ok(all.filter(|image| blocks(rule).any(|block| refers(&texts(block, "imageReferences"), &image.image.to_string()))).collect())
}

/// Verifies and patches digests; nothing where the rule is about none of the images.
pub fn rule(context: &mut Context<'_>, subject: &mut Subject<'_>, rule: &Value) -> Option<Response> {
    let name = rule.get("name").and_then(Value::as_str).unwrap_or_default();
    let images = match matching(subject, rule) {
        Ok(images) if images.is_empty() => return None,
        Ok(images) => images,
        Err(why) => return Some(Response::error(why)),
    };
    let excepted = exceptions::matching(context, subject, name);
    if !excepted.is_empty() {
        return Some(Response::excepted(&excepted));
    }
    let mut responses = Vec::new();
    let mut verified = Vec::new();
    for block in blocks(rule) {
        for image in &images {
            let reference = image.image.to_string();
            let mut response = verify(context, block, image);
            if flag(block, "mutateDigest") && image.image.digest.is_empty() {
                match digest_of(context, &reference) {
                    Some(digest) => {
                        set_image(subject, &image.pointer, &format!("{reference}@{digest}"));
                        response = response.or_else(|| Some(Response::pass("mutated image digest")));
                        if response.as_ref().is_some_and(|r| r.status == Status::Pass) {
                            verified.push(format!("{}@{digest}", reference.rsplit_once(':').map_or(reference.as_str(), |(name, _)| name)));
                        }
                    }
                    None => responses
                        .push(Response::error(format!("failed to update digest: nothing of the evidence says the digest of {reference}"))),
                }
            } else if response.as_ref().is_some_and(|r| r.status == Status::Pass) {
                verified.push(reference);
            }
            responses.extend(response);
        }
    }
    note(subject, &verified);
    // One word for all images: the worst.
    let worst = |status: Status| responses.iter().find(|response| response.status == status).cloned();
    worst(Status::Error).or_else(|| worst(Status::Fail)).or_else(|| worst(Status::Pass)).or_else(|| responses.first().cloned())
}

fn digest_of(context: &Context<'_>, reference: &str) -> Option<String> {
    context.runtime.evidence.image(reference)?.get("digest")?.as_str().map(str::to_owned)
}

fn set_image(subject: &mut Subject<'_>, pointer: &str, image: &str) {
    if let Some(place) = subject.new.as_mut().and_then(|object| object.pointer_mut(pointer)) {
        *place = json!(image);
    }
}

/// Writes down which images are verified, as Kyverno does for the check that follows.
fn note(subject: &mut Subject<'_>, verified: &[String]) {
    let Some(object) = subject.new.as_mut().filter(|_| !verified.is_empty()) else { return };
    let mut noted: Value = object
        .pointer("/metadata/annotations")
        .and_then(|annotations| annotations.get(ANNOTATION))
        .and_then(Value::as_str)
        .and_then(|text| serde_json::from_str(text).ok())
        .filter(Value::is_object)
        .unwrap_or_else(|| json!({}));
    for image in verified {
        noted[image] = json!("pass");
    }
    if !object["metadata"]["annotations"].is_object() {
        object["metadata"]["annotations"] = json!({});
    }
    object["metadata"]["annotations"][ANNOTATION] = json!(noted.to_string());
}

fn verify(context: &mut Context<'_>, block: &Value, image: &Image) -> Option<Response> {
    let reference = image.image.to_string();
    let attestors: Vec<&Value> = list(block, "attestors").collect();
    let attestations: Vec<&Value> = list(block, "attestations").collect();
    // The old form names one key.
    let old = block.get("key").or_else(|| block.get("issuer").or_else(|| block.get("subject"))).is_some();
    if attestors.is_empty() && attestations.is_empty() && !old {
        return None;
    }
    if !refers(&texts(block, "imageReferences"), &reference) || refers(&texts(block, "skipImageReferences"), &reference) {
        return Some(Response::skip(format!("skipping image reference image {reference}")));
    }
    context.set_image(image);
    let Some(known) = context.runtime.evidence.image(&reference) else {
        return Some(Response::error(format!("failed to verify image {reference}: nothing of the evidence says who signed it")));
    };
    let signatures: Vec<&Value> = list(known, "signatures").collect();
    let old_set = json!({ "entries": [{ "keys": { "publicKeys": block.get("key") }, "annotations": block.get("annotations") }] });
    let sets = attestors.iter().copied().chain(old.then_some(&old_set));
    for (i, set) in sets.enumerate() {
        if let Err(why) = verify_set(set, &signatures, &format!(".attestors[{i}]"), 0) {
            return Some(Response::fail(format!("failed to verify image {reference}: {why}")));
        }
    }
    for attestation in attestations {
        if let Err(why) = attested(context, attestation, known) {
            return Some(Response::fail(format!("image attestations verification failed for {reference}: {why}")));
        }
    }
    Some(Response::pass(format!("verified image signatures for {reference}")))
}

fn verify_set(set: &Value, signatures: &[&Value], path: &str, depth: usize) -> Result<(), String> {
    let entries: Vec<Value> = list(set, "entries").flat_map(single_keys).collect();
    let needed = set.get("count").and_then(Value::as_u64).and_then(|count| usize::try_from(count).ok()).unwrap_or(entries.len());
    let mut verified = 0;
    let mut failures = Vec::new();
    for (i, entry) in entries.iter().enumerate() {
        let path = format!("{path}.entries[{i}]");
        let result = match entry.get("attestor").filter(|nested| nested.is_object()) {
            Some(nested) if depth < 8 => verify_set(nested, signatures, &format!("{path}.attestor"), depth + 1),
            Some(_) => Err(format!("{path}: attestors are nested too deeply")),
            None if signatures.iter().any(|signature| signed_by(entry, signature)) => Ok(()),
            None => Err(format!("{path}: no matching signatures")),
        };
        match result {
            Ok(()) => verified += 1,
            Err(why) => failures.push(why),
        }
        if verified >= needed {
            return Ok(());
        }
    }
    Err(if failures.is_empty() { format!("{path}: no attestors") } else { failures.join("; ") })
}

/// Several keys in one text are several attestors.
fn single_keys(entry: &Value) -> Vec<Value> {
    const END: &str = "-----END PUBLIC KEY-----";
    let keys = entry.pointer("/keys/publicKeys").and_then(Value::as_str).unwrap_or_default();
    if keys.matches(END).count() < 2 {
        return vec![entry.clone()];
    }
    keys.split_inclusive(END)
        .filter(|key| key.contains(END))
        .map(|key| {
            let mut entry = entry.clone();
            entry["keys"]["publicKeys"] = json!(key);
            entry
        })
        .collect()
}

/// Whether a signature of the evidence (`publicKey`, or `issuer` and `subject`, or `certificate`, with `annotations`) is of the attestor.
fn signed_by(entry: &Value, signature: &Value) -> bool {
    let of = |name: &str| signature.get(name).and_then(Value::as_str).unwrap_or_default();
    let annotations = entry.get("annotations").and_then(Value::as_object);
    if annotations
        .is_some_and(|wanted| wanted.iter().any(|(key, value)| signature.pointer("/annotations").and_then(|a| a.get(key)) != Some(value)))
    {
        return false;
    }
    let compact = |text: &str| text.split_whitespace().collect::<String>();
    if let Some(keys) = entry.get("keys").filter(|keys| keys.is_object()) {
        let wanted = ["publicKeys", "kms", "secret"].into_iter().find_map(|name| keys.get(name));
        let wanted = match wanted {
            Some(Value::String(text)) => compact(text),
            Some(Value::Object(secret)) => {
                let part = |name: &str| secret.get(name).and_then(Value::as_str).unwrap_or_default();
                format!("k8s://{}/{}", part("namespace"), part("name"))
            }
            _ => return false,
        };
        return !wanted.is_empty() && compact(of("publicKey")) == wanted;
    }
    if let Some(certificates) = entry.get("certificates").filter(|certificates| certificates.is_object()) {
        let wanted = ["cert", "certChain"].into_iter().filter_map(|name| certificates.get(name)).filter_map(Value::as_str).next();
        return wanted.is_some_and(|wanted| compact(of("certificate")) == compact(wanted));
    }
    let Some(keyless) = entry.get("keyless").filter(|keyless| keyless.is_object()) else { return false };
    let fits = |name: &str, pattern_name: &str, actual: &str| {
        let exact = keyless.get(name).and_then(Value::as_str).unwrap_or_default();
        let pattern = keyless.get(pattern_name).and_then(Value::as_str).unwrap_or_default();
        let by_pattern = || RegexBuilder::new(pattern).size_limit(REGEX_BYTES).build().is_ok_and(|regex| regex.is_match(actual));
        (exact.is_empty() || wildcard::matches(exact, actual)) && (pattern.is_empty() || by_pattern())
    };
    !of("issuer").is_empty() && fits("issuer", "issuerRegExp", of("issuer")) && fits("subject", "subjectRegExp", of("subject"))
}

fn attested(context: &mut Context<'_>, attestation: &Value, known: &Value) -> Result<(), String> {
    let wanted = ["type", "predicateType"].into_iter().find_map(|name| attestation.get(name).and_then(Value::as_str)).unwrap_or_default();
    if wanted.is_empty() {
        return Err("a type is required".to_owned());
    }
    let statements: Vec<&Value> = list(known, "attestations").filter(|s| s.get("type").and_then(Value::as_str) == Some(wanted)).collect();
    if statements.is_empty() {
        return Err(format!("attestions not found for predicate type {wanted}"));
    }
    for statement in statements {
        let signatures: Vec<&Value> = list(statement, "signatures").collect();
        for (i, set) in list(attestation, "attestors").enumerate() {
            verify_set(set, &signatures, &format!(".attestors[{i}]"), 0)?;
        }
        context.checkpoint();
        context.set_fields(statement.get("predicate").unwrap_or(&Value::Null));
        let held = condition::blocks_hold(context, attestation.get("conditions"));
        context.restore();
        let (holds, message) = held.map_err(|error| format!("failed to check attestations: {error}"))?;
        if !holds {
            return Err(format!("attestation checks failed for predicate {wanted}: {message}"));
        }
    }
    Ok(())
}

/// What validation says of the images: digests are there, and who had to be verified has been.
pub fn check(context: &mut Context<'_>, subject: &Subject<'_>, rule: &Value) -> Option<Response> {
    if subject.deletes() {
        return None;
    }
    let name = rule.get("name").and_then(Value::as_str).unwrap_or_default();
    match matching(subject, rule) {
        Ok(images) if images.is_empty() => return None,
        Ok(_) => {}
        Err(why) => return Some(Response::error(why)),
    }
    let excepted = exceptions::matching(context, subject, name);
    if !excepted.is_empty() {
        return Some(Response::excepted(&excepted));
    }
    let object = subject.new.as_ref()?;
    let images = images_of(object, rule.get("imageExtractors")).ok()?;
    let annotation = object.pointer("/metadata/annotations").and_then(|a| a.get(ANNOTATION)).and_then(Value::as_str);
    let noted: Option<Value> = annotation.and_then(|text| serde_json::from_str(text).ok());
    for block in blocks(rule) {
        for image in images.values().flat_map(std::collections::BTreeMap::values) {
            let reference = image.image.to_string();
            if !refers(&texts(block, "imageReferences"), &reference) {
                return None;
            }
            if flag(block, "verifyDigest") && image.image.digest.is_empty() {
                return Some(Response::fail(format!("missing digest for {reference}")));
            }
            let passed = noted.as_ref().and_then(|noted| noted.get(&reference)).and_then(Value::as_str) == Some("pass");
            if flag(block, "required") && !passed {
                return Some(Response::fail(format!("unverified image {reference}")));
            }
        }
    }
    Some(Response::pass("image verified"))
}
