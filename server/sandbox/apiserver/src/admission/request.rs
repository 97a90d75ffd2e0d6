//! The request that admission policies and webhooks judge, and whether their rules and selectors cover it.

use crate::{
    call::{Call, Operation},
    convert,
    store::State,
    subresources,
};
use machinery::{
    Resource,
    cel::{Inputs, value},
    object,
    selector::LabelSelector,
};
use serde_json::{Value, json};
use std::sync::Arc;

/// A request as policies and webhooks see it.
pub(super) struct Request<'a> {
    call: &'a Call,
    operation: Operation,
    pub new: Option<Value>,
    pub old: Option<Value>,
    namespace: Option<Arc<Value>>,
}

impl<'a> Request<'a> {
    pub fn new(call: &'a Call, state: &State, operation: Operation, new: Option<&Value>, old: Option<&Value>) -> Self {
        let namespace = call.resource.namespaced.then(|| state.get("", "namespaces", "", &call.namespace)).flatten();
        let seen = |object: &Value| {
            if call.subresource == "scale" {
                return subresources::scale::scale_of(call, object);
            }
            let mut object = Value::clone(&convert::served(&call.resource, Arc::new(object.clone())));
            if let Some(metadata) = object["metadata"].as_object_mut() {
                metadata.remove("managedFields");
            }
            object
        };
        Self { call, operation, new: new.map(seen), old: old.map(seen), namespace }
    }

    /// What it is about: the new object, or the one that goes.
    pub fn object(&self) -> Option<&Value> {
        self.new.as_ref().or(self.old.as_ref())
    }

    /// Whether a policy's `matchConstraints` cover the request.
    pub fn meets(&self, constraints: &Value) -> bool {
        self.meets_rules(constraints, &constraints["resourceRules"]) && self.meets_selectors(constraints)
    }

    /// The same for a binding's `matchResources`, where no rules mean all.
    pub fn meets_binding(&self, scope: &Value) -> bool {
        let unlimited = json!([{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*", "*/*"]}]);
        let rules = Some(&scope["resourceRules"]).filter(|rules| rules.as_array().is_some_and(|rules| !rules.is_empty()));
        self.meets_rules(scope, rules.unwrap_or(&unlimited)) && self.meets_selectors(scope)
    }

    pub fn meets_rules(&self, constraints: &Value, rules: &Value) -> bool {
        let any = |rules: &Value, resource: &Resource| rules.as_array().into_iter().flatten().any(|rule| self.meets_rule(rule, resource));
        if any(&constraints["excludeResourceRules"], &self.call.resource) {
            return false;
        }
        if any(rules, &self.call.resource) {
            return true;
        }
        // Another version or group of the same objects.
        constraints["matchPolicy"] != "Exact"
            && self.call.server.scheme().resources().any(|other| {
                other.plural == self.call.resource.plural
                    && other.kind == self.call.resource.kind
                    && crate::call::storage_group(other) == self.call.storage_group()
                    && any(rules, other)
            })
    }

    fn meets_rule(&self, rule: &Value, resource: &Resource) -> bool {
        let lists = |field: &str, wanted: &str| texts(&rule[field]).any(|held| held == "*" || held == wanted);
        let scope = match rule["scope"].as_str() {
            Some("Cluster") => !resource.namespaced,
            Some("Namespaced") => resource.namespaced,
            _ => true,
        };
        let names = rule["resourceNames"].as_array().filter(|names| !names.is_empty());
        let name = self.object().map(object::name).unwrap_or_default();
        names_operation(rule, self.operation)
            && lists("apiGroups", &resource.group)
            && lists("apiVersions", &resource.version)
            && scope
            && names.is_none_or(|names| names.iter().any(|held| held == name))
            && names_resource(rule, &resource.plural, &self.call.subresource)
    }

    pub fn meets_selectors(&self, constraints: &Value) -> bool {
        let selects = |selector: &Value, labels| {
            selector.is_null() || LabelSelector::from_object(selector).is_ok_and(|selector| selector.matches(labels))
        };
        let is_namespace = self.call.is("", "namespaces");
        let namespace = if is_namespace { self.object() } else { self.namespace.as_deref() };
        let by_namespace = namespace.is_none_or(|namespace| selects(&constraints["namespaceSelector"], object::labels(namespace)));
        let of_object = &constraints["objectSelector"];
        let by_object = [&self.new, &self.old].into_iter().flatten().any(|object| selects(of_object, object::labels(object)));
        by_namespace && by_object
    }

    /// The fields of an `AdmissionRequest`, without the objects.
    pub fn attributes(&self) -> Value {
        let call = self.call;
        let resource = &call.resource;
        let kind = match resource.subresources.iter().find(|subresource| subresource.name == call.subresource) {
            Some(of) => json!({"group": of.group, "version": of.version, "kind": of.kind}),
            None => json!({"group": resource.group, "version": resource.version, "kind": resource.kind}),
        };
        let plural = json!({"group": resource.group, "version": resource.version, "resource": resource.plural});
        let name = self.object().map(object::name).unwrap_or_default();
        json!({
            "kind": kind, "resource": plural, "subResource": call.subresource,
            "requestKind": kind, "requestResource": plural, "requestSubResource": call.subresource,
            "name": name, "namespace": call.namespace, "dryRun": call.dry_run,
            "operation": self.operation.as_str(),
            "userInfo": {"username": call.user.name, "uid": call.user.uid, "groups": call.user.groups, "extra": call.user.extra},
            "options": {},
        })
    }

    /// What expressions see.
    pub fn inputs(&self, params: Option<&Value>) -> Inputs {
        let mut inputs = Inputs::default();
        let of = |object: Option<&Value>| object.map_or_else(|| value::of_json(&Value::Null), value::of_json);
        inputs.set("object", of(self.new.as_ref()));
        inputs.set("oldObject", of(self.old.as_ref()));
        inputs.set("request", value::of_json(&self.attributes()));
        inputs.set("params", of(params));
        inputs.set("namespaceObject", of(self.namespace.as_deref().filter(|_| !self.call.is("", "namespaces"))));
        inputs
    }
}

/// Whether a rule's `operations` cover this one.
pub(super) fn names_operation(rule: &Value, operation: Operation) -> bool {
    texts(&rule["operations"]).any(|held| held == "*" || held == operation.as_str())
}

/// Whether a rule's `resources` (`pods`, `pods/exec`, `*/*`) cover this one.
pub(super) fn names_resource(rule: &Value, plural: &str, subresource: &str) -> bool {
    texts(&rule["resources"]).any(|held| {
        let (of, below) = held.split_once('/').unwrap_or((held, ""));
        (of == "*" || of == plural) && (below == "*" || below == subresource)
    })
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}
