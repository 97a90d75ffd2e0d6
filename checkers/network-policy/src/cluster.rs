//! All pods, namespaces and policies of a cluster, and what they decide about one connection.

use crate::resource::{Endpoint, EndpointKind, Namespace, Peer, Policy, PortMatch, Protocol, ReadError, Resource, Rule, from_resource};
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    net::IpAddr,
};

#[derive(Debug, Clone, Default)]
pub struct Cluster {
    pub(crate) namespaces: BTreeMap<String, Namespace>,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) policies: Vec<Policy>,
    by_id: HashMap<String, usize>,
}

/// `namespace/name` of a policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyName {
    pub namespace: String,
    pub name: String,
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    Ingress,
    Egress,
}

impl Direction {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

/// Why no policy is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exemption {
    Loopback,
    HostNetwork,
    /// The connection comes from the node that the pod runs on, or goes there.
    OwnNode,
    OutsideTheCluster,
}

/// What one side of a connection says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    Exempt(Exemption),
    /// No policy selects the pod for this direction: everything is allowed.
    NoPolicySelects,
    /// The first rule that allows it, policies in their order.
    Allowed {
        policy: PolicyName,
        rule: usize,
    },
    /// These select the pod for this direction, and no rule of theirs allows it.
    Denied {
        selected_by: Vec<PolicyName>,
    },
}

impl Verdict {
    pub fn allows(&self) -> bool {
        !matches!(self, Self::Denied { .. })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exempt(Exemption::Loopback) => f.write_str("a pod reaches itself"),
            Self::Exempt(Exemption::HostNetwork) => f.write_str("host-network pods are not subject to policies"),
            Self::Exempt(Exemption::OwnNode) => f.write_str("a pod and its own node always reach each other"),
            Self::Exempt(Exemption::OutsideTheCluster) => f.write_str("outside the cluster"),
            Self::NoPolicySelects => f.write_str("no policy selects"),
            Self::Allowed { policy, rule } => write!(f, "{policy} rule {rule} allows"),
            Self::Denied { selected_by } => {
                let names: Vec<_> = selected_by.iter().map(PolicyName::to_string).collect();
                write!(f, "isolated by {}, no rule allows", names.join(", "))
            }
        }
    }
}

/// Both sides must allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub egress: Verdict,
    pub ingress: Verdict,
}

impl Decision {
    pub fn allowed(&self) -> bool {
        self.egress.allows() && self.ingress.allows()
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "egress: {}; ingress: {}", self.egress, self.ingress)
    }
}

impl Cluster {
    /// Objects of other kinds are passed over. A pod that has ended (`Succeeded`, `Failed`) is no endpoint.
    pub fn from_objects<'a>(objects: impl IntoIterator<Item = &'a Value>) -> Result<Self, ReadError> {
        let mut cluster = Self::default();
        for object in objects {
            if object["kind"] == "Pod" && matches!(object["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
                continue;
            }
            if let Some(resource) = from_resource(object)? {
                cluster.add(resource);
            }
        }
        Ok(cluster)
    }

    /// A namespace or endpoint that is there already is replaced; so is a policy.
    pub fn add(&mut self, resource: Resource) {
        match resource {
            Resource::Namespace(namespace) => {
                self.namespaces.insert(namespace.name.clone(), namespace);
            }
            Resource::Endpoint(endpoint) => {
                self.namespace_of(&endpoint.namespace);
                match self.by_id.get(&endpoint.id()) {
                    Some(index) => self.endpoints[*index] = endpoint,
                    None => {
                        self.by_id.insert(endpoint.id(), self.endpoints.len());
                        self.endpoints.push(endpoint);
                    }
                }
            }
            Resource::Policy(policy) => {
                self.namespace_of(&policy.namespace);
                let key = |p: &Policy| (p.namespace.clone(), p.name.clone());
                match self.policies.binary_search_by_key(&key(&policy), key) {
                    Ok(index) => self.policies[index] = policy,
                    Err(index) => self.policies.insert(index, policy),
                }
            }
        }
    }

    /// A namespace that nobody described exists all the same, with the label that the API server gives it.
    fn namespace_of(&mut self, name: &str) {
        if !name.is_empty() && !self.namespaces.contains_key(name) {
            let labels = BTreeMap::from([("kubernetes.io/metadata.name".to_owned(), name.to_owned())]);
            self.namespaces.insert(name.to_owned(), Namespace { name: name.to_owned(), labels });
        }
    }

    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// In the order of namespace and name.
    pub fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// Index of `namespace/pod`, or of an external endpoint's address.
    pub fn find(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// Index of the endpoint that has this address; a host-network pod shares its node's, the first one counts.
    pub fn find_ip(&self, ip: IpAddr) -> Option<usize> {
        self.endpoints.iter().position(|endpoint| endpoint.ips.contains(&ip))
    }

    /// Whether `from` may open a connection to `to`'s port; both are indices into [`Self::endpoints`].
    pub fn decide(&self, from: usize, to: usize, protocol: Protocol, port: u16) -> Decision {
        let (source, destination) = (&self.endpoints[from], &self.endpoints[to]);
        if from == to {
            return Decision { egress: Verdict::Exempt(Exemption::Loopback), ingress: Verdict::Exempt(Exemption::Loopback) };
        }
        let destination_ip = destination.ips.first().copied();
        let source_ip = address_towards(source, destination_ip);
        let own_node = share_node(source, destination);
        let side = |direction, subject: &Endpoint, peer: &Endpoint, peer_ip| match subject {
            Endpoint { kind: EndpointKind::External, .. } => Verdict::Exempt(Exemption::OutsideTheCluster),
            Endpoint { host_network: true, .. } => Verdict::Exempt(Exemption::HostNetwork),
            _ if own_node => Verdict::Exempt(Exemption::OwnNode),
            _ => self.side(direction, subject, peer, peer_ip, |rule| rule_covers(rule, protocol, port, destination)),
        };
        Decision {
            egress: side(Direction::Egress, source, destination, destination_ip),
            ingress: side(Direction::Ingress, destination, source, source_ip),
        }
    }

    fn side(
        &self,
        direction: Direction,
        subject: &Endpoint,
        peer: &Endpoint,
        ip: Option<IpAddr>,
        covers: impl Fn(&Rule) -> bool,
    ) -> Verdict {
        let mut selected_by = Vec::new();
        for policy in self.policies.iter().filter(|p| p.namespace == subject.namespace && p.selector.matches(&subject.labels)) {
            let Some(rules) = policy.rules(direction) else { continue };
            let name = PolicyName { namespace: policy.namespace.clone(), name: policy.name.clone() };
            let finds = |rule: &Rule| rule.peers.is_empty() || rule.peers.iter().any(|p| self.peer_matches(p, policy, peer, ip));
            if let Some(rule) = rules.iter().position(|rule| covers(rule) && finds(rule)) {
                return Verdict::Allowed { policy: name, rule };
            }
            selected_by.push(name);
        }
        if selected_by.is_empty() { Verdict::NoPolicySelects } else { Verdict::Denied { selected_by } }
    }

    fn peer_matches(&self, peer: &Peer, policy: &Policy, endpoint: &Endpoint, ip: Option<IpAddr>) -> bool {
        match peer {
            Peer::Block(block) => ip.is_some_and(|ip| block.contains(ip)),
            Peer::Pods { namespaces, pods } => {
                endpoint.is_plain_pod()
                    && match namespaces {
                        None => endpoint.namespace == policy.namespace,
                        Some(selector) => self.namespaces.get(&endpoint.namespace).is_some_and(|n| selector.matches(&n.labels)),
                    }
                    && pods.as_ref().is_none_or(|selector| selector.matches(&endpoint.labels))
            }
        }
    }
}

impl Policy {
    /// `None`: the policy does not isolate this direction.
    pub fn rules(&self, direction: Direction) -> Option<&[Rule]> {
        match direction {
            Direction::Ingress => self.ingress.as_deref(),
            Direction::Egress => self.egress.as_deref(),
        }
    }
}

/// The source's address on a connection to `destination`: of the same family.
pub(crate) fn address_towards(source: &Endpoint, destination: Option<IpAddr>) -> Option<IpAddr> {
    let ipv6 = destination.is_some_and(|ip| ip.is_ipv6());
    source.ips.iter().copied().find(|ip| ip.is_ipv6() == ipv6)
}

/// One of them is the node (a host-network pod on it) that the other one runs on.
pub(crate) fn share_node(a: &Endpoint, b: &Endpoint) -> bool {
    (a.host_network || b.host_network) && !a.node.is_empty() && a.node == b.node
}

pub(crate) fn rule_covers(rule: &Rule, protocol: Protocol, port: u16, destination: &Endpoint) -> bool {
    rule.ports.is_empty() || rule.ports.iter().any(|wanted| port_covers(wanted, protocol, port, destination))
}

fn port_covers(wanted: &PortMatch, protocol: Protocol, port: u16, destination: &Endpoint) -> bool {
    match wanted {
        PortMatch::Any(p) => *p == protocol,
        PortMatch::Range(p, first, last) => *p == protocol && (*first..=*last).contains(&port),
        PortMatch::Named(p, name) => {
            *p == protocol && destination.ports.iter().any(|d| d.name == *name && d.protocol == protocol && d.number == port)
        }
    }
}
