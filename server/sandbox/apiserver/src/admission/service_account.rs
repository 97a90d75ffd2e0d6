//! ServiceAccount: every pod runs as one, and its token is mounted unless somebody says no.

use crate::{
    call::{Call, Operation},
    store::Transaction,
};
use machinery::{ApiError, object};
use serde_json::{Value, json};

const PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const PREFIX: &str = "kube-api-access-";
const MIRROR: &str = "kubernetes.io/config.mirror";

pub(crate) fn admit(call: &Call, transaction: &Transaction, operation: Operation, pod: &mut Value) -> Result<(), ApiError> {
    if operation != Operation::Create || !call.is("", "pods") || !call.subresource.is_empty() {
        return Ok(());
    }
    if object::annotation(pod, MIRROR).is_some() {
        return if pod["spec"]["serviceAccountName"].as_str().is_some_and(|name| !name.is_empty()) {
            Err(call.forbidden(super::called(pod), "a mirror pod may not reference service accounts"))
        } else {
            Ok(())
        };
    }
    let mut account = pod["spec"]["serviceAccountName"].as_str().unwrap_or_default().to_owned();
    if account.is_empty() {
        account = pod["spec"]["serviceAccount"].as_str().filter(|name| !name.is_empty()).unwrap_or("default").to_owned();
    }
    pod["spec"]["serviceAccountName"] = account.as_str().into();
    pod["spec"]["serviceAccount"] = account.as_str().into();
    let namespace = object::namespace(pod);
    let Some(found) = transaction.state.get("", "serviceaccounts", namespace, &account) else {
        let why = format!("error looking up service account {namespace}/{account}: serviceaccount {account:?} not found");
        return Err(call.forbidden(super::called(pod), &why));
    };
    let mounts = pod["spec"]["automountServiceAccountToken"].as_bool().or_else(|| found["automountServiceAccountToken"].as_bool());
    if mounts.unwrap_or(true) {
        mount(call, pod);
    }
    let empty = |list: &Value| list.as_array().is_none_or(Vec::is_empty);
    if empty(&pod["spec"]["imagePullSecrets"]) && !empty(&found["imagePullSecrets"]) {
        pod["spec"]["imagePullSecrets"] = found["imagePullSecrets"].clone();
    }
    Ok(())
}

fn mount(call: &Call, pod: &mut Value) {
    let held = pod["spec"]["volumes"].as_array().into_iter().flatten().filter_map(|volume| volume["name"].as_str());
    let existing = held.clone().find(|name| name.starts_with(PREFIX)).map(str::to_owned);
    let has_volume = existing.is_some();
    let name = existing.unwrap_or_else(|| format!("{PREFIX}{}", call.server.new_suffix()));
    let mut needed = false;
    for list in ["initContainers", "containers"] {
        for container in pod["spec"][list].as_array_mut().into_iter().flatten() {
            if container["volumeMounts"].as_array().into_iter().flatten().any(|mount| mount["mountPath"] == PATH) || !container.is_object()
            {
                continue;
            }
            let mount = json!({"name": name, "readOnly": true, "mountPath": PATH});
            match container["volumeMounts"].as_array_mut() {
                Some(mounts) => mounts.push(mount),
                None => container["volumeMounts"] = json!([mount]),
            }
            needed = true;
        }
    }
    if has_volume || !needed {
        return;
    }
    let volume = json!({"name": name, "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
    ]}});
    match pod["spec"]["volumes"].as_array_mut() {
        Some(volumes) => volumes.push(volume),
        None => pod["spec"]["volumes"] = json!([volume]),
    }
}
