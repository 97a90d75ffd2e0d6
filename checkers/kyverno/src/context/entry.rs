//! Entries of a `context`: ConfigMaps, API calls, global references, images and variables, answered from the evidence.

use super::{Context, QueryError};
use crate::{evidence::Answer, variables};
use kyverno_jmespath::image::Image;
use serde_json::{Value, json};

fn failed<T>(message: impl Into<String>) -> Result<T, QueryError> {
    Err(QueryError::Failed(message.into()))
}

impl Context<'_> {
    pub(super) fn load_entry(&mut self, entry: &Value) -> Result<(), QueryError> {
        let name = entry.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        if let Some(config_map) = entry.get("configMap") {
            return self.load_config_map(&name, config_map);
        }
        if let Some(call) = entry.get("apiCall") {
            return self.load_call(&name, call);
        }
        if let Some(reference) = entry.get("globalReference") {
            return self.load_global(&name, reference);
        }
        if let Some(registry) = entry.get("imageRegistry") {
            return self.load_image(&name, registry);
        }
        match entry.get("variable") {
            Some(variable) => self.load_variable(&name, variable),
            None => failed(format!("missing ConfigMap|APICall|ImageRegistry|Variable in context entry {name}")),
        }
    }

    /// Text with its variables replaced.
    fn text(&mut self, name: &str, document: Option<&Value>) -> Result<String, QueryError> {
        let Some(document) = document else { return Ok(String::new()) };
        match self.substituted(name, document)? {
            Value::String(text) => Ok(text),
            Value::Null => Ok(String::new()),
            other => failed(format!("context entry {name}: {document} has to be text, not {other}")),
        }
    }

    fn substituted(&mut self, name: &str, document: &Value) -> Result<Value, QueryError> {
        variables::substitute(self, document)
            .map_err(|error| QueryError::Failed(format!("failed to substitute variables in context entry {name} {document}: {error}")))
    }

    fn load_config_map(&mut self, name: &str, config_map: &Value) -> Result<(), QueryError> {
        let evidence = self.runtime.evidence;
        // Nobody said anything of the cluster: what was given as a value under the name stands.
        if evidence.knows_no_cluster() {
            return Ok(());
        }
        let of_map = self.text(name, config_map.get("name"))?;
        let namespace = match self.text(name, config_map.get("namespace"))? {
            empty if empty.is_empty() => "default".to_owned(),
            namespace => namespace,
        };
        match evidence.object("v1", "ConfigMap", &namespace, &of_map) {
            Some(found) => {
                let data = json!({ "data": found.get("data").unwrap_or(&Value::Null), "metadata": found.get("metadata") });
                self.put(&[name], data);
                Ok(())
            }
            None => failed(format!(
                "failed to retrieve config map for context entry {name}: failed to get configmap {namespace}/{of_map} : configmaps \"{of_map}\" not found"
            )),
        }
    }

    fn load_call(&mut self, name: &str, call: &Value) -> Result<(), QueryError> {
        let evidence = self.runtime.evidence;
        if evidence.knows_no_cluster() && evidence.http.is_empty() {
            return Ok(());
        }
        let mut fields = call.as_object().cloned().unwrap_or_default();
        let path = fields.remove("jmesPath");
        let default = fields.remove("default");
        let call = self.substituted(name, &Value::Object(fields))?;
        let method = call.get("method").and_then(Value::as_str).unwrap_or("GET");
        let url_path = call.get("urlPath").and_then(Value::as_str).unwrap_or_default();
        let answer = if url_path.is_empty() {
            let url = call.pointer("/service/url").and_then(Value::as_str).unwrap_or_default();
            evidence.http_answer(url, method)
        } else {
            evidence.api_answer(url_path, method)
        };
        let found = match answer {
            Answer::Found(value) => value,
            Answer::Missing(_) if default.is_some() => {
                self.put(&[name], default.unwrap_or_default());
                return Ok(());
            }
            Answer::Missing(why) => {
                return failed(format!("failed to fetch data for APICall: failed to {method} resource with raw url\n: {url_path}: {why}"));
            }
        };
        let path = self.text(name, path.as_ref())?;
        let result = if path.is_empty() { found } else { self.runtime.search(&path, &found)? };
        self.put(&[name], result);
        Ok(())
    }

    fn load_global(&mut self, name: &str, reference: &Value) -> Result<(), QueryError> {
        let evidence = self.runtime.evidence;
        if evidence.global.is_empty() {
            return Ok(());
        }
        let of_entry = self.text(name, reference.get("name"))?;
        let path = self.text(name, reference.get("jmesPath"))?;
        let (entry, projection) = of_entry.split_once('.').unwrap_or((&of_entry, ""));
        let value = match evidence.global(entry, projection) {
            Answer::Found(value) => value,
            Answer::Missing(why) => return failed(format!("failed to load global context entry {name}: {why}")),
        };
        let value = if path.is_empty() { value } else { self.runtime.search(&path, &value)? };
        self.put(&[name], value);
        Ok(())
    }

    fn load_image(&mut self, name: &str, registry: &Value) -> Result<(), QueryError> {
        let evidence = self.runtime.evidence;
        if evidence.images.is_empty() {
            return Ok(());
        }
        let reference = self.text(name, registry.get("reference"))?;
        let path = self.text(name, registry.get("jmesPath"))?;
        let Some(found) = evidence.image(&reference) else {
            return failed(format!("failed to fetch image descriptor: {reference}, error: nothing is known of the image"));
        };
        let parsed = Image::parse(&reference).map_err(QueryError::Failed)?;
        let digest = found.get("digest").and_then(Value::as_str).unwrap_or(&parsed.digest);
        let registry_path = format!("{}/{}", parsed.registry, parsed.path);
        let data = json!({
            "image": parsed.to_string(),
            "resolvedImage": if digest.is_empty() { parsed.to_string() } else { format!("{registry_path}@{digest}") },
            "registry": parsed.registry,
            "repository": parsed.path,
            "identifier": if parsed.digest.is_empty() { &parsed.tag } else { &parsed.digest },
            "manifest": found.get("manifest").unwrap_or(&Value::Null),
            "manifestList": found.get("manifestList").unwrap_or(&Value::Null),
            "configData": found.get("configData").or_else(|| found.get("config")).unwrap_or(&Value::Null),
        });
        let data = if path.is_empty() { data } else { self.runtime.search(&path, &data)? };
        self.put(&[name], data);
        Ok(())
    }

    fn load_variable(&mut self, name: &str, variable: &Value) -> Result<(), QueryError> {
        let path = self.text(name, variable.get("jmesPath"))?;
        let default = match variable.get("default") {
            Some(default) => Some(self.substituted(name, default)?).filter(|value| !value.is_null()),
            None => None,
        };
        let from_path = |path: &str, found: Result<Value, QueryError>| match found {
            Ok(value) => Ok(Some(value)),
            Err(_) if default.is_some() => Ok(None),
            Err(error) => failed(format!("failed to apply jmespath {path} to variable {name}: {error}")),
        };
        let output = match variable.get("value") {
            Some(value) => {
                let value = self.substituted(name, value)?;
                if path.is_empty() { Some(value) } else { from_path(&path, self.runtime.search(&path, &value))? }
            }
            None if path.is_empty() => None,
            None => {
                let found = self.query(&path);
                from_path(&path, found)?.filter(|value| !value.is_null())
            }
        };
        let output = output.or(default).filter(|value| !value.is_null());
        let Some(output) = output else {
            return failed(format!("failed to add context entry for variable {name} since it evaluated to nil"));
        };
        self.replace(&[name], output);
        Ok(())
    }
}
