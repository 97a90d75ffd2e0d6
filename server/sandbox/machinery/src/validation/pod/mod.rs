//! Pods and pod templates (k8s.io/kubernetes/pkg/apis/core/validation).

mod container;
mod dns;
mod environment;
mod probe;
mod scheduling;
mod security;
mod system;
mod update;
mod volume;
mod volume_source;

pub(super) use scheduling::{node_selector, taint_effect, tolerations};
pub(super) use update::{ephemeral_containers, resize, status, update};
pub(super) use volume_source::persistent_source;

use super::kit::{Errors, has, in_range, list, number, one_of, refuse, text};
use super::{meta, names, quantities};
use crate::field::FieldError;
use serde_json::Value;
use std::collections::BTreeMap;

/// What the rules of one pod spec need to know of the rest of it.
struct Context<'a> {
    spec: &'a Value,
    /// `spec`, or `spec.template.spec` and the like.
    path: &'a str,
    /// Whether this is a pod itself and not a template.
    is_pod: bool,
    /// Volumes that are valid themselves, by name.
    volumes: BTreeMap<&'a str, &'a Value>,
    /// Names of `resourceClaims`.
    claims: Vec<&'a str>,
    grace_period: Option<i64>,
}

impl Context<'_> {
    /// `linux`, `windows`, or empty where the pod does not say.
    fn os(&self) -> &str {
        text(&self.spec["os"]["name"])
    }

    fn host_users(&self) -> bool {
        self.spec["hostUsers"] != false
    }

    fn host_network(&self) -> bool {
        self.spec["hostNetwork"] == true
    }
}

pub(super) fn create(errors: &mut Errors, pod: &Value) {
    metadata_and_spec(errors, pod);
    let spec = &pod["spec"];
    if !list(&spec["ephemeralContainers"]).is_empty() {
        errors.push(FieldError::forbidden("spec.ephemeralContainers", "cannot be set on create"));
    }
    if !text(&spec["nodeName"]).is_empty() && !list(&spec["schedulingGates"]).is_empty() {
        errors.push(FieldError::forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared"));
    }
    security::annotations_match_fields(errors, &pod["metadata"], spec, "spec");
}

fn metadata_and_spec(errors: &mut Errors, pod: &Value) {
    meta::create(errors, &pod["metadata"], true, names::dns_subdomain);
    meta::core_finalizers(errors, &pod["metadata"]);
    annotations(errors, "metadata.annotations", &pod["metadata"]["annotations"], &pod["spec"]);
    let spec = &pod["spec"];
    self::spec(errors, "spec", spec, Some(&pod["metadata"]));
    if text(&spec["serviceAccountName"]).is_empty() {
        for (v, volume) in list(&spec["volumes"]).iter().enumerate() {
            for (s, source) in list(&volume["projected"]["sources"]).iter().enumerate() {
                if has(&source["serviceAccountToken"]) {
                    let path = format!("spec.volumes[{v}].projected.sources[{s}].serviceAccountToken");
                    errors.push(FieldError::forbidden(path, "must not be specified when serviceAccountName is not set"));
                }
            }
        }
    }
    for field in ["containers", "initContainers"] {
        for (index, container) in list(&spec[field]).iter().enumerate() {
            container::no_padded_image(errors, &format!("spec.{field}[{index}]"), container);
        }
    }
}

/// `template` of a workload; `path` as `spec.template`.
pub(super) fn template(errors: &mut Errors, path: &str, template: &Value) {
    let metadata = &template["metadata"];
    meta::labels(errors, &format!("{path}.labels"), &metadata["labels"]);
    meta::annotations(errors, &format!("{path}.annotations"), &metadata["annotations"]);
    annotations(errors, &format!("{path}.annotations"), &metadata["annotations"], &template["spec"]);
    let spec_path = format!("{path}.spec");
    spec(errors, &spec_path, &template["spec"], None);
    security::annotations_match_fields(errors, metadata, &template["spec"], &spec_path);
    if !list(&template["spec"]["ephemeralContainers"]).is_empty() {
        let message = "ephemeral containers not allowed in pod template";
        errors.push(FieldError::forbidden(format!("{spec_path}.ephemeralContainers"), message));
    }
}

/// Annotations that mean something for pods.
fn annotations(errors: &mut Errors, path: &str, annotations: &Value, spec: &Value) {
    if let Some(mirror) = annotations["kubernetes.io/config.mirror"].as_str()
        && text(&spec["nodeName"]).is_empty()
    {
        let message = "must set spec.nodeName if mirror pod annotation is set";
        errors.push(FieldError::invalid(format!("{path}[kubernetes.io/config.mirror]"), mirror, message));
    }
    let key = "controller.kubernetes.io/pod-deletion-cost";
    if let Some(cost) = annotations[key].as_str() {
        let plain = !cost.starts_with('+') && (cost == "0" || !cost.trim_start_matches('-').starts_with('0'));
        if !plain || cost.parse::<i32>().is_err() {
            errors.push(FieldError::invalid(format!("{path}[{key}]"), cost, "must be a 32bit integer"));
        }
    }
    security::profile_annotations(errors, path, annotations, spec);
}

/// `metadata` is that of the pod, and none for a template.
fn spec(errors: &mut Errors, path: &str, spec: &Value, metadata: Option<&Value>) {
    let name = metadata.map_or("", |m| text(&m["name"]));
    let mut context = Context {
        spec,
        path,
        is_pod: metadata.is_some(),
        volumes: BTreeMap::new(),
        claims: list(&spec["resourceClaims"]).iter().map(|c| text(&c["name"])).filter(|n| !n.is_empty()).collect(),
        grace_period: spec["terminationGracePeriodSeconds"].as_i64(),
    };
    if context.grace_period.is_none() {
        errors.push(FieldError::required(format!("{path}.terminationGracePeriodSeconds"), ""));
    }
    context.volumes = volume::all(errors, &context, name);
    scheduling::resource_claims(errors, &context);
    container::regular(errors, &context);
    container::init(errors, &context);
    container::ephemeral(errors, &context);
    quantities::pod_resources(errors, &format!("{path}.resources"), spec);
    host_network_ports(errors, &context);
    one_of(errors, &format!("{path}.restartPolicy"), &spec["restartPolicy"], &["Always", "OnFailure", "Never"]);
    let policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    one_of(errors, &format!("{path}.dnsPolicy"), &spec["dnsPolicy"], &policies);
    meta::labels(errors, &format!("{path}.nodeSelector"), &spec["nodeSelector"]);
    security::pod(errors, &context);
    scheduling::affinity(errors, &format!("{path}.affinity"), &spec["affinity"]);
    dns::config(errors, &context);
    for (index, gate) in list(&spec["readinessGates"]).iter().enumerate() {
        let kind = text(&gate["conditionType"]);
        refuse(errors, &format!("{path}.readinessGates[{index}].conditionType"), kind, names::qualified_name(kind));
    }
    scheduling::gates(errors, &format!("{path}.schedulingGates"), &spec["schedulingGates"]);
    scheduling::topology_spread(errors, &format!("{path}.topologySpreadConstraints"), &spec["topologySpreadConstraints"]);
    system::windows_host_process(errors, &context);
    system::host_users(errors, &context);
    named(errors, path, spec, "serviceAccountName", names::dns_subdomain);
    named(errors, path, spec, "nodeName", names::dns_subdomain);
    if has(&spec["activeDeadlineSeconds"]) {
        let field = format!("{path}.activeDeadlineSeconds");
        in_range(errors, &field, &spec["activeDeadlineSeconds"], 1, i64::from(i32::MAX));
    }
    named(errors, path, spec, "hostname", names::dns_label);
    named(errors, path, spec, "subdomain", names::dns_label);
    scheduling::tolerations(errors, &format!("{path}.tolerations"), &spec["tolerations"]);
    dns::host_aliases(errors, &format!("{path}.hostAliases"), &spec["hostAliases"]);
    named(errors, path, spec, "priorityClassName", names::dns_subdomain);
    if let Some(class) = spec["runtimeClassName"].as_str() {
        refuse(errors, &format!("{path}.runtimeClassName"), class, names::dns_subdomain(class));
    }
    if has(&spec["preemptionPolicy"]) {
        one_of(errors, &format!("{path}.preemptionPolicy"), &spec["preemptionPolicy"], &["PreemptLowerPriority", "Never"]);
    }
    if has(&spec["overhead"]) {
        quantities::overhead(errors, &format!("{path}.overhead"), &spec["overhead"]);
    }
    system::operating_system(errors, &context);
}

fn named(errors: &mut Errors, path: &str, spec: &Value, field: &str, rule: meta::NameRule) {
    let name = text(&spec[field]);
    if !name.is_empty() {
        refuse(errors, &format!("{path}.{field}"), name, rule(name));
    }
}

fn host_network_ports(errors: &mut Errors, context: &Context<'_>) {
    if !context.host_network() {
        return;
    }
    for (c, container) in list(&context.spec["containers"]).iter().enumerate() {
        for (p, port) in list(&container["ports"]).iter().enumerate() {
            let (host, inside) = (number(&port["hostPort"]), number(&port["containerPort"]));
            if (context.is_pod || host != 0) && host != inside {
                let path = format!("{}.containers[{c}].ports[{p}].hostPort", context.path);
                errors.push(FieldError::invalid(path, host, "must match `containerPort` when `hostNetwork` is true"));
            }
        }
    }
}
