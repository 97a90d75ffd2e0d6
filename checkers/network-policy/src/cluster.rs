//! All pods, namespaces and policies of a cluster, and what they decide about one connection.

use crate::{
    admin::{Action, AdminPolicy, AdminRule, Subject, Tier},
    resource::{Endpoint, EndpointKind, Namespace, Node, Peer, Policy, PortMatch, Protocol, ReadError, Resource, Rule, from_resource},
    selector::Selector,
    verdict::{Decision, Direction, Exemption, PolicyName, Verdict},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

#[derive(Debug, Clone, Default)]
pub struct Cluster {
    pub(crate) namespaces: BTreeMap<String, Namespace>,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) nodes: BTreeMap<String, Node>,
    pub(crate) policies: Vec<Policy>,
    /// In the order in which they are asked.
    pub(crate) admin_policies: Vec<AdminPolicy>,
    by_id: HashMap<String, usize>,
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

    /// What is there already, by kind, namespace and name, is replaced.
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
            Resource::Node(node) => {
                self.nodes.insert(node.name.clone(), node);
            }
            Resource::Admin(policy) => {
                self.admin_policies.retain(|there| there.name != policy.name);
                let index = self.admin_policies.partition_point(|there| there.order() < policy.order());
                self.admin_policies.insert(index, policy);
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

    /// The administrators' policies, in the order in which they are asked.
    pub fn admin_policies(&self) -> &[AdminPolicy] {
        &self.admin_policies
    }

    /// Pairs of administrators' policies of one tier and priority that share a pod in a direction for which both have rules: the API leaves
    /// open which one of them is asked first.
    pub fn ties(&self) -> Vec<(&AdminPolicy, &AdminPolicy)> {
        let mut ties = Vec::new();
        for group in self.admin_policies.chunk_by(|a, b| (a.tier, a.priority) == (b.tier, b.priority)) {
            for (index, first) in group.iter().enumerate() {
                for second in &group[index + 1..] {
                    let both = |direction| !first.rules(direction).is_empty() && !second.rules(direction).is_empty();
                    let shared = |pod: &Endpoint| self.is_subject(&first.subject, pod) && self.is_subject(&second.subject, pod);
                    if (both(Direction::Ingress) || both(Direction::Egress)) && self.endpoints.iter().any(shared) {
                        ties.push((first, second));
                    }
                }
            }
        }
        ties
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
        let side = |direction, subject: &Endpoint, peer: &Endpoint, ip| match subject {
            Endpoint { kind: EndpointKind::External, .. } => Verdict::Exempt(Exemption::OutsideTheCluster),
            Endpoint { host_network: true, .. } => Verdict::Exempt(Exemption::HostNetwork),
            _ => {
                let connection = Connection { direction, subject, peer, ip };
                let covers = |rule: &Rule| rule_covers(rule, protocol, port, destination);
                let tier = |tier| self.administrator(tier, &connection, covers);
                // Their rules come first; they alone bind what goes to the pod's own node.
                let policies = || if own_node { None } else { self.network_policies(&connection, covers) };
                let nobody = if own_node { Verdict::Exempt(Exemption::OwnNode) } else { Verdict::NoPolicySelects };
                tier(Tier::Admin).or_else(policies).or_else(|| tier(Tier::Baseline)).unwrap_or(nobody)
            }
        };
        Decision {
            egress: side(Direction::Egress, source, destination, destination_ip),
            ingress: side(Direction::Ingress, destination, source, source_ip),
        }
    }

    /// The first rule of the tier that is about the connection, unless it passes.
    fn administrator(&self, tier: Tier, connection: &Connection<'_>, covers: impl Fn(&Rule) -> bool) -> Option<Verdict> {
        let is_about = |rule: &AdminRule| covers(&rule.rule) && self.finds(&rule.rule, "", connection);
        let subject = |policy: &&AdminPolicy| policy.tier == tier && self.is_subject(&policy.subject, connection.subject);
        let mut policies = self.admin_policies.iter().filter(subject);
        let (policy, index, rule) = policies.find_map(|policy| {
            let rules = policy.rules(connection.direction);
            rules.iter().position(is_about).map(|index| (policy, index, &rules[index]))
        })?;
        (rule.action != Action::Pass).then(|| Verdict::Administrator {
            policy: policy.name.clone(),
            rule: index,
            rule_name: rule.name.clone(),
            action: rule.action,
        })
    }

    /// `None`: no NetworkPolicy selects the pod for this direction.
    fn network_policies(&self, connection: &Connection<'_>, covers: impl Fn(&Rule) -> bool) -> Option<Verdict> {
        let mut selected_by = Vec::new();
        let pod = connection.subject;
        for policy in self.policies.iter().filter(|p| p.namespace == pod.namespace && p.selector.matches(&pod.labels)) {
            let Some(rules) = policy.rules(connection.direction) else { continue };
            let name = PolicyName { namespace: policy.namespace.clone(), name: policy.name.clone() };
            if let Some(rule) = rules.iter().position(|rule| covers(rule) && self.finds(rule, &policy.namespace, connection)) {
                return Some(Verdict::Allowed { policy: name, rule });
            }
            selected_by.push(name);
        }
        (!selected_by.is_empty()).then_some(Verdict::Denied { selected_by })
    }

    fn is_subject(&self, subject: &Subject, pod: &Endpoint) -> bool {
        pod.is_plain_pod()
            && self.in_namespaces(&subject.namespaces, pod)
            && subject.pods.as_ref().is_none_or(|selector| selector.matches(&pod.labels))
    }

    fn in_namespaces(&self, selector: &Selector, pod: &Endpoint) -> bool {
        self.namespaces.get(&pod.namespace).is_some_and(|namespace| selector.matches(&namespace.labels))
    }

    /// Whether the rule's peers hold the connection's.
    fn finds(&self, rule: &Rule, namespace: &str, connection: &Connection<'_>) -> bool {
        rule.peers.is_empty() || rule.peers.iter().any(|peer| self.peer_matches(peer, namespace, connection.peer, connection.ip))
    }

    fn peer_matches(&self, peer: &Peer, namespace: &str, endpoint: &Endpoint, ip: Option<IpAddr>) -> bool {
        match peer {
            Peer::Block(block) => ip.is_some_and(|ip| block.contains(ip)),
            Peer::Pods { namespaces, pods } => {
                endpoint.is_plain_pod()
                    && namespaces.as_ref().map_or(endpoint.namespace == namespace, |selector| self.in_namespaces(selector, endpoint))
                    && pods.as_ref().is_none_or(|selector| selector.matches(&endpoint.labels))
            }
            Peer::Nodes(selector) => self.on_node(selector, endpoint, ip),
            Peer::Domain(pattern) => has_domain(endpoint, pattern),
            Peer::Unsupported => false,
        }
    }

    /// Whether the endpoint has an address of one of these nodes.
    fn on_node(&self, selector: &Selector, endpoint: &Endpoint, ip: Option<IpAddr>) -> bool {
        let is_it = |node: &Node| (endpoint.host_network && endpoint.node == node.name) || ip.is_some_and(|ip| node.ips.contains(&ip));
        self.nodes.values().any(|node| is_it(node) && selector.matches(&node.labels))
    }
}

/// One side of a connection.
struct Connection<'a> {
    direction: Direction,
    /// Whom the policies of this side are about.
    subject: &'a Endpoint,
    peer: &'a Endpoint,
    /// The peer's address.
    ip: Option<IpAddr>,
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

fn rule_covers(rule: &Rule, protocol: Protocol, port: u16, destination: &Endpoint) -> bool {
    let is_named = |name: &str| destination.ports.iter().any(|p| p.name == name && p.protocol == protocol && p.number == port);
    rule.ports.is_empty() || rule.ports.iter().any(|wanted| port_covers(wanted, protocol, port, is_named))
}

/// `is_named`: whether the destination calls the port so.
pub(crate) fn port_covers(wanted: &PortMatch, protocol: Protocol, port: u16, is_named: impl Fn(&str) -> bool) -> bool {
    match wanted {
        PortMatch::Any(p) => *p == protocol,
        PortMatch::Range(p, first, last) => *p == protocol && (*first..=*last).contains(&port),
        PortMatch::Named(p, name) => p.is_none_or(|p| p == protocol) && is_named(name),
    }
}

/// Whether one of the endpoint's names is the pattern, or lies below `*.example.com`.
pub(crate) fn has_domain(endpoint: &Endpoint, pattern: &str) -> bool {
    endpoint.domain_names.iter().any(|name| match pattern.strip_prefix('*') {
        Some(suffix) => name.len() > suffix.len() && name.ends_with(suffix),
        None => name == pattern,
    })
}
