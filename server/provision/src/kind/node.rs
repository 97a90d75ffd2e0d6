//! One node's container, exactly as `kind create cluster` makes it (`pkg/cluster/internal/providers/docker/provision.go`), with the
//! limits that kind does not set.

use crate::{
    gpu::passage::{self, Passage},
    kind::{names, settings::NodeLimits},
};
use bollard::models::{
    ContainerCreateBody, DeviceRequest, EndpointIpamConfig, EndpointSettings, HostConfig, HostConfigCgroupnsModeEnum, NetworkingConfig,
    PortBinding, RestartPolicy, RestartPolicyNameEnum,
};
use std::collections::HashMap;

/// What one container depends on.
#[derive(Debug, Clone, PartialEq)]
pub struct NodePlan {
    /// Of the container, and its host name.
    pub name: String,
    pub image: String,
    pub network: String,
    /// In that network, so that it stays when the container starts again.
    pub address: String,
    pub labels: HashMap<String, String>,
    pub limits: NodeLimits,
    /// The port on 127.0.0.1 that leads to the API server; `None` for a worker.
    pub api_port: Option<u16>,
    pub host: HostTraits,
    pub gpus: Option<NodeGpus>,
}

/// GPUs of one node, and how Docker hands them over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeGpus {
    pub uuids: Vec<String>,
    pub passage: Passage,
}

/// What kind finds out about the host before it makes a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HostTraits {
    /// The daemon maps users: nodes must not be mapped.
    pub userns_remap: bool,
    /// Docker refuses a limit of more cores than there are.
    pub cores: Option<u16>,
    /// Storage on btrfs or ZFS needs the device mapper's folder.
    pub device_mapper: bool,
}

impl NodePlan {
    pub fn body(&self) -> ContainerCreateBody {
        let control_plane = self.api_port.is_some();
        let mut labels = self.labels.clone();
        labels.insert(names::KIND_ROLE.to_owned(), if control_plane { "control-plane" } else { "worker" }.to_owned());
        let mut binds = vec!["/lib/modules:/lib/modules:ro".to_owned()];
        if self.host.device_mapper {
            binds.push("/dev/mapper:/dev/mapper".to_owned());
        }
        let (mut device_requests, mut runtime) = (None, None);
        if let Some(gpus) = &self.gpus {
            labels.insert(names::GPUS.to_owned(), gpus.uuids.join(","));
            match &gpus.passage {
                Passage::Cdi => {
                    let names = gpus.uuids.iter().map(|uuid| passage::cdi_name(uuid)).collect();
                    device_requests =
                        Some(vec![DeviceRequest { driver: Some("cdi".to_owned()), device_ids: Some(names), ..DeviceRequest::default() }]);
                }
                Passage::Mounts(named) => {
                    binds.extend(gpus.uuids.iter().map(|uuid| passage::mount(uuid)));
                    runtime.clone_from(named);
                }
            }
        }
        let binding = |port: u16| PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some(port.to_string()) };
        let memory = i64::try_from(self.limits.memory).unwrap_or(i64::MAX);
        let endpoint = EndpointSettings {
            // The name by which nodes find the control plane stays when a claimed cluster's container is renamed.
            aliases: Some(vec![self.name.clone()]),
            ipam_config: Some(EndpointIpamConfig { ipv4_address: Some(self.address.clone()), ..EndpointIpamConfig::default() }),
            ..EndpointSettings::default()
        };
        ContainerCreateBody {
            hostname: Some(self.name.clone()),
            image: Some(self.image.clone()),
            tty: Some(true),
            env: control_plane.then(|| vec!["KUBECONFIG=/etc/kubernetes/admin.conf".to_owned()]),
            labels: Some(labels),
            volumes: Some(vec!["/var".to_owned()]),
            exposed_ports: control_plane.then(|| vec!["6443/tcp".to_owned()]),
            host_config: Some(HostConfig {
                privileged: Some(true),
                security_opt: Some(vec!["seccomp=unconfined".to_owned(), "apparmor=unconfined".to_owned()]),
                tmpfs: Some(["/tmp", "/run"].map(|path| (path.to_owned(), String::new())).into()),
                binds: Some(binds),
                device_requests,
                runtime,
                cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
                init: Some(false),
                // Docker would start it without what closes its egress; this engine does it with that.
                restart_policy: Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None }),
                network_mode: Some(self.network.clone()),
                port_bindings: self.api_port.map(|port| HashMap::from([("6443/tcp".to_owned(), Some(vec![binding(port)]))])),
                userns_mode: self.host.userns_remap.then(|| "host".to_owned()),
                memory: Some(memory),
                memory_swap: Some(memory),
                nano_cpus: Some(nanos(self.limits.cpus.min(self.host.cores.map_or(f64::MAX, f64::from)))),
                pids_limit: Some(i64::from(self.limits.pids)),
                ..HostConfig::default()
            }),
            networking_config: Some(NetworkingConfig { endpoints_config: Some(HashMap::from([(self.network.clone(), endpoint)])) }),
            ..ContainerCreateBody::default()
        }
    }
}

fn nanos(cpus: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "a count of cores that a machine can have")]
    let nanos = (cpus.clamp(0.1, 4096.0) * 1e9).round() as i64;
    nanos
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn plan() -> NodePlan {
        NodePlan {
            name: "cordon-a-control-plane".to_owned(),
            image: "cordon/node:v1.34.4".to_owned(),
            network: "cordon-a".to_owned(),
            address: "10.201.0.2".to_owned(),
            labels: HashMap::from([(names::KIND_CLUSTER.to_owned(), "cordon-a".to_owned())]),
            limits: NodeLimits { memory: 2 << 30, cpus: 1.5, pids: 4096 },
            api_port: Some(21_000),
            host: HostTraits::default(),
            gpus: None,
        }
    }

    /// The request's JSON, its keys in order.
    fn json(plan: &NodePlan) -> String {
        serde_json::to_string_pretty(&serde_json::to_value(plan.body()).unwrap()).unwrap()
    }

    #[test]
    fn a_control_plane_as_kind_makes_it() {
        expect![[r#"
            {
              "Env": [
                "KUBECONFIG=/etc/kubernetes/admin.conf"
              ],
              "ExposedPorts": {
                "6443/tcp": {}
              },
              "HostConfig": {
                "Binds": [
                  "/lib/modules:/lib/modules:ro"
                ],
                "CgroupnsMode": "private",
                "Init": false,
                "Memory": 2147483648,
                "MemorySwap": 2147483648,
                "NanoCpus": 1500000000,
                "NetworkMode": "cordon-a",
                "PidsLimit": 4096,
                "PortBindings": {
                  "6443/tcp": [
                    {
                      "HostIp": "127.0.0.1",
                      "HostPort": "21000"
                    }
                  ]
                },
                "Privileged": true,
                "RestartPolicy": {
                  "Name": "no"
                },
                "SecurityOpt": [
                  "seccomp=unconfined",
                  "apparmor=unconfined"
                ],
                "Tmpfs": {
                  "/run": "",
                  "/tmp": ""
                }
              },
              "Hostname": "cordon-a-control-plane",
              "Image": "cordon/node:v1.34.4",
              "Labels": {
                "io.x-k8s.kind.cluster": "cordon-a",
                "io.x-k8s.kind.role": "control-plane"
              },
              "NetworkingConfig": {
                "EndpointsConfig": {
                  "cordon-a": {
                    "Aliases": [
                      "cordon-a-control-plane"
                    ],
                    "IPAMConfig": {
                      "IPv4Address": "10.201.0.2"
                    }
                  }
                }
              },
              "Tty": true,
              "Volumes": {
                "/var": {}
              }
            }"#]]
        .assert_eq(&json(&plan()));
    }

    #[test]
    fn a_worker_has_no_port_and_no_kubeconfig() {
        let text = json(&NodePlan { api_port: None, ..plan() });
        for word in ["6443", "KUBECONFIG"] {
            assert!(!text.contains(word), "{word}");
        }
        assert!(text.contains(r#""io.x-k8s.kind.role": "worker""#));
    }

    #[test]
    fn gpus_come_by_cdi_or_by_mounts() {
        let with = |passage| Some(NodeGpus { uuids: vec!["GPU-a".to_owned(), "GPU-b".to_owned()], passage });
        let cdi = NodePlan { gpus: with(Passage::Cdi), ..plan() }.body();
        let request = cdi.host_config.unwrap().device_requests.unwrap().remove(0);
        assert_eq!(request.driver.as_deref(), Some("cdi"));
        assert_eq!(request.device_ids.unwrap(), ["nvidia.com/gpu=GPU-a", "nvidia.com/gpu=GPU-b"]);
        assert_eq!(cdi.labels.unwrap()[names::GPUS], "GPU-a,GPU-b");
        for runtime in [None, Some("nvidia".to_owned())] {
            let host = NodePlan { gpus: with(Passage::Mounts(runtime.clone())), ..plan() }.body().host_config.unwrap();
            assert_eq!((host.runtime, host.device_requests), (runtime, None));
            assert!(host.binds.unwrap().contains(&"/dev/null:/var/run/nvidia-container-devices/GPU-b".to_owned()));
        }
    }

    #[test]
    fn hosts_that_differ() {
        let host = HostTraits { userns_remap: true, device_mapper: true, cores: Some(1) };
        let text = json(&NodePlan { host, ..plan() });
        assert!(text.contains(r#""NanoCpus": 1000000000"#), "a host of one core takes no larger limit");
        assert!(text.contains(r#""UsernsMode": "host""#) && text.contains("/dev/mapper:/dev/mapper"));
    }
}
