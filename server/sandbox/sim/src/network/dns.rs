//! Names in a cluster, as CoreDNS' kubernetes plugin answers
//! (<https://github.com/kubernetes/dns/blob/master/docs/specification.md>).

use super::{Failure, PodNetwork, Protocol};
use crate::shell::machine::Network;
use apiserver::Client;
use machinery::{gvr, object};
use serde_json::Value;
use std::{net::Ipv4Addr, sync::Arc};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordType {
    A,
    Cname,
    Ptr,
    Srv,
    /// Any other: what exists has none of it.
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    A(Ipv4Addr),
    Cname(String),
    Ptr(String),
    Srv { weight: usize, port: u16, target: String },
}

/// What a name server says: that there is no such name, or its records of the wanted type, each with its owner.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    pub exists: bool,
    pub records: Vec<(String, Record)>,
}

impl Reply {
    fn addresses(&self) -> Vec<Ipv4Addr> {
        self.records.iter().filter_map(|(_, record)| if let Record::A(address) = record { Some(*address) } else { None }).collect()
    }
}

/// As the C library does it: `/etc/hosts`, then the search list, then the name itself.
pub fn resolve(pod: &PodNetwork, host: &str) -> Result<(String, Vec<Ipv4Addr>), Failure> {
    if host.is_empty() || host.len() > 253 {
        return Err(Failure::NoSuchHost);
    }
    if let Ok(address) = host.parse() {
        return Ok((host.to_owned(), vec![address]));
    }
    let bare = host.trim_end_matches('.').to_lowercase();
    if let Some(address) = pod.resolver.hosts.get(&bare) {
        return Ok((bare, vec![*address]));
    }
    // The server must be reached, whatever it will say.
    if !pod.resolver.cluster {
        return Err(Failure::NoSuchHost);
    }
    if pod.dial(pod.resolver.nameserver, 53, Protocol::Udp).is_err() {
        return Err(Failure::TimedOut);
    }
    let mut names: Vec<String> = Vec::new();
    let absolute = host.ends_with('.');
    let dots = bare.matches('.').count();
    if !absolute && dots >= pod.resolver.ndots {
        names.push(bare.clone());
    }
    if !absolute {
        names.extend(pod.resolver.search.iter().map(|domain| format!("{bare}.{domain}")));
    }
    if absolute || dots < pod.resolver.ndots {
        names.push(bare);
    }
    for name in names {
        let addresses = answer(pod, &name, RecordType::A, 0).addresses();
        if !addresses.is_empty() {
            return Ok((name, addresses));
        }
    }
    Err(Failure::NoSuchHost)
}

/// One question to the pod's name server.
pub fn query(pod: &PodNetwork, name: &str, kind: RecordType) -> Result<Reply, Failure> {
    if !pod.resolver.cluster || pod.dial(pod.resolver.nameserver, 53, Protocol::Udp).is_err() {
        return Err(Failure::TimedOut);
    }
    Ok(answer(pod, name.trim_end_matches('.').to_lowercase().as_str(), kind, 0))
}

/// What the cluster's DNS says to one full name. There is no upstream: other domains do not exist.
fn answer(pod: &PodNetwork, name: &str, kind: RecordType, depth: u32) -> Reply {
    let no = Reply::default();
    let nothing = Reply { exists: true, records: Vec::new() };
    let of = |records: Vec<Record>| Reply { exists: true, records: records.into_iter().map(|record| (name.to_owned(), record)).collect() };
    if depth > 8 {
        return no;
    }
    if let Some(reversed) = name.strip_suffix(".in-addr.arpa") {
        let address = reversed.rsplit('.').collect::<Vec<_>>().join(".");
        return match (owner(pod, &address), kind) {
            (Some(owner), RecordType::Ptr) => of(vec![Record::Ptr(owner)]),
            (Some(_), _) => nothing,
            (None, _) => no,
        };
    }
    let Some(rest) = name.strip_suffix("cluster.local").map(|rest| rest.trim_end_matches('.')) else { return no };
    let labels: Vec<&str> = rest.split('.').filter(|label| !label.is_empty()).collect();
    let client: &Client = pod.fabric.client();
    match labels.as_slice() {
        [] | ["svc" | "pod"] => nothing,
        [namespace, "svc" | "pod"] => {
            if client.get(gvr::NAMESPACES, "", namespace).is_some() {
                nothing
            } else {
                no
            }
        }
        [address, namespace, "pod"] => match (client.get(gvr::NAMESPACES, "", namespace), address.replace('-', ".").parse()) {
            (Some(_), Ok(address)) if kind == RecordType::A => of(vec![Record::A(address)]),
            (Some(_), Ok(_)) => nothing,
            _ => no,
        },
        [service, namespace, "svc"] => {
            let Some(found) = client.get(gvr::SERVICES, namespace, service) else { return no };
            let spec = &found["spec"];
            if spec["type"] == "ExternalName" {
                let target = spec["externalName"].as_str().unwrap_or_default().trim_end_matches('.').to_owned();
                let mut reply = of(vec![Record::Cname(target.clone())]);
                if kind != RecordType::Cname {
                    let further = answer(pod, &target, kind, depth + 1);
                    if further.exists && further.records.is_empty() {
                        return nothing;
                    }
                    reply.records.extend(further.records);
                }
                return reply;
            }
            let addresses: Vec<Ipv4Addr> = match spec["clusterIP"].as_str() {
                Some("None") => headless(pod, &found, None),
                Some(address) => address.parse().into_iter().collect(),
                None => Vec::new(),
            };
            match kind {
                _ if addresses.is_empty() => no,
                RecordType::A => of(addresses.into_iter().map(Record::A).collect()),
                _ => nothing,
            }
        }
        [port, protocol, service, namespace, "svc"] if port.starts_with('_') && protocol.starts_with('_') => {
            let Some(found) = client.get(gvr::SERVICES, namespace, service) else { return no };
            let records = ports(pod, &found, &port[1..], &protocol[1..]);
            match kind {
                _ if records.is_empty() => no,
                RecordType::Srv => of(records),
                _ => nothing,
            }
        }
        [host, service, namespace, "svc"] => {
            let Some(found) = client.get(gvr::SERVICES, namespace, service) else { return no };
            let addresses = headless(pod, &found, Some(host));
            match kind {
                _ if addresses.is_empty() => no,
                RecordType::A => of(addresses.into_iter().map(Record::A).collect()),
                _ => nothing,
            }
        }
        _ => no,
    }
}

/// The full name that belongs to an address: of a Service, or of a pod behind a headless one.
fn owner(pod: &PodNetwork, address: &str) -> Option<String> {
    for service in pod.fabric.client().list(gvr::SERVICES, None) {
        let full = format!("{}.{}.svc.cluster.local", object::name(&service), object::namespace(&service));
        if service["spec"]["clusterIP"] == address {
            return Some(full);
        }
        if service["spec"]["clusterIP"] != "None" {
            continue;
        }
        for slice in pod.fabric.slices(&service) {
            for endpoint in slice["endpoints"].as_array().into_iter().flatten() {
                if endpoint["addresses"].as_array().is_some_and(|all| all.iter().any(|a| a == address)) {
                    return Some(format!("{}.{full}", host_of(endpoint)));
                }
            }
        }
    }
    None
}

/// The label of an endpoint below its Service: the pod's hostname, else its address with dashes.
fn host_of(endpoint: &Value) -> String {
    let dashed = || endpoint["addresses"][0].as_str().unwrap_or_default().replace('.', "-");
    endpoint["hostname"].as_str().filter(|h| !h.is_empty()).map_or_else(dashed, str::to_owned)
}

/// SRV records of a named port.
fn ports(pod: &PodNetwork, service: &Arc<Value>, port: &str, protocol: &str) -> Vec<Record> {
    let full = format!("{}.{}.svc.cluster.local", object::name(service), object::namespace(service));
    let named = |p: &Value| p["name"] == port && p["protocol"].as_str().unwrap_or("TCP").eq_ignore_ascii_case(protocol);
    let number = |p: &Value| p["port"].as_u64().and_then(|n| u16::try_from(n).ok()).unwrap_or(0);
    if service["spec"]["clusterIP"] != "None" {
        let found = service["spec"]["ports"].as_array().into_iter().flatten().filter(|p| named(p));
        return found.map(|p| Record::Srv { weight: 100, port: number(p), target: full.clone() }).collect();
    }
    let mut targets = Vec::new();
    for slice in pod.fabric.slices(service) {
        for p in slice["ports"].as_array().into_iter().flatten().filter(|p| named(p)) {
            let ready = slice["endpoints"].as_array().into_iter().flatten().filter(|e| e["conditions"]["ready"] != false);
            targets.extend(ready.map(|endpoint| (number(p), format!("{}.{full}", host_of(endpoint)))));
        }
    }
    let weight = 100 / targets.len().max(1);
    targets.into_iter().map(|(port, target)| Record::Srv { weight: weight.max(1), port, target }).collect()
}

fn headless(pod: &PodNetwork, service: &Value, host: Option<&str>) -> Vec<Ipv4Addr> {
    let not_ready_too = service["spec"]["publishNotReadyAddresses"] == true;
    let mut out = Vec::new();
    for slice in pod.fabric.slices(service) {
        for endpoint in slice["endpoints"].as_array().into_iter().flatten() {
            let ready = endpoint["conditions"]["ready"] != false || not_ready_too;
            let addresses: Vec<Ipv4Addr> =
                endpoint["addresses"].as_array().into_iter().flatten().filter_map(|a| a.as_str()?.parse().ok()).collect();
            let dashed = addresses.first().map(|a| a.to_string().replace('.', "-"));
            let named = host.is_none_or(|h| endpoint["hostname"] == h || dashed.as_deref() == Some(h));
            if ready && named {
                out.extend(addresses);
            }
        }
    }
    out
}
