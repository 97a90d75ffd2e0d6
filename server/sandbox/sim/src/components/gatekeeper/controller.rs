//! What Gatekeeper writes: the definitions of constraints, the statuses of templates, the authority of its webhooks.

use super::{
    super::{
        in_cluster::{InCluster, Refused},
        review::Authority,
    },
    known::{self, TEMPLATES},
};
use apiserver::Client;
use gatekeeper::Template;
use machinery::{Gvr, gvr, object};
use serde_json::{Value, json};

const GROUP: &str = "admissionregistration.k8s.io";
const CONFIGURATIONS: [(Gvr, &str); 2] = [
    (Gvr::new(GROUP, "v1", "mutatingwebhookconfigurations"), "gatekeeper-mutating-webhook-configuration"),
    (Gvr::new(GROUP, "v1", "validatingwebhookconfigurations"), "gatekeeper-validating-webhook-configuration"),
];

pub async fn reconcile(api: &InCluster<'_>, client: &Client, authority: &Authority, pod: &str) -> Result<(), Refused> {
    for (gvr, name) in CONFIGURATIONS {
        trust(api, client, authority, gvr, name).await?;
    }
    let templates = known::list(client, TEMPLATES);
    for template in templates.iter().filter(|template| !object::is_terminating(template)) {
        define(api, client, template, pod).await?;
    }
    for definition in client.list(gvr::CUSTOM_RESOURCE_DEFINITIONS, None) {
        let made_of = definition["spec"]["names"]["singular"].as_str().unwrap_or_default();
        let is_ours = definition["metadata"]["labels"]["gatekeeper.sh/constraint"] == "yes";
        if is_ours && !object::is_terminating(&definition) && !templates.iter().any(|template| object::name(template) == made_of) {
            let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{}", object::name(&definition));
            api.call("DELETE", &path, None).await?;
        }
    }
    Ok(())
}

/// Writes the authority into every webhook of a configuration, if that is there.
async fn trust(api: &InCluster<'_>, client: &Client, authority: &Authority, gvr: Gvr, name: &str) -> Result<(), Refused> {
    let Some(held) = client.get(gvr, "", name) else { return Ok(()) };
    let mut wanted = Value::clone(&held);
    for webhook in wanted["webhooks"].as_array_mut().into_iter().flatten() {
        webhook["clientConfig"]["caBundle"] = authority.bundle().into();
    }
    if wanted["webhooks"] == held["webhooks"] {
        return Ok(());
    }
    api.call("PUT", &format!("/apis/{GROUP}/v1/{}/{name}", gvr.resource), Some(&wanted)).await.map(drop)
}

/// The definition of a template's constraints, and what its status says of it.
async fn define(api: &InCluster<'_>, client: &Client, template: &Value, pod: &str) -> Result<(), Refused> {
    let read = Template::read(template);
    let mut own = json!({
        "id": pod, "observedGeneration": template["metadata"]["generation"], "templateUID": object::uid(template),
        "operations": ["mutation-webhook", "webhook"],
    });
    let created = match &read {
        Ok(read) => {
            let mut wanted = read.custom_resource_definition().clone();
            wanted["metadata"]["ownerReferences"] = json!([{
                "apiVersion": object::api_version(template), "kind": "ConstraintTemplate", "name": object::name(template),
                "uid": object::uid(template), "controller": true, "blockOwnerDeletion": true,
            }]);
            let held = client.get(gvr::CUSTOM_RESOURCE_DEFINITIONS, "", object::name(&wanted));
            if held.is_none_or(|held| schemas(&held) != schemas(&wanted)) {
                api.put("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &wanted).await?;
            }
            true
        }
        Err(findings) => {
            let said = |finding: &gatekeeper::Finding| json!({"code": "create_error", "message": format!("{}: {}", finding.field, finding.message)});
            own["errors"] = findings.iter().map(said).collect();
            false
        }
    };
    let mut pods: Vec<Value> = template["status"]["byPod"].as_array().cloned().unwrap_or_default();
    if pods.contains(&own) && template["status"]["created"] == created {
        return Ok(());
    }
    pods.retain(|held| held["id"] != pod);
    pods.push(own);
    let path = format!("/apis/templates.gatekeeper.sh/v1/constrainttemplates/{}/status", object::name(template));
    match api.call("PATCH", &path, Some(&json!({"status": {"created": created, "byPod": pods}}))).await {
        // It is gone, or its definition has no status.
        Err(refused) if refused.code != 404 => Err(refused),
        _ => Ok(()),
    }
}

/// What of a definition matters for constraints.
fn schemas(definition: &Value) -> Vec<(&Value, &Value)> {
    let versions = definition["spec"]["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    versions.iter().map(|version| (&version["name"], &version["schema"])).collect()
}
