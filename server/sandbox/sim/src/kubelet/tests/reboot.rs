//! What a learner finds after `kill -9` of the server: nodes that have rebooted, with their disks.

use super::{Bench, SLEEP};
use apiserver::node::LogOptions;
use machinery::gvr;

const TALKS: &str = "image: 'busybox:1.37', command: [sh, -c, 'echo started; sleep 10000']";

#[test]
fn containers_begin_anew_and_say_so() {
    let mut bench = Bench::new();
    let before = bench.pod("b", TALKS);
    bench.pass(60);
    let mut bench = bench.restart();
    bench.pass(10);
    let after = bench.get("b");
    assert_eq!(bench.shown("b"), "Running true running restarts=1");
    let (old, new) = (&before["status"]["containerStatuses"][0], &after["status"]["containerStatuses"][0]);
    let last = &new["lastState"]["terminated"];
    assert_eq!((last["exitCode"].as_i64(), last["reason"].as_str()), (Some(255), Some("Unknown")));
    assert_eq!((&last["containerID"], &last["startedAt"]), (&old["containerID"], &old["state"]["running"]["startedAt"]));
    assert_ne!(new["containerID"], old["containerID"]);
    assert_eq!(
        bench.events("b"),
        [
            "Scheduled Successfully assigned default/b to gpu-node",
            "SandboxChanged Pod sandbox changed, it will be killed and re-created.",
            "Pulled Container image \"busybox:1.37\" already present on machine",
            "Created Created container: main",
            "Started Started container main"
        ]
    );
    assert_eq!(bench.logs("b", LogOptions::default()), "started\n");
    assert_eq!(bench.logs("b", LogOptions { previous: true, ..LogOptions::default() }), "started\n");
    let reboots = bench.events("gpu-node");
    let boot = bench.client.get(gvr::NODES, "", "gpu-node").unwrap()["status"]["nodeInfo"]["bootID"].as_str().unwrap().to_owned();
    assert_eq!(reboots, ["Starting Starting kubelet.", &format!("Rebooted Node gpu-node has been rebooted, boot id: {boot}")]);
}

#[test]
fn what_lies_on_a_disk_is_there_again() {
    let mut bench = Bench::new();
    let scratch = "volumes: [{name: d, emptyDir: {}}, {name: m, emptyDir: {medium: Memory}}, {name: h, hostPath: {path: /srv}}]";
    bench.pod_with(
        "p",
        &format!("{TALKS}, volumeMounts: [{{name: d, mountPath: /d}}, {{name: m, mountPath: /m}}, {{name: h, mountPath: /h}}]"),
        scratch,
    );
    bench.pod_with("done", "image: 'busybox:1.37', command: [echo, finished]", "restartPolicy: Never");
    bench.sh("p", "echo kept > /d/f; echo lost > /m/f; echo kept too > /h/f; echo lost > /tmp/f; chmod 600 /d/f");
    bench.sim.rouse("kubelet");
    bench.pass(1);
    let mut bench = bench.restart();
    bench.pass(10);
    assert_eq!(
        bench.sh("p", "cat /d/f /h/f; ls -l /d/f | cut -c1-10; cat /m/f /tmp/f 2>&1"),
        "kept\nkept too\n-rw-------\ncat: can't open '/m/f': No such file or directory\ncat: can't open '/tmp/f': No such file or directory\n[1]"
    );
    assert_eq!(bench.logs("done", LogOptions::default()), "finished\n", "the log of a container that had ended");
    assert_eq!(bench.shown("done"), "Succeeded false Completed restarts=0");
    // A second time, and what is gone is gone from the disk too.
    let boot = |bench: &Bench| bench.client.get(gvr::NODES, "", "gpu-node").unwrap()["status"]["nodeInfo"]["bootID"].clone();
    let first = boot(&bench);
    let mut bench = bench.restart();
    bench.pass(10);
    assert_ne!(boot(&bench), first);
    assert_eq!(bench.sh("p", "cat /d/f"), "kept\n");
    assert_eq!(bench.shown("p"), "Running true running restarts=2");
    let uid = bench.get("p")["metadata"]["uid"].as_str().unwrap().to_owned();
    bench.delete("p");
    bench.pass(60);
    assert!(bench.disk.0.lock().keys().all(|name| !name.contains(&uid)));
}

#[test]
fn restart_policies_hold_over_a_reboot() {
    let mut bench = Bench::new();
    bench.pod_with("never", SLEEP, "restartPolicy: Never");
    bench.pod_with(
        "init",
        &format!("{SLEEP}, volumeMounts: [{{name: d, mountPath: /d}}]"),
        "volumes: [{name: d, emptyDir: {}}], initContainers: [{name: first, image: 'busybox:1.37', command: [sh, -c, 'echo x >> /d/f'], volumeMounts: [{name: d, mountPath: /d}]}]",
    );
    bench.sim.rouse("kubelet");
    bench.pass(1);
    let mut bench = bench.restart();
    bench.pass(10);
    assert_eq!(bench.shown("never"), "Failed false Unknown restarts=0");
    assert_eq!(bench.shown("init"), "Running true running restarts=1");
    assert_eq!(bench.sh("init", "cat /d/f"), "x\nx\n", "init containers run again in a new sandbox");
}
