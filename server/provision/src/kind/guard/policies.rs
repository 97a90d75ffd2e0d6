//! The admission policies of the guard. They see an object after every webhook has changed it, so that whoever asks, controllers too, is
//! judged by what comes out.

use crate::kind::{guard::PROVISIONER, objects::text, settings::DevicePlugin};
use serde_json::{Map, Value, json};

const KUBELET_PLUGINS: &str = "/var/lib/kubelet/device-plugins";
const WHY: &str = "a node of a kind cluster is root on the host, so pods may not reach it";
/// Where a pod finds its account's token.
const TOKENS: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const DAEMON_SETS: &str = "system:serviceaccount:kube-system:daemon-set-controller";
const REPLICA_SETS: &str = "system:serviceaccount:kube-system:replicaset-controller";
/// Namespaces of the cluster's own pods.
const OWN: &str = "request.namespace in ['kube-system', 'local-path-storage']";

/// What controllers, the scheduler and admission fill in themselves. None of it decides what runs.
const FILLED_IN: &[&str] = &[
    "affinity",
    "enableServiceLinks",
    "nodeName",
    "nodeSelector",
    "preemptionPolicy",
    "priority",
    "priorityClassName",
    "schedulerName",
    "serviceAccount",
    "tolerations",
    "topologySpreadConstraints",
];
/// Of a container: bounded by the node's own limits, and ports that the API server adds where a pod has the node's network.
const FREE_OF_CONTAINERS: &[&str] = &["ports", "resources"];

/// Of a volume `v`: what the API server itself mounts for the account of a pod, and nothing in its place.
const ACCESS: &str = "(v.name.startsWith('kube-api-access-') && has(v.projected) && v.projected.sources.all(s, \
    (has(s.serviceAccountToken) && s.serviceAccountToken.path == 'token' && !has(s.serviceAccountToken.audience)) \
    || (has(s.configMap) && s.configMap.name == 'kube-root-ca.crt') \
    || (has(s.downwardAPI) && s.downwardAPI.items.all(i, i.path == 'namespace'))))";

/// What the guard lets pass because the cluster is made of it.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// The DaemonSets and Deployments of the cluster, as they are.
    pub workloads: &'a [Value],
    /// The image with which the storage provisioner makes directories; empty where there is none.
    pub storage_helper: &'a str,
    pub plugins: &'a [DevicePlugin],
}

/// Policies and their bindings.
pub fn policies(parts: Parts<'_>) -> Vec<Value> {
    let mut objects = pods(parts);
    objects.extend(policy(
        "cordon-own-pods",
        &[rule("", &["pods"], &["UPDATE"])],
        &[("of-the-cluster", OWN.to_owned())],
        &json!([]),
        &json!([{
            "expression": "object.spec.containers == oldObject.spec.containers \
                && has(object.spec.initContainers) == has(oldObject.spec.initContainers) \
                && (!has(object.spec.initContainers) || object.spec.initContainers == oldObject.spec.initContainers)",
            "message": "the containers of the cluster's own pods stay as they are",
        }]),
    ));
    // One step below folders in which only the provisioners make something: no link that a pod has left there can lead elsewhere.
    let folder = |field: &str| {
        format!(
            "(has(object.spec.{field}) && object.spec.{field}.path.matches('^(/var/local-path-provisioner|/tmp/hostpath_pv)/[a-zA-Z0-9][^/]*$'))"
        )
    };
    objects.extend(policy(
        "cordon-volumes",
        &[rule("", &["persistentvolumes"], &["CREATE", "UPDATE"])],
        &[],
        &json!([]),
        &json!([{
            "expression": format!("has(object.spec.csi) || {} || {}", folder("hostPath"), folder("local")),
            "message": format!("volumes that the node mounts from its own disk or from elsewhere are refused; a CSI driver's are not: {WHY}"),
        }]),
    ));
    objects.extend(policy(
        "cordon-certificates",
        &[rule("certificates.k8s.io", &["certificatesigningrequests"], &["CREATE"])],
        &[(
            "not-of-a-kubelet",
            "!('system:nodes' in request.userInfo.groups && object.spec.signerName == 'kubernetes.io/kube-apiserver-client-kubelet')"
                .to_owned(),
        )],
        &json!([]),
        &json!([{
            "expression": "!object.spec.signerName.startsWith('kubernetes.io/')",
            "message": "certificates of the cluster's own signers are refused: they could name any identity",
        }]),
    ));
    let sets = parts.workloads.iter().filter(|workload| workload["kind"] == "DaemonSet").map(|set| text(set, "/metadata/name"));
    objects.extend(policy(
        "cordon-system",
        &[rule("apps", &["daemonsets"], &["UPDATE", "DELETE"])],
        &[
            ("of-the-cluster", format!("request.namespace == 'kube-system' && oldObject.metadata.name in {}", list(sets))),
            (
                "by-a-learner",
                format!(
                    "!request.userInfo.groups.exists(g, g in ['system:masters', 'kubeadm:cluster-admins']) \
                     && !(request.userInfo.username in ['{DAEMON_SETS}', 'system:serviceaccount:kube-system:generic-garbage-collector'])"
                ),
            ),
        ],
        &json!([]),
        &json!([{"expression": "false", "message": "the DaemonSets that the cluster is made of stay as they are"}]),
    ));
    objects
}

fn pods(parts: Parts<'_>) -> Vec<Value> {
    let any = |all: Vec<String>| if all.is_empty() { "false".to_owned() } else { all.join(" || ") };
    let variables = json!([
        {"name": "all", "expression": "object.spec.containers + (has(object.spec.initContainers) ? object.spec.initContainers : []) \
            + (has(object.spec.ephemeralContainers) ? object.spec.ephemeralContainers : [])"},
        {"name": "volumes", "expression": "has(object.spec.volumes) ? object.spec.volumes : []"},
        {"name": "system", "expression": any(parts.workloads.iter().map(own_pod).collect())},
        {"name": "plugin", "expression": any(parts.plugins.iter().map(plugin_pod).collect())},
        {"name": "storage", "expression": if parts.storage_helper.is_empty() { "false".to_owned() } else { storage_pod(parts.storage_helper) }},
    ]);
    let context = |field: &str| format!("has(c.securityContext) && has(c.securityContext.{field})");
    let no_host = |field: &str| format!("(!has(object.spec.{field}) || !object.spec.{field})");
    let capabilities = "['AUDIT_WRITE', 'CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'KILL', 'MKNOD', 'NET_BIND_SERVICE', 'SETFCAP', \
        'SETGID', 'SETPCAP', 'SETUID', 'SYS_CHROOT']";
    // As on the level restricted, and images.
    let kinds = ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret"];
    let harmless = kinds.map(|kind| format!("has(v.{kind})")).join(" || ");
    let rules = [
        (
            format!("!({OWN}) || variables.system || variables.plugin || variables.storage"),
            "pods in the cluster's own namespaces are refused",
        ),
        (
            format!(
                "variables.system || variables.plugin || variables.all.all(c, !({}) || !c.securityContext.privileged)",
                context("privileged")
            ),
            "privileged containers are refused",
        ),
        (
            "variables.system || variables.plugin || variables.storage || variables.volumes.all(v, !has(v.hostPath))".to_owned(),
            "hostPath volumes are refused",
        ),
        (
            format!("variables.volumes.all(v, has(v.hostPath) || {harmless})"),
            "volumes that the node itself mounts from elsewhere are refused",
        ),
        (
            format!("variables.system || ({} && {} && {})", no_host("hostNetwork"), no_host("hostPID"), no_host("hostIPC")),
            "hostNetwork, hostPID and hostIPC are refused",
        ),
        (
            format!(
                "variables.system || variables.all.all(c, !({} && has(c.securityContext.capabilities.add)) \
                 || c.securityContext.capabilities.add.all(n, n in {capabilities}))",
                context("capabilities")
            ),
            "capabilities beyond those of the Pod Security level baseline are refused",
        ),
        (
            format!("variables.all.all(c, !({}) || c.securityContext.procMount == 'Default')", context("procMount")),
            "an unmasked /proc is refused",
        ),
    ];
    let rules = rules.map(|(expression, what)| json!({"expression": expression, "message": format!("{what}: {WHY}")}));
    policy(
        "cordon-pods",
        &[rule("", &["pods"], &["CREATE"]), rule("", &["pods/ephemeralcontainers"], &["UPDATE"])],
        &[(
            // A kubelet only mirrors what its node's own files say, and runs no pod that says it is a mirror.
            "not-a-mirror",
            "!('system:nodes' in request.userInfo.groups && has(object.metadata.annotations) \
             && 'kubernetes.io/config.mirror' in object.metadata.annotations)"
                .to_owned(),
        )],
        &variables,
        &Value::from(Vec::from(rules)),
    )
}

/// In CEL: this pod is one of the workload's, field by field, but for what is filled in on its way.
fn own_pod(workload: &Value) -> String {
    let template = &workload["spec"]["template"]["spec"];
    let controller = if workload["kind"] == "DaemonSet" { DAEMON_SETS } else { REPLICA_SETS };
    let apart: Vec<&str> = FILLED_IN.iter().chain(&["containers", "initContainers", "volumes"]).copied().collect();
    format!(
        "(request.namespace == {} && request.userInfo.username == '{controller}' && {} && {} && {} \
         && (!has(object.spec.volumes) || object.spec.volumes.all(v, v in {} || {ACCESS})))",
        quoted(text(workload, "/metadata/namespace")),
        same("object.spec", template, &apart),
        same_containers("containers", template),
        same_containers("initContainers", template),
        items(&template["volumes"]),
    )
}

/// In CEL: what `path` leads to has the fields of `wanted` and no others, those in `apart` left out.
fn same(path: &str, wanted: &Value, apart: &[&str]) -> String {
    let fields = wanted.as_object().into_iter().flatten().filter(|(key, _)| !apart.contains(&key.as_str()));
    let fields: Map<String, Value> = fields.map(|(key, value)| (key.clone(), value.clone())).collect();
    format!(
        "[{}].all(t, {path}.all(k, k in {} || (k in t && {path}[k] == t[k])) && t.all(k, k in {path}))",
        literal(&Value::Object(fields)),
        list(apart.iter().copied()),
    )
}

fn same_containers(field: &str, template: &Value) -> String {
    let wanted = template[field].as_array().cloned().unwrap_or_default();
    if wanted.is_empty() {
        return format!("!has(object.spec.{field})");
    }
    let mut parts = vec![format!("has(object.spec.{field}) && object.spec.{field}.size() == {}", wanted.len())];
    let apart: Vec<&str> = FREE_OF_CONTAINERS.iter().chain(&["volumeMounts"]).copied().collect();
    for (index, container) in wanted.iter().enumerate() {
        parts.push(format!(
            "[object.spec.{field}[{index}]].all(c, {} && (!has(c.volumeMounts) || c.volumeMounts.all(m, m in {} || {})))",
            same("c", container, &apart),
            items(&container["volumeMounts"]),
            mount_of_tokens(),
        ));
    }
    parts.join(" && ")
}

fn mount_of_tokens() -> String {
    format!("(m.mountPath == '{TOKENS}' && m.name.startsWith('kube-api-access-') && !has(m.subPath) && !has(m.subPathExpr))")
}

/// In CEL: this pod is the lab's device plugin. What a learner may turn in it are its security context and its resources, and nothing that
/// decides what it does: arguments and environment choose the host's folders that it hands to other pods.
fn plugin_pod(plugin: &DevicePlugin) -> String {
    let fields = [
        "env",
        "image",
        "imagePullPolicy",
        "name",
        "resources",
        "securityContext",
        "terminationMessagePath",
        "terminationMessagePolicy",
        "volumeMounts",
    ];
    format!(
        "(request.namespace == {} && request.userInfo.username == '{DAEMON_SETS}' && has(object.metadata.ownerReferences) \
         && object.metadata.ownerReferences.exists(o, has(o.controller) && o.controller && o.kind == 'DaemonSet' && o.name == {}) \
         && !has(object.spec.initContainers) && !has(object.spec.ephemeralContainers) && object.spec.serviceAccountName == 'default' \
         && object.spec.containers.all(c, c.all(k, k in {}) && c.image == {} \
         && (!has(c.env) || c.env.all(e, e.name == 'FAIL_ON_INIT_ERROR' && has(e.value))) \
         && (!has(c.volumeMounts) || c.volumeMounts.all(m, m.mountPath == '{KUBELET_PLUGINS}' || {}))) \
         && (!has(object.spec.volumes) || object.spec.volumes.all(v, (has(v.hostPath) && v.hostPath.path == '{KUBELET_PLUGINS}') || {ACCESS})))",
        quoted(&plugin.namespace),
        quoted(&plugin.name),
        list(fields.into_iter()),
        quoted(&plugin.image),
        mount_of_tokens(),
    )
}

/// In CEL: this pod makes or removes one directory for the storage provisioner, by the provisioner's own script.
fn storage_pod(image: &str) -> String {
    format!(
        "(request.namespace == 'local-path-storage' && request.userInfo.username == '{PROVISIONER}' \
         && !has(object.spec.initContainers) && !has(object.spec.ephemeralContainers) && object.spec.containers.size() == 1 \
         && object.spec.containers.all(c, c.image == {} \
         && has(c.command) && c.command in [['/bin/sh', '/script/setup'], ['/bin/sh', '/script/teardown']] \
         && !has(c.lifecycle) && !has(c.envFrom) && !has(c.livenessProbe) && !has(c.readinessProbe) && !has(c.startupProbe) \
         && (!has(c.env) || c.env.all(e, e.name.startsWith('VOL_'))) \
         && has(c.volumeMounts) && c.volumeMounts.all(m, !has(m.subPath) && !has(m.subPathExpr) \
         && ((m.name == 'script' && m.mountPath == '/script') || (m.name == 'data' && m.mountPath == '/var/local-path-provisioner') \
         || m.mountPath == '{TOKENS}'))) \
         && object.spec.volumes.all(v, (v.name == 'script' && has(v.configMap) && v.configMap.name == 'local-path-config' \
         && (!has(v.configMap.items) || v.configMap.items.all(i, i.path == i.key))) \
         || (v.name == 'data' && has(v.hostPath) && v.hostPath.path in ['/var/local-path-provisioner', '/var/local-path-provisioner/']) \
         || {ACCESS}))",
        quoted(image),
    )
}

/// A list of strings in CEL.
fn list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    format!("[{}]", items.map(quoted).collect::<Vec<_>>().join(", "))
}

/// A string in CEL, whose escapes are those of JSON and more.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// A value in CEL. The API server wants lists and maps of one type, which `dyn` is.
fn literal(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(dynamic).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let fields: Vec<String> = fields.iter().map(|(key, value)| format!("{}: {}", quoted(key), dynamic(value))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        other => other.to_string(),
    }
}

/// A list in CEL, empty where there is none.
fn items(value: &Value) -> String {
    literal(&Value::Array(value.as_array().cloned().unwrap_or_default()))
}

fn dynamic(value: &Value) -> String {
    format!("dyn({})", literal(value))
}

fn rule(group: &str, resources: &[&str], operations: &[&str]) -> Value {
    json!({"apiGroups": [group], "apiVersions": ["*"], "resources": resources, "operations": operations})
}

fn policy(name: &str, rules: &[Value], conditions: &[(&str, String)], variables: &Value, validations: &Value) -> Vec<Value> {
    let conditions: Vec<Value> = conditions.iter().map(|(name, expression)| json!({"name": name, "expression": expression})).collect();
    vec![
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": rules},
                "matchConditions": conditions,
                "variables": variables,
                "validations": validations,
            },
        }),
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {"policyName": name, "validationActions": ["Deny"]},
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Vec<Value> {
        let containers = json!([{"name": "c", "image": "proxy:1", "command": ["/proxy", "--node=$(NODE_NAME)"],
            "volumeMounts": [{"name": "m", "mountPath": "/lib/modules"}]}]);
        vec![json!({"kind": "DaemonSet", "metadata": {"name": "kube-proxy", "namespace": "kube-system"},
            "spec": {"template": {"spec": {"serviceAccountName": "kube-proxy", "containers": containers}}}})]
    }

    /// What a real API server makes of all this, the suite on real containers asks it.
    #[test]
    fn the_clusters_own_pods_are_named_to_the_last_word() {
        let parts = Parts { workloads: &own(), storage_helper: "helper:1", plugins: &[] };
        let text = Value::from(policies(parts)).to_string().replace("\\\"", "\"");
        for words in [
            r#"[{"command": dyn([dyn("/proxy"), dyn("--node=$(NODE_NAME)")]), "image": dyn("proxy:1"), "name": dyn("c")}].all(t,"#,
            r#"m in [dyn({"mountPath": dyn("/lib/modules"), "name": dyn("m")})]"#,
            r#"[{"serviceAccountName": dyn("kube-proxy")}].all(t, object.spec.all(k,"#,
            "!has(object.spec.initContainers)",
            r#"c.image == "helper:1""#,
            r#"oldObject.metadata.name in ["kube-proxy"]"#,
        ] {
            assert!(text.contains(words), "{words}\n{text}");
        }
    }

    #[test]
    fn nothing_passes_where_nothing_is_named() {
        let objects = policies(Parts { workloads: &[], storage_helper: "", plugins: &[] });
        let variables = objects[0]["spec"]["variables"].as_array().unwrap();
        for variable in variables.iter().filter(|variable| !matches!(text(variable, "/name"), "all" | "volumes")) {
            assert_eq!(variable["expression"], "false", "{variable}");
        }
        let bound: Vec<&str> = objects.iter().map(|object| text(object, "/metadata/name")).collect();
        let names = ["cordon-pods", "cordon-own-pods", "cordon-volumes", "cordon-certificates", "cordon-system"];
        assert_eq!(bound, names.map(|name| [name, name]).concat());
    }

    #[test]
    fn names_cannot_leave_their_quotes() {
        assert_eq!(list(["a", "b\"] || true || [\""].into_iter()), r#"["a", "b\"] || true || [\""]"#);
        assert_eq!(list(std::iter::empty()), "[]");
    }
}
