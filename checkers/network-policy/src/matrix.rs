//! Everybody to everybody on one port, at once.
//!
//! Pods that no selector, address block or named port tells apart form one class and share a row. Per class and direction one
//! bit set says which classes are allowed, so that a cell is two look-ups.

use crate::{
    bits::Bits,
    cluster::{Cluster, Direction, rule_covers, share_node},
    resource::{Endpoint, IpBlock, Peer, Policy, PortMatch, Protocol, Rule},
    selector::{Operator, Selector},
};
use std::collections::{BTreeSet, HashMap};

#[derive(Debug)]
pub struct Matrix<'a> {
    cluster: &'a Cluster,
    /// Class of each endpoint.
    class: Vec<usize>,
    /// `egress[from]`: the classes that `from` may go to. `None`: not isolated.
    egress: Vec<Option<Bits>>,
    /// `ingress[to]`: the classes that `to` lets in.
    ingress: Vec<Option<Bits>>,
}

/// What policies can tell of an endpoint.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key<'a> {
    namespace: &'a str,
    plain_pod: bool,
    labels: Vec<(&'a str, &'a str)>,
    named_ports: Vec<(&'a str, Protocol, u16)>,
    ipv6: bool,
    blocks_as_source: Vec<u32>,
    blocks_as_destination: Vec<u32>,
}

/// The selectors, blocks and names that the policies use.
#[derive(Default)]
struct Vocabulary<'a> {
    keys: BTreeSet<&'a str>,
    blocks: BTreeSet<&'a IpBlock>,
    names: BTreeSet<&'a str>,
}

impl Cluster {
    /// Cost: endpoints and policies once each, plus classes times the policies that select them.
    pub fn matrix(&self, protocol: Protocol, port: u16) -> Matrix<'_> {
        let words = Vocabulary::of(&self.policies);
        let mut classes: HashMap<Key<'_>, usize> = HashMap::new();
        let mut sample: Vec<usize> = Vec::new();
        let class: Vec<usize> = self
            .endpoints
            .iter()
            .enumerate()
            .map(|(index, endpoint)| {
                let next = classes.len();
                *classes.entry(words.key(endpoint)).or_insert_with(|| {
                    sample.push(index);
                    next
                })
            })
            .collect();
        let samples: Vec<&Endpoint> = sample.iter().map(|index| &self.endpoints[*index]).collect();
        let mut finder = Finder::new(self, &samples, &classes);
        let count = samples.len();
        let mut matrix = Matrix { cluster: self, class, egress: vec![None; count], ingress: vec![None; count] };
        for policy in &self.policies {
            let subjects = finder.subjects(policy);
            if let Some(rules) = policy.rules(Direction::Egress) {
                let mut allowed = Bits::none(count);
                for rule in rules {
                    // A named port is the destination's, who is the peer here.
                    let mut peers = finder.peers(rule, policy, None);
                    finder.keep(&mut peers, rule, protocol, port);
                    allowed.or(&peers);
                }
                for subject in subjects.iter() {
                    matrix.egress[subject].get_or_insert_with(|| Bits::none(count)).or(&allowed);
                }
            }
            if let Some(rules) = policy.rules(Direction::Ingress) {
                for ipv6 in [false, true] {
                    let of_family = |subject: &usize| is_ipv6(samples[*subject]) == ipv6;
                    let mut peers: Option<Vec<Bits>> = None;
                    for subject in subjects.iter().filter(of_family) {
                        let peers = peers.get_or_insert_with(|| rules.iter().map(|r| finder.peers(r, policy, Some(ipv6))).collect());
                        let allowed = matrix.ingress[subject].get_or_insert_with(|| Bits::none(count));
                        for (rule, peers) in rules.iter().zip(peers.iter()) {
                            if rule_covers(rule, protocol, port, samples[subject]) {
                                allowed.or(peers);
                            }
                        }
                    }
                }
            }
        }
        matrix
    }
}

fn is_ipv6(endpoint: &Endpoint) -> bool {
    endpoint.ips.first().is_some_and(|ip| ip.is_ipv6())
}

impl Matrix<'_> {
    pub fn allowed(&self, from: usize, to: usize) -> bool {
        let endpoints = &self.cluster.endpoints;
        if from == to || share_node(&endpoints[from], &endpoints[to]) {
            return true;
        }
        let (source, destination) = (self.class[from], self.class[to]);
        self.egress[source].as_ref().is_none_or(|bits| bits.get(destination))
            && self.ingress[destination].as_ref().is_none_or(|bits| bits.get(source))
    }

    /// How many rows differ.
    pub fn classes(&self) -> usize {
        self.egress.len()
    }

    /// One string per endpoint: `.` reachable, `X` not; rows are sources.
    pub fn rows(&self) -> Vec<String> {
        let count = self.cluster.endpoints.len();
        (0..count).map(|from| (0..count).map(|to| if self.allowed(from, to) { '.' } else { 'X' }).collect()).collect()
    }
}

impl<'a> Vocabulary<'a> {
    fn of(policies: &'a [Policy]) -> Self {
        let mut words = Self::default();
        for policy in policies {
            words.selector(&policy.selector);
            let rules = [&policy.ingress, &policy.egress].into_iter().flatten().flatten();
            for rule in rules {
                for peer in &rule.peers {
                    match peer {
                        Peer::Block(block) => {
                            words.blocks.insert(block);
                        }
                        // Which namespace a pod is in is part of every class already.
                        Peer::Pods { pods, .. } => pods.iter().for_each(|selector| words.selector(selector)),
                    }
                }
                words.names.extend(rule.ports.iter().filter_map(|port| match port {
                    PortMatch::Named(_, name) => Some(name.as_str()),
                    _ => None,
                }));
            }
        }
        words
    }

    fn selector(&mut self, selector: &'a Selector) {
        self.keys.extend(selector.requirements.iter().map(|requirement| requirement.key.as_str()));
    }

    fn key<'e>(&self, endpoint: &'e Endpoint) -> Key<'e> {
        let known = |key: &str| self.keys.contains(key);
        let labels = if endpoint.labels.len() > self.keys.len() {
            let found = self.keys.iter().filter_map(|key| endpoint.labels.get_key_value(*key));
            found.map(|(k, v)| (k.as_str(), v.as_str())).collect()
        } else {
            endpoint.labels.iter().filter(|(key, _)| known(key)).map(|(k, v)| (k.as_str(), v.as_str())).collect()
        };
        let named = endpoint.ports.iter().filter(|port| self.names.contains(port.name.as_str()));
        let mut named_ports: Vec<_> = named.map(|port| (port.name.as_str(), port.protocol, port.number)).collect();
        named_ports.sort_unstable();
        let numbered = || self.blocks.iter().zip(0u32..);
        Key {
            namespace: &endpoint.namespace,
            plain_pod: endpoint.is_plain_pod(),
            labels,
            named_ports,
            ipv6: is_ipv6(endpoint),
            blocks_as_source: numbered()
                .filter(|(b, _)| first_of_family(endpoint, b).is_some_and(|ip| b.contains(ip)))
                .map(|(_, id)| id)
                .collect(),
            blocks_as_destination: numbered()
                .filter(|(b, _)| endpoint.ips.first().is_some_and(|ip| b.contains(*ip)))
                .map(|(_, id)| id)
                .collect(),
        }
    }
}

/// The address that a connection of the block's family would come from.
fn first_of_family(endpoint: &Endpoint, block: &IpBlock) -> Option<std::net::IpAddr> {
    let ipv4 = matches!(block.cidr, ipnet::IpNet::V4(_));
    endpoint.ips.iter().copied().find(|ip| ip.is_ipv4() == ipv4)
}

/// Finds classes by selector, remembering each answer.
struct Finder<'a> {
    cluster: &'a Cluster,
    samples: &'a [&'a Endpoint],
    plain_pods: Bits,
    /// Which classes carry a label with this value.
    labelled: HashMap<(&'a str, &'a str), Bits>,
    in_namespace: HashMap<&'a str, Bits>,
    pods: HashMap<&'a Selector, Bits>,
    namespaces: HashMap<&'a Selector, Bits>,
}

impl<'a> Finder<'a> {
    fn new(cluster: &'a Cluster, samples: &'a [&'a Endpoint], classes: &HashMap<Key<'a>, usize>) -> Self {
        let count = samples.len();
        let mut plain_pods = Bits::none(count);
        let mut labelled: HashMap<(&str, &str), Bits> = HashMap::new();
        let mut in_namespace: HashMap<&str, Bits> = HashMap::new();
        for (key, class) in classes {
            if key.plain_pod {
                plain_pods.set(*class);
            }
            in_namespace.entry(key.namespace).or_insert_with(|| Bits::none(count)).set(*class);
            for label in &key.labels {
                labelled.entry(*label).or_insert_with(|| Bits::none(count)).set(*class);
            }
        }
        Self { cluster, samples, plain_pods, labelled, in_namespace, pods: HashMap::new(), namespaces: HashMap::new() }
    }

    fn namespace(&self, name: &str) -> Bits {
        self.in_namespace.get(name).cloned().unwrap_or_else(|| Bits::none(self.samples.len()))
    }

    fn select(&mut self, selector: &'a Selector) -> Bits {
        if let Some(found) = self.pods.get(selector) {
            return found.clone();
        }
        let count = self.samples.len();
        let mut found = self.plain_pods.clone();
        for requirement in &selector.requirements {
            let mut these = Bits::none(count);
            match requirement.operator {
                Operator::In | Operator::NotIn => {
                    for value in &requirement.values {
                        if let Some(bits) = self.labelled.get(&(requirement.key.as_str(), value.as_str())) {
                            these.or(bits);
                        }
                    }
                }
                Operator::Exists | Operator::DoesNotExist => {
                    for ((key, _), bits) in &self.labelled {
                        if *key == requirement.key {
                            these.or(bits);
                        }
                    }
                }
            }
            if matches!(requirement.operator, Operator::NotIn | Operator::DoesNotExist) {
                these.invert();
            }
            found.and(&these);
        }
        self.pods.insert(selector, found.clone());
        found
    }

    fn select_namespaces(&mut self, selector: &'a Selector) -> Bits {
        if let Some(found) = self.namespaces.get(selector) {
            return found.clone();
        }
        let mut found = Bits::none(self.samples.len());
        for namespace in self.cluster.namespaces.values().filter(|namespace| selector.matches(&namespace.labels)) {
            if let Some(bits) = self.in_namespace.get(namespace.name.as_str()) {
                found.or(bits);
            }
        }
        self.namespaces.insert(selector, found.clone());
        found
    }

    fn subjects(&mut self, policy: &'a Policy) -> Bits {
        let mut found = self.select(&policy.selector);
        found.and(&self.namespace(&policy.namespace));
        found
    }

    /// The classes that a rule speaks of. `ingress_ipv6`: `None` when they are destinations, else the family of the connection that
    /// they are sources of.
    fn peers(&mut self, rule: &'a Rule, policy: &Policy, ingress_ipv6: Option<bool>) -> Bits {
        let count = self.samples.len();
        if rule.peers.is_empty() {
            return Bits::all(count);
        }
        let mut all = Bits::none(count);
        for peer in &rule.peers {
            match peer {
                Peer::Block(block) => {
                    for (class, endpoint) in self.samples.iter().enumerate() {
                        let ip = match ingress_ipv6 {
                            None => endpoint.ips.first().copied(),
                            Some(ipv6) => endpoint.ips.iter().copied().find(|ip| ip.is_ipv6() == ipv6),
                        };
                        if ip.is_some_and(|ip| block.contains(ip)) {
                            all.set(class);
                        }
                    }
                }
                Peer::Pods { namespaces, pods } => {
                    let mut found = match namespaces {
                        None => self.namespace(&policy.namespace),
                        Some(selector) => self.select_namespaces(selector),
                    };
                    match pods {
                        None => found.and(&self.plain_pods),
                        Some(selector) => found.and(&self.select(selector)),
                    }
                    all.or(&found);
                }
            }
        }
        all
    }

    /// Keeps those destinations whose port the rule covers.
    fn keep(&self, destinations: &mut Bits, rule: &Rule, protocol: Protocol, port: u16) {
        let named = rule.ports.iter().any(|port| matches!(port, PortMatch::Named(..)));
        let count = self.samples.len();
        let mut covered = Bits::none(count);
        if !named {
            // The same answer for every destination.
            if self.samples.first().is_none_or(|any| rule_covers(rule, protocol, port, any)) {
                return;
            }
        } else {
            for (class, endpoint) in self.samples.iter().enumerate() {
                if rule_covers(rule, protocol, port, endpoint) {
                    covered.set(class);
                }
            }
        }
        destinations.and(&covered);
    }
}
