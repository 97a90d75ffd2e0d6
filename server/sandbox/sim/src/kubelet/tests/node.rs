//! What a pod with the node's namespaces sees, and what one without them does not.

use super::{Bench, SLEEP};

#[test]
fn host_namespaces_lead_to_the_node_and_to_its_pods() {
    let mut bench = Bench::new();
    bench.pod("victim", &format!("{SLEEP}, env: [{{name: TOKEN, value: hidden}}]"));
    bench.pod("plain", SLEEP);
    bench.pod_with("pid", &format!("{SLEEP}, securityContext: {{privileged: true}}"), "hostPID: true, hostNetwork: true");
    bench.pod_with("path", &format!("{SLEEP}, volumeMounts: [{{name: h, mountPath: /host}}]"), "volumes: [{name: h, hostPath: {path: /}}]");
    let victim = "$(ps | grep 'sleep 3600' | awk '{print $1}' | while read p; do grep -q TOKEN /proc/$p/environ && echo $p; done)";
    for (pod, script, expected) in [
        ("pid", "cat /proc/1/comm", "systemd\n".to_owned()),
        ("pid", "nsenter -t 1 -m -u -- hostname", "gpu-node\n".to_owned()),
        ("pid", "nsenter -t 1 -m -- ls /etc/kubernetes/manifests | head -1", "etcd.yaml\n".to_owned()),
        ("pid", "ls /proc/1/root/etc/kubernetes | head -1", "admin.conf\n".to_owned()),
        ("pid", &format!("tr '\\0' '\\n' < /proc/{victim}/environ | grep TOKEN"), "TOKEN=hidden\n".to_owned()),
        ("pid", &format!("kill -9 {victim}"), String::new()),
        ("path", "chroot /host cat /etc/hostname", "gpu-node\n".to_owned()),
        ("path", "ls -l /host/run/containerd/containerd.sock | cut -c1-10", "srw-rw----\n".to_owned()),
        ("plain", "nsenter -t 1 -m id", "nsenter: setns(): can't reassociate to namespace 'mnt': Operation not permitted\n[1]".to_owned()),
        ("plain", "chroot /tmp /bin/sh", "chroot: can't execute '/bin/sh': No such file or directory\n[127]".to_owned()),
        ("plain", "unshare -m id", "unshare: unshare(0x20000): Operation not permitted\n[1]".to_owned()),
        (
            "plain",
            "sysctl -w net.ipv4.ip_forward=1",
            "sysctl: error setting key 'net.ipv4.ip_forward': Read-only file system\n[1]".to_owned(),
        ),
        ("plain", "ps | grep -c TOKEN", "1\n".to_owned()),
    ] {
        assert_eq!(bench.sh(pod, script), expected, "{pod}: {script}");
    }
    bench.pass(3);
    assert_eq!(bench.shown("victim"), "Running true running restarts=1");
}

#[test]
fn objects_are_mounted_read_only_and_followed() {
    let mut bench = Bench::new();
    bench.create("{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {a: one, b: two}}");
    bench.pod_with(
        "p",
        &format!("{SLEEP}, volumeMounts: [{{name: c, mountPath: /c}}, {{name: d, mountPath: /d}}, {{name: e, mountPath: /e, subPath: in/side}}]"),
        "volumes: [{name: c, configMap: {name: c}}, {name: d, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}, {name: e, emptyDir: {medium: Memory, sizeLimit: 8Mi}}]",
    );
    for (script, expected) in [
        ("touch /c/x", "touch: /c/x: Read-only file system\n[1]"),
        (
            "touch /var/run/secrets/kubernetes.io/serviceaccount/x",
            "touch: /var/run/secrets/kubernetes.io/serviceaccount/x: Read-only file system\n[1]",
        ),
        ("cat /d/labels", "app=\"p\""),
        ("ls -ld /e | cut -c1-10; df -h /e | tail -1 | awk '{print $2}'", "drwxrwxrwx\n8.0M\n"),
    ] {
        assert_eq!(bench.sh("p", script), expected, "{script}");
    }
    let mut map = (*bench.client.get(machinery::gvr::CONFIG_MAPS, "default", "c").unwrap()).clone();
    map["data"] = serde_json::json!({"b": "new"});
    bench.client.update(machinery::gvr::CONFIG_MAPS, map).unwrap();
    let mut pod = (*bench.get("p")).clone();
    pod["metadata"]["labels"]["app"] = "other".into();
    bench.client.update(machinery::gvr::PODS, pod).unwrap();
    bench.pass(1);
    assert_eq!(bench.sh("p", "ls /c; cat /c/b /d/labels"), "b\nnewapp=\"other\"");
}

#[test]
fn archives_go_in_and_out() {
    let mut bench = Bench::new();
    bench.pod("p", SLEEP);
    let script = "mkdir -p /tmp/a/b; echo x > /tmp/a/b/c; chmod 600 /tmp/a/b/c; ln -s b/c /tmp/a/l; mkdir /tmp/out; \
                  tar cf - -C /tmp a | tar xf - -C /tmp/out; cat /tmp/out/a/l; ls -l /tmp/out/a/b/c | cut -c1-10; tar cf /tmp/t /nope";
    assert_eq!(
        bench.sh("p", script),
        "x\n-rw-------\ntar: /nope: No such file or directory\ntar: error exit delayed from previous errors\n[1]"
    );
}

#[test]
fn nslookup_asks_for_both_families_with_every_domain() {
    let mut bench = Bench::new();
    bench.create("{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{name: http, port: 80}]}}");
    bench.create("{apiVersion: v1, kind: Service, metadata: {name: hl}, spec: {clusterIP: None, selector: {app: web}, ports: [{name: http, port: 8080}]}}");
    bench.create(
        "{apiVersion: v1, kind: Service, metadata: {name: ext}, spec: {type: ExternalName, externalName: web.default.svc.cluster.local}}",
    );
    bench.pod_with("web", SLEEP, "hostname: w, subdomain: hl");
    let ip = bench.client.get(machinery::gvr::SERVICES, "default", "web").unwrap()["spec"]["clusterIP"].as_str().unwrap().to_owned();
    let reversed = ip.rsplit('.').collect::<Vec<_>>().join(".");
    let d = "default.svc.cluster.local";
    let no = |name: &str| format!("** server can't find {name}: NXDOMAIN\n\n");
    let others = |name: &str| format!("{}{}", no(&format!("{name}.svc.cluster.local")), no(&format!("{name}.cluster.local")));
    for (arguments, expected) in [
        ("web", format!("Name:\tweb.{d}\nAddress: {ip}\n\n{}\n{}[1]", others("web"), others("web"))),
        ("web.default", format!("{}{}[1]", no("web.default"), no("web.default"))),
        (&*format!("web.{d}"), format!("Name:\tweb.{d}\nAddress: {ip}\n\n\n")),
        (&*format!("-type=srv _http._tcp.hl.{d}"), format!("_http._tcp.hl.{d}\tservice = 0 100 8080 w.hl.{d}\n\n")),
        (&*format!("-type=cname ext.{d}"), format!("ext.{d}\tcanonical name = web.{d}\n\n")),
        (&*ip, format!("{reversed}.in-addr.arpa\tname = web.{d}\n\n")),
    ] {
        let answer = bench.sh("web", &format!("nslookup {arguments}"));
        assert_eq!(answer, format!("Server:\t\t10.96.0.10\nAddress:\t10.96.0.10:53\n\n{expected}"), "{arguments}");
    }
}
