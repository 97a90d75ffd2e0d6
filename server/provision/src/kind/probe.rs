//! Reachability by real connections: a process in the pod's own network namespace resolves the name by the pod's own DNS and
//! connects. It needs nothing of the pod's image, which may hold no shell.

use crate::{
    contract::{Probe, ProbeOutcome},
    kind::{api::Api, cluster, docker::Engine, names::Names, objects::text},
};
use serde_json::Value;
use std::net::Ipv4Addr;

/// The tenth address of the Services' range, as kubeadm gives it to CoreDNS.
const CLUSTER_DNS: &str = "10.96.0.10";

/// Prints one word, and for HTTP below it what the other side answered. Arguments: the pod's address, host, port, path or `-`,
/// namespace, DNS server or `-`.
const SCRIPT: &str = r#"
ip=$1 host=$2 port=$3 path=$4 namespace=$5 dns=$6
enter=
for file in /run/netns/*; do
  if nsenter --net="$file" ip -4 -o addr show 2>/dev/null | grep -qF " $ip/"; then enter=$file; break; fi
done
if [ -z "$enter" ]; then
  if ip -4 -o addr show | grep -qF " $ip/"; then enter=/proc/1/ns/net; else echo unknown; exit; fi
fi
export host port path namespace dns
exec nsenter --net="$enter" unshare --mount bash -c '
if [ "$dns" != - ]; then
  file=$(mktemp)
  printf "nameserver %s\nsearch %s.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5 timeout:1 attempts:2\n" \
    "$dns" "$namespace" > "$file"
  mount --bind "$file" /etc/resolv.conf
  rm -f "$file"
fi
address=$(timeout 5 getent ahostsv4 "$host" | { read -r first _; echo "$first"; })
if [ -z "$address" ]; then echo nosuchhost; exit; fi
said=$(timeout 3 bash -c "exec 3<>/dev/tcp/$address/$port" 2>&1)
case $? in
  0) echo connected;;
  124) echo timedout; exit;;
  *) case $said in *refused*) echo refused;; *) echo timedout;; esac; exit;;
esac
if [ "$path" != - ]; then
  timeout 5 bash -c "exec 3<>/dev/tcp/$address/$port
    printf \"GET %s HTTP/1.0\\r\\nHost: %s\\r\\nConnection: close\\r\\n\\r\\n\" \"\$path\" \"\$host\" >&3; head -c 4096 <&3"
fi
'
"#;

/// Never fails: what could not be looked at is `Unknown`, with the reason.
pub async fn run(api: &Api, engine: &Engine, names: &Names, probe: &Probe) -> ProbeOutcome {
    let unknown = |reason: String| ProbeOutcome::Unknown { reason };
    if !is_name(&probe.from_namespace) || !is_name(&probe.from_pod) || !is_name(&probe.to_host) {
        return unknown("that is no name of a namespace, pod or host".to_owned());
    }
    let pod = match api.get(&format!("/api/v1/namespaces/{}/pods/{}", probe.from_namespace, probe.from_pod)).await {
        Ok(pod) => pod,
        Err(error) => return unknown(error.to_string()),
    };
    let address = text(&pod, "/status/podIP");
    if text(&pod, "/status/phase") != "Running" || address.parse::<Ipv4Addr>().is_err() {
        return unknown(format!("pod {}/{} does not run", probe.from_namespace, probe.from_pod));
    }
    let node = match api.get(&format!("/api/v1/nodes/{}", text(&pod, "/spec/nodeName"))).await {
        Ok(node) => node,
        Err(error) => return unknown(error.to_string()),
    };
    let own = match cluster::nodes(engine, names).await {
        Ok(nodes) => nodes.into_iter().map(|node| node.name).collect::<Vec<_>>(),
        Err(error) => return unknown(error.to_string()),
    };
    let Some(node) = container(names, text(&node, "/spec/providerID"), &own) else {
        return unknown(format!("the node {} is none of this cluster's", text(&pod, "/spec/nodeName")));
    };
    let port = probe.to_port.to_string();
    let path = probe.http_path.as_deref().unwrap_or("-");
    let command = ["bash", "-c", SCRIPT, "probe", address, &probe.to_host, &port, path, &probe.from_namespace, dns(&pod)];
    match engine.exec(&node, &command, b"").await {
        Ok(printed) => outcome(&printed.stdout, probe.http_path.is_some()).unwrap_or_else(|| unknown(printed.stderr)),
        Err(error) => unknown(error.to_string()),
    }
}

/// The DNS that the kubelet gives the pod; `-` where it is the node's own.
fn dns(pod: &Value) -> &'static str {
    let on_host = pod["spec"]["hostNetwork"] == true;
    match text(pod, "/spec/dnsPolicy") {
        "Default" | "None" => "-",
        "ClusterFirst" | "" if on_host => "-",
        _ => CLUSTER_DNS,
    }
}

/// The container of a node among those of the cluster, from its `kind://docker/<cluster>/<name>`. A claimed control plane has another name
/// than it began with. A learner may make nodes that name anything.
fn container(names: &Names, provider: &str, own: &[String]) -> Option<String> {
    match provider.rsplit('/').next() {
        Some(name) if !name.is_empty() && !name.ends_with("-control-plane") => own.iter().find(|own| *own == name).cloned(),
        _ => Some(names.control_plane()),
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= 253 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
}

/// Reads what the script printed.
fn outcome(printed: &str, http: bool) -> Option<ProbeOutcome> {
    let (word, rest) = printed.split_once('\n').unwrap_or((printed, ""));
    match word.trim() {
        "connected" => {
            let (head, body) = rest.split_once("\r\n\r\n").unwrap_or((rest, ""));
            let status = head.strip_prefix("HTTP/").and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
            Some(ProbeOutcome::Connected { status: status.filter(|_| http), body: if http { body.to_owned() } else { String::new() } })
        }
        "nosuchhost" => Some(ProbeOutcome::NoSuchHost),
        "refused" => Some(ProbeOutcome::Refused),
        "timedout" => Some(ProbeOutcome::TimedOut),
        "unknown" => Some(ProbeOutcome::Unknown { reason: "the pod's network namespace is not on its node".to_owned() }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_script_prints() {
        let connected = |status, body: &str| Some(ProbeOutcome::Connected { status, body: body.to_owned() });
        let rows = [
            ("connected\n", false, connected(None, "")),
            ("connected\nHTTP/1.1 200 OK\r\nServer: x\r\n\r\nhello\n", true, connected(Some(200), "hello\n")),
            ("connected\nHTTP/1.0 404 Not Found\r\n\r\n", true, connected(Some(404), "")),
            ("connected\nSSH-2.0-x", true, connected(None, "")),
            ("connected\n", true, connected(None, "")),
            ("nosuchhost\n", true, Some(ProbeOutcome::NoSuchHost)),
            ("refused\n", false, Some(ProbeOutcome::Refused)),
            ("timedout", false, Some(ProbeOutcome::TimedOut)),
            ("", false, None),
            ("bash: nsenter: command not found\n", false, None),
        ];
        for (printed, http, expected) in rows {
            assert_eq!(outcome(printed, http), expected, "{printed:?}");
        }
    }

    #[test]
    fn nodes_and_resolvers() {
        let names = Names::new("cordon", "a").unwrap();
        for (provider, expected) in [
            ("kind://docker/cordon-a/cordon-a-control-plane", Some("cordon-a-control-plane")),
            ("kind://docker/cordon-pool-1/cordon-pool-1-control-plane", Some("cordon-a-control-plane")),
            ("kind://docker/cordon-a/cordon-a-worker2", Some("cordon-a-worker2")),
            ("kind://docker/cordon-b/cordon-b-worker2", None),
            ("", Some("cordon-a-control-plane")),
        ] {
            let own = ["cordon-a-control-plane".to_owned(), "cordon-a-worker2".to_owned()];
            assert_eq!(container(&names, provider, &own).as_deref(), expected, "{provider}");
        }
        for (spec, expected) in [
            (json!({}), CLUSTER_DNS),
            (json!({"dnsPolicy": "ClusterFirst"}), CLUSTER_DNS),
            (json!({"dnsPolicy": "ClusterFirst", "hostNetwork": true}), "-"),
            (json!({"dnsPolicy": "ClusterFirstWithHostNet", "hostNetwork": true}), CLUSTER_DNS),
            (json!({"dnsPolicy": "Default"}), "-"),
        ] {
            assert_eq!(dns(&json!({"spec": spec})), expected, "{spec}");
        }
        for (name, good) in [("web.ml", true), ("10.0.0.1", true), ("", false), ("a;b", false), ("$(id)", false), ("a b", false)] {
            assert_eq!(is_name(name), good, "{name}");
        }
    }
}
