//! What leaves a learner's network: nothing but what the node's containerd fetches, unless the operator opens it.
//!
//! ```text
//! pod, Service, NodePort ──► FORWARD ─┐
//! API server, kubelet ─────► OUTPUT ──┴─► POSTROUTING, where Services are resolved: own subnet and pods pass,
//!                                         containerd passes (it carries the group), and everything else is dropped
//! names ──► Docker's resolver: containerd alone is answered, so that no name carries words out
//! ```
//!
//! The rules are in the node's own network namespace, which learners do not reach; there are none on the host. It is not enough to look
//! at what pods send: through a Service without a selector a pod reaches any address, and the API server and the kubelet call what
//! webhooks, `pods/proxy` and probes name.

use crate::kind::{
    docker::{DockerError, Engine},
    settings::KindSettings,
    start::PODS,
};
use std::collections::BTreeMap;

/// A group of every Debian, which the node image is, that no other process of a node is in.
const PULLS: &str = "proxy";

/// Files for a node before it starts.
pub fn files() -> BTreeMap<String, (String, u32)> {
    let path = "/etc/systemd/system/containerd.service.d/10-cordon.conf".to_owned();
    BTreeMap::from([(path, (format!("[Service]\nSupplementaryGroups={PULLS}\n"), 0o644))])
}

/// Tells a worker where its control plane is, since it will not be able to ask.
pub async fn name(engine: &Engine, container: &str, (control_plane, address): (&str, &str)) -> Result<(), DockerError> {
    let script = r#"grep -qw "$1" /etc/hosts || echo "$2 $1" >> /etc/hosts"#;
    engine.run(container, &["sh", "-c", script, "name", control_plane, address], b"").await.map(drop)
}

/// Closes what is to be closed. The same again changes nothing; a container that has started again has lost all of it.
pub async fn close(engine: &Engine, container: &str, settings: &KindSettings) -> Result<(), DockerError> {
    if settings.egress {
        return Ok(());
    }
    // Where nodes may not fetch images, nobody carries the group.
    let pulls = if settings.pull { format!("-m owner --gid-owner {PULLS} --suppl-groups") } else { String::new() };
    let script = format!(
        r#"set -e
name=$(sed -n 's#.*server: https://\([^:/]*\):.*#\1#p' /etc/kubernetes/kubelet.conf)
if ! grep -qw "$name" /etc/hosts; then
  address=$(getent ahostsv4 "$name" | {{ read -r first _; echo "$first"; }})
  echo "$address $name" >> /etc/hosts
fi
gateway=$(ip -4 route show default | awk '{{print $3; exit}}')
subnet=$(ip -4 route show dev eth0 scope link | awk '{{print $1; exit}}')
add() {{ iptables -w -t mangle -C "$@" 2>/dev/null || iptables -w -t mangle -A "$@"; }}
pulls="{pulls}"
add PREROUTING ! -i eth0 -d "$gateway" -m conntrack --ctstate NEW -j DROP
for chain in OUTPUT POSTROUTING; do iptables -w -t mangle -N CORDON-$chain 2>/dev/null || iptables -w -t mangle -F CORDON-$chain; done
[ -z "$pulls" ] || add CORDON-OUTPUT $pulls -j RETURN
add CORDON-OUTPUT -j DROP
add CORDON-POSTROUTING -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN
add CORDON-POSTROUTING -d "$gateway" -j DROP
add CORDON-POSTROUTING -d 169.254.0.0/16 -j DROP
add CORDON-POSTROUTING -d "$subnet" -j RETURN
add CORDON-POSTROUTING -d {PODS} -j RETURN
if [ -n "$pulls" ]; then
  add CORDON-POSTROUTING $pulls -j RETURN
  # Docker's resolver asks these from in here where they are not on the host itself.
  for server in $(sed -n 's/^# ExtServers: \[\(.*\)\].*/\1/p' /etc/resolv.conf | grep -oE '(^|[ ,])[0-9]+(\.[0-9]+){{3}}'); do
    for protocol in tcp udp; do
      add CORDON-POSTROUTING -d "$server" -p $protocol --dport 53 -m owner --uid-owner 0 -j RETURN
    done
  done
fi
add CORDON-POSTROUTING -j DROP
for protocol in tcp udp; do
  add OUTPUT -d "$gateway" -p $protocol --dport 53 -j CORDON-OUTPUT
  add OUTPUT -d 127.0.0.11 -p $protocol -j CORDON-OUTPUT
done
add POSTROUTING -o eth0 -j CORDON-POSTROUTING
"#
    );
    engine.run(container, &["sh", "-c", &script], b"").await.map(drop)
}
