//! The one seam: a Kubernetes object becomes a domain value.

use crate::{
    admin::{self, AdminKind, AdminPolicy},
    selector::Selector,
};
use ipnet::IpNet;
use serde_json::Value;
use std::{collections::BTreeMap, fmt, net::IpAddr, str::FromStr};

/// What an object means here.
#[derive(Debug, Clone, PartialEq)]
pub enum Resource {
    Namespace(Namespace),
    Endpoint(Endpoint),
    Node(Node),
    Policy(Policy),
    Admin(AdminPolicy),
}

/// A field that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadError {
    /// `NetworkPolicy ml/allow-monitoring`.
    pub object: String,
    pub field: String,
    pub message: String,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.object, self.field, self.message)
    }
}

impl std::error::Error for ReadError {}

pub(crate) type Read<T> = Result<T, (String, String)>;

pub(crate) fn bad<T>(field: impl Into<String>, message: impl Into<String>) -> Read<T> {
    Err((field.into(), message.into()))
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    pub name: String,
    /// With `kubernetes.io/metadata.name`, which the API server always sets.
    pub labels: BTreeMap<String, String>,
}

/// A machine of the cluster, for the rules that speak of nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub ips: Vec<IpAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointKind {
    Pod,
    /// An address outside the cluster: no policy selects it, only address blocks find it.
    External,
}

/// Where a connection starts or ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    pub kind: EndpointKind,
    /// Empty for an external one.
    pub namespace: String,
    pub name: String,
    pub labels: BTreeMap<String, String>,
    /// The first one is where connections go to.
    pub ips: Vec<IpAddr>,
    pub host_network: bool,
    /// Empty where it is not known.
    pub node: String,
    /// Named container ports.
    pub ports: Vec<Port>,
    /// The names that an external one is looked up by, in small letters.
    pub domain_names: Vec<String>,
}

impl Endpoint {
    /// `namespace/name`, or the name of an external endpoint.
    pub fn id(&self) -> String {
        if self.namespace.is_empty() { self.name.clone() } else { format!("{}/{}", self.namespace, self.name) }
    }

    /// Policies speak of pods that have a network of their own.
    pub(crate) fn is_plain_pod(&self) -> bool {
        self.kind == EndpointKind::Pod && !self.host_network
    }
}

/// A container port; the name may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    pub name: String,
    pub number: u16,
    pub protocol: Protocol,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

impl Protocol {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Protocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "TCP" => Ok(Self::Tcp),
            "UDP" => Ok(Self::Udp),
            "SCTP" => Ok(Self::Sctp),
            _ => Err("must be TCP, UDP or SCTP".to_owned()),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    pub namespace: String,
    pub name: String,
    pub selector: Selector,
    /// `None`: the policy does not isolate this direction.
    pub ingress: Option<Vec<Rule>>,
    pub egress: Option<Vec<Rule>>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Empty: everybody.
    pub peers: Vec<Peer>,
    /// Empty: every port of every protocol.
    pub ports: Vec<PortMatch>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Peer {
    Block(IpBlock),
    Pods {
        /// `None`: the policy's own namespace.
        namespaces: Option<Selector>,
        /// `None`: all pods.
        pods: Option<Selector>,
    },
    /// The addresses of these nodes, and with them the pods in their network.
    Nodes(Selector),
    /// `models.example.com`, or `*.example.com` for all names below.
    Domain(String),
    /// Nobody: names in a rule that does not allow.
    Unsupported,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpBlock {
    pub cidr: IpNet,
    pub except: Vec<IpNet>,
}

impl IpBlock {
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.cidr.contains(&ip) && !self.except.iter().any(|except| except.contains(&ip))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortMatch {
    /// Every port of the protocol.
    Any(Protocol),
    /// From the first to the second, both included.
    Range(Protocol, u16, u16),
    /// What the destination pod calls by this name; `None`: with whatever protocol it says.
    Named(Option<Protocol>, String),
}

/// Reads a Namespace, a Pod, a Node, a NetworkPolicy, one of the administrators' kinds, or an `ExternalEndpoint` (`spec.ip`, an address
/// outside, and `spec.domainNames`, its names; for command lines and tests). `None`: the kind has no meaning here.
pub fn from_resource(object: &Value) -> Result<Option<Resource>, ReadError> {
    let kind = object["kind"].as_str().unwrap_or_default();
    let metadata = &object["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    let namespace = metadata["namespace"].as_str().filter(|namespace| !namespace.is_empty()).unwrap_or("default");
    let api = object["apiVersion"].as_str().unwrap_or_default();
    let read = match kind {
        "Namespace" if api == "v1" => read_namespace(metadata, name).map(Resource::Namespace),
        "Node" if api == "v1" => read_node(object, name).map(Resource::Node),
        "Pod" if api == "v1" => read_pod(object, namespace, name).map(Resource::Endpoint),
        "NetworkPolicy" if api.starts_with("networking.k8s.io/") || api.is_empty() => {
            read_policy(&object["spec"], namespace, name).map(Resource::Policy)
        }
        "ExternalEndpoint" => read_external(object, name).map(Resource::Endpoint),
        _ => match AdminKind::of(object) {
            Some(kind) => admin::read(object, kind, name).map(Resource::Admin),
            None => return Ok(None),
        },
    };
    let cluster_scoped = matches!(kind, "Namespace" | "Node") || AdminKind::of(object).is_some();
    let id = if cluster_scoped { name.to_owned() } else { format!("{namespace}/{name}") };
    read.map(Some).map_err(|(field, message)| ReadError { object: format!("{kind} {id}"), field, message })
}

fn read_labels(metadata: &Value) -> Read<BTreeMap<String, String>> {
    match &metadata["labels"] {
        Value::Null => Ok(BTreeMap::new()),
        Value::Object(labels) => labels
            .iter()
            .map(|(key, value)| match value.as_str() {
                Some(value) => Ok((key.clone(), value.to_owned())),
                None => bad(format!("metadata.labels[{key}]"), "must be a string"),
            })
            .collect(),
        _ => bad("metadata.labels", "must be an object"),
    }
}

fn read_namespace(metadata: &Value, name: &str) -> Read<Namespace> {
    let mut labels = read_labels(metadata)?;
    labels.insert("kubernetes.io/metadata.name".to_owned(), name.to_owned());
    Ok(Namespace { name: name.to_owned(), labels })
}

fn read_ip(value: &Value, field: &str) -> Read<IpAddr> {
    value.as_str().and_then(|text| text.parse().ok()).map_or_else(|| bad(field, "must be an IP address"), Ok)
}

/// A name as it is compared: small letters, no dot at the end.
pub(crate) fn domain_name(text: &str) -> String {
    text.trim_end_matches('.').to_ascii_lowercase()
}

fn read_node(object: &Value, name: &str) -> Read<Node> {
    let mut ips = Vec::new();
    for (index, address) in items(&object["status"]["addresses"], "status.addresses")?.iter().enumerate() {
        if matches!(address["type"].as_str(), Some("InternalIP" | "ExternalIP")) {
            ips.push(read_ip(&address["address"], &format!("status.addresses[{index}].address"))?);
        }
    }
    Ok(Node { name: name.to_owned(), labels: read_labels(&object["metadata"])?, ips })
}

fn read_external(object: &Value, name: &str) -> Read<Endpoint> {
    let names = items(&object["spec"]["domainNames"], "spec.domainNames")?;
    Ok(Endpoint {
        kind: EndpointKind::External,
        namespace: String::new(),
        // An endpoint outside is known by its address.
        name: object["spec"]["ip"].as_str().unwrap_or(name).to_owned(),
        labels: BTreeMap::new(),
        ips: vec![read_ip(&object["spec"]["ip"], "spec.ip")?],
        host_network: false,
        node: String::new(),
        ports: Vec::new(),
        domain_names: names.iter().filter_map(|name| name.as_str().map(domain_name)).collect(),
    })
}

pub(crate) fn items<'a>(value: &'a Value, field: &str) -> Read<&'a [Value]> {
    match value {
        Value::Null => Ok(&[]),
        Value::Array(items) => Ok(items),
        _ => bad(field, "must be an array"),
    }
}

fn read_pod(object: &Value, namespace: &str, name: &str) -> Read<Endpoint> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let mut ips = Vec::new();
    if !status["podIP"].is_null() && status["podIP"] != "" {
        ips.push(read_ip(&status["podIP"], "status.podIP")?);
    }
    for (index, item) in items(&status["podIPs"], "status.podIPs")?.iter().enumerate() {
        let ip = read_ip(&item["ip"], &format!("status.podIPs[{index}].ip"))?;
        if !ips.contains(&ip) {
            ips.push(ip);
        }
    }
    let mut ports = Vec::new();
    for list in ["initContainers", "containers"] {
        for (c, container) in items(&spec[list], &format!("spec.{list}"))?.iter().enumerate() {
            // Of the init containers only sidecars listen while the pod runs.
            if list == "initContainers" && container["restartPolicy"] != "Always" {
                continue;
            }
            for (p, port) in items(&container["ports"], &format!("spec.{list}[{c}].ports"))?.iter().enumerate() {
                let field = format!("spec.{list}[{c}].ports[{p}]");
                let number = port["containerPort"].as_u64().and_then(|n| u16::try_from(n).ok());
                let Some(number) = number else { return bad(format!("{field}.containerPort"), "must be a port number") };
                let protocol = read_protocol(&port["protocol"], &format!("{field}.protocol"))?;
                ports.push(Port { name: port["name"].as_str().unwrap_or_default().to_owned(), number, protocol });
            }
        }
    }
    Ok(Endpoint {
        kind: EndpointKind::Pod,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        labels: read_labels(&object["metadata"])?,
        ips,
        host_network: spec["hostNetwork"] == true,
        node: spec["nodeName"].as_str().unwrap_or_default().to_owned(),
        ports,
        domain_names: Vec::new(),
    })
}

pub(crate) fn read_protocol(value: &Value, field: &str) -> Read<Protocol> {
    match value {
        Value::Null => Ok(Protocol::Tcp),
        Value::String(text) => text.parse().or_else(|message: String| bad(field, message)),
        _ => bad(field, "must be a string"),
    }
}

fn read_policy(spec: &Value, namespace: &str, name: &str) -> Read<Policy> {
    let null = Value::Object(serde_json::Map::new());
    // No selector is the empty one: all pods of the namespace.
    let selector = if spec["podSelector"].is_null() { &null } else { &spec["podSelector"] };
    let selector = Selector::read(selector, "spec.podSelector")?;
    let ingress = read_rules(&spec["ingress"], "ingress", "from")?;
    let egress = read_rules(&spec["egress"], "egress", "to")?;
    let types = items(&spec["policyTypes"], "spec.policyTypes")?;
    let (isolates_ingress, isolates_egress) = if types.is_empty() {
        // Ingress always, egress where there is a rule for it: what the API server fills in.
        (true, !egress.is_empty())
    } else {
        (types.iter().any(|t| t == "Ingress"), types.iter().any(|t| t == "Egress"))
    };
    Ok(Policy {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        selector,
        ingress: isolates_ingress.then_some(ingress),
        egress: isolates_egress.then_some(egress),
    })
}

fn read_rules(value: &Value, direction: &str, peers_key: &str) -> Read<Vec<Rule>> {
    let mut rules = Vec::new();
    for (r, rule) in items(value, &format!("spec.{direction}"))?.iter().enumerate() {
        let path = format!("spec.{direction}[{r}]");
        if !(rule.is_object() || rule.is_null()) {
            return bad(path, "must be an object");
        }
        let mut peers = Vec::new();
        for (p, peer) in items(&rule[peers_key], &format!("{path}.{peers_key}"))?.iter().enumerate() {
            peers.push(read_peer(peer, &format!("{path}.{peers_key}[{p}]"))?);
        }
        let mut ports = Vec::new();
        for (p, port) in items(&rule["ports"], &format!("{path}.ports"))?.iter().enumerate() {
            ports.push(read_port(port, &format!("{path}.ports[{p}]"))?);
        }
        rules.push(Rule { peers, ports });
    }
    Ok(rules)
}

pub(crate) fn read_net(value: &Value, field: &str) -> Read<IpNet> {
    let net = value.as_str().and_then(|text| IpNet::from_str(text).ok());
    net.map_or_else(|| bad(field, "must be a CIDR"), |net| Ok(net.trunc()))
}

fn read_peer(peer: &Value, path: &str) -> Read<Peer> {
    if !peer["ipBlock"].is_null() {
        let block = &peer["ipBlock"];
        let mut except = Vec::new();
        for (index, item) in items(&block["except"], &format!("{path}.ipBlock.except"))?.iter().enumerate() {
            except.push(read_net(item, &format!("{path}.ipBlock.except[{index}]"))?);
        }
        except.sort_unstable();
        return Ok(Peer::Block(IpBlock { cidr: read_net(&block["cidr"], &format!("{path}.ipBlock.cidr"))?, except }));
    }
    let selector = |key: &str| {
        let value = &peer[key];
        if value.is_null() { Ok(None) } else { Selector::read(value, &format!("{path}.{key}")).map(Some) }
    };
    let (namespaces, pods) = (selector("namespaceSelector")?, selector("podSelector")?);
    if namespaces.is_none() && pods.is_none() {
        return bad(path, "must specify a peer");
    }
    Ok(Peer::Pods { namespaces, pods })
}

fn read_port(port: &Value, path: &str) -> Read<PortMatch> {
    let protocol = read_protocol(&port["protocol"], &format!("{path}.protocol"))?;
    let number = |value: &Value, field: &str| {
        value.as_u64().and_then(|n| u16::try_from(n).ok()).map_or_else(|| bad(format!("{path}.{field}"), "must be a port number"), Ok)
    };
    match &port["port"] {
        Value::Null => Ok(PortMatch::Any(protocol)),
        Value::String(name) => Ok(PortMatch::Named(Some(protocol), name.clone())),
        value => {
            let first = number(value, "port")?;
            let last = if port["endPort"].is_null() { first } else { number(&port["endPort"], "endPort")? };
            Ok(PortMatch::Range(protocol, first, last))
        }
    }
}
