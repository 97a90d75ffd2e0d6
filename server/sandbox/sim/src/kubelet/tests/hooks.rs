//! How containers begin and end: hooks, deadlines, sidecars, memory.

use super::{Bench, SLEEP};
use machinery::gvr;

#[test]
fn a_hook_holds_its_container_back_or_brings_it_down() {
    let mut bench = Bench::new();
    let lifecycle = |hook: &str| format!("{SLEEP}, lifecycle: {{postStart: {hook}}}");
    bench.pod("slow", &lifecycle("{exec: {command: [sh, -c, 'sleep 5; echo made > /tmp/f']}}"));
    assert_eq!(bench.shown("slow"), "Pending false ContainerCreating restarts=0");
    bench.pass(4);
    assert_eq!(bench.shown("slow"), "Running true running restarts=0");
    assert_eq!(bench.sh("slow", "cat /tmp/f"), "made\n");
    bench.pod_with("bad", &lifecycle("{exec: {command: [sh, -c, 'echo no luck; exit 4']}}"), "terminationGracePeriodSeconds: 1");
    bench.pass(1);
    let events = bench.events("bad");
    for expected in ["FailedPostStartHook PostStartHook failed", "Killing FailedPostStartHook"] {
        assert!(events.contains(&expected.to_owned()), "{expected} is not in {events:?}");
    }
    bench.pass(8);
    assert_eq!(
        bench.shown("bad"),
        "Running false CrashLoopBackOff back-off 10s restarting failed container=main pod=bad_default(UID) restarts=1"
    );
}

#[test]
fn a_pre_stop_hook_has_the_grace_and_two_seconds_at_least() {
    let mut bench = Bench::new();
    let polite = "image: 'busybox:1.37', command: [sh, -c, 'trap \"exit 0\" TERM; while true; do sleep 1; done']";
    for (name, hook, grace, alive, gone) in [
        ("sleeps", "{sleep: {seconds: 5}}", 30, Some(4), 4),
        ("fails", "{exec: {command: [sh, -c, 'exit 3']}}", 30, None, 3),
        ("late", "{exec: {command: [sleep, '100']}}", 6, Some(5), 5),
        ("refused", "{httpGet: {port: 9}}", 30, None, 3),
    ] {
        bench.pod_with(name, &format!("{polite}, lifecycle: {{preStop: {hook}}}"), &format!("terminationGracePeriodSeconds: {grace}"));
        bench.delete(name);
        // A hook that fails holds nobody up.
        if let Some(alive) = alive {
            bench.pass(alive);
            assert!(bench.client.get(gvr::PODS, "default", name).is_some(), "{name} ends too early");
        }
        bench.pass(gone);
        assert!(bench.client.get(gvr::PODS, "default", name).is_none(), "{name} ends too late");
    }
    assert!(bench.events("fails").contains(&"FailedPreStopHook PreStopHook failed".to_owned()));
    // However short the grace, a container is given two seconds.
    bench.pod_with("short", SLEEP, "terminationGracePeriodSeconds: 1");
    bench.delete("short");
    bench.pass(1);
    assert!(bench.client.get(gvr::PODS, "default", "short").is_some());
    bench.pass(2);
    assert!(bench.client.get(gvr::PODS, "default", "short").is_none());
}

#[test]
fn sidecars_outlive_what_they_serve() {
    let mut bench = Bench::new();
    let said = |what: &str| format!("[sh, -c, 'trap \"echo {what} >> /d/log; exit 0\" TERM; while true; do sleep 1; done']");
    let mount = "volumeMounts: [{name: d, mountPath: /d}]";
    bench.pod_with(
        "p",
        &format!("image: 'busybox:1.37', command: {}, {mount}", said("main")),
        &format!(
            "volumes: [{{name: d, hostPath: {{path: /tmp/order}}}}], initContainers: [{{name: first, image: 'busybox:1.37', restartPolicy: Always, command: {}, {mount}}}, {{name: second, image: 'busybox:1.37', restartPolicy: Always, command: {}, {mount}}}]",
            said("first"),
            said("second")
        ),
    );
    bench.delete("p");
    bench.pass(8);
    assert!(bench.client.get(gvr::PODS, "default", "p").is_none());
    bench.pod_with("after", &format!("{SLEEP}, {mount}"), "volumes: [{name: d, hostPath: {path: /tmp/order}}]");
    assert_eq!(bench.sh("after", "cat /d/log"), "main\nsecond\nfirst\n");
}

#[test]
fn the_kubelet_ends_what_has_had_its_time_or_its_room() {
    let mut bench = Bench::new();
    bench.pod_with("late", SLEEP, "activeDeadlineSeconds: 5, terminationGracePeriodSeconds: 1");
    bench.pass(6);
    let late = bench.get("late");
    assert_eq!(late["status"]["phase"], "Failed");
    assert_eq!(late["status"]["reason"], "DeadlineExceeded");
    assert_eq!(late["status"]["message"], "Pod was active on the node longer than the specified deadline");
    assert_eq!(late["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"], 137);
    bench.pod_with(
        "full",
        &format!("{SLEEP}, volumeMounts: [{{name: e, mountPath: /e}}]"),
        "terminationGracePeriodSeconds: 1, volumes: [{name: e, emptyDir: {sizeLimit: 1Mi}}]",
    );
    assert_eq!(bench.sh("full", "head -c 2000000 /dev/zero > /e/f; ls -l /e/f | awk '{print $5}'"), "2000000\n");
    bench.pass(14);
    let full = bench.get("full");
    assert_eq!(full["status"]["reason"], "Evicted");
    assert_eq!(full["status"]["message"], "Usage of EmptyDir volume \"e\" exceeds the limit \"1Mi\". ");
}

#[test]
fn memory_beyond_the_limit_is_an_oom_kill() {
    let mut bench = Bench::new();
    let limited = |command: &str| format!("image: 'busybox:1.37', command: {command}, resources: {{limits: {{memory: 16Mi}}}}");
    for (name, command) in [
        ("tail", "[tail, /dev/zero]"),
        ("child", "[sh, -c, 'tail /dev/zero; sleep 100']"),
        ("block", "[dd, if=/dev/zero, of=/dev/null, bs=32M, count=1]"),
        ("grows", "[sh, -c, 'x=0123456789; while true; do x=$x$x; done']"),
    ] {
        let pod = bench.pod_with(name, &limited(command), "restartPolicy: Never");
        let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
        assert_eq!((ended["reason"].as_str(), ended["exitCode"].as_i64()), (Some("OOMKilled"), Some(137)), "{name}: {ended}");
    }
}
