//! From nothing to a cluster: what `kind create cluster` does, with the waits laid side by side.
//!
//! ```text
//! image ─► network ─► node ─► systemd ─► kubeadm init ────────────────────────────────┐
//!                                             └─► API answers ─► pod network ─► storage ─┴─► workers ─► ready
//! ```

use crate::{
    contract::{ClusterSpec, ProvisionError},
    kind::{
        api::Api,
        docker::{DockerError, Engine},
        egress,
        gpus::{self, Allocation, Gpus},
        guard, images,
        kubeadm::{self, Kubeadm},
        lab_images,
        names::{self, Names},
        node::{HostTraits, NodePlan},
        objects::{self, Places, text},
        settings::KindSettings,
        stage::{self, StageError, Stages},
        subnet,
    },
};
use futures::future::{BoxFuture, FutureExt, try_join_all};
use ipnet::Ipv4Net;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Pods of every cluster live here; clusters do not see each other.
pub const PODS: &str = "10.244.0.0/16";

/// How often another subnet or port is tried where somebody was faster.
const TRIES: u64 = 16;

/// Lines by which a node says that systemd is up: of cgroup v2 by systemd's version, of cgroup v1 by the entrypoint.
const SYSTEMD_IS_UP: &[&str] = &["Multi-User System", "multi-user.target", "detected cgroup v1"];

/// A start under way.
#[derive(Debug)]
pub struct Start<'a> {
    pub engine: &'a Engine,
    pub settings: &'a KindSettings,
    pub host: HostTraits,
    pub names: &'a Names,
    pub spec: &'a ClusterSpec,
    pub stages: &'a Stages,
    /// On everything that this start makes.
    pub start: &'a str,
    pub pool: bool,
    pub gpus: &'a Gpus,
    pub allocation: &'a Allocation,
}

/// One node of the plan, before and after its container exists.
#[derive(Debug, Clone)]
struct Node {
    container: String,
    /// In Kubernetes.
    name: String,
    labels: BTreeMap<String, String>,
    address: String,
    /// Its number in the lab's list.
    index: usize,
    /// Simulated ones.
    gpus: Vec<::images::gpu::Gpu>,
}

impl Start<'_> {
    pub async fn run(&self) -> Result<Api, ProvisionError> {
        let stages = self.stages;
        let image = stages.run(stage::IMAGE, async { images::ensure(self.engine, self.settings, &stages.edge).await }).await?;
        let mut nodes = self.plan();
        let subnet = stages.whole(stage::NETWORK, self.network()).await?;
        // The first address is the gateway's.
        for (node, address) in nodes.iter_mut().zip(subnet.hosts().skip(1)) {
            node.address = address.to_string();
        }
        let port = stages.whole(stage::NODE, self.containers(&nodes, &image)).await?;
        let version = stages.run(stage::SYSTEMD, self.systemd(&nodes)).await?;
        if self.gpus.hides() {
            stages.run(stage::GPUS, self.isolate(&nodes)).await?;
        }

        let token = kubeadm::token([(stages.edge.random)(), (stages.edge.random)()]);
        let mut init = Init(None);
        let api = stages.run(stage::CONTROL_PLANE, self.control_plane(&nodes, &version, &token, port, &mut init)).await?;
        let places = Places::new(&api);
        stages.run(stage::POD_NETWORK, init.alongside(self.pod_network(&nodes, &places))).await?;
        stages.run(stage::STORAGE, init.alongside(self.storage(&nodes, &places))).await?;
        if let Some(name) = lab_images::stage(&self.settings.lab_images) {
            stages.run(name, init.alongside(self.lab_images(&nodes))).await?;
        }
        stages
            .run(stage::READY, async {
                stages.wait_for("kubeadm init");
                init.finish().await?;
                stages.wait_for("workers that join");
                self.workers(&nodes).await?;
                stages.wait_for("the guard");
                self.guard(&api, &places).await?;
                self.ready(&nodes, &api).await
            })
            .await?;
        Ok(api)
    }

    /// Gives the network's subnet.
    async fn network(&self) -> Result<Ipv4Net, StageError> {
        let mut taken = self.engine.subnets().await?;
        taken.extend(subnet::routes(&std::fs::read_to_string("/proc/net/route").unwrap_or_default()));
        let seed = (self.stages.edge.random)();
        for _ in 0..TRIES {
            let Some(subnet) = subnet::choose(self.settings.subnets, self.settings.subnet_prefix, &taken, seed) else { break };
            let labels = self.names.labels(self.start, self.pool);
            match self.engine.create_network(&self.names.network(), subnet, labels).await {
                Ok(()) => return Ok(subnet),
                Err(error) if error.is_overlap() => taken.push(subnet),
                Err(error) => return Err(error.into()),
            }
        }
        Err(DockerError::known(
            format!("no free subnet of {} is left in {}", self.settings.subnet_prefix, self.settings.subnets),
            "set kind.subnets to a range that this machine does not use, or remove networks (docker network prune)",
        )
        .into())
    }

    fn plan(&self) -> Vec<Node> {
        let first = self.spec.nodes.iter().position(|node| node.control_plane).unwrap_or(0);
        let mut order: Vec<usize> = (0..self.spec.nodes.len()).collect();
        order.sort_by_key(|index| *index != first);
        let mut nodes: Vec<Node> = order
            .into_iter()
            .enumerate()
            .map(|(position, index)| {
                let spec = &self.spec.nodes[index];
                let container = if position == 0 { self.names.control_plane() } else { self.names.worker(position - 1) };
                let name = if spec.name.is_empty() { container.clone() } else { spec.name.clone() };
                let simulated = lab_images::simulates_gpus(self.settings, self.gpus.lends());
                let gpus = if simulated { lab_images::gpus(spec, &name) } else { Vec::new() };
                let mut labels = lab_images::labels(&gpus, spec);
                labels.extend(self.allocation.labels(index));
                labels.extend(spec.labels.clone());
                Node { container, name, labels, address: String::new(), index, gpus }
            })
            .collect();
        if nodes.is_empty() {
            let container = self.names.control_plane();
            let name = container.clone();
            nodes.push(Node { name, container, labels: BTreeMap::new(), address: String::new(), index: 0, gpus: Vec::new() });
        }
        nodes
    }

    /// Makes and starts all containers; gives the port of the API.
    async fn containers(&self, nodes: &[Node], image: &images::Image) -> Result<u16, StageError> {
        let mut port = 0;
        for (index, node) in nodes.iter().enumerate() {
            let mut taken = Vec::new();
            let mut tries = 0;
            loop {
                let api_port = if index == 0 { Some(self.port(&taken)?) } else { None };
                let plan = NodePlan {
                    name: node.container.clone(),
                    image: image.reference.clone(),
                    network: self.names.network(),
                    address: node.address.clone(),
                    labels: self.names.labels(self.start, self.pool).into_iter().chain(image.label()).chain(self.spec_label()).collect(),
                    limits: self.settings.limits,
                    api_port,
                    host: self.host,
                    gpus: self.allocation.of_node(node.index),
                };
                let id = self.engine.create_container(&node.container, plan.body()).await?;
                if self.stages.cancel.is_cancelled() {
                    return Err(StageError::Cancelled);
                }
                if !self.settings.egress {
                    self.engine.upload(&id, &egress::files()).await?;
                }
                match self.engine.start_container(&id).await {
                    Ok(()) => {
                        port = api_port.unwrap_or(port);
                        break;
                    }
                    Err(error) if error.is_port_taken() && tries < TRIES => {
                        self.engine.remove_container(&id).await?;
                        taken.extend(api_port);
                        tries += 1;
                    }
                    Err(error) => return Err(gpus::explained(error).into()),
                }
            }
        }
        Ok(port)
    }

    fn spec_label(&self) -> Option<(String, String)> {
        Some((names::SPEC.to_owned(), serde_json::to_string(self.spec).ok()?))
    }

    /// Not by port 0: Docker would choose another one whenever the container starts again.
    fn port(&self, taken: &[u16]) -> Result<u16, StageError> {
        let mut taken = taken.to_vec();
        let seed = (self.stages.edge.random)();
        while let Some(port) = subnet::port(&self.settings.ports, &taken, seed) {
            // What listens here without Docker's knowledge; Docker itself says no where it is its own.
            if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
                return Ok(port);
            }
            taken.push(port);
        }
        let (first, last) = (self.settings.ports.start(), self.settings.ports.end());
        Err(DockerError::known(
            format!("no port of {first} to {last} is free on 127.0.0.1 for the cluster's API"),
            "set kind.ports to a larger range",
        )
        .into())
    }

    /// Waits for all nodes; gives the version of Kubernetes in the image.
    async fn systemd(&self, nodes: &[Node]) -> Result<String, StageError> {
        try_join_all(nodes.iter().map(|node| self.engine.wait_for_line(&node.container, SYSTEMD_IS_UP))).await?;
        let control_plane = (nodes[0].container.as_str(), nodes[0].address.as_str());
        try_join_all(nodes[1..].iter().map(|worker| egress::name(self.engine, &worker.container, control_plane))).await?;
        let version = self.engine.run(&nodes[0].container, &["cat", "/kind/version"], b"").await?;
        kubeadm::minor(&version).map_err(|why| DockerError::known(why, "name another image in kind.image"))?;
        Ok(version)
    }

    /// Before anything runs in the nodes: each keeps the device nodes of its own GPUs.
    async fn isolate(&self, nodes: &[Node]) -> Result<(), StageError> {
        let all = nodes.iter().map(|node| gpus::isolate(self.engine, &node.container, self.allocation.devices(node.index)));
        try_join_all(all).await?;
        Ok(())
    }

    fn kubeadm<'a>(&'a self, nodes: &'a [Node], index: usize, version: &'a str, cluster: &'a str, token: &'a str) -> Kubeadm<'a> {
        Kubeadm {
            version,
            cluster,
            control_plane: &nodes[0].container,
            host_name: &nodes[index].container,
            node: &nodes[index].name,
            address: &nodes[index].address,
            token,
            schedulable: nodes.len() == 1 || self.spec.nodes.iter().any(|node| node.control_plane),
            guarded: !self.settings.trusted_learners,
        }
    }

    /// Begins `kubeadm init` and returns when the API answers, while it goes on.
    async fn control_plane(&self, nodes: &[Node], version: &str, token: &str, port: u16, init: &mut Init) -> Result<Api, StageError> {
        let cluster = self.names.cluster();
        let mut files = if self.settings.trusted_learners { BTreeMap::new() } else { guard::files() };
        files.insert("/kind/kubeadm.conf".to_owned(), (self.kubeadm(nodes, 0, version, &cluster, token).init(), 0o600));
        let node = nodes[0].container.clone();
        self.engine.upload(&node, &files).await?;
        for (index, worker) in nodes.iter().enumerate().skip(1) {
            let text = self.kubeadm(nodes, index, version, &cluster, token).join();
            let file = BTreeMap::from([("/kind/kubeadm.conf".to_owned(), (text, 0o600))]);
            self.engine.upload(&worker.container, &file).await?;
        }
        let engine = self.engine.clone();
        let command = ["kubeadm", "init", "--config=/kind/kubeadm.conf", "--skip-token-print"];
        init.0 = Some(async move { engine.run(&node, &command, b"").await.map(drop).map_err(StageError::from) }.boxed());
        init.alongside(async {
            let wait = "until [ -s /etc/kubernetes/super-admin.conf ]; do sleep 0.05; done; cat /etc/kubernetes/super-admin.conf";
            let kubeconfig = self.engine.run(&nodes[0].container, &["sh", "-c", wait], b"").await?;
            let api = Api::new(&kubeconfig, port)?;
            self.stages.wait_for("the API server's /readyz");
            api.until("/readyz", |_| Some(())).await;
            Ok(api)
        })
        .await
    }

    async fn file(&self, node: &Node, path: &str) -> Result<Vec<Value>, StageError> {
        let yaml = self.engine.run(&node.container, &["cat", path], b"").await?;
        objects::manifest(&yaml, PODS).map_err(|why| StageError::Other(format!("{path} in the node image cannot be read: {why}")))
    }

    /// The image's own pod network.
    async fn pod_network(&self, nodes: &[Node], places: &Places<'_>) -> Result<(), StageError> {
        for mut object in self.file(&nodes[0], "/kind/manifests/default-cni.yaml").await? {
            if text(&object, "/kind") == "DaemonSet" {
                control_plane_endpoint(&mut object, &format!("{}:6443", nodes[0].container));
            }
            places.apply(&object).await?;
        }
        Ok(())
    }

    async fn storage(&self, nodes: &[Node], places: &Places<'_>) -> Result<(), StageError> {
        for object in self.file(&nodes[0], "/kind/manifests/default-storage.yaml").await? {
            places.apply(&object).await?;
        }
        Ok(())
    }

    async fn lab_images(&self, nodes: &[Node]) -> Result<(), StageError> {
        for node in nodes.iter().filter(|node| !node.gpus.is_empty()) {
            self.engine.upload(&node.container, &lab_images::inventory(&node.gpus)).await?;
        }
        lab_images::load(self.engine, &self.settings.lab_images, nodes.iter().map(|node| node.container.as_str()).collect()).await
    }

    /// When everything that the cluster is made of is there, and nobody joins any more: the guard lets exactly that pass.
    async fn guard(&self, api: &Api, places: &Places<'_>) -> Result<(), StageError> {
        places.apply(&guard::learners_binding()).await?;
        if self.settings.trusted_learners {
            return Ok(());
        }
        let mut own = Vec::new();
        for namespace in ["kube-system", "local-path-storage"] {
            for (plural, kind) in [("daemonsets", "DaemonSet"), ("deployments", "Deployment")] {
                let list = api.get(&format!("/apis/apps/v1/namespaces/{namespace}/{plural}")).await?;
                for mut workload in list["items"].as_array().cloned().unwrap_or_default() {
                    workload["kind"] = json!(kind);
                    own.push(workload);
                }
            }
        }
        let helper = self.storage_helper(api).await?;
        let parts = guard::Parts { workloads: &own, storage_helper: &helper, plugins: &self.settings.device_plugins };
        for object in guard::policies(parts) {
            places.apply(&object).await?;
        }
        Ok(())
    }

    /// The image of the pods by which local-path makes directories; empty where the image brings another storage, or none.
    async fn storage_helper(&self, api: &Api) -> Result<String, StageError> {
        let found = match api.get("/api/v1/namespaces/local-path-storage/configmaps/local-path-config").await {
            Err(error) if error.code() == Some(404) => return Ok(String::new()),
            found => found?,
        };
        let pod = objects::manifest(text(&found, "/data/helperPod.yaml"), PODS).unwrap_or_default();
        Ok(pod.first().map(|pod| text(pod, "/spec/containers/0/image")).unwrap_or_default().to_owned())
    }

    async fn workers(&self, nodes: &[Node]) -> Result<(), StageError> {
        let command = ["kubeadm", "join", "--config=/kind/kubeadm.conf"];
        try_join_all(nodes[1..].iter().map(|node| self.engine.run(&node.container, &command, b""))).await?;
        Ok(())
    }

    async fn ready(&self, nodes: &[Node], api: &Api) -> Result<(), StageError> {
        for node in nodes {
            let mut labels: serde_json::Map<String, Value> = node.labels.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
            if nodes.len() == 1 {
                labels.insert("node.kubernetes.io/exclude-from-external-load-balancers".to_owned(), Value::Null);
            }
            if !labels.is_empty() {
                api.merge(&format!("/api/v1/nodes/{}", node.name), &json!({"metadata": {"labels": labels}})).await?;
            }
            egress::close(self.engine, &node.container, self.settings).await?;
        }
        if nodes.len() == 1 {
            let scale = "/apis/apps/v1/namespaces/kube-system/deployments/coredns/scale";
            api.merge(scale, &json!({"spec": {"replicas": 1}})).await?;
        }
        // Join tokens open the door to a node's identity; nobody joins any more.
        let tokens = "/api/v1/namespaces/kube-system/secrets?fieldSelector=type%3Dbootstrap.kubernetes.io%2Ftoken";
        for secret in api.get(tokens).await?["items"].as_array().into_iter().flatten() {
            let path = format!("/api/v1/namespaces/kube-system/secrets/{}", text(secret, "/metadata/name"));
            api.call(http::Method::DELETE, &path, "application/json", Vec::new()).await?;
        }
        self.stages.wait_for("the account of the namespace default");
        api.until("/api/v1/namespaces/default/serviceaccounts/default", |_| Some(())).await;
        self.stages.wait_for("nodes that are Ready");
        let count = nodes.len();
        api.watch_until("/api/v1/nodes", |nodes| nodes.len() == count && nodes.iter().all(is_ready)).await;
        Ok(())
    }
}

/// `kubeadm init`, which goes on while later stages begin.
struct Init(Option<BoxFuture<'static, Result<(), StageError>>>);

impl Init {
    /// Does `work`; ends at once where `kubeadm init` fails meanwhile.
    async fn alongside<T>(&mut self, work: impl Future<Output = Result<T, StageError>>) -> Result<T, StageError> {
        tokio::pin!(work);
        if let Some(init) = &mut self.0 {
            tokio::select! {
                done = &mut work => return done,
                ended = init => {
                    self.0 = None;
                    ended?;
                }
            }
        }
        work.await
    }

    async fn finish(&mut self) -> Result<(), StageError> {
        match self.0.take() {
            Some(init) => init.await,
            None => Ok(()),
        }
    }
}

/// Ready, and pods are let onto it: the taint goes a moment after the condition comes.
fn is_ready(node: &Value) -> bool {
    let mut taints = node["spec"]["taints"].as_array().into_iter().flatten();
    let conditions = node["status"]["conditions"].as_array();
    let open = !taints.any(|taint| text(taint, "/key").starts_with("node.kubernetes.io/"));
    open && conditions.is_some_and(|all| all.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True"))
}

/// kind gives the pod network the address of the API server, which is there before kube-proxy is.
fn control_plane_endpoint(daemon_set: &mut Value, endpoint: &str) {
    let containers = daemon_set.pointer_mut("/spec/template/spec/containers").and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten() {
        let Some(container) = container.as_object_mut() else { continue };
        let env = container.entry("env").or_insert_with(|| json!([]));
        if let Some(env) = env.as_array_mut() {
            env.retain(|variable| variable["name"] != "CONTROL_PLANE_ENDPOINT");
            env.push(json!({"name": "CONTROL_PLANE_ENDPOINT", "value": endpoint}));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_ready_when_pods_may_run_on_it() {
        let node = |status: &str, taint: &str| json!({"spec": {"taints": [{"key": taint}]}, "status": {"conditions": [{"type": "Ready", "status": status}]}});
        assert!(is_ready(&node("True", "node-role.kubernetes.io/control-plane")));
        assert!(!is_ready(&node("True", "node.kubernetes.io/not-ready")));
        assert!(!is_ready(&node("False", "gpu")));
        assert!(!is_ready(&json!({})));
    }

    #[test]
    fn the_pod_network_is_told_where_the_api_server_is() {
        let mut set = json!({"spec": {"template": {"spec": {"containers": [
            {"name": "a", "env": [{"name": "CONTROL_PLANE_ENDPOINT", "value": "old"}, {"name": "x", "value": "y"}]}, {"name": "b"},
        ]}}}});
        control_plane_endpoint(&mut set, "c:6443");
        let containers = &set["spec"]["template"]["spec"]["containers"];
        assert_eq!(containers[0]["env"], json!([{"name": "x", "value": "y"}, {"name": "CONTROL_PLANE_ENDPOINT", "value": "c:6443"}]));
        assert_eq!(containers[1]["env"], json!([{"name": "CONTROL_PLANE_ENDPOINT", "value": "c:6443"}]));
    }
}
