//! GPUs: the device plugin, allocation, what a container sees, a model that is served.

use super::{Bench, SLEEP};
use apiserver::node::LogOptions;
use machinery::gvr;

const PLUGIN: &str = "{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: nvidia-device-plugin-daemonset}, spec: {selector: {matchLabels: {name: p}}, template: {metadata: {labels: {name: p}}, spec: {containers: [{name: main, image: 'nvcr.io/nvidia/k8s-device-plugin:v0.17.1', env: [{name: FAIL_ON_INIT_ERROR, value: 'false'}], volumeMounts: [{name: d, mountPath: /var/lib/kubelet/device-plugins}]}], volumes: [{name: d, hostPath: {path: /var/lib/kubelet/device-plugins}}]}}}}";

fn gpus(bench: &Bench) -> String {
    let node = bench.client.get(gvr::NODES, "", "gpu-node").unwrap();
    format!("{} {}", node["status"]["capacity"]["nvidia.com/gpu"], node["status"]["allocatable"]["nvidia.com/gpu"])
}

#[test]
fn gpus_exist_once_the_plugin_runs() {
    let mut bench = Bench::new();
    bench.pod("early", &format!("{SLEEP}, resources: {{limits: {{nvidia.com/gpu: 1}}}}"));
    assert_eq!(gpus(&bench), "null null");
    assert_eq!(bench.get("early")["status"]["phase"], "Pending");
    bench.create(PLUGIN);
    bench.pass(20);
    assert_eq!(gpus(&bench), "\"2\" \"2\"");
    bench.pass(60);
    assert_eq!(bench.shown("early"), "Running true running restarts=0");
    assert_eq!(
        bench.sh("early", "nvidia-smi -L | wc -l; ls /dev | grep -c nvidia; echo $NVIDIA_VISIBLE_DEVICES | cut -c1-4"),
        "1\n4\nGPU-\n"
    );
    // Exclusive: another container gets the other one, a third waits.
    bench.pod("second", &format!("{SLEEP}, resources: {{limits: {{nvidia.com/gpu: 1}}}}"));
    assert_ne!(bench.sh("early", "nvidia-smi -L"), bench.sh("second", "nvidia-smi -L"));
    bench.pod("third", &format!("{SLEEP}, resources: {{limits: {{nvidia.com/gpu: 1}}}}"));
    assert_eq!(bench.get("third")["status"]["phase"], "Pending");
    // The trick: no request, and all of them.
    bench.pod("trick", &format!("{SLEEP}, env: [{{name: NVIDIA_VISIBLE_DEVICES, value: all}}]"));
    assert_eq!(bench.sh("trick", "nvidia-smi --query-gpu=index --format=csv,noheader"), "0\n1\n");
    bench.pod("none", SLEEP);
    assert!(bench.sh("none", "nvidia-smi").contains("not found"));
    // It goes: nothing more is handed out; later the capacity goes too.
    bench
        .client
        .delete(gvr::DAEMON_SETS, "default", "nvidia-device-plugin-daemonset", &apiserver::client::DeleteOptions::default())
        .unwrap();
    bench.pass(60);
    assert_eq!(gpus(&bench), "\"2\" \"0\"");
    bench.pass(300);
    assert_eq!(gpus(&bench), "\"0\" \"0\"");
}

#[test]
fn the_plugin_needs_the_kubelets_folder() {
    let mut bench = Bench::new();
    bench.pod("plugin", "image: 'nvcr.io/nvidia/k8s-device-plugin:v0.17.1'");
    bench.pass(5);
    assert!(bench.shown("plugin").contains("CrashLoopBackOff"));
    assert!(bench.logs("plugin", LogOptions::default()).contains("no such file or directory"));
    assert_eq!(gpus(&bench), "null null");
}

#[test]
fn a_model_is_served_from_a_volume() {
    let mut bench = Bench::new();
    let init = "initContainers: [{name: model, image: 'registry.cordon.dev/models/resnet:1', command: [sh, -c, 'cp -r /models/resnet /to/'], volumeMounts: [{name: m, mountPath: /to}]}], volumes: [{name: m, emptyDir: {}}], securityContext: {runAsUser: 1000, runAsNonRoot: true, fsGroup: 1000}";
    let hard = "securityContext: {readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}";
    bench.pod_with("serving", &format!("image: 'tensorflow/serving:2.19.1', {hard}, env: [{{name: MODEL_NAME, value: resnet}}], volumeMounts: [{{name: m, mountPath: /models, readOnly: true}}], readinessProbe: {{httpGet: {{path: /v1/models/resnet, port: 8501}}, periodSeconds: 1}}"), init);
    bench.pass(3);
    assert_eq!(bench.shown("serving"), "Running true running restarts=0", "{}", bench.logs("serving", LogOptions::default()));
    let ip = bench.get("serving")["status"]["podIP"].as_str().unwrap().to_owned();
    bench.pod("client", "image: 'curlimages/curl:8.17.0', command: [sleep, '3600']");
    assert!(bench.sh("client", &format!("curl -s http://{ip}:8501/v1/models/resnet")).contains("\"state\":\"AVAILABLE\""));
    assert!(
        bench
            .sh("client", &format!("curl -s -d '{{\"instances\": [[1.0, 2.0]]}}' http://{ip}:8501/v1/models/resnet:predict"))
            .contains("\"predictions\":[[")
    );
    assert_eq!(bench.sh("client", &format!("curl -s -o /dev/null -w '%{{http_code}}' http://{ip}:8501/v1/models/other")), "404");
    bench.pod("empty", "image: 'tensorflow/serving:2.19.1', readinessProbe: {tcpSocket: {port: 8501}}");
    assert_eq!(bench.shown("empty"), "Running false running restarts=0");
    assert!(bench.logs("empty", LogOptions::default()).contains("Could not find base path /models/model"));
}

#[test]
fn the_scraper_tells_what_it_reaches() {
    let mut bench = Bench::new();
    bench.pod("web", "image: 'nginxinc/nginx-unprivileged:1.29'");
    let ip = bench.get("web")["status"]["podIP"].as_str().unwrap().to_owned();
    bench.pod(
        "scraper",
        &format!("image: 'registry.cordon.dev/scraper:1.0', env: [{{name: TARGETS, value: 'http://{ip}:8080/,http://nobody/'}}]"),
    );
    let log = bench.logs("scraper", LogOptions::default());
    assert!(log.contains(&format!("target=http://{ip}:8080/ up=1 status=200")), "{log}");
    assert!(log.contains("target=http://nobody/ up=0 error=\"lookup nobody: no such host\""), "{log}");
}
