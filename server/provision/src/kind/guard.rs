//! What stands between a learner, who is cluster-admin, and root on the node, which is root on the host.
//!
//! ```text
//! request ──► authorizer `cordon.dev` (a file of the API server: no request changes it)  closes the ways around admission
//!         ──► RBAC                                                                        learners are cluster-admin
//!         ──► ValidatingAdmissionPolicies `cordon-…`                                      refuse pods that reach the node
//! ```
//!
//! Admission policies are objects, which a cluster-admin may delete, and requests from inside pods do not pass our gateway. So the
//! policies are held by the API server's own configuration: a webhook authorizer that exists only for the requests that its
//! conditions match, at an address where nobody answers, with `failurePolicy: Deny`
//! (<https://kubernetes.io/docs/reference/access-authn-authz/authorization/#using-configuration-file-for-authorization>).

use crate::kind::{kubeadm::GUARD_FOLDER, objects::text, settings::DevicePlugin};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The group of everybody who comes through the gateway as an administrator.
pub const LEARNERS: &str = "cordon:learners";

/// Stands in what the API server says where the authorizer closed a door.
pub const CLOSED_DOOR: &str = "127.0.0.1:1/";

/// What is said instead.
pub const CLOSED: &str = "this request leads around the guard between pods and the node, which on a kind cluster is root on the host; \
    the operator can open it with kind.trusted_learners";

const KUBELET_PLUGINS: &str = "/var/lib/kubelet/device-plugins";

const WHY: &str = "a node of a kind cluster is root on the host, so pods may not reach it";
const PROVISIONER: &str = "system:serviceaccount:local-path-storage:local-path-provisioner-service-account";
/// Where a pod finds its account's token.
const TOKENS: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Of a container `c`: nothing beside its command runs in it, and nothing else is loaded into that.
const QUIET: &str = "!has(c.lifecycle) && !has(c.envFrom) && (!has(c.env) || c.env.all(e, !e.name.startsWith('LD_'))) \
    && (!has(c.livenessProbe) || !has(c.livenessProbe.exec)) && (!has(c.readinessProbe) || !has(c.readinessProbe.exec)) \
    && (!has(c.startupProbe) || !has(c.startupProbe.exec))";

/// Who runs the cluster itself: its own components, and kubeadm's certificates (its administrator, and the API server as the
/// kubelets' client).
const SYSTEM_USERS: &str = "request.user in ['system:kube-controller-manager', 'system:kube-scheduler', 'system:kube-proxy'] \
    || request.user.startsWith('system:node:') || request.user.startsWith('system:bootstrap:') \
    || request.groups.exists(g, g in ['kubeadm:cluster-admins', 'system:serviceaccounts:kube-system', \
    'system:serviceaccounts:local-path-storage'])";

/// Doors around admission, each of which leads to the node or to an identity that admission trusts.
const DOORS: &[(&str, &str)] = &[
    (
        "the guard's own policies",
        "ra.group == 'admissionregistration.k8s.io' && ra.resource.startsWith('validatingadmissionpolic') \
         && ra.verb in ['update', 'patch', 'delete', 'deletecollection'] && (ra.name == '' || ra.name.startsWith('cordon-'))",
    ),
    ("the kubelet's API", "ra.group == '' && ra.resource == 'nodes' && ra.subresource != '' && ra.subresource != 'status'"),
    (
        "the identities of the cluster's own components",
        "ra.verb == 'impersonate' && ((ra.resource == 'serviceaccounts' && ra.namespace in ['kube-system', 'local-path-storage']) \
         || (ra.resource == 'users' && (ra.name == 'kubernetes-admin' || ra.name.startsWith('system:'))) \
         || (ra.resource == 'groups' && (ra.name == 'kubeadm:cluster-admins' || (ra.name.startsWith('system:') \
         && !(ra.name in ['system:authenticated', 'system:unauthenticated', 'system:serviceaccounts']) \
         && (!ra.name.startsWith('system:serviceaccounts:') \
         || ra.name in ['system:serviceaccounts:kube-system', 'system:serviceaccounts:local-path-storage'])))))",
    ),
    (
        "client certificates, which could name any identity",
        "ra.group == 'certificates.k8s.io' && (ra.resource == 'signers' || ra.subresource in ['approval', 'status'])",
    ),
    (
        "pods, accounts and configuration in kube-system",
        "ra.namespace == 'kube-system' && ra.verb in ['create', 'update', 'patch'] && !(ra.resource in ['daemonsets', 'services', \
         'networkpolicies', 'roles', 'rolebindings', 'resourcequotas', 'limitranges', 'poddisruptionbudgets'])",
    ),
    ("processes in kube-system", "ra.namespace == 'kube-system' && ra.resource == 'pods' && ra.subresource in ['exec', 'attach']"),
    (
        "the storage provisioner",
        "ra.namespace == 'local-path-storage' && (ra.verb in ['create', 'update', 'patch'] || ra.subresource in ['exec', 'attach'])",
    ),
    (
        "the API server's own groups, which an aggregated API could stand in for",
        "ra.group == 'apiregistration.k8s.io' && ra.verb in ['update', 'patch', 'delete', 'deletecollection'] \
         && ra.name != 'v1beta1.metrics.k8s.io' && (ra.name.endsWith('.k8s.io') || ra.name.split('.').size() < 3)",
    ),
];

/// Files for the control plane's node, by path, with their modes.
pub fn files() -> BTreeMap<String, (String, u32)> {
    let kubeconfig = "apiVersion: v1
kind: Config
clusters: [{name: nobody, cluster: {server: \"https://127.0.0.1:1/\"}}]
users: [{name: nobody, user: {}}]
contexts: [{name: nobody, context: {cluster: nobody, user: nobody}}]
current-context: nobody
";
    [("authorization.yaml", authorization()), ("nobody.conf", kubeconfig.to_owned())]
        .map(|(name, text)| (format!("{GUARD_FOLDER}/{name}"), (text, 0o600)))
        .into()
}

/// JSON is YAML too; the API server reads both.
fn authorization() -> String {
    let doors: Vec<String> = DOORS.iter().map(|(_, door)| format!("({})", door.replace("ra.", "request.resourceAttributes."))).collect();
    let conditions = [
        "has(request.resourceAttributes)".to_owned(),
        format!("!({SYSTEM_USERS})"),
        format!("has(request.resourceAttributes) && ({})", doors.join(" || ")),
    ];
    let document = json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthorizationConfiguration",
        "authorizers": [
            {
                "type": "Webhook",
                "name": "cordon.dev",
                "webhook": {
                    "authorizedTTL": "1s",
                    "unauthorizedTTL": "60s",
                    "timeout": "1s",
                    "subjectAccessReviewVersion": "v1",
                    "matchConditionSubjectAccessReviewVersion": "v1",
                    "failurePolicy": "Deny",
                    "connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": format!("{GUARD_FOLDER}/nobody.conf")},
                    "matchConditions": conditions.map(|expression| json!({"expression": expression})),
                },
            },
            {"type": "Node", "name": "node"},
            {"type": "RBAC", "name": "rbac"},
        ],
    });
    format!("{document:#}\n")
}

/// Learners are cluster-admin by RBAC, and not above it as `system:masters` is.
pub fn learners_binding() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": LEARNERS},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": LEARNERS}],
    })
}

/// Policies and their bindings. `own` are the DaemonSets and Deployments that the cluster itself is made of, as they are: their pods
/// pass by being exactly those, since a learner's webhook may change any pod on its way.
pub fn policies(own: &[Value], plugins: &[DevicePlugin]) -> Vec<Value> {
    let mut objects = pods(own, plugins);
    objects.extend(policy(
        "cordon-volumes",
        &[rule("", &["persistentvolumes"], &["CREATE"])],
        &[(
            "not-of-a-provisioner",
            format!("!(request.userInfo.username in ['{PROVISIONER}', 'system:serviceaccount:kube-system:persistent-volume-binder'])"),
        )],
        &json!([]),
        &json!([{
            "expression": "!has(object.spec.hostPath) && !has(object.spec.local)",
            "message": format!("volumes on the node's disk are refused: {WHY}"),
        }]),
    ));
    objects.extend(policy(
        "cordon-certificates",
        &[rule("certificates.k8s.io", &["certificatesigningrequests"], &["CREATE"])],
        &[("not-of-a-kubelet", "!('system:nodes' in request.userInfo.groups)".to_owned())],
        &json!([]),
        &json!([{
            "expression": "!object.spec.signerName.startsWith('kubernetes.io/')",
            "message": "certificates of the cluster's own signers are refused: they could name any identity",
        }]),
    ));
    let sets = own.iter().filter(|workload| workload["kind"] == "DaemonSet").map(|set| text(set, "/metadata/name"));
    objects.extend(policy(
        "cordon-system",
        &[rule("apps", &["daemonsets"], &["UPDATE", "DELETE"])],
        &[
            ("of-the-cluster", format!("request.namespace == 'kube-system' && oldObject.metadata.name in {}", list(sets))),
            (
                "by-a-learner",
                "!request.userInfo.groups.exists(g, g in ['system:masters', 'kubeadm:cluster-admins', \
                 'system:serviceaccounts:kube-system'])"
                    .to_owned(),
            ),
        ],
        &json!([]),
        &json!([{"expression": "false", "message": "the DaemonSets that the cluster is made of stay as they are"}]),
    ));
    objects
}

fn pods(own: &[Value], plugins: &[DevicePlugin]) -> Vec<Value> {
    let controller = |kind: &str| match kind {
        "DaemonSet" => "system:serviceaccount:kube-system:daemon-set-controller",
        _ => "system:serviceaccount:kube-system:replicaset-controller",
    };
    let system: Vec<String> = own
        .iter()
        .map(|workload| {
            let template = &workload["spec"]["template"]["spec"];
            format!(
                "(request.namespace == {} && request.userInfo.username == '{}' && object.spec.serviceAccountName == {} && {} && {} \
                 && !has(object.spec.ephemeralContainers))",
                quoted(text(workload, "/metadata/namespace")),
                controller(text(workload, "/kind")),
                quoted(text(template, "/serviceAccountName")),
                same_containers("containers", template),
                same_containers("initContainers", template),
            )
        })
        .collect();
    let plugin: Vec<String> = plugins
        .iter()
        .map(|plugin| {
            format!(
                "(request.namespace == {} && request.userInfo.username == '{}' && has(object.metadata.ownerReferences) \
                 && object.metadata.ownerReferences.exists(o, has(o.controller) && o.controller && o.kind == 'DaemonSet' && o.name == {}) \
                 && !has(object.spec.initContainers) && !has(object.spec.ephemeralContainers) \
                 && object.spec.containers.all(c, c.image == {} && !has(c.command) && {QUIET} \
                 && (!has(c.volumeMounts) || c.volumeMounts.all(m, m.mountPath in ['{KUBELET_PLUGINS}', '{TOKENS}']))) \
                 && (!has(object.spec.volumes) || object.spec.volumes.all(v, !has(v.hostPath) || v.hostPath.path == '{KUBELET_PLUGINS}')))",
                quoted(&plugin.namespace),
                controller("DaemonSet"),
                quoted(&plugin.name),
                quoted(&plugin.image),
            )
        })
        .collect();
    let any = |all: &[String]| if all.is_empty() { "false".to_owned() } else { all.join(" || ") };
    let variables = json!([
        {"name": "all", "expression": "object.spec.containers + (has(object.spec.initContainers) ? object.spec.initContainers : []) \
            + (has(object.spec.ephemeralContainers) ? object.spec.ephemeralContainers : [])"},
        {"name": "system", "expression": any(&system)},
        {"name": "plugin", "expression": any(&plugin)},
        {"name": "storage", "expression": format!("request.namespace == 'local-path-storage' && request.userInfo.username == '{PROVISIONER}'")},
    ]);
    let context = |field: &str| format!("has(c.securityContext) && has(c.securityContext.{field})");
    let no_host = |field: &str| format!("(!has(object.spec.{field}) || !object.spec.{field})");
    let capabilities = "['AUDIT_WRITE', 'CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'KILL', 'MKNOD', 'NET_BIND_SERVICE', 'SETFCAP', \
        'SETGID', 'SETPCAP', 'SETUID', 'SYS_CHROOT']";
    let rules = [
        (
            "!(request.namespace in ['kube-system', 'local-path-storage']) || variables.system || variables.plugin || variables.storage"
                .to_owned(),
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
            "variables.system || variables.plugin || !has(object.spec.volumes) || object.spec.volumes.all(v, !has(v.hostPath) \
             || (variables.storage && v.hostPath.path.startsWith('/var/local-path-provisioner')))"
                .to_owned(),
            "hostPath volumes are refused",
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
        // A kubelet only mirrors what its node's own files say.
        &[("not-of-a-kubelet", "!('system:nodes' in request.userInfo.groups)".to_owned())],
        &variables,
        &Value::from(Vec::from(rules)),
    )
}

/// In CEL: these containers are those of the template, with nothing that runs or loads something else.
fn same_containers(field: &str, template: &Value) -> String {
    let wanted = template[field].as_array().cloned().unwrap_or_default();
    if wanted.is_empty() {
        return format!("!has(object.spec.{field})");
    }
    let mut parts = vec![format!("has(object.spec.{field}) && object.spec.{field}.size() == {}", wanted.len())];
    for (index, container) in wanted.iter().enumerate() {
        let strings = |field: &str| list(container[field].as_array().into_iter().flatten().filter_map(Value::as_str));
        let mounts = container["volumeMounts"].as_array().into_iter().flatten().map(|mount| text(mount, "/mountPath"));
        parts.push(format!(
            "[object.spec.{field}[{index}]].all(c, c.image == {} && (has(c.command) ? c.command : []) == {} \
             && (has(c.args) ? c.args : []) == {} && {QUIET} \
             && (!has(c.volumeMounts) || c.volumeMounts.all(m, m.mountPath in {})))",
            quoted(text(container, "/image")),
            strings("command"),
            strings("args"),
            list(mounts.chain([TOKENS])),
        ));
    }
    parts.join(" && ")
}

/// A list of strings in CEL.
fn list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    format!("[{}]", items.map(quoted).collect::<Vec<_>>().join(", "))
}

/// A string in CEL, whose escapes are those of JSON and more.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
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
        let text = Value::from(policies(&own(), &[])).to_string().replace("\\\"", "\"");
        for words in [
            r#"c.image == "proxy:1""#,
            r#"== ["/proxy", "--node=$(NODE_NAME)"]"#,
            r#"m.mountPath in ["/lib/modules", "/var/run/secrets/kubernetes.io/serviceaccount"]"#,
            r#"object.spec.serviceAccountName == "kube-proxy""#,
            "!has(object.spec.initContainers)",
            r#"oldObject.metadata.name in ["kube-proxy"]"#,
        ] {
            assert!(text.contains(words), "{words}");
        }
    }

    #[test]
    fn nothing_passes_where_nothing_is_named() {
        let objects = policies(&[], &[]);
        let variables = &objects[0]["spec"]["variables"];
        assert_eq!((&variables[1]["expression"], &variables[2]["expression"]), (&json!("false"), &json!("false")));
        let bound: Vec<&str> = objects.iter().map(|object| text(object, "/metadata/name")).collect();
        assert_eq!(bound, ["cordon-pods", "cordon-volumes", "cordon-certificates", "cordon-system"].map(|name| [name, name]).concat());
    }

    #[test]
    fn names_cannot_leave_their_quotes() {
        assert_eq!(list(["a", "b\"] || true || [\""].into_iter()), r#"["a", "b\"] || true || [\""]"#);
        assert_eq!(list(std::iter::empty()), "[]");
    }

    #[test]
    fn the_files_are_one_configuration() {
        let files = files();
        let (text, mode) = &files[&format!("{GUARD_FOLDER}/authorization.yaml")];
        let parsed: Value = serde_json::from_str(text).unwrap();
        let webhook = &parsed["authorizers"][0]["webhook"];
        assert_eq!((*mode, &webhook["failurePolicy"]), (0o600, &json!("Deny")));
        assert!(files.contains_key(webhook["connectionInfo"]["kubeConfigFile"].as_str().unwrap()));
        assert!(files[&format!("{GUARD_FOLDER}/nobody.conf")].0.contains(CLOSED_DOOR));
    }
}
