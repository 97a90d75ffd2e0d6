//! NetworkPolicy: a list of namespaces, pods and policies in YAML.

use network_policy::{Cluster, Protocol};
use serde_json::Value;

pub fn run(input: &[u8]) {
    let Ok(objects) = serde_saphyr::from_str::<Vec<Value>>(&String::from_utf8_lossy(input)) else { return };
    for object in &objects {
        let _ = network_policy::validate(object);
    }
    let Ok(cluster) = Cluster::from_objects(&objects) else { return };
    let count = cluster.endpoints().len();
    for (protocol, port) in [(Protocol::Tcp, 80), (Protocol::Udp, 53), (Protocol::Sctp, u16::MAX)] {
        let matrix = cluster.matrix(protocol, port);
        for from in 0..count.min(8) {
            for to in 0..count.min(8) {
                let decided = cluster.decide(from, to, protocol, port).allowed();
                assert_eq!(matrix.allowed(from, to), decided, "matrix and decision agree on {from} to {to}, {port}");
            }
        }
    }
}
