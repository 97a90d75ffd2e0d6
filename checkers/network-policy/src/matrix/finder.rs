//! Finds classes by what policies say, remembering each answer.

use super::classes::{Classes, is_ipv6};
use crate::{
    admin::Subject,
    bits::Bits,
    cluster::{Cluster, port_covers},
    resource::{IpBlock, Peer, Policy, Protocol, Rule},
    selector::{Operator, Selector},
    verdict::Direction,
};
use std::collections::HashMap;

/// Which side of a connection is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Side<'a> {
    /// What a source may go to.
    Egress,
    /// What a destination lets in: the family of its address, and what it calls the port.
    Ingress { ipv6: bool, port_names: &'a [&'a str] },
}

impl Side<'_> {
    pub(super) fn direction(self) -> Direction {
        match self {
            Self::Egress => Direction::Egress,
            Self::Ingress { .. } => Direction::Ingress,
        }
    }
}

pub(super) struct Finder<'a> {
    cluster: &'a Cluster,
    classes: &'a Classes<'a>,
    protocol: Protocol,
    port: u16,
    plain_pods: Bits,
    /// Which classes carry a label at all, and which with this value.
    with_key: HashMap<&'a str, Bits>,
    labelled: HashMap<(&'a str, &'a str), Bits>,
    in_namespace: HashMap<&'a str, Bits>,
    sources: HashMap<&'a IpBlock, Bits>,
    destinations: HashMap<&'a IpBlock, Bits>,
    on_nodes: HashMap<&'a Selector, Bits>,
    domains: HashMap<&'a str, Bits>,
    pods: HashMap<&'a Selector, Bits>,
    namespaces: HashMap<&'a Selector, Bits>,
}

impl<'a> Finder<'a> {
    pub(super) fn new(cluster: &'a Cluster, classes: &'a Classes<'a>, protocol: Protocol, port: u16) -> Self {
        let count = classes.keys.len();
        let words = &classes.words;
        let mut finder = Self {
            cluster,
            classes,
            protocol,
            port,
            plain_pods: Bits::none(count),
            with_key: HashMap::new(),
            labelled: HashMap::new(),
            in_namespace: HashMap::new(),
            sources: HashMap::new(),
            destinations: HashMap::new(),
            on_nodes: HashMap::new(),
            domains: HashMap::new(),
            pods: HashMap::new(),
            namespaces: HashMap::new(),
        };
        let none = || Bits::none(count);
        for (class, key) in classes.keys.iter().enumerate() {
            if key.plain_pod {
                finder.plain_pods.set(class);
            }
            finder.in_namespace.entry(key.namespace).or_insert_with(none).set(class);
            for (label, value) in &key.labels {
                finder.with_key.entry(label).or_insert_with(none).set(class);
                if let Some(value) = value {
                    finder.labelled.entry((label, value)).or_insert_with(none).set(class);
                }
            }
            key.blocks_as_source.iter().for_each(|n| finder.sources.entry(words.blocks[*n]).or_insert_with(none).set(class));
            key.blocks_as_destination.iter().for_each(|n| finder.destinations.entry(words.blocks[*n]).or_insert_with(none).set(class));
            key.nodes.iter().for_each(|n| finder.on_nodes.entry(words.nodes[*n]).or_insert_with(none).set(class));
            key.domains.iter().for_each(|n| finder.domains.entry(words.domains[*n]).or_insert_with(none).set(class));
        }
        finder
    }

    pub(super) fn none(&self) -> Bits {
        Bits::none(self.classes.keys.len())
    }

    pub(super) fn all(&self) -> Bits {
        Bits::all(self.classes.keys.len())
    }

    /// The classes that a NetworkPolicy is about.
    pub(super) fn selected(&mut self, policy: &'a Policy) -> Bits {
        let mut found = self.select(&policy.selector);
        found.and(&self.namespace(&policy.namespace));
        found
    }

    /// The classes that an administrator's policy is about.
    pub(super) fn subjects(&mut self, subject: &'a Subject) -> Bits {
        self.pods(Some(&subject.namespaces), subject.pods.as_ref(), "")
    }

    /// The classes at the other end of a connection that a rule is about. `namespace`: the policy's own.
    pub(super) fn about(&mut self, rule: &'a Rule, namespace: &str, side: Side<'_>) -> Bits {
        match side {
            Side::Ingress { ipv6, port_names } if self.covers(rule, port_names) => self.peers(rule, namespace, Some(ipv6)),
            // The peer is the destination, whose port it is.
            Side::Egress if rule.has_named_port() => {
                let mut found = self.peers(rule, namespace, None);
                let mut covered = self.none();
                for (class, key) in self.classes.keys.iter().enumerate() {
                    if self.covers(rule, &key.port_names) {
                        covered.set(class);
                    }
                }
                found.and(&covered);
                found
            }
            Side::Egress if self.covers(rule, &[]) => self.peers(rule, namespace, None),
            Side::Egress | Side::Ingress { .. } => self.none(),
        }
    }

    fn covers(&self, rule: &Rule, port_names: &[&str]) -> bool {
        let is_named = |name: &str| port_names.contains(&name);
        rule.ports.is_empty() || rule.ports.iter().any(|wanted| port_covers(wanted, self.protocol, self.port, is_named))
    }

    fn namespace(&self, name: &str) -> Bits {
        self.in_namespace.get(name).cloned().unwrap_or_else(|| self.none())
    }

    fn select(&mut self, selector: &'a Selector) -> Bits {
        if let Some(found) = self.pods.get(selector) {
            return found.clone();
        }
        let mut found = self.plain_pods.clone();
        for requirement in &selector.requirements {
            let key = requirement.key.as_str();
            let mut these = self.none();
            match requirement.operator {
                Operator::In | Operator::NotIn => {
                    let values = requirement.values.iter().filter_map(|value| self.labelled.get(&(key, value.as_str())));
                    values.for_each(|bits| these.or(bits));
                }
                Operator::Exists | Operator::DoesNotExist => self.with_key.get(key).into_iter().for_each(|bits| these.or(bits)),
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
        let mut found = self.none();
        for namespace in self.cluster.namespaces.values().filter(|namespace| selector.matches(&namespace.labels)) {
            if let Some(bits) = self.in_namespace.get(namespace.name.as_str()) {
                found.or(bits);
            }
        }
        self.namespaces.insert(selector, found.clone());
        found
    }

    /// `namespaces`: `None` is the policy's own; `pods`: `None` is all of them.
    fn pods(&mut self, namespaces: Option<&'a Selector>, pods: Option<&'a Selector>, own: &str) -> Bits {
        let mut found = match namespaces {
            None => self.namespace(own),
            Some(selector) => self.select_namespaces(selector),
        };
        match pods {
            None => found.and(&self.plain_pods),
            Some(selector) => found.and(&self.select(selector)),
        }
        found
    }

    /// The classes that a rule speaks of. `ingress_ipv6`: `None` when they are destinations, else the family of the connection that
    /// they are sources of.
    fn peers(&mut self, rule: &'a Rule, namespace: &str, ingress_ipv6: Option<bool>) -> Bits {
        if rule.peers.is_empty() {
            return self.all();
        }
        let mut all = self.none();
        for peer in &rule.peers {
            let found = match peer {
                Peer::Pods { namespaces, pods } => {
                    all.or(&self.pods(namespaces.as_ref(), pods.as_ref(), namespace));
                    continue;
                }
                Peer::Block(block) => match ingress_ipv6 {
                    None => self.destinations.get(block),
                    Some(ipv6) => self.sources.get(block).filter(|_| is_ipv6(block) == ipv6),
                },
                // Administrators' rules speak of nodes and names as destinations only.
                Peer::Nodes(selector) => self.on_nodes.get(selector),
                Peer::Domain(name) => self.domains.get(name.as_str()),
                Peer::Unsupported => None,
            };
            found.into_iter().for_each(|found| all.or(found));
        }
        all
    }
}
