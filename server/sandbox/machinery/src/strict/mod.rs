//! Bytes to object, as the API server decodes: types, unknown and duplicate fields, with field paths.
//!
//! ```text
//! bytes ──json│yaml──► Node ──typed│custom──► Value, warnings
//! ```

mod custom;
mod json;
mod node;
mod restore;
mod time;
mod typed;
mod yaml;

use crate::{
    field::FieldError,
    resource::Resource,
    status::ApiError,
    types::{self, TypeId},
};
use node::Node;
pub(crate) use restore::restore_error;
use serde_json::{Map, Value};

/// `?fieldValidation=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FieldValidation {
    Ignore,
    #[default]
    Warn,
    Strict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    Yaml,
}

#[derive(Debug)]
pub struct Decoded {
    /// Unknown fields are pruned, as the API server's decoder drops them.
    pub object: Value,
    /// For `Warning:` headers.
    pub warnings: Vec<String>,
}

/// One document of YAML, whatever it holds; of a key that is repeated the last counts.
pub fn from_yaml(text: &str) -> Result<Value, String> {
    yaml::parse(text.as_bytes()).map(|(node, _)| node.to_value())
}

/// Decodes a request body that must hold one object of `resource`.
pub fn decode(resource: &Resource, format: Format, body: &[u8], validation: FieldValidation) -> Result<Decoded, ApiError> {
    let (node, repeated) = read(&resource.kind, format, body)?;
    let target = Target {
        group: &resource.group,
        version: &resource.version,
        kind: &resource.kind,
        custom: resource.custom.as_deref(),
        of: types::of_kind(&resource.group, &resource.version, &resource.kind),
    };
    target.decode(&node, body, repeated, validation)
}

/// Decodes a request body that must hold one object of a built-in kind: what a subresource takes (`Scale`, `Eviction`), or
/// `DeleteOptions`.
pub fn decode_kind(
    group: &str,
    version: &str,
    kind: &str,
    format: Format,
    body: &[u8],
    validation: FieldValidation,
) -> Result<Decoded, ApiError> {
    let (node, repeated) = read(kind, format, body)?;
    let target = Target { group, version, kind, custom: None, of: types::of_kind(group, version, kind) };
    target.decode(&node, body, repeated, validation)
}

/// The same judgement on an object that is already a value: a patch's outcome, an applied configuration.
/// Prunes in place and returns the warnings.
pub fn check(resource: &Resource, object: &mut Value, validation: FieldValidation) -> Result<Vec<String>, ApiError> {
    let target = Target {
        group: &resource.group,
        version: &resource.version,
        kind: &resource.kind,
        custom: resource.custom.as_deref(),
        of: types::of_kind(&resource.group, &resource.version, &resource.kind),
    };
    let decoded = target.decode(&Node::from(&*object), b"", Vec::new(), validation)?;
    *object = decoded.object;
    Ok(decoded.warnings)
}

/// Reads JSON or YAML without any type: a patch, an applied configuration. What is said of repeated keys comes back beside the
/// value. Errors as Go's parsers word them.
pub fn read_untyped(format: Format, body: &[u8]) -> Result<(Value, Vec<String>), String> {
    match (format, json::parse(body)) {
        (_, Ok(node)) => {
            let mut decoder = typed::Decoder::default();
            custom::report_duplicates(&mut decoder, &node, "");
            Ok((node.to_value(), decoder.strict))
        }
        (Format::Json, Err(error)) => Err(error),
        (Format::Yaml, Err(_)) => yaml::parse(body).map(|(node, repeated)| (node.to_value(), repeated)),
    }
}

/// Decodes a value by a resource's type: the object as it is written back and its strict errors, or the type error.
pub(crate) fn decode_value(resource: &Resource, value: &Value) -> Result<(Value, Vec<String>), String> {
    let node = Node::from(value);
    let mut decoder = typed::Decoder::default();
    let of = types::of_kind(&resource.group, &resource.version, &resource.kind);
    let mut object = match (resource.custom.as_deref(), of) {
        (Some(definition), _) => custom::decode(&mut decoder, definition, &node)?,
        (None, Some(of)) => typed::decode(&mut decoder, of, &node)?,
        (None, None) => value.as_object().cloned().unwrap_or_default(),
    };
    object.insert("apiVersion".to_owned(), resource.api_version().into());
    object.insert("kind".to_owned(), resource.kind.to_string().into());
    Ok((Value::Object(object), decoder.strict))
}

fn unrecognized(kind: &str, error: &str, body: &[u8]) -> ApiError {
    ApiError::bad_request(format!("the object provided is unrecognized (must be of type {kind}): {error} ({})", summary(body)))
}

/// The start of a body for an error message: JSON as it is, anything else in hexadecimal.
fn summary(body: &[u8]) -> String {
    const LENGTH: usize = 30;
    let cut = if body.len() > LENGTH { body.get(..LENGTH).unwrap_or_default() } else { body };
    let dots = if body.len() > LENGTH { " ..." } else { "" };
    match body.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{dots}", String::from_utf8_lossy(cut)),
        Some(_) => format!("{}{dots}", hex::encode(cut)),
    }
}

/// Bytes to nodes, with what a repeated YAML key says.
fn read(kind: &str, format: Format, body: &[u8]) -> Result<(Node, Vec<String>), ApiError> {
    let parsed = json::parse(body);
    let (node, repeated) = match (format, parsed) {
        (_, Ok(node)) => (node, Vec::new()),
        (Format::Json, Err(error)) => {
            return Err(unrecognized(kind, &format!("couldn't get version/kind; json parse error: {error}"), body));
        }
        (Format::Yaml, Err(_)) => match yaml::parse(body) {
            Ok((Node::Null, repeated)) => (Node::Object(Vec::new()), repeated),
            Ok(read) => read,
            Err(error) => return Err(unrecognized(kind, &error, body)),
        },
    };
    Ok((node, repeated))
}

/// What a body must turn into.
struct Target<'a> {
    group: &'a str,
    version: &'a str,
    kind: &'a str,
    custom: Option<&'a crate::resource::CustomDefinition>,
    of: Option<TypeId>,
}

impl Target<'_> {
    fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    fn decode(&self, node: &Node, body: &[u8], repeated: Vec<String>, validation: FieldValidation) -> Result<Decoded, ApiError> {
        let said = self.type_meta(node, body)?;
        let refuse = |error: &str| {
            let version = said.api_version.rsplit('/').next().filter(|v| !v.is_empty()).unwrap_or(self.version);
            let kind = if said.kind.is_empty() { self.kind } else { &said.kind };
            ApiError::bad_request(format!("{kind} in version {version:?} cannot be handled as a {}: {error}", self.kind))
        };
        if self.custom.is_none() {
            self.check_registered(&said).map_err(|error| refuse(&error))?;
        }
        let mut decoder = typed::Decoder::default();
        let decoded: Result<Map<String, Value>, String> = match (self.custom, self.of) {
            (Some(definition), _) => custom::decode(&mut decoder, definition, node),
            (None, Some(of)) => typed::decode(&mut decoder, of, node),
            (None, None) => Ok(node.to_value().as_object().cloned().unwrap_or_default()),
        };
        let mut object = decoded.map_err(|error| refuse(&error))?;
        let strict = decoder.strict;
        if validation == FieldValidation::Strict && !(strict.is_empty() && repeated.is_empty()) {
            let mut errors = Vec::new();
            if !repeated.is_empty() {
                errors.push(format!("yaml: unmarshal errors:{}", repeated.iter().map(|line| format!("\n  {line}")).collect::<String>()));
            }
            errors.extend(strict);
            return Err(refuse(&format!("strict decoding error: {}", errors.join(", "))));
        }
        self.check_version(&said, &object)?;
        object.insert("apiVersion".to_owned(), self.api_version().into());
        object.insert("kind".to_owned(), self.kind.into());
        let warnings = if validation == FieldValidation::Warn { repeated.into_iter().chain(strict).collect() } else { Vec::new() };
        Ok(Decoded { object: Value::Object(object), warnings })
    }

    /// Reads `apiVersion` and `kind`, which must be text in an object.
    fn type_meta(&self, node: &Node, body: &[u8]) -> Result<TypeMeta, ApiError> {
        const TYPE: &str = r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;
        let fail = |error: String| Err(unrecognized(self.kind, &format!("couldn't get version/kind; json parse error: {error}"), body));
        if !matches!(node, Node::Object(_) | Node::Null) {
            return fail(format!("json: cannot unmarshal {} into Go value of type {TYPE}", node.go_kind()));
        }
        let text = |key: &str| match node.get(key) {
            None | Some(Node::Null) => Ok(String::new()),
            Some(Node::Text(text)) => Ok(text.clone()),
            Some(other) => Err(format!("json: cannot unmarshal {} into Go struct field .{key} of type string", other.go_kind())),
        };
        let (api_version, kind) = match (text("apiVersion"), text("kind")) {
            (Ok(api_version), Ok(kind)) => (api_version, kind),
            (Err(error), _) | (_, Err(error)) => return fail(error),
        };
        if api_version.matches('/').count() > 1 {
            return Err(unrecognized(self.kind, &format!("unexpected GroupVersion string: {api_version}"), body));
        }
        Ok(TypeMeta { api_version, kind })
    }

    /// Another kind than the wanted one: known to the server or not, it cannot be taken.
    fn check_registered(&self, said: &TypeMeta) -> Result<(), String> {
        let own = self.api_version();
        let api_version = if said.api_version.is_empty() { &own } else { &said.api_version };
        let kind = if said.kind.is_empty() { self.kind } else { &said.kind };
        if kind == self.kind && (*api_version == own || is_retired(api_version, kind)) {
            return Ok(());
        }
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        if types::of_kind(group, version, kind).is_none() {
            return Err(format!("no kind {kind:?} is registered for version {api_version:?} in scheme \"pkg/runtime/scheme.go:110\""));
        }
        if kind == self.kind && group == self.group {
            return Ok(());
        }
        let package = |group: &str| match group {
            "" | "events.k8s.io" => "core".to_owned(),
            "rbac.authorization.k8s.io" => "rbac".to_owned(),
            group => group.split('.').next().unwrap_or_default().to_owned(),
        };
        Err(format!("converting ({version}.{kind}) to ({}.{}): unknown conversion", package(self.group), self.kind))
    }

    /// After everything else: the API version that the request named must be the one that the path names.
    fn check_version(&self, said: &TypeMeta, object: &Map<String, Value>) -> Result<(), ApiError> {
        let own = self.api_version();
        let custom = self.custom.is_some();
        if (custom || !said.api_version.is_empty()) && said.api_version != own {
            return Err(ApiError::bad_request(format!(
                "the API version in the data ({}) does not match the expected API version ({own})",
                said.api_version
            )));
        }
        if custom && said.kind != self.kind {
            let name = object.get("metadata").and_then(|metadata| metadata["name"].as_str()).unwrap_or_default();
            let error = FieldError::invalid("kind", &said.kind, format!("must be {}", self.kind));
            return Err(ApiError::invalid(self.group, &said.kind, name, &[error]));
        }
        Ok(())
    }
}

struct TypeMeta {
    api_version: String,
    kind: String,
}

/// Versions that 1.34 still decodes though it serves them no longer.
fn is_retired(api_version: &str, kind: &str) -> bool {
    match api_version {
        "extensions/v1beta1" => matches!(kind, "Deployment" | "DaemonSet" | "ReplicaSet" | "Ingress" | "NetworkPolicy" | "Scale"),
        "apps/v1beta1" => matches!(kind, "Deployment" | "StatefulSet" | "ControllerRevision" | "Scale"),
        "apps/v1beta2" => matches!(kind, "Deployment" | "StatefulSet" | "ControllerRevision" | "DaemonSet" | "ReplicaSet" | "Scale"),
        "batch/v1beta1" => kind == "CronJob",
        "policy/v1beta1" => matches!(kind, "PodDisruptionBudget" | "Eviction"),
        "networking.k8s.io/v1beta1" => matches!(kind, "Ingress" | "IngressClass" | "IPAddress" | "ServiceCIDR"),
        "autoscaling/v1" | "autoscaling/v2" | "autoscaling/v2beta1" | "autoscaling/v2beta2" => kind == "HorizontalPodAutoscaler",
        "rbac.authorization.k8s.io/v1beta1" | "rbac.authorization.k8s.io/v1alpha1" => {
            matches!(kind, "Role" | "RoleBinding" | "ClusterRole" | "ClusterRoleBinding")
        }
        "events.k8s.io/v1beta1" | "events.k8s.io/v1" | "v1" => kind == "Event",
        "discovery.k8s.io/v1beta1" => kind == "EndpointSlice",
        "coordination.k8s.io/v1beta1" => kind == "Lease",
        "scheduling.k8s.io/v1beta1" | "scheduling.k8s.io/v1alpha1" => kind == "PriorityClass",
        "node.k8s.io/v1beta1" | "node.k8s.io/v1alpha1" => kind == "RuntimeClass",
        "storage.k8s.io/v1beta1" => matches!(kind, "StorageClass" | "CSIDriver" | "CSINode" | "VolumeAttachment" | "CSIStorageCapacity"),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
