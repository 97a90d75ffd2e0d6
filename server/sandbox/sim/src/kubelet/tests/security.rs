//! What the runtime enforces.

use super::{Bench, SLEEP};
use apiserver::node::LogOptions;

#[test]
fn processes_are_what_their_context_says() {
    let mut bench = Bench::new();
    bench.pod("uid", &format!("{SLEEP}, securityContext: {{runAsNonRoot: true, runAsUser: 1000, runAsGroup: 3000}}"));
    bench.pod("ro", &format!("{SLEEP}, securityContext: {{readOnlyRootFilesystem: true}}"));
    bench.pod_with(
        "rotmp",
        &format!(
            "{SLEEP}, securityContext: {{readOnlyRootFilesystem: true, runAsUser: 1000}}, volumeMounts: [{{name: t, mountPath: /tmp}}]"
        ),
        "volumes: [{name: t, emptyDir: {}}]",
    );
    bench.pod("drop", &format!("{SLEEP}, securityContext: {{capabilities: {{drop: [ALL]}}}}"));
    bench.pod("nnp", &format!("{SLEEP}, securityContext: {{allowPrivilegeEscalation: false, seccompProfile: {{type: RuntimeDefault}}}}"));
    bench.pod("priv", &format!("{SLEEP}, securityContext: {{privileged: true}}"));
    bench.pod_with(
        "fsg",
        &format!("{SLEEP}, volumeMounts: [{{name: t, mountPath: /data}}]"),
        "securityContext: {runAsUser: 1000, fsGroup: 2000, supplementalGroups: [4000]}, volumes: [{name: t, emptyDir: {}}]",
    );
    bench.pod_with("noauto", SLEEP, "automountServiceAccountToken: false");
    bench.pod_with(
        "hostpath",
        &format!("{SLEEP}, volumeMounts: [{{name: h, mountPath: /host}}]"),
        "volumes: [{name: h, hostPath: {path: /}}]",
    );
    bench.pod_with("hostpid", SLEEP, "hostPID: true");
    bench.pod_with("hostnet", SLEEP, "hostNetwork: true");
    let status = "grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/1/status | tr '\\t\\n' ' ;'";
    for (pod, script, expected) in [
        ("uid", "id", "uid=1000 gid=3000 groups=3000\n"),
        ("uid", "touch /x", "touch: /x: Permission denied\n[1]"),
        ("uid", "cat /etc/shadow", "cat: can't open '/etc/shadow': Permission denied\n[1]"),
        ("uid", "ls -ld /tmp | cut -c1-10", "drwxrwxrwt\n"),
        ("uid", status, "CapEff: 0000000000000000;NoNewPrivs: 0;Seccomp: 0;"),
        ("uid", "nc -l -p 80 -w 1", "nc: bind: Permission denied\n[1]"),
        ("uid", "nc -l -p 8080 -w 1", "nc: timed out\n[1]"),
        ("uid", "ping -c1 -W1 127.0.0.1", "PING 127.0.0.1 (127.0.0.1): 56 data bytes\nping: permission denied (are you root?)\n[1]"),
        ("ro", "touch /x", "touch: /x: Read-only file system\n[1]"),
        ("ro", "touch /tmp/x", "touch: /tmp/x: Read-only file system\n[1]"),
        ("ro", "echo a > /etc/hosts; echo rc=$?", "rc=0\n"),
        ("rotmp", "touch /tmp/x && ls -l /tmp/x | cut -c1-10; touch /y", "-rw-r--r--\ntouch: /y: Read-only file system\n[1]"),
        ("rotmp", "df -h /tmp | wc -l", "2\n"),
        ("drop", status, "CapEff: 0000000000000000;NoNewPrivs: 0;Seccomp: 0;"),
        ("drop", "chown 1000 /tmp", "chown: /tmp: Operation not permitted\n[1]"),
        ("drop", "id; kill -0 1", "uid=0(root) gid=0(root) groups=0(root)\n"),
        ("nnp", status, "CapEff: 00000000a80425fb;NoNewPrivs: 1;Seccomp: 2;"),
        ("priv", "mount -t tmpfs t /mnt; mknod /tmp/d c 1 3; ls /dev | wc -l; mount | tail -1", "49\nt on /mnt type tmpfs (rw,relatime)\n"),
        ("fsg", "id", "uid=1000 gid=0(root) groups=0(root),2000,4000\n"),
        (
            "fsg",
            "touch /data/a; ls -ln /data | tail -1 | cut -c1-40 | tr -s ' '; ls -ldn /data | cut -c1-30 | tr -s ' '",
            "-rw-r--r-- 1 1000 2000 \ndrwxrwsrwx 2 0 2000 \n",
        ),
        (
            "noauto",
            "ls /var/run/secrets/kubernetes.io/serviceaccount",
            "ls: /var/run/secrets/kubernetes.io/serviceaccount: No such file or directory\n[1]",
        ),
        (
            "hostpath",
            "ls /host/etc/kubernetes",
            "admin.conf\ncontroller-manager.conf\nkubelet.conf\nmanifests\npki\nscheduler.conf\nsuper-admin.conf\n",
        ),
        ("hostpid", "ps | grep -c kubelet", "2\n"),
        ("hostnet", "hostname", "gpu-node\n"),
    ] {
        assert_eq!(bench.sh(pod, script), expected, "{pod}: {script}");
    }
}

#[test]
fn nginx_fails_for_the_reasons_that_it_has() {
    let mut bench = Bench::new();
    let tmp = "volumes: [{name: a, emptyDir: {}}, {name: b, emptyDir: {}}]";
    let mounts = "volumeMounts: [{name: a, mountPath: /var/cache/nginx}, {name: b, mountPath: /run}]";
    for (name, image, context, rest, expected) in [
        ("plain", "nginx:1.29", "{}", "", None),
        (
            "readonly",
            "nginx:1.29",
            "{readOnlyRootFilesystem: true}",
            "",
            Some("mkdir() \"/var/cache/nginx/client_temp\" failed (30: Read-only file system)"),
        ),
        ("writable", "nginx:1.29", "{readOnlyRootFilesystem: true}", tmp, None),
        ("user", "nginx:1.29", "{runAsUser: 101}", "", Some("bind() to 0.0.0.0:80 failed (13: Permission denied)")),
        (
            "dropped",
            "nginx:1.29",
            "{capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}}",
            "",
            Some("chown(\"/var/cache/nginx/client_temp\", 101) failed (1: Operation not permitted)"),
        ),
        ("unprivileged", "nginxinc/nginx-unprivileged:1.29", "{runAsNonRoot: true, capabilities: {drop: [ALL]}}", "", None),
    ] {
        let container =
            format!("image: '{image}', securityContext: {context}{}", if rest.is_empty() { String::new() } else { format!(", {mounts}") });
        bench.pod_with(name, &container, if rest.is_empty() { "terminationGracePeriodSeconds: 1" } else { rest });
        match expected {
            None => assert_eq!(bench.shown(name), "Running true running restarts=0", "{}", bench.logs(name, LogOptions::default())),
            Some(text) => {
                assert!(bench.shown(name).contains("CrashLoopBackOff"), "{name}: {}", bench.shown(name));
                let log = bench.logs(name, LogOptions::default());
                assert!(log.contains(text), "{log}");
            }
        }
    }
}
