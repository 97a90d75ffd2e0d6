//! The images of an object, by kind of container and name.

use super::QueryError;
use kyverno_jmespath::image;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// An image with the place of it in the object, as a JSON pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    pub image: image::Image,
    pub pointer: String,
}

impl Image {
    /// As rules see it.
    pub fn value(&self) -> Value {
        let image::Image { registry, path, name, tag, digest } = &self.image;
        let mut fields = Map::new();
        for (key, text) in [
            ("registry", registry),
            ("path", path),
            ("name", name),
            ("tag", tag),
            ("digest", digest),
            ("reference", &self.image.to_string()),
            ("referenceWithTag", &self.image.with_tag()),
        ] {
            if !text.is_empty() || key == "path" || key == "name" {
                fields.insert(key.to_owned(), json!(text));
            }
        }
        Value::Object(fields)
    }
}

/// `containers`, `initContainers`, … by the name of the container.
pub type Images = BTreeMap<String, BTreeMap<String, Image>>;

pub fn images_value(images: &Images) -> Value {
    let of_kind = |images: &BTreeMap<String, Image>| -> Value {
        let one = |image: &Image| {
            let mut value = image.value();
            value["jsonPointer"] = json!(image.pointer);
            value
        };
        Value::Object(images.iter().map(|(name, image)| (name.clone(), one(image))).collect())
    };
    Value::Object(images.iter().map(|(kind, images)| (kind.clone(), of_kind(images))).collect())
}

/// Where an object of some kind has images.
#[derive(Debug, Clone)]
pub struct Extractor {
    name: String,
    fields: Vec<String>,
    key: String,
    value: String,
    jmes_path: String,
}

/// The extractors of a kind: those of the rule where it has some for the kind, else those that Kyverno knows.
pub fn extractors_of(kind: &str, configured: Option<&Value>) -> Vec<Extractor> {
    if let Some(list) = configured.and_then(|kinds| kinds.get(kind)).and_then(Value::as_array) {
        return list.iter().map(configured_extractor).collect();
    }
    let way: &[&str] = match kind {
        "Pod" => &["spec"],
        "DaemonSet" | "Deployment" | "ReplicaSet" | "ReplicationController" | "StatefulSet" | "Job" => &["spec", "template", "spec"],
        "CronJob" => &["spec", "jobTemplate", "spec", "template", "spec"],
        _ => return Vec::new(),
    };
    ["initContainers", "containers", "ephemeralContainers"]
        .into_iter()
        .map(|name| Extractor {
            name: name.to_owned(),
            fields: way.iter().copied().chain([name, "*"]).map(str::to_owned).collect(),
            key: "name".to_owned(),
            value: "image".to_owned(),
            jmes_path: String::new(),
        })
        .collect()
}

fn configured_extractor(config: &Value) -> Extractor {
    let text = |name: &str| config.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut fields: Vec<String> = text("path").split('/').map(|f| f.trim_matches(' ').to_owned()).filter(|f| !f.is_empty()).collect();
    let value = match text("value") {
        empty if empty.is_empty() => fields.pop().unwrap_or_default(),
        value => value,
    };
    let name = match text("name") {
        empty if empty.is_empty() => "custom".to_owned(),
        name => name,
    };
    Extractor { name, fields, key: text("key"), value, jmes_path: text("jmesPath") }
}

pub fn images_of(object: &Value, configured: Option<&Value>) -> Result<Images, QueryError> {
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    let mut images = Images::new();
    for extractor in extractors_of(kind, configured) {
        let mut found = BTreeMap::new();
        extractor.extract(object, &mut Vec::new(), &extractor.fields, &mut found)?;
        if !found.is_empty() {
            images.entry(extractor.name.clone()).or_default().extend(found);
        }
    }
    Ok(images)
}

impl Extractor {
    fn extract(
        &self,
        value: &Value,
        path: &mut Vec<String>,
        fields: &[String],
        found: &mut BTreeMap<String, Image>,
    ) -> Result<(), QueryError> {
        let failed = |message: &str| Err(QueryError::Failed(format!("failed to extract images: {message}")));
        if value.is_null() {
            return Ok(());
        }
        let Some((field, rest)) = fields.split_first() else { return self.image(value, path, found) };
        let mut below = |value: &Value, step: String| {
            path.push(step);
            let result = self.extract(value, path, rest, found);
            path.pop();
            result
        };
        match (field.as_str(), value) {
            ("*", Value::Array(items)) => items.iter().enumerate().try_for_each(|(i, item)| below(item, i.to_string())),
            ("*", Value::Object(map)) => map.iter().try_for_each(|(key, value)| below(value, key.clone())),
            ("*", _) => failed("invalid type"),
            (field, Value::Object(map)) => map.get(field).map_or(Ok(()), |value| below(value, field.to_owned())),
            _ => failed("invalid image config"),
        }
    }

    fn image(&self, container: &Value, path: &[String], found: &mut BTreeMap<String, Image>) -> Result<(), QueryError> {
        let failed = |message: String| Err(QueryError::Failed(format!("failed to extract images: {message}")));
        let Value::Object(container) = container else { return failed("invalid image config".to_owned()) };
        let pointer = format!("/{}/{}", path.join("/"), self.value);
        let key = match self.key.as_str() {
            "" => pointer.clone(),
            key => match container.get(key).and_then(Value::as_str) {
                Some(key) => key.to_owned(),
                None => return failed("invalid key".to_owned()),
            },
        };
        let mut text = container.get(&self.value).and_then(Value::as_str).unwrap_or_default().to_owned();
        if text.trim().is_empty() {
            return Ok(());
        }
        if !self.jmes_path.is_empty() {
            let evidence = crate::evidence::Evidence::default();
            text = match super::Runtime::new(&evidence).search(&self.jmes_path, &Value::String(text))? {
                Value::String(text) => text,
                other => return failed(format!("jmespath {} must produce a string, but produced {other}", self.jmes_path)),
            };
        }
        match image::Image::parse(&text) {
            Ok(image) => {
                found.insert(key, Image { image, pointer });
                Ok(())
            }
            Err(error) => failed(format!("invalid image '{text}' ({error})")),
        }
    }
}
