//! What kubeadm is told, as text: the configuration that kind writes, with what makes a cluster for a lab faster.
//!
//! kind's own template is `pkg/cluster/internal/kubeadm/config.go`; the shape of `v1beta4` is on
//! <https://kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta4/>. All supported minors read it.

use std::fmt::Write as _;

/// Where the files of the guard lie in the control plane's node.
pub const GUARD_FOLDER: &str = "/etc/kubernetes/cordon";

/// Minors of Kubernetes that this configuration was written for.
pub const MINORS: std::ops::RangeInclusive<u32> = 33..=35;

/// What one node's configuration depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kubeadm<'a> {
    /// As `/kind/version` says: `v1.34.4`.
    pub version: &'a str,
    pub cluster: &'a str,
    /// Where nodes of the cluster reach its API server.
    pub control_plane: &'a str,
    /// Name of the container.
    pub host_name: &'a str,
    /// Name of the node in Kubernetes.
    pub node: &'a str,
    /// Address in the cluster's Docker network.
    pub address: &'a str,
    /// `abcdef.0123456789abcdef`, new for each cluster.
    pub token: &'a str,
    /// A control plane that carries pods too, as on a cluster of a single node.
    pub schedulable: bool,
    /// Whether the API server reads the guard's files in [`GUARD_FOLDER`].
    pub guarded: bool,
}

/// `v1.34.4` → 34. `Err`: why this engine does not take such a node.
pub fn minor(version: &str) -> Result<u32, String> {
    let parsed = version.trim().strip_prefix("v1.").and_then(|rest| rest.split('.').next()?.parse().ok());
    match parsed {
        Some(minor) if MINORS.contains(&minor) => Ok(minor),
        _ => Err(format!(
            "the node image holds Kubernetes {}, and this engine knows 1.{} to 1.{}",
            version.trim(),
            MINORS.start(),
            MINORS.end()
        )),
    }
}

/// A join token in kubeadm's form, from 128 bits of which 88 are used.
pub fn token(random: [u64; 2]) -> String {
    const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut bits = u128::from(random[0]) << 64 | u128::from(random[1]);
    let mut take = |count: usize| {
        (0..count)
            .map(|_| {
                let letter = usize::try_from(bits % 36).unwrap_or_default();
                bits /= 36;
                char::from(LETTERS[letter])
            })
            .collect::<String>()
    };
    let (public, secret) = (take(6), take(16));
    format!("{public}.{secret}")
}

impl Kubeadm<'_> {
    /// For `kubeadm init` on the control plane. A paused node is not a lost one, so that nobody misses it for a day.
    pub fn init(&self) -> String {
        let mut text = String::new();
        let (flags, mount) = if self.guarded {
            (
                format!("  - {{name: authorization-config, value: {GUARD_FOLDER}/authorization.yaml}}\n"),
                format!("  extraVolumes:\n  - {{name: cordon, hostPath: {GUARD_FOLDER}, mountPath: {GUARD_FOLDER}, readOnly: true}}\n"),
            )
        } else {
            Default::default()
        };
        let _ = write!(
            text,
            "apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: {version}
clusterName: {cluster}
controlPlaneEndpoint: {control_plane}:6443
encryptionAlgorithm: ECDSA-P256
apiServer:
  certSANs: [localhost, 127.0.0.1]
  extraArgs:
  - {{name: runtime-config, value: \"\"}}
{flags}{mount}controllerManager:
  extraArgs:
  - {{name: enable-hostpath-provisioner, value: \"true\"}}
  - {{name: leader-elect, value: \"false\"}}
  - {{name: node-monitor-grace-period, value: 24h}}
scheduler:
  extraArgs:
  - {{name: leader-elect, value: \"false\"}}
etcd:
  local:
    extraArgs:
    - {{name: unsafe-no-fsync, value: \"true\"}}
networking:
  podSubnet: 10.244.0.0/16
  serviceSubnet: 10.96.0.0/16
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
bootstrapTokens:
- {{token: {token}}}
localAPIEndpoint: {{advertiseAddress: {address}, bindPort: 6443}}
",
            version = self.version.trim(),
            cluster = self.cluster,
            control_plane = self.control_plane,
            token = self.token,
            address = self.address,
        );
        self.registration(&mut text, self.schedulable);
        text.push_str("skipPhases: [preflight]\n---\n");
        text.push_str(KUBELET);
        if self.guarded {
            text.push_str(BY_CERTIFICATE);
        }
        text.push_str("---\n");
        text.push_str(KUBE_PROXY);
        text
    }

    /// For `kubeadm join` on a worker.
    pub fn join(&self) -> String {
        let mut text = format!(
            "apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
discovery:
  bootstrapToken: {{apiServerEndpoint: \"{}:6443\", token: {}, unsafeSkipCAVerification: true}}
",
            self.control_plane, self.token
        );
        self.registration(&mut text, false);
        text.push_str("skipPhases: [preflight]\n");
        text
    }

    fn registration(&self, text: &mut String, no_taints: bool) {
        let _ = write!(
            text,
            "nodeRegistration:
  name: {node}
  criSocket: unix:///run/containerd/containerd.sock
{taints}  kubeletExtraArgs:
  - {{name: node-ip, value: {address}}}
  - {{name: provider-id, value: kind://docker/{cluster}/{host_name}}}
",
            node = self.node,
            taints = if no_taints { "  taints: []\n" } else { "" },
            address = self.address,
            cluster = self.cluster,
            host_name = self.host_name,
        );
    }
}

/// The host's disk is not the node's to tidy: no eviction by disk, no collection of images.
const KUBELET: &str = "apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: systemd
cgroupRoot: /kubelet
failSwapOn: false
imageGCHighThresholdPercent: 100
evictionHard: {nodefs.available: 0%, nodefs.inodesFree: 0%, imagefs.available: 0%}
";

/// A learner's webhook may change the question that a kubelet asks about a token and its rights, and cannot forge a certificate.
const BY_CERTIFICATE: &str = "authentication: {webhook: {enabled: false}}
";

/// The host's connection tracking is not the node's to set.
const KUBE_PROXY: &str = "apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
iptables: {minSyncPeriod: 1s}
conntrack: {maxPerCore: 0}
";

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn example() -> Kubeadm<'static> {
        Kubeadm {
            version: "v1.34.4\n",
            cluster: "cordon-a",
            control_plane: "cordon-a-control-plane",
            host_name: "cordon-a-control-plane",
            node: "gpu-node",
            address: "10.201.0.2",
            token: "abcdef.0123456789abcdef",
            schedulable: true,
            guarded: true,
        }
    }

    #[test]
    fn the_control_plane() {
        expect![[r#"
            apiVersion: kubeadm.k8s.io/v1beta4
            kind: ClusterConfiguration
            kubernetesVersion: v1.34.4
            clusterName: cordon-a
            controlPlaneEndpoint: cordon-a-control-plane:6443
            encryptionAlgorithm: ECDSA-P256
            apiServer:
              certSANs: [localhost, 127.0.0.1]
              extraArgs:
              - {name: runtime-config, value: ""}
              - {name: authorization-config, value: /etc/kubernetes/cordon/authorization.yaml}
              extraVolumes:
              - {name: cordon, hostPath: /etc/kubernetes/cordon, mountPath: /etc/kubernetes/cordon, readOnly: true}
            controllerManager:
              extraArgs:
              - {name: enable-hostpath-provisioner, value: "true"}
              - {name: leader-elect, value: "false"}
              - {name: node-monitor-grace-period, value: 24h}
            scheduler:
              extraArgs:
              - {name: leader-elect, value: "false"}
            etcd:
              local:
                extraArgs:
                - {name: unsafe-no-fsync, value: "true"}
            networking:
              podSubnet: 10.244.0.0/16
              serviceSubnet: 10.96.0.0/16
            ---
            apiVersion: kubeadm.k8s.io/v1beta4
            kind: InitConfiguration
            bootstrapTokens:
            - {token: abcdef.0123456789abcdef}
            localAPIEndpoint: {advertiseAddress: 10.201.0.2, bindPort: 6443}
            nodeRegistration:
              name: gpu-node
              criSocket: unix:///run/containerd/containerd.sock
              taints: []
              kubeletExtraArgs:
              - {name: node-ip, value: 10.201.0.2}
              - {name: provider-id, value: kind://docker/cordon-a/cordon-a-control-plane}
            skipPhases: [preflight]
            ---
            apiVersion: kubelet.config.k8s.io/v1beta1
            kind: KubeletConfiguration
            cgroupDriver: systemd
            cgroupRoot: /kubelet
            failSwapOn: false
            imageGCHighThresholdPercent: 100
            evictionHard: {nodefs.available: 0%, nodefs.inodesFree: 0%, imagefs.available: 0%}
            authentication: {webhook: {enabled: false}}
            ---
            apiVersion: kubeproxy.config.k8s.io/v1alpha1
            kind: KubeProxyConfiguration
            mode: iptables
            iptables: {minSyncPeriod: 1s}
            conntrack: {maxPerCore: 0}
        "#]]
        .assert_eq(&example().init());
    }

    #[test]
    fn a_worker() {
        let worker = Kubeadm { host_name: "cordon-a-worker", node: "cpu-node", address: "10.201.0.3", ..example() };
        expect![[r#"
            apiVersion: kubeadm.k8s.io/v1beta4
            kind: JoinConfiguration
            discovery:
              bootstrapToken: {apiServerEndpoint: "cordon-a-control-plane:6443", token: abcdef.0123456789abcdef, unsafeSkipCAVerification: true}
            nodeRegistration:
              name: cpu-node
              criSocket: unix:///run/containerd/containerd.sock
              kubeletExtraArgs:
              - {name: node-ip, value: 10.201.0.3}
              - {name: provider-id, value: kind://docker/cordon-a/cordon-a-worker}
            skipPhases: [preflight]
        "#]].assert_eq(&worker.join());
    }

    #[test]
    fn what_depends_on_the_plan() {
        let plain = Kubeadm { guarded: false, schedulable: false, ..example() }.init();
        for word in ["authorization-config", "extraVolumes", "taints", "webhook"] {
            assert!(!plain.contains(word), "{word}");
            assert!(example().init().contains(word), "{word}");
        }
    }

    #[test]
    fn every_document_is_yaml() {
        for text in [example().init(), example().join()] {
            for document in text.split("---\n") {
                serde_saphyr::from_str::<serde_json::Value>(document).unwrap();
            }
        }
    }

    #[test]
    fn minors() {
        for (version, expected) in [("v1.34.4\n", Some(34)), ("v1.33.0", Some(33)), ("v1.35.1+x", Some(35))] {
            assert_eq!(minor(version).ok(), expected, "{version}");
        }
        for version in ["v1.32.9", "v1.36.0", "v2.34.0", "1.34", "", "v1.x"] {
            assert!(minor(version).unwrap_err().contains("this engine knows 1.33 to 1.35"), "{version}");
        }
    }

    #[test]
    fn tokens_have_the_form_of_kubeadm() {
        for random in [[0, 0], [u64::MAX, u64::MAX], [1, 2]] {
            let token = token(random);
            let (public, secret) = token.split_once('.').unwrap();
            assert_eq!((public.len(), secret.len()), (6, 16));
            assert!(token.bytes().all(|b| b == b'.' || b.is_ascii_lowercase() || b.is_ascii_digit()), "{token}");
        }
        assert_ne!(token([1, 2]), token([2, 1]));
    }
}
