//! Pods and pod templates.

use super::{canonical, each, empty, missing, object_at, omit_empty, part, resource_list, unset};
use crate::quantity::Quantity;
use serde_json::{Map, Value, json};

pub(super) fn pod(pod: &mut Value) {
    if let Some(spec) = part(pod, "spec") {
        for list in ["initContainers", "containers"] {
            for container in each(spec, list) {
                requests_from_limits(container);
            }
        }
        pod_requests(spec);
        missing(spec, "enableServiceLinks", true);
        if spec["terminationGracePeriodSeconds"].as_i64().is_some_and(|seconds| seconds < 0) {
            spec["terminationGracePeriodSeconds"] = 1.into();
        }
        self::spec(spec);
        if spec["hostNetwork"] == true {
            for list in ["initContainers", "containers"] {
                for container in each(spec, list) {
                    for port in each(container, "ports") {
                        let inside = port["containerPort"].clone();
                        unset(port, "hostPort", inside);
                    }
                }
            }
        }
    }
    if let Some(status) = part(pod, "status") {
        for condition in each(status, "conditions") {
            // Times that Go prints even where they are not set.
            for field in ["lastProbeTime", "lastTransitionTime"] {
                if condition.get(field).is_none() {
                    condition[field] = Value::Null;
                }
            }
        }
    }
}

/// `template` of a workload: like a pod, but without what only a pod itself gets.
pub(super) fn template(owner: &mut Value) {
    if let Some(template) = part(owner, "template") {
        part(template, "metadata");
        if let Some(spec) = part(template, "spec") {
            self::spec(spec);
        }
    }
}

fn spec(spec: &mut Value) {
    unset(spec, "dnsPolicy", "ClusterFirst");
    unset(spec, "restartPolicy", "Always");
    missing(spec, "securityContext", empty());
    missing(spec, "terminationGracePeriodSeconds", 30);
    unset(spec, "schedulerName", "default-scheduler");
    service_account(spec);
    for volume in each(spec, "volumes") {
        self::volume(volume);
    }
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in each(spec, list) {
            self::container(container);
        }
    }
    resource_list(spec, "overhead");
    if let Some(resources) = object_at(spec, "resources") {
        resource_list(resources, "limits");
        resource_list(resources, "requests");
    }
    omit_empty(
        spec,
        &[
            "volumes",
            "initContainers",
            "ephemeralContainers",
            "nodeName",
            "nodeSelector",
            "hostNetwork",
            "hostPID",
            "hostIPC",
            "imagePullSecrets",
            "hostname",
            "subdomain",
            "tolerations",
            "hostAliases",
            "priorityClassName",
            "readinessGates",
            "topologySpreadConstraints",
            "schedulingGates",
            "resourceClaims",
            "overhead",
        ],
    );
}

/// `serviceAccount` is the old name of `serviceAccountName`; the API server writes both.
fn service_account(spec: &mut Value) {
    let named = ["serviceAccountName", "serviceAccount"].into_iter().find_map(|f| spec[f].as_str().filter(|n| !n.is_empty()));
    match named.map(str::to_owned) {
        Some(name) => {
            spec["serviceAccountName"] = name.clone().into();
            spec["serviceAccount"] = name.into();
        }
        None => omit_empty(spec, &["serviceAccountName", "serviceAccount"]),
    }
}

fn requests_from_limits(container: &mut Value) {
    let Some(resources) = object_at(container, "resources") else { return };
    let Some(limits) = resources["limits"].as_object().cloned() else { return };
    if let Some(requests) = part(resources, "requests") {
        for (name, limit) in limits {
            missing(requests, &name, limit);
        }
    }
    omit_empty(resources, &["requests"]);
}

/// Resources of the pod as a whole: what is limited but not requested is requested as the containers together request it,
/// else as it is limited.
fn pod_requests(spec: &mut Value) {
    let Some(limits) = spec["resources"]["limits"].as_object().filter(|l| !l.is_empty()).cloned() else { return };
    let mut together: Map<String, Value> = Map::new();
    for name in ["cpu", "memory"] {
        if let Some(sum) = containers_together(spec, name) {
            together.insert(name.to_owned(), sum.into());
        }
    }
    if let Some(requests) = object_at(spec, "resources").and_then(|resources| part(resources, "requests")) {
        for (name, sum) in together {
            missing(requests, &name, sum);
        }
        for (name, limit) in limits {
            if name == "cpu" || name == "memory" || name.starts_with("hugepages-") {
                missing(requests, &name, limit);
            }
        }
    }
}

/// Sum of the containers and sidecars, or the largest step of initialization where that is more.
fn containers_together(spec: &Value, name: &str) -> Option<String> {
    let request = |container: &Value| match &container["resources"]["requests"][name] {
        Value::String(text) => Quantity::parse(text).ok(),
        Value::Number(number) => Quantity::parse(&number.to_string()).ok(),
        _ => None,
    };
    let list = |field: &str| spec[field].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut total: Option<Quantity> = None;
    let mut add = |quantity: Quantity| {
        let sum = total.map_or(quantity.nano, |t: Quantity| t.nano.saturating_add(quantity.nano));
        total = Some(Quantity { nano: sum, format: total.map_or(quantity.format, |t: Quantity| t.format) });
    };
    list("containers").iter().filter_map(request).for_each(&mut add);
    let (mut sidecars, mut largest): (i128, Option<Quantity>) = (0, None);
    for container in list("initContainers") {
        let Some(quantity) = request(container) else { continue };
        let mut step = quantity;
        step.nano = step.nano.saturating_add(sidecars);
        if container["restartPolicy"] == "Always" {
            add(quantity);
            sidecars = step.nano;
        }
        if largest.is_none_or(|l| l.nano < step.nano) {
            largest = Some(step);
        }
    }
    match (total, largest) {
        (Some(total), Some(step)) if step.nano > total.nano => Some(step.to_string()),
        (Some(total), _) => Some(total.to_string()),
        (None, step) => step.map(|s| s.to_string()),
    }
}

fn container(container: &mut Value) {
    let policy = pull_policy(container["image"].as_str().unwrap_or_default());
    unset(container, "imagePullPolicy", policy);
    unset(container, "terminationMessagePath", "/dev/termination-log");
    unset(container, "terminationMessagePolicy", "File");
    for port in each(container, "ports") {
        unset(port, "protocol", "TCP");
        omit_empty(port, &["hostPort", "hostIP", "name"]);
    }
    for variable in each(container, "env") {
        omit_empty(variable, &["value"]);
        if let Some(source) = object_at(variable, "valueFrom") {
            field_reference(source);
            if let Some(file) = object_at(source, "fileKeyRef") {
                missing(file, "optional", false);
            }
            if let Some(resource) = object_at(source, "resourceFieldRef") {
                divisor(resource);
            }
        }
    }
    if let Some(resources) = part(container, "resources") {
        resource_list(resources, "limits");
        resource_list(resources, "requests");
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = object_at(container, probe) {
            self::probe(probe);
        }
    }
    if let Some(lifecycle) = object_at(container, "lifecycle") {
        for hook in ["postStart", "preStop"] {
            if let Some(hook) = object_at(lifecycle, hook) {
                http_get(hook);
            }
        }
    }
    for mount in each(container, "volumeMounts") {
        omit_empty(mount, &["readOnly", "subPath", "subPathExpr"]);
    }
    omit_empty(
        container,
        &["command", "args", "workingDir", "ports", "env", "envFrom", "volumeMounts", "volumeDevices", "stdin", "stdinOnce", "tty"],
    );
}

/// `Always` for the tag `latest` or none, `IfNotPresent` for any other tag, for a digest alone, and for what names no image.
fn pull_policy(image: &str) -> &'static str {
    if !is_image(image) {
        return "IfNotPresent";
    }
    let (name, digest) = image.split_once('@').map_or((image, false), |(name, _)| (name, true));
    let last = name.rsplit_once('/').map_or(name, |(_, last)| last);
    match last.rsplit_once(':') {
        Some((_, "latest")) => "Always",
        Some(_) => "IfNotPresent",
        None if digest => "IfNotPresent",
        None => "Always",
    }
}

/// Whether this has the form of a reference to an image (github.com/distribution/reference).
fn is_image(image: &str) -> bool {
    let name = image.split_once('@').map_or(image, |(name, _)| name);
    let last = name.rfind('/').map_or(0, |at| at + 1);
    let (path, tag) = name[last..].split_once(':').map_or((name, None), |(short, tag)| (&name[..last + short.len()], Some(tag)));
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if tag.is_some_and(|tag| {
        tag.len() > 128 || !tag.bytes().next().is_some_and(word) || !tag.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'))
    }) {
        return false;
    }
    let (domain, path) = match path.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" || first.to_lowercase() != first => (first, rest),
        _ => ("", path),
    };
    let lower = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let component = |part: &str| {
        part.bytes().next().is_some_and(lower)
            && part.bytes().last().is_some_and(lower)
            && part.bytes().all(|b| lower(b) || matches!(b, b'.' | b'_' | b'-'))
            && !["..", "___", "._", "_.", ".-", "-.", "_-", "-_"].iter().any(|odd| part.contains(odd))
    };
    let domain_fits = domain.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'));
    domain_fits && path.split('/').all(component)
}

fn probe(probe: &mut Value) {
    unset(probe, "timeoutSeconds", 1);
    unset(probe, "periodSeconds", 10);
    unset(probe, "successThreshold", 1);
    unset(probe, "failureThreshold", 3);
    omit_empty(probe, &["initialDelaySeconds"]);
    http_get(probe);
    if let Some(grpc) = object_at(probe, "grpc") {
        missing(grpc, "service", "");
    }
}

fn http_get(handler: &mut Value) {
    if let Some(request) = object_at(handler, "httpGet") {
        unset(request, "path", "/");
        unset(request, "scheme", "HTTP");
        omit_empty(request, &["host"]);
    }
}

fn field_reference(source: &mut Value) {
    if let Some(reference) = object_at(source, "fieldRef") {
        unset(reference, "apiVersion", "v1");
    }
}

/// `divisor` of a resource reference: always printed, `0` where it was not given.
fn divisor(reference: &mut Value) {
    missing(reference, "divisor", "0");
    if let Some(value) = reference.get_mut("divisor") {
        canonical(value, false);
    }
}

fn volume(volume: &mut Value) {
    if volume.as_object().is_some_and(|map| map.keys().all(|key| key == "name")) {
        volume["emptyDir"] = empty();
    }
    if let Some(image) = object_at(volume, "image") {
        let policy = pull_policy(image["reference"].as_str().unwrap_or_default());
        unset(image, "pullPolicy", policy);
    }
    if let Some(directory) = object_at(volume, "emptyDir") {
        omit_empty(directory, &["medium"]);
        if let Some(limit) = directory.get_mut("sizeLimit") {
            canonical(limit, false);
        }
    }
    if let Some(claim) = object_at(volume, "persistentVolumeClaim") {
        omit_empty(claim, &["readOnly"]);
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = object_at(volume, source) {
            missing(source, "defaultMode", 0o644);
            downward_items(source);
            for projection in each(source, "sources") {
                if let Some(token) = object_at(projection, "serviceAccountToken") {
                    missing(token, "expirationSeconds", 3600);
                }
                if let Some(api) = object_at(projection, "downwardAPI") {
                    downward_items(api);
                }
            }
        }
    }
    if let Some(template) = object_at(volume, "ephemeral").and_then(|source| object_at(source, "volumeClaimTemplate")) {
        part(template, "metadata");
        if let Some(spec) = part(template, "spec") {
            super::storage::claim_spec(spec);
        }
    }
    super::storage::volume_source(volume);
}

fn downward_items(source: &mut Value) {
    for item in each(source, "items") {
        field_reference(item);
        if let Some(resource) = object_at(item, "resourceFieldRef") {
            divisor(resource);
        }
    }
}

/// What `kubectl explain` calls an object reference to a claim template's default: exported for stateful sets.
pub(super) fn claim_template(claim: &mut Value) {
    part(claim, "metadata");
    missing(claim, "kind", "PersistentVolumeClaim");
    missing(claim, "apiVersion", "v1");
    super::storage::set("PersistentVolumeClaim", claim);
    if claim["status"].as_object().is_some_and(Map::is_empty) {
        claim["status"] = json!({"phase": "Pending"});
    }
}
