//! Mutants of a right solution: one graded control undone at a time. Each must lose points, else the lab does not grade that control.

use checkers::standards::{self, pod_template};
use serde_json::{Value, json};

/// One change to one object of a cluster that scores 100.
#[derive(Debug, Clone, PartialEq)]
pub struct Mutant {
    /// `Deployment/ml/serving: restricted/runAsNonRoot`.
    pub name: String,
    /// The control that it undoes.
    pub control: String,
    /// Index of the object among those that were given.
    pub object: usize,
    /// The object as it becomes; `None`: it is deleted.
    pub becomes: Option<Value>,
}

type Change = fn(&mut Value);

/// Changes to a pod's spec. `container` ones are made to every container in turn.
const POD: [(&str, Change); 9] = [
    ("baseline/hostNamespaces", |spec| spec["hostPID"] = true.into()),
    ("baseline/hostNamespaces", |spec| spec["hostIPC"] = true.into()),
    ("baseline/hostNamespaces", |spec| spec["hostNetwork"] = true.into()),
    ("restricted/runAsNonRoot", |spec| remove(spec, "runAsNonRoot")),
    ("restricted/runAsUser", |spec| spec["securityContext"]["runAsUser"] = 0.into()),
    ("restricted/seccompProfile_restricted", |spec| remove(spec, "seccompProfile")),
    ("baseline/sysctls", |spec| spec["securityContext"]["sysctls"] = json!([{"name": "kernel.msgmax", "value": "65536"}])),
    ("token/automount", |spec| spec["automountServiceAccountToken"] = true.into()),
    ("restricted/restrictedVolumes", |spec| {
        push(spec, "volumes", json!({"name": "mutant", "hostPath": {"path": "/dev/nvidia0"}}));
    }),
];

const CONTAINER: [(&str, Change); 15] = [
    ("baseline/privileged", |c| {
        c["securityContext"]["allowPrivilegeEscalation"] = true.into();
        c["securityContext"]["privileged"] = true.into();
    }),
    ("restricted/allowPrivilegeEscalation", |c| take(c, "allowPrivilegeEscalation")),
    ("restricted/allowPrivilegeEscalation", |c| c["securityContext"]["allowPrivilegeEscalation"] = true.into()),
    ("restricted/capabilities_restricted", |c| take(c, "capabilities")),
    ("restricted/capabilities_restricted", |c| push(&mut c["securityContext"]["capabilities"], "add", "SYS_ADMIN".into())),
    ("restricted/runAsNonRoot", |c| c["securityContext"]["runAsNonRoot"] = false.into()),
    ("restricted/runAsUser", |c| c["securityContext"]["runAsUser"] = 0.into()),
    ("restricted/seccompProfile_restricted", |c| c["securityContext"]["seccompProfile"] = json!({"type": "Unconfined"})),
    ("baseline/seLinuxOptions", |c| c["securityContext"]["seLinuxOptions"] = json!({"type": "spc_t"})),
    ("baseline/appArmorProfile", |c| c["securityContext"]["appArmorProfile"] = json!({"type": "Unconfined"})),
    ("baseline/hostPorts", |c| push(c, "ports", json!({"containerPort": 10250, "hostPort": 10250, "name": "mutant"}))),
    ("baseline/hostProbesAndHostLifecycle", |c| {
        c["livenessProbe"] = json!({"tcpSocket": {"host": "169.254.169.254", "port": 80}, "failureThreshold": 1000});
    }),
    ("rootfs/readOnly", |c| take(c, "readOnlyRootFilesystem")),
    ("rootfs/readOnly", |c| c["securityContext"]["readOnlyRootFilesystem"] = false.into()),
    ("gpu/visibleDevices", |c| push(c, "env", json!({"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}))),
];

fn remove(spec: &mut Value, key: &str) {
    if let Some(fields) = spec["securityContext"].as_object_mut() {
        fields.remove(key);
    }
}

fn take(container: &mut Value, key: &str) {
    remove(container, key);
}

fn push(object: &mut Value, key: &str, item: Value) {
    if !object[key].is_array() {
        object[key] = Value::Array(Vec::new());
    }
    if let Some(items) = object[key].as_array_mut() {
        items.push(item);
    }
}

/// Every mutant of these objects: workloads lose one control of their pods, policies widen or go away, the device plugin goes away.
/// Changes that change nothing, or that another setting of the same pod makes up for, are left out.
pub fn mutants(objects: &[Value]) -> Vec<Mutant> {
    let mut all = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        let id = checkers::manifest::id(object);
        let mut add = |control: &str, what: &str, becomes: Option<Value>| {
            if becomes.as_ref() != Some(object) {
                all.push(Mutant { name: format!("{id}: {what}"), control: control.to_owned(), object: index, becomes });
            }
        };
        match object["kind"].as_str().unwrap_or_default() {
            "Deployment" | "StatefulSet" | "Pod" => workload(object, &mut add),
            "DaemonSet" => add("gpu/devicePlugin", "deleted", None),
            "NetworkPolicy" => policy(object, &mut add),
            _ => {}
        }
    }
    all
}

type Add<'a> = dyn FnMut(&str, &str, Option<Value>) + 'a;

/// The spec of the pod inside an object.
fn pod_spec(object: &mut Value) -> Option<&mut Value> {
    let path = pod_template(object)?.path;
    let mut value = object;
    for key in path.split('.').filter(|key| !key.is_empty()) {
        value = value.get_mut(key)?;
    }
    value.get_mut("spec")
}

fn workload(object: &Value, add: &mut Add<'_>) {
    let Some(template) = pod_template(object) else { return };
    let refused = |becomes: &Value| {
        // What no longer violates anything (a container says the same as the pod did) is no mutant of this control.
        pod_template(becomes).map(|t| {
            let evaluation = standards::evaluate(standards::Level::Restricted, standards::Version::Latest, t.metadata, t.spec);
            evaluation.forbidden.iter().map(|f| f.control).collect::<Vec<_>>()
        })
    };
    let bites = |control: &str, becomes: &Value| {
        let Some((family, id)) = control.split_once('/') else { return true };
        !matches!(family, "baseline" | "restricted")
            || refused(becomes).is_some_and(|controls| controls.iter().any(|c| *c == id || family == "baseline"))
    };
    for (control, change) in POD {
        let mut becomes = object.clone();
        if let Some(spec) = pod_spec(&mut becomes) {
            change(spec);
        }
        if bites(control, &becomes) {
            add(control, &format!("pod: {control}"), Some(becomes));
        }
    }
    for list in ["initContainers", "containers"] {
        let count = template.spec[list].as_array().map_or(0, Vec::len);
        for container in 0..count {
            for (number, (control, change)) in CONTAINER.iter().enumerate() {
                let mut becomes = object.clone();
                if let Some(spec) = pod_spec(&mut becomes) {
                    change(&mut spec[list][container]);
                }
                if bites(control, &becomes) {
                    add(control, &format!("{list}[{container}]: {control} #{number}"), Some(becomes));
                }
            }
            if !template.spec[list][container]["resources"]["limits"]["nvidia.com/gpu"].is_null() {
                let mut becomes = object.clone();
                if let Some(limits) = pod_spec(&mut becomes).and_then(|spec| spec[list][container]["resources"].as_object_mut()) {
                    limits.remove("limits");
                    limits.remove("requests");
                }
                add("gpu/limits", &format!("{list}[{container}]: gpu/limits"), Some(becomes));
            }
        }
    }
}

fn policy(object: &Value, add: &mut Add<'_>) {
    add("reachability", "deleted", None);
    for direction in ["ingress", "egress"] {
        let count = object["spec"][direction].as_array().map_or(0, Vec::len);
        for rule in 0..count {
            let peers = if direction == "ingress" { "from" } else { "to" };
            let peer_count = object["spec"][direction][rule][peers].as_array().map_or(0, Vec::len);
            if direction == "ingress" && peer_count > 0 {
                let mut becomes = object.clone();
                becomes["spec"][direction][rule][peers] = json!([]);
                add("reachability", &format!("{direction}[{rule}] from everybody"), Some(becomes));
            }
            for peer in 0..peer_count {
                for selector in ["podSelector", "namespaceSelector"] {
                    let found = &object["spec"][direction][rule][peers][peer][selector];
                    if direction == "ingress" && found.as_object().is_some_and(|fields| !fields.is_empty()) {
                        let mut becomes = object.clone();
                        becomes["spec"][direction][rule][peers][peer][selector] = json!({});
                        add("reachability", &format!("{direction}[{rule}].{peers}[{peer}].{selector} matches all"), Some(becomes));
                    }
                }
            }
            let mut becomes = object.clone();
            if let Some(rules) = becomes["spec"][direction].as_array_mut() {
                rules.remove(rule);
            }
            add("reachability", &format!("{direction}[{rule}] removed"), Some(becomes));
        }
    }
}
