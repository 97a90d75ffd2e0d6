//! Pods that do not come up, and what the kubelet says of them.

use super::{Bench, SLEEP};
use apiserver::node::LogOptions;

#[test]
fn each_failure_has_its_reason_and_message() {
    for (container, rest, expected, event) in [
        (
            "image: 'nope.invalid/x:1'",
            "",
            "Pending false ImagePullBackOff Back-off pulling image \"nope.invalid/x:1\": ErrImagePull: failed to pull and unpack image \"nope.invalid/x:1\": failed to resolve reference \"nope.invalid/x:1\": failed to do request: Head \"https://nope.invalid/v2/x/manifests/1\": dial tcp: lookup nope.invalid: no such host restarts=0",
            "Failed Error: ImagePullBackOff",
        ),
        (
            "image: 'example.com/what:1'",
            "",
            "Pending false ImagePullBackOff Back-off pulling image \"example.com/what:1\": ErrImagePull: rpc error: code = NotFound desc = failed to pull and unpack image \"example.com/what:1\": failed to resolve reference \"example.com/what:1\": this simulated cluster knows no image \"example.com/what\" restarts=0",
            "BackOff Back-off pulling image \"example.com/what:1\"",
        ),
        (
            "image: Bad_Image, command: [sleep, '1']",
            "",
            "Pending false InvalidImageName Failed to apply default image tag \"Bad_Image\": couldn't parse image name \"Bad_Image\": invalid reference format: repository name (library/Bad_Image) must be lowercase restarts=0",
            "Failed Error: InvalidImageName",
        ),
        (
            "image: 'busybox:1.37', envFrom: [{configMapRef: {name: missing}}]",
            "",
            "Pending false CreateContainerConfigError configmap \"missing\" not found restarts=0",
            "Failed Error: configmap \"missing\" not found",
        ),
        (
            "image: 'busybox:1.37', env: [{name: A, valueFrom: {secretKeyRef: {name: kube-x, key: a}}}]",
            "",
            "Pending false CreateContainerConfigError secret \"kube-x\" not found restarts=0",
            "Failed Error: secret \"kube-x\" not found",
        ),
        (
            "image: 'busybox:1.37', volumeMounts: [{name: s, mountPath: /s}]",
            "volumes: [{name: s, secret: {secretName: missing}}]",
            "Pending false ContainerCreating restarts=0",
            "FailedMount MountVolume.SetUp failed for volume \"s\" : secret \"missing\" not found",
        ),
        (
            "image: 'busybox:1.37', securityContext: {runAsNonRoot: true}",
            "",
            "Pending false CreateContainerConfigError container has runAsNonRoot and image will run as root (pod: \"p_default(UID)\", container: main) restarts=0",
            "Failed Error: container has runAsNonRoot and image will run as root (pod: \"p_default(UID)\", container: main)",
        ),
        (
            "image: 'busybox:1.37', command: [/nope]",
            "",
            "Running false RunContainerError failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: \"/nope\": stat /nope: no such file or directory: unknown restarts=2",
            "Failed Error: failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: \"/nope\": stat /nope: no such file or directory: unknown",
        ),
        (
            "image: 'busybox:1.37', command: [sh, -c, 'echo boom; exit 1']",
            "",
            "Running false CrashLoopBackOff back-off 10s restarting failed container=main pod=p_default(UID) restarts=1",
            "BackOff Back-off restarting failed container main in pod p_default(UID)",
        ),
        (
            "image: 'busybox:1.37', command: [sleep, '9'], securityContext: {seccompProfile: {type: Localhost, localhostProfile: profiles/none.json}}",
            "",
            "Pending false CreateContainerError failed to create containerd container: cannot load seccomp profile \"/var/lib/kubelet/seccomp/profiles/none.json\": open /var/lib/kubelet/seccomp/profiles/none.json: no such file or directory restarts=0",
            "Created",
        ),
    ] {
        let mut bench = Bench::new();
        let rest = if rest.is_empty() { "terminationGracePeriodSeconds: 1".to_owned() } else { rest.to_owned() };
        let pod = bench.pod_with("p", container, &rest);
        bench.pass(4);
        assert_eq!(bench.shown("p"), expected);
        let uid = pod["metadata"]["uid"].as_str().unwrap();
        let events = bench.events("p").join("\n").replace(uid, "UID");
        assert!(events.contains(event) || event == "Created", "{event} is not in\n{events}");
    }
}

#[test]
fn a_refused_pod_says_why() {
    let mut bench = Bench::new();
    let pod = bench.pod_with("sysctl", SLEEP, "securityContext: {sysctls: [{name: kernel.msgmax, value: '65536'}]}");
    assert_eq!(pod["status"]["phase"], "Failed");
    assert_eq!(pod["status"]["reason"], "SysctlForbidden");
    assert_eq!(pod["status"]["message"], "Pod was rejected: forbidden sysctl: \"kernel.msgmax\" not allowlisted");
    let pod = bench.pod_with("big", &format!("{SLEEP}, resources: {{requests: {{cpu: '500'}}}}"), "nodeName: gpu-node");
    assert_eq!(pod["status"]["reason"], "OutOfcpu");
    bench.create("{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: sandboxed}, handler: runsc}");
    bench.pod_with("sandboxed", SLEEP, "runtimeClassName: sandboxed");
    assert_eq!(bench.shown("sandboxed"), "Pending false ContainerCreating restarts=0");
    assert!(bench.events("sandboxed").contains(&"FailedCreatePodSandBox Failed to create pod sandbox: rpc error: code = Unknown desc = failed to get sandbox runtime: no runtime for \"runsc\" is configured".to_owned()));
}

#[test]
fn what_was_missing_may_come() {
    let mut bench = Bench::new();
    bench.pod("p", &format!("{SLEEP}, envFrom: [{{configMapRef: {{name: missing}}}}]"));
    bench.create("{apiVersion: v1, kind: ConfigMap, metadata: {name: missing}, data: {GREETING: hello}}");
    bench.pass(2);
    assert_eq!(bench.shown("p"), "Running true running restarts=0");
    assert_eq!(bench.sh("p", "echo $GREETING"), "hello\n");
}

#[test]
fn logs_of_what_waits_and_of_what_was() {
    let mut bench = Bench::new();
    bench.pod("crash", "image: 'busybox:1.37', command: [sh, -c, 'echo boom; exit 1']");
    assert_eq!(bench.logs("crash", LogOptions::default()), "boom\n");
    assert_eq!(bench.logs("crash", LogOptions { previous: true, ..LogOptions::default() }), "boom\n");
    bench.pod("noimg", "image: 'nope.invalid/x:1'");
    assert_eq!(
        bench.logs("noimg", LogOptions::default()),
        "error: container \"main\" in pod \"noimg\" is waiting to start: trying and failing to pull image"
    );
    bench.pod("count", "image: 'busybox:1.37', command: [sh, -c, 'for i in 1 2 3 4; do echo $i; done; sleep 100']");
    assert_eq!(bench.logs("count", LogOptions { tail_lines: Some(2), ..LogOptions::default() }), "3\n4\n");
    assert_eq!(bench.logs("count", LogOptions { limit_bytes: Some(3), ..LogOptions::default() }), "1\n2");
}
