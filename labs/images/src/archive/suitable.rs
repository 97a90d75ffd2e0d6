//! Which images of the catalogue cannot be made for a real cluster, and why.

use crate::catalogue::Image;

/// What a kind node brings with it, as the real thing.
const OF_THE_NODE: &[&str] = &[
    "coredns",
    "etcd",
    "kindnetd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "local-path-provisioner",
    "pause",
];

/// Why there is no archive of this image; `None` where there is one.
pub fn unsuitable(image: &Image) -> Option<&'static str> {
    if OF_THE_NODE.contains(&image.name.as_str()) {
        return Some("the node image brings the real one");
    }
    match image.behaviour.as_str() {
        "kyverno" | "gatekeeper" => {
            Some("its controllers work through the API server, which the program in the images does not do; use the real image")
        }
        "prometheus" => Some("the program in the images keeps no time series; use the real image"),
        _ => None,
    }
}
