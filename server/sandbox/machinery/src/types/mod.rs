//! What the built-in types look like: fields, their types, and how lists and maps merge.
//!
//! `types.txt` holds these facts for every type that kube-apiserver 1.34 serves; it is read once, on first use. The strict
//! decoder, the patches, server-side apply and the OpenAPI documents all work from it.

use std::{collections::HashMap, sync::LazyLock};

/// One type, as `core/v1.PodSpec`.
#[derive(Debug)]
pub struct Type {
    /// OpenAPI's name: `io.k8s.api.core.v1.PodSpec`.
    pub name: String,
    /// The last part of the name: `PodSpec`.
    pub short: &'static str,
    /// Go's name: `v1.PodSpec`.
    pub go: String,
    pub special: Special,
    /// Sorted by name.
    pub fields: Vec<Field>,
    /// The map is replaced as a whole (`x-kubernetes-map-type: atomic`).
    pub atomic: bool,
    /// Group, version and kind of the objects that have this type.
    pub kinds: Vec<(&'static str, &'static str, &'static str)>,
    /// An option type that every group version has (`DeleteOptions`).
    pub every_group: Option<&'static str>,
    /// JSON of `x-kubernetes-unions`.
    pub union: Option<&'static str>,
}

/// Types that have a JSON form of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    /// An ordinary structure.
    None,
    Quantity,
    Time,
    MicroTime,
    IntOrString,
    /// Any JSON: `RawExtension`, `FieldsV1`, `JSON`.
    Raw,
    /// A schema or `true`/`false`.
    SchemaOrBool,
    /// A schema or a list of schemas.
    SchemaOrArray,
    /// A schema or a list of strings.
    SchemaOrStrings,
}

#[derive(Debug)]
pub struct Field {
    pub name: &'static str,
    /// Where Go's structure has it.
    pub place: usize,
    pub shape: Shape,
    pub required: bool,
    /// A Go pointer: absent and zero are two things.
    pub pointer: bool,
    /// Written even when empty (no `omitempty`).
    pub keep: bool,
    pub omit_zero: bool,
    /// Go's name of the type in messages, where it does not follow from the shape.
    go: Option<&'static str>,
    pub list: ListType,
    /// Keys of a list that is a map.
    pub keys: Vec<&'static str>,
    /// This map is replaced as a whole.
    pub atomic: bool,
    /// This map merges by field, though its type may say otherwise.
    pub granular: bool,
    /// Strategic merge patch: `merge`.
    pub patch_merge: bool,
    /// Strategic merge patch: `retainKeys`.
    pub patch_retain_keys: bool,
    pub patch_key: Option<&'static str>,
    /// OpenAPI's `default` as JSON; empty for the zero value of the type.
    pub default: Option<&'static str>,
    pub values: Vec<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ListType {
    /// Nothing said: atomic.
    #[default]
    Unspecified,
    Atomic,
    Set,
    Map,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    String,
    Bool,
    Int32,
    Int64,
    Float,
    Bytes,
    Any,
    List(Box<Shape>),
    Map(Box<Shape>),
    Ref(TypeId),
}

/// Where a type stands in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TypeId(usize);

#[derive(Debug, Default)]
struct Table {
    types: Vec<Type>,
    by_kind: HashMap<&'static str, Vec<TypeId>>,
    every_group: HashMap<&'static str, TypeId>,
    by_name: HashMap<String, TypeId>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| parse(include_str!("types.txt")));
static NO_TYPE: Type = Type {
    name: String::new(),
    short: "",
    go: String::new(),
    special: Special::Raw,
    fields: Vec::new(),
    atomic: false,
    kinds: Vec::new(),
    every_group: None,
    union: None,
};

/// The type of a kind, if it is built in.
pub fn of_kind(group: &str, version: &str, kind: &str) -> Option<TypeId> {
    let of_this_group = TABLE
        .by_kind
        .get(kind)
        .into_iter()
        .flatten()
        .find(|id| id.get().kinds.iter().any(|(g, v, k)| *g == group && *v == version && *k == kind));
    of_this_group.or_else(|| TABLE.every_group.get(kind)).copied()
}

/// A type by OpenAPI's name, as `io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta`.
pub fn named(name: &str) -> Option<TypeId> {
    TABLE.by_name.get(name).copied()
}

/// `ObjectMeta`, which custom resources have as well.
pub fn object_meta() -> Option<TypeId> {
    named("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")
}

/// Every type, sorted by package and name.
pub fn all() -> impl Iterator<Item = &'static Type> {
    TABLE.types.iter()
}

impl TypeId {
    pub fn get(self) -> &'static Type {
        TABLE.types.get(self.0).unwrap_or(&NO_TYPE)
    }
}

impl Type {
    pub fn field(&self, name: &str) -> Option<&Field> {
        let at = self.fields.binary_search_by(|field| field.name.cmp(name)).ok()?;
        self.fields.get(at)
    }
}

impl Field {
    /// Go's name of this field's type, as error messages print it: `int32`, `v1.Protocol`, `[]v1.Container`.
    pub fn go_type(&self) -> String {
        self.go.map_or_else(|| self.shape.go_type(), str::to_owned)
    }

    /// Go's name of the type of an element of this list or map.
    pub fn go_element(&self) -> String {
        match (&self.shape, self.go) {
            (Shape::List(_), Some(go)) if go.starts_with("[]") => go.trim_start_matches("[]").to_owned(),
            (Shape::Map(_), Some(go)) if go.starts_with("map[") => {
                go.split_once(']').map(|(_, element)| element).unwrap_or_default().to_owned()
            }
            (Shape::List(element) | Shape::Map(element), _) => element.go_type(),
            (shape, _) => shape.go_type(),
        }
    }
}

impl Shape {
    pub fn go_type(&self) -> String {
        match self {
            Self::String => "string".to_owned(),
            Self::Bool => "bool".to_owned(),
            Self::Int32 => "int32".to_owned(),
            Self::Int64 => "int64".to_owned(),
            Self::Float => "float64".to_owned(),
            Self::Bytes => "[]uint8".to_owned(),
            Self::Any => "interface {}".to_owned(),
            Self::List(element) => format!("[]{}", element.go_type()),
            Self::Map(element) => format!("map[string]{}", element.go_type()),
            Self::Ref(id) => id.get().go.clone(),
        }
    }
}

fn shape(text: &str, ids: &HashMap<&'static str, TypeId>) -> Shape {
    match text {
        "string" => Shape::String,
        "bool" => Shape::Bool,
        "int32" => Shape::Int32,
        "int64" => Shape::Int64,
        "float64" => Shape::Float,
        "bytes" => Shape::Bytes,
        _ => {
            if let Some(element) = text.strip_prefix("[]") {
                Shape::List(Box::new(shape(element, ids)))
            } else if let Some(element) = text.strip_prefix("map:") {
                Shape::Map(Box::new(shape(element, ids)))
            } else {
                text.strip_prefix('@').and_then(|name| ids.get(name)).map_or(Shape::Any, |id| Shape::Ref(*id))
            }
        }
    }
}

fn special(package: &str, name: &str) -> Special {
    match (package, name) {
        ("quantity", "Quantity") => Special::Quantity,
        ("meta", "Time") => Special::Time,
        ("meta", "MicroTime") => Special::MicroTime,
        ("intstr", "IntOrString") => Special::IntOrString,
        ("meta", "FieldsV1" | "Patch") | ("runtime", "RawExtension") | ("apiext", "JSON") => Special::Raw,
        ("apiext", "JSONSchemaPropsOrBool") => Special::SchemaOrBool,
        ("apiext", "JSONSchemaPropsOrArray") => Special::SchemaOrArray,
        ("apiext", "JSONSchemaPropsOrStringArray") => Special::SchemaOrStrings,
        _ => Special::None,
    }
}

/// Splits the flags of a line; `enum=` takes the rest, spaces included.
fn flags(text: &'static str) -> Vec<(&'static str, &'static str)> {
    let (plain, values) = match text.split_once("enum=") {
        Some((plain, values)) => (plain, Some(values)),
        None => (text, None),
    };
    let mut flags: Vec<_> = plain.split_ascii_whitespace().map(|flag| flag.split_once('=').unwrap_or((flag, ""))).collect();
    flags.extend(values.map(|values| ("enum", values)));
    flags
}

fn field(line: &'static str, ids: &HashMap<&'static str, TypeId>) -> Option<Field> {
    let (name, rest) = line.trim_start().split_once(' ')?;
    let (shape_text, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let (name, required) = name.strip_suffix('!').map_or((name, false), |name| (name, true));
    let mut field = Field {
        name,
        place: 0,
        shape: shape(shape_text, ids),
        required,
        pointer: false,
        keep: false,
        omit_zero: false,
        go: None,
        list: ListType::Unspecified,
        keys: Vec::new(),
        atomic: false,
        granular: false,
        patch_merge: false,
        patch_retain_keys: false,
        patch_key: None,
        default: None,
        values: Vec::new(),
    };
    for (flag, value) in flags(rest) {
        match flag {
            "ptr" => field.pointer = true,
            "keep" => field.keep = true,
            "omitzero" => field.omit_zero = true,
            "go" => field.go = Some(value),
            "map" => {
                field.atomic = value == "atomic";
                field.granular = value == "granular";
            }
            "patch" => {
                field.patch_merge = value.split(',').any(|strategy| strategy == "merge");
                field.patch_retain_keys = value.split(',').any(|strategy| strategy == "retainKeys");
            }
            "key" => field.patch_key = Some(value),
            "default" => field.default = Some(value),
            "enum" => field.values = value.split('|').collect(),
            "list" => {
                let (list, keys) = value.split_once(':').unwrap_or((value, ""));
                field.keys = keys.split(',').filter(|key| !key.is_empty()).collect();
                field.list = match list {
                    "set" => ListType::Set,
                    "map" => ListType::Map,
                    _ => ListType::Atomic,
                };
            }
            _ => {}
        }
    }
    Some(field)
}

/// Reads `types.txt`; a line that it does not understand is a mistake in that file, which a test looks for.
fn parse(text: &'static str) -> Table {
    let mut packages: HashMap<&'static str, &'static str> = HashMap::new();
    let mut ids: HashMap<&'static str, TypeId> = HashMap::new();
    for line in text.lines() {
        if let Some(package) = line.strip_prefix("package ") {
            packages.extend(package.split_once(' '));
        } else if let Some(head) = line.strip_prefix('@') {
            ids.insert(head.split(' ').next().unwrap_or_default(), TypeId(ids.len()));
        }
    }
    let mut table = Table::default();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(head) = line.strip_prefix('@') {
            let (alias, rest) = head.split_once(' ').unwrap_or((head, ""));
            let (package, short) = alias.rsplit_once('.').unwrap_or(("", alias));
            let full = packages.get(package).copied().unwrap_or_default();
            let go_package = full.rsplit('.').next().unwrap_or_default();
            let mut new = Type {
                name: format!("{full}.{short}"),
                short,
                go: format!("{go_package}.{short}"),
                special: special(package, short),
                fields: Vec::new(),
                atomic: false,
                kinds: Vec::new(),
                every_group: None,
                union: None,
            };
            for (flag, value) in flags(rest) {
                match flag {
                    "map" => new.atomic = value == "atomic",
                    "union" => new.union = Some(value),
                    "gvk" => match value.strip_prefix('*') {
                        Some(kind) => new.every_group = Some(kind),
                        None => {
                            let parts = |gvk: &'static str| {
                                let mut parts = gvk.split('/');
                                Some((parts.next()?, parts.next()?, parts.next()?))
                            };
                            new.kinds = value.split(',').filter_map(parts).collect();
                        }
                    },
                    _ => {}
                }
            }
            let id = TypeId(table.types.len());
            for (_, _, kind) in &new.kinds {
                table.by_kind.entry(kind).or_default().push(id);
            }
            table.every_group.extend(new.every_group.map(|kind| (kind, id)));
            table.by_name.insert(new.name.clone(), id);
            table.types.push(new);
        } else if let (Some(mut field), Some(last)) = (field(line, &ids), table.types.last_mut()) {
            field.place = last.fields.len();
            last.fields.push(field);
        }
    }
    for of in &mut table.types {
        of.fields.sort_by(|a, b| a.name.cmp(b.name));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheme::Scheme;

    #[test]
    fn every_line_is_understood() {
        let text = include_str!("types.txt");
        assert_eq!(all().count(), text.lines().filter(|l| l.starts_with('@')).count());
        assert_eq!(all().map(|t| t.fields.len()).sum::<usize>(), text.lines().filter(|l| l.starts_with(' ')).count());
        for of in all() {
            assert!(of.special != Special::None || !of.fields.is_empty() || of.short == "CustomResourceSubresourceStatus", "{}", of.name);
            for field in &of.fields {
                let mut inner = &field.shape;
                while let Shape::List(element) | Shape::Map(element) = inner {
                    inner = element;
                }
                assert_ne!(*inner, Shape::Any, "{} {}", of.name, field.name);
                assert_eq!(field.list == ListType::Map, !field.keys.is_empty(), "{} {}", of.name, field.name);
                assert!(of.field(field.name).is_some());
            }
        }
    }

    #[test]
    fn every_resource_has_a_type() {
        for resource in Scheme::builtin() {
            let id = of_kind(&resource.group, &resource.version, &resource.kind);
            assert!(id.is_some_and(|id| id.get().short == resource.kind), "{resource:?}");
        }
        assert!(of_kind("apps", "v1", "DeleteOptions").is_some());
        assert!(of_kind("apps", "v1", "Pod").is_none());
    }

    #[test]
    fn facts() {
        let pod_spec = named("io.k8s.api.core.v1.PodSpec").expect("PodSpec").get();
        let volumes = pod_spec.field("volumes").expect("volumes");
        assert!(volumes.patch_merge && volumes.patch_retain_keys);
        assert_eq!((volumes.patch_key, volumes.list, volumes.keys.as_slice()), (Some("name"), ListType::Map, &["name"][..]));
        let container = named("io.k8s.api.core.v1.Container").expect("Container").get();
        let ports = container.field("ports").expect("ports");
        assert_eq!((ports.keys.as_slice(), ports.patch_key), (&["containerPort", "protocol"][..], Some("containerPort")));
        assert_eq!(pod_spec.field("containers").expect("containers").go_type(), "[]v1.Container");
        assert_eq!(pod_spec.field("dnsPolicy").expect("dnsPolicy").go_type(), "v1.DNSPolicy");
        assert_eq!(pod_spec.field("overhead").expect("overhead").go_type(), "v1.ResourceList");
        let meta = object_meta().expect("ObjectMeta").get();
        assert_eq!(meta.field("labels").expect("labels").go_element(), "string");
        assert!(named("io.k8s.api.core.v1.ConfigMapKeySelector").expect("selector").get().atomic);
    }
}
