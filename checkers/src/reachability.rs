//! Who can reach whom: computed from the objects, expected by the lab, confirmed by live connections.
//!
//! Controls: `reachability/<id of the expectation>`, each with the rule that decided.

use crate::{
    evidence::{Evidence, ProbeResult},
    scope::{Scope, is_running},
    spec::{Number, ProbeNeed, ProbeTarget},
    verdict::{Finding, Verdict},
};
use network_policy::{Cluster, Decision, Protocol};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reachability {
    pub groups: BTreeMap<String, Group>,
    pub expect: Vec<Expectation>,
}

/// Some pods, or an address outside, or everybody whom no other group holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Group {
    Pods(Scope),
    /// An address outside the cluster.
    Address(std::net::IpAddr),
    /// Every other pod with a network of its own, those of `kube-system` as well.
    Others(Others),
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Others {}

/// All cells between two groups on one port.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expectation {
    /// Short name, unique in the lab: part of the control.
    pub id: String,
    pub from: String,
    pub to: String,
    #[serde(default = "tcp")]
    pub protocol: String,
    pub port: Number,
    pub allowed: bool,
    /// A live connection must agree. Only TCP to pods can be tried.
    #[serde(default = "yes")]
    pub probe: bool,
}

fn tcp() -> String {
    "TCP".to_owned()
}

fn yes() -> bool {
    true
}

impl Reachability {
    /// Names that the lints must hold against each other.
    pub fn unknown_groups(&self) -> Vec<&str> {
        let named = self.expect.iter().flat_map(|e| [e.from.as_str(), e.to.as_str()]);
        named.filter(|name| !self.groups.contains_key(*name)).collect()
    }

    fn scope(&self, group: &str) -> Option<&Scope> {
        match self.groups.get(group)? {
            Group::Pods(scope) => Some(scope),
            _ => None,
        }
    }

    /// A live connection can only start in, and go to, pods that the lab names.
    fn probe(&self, expectation: &Expectation) -> Option<ProbeNeed> {
        let (from, to) = (self.scope(&expectation.from)?, self.scope(&expectation.to)?);
        (expectation.probe && expectation.protocol == "TCP").then(|| ProbeNeed {
            id: format!("reachability/{}", expectation.id),
            from: from.clone(),
            to: ProbeTarget::Pod(to.clone()),
            port: expectation.port.port(),
            path: None,
        })
    }

    pub(crate) fn probes(&self) -> Vec<ProbeNeed> {
        self.expect.iter().filter_map(|expectation| self.probe(expectation)).collect()
    }

    pub(crate) fn check(&self, evidence: &Evidence) -> Verdict {
        let live = |object: &&Value| object["kind"] != "Pod" || is_running(object);
        let mut cluster = match Cluster::from_objects(evidence.objects.iter().filter(live)) {
            Ok(cluster) => cluster,
            Err(error) => return Verdict::inconclusive("reachability/objects", error.to_string()),
        };
        let addresses = self.groups.values().filter_map(|group| match group {
            Group::Address(ip) => Some(*ip),
            _ => None,
        });
        for ip in addresses {
            let outside = serde_json::json!({"kind": "ExternalEndpoint", "spec": {"ip": ip}});
            if let Ok(Some(endpoint)) = network_policy::from_resource(&outside) {
                cluster.add(endpoint);
            }
        }
        let members: BTreeMap<&str, Vec<usize>> = self.groups.keys().map(|name| (name.as_str(), self.members(name, &cluster))).collect();
        let mut findings = Vec::new();
        let mut doubts = Vec::new();
        for expectation in &self.expect {
            let before = findings.len();
            self.judge(expectation, &cluster, &members, &mut findings);
            if findings.len() == before {
                doubts.extend(self.doubt(expectation, evidence));
            }
        }
        if findings.is_empty() && !doubts.is_empty() {
            return Verdict::inconclusive("reachability/probe", doubts.join("; "));
        }
        Verdict::of(findings)
    }

    fn members(&self, name: &str, cluster: &Cluster) -> Vec<usize> {
        let endpoints = cluster.endpoints();
        let in_scope = |scope: &Scope, index: usize| {
            let endpoint = &endpoints[index];
            endpoint.namespace == scope.namespace && scope.labels.iter().all(|(key, value)| endpoint.labels.get(key) == Some(value))
        };
        let all = 0..endpoints.len();
        match self.groups.get(name) {
            None => Vec::new(),
            Some(Group::Address(ip)) => cluster.find(&ip.to_string()).into_iter().collect(),
            Some(Group::Pods(scope)) => all.filter(|index| in_scope(scope, *index)).collect(),
            Some(Group::Others(_)) => {
                let named = |index: usize| self.groups.values().any(|group| matches!(group, Group::Pods(scope) if in_scope(scope, index)));
                all.filter(|index| !endpoints[*index].namespace.is_empty() && !endpoints[*index].host_network && !named(*index)).collect()
            }
        }
    }

    fn judge(&self, expectation: &Expectation, cluster: &Cluster, members: &BTreeMap<&str, Vec<usize>>, findings: &mut Vec<Finding>) {
        let control = format!("reachability/{}", expectation.id);
        let Ok(protocol) = expectation.protocol.parse::<Protocol>() else { return };
        let port = expectation.port.port();
        let none = Vec::new();
        let group = |name: &str| members.get(name).unwrap_or(&none);
        let (sources, destinations) = (group(&expectation.from), group(&expectation.to));
        for (name, found) in [(&expectation.from, sources), (&expectation.to, destinations)] {
            // Nobody else is there: nobody else gets in.
            if found.is_empty() && !matches!(self.groups.get(name), Some(Group::Others(_))) {
                findings.push(self.nobody(name));
                return;
            }
        }
        let matrix = cluster.matrix(protocol, port);
        let on = format!("{protocol}/{port}");
        for &from in sources {
            for &to in destinations.iter().filter(|to| **to != from) {
                if matrix.allowed(from, to) == expectation.allowed {
                    continue;
                }
                let decision = cluster.decide(from, to, protocol, port);
                let (source, destination) = (cluster.endpoints()[from].id(), cluster.endpoints()[to].id());
                let word = |allowed: bool| if allowed { "allowed" } else { "denied" };
                findings.push(Finding::new(
                    control.as_str(),
                    format!("Pod/{destination}"),
                    format!("{source} → {destination} {on}"),
                    format!("{} ({})", word(!expectation.allowed), decided(&decision)),
                    word(expectation.allowed),
                ));
            }
        }
    }

    /// The same for each expectation of the group, so that it is told once.
    fn nobody(&self, name: &str) -> Finding {
        let scope = self.scope(name);
        let object = scope.map_or_else(String::new, |scope| format!("Pod/{}", scope.namespace));
        let expected = scope.map_or_else(|| name.to_owned(), |scope| format!("running {}", scope.words()));
        Finding::new(format!("reachability-group/{name}"), object, "", format!("no pod of {name} runs"), expected)
    }

    /// Why the live connection does not confirm what the objects say, if it does not.
    fn doubt(&self, expectation: &Expectation, evidence: &Evidence) -> Option<String> {
        let need = self.probe(expectation)?;
        let Some(record) = evidence.probes.iter().find(|record| record.id == need.id) else {
            return Some(format!("{}: no live connection was tried", expectation.id));
        };
        let arrived = match &record.result {
            // A refusal came back from the pod: the policies let the packet through.
            ProbeResult::Connected { .. } | ProbeResult::Refused => true,
            ProbeResult::TimedOut => false,
            ProbeResult::NoSuchHost => return Some(format!("{}: {} has no address", expectation.id, record.host)),
            ProbeResult::Unknown { reason } => return Some(format!("{}: {reason}", expectation.id)),
        };
        (arrived != expectation.allowed).then(|| {
            // What the learner wrote is right, and the network does not do it.
            if let Some(why) = evidence.policies_not_enforced.as_ref().filter(|_| arrived) {
                return format!("{}: {why}", expectation.id);
            }
            let (objects, live) = if arrived { ("deny", "arrived") } else { ("allow", "timed out") };
            format!(
                "{}: the objects {objects} {} → {}:{}, and the live connection {live}",
                expectation.id, record.from, record.host, record.port
            )
        })
    }
}

/// The side that decided: a refusal if there is one.
fn decided(decision: &Decision) -> String {
    match (decision.egress.allows(), decision.ingress.allows()) {
        (false, false) => format!("egress {}; ingress {}", decision.egress, decision.ingress),
        (false, true) => format!("egress {}", decision.egress),
        (true, false) => format!("ingress {}", decision.ingress),
        (true, true) => format!("ingress {}; egress {}", decision.ingress, decision.egress),
    }
}
