//! Names in a cluster, as CoreDNS' kubernetes plugin answers
//! (<https://github.com/kubernetes/dns/blob/master/docs/specification.md>).

use super::{Failure, PodNetwork, Protocol};
use crate::shell::machine::Network;
use apiserver::Client;
use machinery::gvr;
use std::net::Ipv4Addr;

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
        if let Some(addresses) = answer(pod, &name, 0) {
            return Ok((name, addresses));
        }
    }
    Err(Failure::NoSuchHost)
}

/// What the cluster's DNS says to one full name. There is no upstream: other domains do not exist.
fn answer(pod: &PodNetwork, name: &str, depth: u32) -> Option<Vec<Ipv4Addr>> {
    let rest = name.strip_suffix(".cluster.local")?;
    if depth > 8 {
        return None;
    }
    let labels: Vec<&str> = rest.split('.').collect();
    let client: &Client = pod.fabric.client();
    match labels.as_slice() {
        [service, namespace, "svc"] => {
            let found = client.get(gvr::SERVICES, namespace, service)?;
            let spec = &found["spec"];
            if spec["type"] == "ExternalName" {
                return answer(pod, spec["externalName"].as_str()?.trim_end_matches('.'), depth + 1);
            }
            match spec["clusterIP"].as_str() {
                Some("None") => {
                    let addresses: Vec<Ipv4Addr> = headless(pod, &found, None);
                    Some(addresses).filter(|a| !a.is_empty())
                }
                Some(address) => address.parse().ok().map(|a| vec![a]),
                None => None,
            }
        }
        [host, service, namespace, "svc"] => {
            let found = client.get(gvr::SERVICES, namespace, service)?;
            Some(headless(pod, &found, Some(host))).filter(|a| !a.is_empty())
        }
        [address, namespace, "pod"] => {
            client.get(gvr::NAMESPACES, "", namespace)?;
            address.replace('-', ".").parse().ok().map(|a| vec![a])
        }
        _ => None,
    }
}

fn headless(pod: &PodNetwork, service: &serde_json::Value, host: Option<&str>) -> Vec<Ipv4Addr> {
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
