//! From start to end: order, restarts, probes, termination.

use super::{Bench, SLEEP};
use apiserver::node::LogOptions;
use machinery::gvr;

#[test]
fn a_pod_starts_with_its_events_and_conditions() {
    let mut bench = Bench::new();
    let pod = bench.pod("b", SLEEP);
    assert_eq!(
        bench.events("b"),
        [
            "Scheduled Successfully assigned default/b to gpu-node",
            "Pulled Container image \"busybox:1.37\" already present on machine",
            "Created Created container: main",
            "Started Started container main"
        ]
    );
    let kinds: Vec<_> = pod["status"]["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| format!("{}={}", c["type"].as_str().unwrap(), c["status"].as_str().unwrap()))
        .collect();
    assert_eq!(kinds, ["PodReadyToStartContainers=True", "Initialized=True", "Ready=True", "ContainersReady=True", "PodScheduled=True"]);
    assert_eq!(pod["status"]["qosClass"], "BestEffort");
    assert!(pod["status"]["podIP"].as_str().unwrap().starts_with("10.244.0."));
    assert_eq!(pod["status"]["containerStatuses"][0]["image"], "docker.io/library/busybox:1.37");
    // A cluster at rest writes nothing.
    let before = bench.client.resource_version();
    bench.pass(120);
    assert_eq!(bench.client.resource_version(), before);
}

#[test]
fn crashes_back_off_and_double() {
    let mut bench = Bench::new();
    bench.pod("crash", "image: 'busybox:1.37', command: [sh, -c, 'exit 1']");
    let mut seen = Vec::new();
    for _ in 0..10 {
        seen.push(bench.get("crash")["status"]["containerStatuses"][0]["restartCount"].as_i64().unwrap());
        bench.pass(20);
    }
    // At about 0, 1, 12, 33, 74 and 155 s.
    assert_eq!(seen, [1, 2, 3, 3, 4, 4, 4, 4, 5, 5]);
    assert_eq!(bench.get("crash")["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"], 1);
}

#[test]
fn restart_policies_and_init_containers() {
    let mut bench = Bench::new();
    bench.pod_with("never", "image: 'busybox:1.37', command: [sh, -c, 'exit 7']", "restartPolicy: Never");
    assert_eq!(bench.shown("never"), "Failed false Error restarts=0");
    bench.pod_with("once", "image: 'busybox:1.37', command: ['true']", "restartPolicy: OnFailure");
    assert_eq!(bench.shown("once"), "Succeeded false Completed restarts=0");
    bench.pod_with("init", &format!("{SLEEP}, volumeMounts: [{{name: d, mountPath: /d}}]"), "volumes: [{name: d, emptyDir: {}}], initContainers: [{name: first, image: 'busybox:1.37', command: [sh, -c, 'echo made > /d/f'], volumeMounts: [{name: d, mountPath: /d}]}]");
    assert_eq!(bench.shown("init"), "Running true running restarts=0");
    assert_eq!(bench.sh("init", "cat /d/f"), "made\n");
    bench.pod_with("initfail", SLEEP, "initContainers: [{name: first, image: 'busybox:1.37', command: ['false']}]");
    assert_eq!(bench.shown("initfail"), "Pending false PodInitializing restarts=0");
    bench.pod_with("sidecar", "image: 'busybox:1.37', command: [sleep, '5']", "restartPolicy: Never, initContainers: [{name: side, image: 'busybox:1.37', command: [sh, -c, 'trap \"exit 0\" TERM; sleep 1000'], restartPolicy: Always}]");
    assert_eq!(bench.shown("sidecar"), "Running true running restarts=0");
    bench.pass(10);
    assert_eq!(bench.get("sidecar")["status"]["phase"], "Succeeded");
}

#[test]
fn termination_is_graceful_or_not() {
    let mut bench = Bench::new();
    // The first process of a container is spared a SIGTERM that it does not handle.
    bench.pod_with("stubborn", SLEEP, "terminationGracePeriodSeconds: 10");
    bench.delete("stubborn");
    bench.pass(8);
    assert_eq!(bench.shown("stubborn"), "Running true running restarts=0");
    assert!(bench.events("stubborn").contains(&"Killing Stopping container main".to_owned()));
    bench.pass(4);
    assert!(bench.client.get(gvr::PODS, "default", "stubborn").is_none());
    bench.pod("polite", "image: 'busybox:1.37', command: [sh, -c, 'trap \"exit 0\" TERM; while true; do sleep 1; done']");
    bench.delete("polite");
    bench.pass(3);
    assert!(bench.client.get(gvr::PODS, "default", "polite").is_none());
}

#[test]
fn probes_gate_and_restart() {
    let mut bench = Bench::new();
    bench.pod(
        "ready",
        "image: 'busybox:1.37', command: [sleep, '3600'], readinessProbe: {exec: {command: [cat, /tmp/ok]}, periodSeconds: 2}",
    );
    assert_eq!(bench.shown("ready"), "Running false running restarts=0");
    assert!(
        bench
            .events("ready")
            .contains(&"Unhealthy Readiness probe failed: cat: can't open '/tmp/ok': No such file or directory\n".to_owned())
    );
    bench.sh("ready", "touch /tmp/ok");
    bench.pass(3);
    assert_eq!(bench.shown("ready"), "Running true running restarts=0");
    bench.pod("live", "image: 'nginx:1.29', livenessProbe: {httpGet: {path: /healthz, port: 80}, periodSeconds: 1, failureThreshold: 2}");
    bench.pass(3);
    let events = bench.events("live");
    assert!(events.contains(&"Unhealthy Liveness probe failed: HTTP probe failed with statuscode: 404".to_owned()), "{events:?}");
    assert!(events.contains(&"Killing Container main failed liveness probe, will be restarted".to_owned()), "{events:?}");
    assert!(bench.get("live")["status"]["containerStatuses"][0]["restartCount"].as_i64() > Some(0));
    bench.pod("tcp", &format!("{SLEEP}, readinessProbe: {{tcpSocket: {{port: 81}}, periodSeconds: 1}}"));
    let ip = bench.get("tcp")["status"]["podIP"].as_str().unwrap().to_owned();
    assert!(bench.events("tcp").contains(&format!("Unhealthy Readiness probe failed: dial tcp {ip}:81: connect: connection refused")));
}

#[test]
fn the_environment_and_the_volumes_are_the_specs() {
    let mut bench = Bench::new();
    bench.create("{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {a: one, b: two}}");
    bench.create("{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {password: hidden}}");
    bench.pod_with(
        "p",
        &format!("{SLEEP}, env: [{{name: X, value: 'x-$(Y)'}}, {{name: IP, valueFrom: {{fieldRef: {{fieldPath: status.podIP}}}}}}, {{name: P, valueFrom: {{secretKeyRef: {{name: s, key: password}}}}}}, {{name: Z, value: '$(P)!'}}], volumeMounts: [{{name: c, mountPath: /c}}, {{name: c, mountPath: /etc/one, subPath: a}}]"),
        "volumes: [{name: c, configMap: {name: c}}]",
    );
    let ip = bench.get("p")["status"]["podIP"].as_str().unwrap().to_owned();
    assert_eq!(bench.sh("p", "echo $X $IP $P $Z"), format!("x-$(Y) {ip} hidden hidden!\n"));
    assert_eq!(bench.sh("p", "cat /c/a /c/b /etc/one; ls /c"), "onetwoonea\nb\n");
    assert_eq!(bench.sh("p", "env | grep -c KUBERNETES_"), "8\n");
    assert_eq!(
        bench.sh("p", "cat /etc/resolv.conf"),
        "search default.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n"
    );
    assert_eq!(bench.sh("p", "ls /var/run/secrets/kubernetes.io/serviceaccount"), "ca.crt\nnamespace\ntoken\n");
    let token = bench.sh("p", "cat /var/run/secrets/kubernetes.io/serviceaccount/token");
    assert_eq!(bench.server.authenticate(&token).map(|u| u.name), Some("system:serviceaccount:default:default".to_owned()));
    // A changed ConfigMap reaches the volume, but not what was mounted by subPath.
    let mut changed = (*bench.client.get(gvr::CONFIG_MAPS, "default", "c").unwrap()).clone();
    changed["data"]["a"] = "changed".into();
    bench.client.update(gvr::CONFIG_MAPS, changed).unwrap();
    bench.pass(1);
    assert_eq!(bench.sh("p", "cat /c/a /etc/one"), "changedone");
}

#[test]
fn containers_of_a_state_that_is_put_in_place_go_on() {
    let mut bench = Bench::new();
    let before = bench.pod("b", "image: 'busybox:1.37', command: [sh, -c, 'echo hello; sleep 10000']");
    let mut bench = bench.put_in_place();
    bench.pass(30);
    let after = bench.get("b");
    assert_eq!(after["status"], before["status"]);
    assert_eq!(bench.sh("b", "hostname -i"), format!("{}\n", before["status"]["podIP"].as_str().unwrap()));
    assert_eq!(bench.logs("b", LogOptions::default()), "hello\n");
    assert_eq!(bench.events("b").iter().filter(|e| e.starts_with("Started")).count(), 1);
}
