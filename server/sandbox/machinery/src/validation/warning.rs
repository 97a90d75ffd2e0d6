//! What the API server accepts but warns of: deprecated fields and labels, and what is probably a mistake.

use super::kit::{entries, has, list, number, parse_cidr, parse_ip, text};
use super::{names, quantities};
use crate::field::go_quote;
use crate::strategy::{app_armor, equal};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn all(group: &str, kind: &str, new: &Value, old: Option<&Value>) -> Vec<String> {
    let mut warnings = Vec::new();
    let changed = |field: &str| old.is_none_or(|old| !equal(&new[field], &old[field]));
    match (group, kind) {
        ("", "Pod") if old.is_none() => {
            name(&mut warnings, new, "the Pod's hostname");
            pod(&mut warnings, "", new, &new["metadata"]);
        }
        ("apps" | "batch", _) | ("", "ReplicationController" | "PodTemplate") if changed("spec") || changed("template") => {
            workload(&mut warnings, kind, new, old);
        }
        ("", "Service") => service(&mut warnings, new),
        ("", "PersistentVolumeClaim") => claim(&mut warnings, "spec", &new["spec"]),
        ("", "PersistentVolume") => {
            let phase = text(&new["spec"]["persistentVolumeReclaimPolicy"]);
            if phase == "Recycle" {
                warnings.push("spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.".to_owned());
            }
        }
        ("", "Secret") if new["type"] == "kubernetes.io/tls" && old.is_none() => {}
        ("", "ServiceAccount") => {
            let key = "kubernetes.io/enforce-mountable-secrets";
            let set = |account: &Value| crate::object::annotation(account, key).is_some();
            if set(new) && !old.is_some_and(set) {
                warnings.push(format!(
                    "metadata.annotations[{key}]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"
                ));
            }
        }
        ("networking.k8s.io", "Ingress") if old.is_none() => {
            let key = "kubernetes.io/ingress.class";
            if crate::object::annotation(new, key).is_some() && !has(&new["spec"]["ingressClassName"]) {
                warnings.push(format!("annotation {} is deprecated, please use 'spec.ingressClassName' instead", go_quote(key)));
            }
        }
        ("networking.k8s.io", "NetworkPolicy") => network_policy(&mut warnings, &new["spec"]),
        ("node.k8s.io", "RuntimeClass") => {
            for message in entries(&new["scheduling"]["nodeSelector"]).into_iter().filter_map(|(key, _)| deprecated_label(key)) {
                warnings.push(format!("scheduling.nodeSelector: {message}"));
            }
        }
        ("discovery.k8s.io", "EndpointSlice") if new["addressType"] == "FQDN" => {
            warnings.push("addressType: FQDN endpoints are deprecated".to_owned());
        }
        _ => {}
    }
    warnings
}

fn name(warnings: &mut Vec<String>, object: &Value, of: &str) {
    let messages = names::dns_label(crate::object::name(object));
    if !messages.is_empty() {
        warnings.push(format!(
            "metadata.name: this is used in {of}, which can result in surprising behavior; a DNS label is recommended: [{}]",
            messages.join(" ")
        ));
    }
}

fn workload(warnings: &mut Vec<String>, kind: &str, new: &Value, old: Option<&Value>) {
    if old.is_none() && matches!(kind, "Deployment" | "ReplicaSet" | "Job" | "CronJob" | "ReplicationController") {
        name(warnings, new, "Pod names and hostnames");
    }
    let (template, path) = match kind {
        "CronJob" => (&new["spec"]["jobTemplate"]["spec"]["template"], "spec.jobTemplate.spec.template."),
        "PodTemplate" => (&new["template"], "template."),
        "ControllerRevision" => return,
        _ => (&new["spec"]["template"], "spec.template."),
    };
    pod(warnings, path, template, &template["metadata"]);
    if kind == "StatefulSet" {
        for (index, one) in list(&new["spec"]["volumeClaimTemplates"]).iter().enumerate() {
            claim(warnings, &format!("spec.volumeClaimTemplates[{index}]"), &one["spec"]);
        }
        if number(&new["spec"]["revisionHistoryLimit"]) < 0 {
            let message = "a negative value retains all historical revisions; a value >= 0 is recommended";
            warnings.push(format!("spec.revisionHistoryLimit: {message}"));
        }
    }
}

fn deprecated_label(key: &str) -> Option<&'static str> {
    Some(match key {
        "beta.kubernetes.io/arch" => r#"deprecated since v1.14; use "kubernetes.io/arch" instead"#,
        "beta.kubernetes.io/os" => r#"deprecated since v1.14; use "kubernetes.io/os" instead"#,
        "failure-domain.beta.kubernetes.io/region" => r#"deprecated since v1.17; use "topology.kubernetes.io/region" instead"#,
        "failure-domain.beta.kubernetes.io/zone" => r#"deprecated since v1.17; use "topology.kubernetes.io/zone" instead"#,
        "beta.kubernetes.io/instance-type" => r#"deprecated since v1.17; use "node.kubernetes.io/instance-type" instead"#,
        "app.kubernetes.io/created-by" => "deprecated since v1.9",
        "scheduler.alpha.kubernetes.io/preferAvoidPods" => "deprecated since v1.22; use Taints and Tolerations instead",
        "node-role.kubernetes.io/master" => r#"use "node-role.kubernetes.io/control-plane" instead"#,
        _ => return None,
    })
}

/// `path` is empty for a pod, else ends in a dot: `spec.template.`.
fn pod(warnings: &mut Vec<String>, path: &str, object: &Value, metadata: &Value) {
    let spec = &object["spec"];
    for (key, message) in entries(&spec["nodeSelector"]).into_iter().filter_map(|(key, _)| Some((key, deprecated_label(key)?))) {
        warnings.push(format!("{path}spec.nodeSelector[{key}]: {message}"));
    }
    node_affinity(warnings, path, &spec["affinity"]["nodeAffinity"]);
    for (index, constraint) in list(&spec["topologySpreadConstraints"]).iter().enumerate() {
        let path = format!("{path}spec.topologySpreadConstraints[{index}]");
        let key = text(&constraint["topologyKey"]);
        if let Some(message) = deprecated_label(key) {
            warnings.push(format!("{path}.topologyKey: {key} is {message}"));
        }
        if !has(&constraint["labelSelector"]) {
            warnings.push(format!("{path}.labelSelector: a null labelSelector results in matching no pod"));
        }
    }
    for (key, message) in [
        ("scheduler.alpha.kubernetes.io/critical-pod", r#"non-functional in v1.16+; use the "priorityClassName" field instead"#),
        ("security.alpha.kubernetes.io/sysctls", r#"non-functional in v1.11+; use the "sysctls" field instead"#),
        ("security.alpha.kubernetes.io/unsafe-sysctls", r#"non-functional in v1.11+; use the "sysctls" field instead"#),
    ] {
        if has(&metadata["annotations"][key]) {
            warnings.push(format!("{path}metadata.annotations[{key}]: {message}"));
        }
    }
    volumes(warnings, path, spec);
    for (field, key) in [("hostAliases", "ip"), ("imagePullSecrets", "name")] {
        let mut seen = BTreeSet::new();
        for (index, one) in list(&spec[field]).iter().enumerate() {
            let value = text(&one[key]);
            let path = format!("{path}spec.{field}[{index}].{key}");
            if !seen.insert(value) {
                warnings.push(format!("{path}: duplicate {key} {}", go_quote(value)));
            }
        }
    }
    for (index, secret) in list(&spec["imagePullSecrets"]).iter().enumerate() {
        if text(&secret["name"]).is_empty() {
            warnings.push(format!("{path}spec.imagePullSecrets[{index}].name: invalid empty name \"\""));
        }
    }
    bytes(warnings, &format!("{path}spec.overhead"), &spec["overhead"]);
    containers(warnings, path, spec, metadata);
    ports(warnings, path, spec);
    if number(&spec["terminationGracePeriodSeconds"]) < 0 {
        let message = "must be >= 0; negative values are invalid and will be treated as 1";
        warnings.push(format!("{path}spec.terminationGracePeriodSeconds: {message}"));
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        for (field, inner) in [
            ("requiredDuringSchedulingIgnoredDuringExecution", ""),
            ("preferredDuringSchedulingIgnoredDuringExecution", ".podAffinityTerm"),
        ] {
            for (index, term) in list(&spec["affinity"][kind][field]).iter().enumerate() {
                let selector = if inner.is_empty() { &term["labelSelector"] } else { &term["podAffinityTerm"]["labelSelector"] };
                if !has(selector) {
                    let path = format!("{path}spec.affinity.{kind}.{field}[{index}]{inner}.labelSelector");
                    warnings.push(format!("{path}: a null labelSelector results in matching no pod"));
                }
            }
        }
    }
    for (index, server) in list(&spec["dnsConfig"]["nameservers"]).iter().enumerate() {
        address(warnings, &format!("{path}spec.dnsConfig.nameservers[{index}]"), text(server));
    }
    for (index, alias) in list(&spec["hostAliases"]).iter().enumerate() {
        address(warnings, &format!("{path}spec.hostAliases[{index}].ip"), text(&alias["ip"]));
    }
}

fn node_affinity(warnings: &mut Vec<String>, path: &str, affinity: &Value) {
    let path = format!("{path}spec.affinity.nodeAffinity");
    let required = &affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"];
    let preferred = &affinity["preferredDuringSchedulingIgnoredDuringExecution"];
    let mut terms: Vec<(String, &Value, bool)> = Vec::new();
    for (index, term) in list(required).iter().enumerate() {
        terms.push((format!("{path}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[{index}]"), term, false));
    }
    for (index, term) in list(preferred).iter().enumerate() {
        let path = format!("{path}.preferredDuringSchedulingIgnoredDuringExecution[{index}].preference");
        terms.push((path, &term["preference"], true));
    }
    for (path, term, check_values) in terms {
        for (index, expression) in list(&term["matchExpressions"]).iter().enumerate() {
            let key = text(&expression["key"]);
            if let Some(message) = deprecated_label(key) {
                warnings.push(format!("{path}.matchExpressions[{index}].key: {key} is {message}"));
            }
            for (v, value) in list(&expression["values"]).iter().enumerate().filter(|_| check_values) {
                for message in names::label_value(text(value)) {
                    let path = format!("{path}.matchExpressions[{index}].values[{v}]");
                    warnings.push(format!("{path}: {} is invalid, {message}", text(value)));
                }
            }
        }
    }
}

fn volumes(warnings: &mut Vec<String>, path: &str, spec: &Value) {
    for (index, volume) in list(&spec["volumes"]).iter().enumerate() {
        let path = format!("{path}spec.volumes[{index}]");
        for (field, shown, message) in [
            ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
            ("gitRepo", "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
            ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
            ("flocker", "flocker", "deprecated in v1.22, non-functional in v1.25+"),
            ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
            ("quobyte", "quobyte", "deprecated in v1.22, non-functional in v1.25+"),
            ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
            ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
            ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
        ] {
            if has(&volume[field]) {
                warnings.push(format!("{path}.{shown}: {message}"));
            }
        }
        claim(warnings, &format!("{path}.ephemeral.volumeClaimTemplate.spec"), &volume["ephemeral"]["volumeClaimTemplate"]["spec"]);
    }
    for volume in list(&spec["volumes"]) {
        overlaps(warnings, volume);
    }
}

/// Paths of a volume that hide each other.
fn overlaps(warnings: &mut Vec<String>, volume: &Value) {
    let name = go_quote(text(&volume["name"]));
    let paths = |items: &Value, source: &str| -> Vec<(String, String)> {
        list(items).iter().map(|item| (text(&item["path"]).trim_end_matches('/').to_owned(), source.to_owned())).collect()
    };
    let named = |kind: &str, name: &Value| format!("{kind} {}", go_quote(text(name)));
    let mut groups: Vec<(String, Vec<(String, String)>)> = Vec::new();
    groups.push((named("ConfigMap", &volume["configMap"]["name"]), paths(&volume["configMap"]["items"], "")));
    groups.push((named("Secret", &volume["secret"]["secretName"]), paths(&volume["secret"]["items"], "")));
    groups.push(("DownwardAPI".to_owned(), paths(&volume["downwardAPI"]["items"], "")));
    let mut projected = Vec::new();
    for source in list(&volume["projected"]["sources"]) {
        if source.as_object().is_some_and(serde_json::Map::is_empty) {
            warnings.push(format!("volume {name} (Projected) has no sources provided"));
        }
        projected.extend(paths(&source["configMap"]["items"], &named("ConfigMap", &source["configMap"]["name"])));
        projected.extend(paths(&source["secret"]["items"], &named("Secret", &source["secret"]["name"])));
        projected.extend(paths(&source["downwardAPI"]["items"], "DownwardAPI"));
        if has(&source["serviceAccountToken"]) {
            let path = text(&source["serviceAccountToken"]["path"]).trim_end_matches('/').to_owned();
            projected.push((path, "ServiceAccountToken".to_owned()));
        }
    }
    groups.push(("Projected".to_owned(), projected));
    for (what, paths) in groups {
        let shown = |(path, source): &(String, String)| {
            if source.is_empty() { go_quote(path) } else { format!("{} ({source})", go_quote(path)) }
        };
        for (index, one) in paths.iter().enumerate().filter(|(_, one)| !one.0.is_empty()) {
            for other in paths[..index].iter().filter(|other| !other.0.is_empty()) {
                let (a, b) = (format!("{}/", one.0), format!("{}/", other.0));
                if a.starts_with(&b) || b.starts_with(&a) {
                    warnings.push(format!("volume {name} ({what}): overlapping paths: {} with {}", shown(one), shown(other)));
                }
            }
        }
    }
}

/// Memory and storage come in whole bytes.
fn bytes(warnings: &mut Vec<String>, path: &str, resources: &Value) {
    for name in ["memory", "ephemeral-storage"] {
        fraction(warnings, path, resources, name);
    }
}

fn fraction(warnings: &mut Vec<String>, path: &str, resources: &Value, name: &str) {
    if let Some(quantity) = quantities::parse(&resources[name]).filter(|q| q.milli() % 1000 != 0) {
        let quantity = go_quote(&quantity.to_string());
        warnings.push(format!("{path}[{name}]: fractional byte value {quantity} is invalid, must be an integer"));
    }
}

fn claim(warnings: &mut Vec<String>, path: &str, spec: &Value) {
    for field in ["requests", "limits"] {
        fraction(warnings, &format!("{path}.resources.{field}"), &spec["resources"][field], "storage");
    }
}

fn visit<'a>(path: &str, spec: &'a Value) -> Vec<(String, &'a Value)> {
    ["initContainers", "containers", "ephemeralContainers"]
        .into_iter()
        .flat_map(|field| list(&spec[field]).iter().enumerate().map(move |(index, c)| (field, index, c)))
        .map(|(field, index, container)| (format!("{path}spec.{field}[{index}]"), container))
        .collect()
}

fn containers(warnings: &mut Vec<String>, path: &str, spec: &Value, metadata: &Value) {
    let annotations = &metadata["annotations"];
    let seccomp = r#"non-functional in v1.27+; use the "seccompProfile" field instead"#;
    let key = "seccomp.security.alpha.kubernetes.io/pod";
    if !has(&spec["securityContext"]["seccompProfile"]) && has(&annotations[key]) {
        warnings.push(format!("{path}metadata.annotations[{key}]: {seccomp}"));
    }
    for (container_path, container) in visit(path, spec) {
        let (name, security) = (text(&container["name"]), &container["securityContext"]);
        let key = format!("container.seccomp.security.alpha.kubernetes.io/{name}");
        if !has(&security["seccompProfile"]) && has(&annotations[&key]) {
            warnings.push(format!("{path}metadata.annotations[{key}]: {seccomp}"));
        }
        let key = format!("container.apparmor.security.beta.kubernetes.io/{name}");
        // Of a pod itself this is said where its annotations become fields.
        let said = annotations[&key].as_str().filter(|_| !path.is_empty() && !has(&security["appArmorProfile"]));
        let of_pod = &spec["securityContext"]["appArmorProfile"];
        if said.is_some_and(|annotation| !has(of_pod) || app_armor::field_for(annotation).as_ref() != Some(of_pod)) {
            let message = r#"deprecated since v1.30; use the "appArmorProfile" field instead"#;
            warnings.push(format!("{path}metadata.annotations[{key}]: {message}"));
        }
        for resource in ["memory", "ephemeral-storage"] {
            for field in ["limits", "requests"] {
                fraction(warnings, &format!("{container_path}.resources.{field}"), &container["resources"][field], resource);
            }
        }
        let mut seen = BTreeSet::new();
        for (index, variable) in list(&container["env"]).iter().enumerate() {
            let name = text(&variable["name"]);
            if seen.insert(name) {
                continue;
            }
            let (value, reference) = (text(&variable["value"]), format!("$({name})"));
            // A variable may extend what it was before.
            if has(&variable["valueFrom"]) || value == reference || !value.contains(&reference) {
                let name = go_quote(name);
                let message = format!("hides previous definition of {name}, which may be dropped when using apply");
                warnings.push(format!("{container_path}.env[{index}]: {message}"));
            }
        }
    }
}

fn ports(warnings: &mut Vec<String>, path: &str, spec: &Value) {
    let mut numbers: BTreeMap<(i64, &str), Vec<(String, &Value)>> = BTreeMap::new();
    let mut port_names: BTreeMap<&str, String> = BTreeMap::new();
    let mut about_names = Vec::new();
    for (path, container) in visit(path, spec) {
        for (index, port) in list(&container["ports"]).iter().enumerate() {
            let path = format!("{path}.ports[{index}]");
            let (address, host) = (text(&port["hostIP"]), number(&port["hostPort"]));
            let (inside, protocol, name) = (number(&port["containerPort"]), text(&port["protocol"]), text(&port["name"]));
            if !address.is_empty() && host == 0 {
                let shown = format!("{{Name:{name} HostPort:0 ContainerPort:{inside} Protocol:{protocol} HostIP:{address}}}");
                warnings.push(format!("{path}: hostIP set without hostPort: {shown}"));
            }
            let others = numbers.entry((inside, protocol)).or_default();
            for (other_path, other) in others.iter() {
                let (other_address, other_host) = (text(&other["hostIP"]), number(&other["hostPort"]));
                if address == other_address && host == other_host {
                    warnings.push(format!("{path}: duplicate port definition with {other_path}"));
                } else if host == 0 || other_host == 0 {
                    warnings.push(format!("{path}: overlapping port definition with {other_path}"));
                } else if host == other_host && (address.is_empty() != other_address.is_empty()) {
                    warnings.push(format!("{path}: dangerously ambiguous port definition with {other_path}"));
                }
            }
            others.push((path.clone(), port));
            if name.is_empty() {
                continue;
            }
            match port_names.get(name) {
                Some(other) => {
                    let name = go_quote(name);
                    let rule = format!("services and probes that select ports by name will use {other}");
                    about_names.push(format!("{path}: duplicate port name {name} with {other}, {rule}"));
                }
                None => {
                    port_names.insert(name, path);
                }
            }
        }
    }
    warnings.append(&mut about_names);
}

fn address(warnings: &mut Vec<String>, path: &str, value: &str) {
    let Some(parsed) = parse_ip(value) else { return };
    let quoted = go_quote(value);
    if value.parse::<std::net::IpAddr>().is_err() {
        let canonical = go_quote(&parsed.to_string());
        let message =
            format!("non-standard IP address {quoted} will be considered invalid in a future Kubernetes release: use {canonical}");
        warnings.push(format!("{path}: {message}"));
    } else if parsed.is_ipv6() && parsed.to_string() != value {
        let canonical = go_quote(&parsed.to_string());
        warnings.push(format!("{path}: IPv6 address {quoted} should be in RFC 5952 canonical format ({canonical})"));
    }
}

fn range(warnings: &mut Vec<String>, path: &str, value: &str) {
    let Some(parsed) = parse_cidr(value) else { return };
    let (given, canonical) = (value.split('/').next().unwrap_or_default(), parsed.to_string());
    let host_bits = parse_ip(given).is_some_and(|address| address != parsed.addr());
    if given.parse::<std::net::IpAddr>().is_err() || host_bits {
        let value = go_quote(value);
        let message = if host_bits {
            let single = format!("{}/{}", given, if parsed.addr().is_ipv4() { 32 } else { 128 });
            let (range, single) = (go_quote(&canonical), go_quote(&single));
            format!("CIDR value {value} is ambiguous in this context (should be {range} or {single}?)")
        } else {
            let canonical = go_quote(&canonical);
            format!("non-standard CIDR value {value} will be considered invalid in a future Kubernetes release: use {canonical}")
        };
        warnings.push(format!("{path}: {message}"));
    }
}

fn network_policy(warnings: &mut Vec<String>, spec: &Value) {
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for (r, rule) in list(&spec[direction]).iter().enumerate() {
            for (p, peer) in list(&rule[peers]).iter().enumerate() {
                let path = format!("spec.{direction}[{r}].{peers}[{p}].ipBlock");
                let block = &peer["ipBlock"];
                range(warnings, &format!("{path}.cidr"), text(&block["cidr"]));
                for (index, except) in list(&block["except"]).iter().enumerate() {
                    range(warnings, &format!("{path}.except[{index}]"), text(except));
                }
            }
        }
    }
}

fn service(warnings: &mut Vec<String>, service: &Value) {
    let spec = &service["spec"];
    let key = "service.kubernetes.io/topology-aware-hints";
    if crate::object::annotation(service, key).is_some() {
        warnings.push(format!("annotation {key} is deprecated, please use service.kubernetes.io/topology-mode instead"));
    }
    let external: Vec<_> = list(&spec["externalIPs"]).iter().map(text).collect();
    let kind = text(&spec["type"]);
    if kind == "ClusterIP" && spec["clusterIP"] == "None" {
        if !text(&spec["loadBalancerIP"]).is_empty() {
            warnings.push("spec.loadBalancerIP is ignored for headless services".to_owned());
        }
        if !external.is_empty() {
            warnings.push("spec.externalIPs is ignored for headless services".to_owned());
        }
        if spec["sessionAffinity"] != "None" {
            warnings.push("spec.SessionAffinity is ignored for headless services".to_owned());
        }
    }
    for (index, one) in external.iter().enumerate() {
        address(warnings, &format!("spec.externalIPs[{index}]"), one);
    }
    for (index, one) in list(&spec["loadBalancerSourceRanges"]).iter().enumerate() {
        range(warnings, &format!("spec.loadBalancerSourceRanges[{index}]"), text(one));
    }
    if kind == "ExternalName" && !external.is_empty() {
        warnings.push("spec.externalIPs is ignored when spec.type is \"ExternalName\"".to_owned());
    }
    if kind != "ExternalName" && !text(&spec["externalName"]).is_empty() {
        warnings.push("spec.externalName is ignored when spec.type is not \"ExternalName\"".to_owned());
    }
}
