//! Every control, worded as Kubernetes words it: table of pods and what each level says of them.

use expect_test::{Expect, expect};
use pod_security::{Level, Version, evaluate, pod_template};
use serde_json::Value;

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).expect("test data")
}

/// Judges a pod's spec (with optional `annotations` beside it) and compares the message, then every violated field.
#[track_caller]
fn check(level: Level, version: &str, pod: &str, want: Expect) {
    let pod = yaml(pod);
    let evaluation = evaluate(level, version.parse().expect("version"), &pod["metadata"], &pod["spec"]);
    let mut text = if evaluation.allowed() { "allowed".to_owned() } else { evaluation.message() };
    for violation in evaluation.forbidden.iter().flat_map(|f| &f.violations) {
        text += &format!("\n  {}: {} (want {})", violation.field, violation.actual, violation.expected);
    }
    want.assert_eq(&text);
}

const BASELINE: Level = Level::Baseline;
const RESTRICTED: Level = Level::Restricted;
const GOOD: &str = "{securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}, containers: [{name: a, \
                    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}}}]}";

fn spec(spec: &str) -> String {
    format!("spec: {spec}")
}

#[test]
fn a_plain_pod() {
    check(BASELINE, "latest", &spec("{containers: [{name: a}]}"), expect!["allowed"]);
    check(Level::Privileged, "latest", &spec("{hostPID: true}"), expect!["allowed"]);
    check(
        RESTRICTED,
        "latest",
        &spec("{initContainers: [{name: i}], containers: [{name: a}]}"),
        expect![[r#"
            violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (containers "i", "a" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (containers "i", "a" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or containers "i", "a" must set securityContext.runAsNonRoot=true), seccompProfile (pod or containers "i", "a" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")
              spec.initContainers[0].securityContext.allowPrivilegeEscalation: unset, which means true (want false)
              spec.containers[0].securityContext.allowPrivilegeEscalation: unset, which means true (want false)
              spec.initContainers[0].securityContext.capabilities.drop: nothing is dropped (want ALL)
              spec.containers[0].securityContext.capabilities.drop: nothing is dropped (want ALL)
              spec.initContainers[0].securityContext.runAsNonRoot: unset here and in the pod (want true)
              spec.containers[0].securityContext.runAsNonRoot: unset here and in the pod (want true)
              spec.initContainers[0].securityContext.seccompProfile.type: unset here and in the pod (want RuntimeDefault or Localhost)
              spec.containers[0].securityContext.seccompProfile.type: unset here and in the pod (want RuntimeDefault or Localhost)"#]],
    );
    check(RESTRICTED, "latest", &spec(GOOD), expect!["allowed"]);
    // Before v1.8 restricted was hardly more than baseline.
    check(RESTRICTED, "v1.7", &spec("{containers: [{name: a, securityContext: {runAsNonRoot: true}}]}"), expect!["allowed"]);
}

#[test]
fn a_gpu_pod_that_takes_the_node() {
    check(
        RESTRICTED,
        "v1.25",
        &spec(
            "{hostNetwork: true, hostPID: true, hostIPC: true, containers: [{name: cuda, ports: [{hostPort: 9400}, {hostPort: 80}], \
             securityContext: {privileged: true}}], volumes: [{name: dev, hostPath: {path: /dev/nvidia0}}, {name: model, nfs: {}}]}",
        ),
        expect![[r#"
            violates PodSecurity "restricted:v1.25": host namespaces (hostNetwork=true, hostPID=true, hostIPC=true), hostPort (container "cuda" uses hostPorts 80, 9400), privileged (container "cuda" must not set securityContext.privileged=true), allowPrivilegeEscalation != false (container "cuda" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "cuda" must set securityContext.capabilities.drop=["ALL"]), restricted volume types (volumes "dev", "model" use restricted volume types "hostPath", "nfs"), runAsNonRoot != true (pod or container "cuda" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container "cuda" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")
              spec.hostNetwork: true (want false or unset)
              spec.hostPID: true (want false or unset)
              spec.hostIPC: true (want false or unset)
              spec.containers[0].ports[0].hostPort: 9400 (want 0 or unset)
              spec.containers[0].ports[1].hostPort: 80 (want 0 or unset)
              spec.containers[0].securityContext.privileged: true (want false or unset)
              spec.containers[0].securityContext.allowPrivilegeEscalation: unset, which means true (want false)
              spec.containers[0].securityContext.capabilities.drop: nothing is dropped (want ALL)
              spec.volumes[0].hostPath: hostPath (want one of configMap, csi, downwardAPI, emptyDir, ephemeral, image, persistentVolumeClaim, projected, secret)
              spec.volumes[1].nfs: nfs (want one of configMap, csi, downwardAPI, emptyDir, ephemeral, image, persistentVolumeClaim, projected, secret)
              spec.containers[0].securityContext.runAsNonRoot: unset here and in the pod (want true)
              spec.containers[0].securityContext.seccompProfile.type: unset here and in the pod (want RuntimeDefault or Localhost)"#]],
    );
    check(
        BASELINE,
        "latest",
        &spec(
            "{volumes: [{name: dev, hostPath: {path: /dev/nvidia0}}, {name: empty}, {name: nothing, emptyDir: null}, {name: n, nfs: {}}]}",
        ),
        expect![[r#"
            violates PodSecurity "baseline:latest": hostPath volumes (volume "dev")
              spec.volumes[0].hostPath: /dev/nvidia0 (want no hostPath)"#]],
    );
}

#[test]
fn capabilities() {
    let pod = spec("{containers: [{name: a, securityContext: {capabilities: {add: [SYS_ADMIN, CHOWN, NET_RAW]}}}, {name: b}]}");
    check(
        BASELINE,
        "latest",
        &pod,
        expect![[r#"
            violates PodSecurity "baseline:latest": non-default capabilities (container "a" must not include "NET_RAW", "SYS_ADMIN" in securityContext.capabilities.add)
              spec.containers[0].securityContext.capabilities.add: NET_RAW, SYS_ADMIN (want only capabilities of the runtime's default set)"#]],
    );
    let pod = spec(&GOOD.replace("drop: [ALL], add: [NET_BIND_SERVICE]", "drop: [all], add: [CHOWN, NET_BIND_SERVICE]"));
    check(
        RESTRICTED,
        "latest",
        &pod,
        expect![[r#"
            violates PodSecurity "restricted:latest": unrestricted capabilities (container "a" must set securityContext.capabilities.drop=["ALL"]; container "a" must not include "CHOWN" in securityContext.capabilities.add)
              spec.containers[0].securityContext.capabilities.drop: all (want ALL)
              spec.containers[0].securityContext.capabilities.add: CHOWN (want nothing but NET_BIND_SERVICE)"#]],
    );
    check(RESTRICTED, "v1.21", &pod, expect!["allowed"]);
}

#[test]
fn container_settings_win_over_the_pods() {
    let pod = spec(&GOOD.replace(
        "{allowPrivilegeEscalation: false",
        "{allowPrivilegeEscalation: false, runAsNonRoot: false, runAsUser: 0, seccompProfile: {type: Unconfined}",
    ));
    check(
        RESTRICTED,
        "latest",
        &pod,
        expect![[r#"
            violates PodSecurity "restricted:latest": runAsNonRoot != true (container "a" must not set securityContext.runAsNonRoot=false), runAsUser=0 (container "a" must not set runAsUser=0), seccompProfile (container "a" must not set securityContext.seccompProfile.type to "Unconfined")
              spec.containers[0].securityContext.runAsNonRoot: false (want true)
              spec.containers[0].securityContext.runAsUser: 0 (want any other user, or unset)
              spec.containers[0].securityContext.seccompProfile.type: Unconfined (want RuntimeDefault or Localhost)"#]],
    );
    check(
        RESTRICTED,
        "v1.18",
        &spec(
            "{securityContext: {runAsNonRoot: false}, containers: [{name: a, securityContext: {allowPrivilegeEscalation: false, runAsNonRoot: true}}]}",
        ),
        expect![[r#"
            violates PodSecurity "restricted:v1.18": runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false)
              spec.securityContext.runAsNonRoot: false (want true)"#]],
    );
}

#[test]
fn ephemeral_containers_count() {
    let debugger = "{ephemeralContainers: [{name: debug, securityContext: {privileged: true}}], ";
    let pod = spec(&GOOD.replacen('{', debugger, 1));
    check(
        BASELINE,
        "latest",
        &pod,
        expect![[r#"
            violates PodSecurity "baseline:latest": privileged (container "debug" must not set securityContext.privileged=true)
              spec.ephemeralContainers[0].securityContext.privileged: true (want false or unset)"#]],
    );
}

#[test]
fn user_namespaces_relax_from_v1_35() {
    let pod = spec(
        "{hostUsers: false, securityContext: {runAsUser: 0, seccompProfile: {type: RuntimeDefault}}, containers: [{name: a, \
                    securityContext: {procMount: Unmasked, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]}",
    );
    check(BASELINE, "v1.35", &pod, expect!["allowed"]);
    check(
        BASELINE,
        "v1.34",
        &pod,
        expect![[r#"
            violates PodSecurity "baseline:v1.34": procMount (container "a" must not set securityContext.procMount to "Unmasked")
              spec.containers[0].securityContext.procMount: Unmasked (want Default or unset)"#]],
    );
    check(
        RESTRICTED,
        "v1.35",
        &pod,
        expect![[r#"
            violates PodSecurity "restricted:v1.35": procMount (container "a" must not set securityContext.procMount to "Unmasked")
              spec.containers[0].securityContext.procMount: Unmasked (want Default or unset)"#]],
    );
    check(
        RESTRICTED,
        "v1.34",
        &pod,
        expect![[r#"
            violates PodSecurity "restricted:v1.34": procMount (container "a" must not set securityContext.procMount to "Unmasked"), runAsNonRoot != true (pod or container "a" must set securityContext.runAsNonRoot=true), runAsUser=0 (pod must not set runAsUser=0)
              spec.containers[0].securityContext.procMount: Unmasked (want Default or unset)
              spec.containers[0].securityContext.runAsNonRoot: unset here and in the pod (want true)
              spec.securityContext.runAsUser: 0 (want any other user, or unset)"#]],
    );
}

#[test]
fn windows_pods_are_exempt_from_v1_25() {
    let pod = spec("{os: {name: windows}, securityContext: {runAsNonRoot: true}, containers: [{name: a}]}");
    check(RESTRICTED, "v1.25", &pod, expect!["allowed"]);
    check(
        RESTRICTED,
        "v1.24",
        &pod,
        expect![[r#"
            violates PodSecurity "restricted:v1.24": allowPrivilegeEscalation != false (container "a" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "a" must set securityContext.capabilities.drop=["ALL"]), seccompProfile (pod or container "a" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")
              spec.containers[0].securityContext.allowPrivilegeEscalation: unset, which means true (want false)
              spec.containers[0].securityContext.capabilities.drop: nothing is dropped (want ALL)
              spec.containers[0].securityContext.seccompProfile.type: unset here and in the pod (want RuntimeDefault or Localhost)"#]],
    );
    check(
        BASELINE,
        "latest",
        &spec(
            "{securityContext: {windowsOptions: {hostProcess: true}}, containers: [{name: a, securityContext: {windowsOptions: {hostProcess: true}}}]}",
        ),
        expect![[r#"
            violates PodSecurity "baseline:latest": hostProcess (pod and container "a" must not set securityContext.windowsOptions.hostProcess=true)
              spec.securityContext.windowsOptions.hostProcess: true (want false or unset)
              spec.containers[0].securityContext.windowsOptions.hostProcess: true (want false or unset)"#]],
    );
}

#[test]
fn annotations_of_old() {
    let pod = "{metadata: {annotations: {container.apparmor.security.beta.kubernetes.io/a: unconfined, \
               seccomp.security.alpha.kubernetes.io/pod: unconfined, container.seccomp.security.alpha.kubernetes.io/a: docker/default, \
               container.seccomp.security.alpha.kubernetes.io/nobody: unconfined}}, \
               spec: {securityContext: {appArmorProfile: {type: Unconfined}}, containers: [{name: a}]}}";
    check(
        BASELINE,
        "v1.18",
        pod,
        expect![[r#"
            violates PodSecurity "baseline:v1.18": forbidden AppArmor profiles (pod and annotation must not set AppArmor profile type to "Unconfined", "container.apparmor.security.beta.kubernetes.io/a="unconfined""), seccompProfile (forbidden annotation seccomp.security.alpha.kubernetes.io/pod="unconfined")
              spec.securityContext.appArmorProfile.type: Unconfined (want RuntimeDefault, Localhost or unset)
              metadata.annotations[container.apparmor.security.beta.kubernetes.io/a]: unconfined (want runtime/default, localhost/… or unset)
              metadata.annotations[seccomp.security.alpha.kubernetes.io/pod]: unconfined (want runtime/default or localhost/…)"#]],
    );
}

#[test]
fn se_linux_sysctls_and_probe_hosts() {
    let pod = spec(
        "{securityContext: {seLinuxOptions: {type: spc_t, role: r}, sysctls: [{name: net.ipv4.tcp_rmem}, {name: net.core.somaxconn}]}, \
         containers: [{name: a, securityContext: {seLinuxOptions: {user: u, type: container_engine_t}}, \
         livenessProbe: {httpGet: {host: 169.254.169.254}}, lifecycle: {preStop: {tcpSocket: {host: 10.0.0.1}}}, \
         readinessProbe: {httpGet: {host: ''}}}]}",
    );
    check(
        BASELINE,
        "v1.34",
        &pod,
        expect![[r#"
            violates PodSecurity "baseline:v1.34": probe or lifecycle host (container "a" uses probe or lifecycle hosts "10.0.0.1", "169.254.169.254"), seLinuxOptions (pod and container "a" set forbidden securityContext.seLinuxOptions: type "spc_t"; user may not be set; role may not be set), forbidden sysctls (net.core.somaxconn)
              spec.containers[0].livenessProbe.httpGet.host: 169.254.169.254 (want unset)
              spec.containers[0].lifecycle.preStop.tcpSocket.host: 10.0.0.1 (want unset)
              spec.securityContext.seLinuxOptions.type: spc_t (want container_t, container_init_t, container_kvm_t, container_engine_t or unset)
              spec.securityContext.seLinuxOptions.role: r (want unset)
              spec.containers[0].securityContext.seLinuxOptions.user: u (want unset)
              spec.securityContext.sysctls[1].name: net.core.somaxconn (want a safe sysctl)"#]],
    );
    check(
        BASELINE,
        "v1.30",
        &spec(
            "{securityContext: {sysctls: [{name: net.ipv4.tcp_rmem}]}, containers: [{name: a, securityContext: {seLinuxOptions: {type: container_engine_t}}, \
               livenessProbe: {httpGet: {host: x}}}]}",
        ),
        expect![[r#"
            violates PodSecurity "baseline:v1.30": seLinuxOptions (container "a" set forbidden securityContext.seLinuxOptions: type "container_engine_t"), forbidden sysctls (net.ipv4.tcp_rmem)
              spec.containers[0].securityContext.seLinuxOptions.type: container_engine_t (want container_t, container_init_t, container_kvm_t or unset)
              spec.securityContext.sysctls[0].name: net.ipv4.tcp_rmem (want a safe sysctl)"#]],
    );
}

#[test]
fn templates_of_all_workloads() {
    for (object, path) in [
        ("{apiVersion: v1, kind: Pod, spec: {hostPID: true}}", ""),
        ("{apiVersion: v1, kind: PodTemplate, template: {spec: {hostPID: true}}}", "template"),
        ("{apiVersion: v1, kind: ReplicationController, spec: {template: {spec: {hostPID: true}}}}", "spec.template"),
        ("{apiVersion: apps/v1, kind: Deployment, spec: {template: {spec: {hostPID: true}}}}", "spec.template"),
        ("{apiVersion: apps/v1, kind: ReplicaSet, spec: {template: {spec: {hostPID: true}}}}", "spec.template"),
        ("{apiVersion: apps/v1, kind: DaemonSet, spec: {template: {spec: {hostPID: true}}}}", "spec.template"),
        ("{apiVersion: apps/v1, kind: StatefulSet, spec: {template: {spec: {hostPID: true}}}}", "spec.template"),
        ("{apiVersion: batch/v1, kind: Job, spec: {template: {spec: {hostPID: true}}}}", "spec.template"),
        (
            "{apiVersion: batch/v1, kind: CronJob, spec: {jobTemplate: {spec: {template: {spec: {hostPID: true}}}}}}",
            "spec.jobTemplate.spec.template",
        ),
    ] {
        let object = yaml(object);
        let template = pod_template(&object).expect("a template");
        assert_eq!(template.path, path);
        assert!(!evaluate(BASELINE, Version::Latest, template.metadata, template.spec).allowed(), "{path}");
    }
    assert!(pod_template(&yaml("{apiVersion: v1, kind: Service, spec: {}}")).is_none());
    assert!(pod_template(&yaml("{apiVersion: v1, kind: ReplicationController, spec: {}}")).is_none());
}

/// Whatever JSON comes, the answer is a judgement.
#[test]
fn nonsense_does_not_panic() {
    for text in [
        "null",
        "[]",
        "3",
        "{containers: 3, volumes: x}",
        "{containers: [null, [], {name: 4, ports: {}, securityContext: []}], volumes: [null, 1]}",
    ] {
        let value = yaml(text);
        for level in [BASELINE, RESTRICTED] {
            for minor in 0..=pod_security::NEWEST_VERSION {
                let _ = evaluate(level, Version::Minor(minor), &value, &value).message();
            }
        }
    }
}
