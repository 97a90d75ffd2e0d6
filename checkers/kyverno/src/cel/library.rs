//! Kyverno's functions: `resource`, `http`, `globalContext`, `generator`, `image`, `hash`, `json`, `yaml`, `time` and the rest, answered
//! from the evidence. Names with a small letter and with a capital are the same (`resource.get`, `resource.Get`).

use super::{image_ref::ImageRef, kinds::Kinds};
use crate::Evidence;
use go_regexp::Regexp;
use kyverno_jmespath::Env;
use machinery::cel::{
    Answer, Host, Value as Cel,
    cost::OVER_LIMIT,
    value::{self, as_key, map, of_json, string, timestamp, to_json, weight},
};
use serde_json::{Value, json};
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    sync::Arc,
};

/// Objects that one policy may generate for one trigger.
const MOST_GENERATED: usize = 1000;

/// Parts of a value that a function writes as JSON.
const HEAVIEST: usize = 1_000_000;

/// What the functions know: the evidence, and the namespace of the policy that asks.
#[derive(Debug)]
pub(super) struct Library<'a> {
    pub evidence: &'a Evidence,
    pub kinds: &'a Kinds<'a>,
    /// Empty for a policy of the whole cluster.
    pub namespace: String,
    /// What `generator.apply` was given.
    pub generated: RefCell<Vec<Value>>,
    /// The attestors and attestations of an ImageValidatingPolicy, and the images that it is about.
    pub images: Option<super::image_validating::Images>,
    seed: Cell<u64>,
}

impl Host for Library<'_> {
    fn has_functions(&self, name: &str) -> bool {
        matches!(name, "resource" | "http" | "globalContext" | "generator" | "image" | "json" | "yaml")
    }

    fn call(&self, name: &str, arguments: &[Cel]) -> Option<Answer> {
        self.answer(name, arguments)
    }

    fn variable_failed(&self, _name: &str, error: String) -> String {
        error
    }
}

impl<'a> Library<'a> {
    pub fn new(evidence: &'a Evidence, kinds: &'a Kinds<'a>, namespace: &str) -> Self {
        Self { evidence, kinds, namespace: namespace.to_owned(), generated: RefCell::default(), images: None, seed: Cell::new(1) }
    }

    fn answer(&self, name: &str, arguments: &[Cel]) -> Option<Answer> {
        Some(match (name, arguments) {
            ("resource.get" | "resource.Get", arguments) => self.get(arguments),
            ("resource.list" | "resource.List", arguments) => self.list(arguments),
            ("resource.post" | "resource.Post", arguments) => self.post(arguments),
            ("resource.toGVR" | "resource.ToGVR", [api_version, kind]) => self.to_gvr(api_version, kind),
            ("http.get" | "http.Get", [url] | [url, _]) => self.http("GET", url),
            ("http.post" | "http.Post", [url, _] | [url, _, _]) => self.http("POST", url),
            ("http.client" | "http.Client", [_]) => Ok(Cel::Function(Arc::new("http".to_owned()), None)),
            ("globalContext.get" | "globalContext.Get", [name]) => self.global(name, None),
            ("globalContext.get" | "globalContext.Get", [name, projection]) => self.global(name, Some(projection)),
            ("generator.apply" | "generator.Apply", arguments) => self.generate(arguments),
            ("image.getMetadata" | "image.GetMetadata", [image]) => self.metadata(image),
            ("json.unmarshal", [text]) => parsed(text, |text| serde_json::from_str(text).map_err(|error| error.to_string())),
            ("json.marshal", [value]) => json_of(value).map(|json| string(&json.to_string())),
            ("yaml.parse", [text]) => parsed(text, machinery::strict::from_yaml),
            ("sha1" | "hash.sha1", [text]) => self.in_jmespath("sha1(@)", text),
            ("sha256" | "hash.sha256", [text]) => self.in_jmespath("sha256(@)", text),
            ("md5" | "hash.md5", [text]) => self.in_jmespath("md5(@)", text),
            ("x509.decode", [text]) => self.in_jmespath("x509_decode(@)", text),
            ("random" | "random.random", []) => self.in_jmespath("random(@)", &string("[0-9a-z]{8}")),
            ("random" | "random.random", [pattern]) => self.in_jmespath("random(@)", pattern),
            ("math.round", [Cel::Float(number), Cel::Int(places)]) => {
                let shift = 10_f64.powi(i32::try_from(*places).unwrap_or(i32::MAX));
                Ok(Cel::Float((number * shift).round() / shift))
            }
            ("time.now", []) => timestamp(&self.evidence.now.to_string()),
            ("time.toCron", [time @ Cel::Timestamp(_)]) => self.in_jmespath("time_to_cron(@)", &string(&value::printed(time))),
            ("time.truncate", [time @ Cel::Timestamp(_), length @ Cel::Duration(_)]) => self.truncated(time, length),
            ("listObjToMap" | "transform.listObjToMap", [Cel::List(keys), Cel::List(values), key, value]) => {
                zipped(keys, values, key, value)
            }
            ("parseServiceAccount" | "user.parseServiceAccount", [Cel::String(user)]) => Ok(service_account(user)),
            ("image" | "parseImageReference", [Cel::String(text)]) => ImageRef::parse(text).map(|image| Cel::Opaque(Arc::new(image))),
            ("isImage", [Cel::String(text)]) => Ok(Cel::Bool(ImageRef::parse(text).is_ok())),
            ("regex.replace", [Cel::String(text), Cel::String(pattern), Cel::String(new)]) => regex_replace(text, pattern, new, None),
            ("regex.replace", [Cel::String(text), Cel::String(pattern), Cel::String(new), Cel::Int(most)]) => {
                regex_replace(text, pattern, new, usize::try_from(*most).ok())
            }
            ("regex.extract", [Cel::String(text), Cel::String(pattern)]) => extract(text, pattern),
            ("regex.extractAll", [Cel::String(text), Cel::String(pattern)]) => extract_all(text, pattern),
            (name, [Cel::Opaque(opaque)]) => {
                let image = opaque.downcast_ref::<ImageRef>()?;
                match name {
                    "registry" => Ok(string(&image.registry)),
                    "repository" => Ok(string(&image.repository)),
                    "identifier" => Ok(string(&image.identifier())),
                    "identifierWithSeparator" => Ok(string(&image.identifier_with_separator())),
                    "tag" => Ok(string(&image.tag)),
                    "digest" => Ok(string(&image.digest)),
                    "containsDigest" => Ok(Cel::Bool(!image.digest.is_empty())),
                    "string" => Ok(string(&image.source)),
                    _ => return None,
                }
            }
            (name, arguments) => return self.images.as_ref()?.call(name, arguments, self),
        })
    }

    /// The arguments with a namespace where the policy has one of its own, and with what `toGVR` gave taken apart.
    fn place(&self, arguments: &[Cel]) -> Result<(Place, Vec<Cel>), String> {
        let (mut place, rest) = match arguments {
            [Cel::Map(gvr), rest @ ..] => {
                let field = |name: &str| gvr.map.get(&value::key(name)).map(value::printed).unwrap_or_default();
                let place =
                    Place { group: field("Group"), version: field("Version"), resource: field("Resource"), namespace: String::new() };
                (place, rest)
            }
            [Cel::String(api_version), Cel::String(resource), rest @ ..] => {
                let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
                let place = Place {
                    group: group.to_owned(),
                    version: version.to_owned(),
                    resource: resource.to_string(),
                    namespace: String::new(),
                };
                (place, rest)
            }
            _ => return Err("no such overload".to_owned()),
        };
        if !self.namespace.is_empty() {
            place.namespace.clone_from(&self.namespace);
            return Ok((place, rest.to_vec()));
        }
        match rest {
            [Cel::String(namespace), rest @ ..] => {
                place.namespace = namespace.to_string();
                Ok((place, rest.to_vec()))
            }
            rest => Ok((place, rest.to_vec())),
        }
    }

    fn objects(&self, place: &Place) -> impl Iterator<Item = &'a Value> {
        let place = place.clone();
        let kinds = self.kinds;
        self.evidence.objects.iter().chain(&self.evidence.targets).filter(move |object| {
            let kind = crate::trigger::KindOf::of(object);
            let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
            kind.group == place.group
                && kind.version == place.version
                && kinds.resource_of(&kind) == place.resource
                && (place.namespace.is_empty() || namespace == place.namespace)
        })
    }

    fn get(&self, arguments: &[Cel]) -> Answer {
        let (place, rest) = self.place(arguments)?;
        let [Cel::String(name)] = rest.as_slice() else { return Err("no such overload".to_owned()) };
        let named = |object: &&Value| object.pointer("/metadata/name").and_then(Value::as_str) == Some(name.as_str());
        Ok(self.objects(&place).find(named).map_or(Cel::Null, of_json))
    }

    fn list(&self, arguments: &[Cel]) -> Answer {
        let (place, rest) = self.place(arguments)?;
        let labels = match rest.as_slice() {
            [] => Vec::new(),
            [Cel::Map(labels)] => value::sorted(labels),
            _ => return Err("no such overload".to_owned()),
        };
        let labelled = |object: &&Value| {
            labels.iter().all(|(key, value)| {
                let given = object.pointer("/metadata/labels").and_then(Value::as_object);
                given.is_some_and(|given| {
                    let name = value::printed(&value::of_key(key.clone()));
                    given.get(&name).and_then(Value::as_str) == Some(value::printed(value).as_str())
                })
            })
        };
        let items: Vec<Cel> = self.objects(&place).filter(labelled).map(of_json).collect();
        let entries = [("apiVersion", string("v1")), ("kind", string("List")), ("items", value::list(items))];
        Ok(map(entries.into_iter().map(|(name, value)| (value::key(name), value)).collect()))
    }

    /// An object that is sent comes back as it is, unless the evidence has an answer.
    fn post(&self, arguments: &[Cel]) -> Answer {
        let (place, rest) = self.place(arguments)?;
        let Some(data @ Cel::Map(_)) = rest.last() else { return Err("no such overload".to_owned()) };
        let path = place.path();
        let answer = self.evidence.http.iter().find(|answer| answer["urlPath"] == path && answer["method"] == "POST");
        Ok(answer.map_or_else(|| data.clone(), |answer| of_json(&answer["response"])))
    }

    fn to_gvr(&self, api_version: &Cel, kind: &Cel) -> Answer {
        let (Cel::String(api_version), Cel::String(kind)) = (api_version, kind) else { return Err("no such overload".to_owned()) };
        let kind = crate::trigger::KindOf::of(&json!({ "apiVersion": **api_version, "kind": **kind }));
        Ok(of_json(&json!({ "Group": kind.group, "Version": kind.version, "Resource": self.kinds.resource_of(&kind) })))
    }

    fn http(&self, method: &str, url: &Cel) -> Answer {
        let Cel::String(url) = url else { return Err("no such overload".to_owned()) };
        if !self.namespace.is_empty() {
            let hint = "set --allowHTTPInNamespacedPolicies to enable";
            return Err(format!("http calls are not allowed in namespaced policies: {hint}"));
        }
        let answers = |answer: &&Value| {
            let is = |name: &str| answer.get(name).and_then(Value::as_str).is_some_and(|given| given == url.as_str());
            let given = answer.get("method").and_then(Value::as_str).unwrap_or(method);
            (is("url") || is("urlPath")) && (given.is_empty() || given.eq_ignore_ascii_case(method))
        };
        match self.evidence.http.iter().find(answers) {
            Some(answer) if answer["statusCode"].is_null() => Ok(of_json(&answer["response"])),
            Some(answer) => Ok(of_json(&json!({ "body": answer["response"], "statusCode": answer["statusCode"] }))),
            None => Err(format!("request failed: {} {url:?}: the evidence has no answer", if method == "GET" { "Get" } else { "Post" })),
        }
    }

    fn global(&self, name: &Cel, projection: Option<&Cel>) -> Answer {
        let Cel::String(name) = name else { return Err("no such overload".to_owned()) };
        if !self.namespace.is_empty() {
            return Err("failed to get global reference: globalContext.* is not allowed in namespaced policies".to_owned());
        }
        let Some(data) = self.evidence.global.get(name.as_str()) else { return Ok(Cel::Null) };
        let projection = match projection {
            None => return Ok(of_json(data)),
            Some(Cel::String(projection)) if projection.is_empty() => return Ok(of_json(data)),
            Some(Cel::String(projection)) => projection,
            Some(_) => return Err("no such overload".to_owned()),
        };
        match data.get(projection.as_str()) {
            Some(found) => Ok(of_json(found)),
            None => {
                let not_found = format!("projection {projection:?} not found in global context entry {name:?}");
                let why = if data.is_object() { "" } else { ": stored value is not an object" };
                Err(format!("failed to get global reference: {not_found}{why}"))
            }
        }
    }

    fn generate(&self, arguments: &[Cel]) -> Answer {
        let (namespace, objects) = match (arguments, self.namespace.as_str()) {
            ([Cel::String(namespace), Cel::List(objects)], "") => (namespace.to_string(), objects),
            ([Cel::List(objects)], namespace) if !namespace.is_empty() => (namespace.to_owned(), objects),
            _ => return Err("no such overload".to_owned()),
        };
        let objects: Result<Vec<_>, _> = objects.iter().map(json_of).collect();
        self.add(&namespace, objects?.into_iter())?;
        Ok(Cel::Bool(true))
    }

    /// Takes objects in as generated ones of a namespace; lists are taken apart.
    pub fn add(&self, namespace: &str, objects: impl Iterator<Item = Value>) -> Result<(), String> {
        let mut generated = self.generated.borrow_mut();
        for object in objects {
            let items = match object.get("items") {
                Some(Value::Array(items)) => items.clone(),
                _ => vec![object],
            };
            for mut item in items {
                if generated.len() >= MOST_GENERATED {
                    return Err(format!("failed to generate resources: more than {MOST_GENERATED}"));
                }
                if let Some(fields) = item.as_object_mut() {
                    let metadata = fields.entry("metadata").or_insert_with(|| json!({}));
                    if let Some(metadata) = metadata.as_object_mut() {
                        if namespace.is_empty() {
                            metadata.remove("namespace");
                        } else {
                            metadata.insert("namespace".to_owned(), json!(namespace));
                        }
                    }
                }
                generated.push(item);
            }
        }
        Ok(())
    }

    fn metadata(&self, image: &Cel) -> Answer {
        let Cel::String(image) = image else { return Err("no such overload".to_owned()) };
        let found = self.evidence.images.iter().find(|data| data["image"] == image.as_str());
        match found {
            Some(data) => Ok(of_json(data)),
            None => Err(format!("failed to get image data: image data for {image} not found in the context")),
        }
    }

    /// A function that JMESPath has too.
    fn in_jmespath(&self, expression: &str, value: &Cel) -> Answer {
        let json = json_of(value)?;
        let env = Env::new(self.evidence.now, self.seed.get());
        let answer = kyverno_jmespath::compile(expression).and_then(|compiled| compiled.search(&json, &env));
        self.seed.set(env.seed.get());
        answer.map(|answer| of_json(&answer)).map_err(|error| error.to_string())
    }

    fn truncated(&self, time: &Cel, length: &Cel) -> Answer {
        let given = Value::Array(vec![to_json(time), to_json(length)]);
        match self.in_jmespath("time_truncate([0], [1])", &of_json(&given))? {
            Cel::String(cut) => timestamp(&cut),
            other => Ok(other),
        }
    }
}

/// A value as JSON, where it is not too large: values share their parts, so that a small one may be written without end.
pub(super) fn json_of(value: &Cel) -> Result<Value, String> {
    if weight(value, HEAVIEST) > HEAVIEST { Err(OVER_LIMIT.to_owned()) } else { Ok(to_json(value)) }
}

/// Where objects of one resource are.
#[derive(Debug, Clone)]
struct Place {
    group: String,
    version: String,
    resource: String,
    namespace: String,
}

impl Place {
    fn path(&self) -> String {
        let Self { group, version, resource, namespace } = self;
        let base = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        if namespace.is_empty() { format!("{base}/{resource}") } else { format!("{base}/namespaces/{namespace}/{resource}") }
    }
}

fn parsed(text: &Cel, parse: impl Fn(&str) -> Result<Value, String>) -> Answer {
    let Cel::String(text) = text else { return Err("no such overload".to_owned()) };
    parse(text).map(|value| of_json(&value))
}

fn service_account(user: &str) -> Cel {
    let account = user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    let (namespace, name) = account.unwrap_or_default();
    let fields = [("Name", name), ("Namespace", namespace), ("name", name), ("namespace", namespace)];
    map(fields.into_iter().map(|(field, value)| (value::key(field), string(value))).collect())
}

fn zipped(keys: &[Cel], values: &[Cel], key: &Cel, value: &Cel) -> Answer {
    if keys.len() != values.len() {
        return Err(format!("listObjToMap must take lists of equal length. list1: {}, list2: {}", keys.len(), values.len()));
    }
    let (Some(key), Some(value)) = (as_key(key), as_key(value)) else { return Err("no such overload".to_owned()) };
    let mut entries = HashMap::new();
    for (first, second) in keys.iter().zip(values) {
        let (Cel::Map(first), Cel::Map(second)) = (first, second) else {
            return Err("object cannot be handled as a map string to any in the value object list".to_owned());
        };
        let Some(name @ Cel::String(_)) = first.map.get(&key) else {
            return Err("the passed key name cannot be handled as a string in the key object list".to_owned());
        };
        entries.extend(as_key(name).map(|name| (name, second.map.get(&value).cloned().unwrap_or(Cel::Null))));
    }
    Ok(map(entries))
}

/// The replacement's `\1` stands for a group.
fn regex_replace(text: &str, pattern: &str, new: &str, most: Option<usize>) -> Answer {
    let regexp = Regexp::unanchored(pattern)?;
    let mut out = String::new();
    let mut end = 0;
    for captures in regexp.captures_iter(text, most.unwrap_or(usize::MAX)) {
        let Some(whole) = captures.get(0) else { continue };
        out += &text[end..whole.start()];
        end = whole.end();
        let mut letters = new.chars();
        while let Some(letter) = letters.next() {
            match (letter, letters.clone().next()) {
                ('\\', Some(digit)) if digit.is_ascii_digit() => {
                    letters.next();
                    let group = usize::try_from(digit.to_digit(10).unwrap_or(0)).unwrap_or(0);
                    out += captures.get(group).map_or("", |group| group.as_str());
                }
                ('\\', Some('\\')) => {
                    letters.next();
                    out.push('\\');
                }
                _ => out.push(letter),
            }
        }
        if out.len() > 1 << 20 {
            return Err(OVER_LIMIT.to_owned());
        }
    }
    out += &text[end..];
    Ok(string(&out))
}

fn extract(text: &str, pattern: &str) -> Answer {
    let regexp = Regexp::unanchored(pattern)?;
    let found = regexp.captures_iter(text, 1).next().and_then(|captures| captures.get(1).or_else(|| captures.get(0)));
    Ok(found.map_or_else(value::none, |found| value::some(string(found.as_str()))))
}

fn extract_all(text: &str, pattern: &str) -> Answer {
    let regexp = Regexp::unanchored(pattern)?;
    let found = regexp.captures_iter(text, usize::MAX).filter_map(|captures| captures.get(1).or_else(|| captures.get(0)));
    Ok(value::list(found.map(|found| string(found.as_str())).collect()))
}
