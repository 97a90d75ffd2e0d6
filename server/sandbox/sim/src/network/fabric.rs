//! Which addresses there are, and whether one reaches another.

use super::{Failure, Listener, Protocol, Sockets, dns};
use crate::shell::machine::Network;
use apiserver::{Change, Changes, Client};
use machinery::{Gvr, gvr, object};
use network_policy as policy;
use parking_lot::Mutex;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// What has an address.
#[derive(Debug, Clone)]
pub struct Place {
    pub sockets: Arc<Sockets>,
    /// `namespace/name` of the pod; empty for a node.
    pub pod: String,
}

/// What decides on connections. The administrators' policies are there where somebody has defined their kinds; of a kind with several
/// versions the first one that is served is read.
const DECISIVE: &[&[Gvr]] = &[
    &[gvr::NAMESPACES],
    &[gvr::NODES],
    &[gvr::PODS],
    &[gvr::NETWORK_POLICIES],
    &[Gvr::new(ADMINISTRATORS, "v1alpha1", "adminnetworkpolicies")],
    &[Gvr::new(ADMINISTRATORS, "v1alpha1", "baselineadminnetworkpolicies")],
    &[Gvr::new(ADMINISTRATORS, "v1beta1", "clusternetworkpolicies"), Gvr::new(ADMINISTRATORS, "v1alpha2", "clusternetworkpolicies")],
];
const ADMINISTRATORS: &str = "policy.networking.k8s.io";

fn is_decisive(change: &Change) -> bool {
    DECISIVE.iter().flat_map(|versions| versions.first()).any(|gvr| *change.group == *gvr.group && *change.resource == *gvr.resource)
}

/// The network of one cluster.
#[derive(Debug)]
pub struct Fabric {
    client: Client,
    places: Mutex<BTreeMap<Ipv4Addr, Place>>,
    policies: Mutex<Option<(u64, Arc<policy::Cluster>)>>,
    turn: AtomicUsize,
}

impl Fabric {
    pub fn new(client: Client) -> Self {
        Self { client, places: Mutex::default(), policies: Mutex::default(), turn: AtomicUsize::new(0) }
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    pub fn add(&self, address: Ipv4Addr, place: Place) {
        self.places.lock().insert(address, place);
    }

    pub fn remove(&self, address: Ipv4Addr, pod: &str) {
        let mut places = self.places.lock();
        if places.get(&address).is_some_and(|place| place.pod == pod) {
            places.remove(&address);
        }
    }

    pub fn place(&self, address: Ipv4Addr) -> Option<Place> {
        self.places.lock().get(&address).cloned()
    }

    pub fn is_taken(&self, address: Ipv4Addr) -> bool {
        self.places.lock().contains_key(&address)
    }

    /// The policy engine over the present namespaces, pods and policies.
    pub fn policies(&self) -> Arc<policy::Cluster> {
        let mut held = self.policies.lock();
        let mut newest = held.as_ref().map_or(0, |(version, _)| *version);
        if let Some((version, cluster)) = held.as_ref()
            && let Changes::Since(changes) = self.client.changes_since(*version)
        {
            newest = changes.iter().map(|c| c.resource_version).max().unwrap_or(newest);
            if !changes.iter().any(is_decisive) {
                let cluster = Arc::clone(cluster);
                *held = Some((newest, Arc::clone(&cluster)));
                return cluster;
            }
        }
        let mut cluster = policy::Cluster::default();
        for versions in DECISIVE {
            let items = versions.iter().map(|gvr| self.client.list(*gvr, None)).find(|items| !items.is_empty()).unwrap_or_default();
            for item in items {
                newest = newest.max(object::resource_version(&item));
                if versions[0] == gvr::PODS && matches!(item["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
                    continue;
                }
                match policy::from_resource(&item) {
                    Ok(Some(resource)) => cluster.add(resource),
                    Ok(None) => {}
                    Err(error) => tracing::warn!(%error, "an object that the policy engine cannot read is passed over"),
                }
            }
        }
        let cluster = Arc::new(cluster);
        *held = Some((newest, Arc::clone(&cluster)));
        cluster
    }

    /// What the policies say about a connection from a pod to an address and port.
    pub fn decide(&self, from: &str, to: Ipv4Addr, protocol: Protocol, port: u16) -> Option<policy::Decision> {
        let mut cluster = self.policies();
        let from = cluster.find(from)?;
        let to_place = self.place(to).map(|place| place.pod).filter(|pod| !pod.is_empty());
        let found = to_place.and_then(|pod| cluster.find(&pod)).or_else(|| cluster.find_ip(IpAddr::V4(to)));
        let to = match found {
            Some(index) => index,
            None => {
                let outside =
                    serde_json::json!({"kind": "ExternalEndpoint", "metadata": {"name": to.to_string()}, "spec": {"ip": to.to_string()}});
                let mut with = (*cluster).clone();
                with.add(policy::from_resource(&outside).ok()??);
                cluster = Arc::new(with);
                cluster.find(&to.to_string())?
            }
        };
        let protocol = if protocol == Protocol::Tcp { policy::Protocol::Tcp } else { policy::Protocol::Udp };
        Some(cluster.decide(from, to, protocol, port))
    }

    /// A connection from `from` (`namespace/name` of a pod; empty for a node, which no policy binds).
    pub fn dial(&self, from: &str, own: Ipv4Addr, address: Ipv4Addr, port: u16, protocol: Protocol) -> Result<Listener, Failure> {
        let own_place = || self.place(own).ok_or(Failure::Unreachable);
        let listening = |place: &Place, port| place.sockets.find(protocol, port).ok_or(Failure::Refused);
        if address.is_loopback() || address == own {
            return listening(&own_place()?, port);
        }
        let (address, port) = match self.service(own, address, port, protocol)? {
            Some(endpoint) => endpoint,
            None => (address, port),
        };
        if address == own {
            return listening(&own_place()?, port);
        }
        if !from.is_empty() && self.decide(from, address, protocol, port).is_some_and(|decision| !decision.allowed()) {
            return Err(Failure::TimedOut);
        }
        match self.place(address) {
            Some(place) => listening(&place, port),
            None if address.octets()[0] == 10 => Err(Failure::Unreachable),
            None => Err(Failure::TimedOut),
        }
    }

    /// Where a Service sends a connection: as kube-proxy's rules do. `None`: no Service has this address.
    fn service(&self, own: Ipv4Addr, address: Ipv4Addr, port: u16, protocol: Protocol) -> Result<Option<(Ipv4Addr, u16)>, Failure> {
        let text = address.to_string();
        let is_node = self.place(address).is_some_and(|place| place.pod.is_empty());
        for service in self.client.list(gvr::SERVICES, None) {
            let spec = &service["spec"];
            let is_own = spec["clusterIP"] == text || spec["clusterIPs"].as_array().is_some_and(|ips| ips.iter().any(|ip| *ip == text));
            let is_own = is_own || spec["externalIPs"].as_array().is_some_and(|ips| ips.iter().any(|ip| *ip == text));
            if !is_own && !is_node {
                continue;
            }
            let matching = spec["ports"].as_array().into_iter().flatten().find(|p| {
                let number = if is_own { &p["port"] } else { &p["nodePort"] };
                *number == port && p["protocol"].as_str().unwrap_or("TCP") == protocol.as_str()
            });
            match matching {
                Some(service_port) => {
                    let name = service_port["name"].as_str().unwrap_or_default();
                    let mut endpoints = self.endpoints(&service, name, protocol);
                    if endpoints.is_empty() {
                        return Err(Failure::Refused);
                    }
                    if is_own && spec["internalTrafficPolicy"] == "Local" {
                        // What is not on the client's node is not reached, and the packet is dropped.
                        let [a, b, c, _] = own.octets();
                        endpoints.retain(|(address, _)| address.octets()[..3] == [a, b, c]);
                        if endpoints.is_empty() {
                            return Err(Failure::TimedOut);
                        }
                    }
                    let turn = if spec["sessionAffinity"] == "ClientIP" {
                        usize::try_from(u32::from(own)).unwrap_or(0)
                    } else {
                        // As good as random, which is what the rules of a node ask for.
                        self.turn.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9) >> 7
                    };
                    return Ok(Some(endpoints[turn % endpoints.len()]));
                }
                // No rule for this port: the packet finds no way.
                None if is_own => return Err(Failure::TimedOut),
                None => {}
            }
        }
        Ok(None)
    }

    /// Ready addresses and ports behind one port of a Service.
    pub fn endpoints(&self, service: &Value, port_name: &str, protocol: Protocol) -> Vec<(Ipv4Addr, u16)> {
        let mut out = Vec::new();
        for slice in self.slices(service) {
            let port = slice["ports"].as_array().into_iter().flatten().find(|p| {
                p["name"].as_str().unwrap_or_default() == port_name && p["protocol"].as_str().unwrap_or("TCP") == protocol.as_str()
            });
            let Some(port) = port.and_then(|p| p["port"].as_u64()).and_then(|p| u16::try_from(p).ok()) else { continue };
            for endpoint in slice["endpoints"].as_array().into_iter().flatten().filter(|e| e["conditions"]["ready"] != false) {
                let addresses = endpoint["addresses"].as_array().into_iter().flatten();
                out.extend(addresses.filter_map(|a| a.as_str()?.parse().ok()).map(|a| (a, port)));
            }
        }
        out
    }

    pub fn slices(&self, service: &Value) -> Vec<Arc<Value>> {
        let name = object::name(service);
        let of = |slice: &Arc<Value>| slice["metadata"]["labels"]["kubernetes.io/service-name"] == name;
        self.client.list(gvr::ENDPOINT_SLICES, Some(object::namespace(service))).into_iter().filter(of).collect()
    }
}

/// A pod's `/etc/resolv.conf`.
#[derive(Debug, Clone)]
pub struct Resolver {
    /// Asks the cluster's DNS; else the node's, which knows nothing of the cluster.
    pub cluster: bool,
    pub nameserver: Ipv4Addr,
    pub search: Vec<String>,
    pub ndots: usize,
    /// `/etc/hosts`.
    pub hosts: BTreeMap<String, Ipv4Addr>,
}

/// The network as one pod sees it.
#[derive(Debug)]
pub struct PodNetwork {
    pub fabric: Arc<Fabric>,
    /// `namespace/name`; empty for a host-network pod, which no policy binds.
    pub pod: String,
    pub address: Ipv4Addr,
    pub sockets: Arc<Sockets>,
    pub resolver: Resolver,
}

impl Network for PodNetwork {
    fn resolve(&self, host: &str) -> Result<(String, Vec<Ipv4Addr>), Failure> {
        dns::resolve(self, host)
    }

    fn query(&self, name: &str, kind: dns::RecordType) -> Result<dns::Reply, Failure> {
        dns::query(self, name, kind)
    }

    fn search(&self) -> Vec<String> {
        self.resolver.search.clone()
    }

    fn dial(&self, address: Ipv4Addr, port: u16, protocol: Protocol) -> Result<Listener, Failure> {
        if address.is_loopback() || address == self.address {
            return self.sockets.find(protocol, port).ok_or(Failure::Refused);
        }
        self.fabric.dial(&self.pod, self.address, address, port, protocol)
    }

    fn sockets(&self) -> Arc<Sockets> {
        Arc::clone(&self.sockets)
    }

    fn address(&self) -> Ipv4Addr {
        self.address
    }

    fn nameserver(&self) -> Ipv4Addr {
        self.resolver.nameserver
    }
}
