//! From objects to [`AdminPolicy`].

use super::{Action, AdminKind, AdminName, AdminPolicy, AdminRule, Subject, Tier};
use crate::{
    resource::{IpBlock, Peer, PortMatch, Protocol, Read, Rule, bad, domain_name, items, read_net, read_protocol},
    selector::Selector,
};
use serde_json::Value;

/// A BaselineAdminNetworkPolicy comes after every priority that can be written.
const LAST: u16 = 1001;

/// Reads what the API server would accept; the spec of another version is an error of the field that is missing then.
pub(crate) fn read(object: &Value, kind: AdminKind, name: &str) -> Read<AdminPolicy> {
    let spec = &object["spec"];
    let tier = match kind {
        AdminKind::AdminNetworkPolicy => Tier::Admin,
        AdminKind::BaselineAdminNetworkPolicy => Tier::Baseline,
        AdminKind::ClusterNetworkPolicy => match spec["tier"].as_str() {
            Some("Admin") => Tier::Admin,
            Some("Baseline") => Tier::Baseline,
            _ => return bad("spec.tier", "must be Admin or Baseline"),
        },
    };
    let priority = match kind {
        AdminKind::BaselineAdminNetworkPolicy => LAST,
        _ => {
            let number = spec["priority"].as_u64().and_then(|number| u16::try_from(number).ok()).filter(|number| *number < LAST);
            number.map_or_else(|| bad("spec.priority", "must be a number from 0 to 1000"), Ok)?
        }
    };
    Ok(AdminPolicy {
        tier,
        priority,
        name: AdminName { kind, name: name.to_owned() },
        subject: subject(&spec["subject"], "spec.subject")?,
        ingress: rules(&spec["ingress"], kind, "spec.ingress", "from")?,
        egress: rules(&spec["egress"], kind, "spec.egress", "to")?,
    })
}

/// `namespaces`, or `pods` with both of its selectors.
fn subject(value: &Value, path: &str) -> Read<Subject> {
    if !value["namespaces"].is_null() {
        return Ok(Subject { namespaces: Selector::read(&value["namespaces"], &format!("{path}.namespaces"))?, pods: None });
    }
    let pods = &value["pods"];
    if pods.is_null() {
        return bad(path, "must have namespaces or pods");
    }
    Ok(Subject {
        namespaces: Selector::read(&pods["namespaceSelector"], &format!("{path}.pods.namespaceSelector"))?,
        pods: Some(Selector::read(&pods["podSelector"], &format!("{path}.pods.podSelector"))?),
    })
}

fn rules(value: &Value, kind: AdminKind, path: &str, peers_key: &str) -> Read<Vec<AdminRule>> {
    let ports_key = if kind == AdminKind::ClusterNetworkPolicy { "protocols" } else { "ports" };
    let mut rules = Vec::new();
    for (r, rule) in items(value, path)?.iter().enumerate() {
        let path = format!("{path}[{r}]");
        let action = match (rule["action"].as_str(), kind) {
            (Some("Accept"), AdminKind::ClusterNetworkPolicy) => Action::Allow,
            (Some("Allow"), AdminKind::AdminNetworkPolicy | AdminKind::BaselineAdminNetworkPolicy) => Action::Allow,
            (Some("Deny"), _) => Action::Deny,
            (Some("Pass"), AdminKind::AdminNetworkPolicy | AdminKind::ClusterNetworkPolicy) => Action::Pass,
            _ => return bad(format!("{path}.action"), "not an action of this kind"),
        };
        let mut peers = Vec::new();
        let peers_path = format!("{path}.{peers_key}");
        for (p, peer) in items(&rule[peers_key], &peers_path)?.iter().enumerate() {
            read_peer(peer, &format!("{peers_path}[{p}]"), peers_key == "to", action, &mut peers)?;
        }
        let mut ports = Vec::new();
        let ports_path = format!("{path}.{ports_key}");
        for (p, port) in items(&rule[ports_key], &ports_path)?.iter().enumerate() {
            let path = format!("{ports_path}[{p}]");
            ports.push(if kind == AdminKind::ClusterNetworkPolicy { read_protocols(port, &path)? } else { read_port(port, &path)? });
        }
        if peers.is_empty() {
            return bad(peers_path, "must have a peer");
        }
        rules.push(AdminRule { name: rule["name"].as_str().unwrap_or_default().to_owned(), action, rule: Rule { peers, ports } });
    }
    Ok(rules)
}

/// A peer of an administrator's rule is one or more of ours: `networks` and `domainNames` are lists.
fn read_peer(peer: &Value, path: &str, egress: bool, action: Action, peers: &mut Vec<Peer>) -> Read<()> {
    let list = |key: &str| items(&peer[key], &format!("{path}.{key}"));
    if egress && !peer["nodes"].is_null() {
        peers.push(Peer::Nodes(Selector::read(&peer["nodes"], &format!("{path}.nodes"))?));
    } else if egress && !peer["networks"].is_null() {
        for (n, network) in list("networks")?.iter().enumerate() {
            let cidr = read_net(network, &format!("{path}.networks[{n}]"))?;
            peers.push(Peer::Block(IpBlock { cidr, except: Vec::new() }));
        }
    } else if egress && !peer["domainNames"].is_null() {
        for (n, name) in list("domainNames")?.iter().enumerate() {
            let Some(name) = name.as_str() else { return bad(format!("{path}.domainNames[{n}]"), "must be a string") };
            // The API defines names in rules that allow only, and accepts them in others.
            peers.push(if action == Action::Allow { Peer::Domain(domain_name(name)) } else { Peer::Unsupported });
        }
    } else {
        let Subject { namespaces, pods } = subject(peer, path)?;
        peers.push(Peer::Pods { namespaces: Some(namespaces), pods });
    }
    Ok(())
}

fn number(value: &Value, path: &str) -> Read<u16> {
    value.as_u64().and_then(|n| u16::try_from(n).ok()).map_or_else(|| bad(path, "must be a port number"), Ok)
}

fn name(value: &Value, path: &str) -> Read<PortMatch> {
    value.as_str().map_or_else(|| bad(path, "must be a string"), |name| Ok(PortMatch::Named(None, name.to_owned())))
}

/// Of v1alpha1: `portNumber`, `portRange` or `namedPort`.
fn read_port(port: &Value, path: &str) -> Read<PortMatch> {
    let (one, range) = (&port["portNumber"], &port["portRange"]);
    if !one.is_null() {
        let port = number(&one["port"], &format!("{path}.portNumber.port"))?;
        return Ok(PortMatch::Range(read_protocol(&one["protocol"], &format!("{path}.portNumber.protocol"))?, port, port));
    }
    if !range.is_null() {
        let end = |key: &str| number(&range[key], &format!("{path}.portRange.{key}"));
        let protocol = read_protocol(&range["protocol"], &format!("{path}.portRange.protocol"))?;
        return Ok(PortMatch::Range(protocol, end("start")?, end("end")?));
    }
    if port["namedPort"].is_null() {
        return bad(path, "must have portNumber, portRange or namedPort");
    }
    name(&port["namedPort"], &format!("{path}.namedPort"))
}

/// Since v1alpha2: `tcp`, `udp`, `sctp` or `destinationNamedPort`.
fn read_protocols(value: &Value, path: &str) -> Read<PortMatch> {
    for (key, protocol) in [("tcp", Protocol::Tcp), ("udp", Protocol::Udp), ("sctp", Protocol::Sctp)] {
        if value[key].is_null() {
            continue;
        }
        let (port, path) = (&value[key]["destinationPort"], format!("{path}.{key}.destinationPort"));
        if port.is_null() {
            return Ok(PortMatch::Any(protocol));
        }
        if !port["number"].is_null() {
            let port = number(&port["number"], &format!("{path}.number"))?;
            return Ok(PortMatch::Range(protocol, port, port));
        }
        let end = |key: &str| number(&port["range"][key], &format!("{path}.range.{key}"));
        return Ok(PortMatch::Range(protocol, end("start")?, end("end")?));
    }
    if value["destinationNamedPort"].is_null() {
        return bad(path, "must have tcp, udp, sctp or destinationNamedPort");
    }
    name(&value["destinationNamedPort"], &format!("{path}.destinationNamedPort"))
}
