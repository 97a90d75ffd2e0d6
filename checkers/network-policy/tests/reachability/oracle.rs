//! A second evaluator, which reads the objects as they are, asks one connection at a time and knows no order but the written one. On random
//! clusters the engine must agree with it, connection by connection and in its matrix.

use crate::{dice::Dice, yaml};
use network_policy::{Cluster, Protocol};
use serde_json::Value;
use std::net::IpAddr;

/// `Some`: decided.
type Answer = Option<bool>;

struct Connection<'a> {
    objects: &'a [Value],
    from: &'a Value,
    to: &'a Value,
    protocol: &'a str,
    port: u64,
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn selected(selector: &Value, label: impl Fn(&str) -> Option<String>) -> bool {
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let expressions = list(&selector["matchExpressions"]).iter().all(|expression| {
        let value = label(text(&expression["key"]));
        let among = value.as_ref().is_some_and(|value| list(&expression["values"]).iter().any(|v| v == value.as_str()));
        match text(&expression["operator"]) {
            "In" => among,
            "NotIn" => !among,
            "Exists" => value.is_some(),
            _ => value.is_none(),
        }
    });
    expressions && labels.into_iter().all(|(key, value)| label(key).as_deref() == value.as_str())
}

fn is_pod(endpoint: &Value) -> bool {
    endpoint["kind"] == "Pod" && endpoint["spec"]["hostNetwork"] != true
}

fn address(endpoint: &Value) -> IpAddr {
    let address = if endpoint["kind"] == "Pod" { &endpoint["status"]["podIP"] } else { &endpoint["spec"]["ip"] };
    text(address).parse().expect("an address")
}

fn within(cidr: &str, ip: IpAddr) -> bool {
    let (network, length) = cidr.split_once('/').expect("a length");
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => (format!("{:032b}", ip.to_bits()), 4),
        IpAddr::V6(ip) => (format!("{:0128b}", ip.to_bits()), 6),
    };
    let ((network, family), (ip, of)) = (bits(network.parse().expect("an address")), bits(ip));
    let length: usize = length.parse().expect("a number");
    family == of && network[..length] == ip[..length]
}

impl Connection<'_> {
    fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.objects.iter().filter(move |object| object["kind"] == kind)
    }

    fn is_in(&self, pod: &Value, namespaces: &Value) -> bool {
        let name = text(&pod["metadata"]["namespace"]);
        let object = self.of_kind("Namespace").find(|namespace| namespace["metadata"]["name"] == name);
        selected(namespaces, |key| match key {
            "kubernetes.io/metadata.name" => Some(name.to_owned()),
            _ => object.and_then(|object| object["metadata"]["labels"][key].as_str().map(str::to_owned)),
        })
    }

    fn is_selected(&self, pod: &Value, pods: &Value) -> bool {
        selected(pods, |key| pod["metadata"]["labels"][key].as_str().map(str::to_owned))
    }

    /// `namespaces`, or `pods` with two selectors.
    fn is_among(&self, pod: &Value, set: &Value) -> bool {
        let both = |set: &Value| self.is_in(pod, &set["namespaceSelector"]) && self.is_selected(pod, &set["podSelector"]);
        is_pod(pod) && if set["pods"].is_object() { both(&set["pods"]) } else { self.is_in(pod, &set["namespaces"]) }
    }

    fn is_peer(&self, policy: &Value, peer: &Value, other: &Value) -> bool {
        let fields: Vec<&str> = peer.as_object().expect("a peer").keys().map(String::as_str).collect();
        match fields.as_slice() {
            ["ipBlock"] => {
                let (block, ip) = (&peer["ipBlock"], address(other));
                // A source is seen with its address of the destination's family.
                let seen = std::ptr::eq(other, self.to) || ip.is_ipv4() == address(self.to).is_ipv4();
                seen && within(text(&block["cidr"]), ip) && !list(&block["except"]).iter().any(|except| within(text(except), ip))
            }
            ["networks"] => list(&peer["networks"]).iter().any(|cidr| within(text(cidr), address(other))),
            ["nodes"] => self.of_kind("Node").any(|node| {
                let here = list(&node["status"]["addresses"]).iter().any(|a| text(&a["address"]).parse() == Ok(address(other)));
                let host = other["spec"]["hostNetwork"] == true && other["spec"]["nodeName"] == node["metadata"]["name"];
                (here || host) && selected(&peer["nodes"], |key| node["metadata"]["labels"][key].as_str().map(str::to_owned))
            }),
            ["domainNames"] => {
                // The only name outside is out.example.com.
                other["kind"] == "ExternalEndpoint"
                    && list(&peer["domainNames"]).iter().any(|name| ["out.example.com", "*.example.com", "*.com."].contains(&text(name)))
            }
            ["namespaces"] | ["pods"] => self.is_among(other, peer),
            _ => {
                let own = || other["metadata"]["namespace"] == policy["metadata"]["namespace"];
                let namespaces = &peer["namespaceSelector"];
                is_pod(other)
                    && if namespaces.is_null() { own() } else { self.is_in(other, namespaces) }
                    && (peer["podSelector"].is_null() || self.is_selected(other, &peer["podSelector"]))
            }
        }
    }

    fn has_port(&self, name: &Value, protocol: &str) -> bool {
        let ports = list(&self.to["spec"]["containers"]).iter().flat_map(|container| list(&container["ports"]));
        // All of these ports are TCP ones.
        protocol == self.protocol
            && protocol == "TCP"
            && ports.into_iter().any(|port| port["name"] == *name && port["containerPort"] == self.port)
    }

    fn is_port(&self, port: &Value) -> bool {
        let protocol = |value: &Value| self.protocol == value.as_str().unwrap_or("TCP");
        let from_to =
            |first: &Value, last: &Value| (first.as_u64().expect("a number")..=last.as_u64().expect("a number")).contains(&self.port);
        for (key, name) in [("tcp", "TCP"), ("udp", "UDP")] {
            let port = &port[key]["destinationPort"];
            if port.is_object() {
                let ends = if port["number"].is_null() {
                    (&port["range"]["start"], &port["range"]["end"])
                } else {
                    (&port["number"], &port["number"])
                };
                return self.protocol == name && from_to(ends.0, ends.1);
            }
        }
        let (one, range) = (&port["portNumber"], &port["portRange"]);
        if one.is_object() {
            return protocol(&one["protocol"]) && from_to(&one["port"], &one["port"]);
        }
        if range.is_object() {
            return protocol(&range["protocol"]) && from_to(&range["start"], &range["end"]);
        }
        for key in ["namedPort", "destinationNamedPort"] {
            if port[key].is_string() {
                return self.has_port(&port[key], self.protocol);
            }
        }
        let named = |name: &Value| self.has_port(name, port["protocol"].as_str().unwrap_or("TCP"));
        match &port["port"] {
            Value::Null => protocol(&port["protocol"]),
            name @ Value::String(_) => named(name),
            first => protocol(&port["protocol"]) && from_to(first, if port["endPort"].is_null() { first } else { &port["endPort"] }),
        }
    }

    fn is_about(&self, policy: &Value, rule: &Value, peers: &str, other: &Value) -> bool {
        let ports = list(if rule["protocols"].is_null() { &rule["ports"] } else { &rule["protocols"] });
        (ports.is_empty() || ports.iter().any(|port| self.is_port(port)))
            && (list(&rule[peers]).is_empty() || list(&rule[peers]).iter().any(|peer| self.is_peer(policy, peer, other)))
    }

    fn tier(&self, baseline: bool, side: (&str, &str), subject: &Value, other: &Value) -> Answer {
        let in_tier = |policy: &&Value| match text(&policy["kind"]) {
            "AdminNetworkPolicy" => !baseline,
            "BaselineAdminNetworkPolicy" => baseline,
            "ClusterNetworkPolicy" => (policy["spec"]["tier"] == "Baseline") == baseline,
            _ => false,
        };
        let mut policies: Vec<&Value> = self.objects.iter().filter(in_tier).collect();
        policies.sort_by_key(|policy| {
            let last = policy["kind"] == "BaselineAdminNetworkPolicy";
            (last, policy["spec"]["priority"].as_u64(), text(&policy["kind"]), text(&policy["metadata"]["name"]))
        });
        for policy in policies.into_iter().filter(|policy| self.is_among(subject, &policy["spec"]["subject"])) {
            for rule in list(&policy["spec"][side.0]) {
                if self.is_about(policy, rule, side.1, other) {
                    return match text(&rule["action"]) {
                        "Pass" => None,
                        action => Some(action != "Deny"),
                    };
                }
            }
        }
        None
    }

    fn policies(&self, side: (&str, &str), subject: &Value, other: &Value) -> Answer {
        let mut answer = None;
        for policy in self.of_kind("NetworkPolicy") {
            let (spec, types) = (&policy["spec"], list(&policy["spec"]["policyTypes"]));
            let isolates = match types {
                [] => side.0 == "ingress" || !list(&spec["egress"]).is_empty(),
                types => types.iter().any(|kind| text(kind).eq_ignore_ascii_case(side.0)),
            };
            let here = policy["metadata"]["namespace"] == subject["metadata"]["namespace"];
            if here && isolates && self.is_selected(subject, &spec["podSelector"]) {
                let allows = list(&spec[side.0]).iter().any(|rule| self.is_about(policy, rule, side.1, other));
                answer = Some(answer.unwrap_or(false) || allows);
            }
        }
        answer
    }

    fn side(&self, side: (&str, &str), subject: &Value, other: &Value) -> bool {
        if !is_pod(subject) {
            return true;
        }
        let host = |pod: &Value| pod["spec"]["hostNetwork"] == true;
        let own_node = (host(subject) || host(other)) && subject["spec"]["nodeName"] == other["spec"]["nodeName"];
        let policies = || if own_node { None } else { self.policies(side, subject, other) };
        let tier = |baseline| self.tier(baseline, side, subject, other);
        tier(false).or_else(policies).or_else(|| tier(true)).unwrap_or(true)
    }

    fn allowed(&self) -> bool {
        self.side(("egress", "to"), self.from, self.to) && self.side(("ingress", "from"), self.to, self.from)
    }
}

#[test]
fn engine_and_matrix_say_what_the_objects_say() {
    let (mut denied, mut allowed, mut administrators) = (0, 0, 0);
    for seed in 0..200 {
        let text = Dice(seed).cluster();
        let objects = yaml(&text);
        let cluster = Cluster::from_objects(&objects).expect("readable");
        let ends: Vec<&Value> = objects.iter().filter(|object| object["kind"] == "Pod" || object["kind"] == "ExternalEndpoint").collect();
        assert_eq!(ends.len(), cluster.endpoints().len());
        for (protocol, port) in [(Protocol::Tcp, 80), (Protocol::Tcp, 81), (Protocol::Udp, 80)] {
            let matrix = cluster.matrix(protocol, port);
            for from in 0..ends.len() {
                for to in 0..ends.len() {
                    let decision = cluster.decide(from, to, protocol, port);
                    *if decision.allowed() { &mut allowed } else { &mut denied } += 1;
                    administrators += usize::from(decision.to_string().contains("dmin") && !decision.allowed());
                    let connection =
                        Connection { objects: &objects, from: ends[from], to: ends[to], protocol: protocol.as_str(), port: port.into() };
                    let want = from == to || connection.allowed();
                    let ids = (cluster.endpoints()[from].id(), cluster.endpoints()[to].id());
                    assert_eq!(decision.allowed(), want, "seed {seed} {protocol}/{port} {ids:?} {decision}\n{text}");
                    assert_eq!(matrix.allowed(from, to), want, "matrix: seed {seed} {protocol}/{port} {ids:?} {decision}\n{text}");
                }
            }
        }
    }
    assert!(denied > 5000 && allowed > 5000 && administrators > 2000, "the dice are loaded: {denied}, {allowed}, {administrators}");
}
