//! Which endpoints no policy tells apart.

use crate::{
    cluster::{Cluster, has_domain},
    resource::{Endpoint, IpBlock, Node, Peer, PortMatch, Protocol, Rule},
    selector::Selector,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
};

/// Endpoints by class, and what makes each class.
pub(super) struct Classes<'a> {
    pub words: Vocabulary<'a>,
    /// Class of each endpoint.
    pub of: Vec<usize>,
    pub keys: Vec<Key<'a>>,
}

/// What policies can tell of an endpoint on one port. Numbers are indices into the vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key<'a> {
    pub namespace: &'a str,
    pub plain_pod: bool,
    /// The labels that selectors speak of; a value that none of them mentions is `None`.
    pub labels: Vec<(&'a str, Option<&'a str>)>,
    /// What it calls the port.
    pub port_names: Vec<&'a str>,
    pub ipv6: bool,
    /// Blocks with the address that connections of their family come from.
    pub blocks_as_source: Vec<usize>,
    pub blocks_as_destination: Vec<usize>,
    pub nodes: Vec<usize>,
    pub domains: Vec<usize>,
}

/// The selectors, blocks and names that the policies use.
#[derive(Default)]
pub(super) struct Vocabulary<'a> {
    values: HashMap<&'a str, BTreeSet<&'a str>>,
    port_names: BTreeSet<&'a str>,
    pub blocks: Vec<&'a IpBlock>,
    pub nodes: Vec<&'a Selector>,
    pub domains: Vec<&'a str>,
}

impl<'a> Classes<'a> {
    /// Cost: endpoints times blocks, node selectors and domain names, each a few comparisons.
    pub(super) fn of(cluster: &'a Cluster, protocol: Protocol, port: u16) -> Self {
        let words = Vocabulary::of(cluster);
        let reader = Reader { words: &words, masks: words.masks(), nodes: nodes_by_address(cluster), protocol, port };
        let mut numbers: HashMap<Key<'a>, usize> = HashMap::new();
        let mut of = Vec::with_capacity(cluster.endpoints.len());
        for endpoint in &cluster.endpoints {
            let next = numbers.len();
            of.push(*numbers.entry(reader.key(cluster, endpoint)).or_insert(next));
        }
        let mut keys: Vec<(Key<'a>, usize)> = numbers.into_iter().collect();
        keys.sort_unstable_by_key(|(_, class)| *class);
        Self { of, keys: keys.into_iter().map(|(key, _)| key).collect(), words }
    }
}

impl<'a> Vocabulary<'a> {
    fn of(cluster: &'a Cluster) -> Self {
        let mut words = Self::default();
        let (mut blocks, mut nodes, mut domains) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut rule = |words: &mut Self, rule: &'a Rule| {
            for peer in &rule.peers {
                match peer {
                    Peer::Block(block) => drop(blocks.insert(block)),
                    // Which namespace a pod is in is part of every class already.
                    Peer::Pods { pods, .. } => pods.iter().for_each(|selector| words.selector(selector)),
                    Peer::Nodes(selector) => drop(nodes.insert(selector)),
                    Peer::Domain(name) => drop(domains.insert(name.as_str())),
                    Peer::Unsupported => {}
                }
            }
            words.port_names.extend(rule.ports.iter().filter_map(|port| match port {
                PortMatch::Named(_, name) => Some(name.as_str()),
                _ => None,
            }));
        };
        for policy in &cluster.policies {
            words.selector(&policy.selector);
            [&policy.ingress, &policy.egress].into_iter().flatten().flatten().for_each(|one| rule(&mut words, one));
        }
        for policy in &cluster.admin_policies {
            policy.subject.pods.iter().for_each(|selector| words.selector(selector));
            policy.ingress.iter().chain(&policy.egress).for_each(|one| rule(&mut words, &one.rule));
        }
        Self { blocks: blocks.into_iter().collect(), nodes: nodes.into_iter().collect(), domains: domains.into_iter().collect(), ..words }
    }

    fn selector(&mut self, selector: &'a Selector) {
        for requirement in &selector.requirements {
            self.values.entry(&requirement.key).or_default().extend(requirement.values.iter().map(String::as_str));
        }
    }

    /// Network, mask and number of each block, of IPv4 and of IPv6.
    fn masks(&self) -> [Vec<(u128, u128, usize)>; 2] {
        let mut masks = [Vec::new(), Vec::new()];
        for (number, block) in self.blocks.iter().enumerate() {
            let mask = bits(block.cidr.netmask());
            masks[usize::from(is_ipv6(block))].push((bits(block.cidr.addr()) & mask, mask, number));
        }
        masks
    }
}

pub(super) fn is_ipv6(block: &IpBlock) -> bool {
    matches!(block.cidr, ipnet::IpNet::V6(_))
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

fn nodes_by_address(cluster: &Cluster) -> BTreeMap<IpAddr, Vec<&Node>> {
    let mut nodes: BTreeMap<IpAddr, Vec<&Node>> = BTreeMap::new();
    for node in cluster.nodes.values() {
        node.ips.iter().for_each(|ip| nodes.entry(*ip).or_default().push(node));
    }
    nodes
}

struct Reader<'a, 'w> {
    words: &'w Vocabulary<'a>,
    masks: [Vec<(u128, u128, usize)>; 2],
    nodes: BTreeMap<IpAddr, Vec<&'a Node>>,
    protocol: Protocol,
    port: u16,
}

impl<'a> Reader<'a, '_> {
    fn key(&self, cluster: &'a Cluster, endpoint: &'a Endpoint) -> Key<'a> {
        let label = |(key, value): (&'a String, &'a String)| {
            let (key, values) = self.words.values.get_key_value(key.as_str())?;
            Some((*key, values.get(value.as_str()).copied()))
        };
        let ports = endpoint.ports.iter().filter(|port| port.number == self.port && port.protocol == self.protocol);
        let mut port_names: Vec<&str> = ports.filter_map(|port| self.words.port_names.get(port.name.as_str()).copied()).collect();
        port_names.sort_unstable();
        port_names.dedup();
        let first = endpoint.ips.first().copied();
        let of_family = |ipv6: bool| endpoint.ips.iter().copied().find(|ip| ip.is_ipv6() == ipv6);
        let sources = [of_family(false), of_family(true)];
        let here: Vec<&Node> = match cluster.nodes.get(&endpoint.node) {
            Some(node) if endpoint.host_network => vec![node],
            _ => Vec::new(),
        };
        let nodes: Vec<&Node> = here.into_iter().chain(first.and_then(|ip| self.nodes.get(&ip)).into_iter().flatten().copied()).collect();
        let selects = |selector: &Selector| nodes.iter().any(|node| selector.matches(&node.labels));
        Key {
            namespace: &endpoint.namespace,
            plain_pod: endpoint.is_plain_pod(),
            labels: endpoint.labels.iter().filter_map(label).collect(),
            port_names,
            ipv6: first.is_some_and(|ip| ip.is_ipv6()),
            blocks_as_source: sources.into_iter().flatten().flat_map(|ip| self.blocks(ip)).collect(),
            blocks_as_destination: first.into_iter().flat_map(|ip| self.blocks(ip)).collect(),
            nodes: numbers(&self.words.nodes, |selector| !nodes.is_empty() && selects(selector)),
            domains: numbers(&self.words.domains, |pattern| has_domain(endpoint, pattern)),
        }
    }

    fn blocks(&self, ip: IpAddr) -> impl Iterator<Item = usize> + '_ {
        let address = bits(ip);
        let masks = self.masks[usize::from(ip.is_ipv6())].iter().filter(move |(network, mask, _)| address & mask == *network);
        masks.map(|(.., number)| *number).filter(move |number| self.words.blocks[*number].contains(ip))
    }
}

fn numbers<T: Copy>(items: &[T], keep: impl Fn(T) -> bool) -> Vec<usize> {
    items.iter().enumerate().filter(|(_, item)| keep(**item)).map(|(number, _)| number).collect()
}
