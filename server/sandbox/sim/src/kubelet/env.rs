//! A container's environment: the image's, the Services', `envFrom`, `env`, with `$(VAR)` filled in.

use super::{runtime::Runtime, volumes::decode};
use machinery::{gvr, object, quantity::Quantity};
use serde_json::Value;
use std::collections::BTreeMap;

/// Name and value, in the order of definition. An error is the message of `CreateContainerConfigError`.
pub fn build(runtime: &Runtime, pod: &Value, container: &Value, devices: &[(String, String)]) -> Result<Vec<(String, String)>, String> {
    let mut out: BTreeMap<String, String> = services(runtime, pod);
    out.extend(devices.iter().cloned());
    let namespace = object::namespace(pod);
    for source in container["envFrom"].as_array().into_iter().flatten() {
        let prefix = source["prefix"].as_str().unwrap_or_default();
        for (reference, gvr, kind) in
            [(&source["configMapRef"], gvr::CONFIG_MAPS, "configmap"), (&source["secretRef"], gvr::SECRETS, "secret")]
        {
            let Some(name) = reference["name"].as_str() else { continue };
            match runtime.client.get(gvr, namespace, name) {
                Some(found) => {
                    for (key, value) in found["data"].as_object().into_iter().flatten() {
                        let text = if kind == "secret" {
                            String::from_utf8_lossy(&decode(value)).into_owned()
                        } else {
                            value.as_str().unwrap_or_default().to_owned()
                        };
                        out.insert(format!("{prefix}{key}"), text);
                    }
                }
                None if reference["optional"] == true => {}
                None => return Err(format!("{kind} {name:?} not found")),
            }
        }
    }
    let mut order: Vec<(String, String)> = out.iter().map(|(n, v)| (n.clone(), v.clone())).collect();
    for entry in container["env"].as_array().into_iter().flatten() {
        let name = entry["name"].as_str().unwrap_or_default();
        let from = &entry["valueFrom"];
        let value = if let Some(path) = from["fieldRef"]["fieldPath"].as_str() {
            field(pod, path)?
        } else if from["resourceFieldRef"].is_object() {
            resource(runtime, pod, &from["resourceFieldRef"], container["name"].as_str().unwrap_or_default())?
        } else if from["configMapKeyRef"].is_object() {
            match key(runtime, pod, &from["configMapKeyRef"], gvr::CONFIG_MAPS)? {
                Some(value) => value,
                None => continue,
            }
        } else if from["secretKeyRef"].is_object() {
            match key(runtime, pod, &from["secretKeyRef"], gvr::SECRETS)? {
                Some(value) => value,
                None => continue,
            }
        } else {
            expand(entry["value"].as_str().unwrap_or_default(), &out)
        };
        out.insert(name.to_owned(), value.clone());
        order.retain(|(n, _)| n != name);
        order.push((name.to_owned(), value));
    }
    Ok(order)
}

fn key(runtime: &Runtime, pod: &Value, reference: &Value, gvr: machinery::Gvr) -> Result<Option<String>, String> {
    let (name, key) = (reference["name"].as_str().unwrap_or_default(), reference["key"].as_str().unwrap_or_default());
    let secret = gvr == gvr::SECRETS;
    let kind = if secret { "secret" } else { "configmap" };
    let optional = reference["optional"] == true;
    let Some(found) = runtime.client.get(gvr, object::namespace(pod), name) else {
        return if optional { Ok(None) } else { Err(format!("{kind} {name:?} not found")) };
    };
    match &found["data"][key] {
        Value::String(text) if secret => Ok(Some(String::from_utf8_lossy(&decode(&Value::String(text.clone()))).into_owned())),
        Value::String(text) => Ok(Some(text.clone())),
        _ if optional => Ok(None),
        _ => {
            let title = if secret { "Secret" } else { "ConfigMap" };
            Err(format!("couldn't find key {key} in {title} {}/{name}", object::namespace(pod)))
        }
    }
}

/// `$(NAME)` where it is known; `$$(` stands for `$(`.
pub fn expand(text: &str, known: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let tail = &rest[at..];
        if let Some(after) = tail.strip_prefix("$$") {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = tail.strip_prefix("$(").and_then(|t| t.split_once(')')) {
            match known.get(name) {
                Some(value) => out.push_str(value),
                None => out.push_str(&format!("$({name})")),
            }
            rest = after;
        } else {
            out.push('$');
            rest = &tail[1..];
        }
    }
    out + rest
}

/// A field of the pod, as the downward API names it.
pub fn field(pod: &Value, path: &str) -> Result<String, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for map in ["labels", "annotations"] {
        let prefix = format!("metadata.{map}");
        if path == prefix {
            let entries = pod["metadata"][map].as_object().into_iter().flatten();
            return Ok(entries.map(|(k, v)| format!("{k}={:?}", v.as_str().unwrap_or_default())).collect::<Vec<_>>().join("\n"));
        }
        if let Some(key) = path.strip_prefix(&format!("{prefix}['")).and_then(|p| p.strip_suffix("']")) {
            return Ok(text(&pod["metadata"][map][key]));
        }
    }
    Ok(match path {
        "metadata.name" | "metadata.namespace" | "metadata.uid" => text(&pod["metadata"][&path[9..]]),
        "spec.nodeName" => text(&pod["spec"]["nodeName"]),
        "spec.serviceAccountName" => text(&pod["spec"]["serviceAccountName"]),
        "status.hostIP" | "status.hostIPs" => text(&pod["status"]["hostIP"]),
        "status.podIP" | "status.podIPs" => text(&pod["status"]["podIP"]),
        _ => return Err(format!("unsupported fieldPath: {path}")),
    })
}

/// A resource of a container, divided by `divisor`.
pub fn resource(runtime: &Runtime, pod: &Value, reference: &Value, own: &str) -> Result<String, String> {
    let name = reference["containerName"].as_str().filter(|n| !n.is_empty()).unwrap_or(own);
    let all = ["containers", "initContainers"].into_iter().flat_map(|list| pod["spec"][list].as_array().into_iter().flatten());
    let container = all.into_iter().find(|c| c["name"] == name).ok_or_else(|| format!("container {name} not found"))?;
    let path = reference["resource"].as_str().unwrap_or_default();
    let (kind, resource) = path.split_once('.').ok_or_else(|| format!("unsupported container resource : {path}"))?;
    let parse = |value: &Value| match value {
        Value::String(text) => Quantity::parse(text).ok(),
        Value::Number(n) => Quantity::parse(&n.to_string()).ok(),
        _ => None,
    };
    let mut amount = parse(&container["resources"][kind][resource]).map_or(0, |q| q.nano);
    // No limit: what the node has to give.
    if amount == 0 && kind == "limits" {
        let node = runtime.client.get(gvr::NODES, "", pod["spec"]["nodeName"].as_str().unwrap_or_default());
        amount = node.and_then(|node| parse(&node["status"]["allocatable"][resource])).map_or(0, |q| q.nano);
    }
    let divisor = parse(&reference["divisor"]).map_or(0, |q| q.nano);
    let divisor = if divisor == 0 { 1_000_000_000 } else { divisor };
    Ok((amount.div_euclid(divisor) + i128::from(amount.rem_euclid(divisor) != 0)).to_string())
}

/// Variables for the Services that the pod may know (`enableServiceLinks`), and for the API server always.
fn services(runtime: &Runtime, pod: &Value) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let links = pod["spec"]["enableServiceLinks"] != false;
    let namespace = object::namespace(pod);
    let mut list = if links { runtime.client.list(gvr::SERVICES, Some(namespace)) } else { Vec::new() };
    if namespace != "default" || !links {
        list.extend(runtime.client.get(gvr::SERVICES, "default", "kubernetes"));
    }
    for service in list {
        let address = service["spec"]["clusterIP"].as_str().unwrap_or_default();
        if address.is_empty() || address == "None" {
            continue;
        }
        let name = object::name(&service).to_uppercase().replace('-', "_");
        let ports: Vec<&Value> = service["spec"]["ports"].as_array().into_iter().flatten().collect();
        out.insert(format!("{name}_SERVICE_HOST"), address.to_owned());
        for (i, port) in ports.iter().enumerate() {
            let number = port["port"].to_string();
            let protocol = port["protocol"].as_str().unwrap_or("TCP");
            let lower = protocol.to_lowercase();
            let base = format!("{name}_PORT_{number}_{protocol}");
            if i == 0 {
                out.insert(format!("{name}_SERVICE_PORT"), number.clone());
                out.insert(format!("{name}_PORT"), format!("{lower}://{address}:{number}"));
            }
            if let Some(port_name) = port["name"].as_str().filter(|n| !n.is_empty()) {
                out.insert(format!("{name}_SERVICE_PORT_{}", port_name.to_uppercase().replace('-', "_")), number.clone());
            }
            out.insert(base.clone(), format!("{lower}://{address}:{number}"));
            out.insert(format!("{base}_PROTO"), lower);
            out.insert(format!("{base}_PORT"), number);
            out.insert(format!("{base}_ADDR"), address.to_owned());
        }
    }
    out
}
