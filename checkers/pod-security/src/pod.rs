//! One view of a pod: its containers of every kind with their paths.

use serde_json::Value;

/// Metadata and spec of a pod, with its containers in the order in which the controls visit them.
#[derive(Debug, Clone)]
pub struct Pod<'a> {
    pub metadata: &'a Value,
    pub spec: &'a Value,
    pub containers: Vec<Container<'a>>,
}

/// A container, init container or ephemeral container.
#[derive(Debug, Clone)]
pub struct Container<'a> {
    pub name: &'a str,
    /// `spec.initContainers[0]`.
    pub path: String,
    pub value: &'a Value,
}

impl<'a> Pod<'a> {
    /// Init containers come first, then containers, then ephemeral ones: the order of Kubernetes' messages.
    pub fn new(metadata: &'a Value, spec: &'a Value) -> Self {
        let containers = ["initContainers", "containers", "ephemeralContainers"]
            .into_iter()
            .flat_map(|list| {
                let items = spec[list].as_array().map(Vec::as_slice).unwrap_or_default();
                items.iter().enumerate().map(move |(index, value)| Container {
                    name: value["name"].as_str().unwrap_or_default(),
                    path: format!("spec.{list}[{index}]"),
                    value,
                })
            })
            .collect();
        Self { metadata, spec, containers }
    }

    pub fn security_context(&self) -> &'a Value {
        &self.spec["securityContext"]
    }

    pub fn annotations(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let map = self.metadata["annotations"].as_object();
        map.into_iter().flatten().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
    }

    pub fn volumes(&self) -> impl Iterator<Item = (usize, &'a Value)> + use<'a> {
        self.spec["volumes"].as_array().map(Vec::as_slice).unwrap_or_default().iter().enumerate()
    }

    pub(crate) fn is_windows(&self) -> bool {
        self.spec["os"]["name"] == "windows"
    }

    /// The pod runs in a user namespace of its own: root inside is nobody outside.
    pub(crate) fn in_user_namespace(&self) -> bool {
        self.spec["hostUsers"] == false
    }
}

impl<'a> Container<'a> {
    pub fn security_context(&self) -> &'a Value {
        &self.value["securityContext"]
    }

    /// `spec.containers[0].securityContext.privileged`.
    pub fn field(&self, rest: &str) -> String {
        format!("{}.{rest}", self.path)
    }
}
