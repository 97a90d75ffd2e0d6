//! Tier: real containers. The labs' images in a real cluster: the beginner lab's start and a solution run, with a simulated GPU that
//! the device plugin offers to the real kubelet; mistakes fail as the real programs do.

#[expect(dead_code, reason = "shared with the other suites on real containers")]
mod common;

use common::{World, not_run, turn};
use http::{Method, Request};
use http_body_util::BodyExt;
use images::ImageCatalogue;
use provision::{
    Body, Cluster, ClusterSpec, GpuSupport, NodeSpec, Progress, Provisioner, UserInfo,
    kind::{IMAGES, LabImages},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

const LAB: &str = "secure-single-node-gpu-cluster";

/// The program of the images: `CORDON_LAB_IMAGE`, or where `scripts/images` puts it.
fn program() -> Result<Vec<u8>, String> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/lab-image");
    let path = env::var_os("CORDON_LAB_IMAGE").map_or(built, PathBuf::from);
    std::fs::read(&path).map_err(|_| "the program of the lab images has not been built (scripts/images does)".to_owned())
}

/// A cluster with the images, and the lab's values.
struct Desk {
    world: World,
    cluster: Arc<dyn Cluster>,
    node: String,
    params: BTreeMap<String, String>,
}

impl Desk {
    async fn new() -> Result<Self, String> {
        let program = program()?;
        let world = World::new().await?;
        let archive = world.settings.data.join("lab-images.tar");
        write_archive(&archive, &program);
        let size = std::fs::metadata(&archive).unwrap().len();
        let lab_images = LabImages { archive: Some(archive), real: vec!["docker.io/library/python".to_owned()] };
        let provisioner = world.with(|settings| settings.lab_images = lab_images).await;
        assert_eq!(provisioner.capabilities().gpus, GpuSupport::Simulated);
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let spec =
            ClusterSpec { nodes: vec![NodeSpec { control_plane: true, ..NodeSpec::with_gpus("gpu-node", 1) }], ..ClusterSpec::default() };
        let cluster = provisioner.create("a", &spec, sender).await.map_err(|error| format!("{error:?}")).unwrap();
        let mut told: Vec<Progress> = Vec::new();
        while let Ok(progress) = receiver.try_recv() {
            told.push(progress);
        }
        let at = |done: bool| told.iter().find(|progress| progress.stage == IMAGES && progress.done == done).expect("the stage").at;
        let seconds = at(true).duration_since(at(false)).as_secs_f64();
        println!("lab images: {} MiB loaded into a node in {seconds:.1} s", size >> 20);
        let lab = labs::Catalogue::embedded().unwrap();
        let params = lab.lab(LAB).unwrap().params(b"key", "attempt");
        Ok(Self { node: world.node("a"), world, cluster, params })
    }

    fn namespace(&self) -> &str {
        &self.params["namespace"]
    }

    /// Objects of the lab's start, or of a file of a solution.
    fn objects(&self, file: Option<&str>) -> Vec<Value> {
        let labs = labs::Catalogue::embedded().unwrap();
        let lab = labs.lab(LAB).unwrap();
        let attempt = lab.for_attempt(self.params.clone()).unwrap();
        match file {
            None => attempt.start_objects().unwrap(),
            Some(file) => {
                let solution = lab.solutions.iter().find(|solution| solution.name == "pod-level").unwrap();
                attempt.solution_objects(solution, file, &[]).unwrap()
            }
        }
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        let learner = UserInfo { name: "learner".to_owned(), ..UserInfo::admin() };
        let kind = if method == Method::PATCH { "application/apply-patch+yaml" } else { "application/json" };
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = Request::builder().method(method).uri(path).header("content-type", kind).body(body).unwrap();
        let response = self.cluster.serve(learner, request).await;
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (code, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn apply(&self, objects: Vec<Value>) {
        for object in objects {
            let path = format!("{}?fieldManager=test&force=true", path(&object));
            let (code, answer) = self.ask(Method::PATCH, &path, Some(&object)).await;
            assert!(code == 200 || code == 201, "{path}: {code} {answer}");
        }
    }

    /// Waits, by looking, for something that is bound to come; the test ends where it does not.
    async fn until(&self, what: &str, path: &str, look: impl Fn(&Value) -> bool) {
        let mut last = Value::Null;
        let looking = async {
            loop {
                last = self.ask(Method::GET, path, None).await.1;
                if look(&last) {
                    break;
                }
                tokio::task::yield_now().await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(90), looking).await.is_err() {
            let events = self.kubectl("get pods,events -A").await;
            panic!("{what} does not come: {last}\n{}", events.1);
        }
    }

    async fn available(&self, namespace: &str, name: &str) {
        let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}");
        self.until(name, &path, |found| found["status"]["availableReplicas"] == found["spec"]["replicas"]).await;
    }

    /// With the node's own administrator's credentials: what a learner's kubectl does, without its way through a door.
    async fn kubectl(&self, line: &str) -> (i64, String) {
        self.world.sh(&self.node, &format!("KUBECONFIG=/etc/kubernetes/admin.conf kubectl {line} </dev/null")).await
    }

    /// The same again until its output holds the words.
    async fn until_says(&self, line: &str, words: &str) -> String {
        let mut last = String::new();
        let looking = async {
            loop {
                last = self.kubectl(line).await.1;
                if last.contains(words) {
                    break;
                }
            }
        };
        let came = tokio::time::timeout(Duration::from_secs(60), looking).await;
        assert!(came.is_ok(), "kubectl {line} does not say {words:?}: {last}");
        last
    }
}

fn write_archive(path: &Path, program: &[u8]) {
    let catalogue = ImageCatalogue::parse(labs::images()).unwrap();
    let images: Vec<_> = catalogue.images().filter(|image| images::archive::unsuitable(image).is_none()).map(AsRef::as_ref).collect();
    images::archive::write(std::fs::File::create(path).unwrap(), program, &images).unwrap();
}

/// Where an object of the lab lies.
fn path(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let group = match text("/apiVersion") {
        "v1" => "/api/v1".to_owned(),
        other => format!("/apis/{other}"),
    };
    let plural = match text("/kind") {
        "NetworkPolicy" => "networkpolicies".to_owned(),
        other => format!("{}s", other.to_lowercase()),
    };
    let folder = if plural == "namespaces" { String::new() } else { format!("/namespaces/{}", text("/metadata/namespace")) };
    format!("{group}{folder}/{plural}/{}", text("/metadata/name"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_beginner_lab_runs_on_a_real_cluster() {
    let _turn = turn().await;
    let desk = match Desk::new().await {
        Ok(desk) => desk,
        Err(why) => return not_run("the labs' images in a kind cluster", &why),
    };
    what_is_loaded(&desk).await;
    start(&desk).await;
    device_plugin(&desk).await;
    solution(&desk).await;
    kubelet_anew(&desk).await;
    mistakes(&desk).await;
}

async fn what_is_loaded(desk: &Desk) {
    let (code, listed) = desk.world.sh(&desk.node, "ctr --namespace=k8s.io images ls -q").await;
    assert_eq!(code, 0, "{listed}");
    let has = |name: &str| listed.lines().any(|line| line.trim() == name);
    assert!(has("docker.io/tensorflow/serving:2.19.1-gpu") && has("quay.io/curl/curl:8.17.0"), "{listed}");
    assert!(!has("docker.io/library/python:3.13"), "an image that the operator wants real is loaded");
    let (_, node) = desk.ask(Method::GET, "/api/v1/nodes/gpu-node", None).await;
    assert_eq!(node["metadata"]["labels"]["cordon.dev/simulated"], "true");
    assert_eq!(node["metadata"]["labels"]["feature.node.kubernetes.io/pci-10de.present"], "true");
}

async fn start(desk: &Desk) {
    desk.apply(desk.objects(None)).await;
    let monitoring = &desk.params["monitoring"];
    for (namespace, name) in
        [(monitoring.as_str(), "scraper"), (monitoring, "dashboard"), (desk.namespace(), "notebook"), ("guests", "scraper")]
    {
        desk.available(namespace, name).await;
    }
    desk.until_says(&format!("-n {monitoring} logs deploy/scraper"), "up=0 error=").await;
    let (code, said) = desk.kubectl(&format!("-n {} exec deploy/notebook -- sh -c 'id -un && echo $HOME'", desk.namespace())).await;
    assert_eq!((code, said.as_str()), (0, "curl_user\n/home/curl_user\n"));
}

async fn device_plugin(desk: &Desk) {
    let node = "/api/v1/nodes/gpu-node";
    assert_eq!(desk.ask(Method::GET, node, None).await.1["status"]["allocatable"]["nvidia.com/gpu"], Value::Null);
    desk.apply(desk.objects(Some("device-plugin.yaml"))).await;
    desk.until("a GPU", node, |node| node["status"]["allocatable"]["nvidia.com/gpu"] == "1").await;
    let said = desk
        .until_says("-n kube-system logs ds/nvidia-device-plugin-daemonset", "Registered device plugin for 'nvidia.com/gpu' with Kubelet")
        .await;
    assert!(said.contains("simulated by Cordon"), "{said}");
}

async fn solution(desk: &Desk) {
    let (app, namespace) = (desk.params["app"].clone(), desk.namespace());
    for file in ["serving.yaml", "policy.yaml", "namespace.yaml"] {
        desk.apply(desk.objects(Some(file))).await;
    }
    desk.available(namespace, &app).await;
    let monitoring = &desk.params["monitoring"];
    desk.until_says(&format!("-n {monitoring} logs deploy/scraper"), "up=1 status=200").await;
    // As the lab's pages say it: monitoring is let in, the notebook and the impostor are not.
    let url = format!("http://{app}.{namespace}:{}/v1/models/resnet", desk.params["port"]);
    let (code, said) = desk.kubectl(&format!("-n {monitoring} exec deploy/scraper -- wget -qO- -T 3 {url}")).await;
    assert!(code == 0 && said.contains("AVAILABLE"), "{code} {said}");
    let (code, said) = desk.kubectl(&format!("-n {namespace} exec deploy/notebook -- curl -sSm 3 {url}")).await;
    assert!(code == 28 && said.contains("curl: (28) Connection timed out after 300"), "{code} {said}");
    let (code, said) = desk.kubectl(&format!("-n guests exec deploy/scraper -- wget -qO- -T 3 {url}")).await;
    assert!(code == 1 && said.contains("wget: download timed out"), "{code} {said}");
    let (code, said) = desk.kubectl(&format!("-n guests exec deploy/scraper -- nslookup {app}.{namespace}.svc.cluster.local")).await;
    assert!(code == 0 && said.contains(&format!("Name:\t{app}.{namespace}.svc.cluster.local\nAddress: 10.96.")), "{code} {said}");
    // What the server's pod sees.
    let exec = format!("-n {namespace} exec deploy/{app} -c serving --");
    let (code, said) = desk.kubectl(&format!("{exec} nvidia-smi -L")).await;
    assert!(code == 0 && said.starts_with("GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-"), "{code} {said}");
    let (code, said) = desk.kubectl(&format!("{exec} id")).await;
    assert!(code == 0 && said == "uid=10001 gid=10001 groups=10001\n", "{code} {said}");
    let (code, said) = desk.kubectl(&format!("{exec} sh -c 'touch /x || echo refused; touch /tmp/x && ls /tmp /models/resnet/1'")).await;
    assert!(code == 0 && said.contains("Read-only file system") && said.contains("refused") && said.contains("saved_model.pb"), "{said}");
    let logs = desk.kubectl(&format!("-n {namespace} logs deploy/{app} -c serving")).await.1;
    assert!(logs.contains("Successfully loaded servable version {name: resnet version: 1}") && logs.contains("NVIDIA H100"), "{logs}");
}

/// A kubelet that starts again has forgotten its plugins: the plugin registers once more, with the inventory that it finds again.
async fn kubelet_anew(desk: &Desk) {
    let before = desk.kubectl("-n kube-system logs ds/nvidia-device-plugin-daemonset").await.1.matches("Registered device plugin").count();
    let (code, said) = desk.world.sh(&desk.node, "systemctl restart kubelet && ls /var/lib/kubelet/device-plugins/cordon.dev").await;
    assert!(code == 0 && said.contains("gpus.json"), "{said}");
    let again = async {
        loop {
            let said = desk.kubectl("-n kube-system logs ds/nvidia-device-plugin-daemonset").await.1;
            if said.matches("Registered device plugin").count() > before {
                break;
            }
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(60), again).await.is_ok(), "the plugin does not register again");
    desk.until("a GPU", "/api/v1/nodes/gpu-node", |node| node["status"]["allocatable"]["nvidia.com/gpu"] == "1").await;
}

async fn mistakes(desk: &Desk) {
    desk.apply(vec![json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "wrong"}})]).await;
    let pod = |name: &str, container: Value| {
        let mut container = container;
        container["name"] = json!("c");
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "wrong"},
            "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]}})
    };
    let serving = "tensorflow/serving:2.19.1";
    let read_only = json!({"readOnlyRootFilesystem": true});
    desk.apply(vec![
        pod("no-model", json!({"image": serving, "env": [{"name": "MODEL_NAME", "value": "resnet50"}]})),
        pod("no-tmp", json!({"image": "nginxinc/nginx-unprivileged:1.29", "securityContext": read_only})),
        pod("no-port", json!({"image": "nginx:1.29", "securityContext": {"runAsUser": 1000}})),
        pod("no-number", json!({"image": "curlimages/curl:8.17.0", "securityContext": {"runAsNonRoot": true}})),
        pod("no-gpu", json!({"image": "nvcr.io/nvidia/k8s/cuda-sample:vectoradd-cuda12.5.0"})),
        pod("no-tool", json!({"image": serving, "command": ["wget"]})),
        pod("handed-over", json!({"image": "curlimages/curl:8.17.0", "args": ["-V"]})),
        pod("fine", json!({"image": "nginxinc/nginx-unprivileged:1.29"})),
    ])
    .await;
    let rows = [
        ("logs no-model", "Could not find base path /models/resnet50 for servable resnet50 with error NOT_FOUND"),
        ("logs no-tmp", "mkdir() \"/tmp/client_temp\" failed (30: Read-only file system)"),
        ("logs no-port", "failed (13: Permission denied)"),
        ("get pod no-number -o yaml", "image has non-numeric user (curl_user)"),
        ("logs no-gpu", "no CUDA-capable device is detected"),
        ("get pod no-tool -o yaml", "executable file not found in $PATH"),
        ("logs handed-over", "curl as simulated by Cordon"),
        ("get pod fine", "Running"),
    ];
    for (line, words) in rows {
        desk.until_says(&format!("-n wrong {line}"), words).await;
    }
    let (code, said) = desk.kubectl("-n wrong exec fine -- curl -s http://127.0.0.1:8080/").await;
    assert!(code == 0 && said.contains("Welcome to nginx!"), "{code} {said}");
    let (code, said) = desk.kubectl("-n wrong exec fine -- curl -sk -o /dev/null -w %{http_code} https://kubernetes.default/version").await;
    assert_eq!((code, said.as_str()), (0, "200"));
}
