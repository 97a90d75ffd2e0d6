//! Whether a failed rule refuses the request: `failureAction` of the rule, of the policy, and for some namespaces.

use machinery::{object, selector::LabelSelector};
use serde_json::Value;

/// `rule` as the policy calls it, or as the rule that was generated of it is called.
pub fn enforces(policy: &Value, rule: &str, namespace: Option<&Value>) -> bool {
    let rules = policy["spec"]["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names = [Some(rule), rule.strip_prefix("autogen-cronjob-"), rule.strip_prefix("autogen-")];
    let rule = names.into_iter().flatten().find_map(|name| rules.iter().find(|rule| rule["name"] == name)).unwrap_or(&Value::Null);
    let own = [&rule["validate"]["failureAction"], &rule["verifyImages"][0]["failureAction"]].into_iter().find(|action| action.is_string());
    let overrides = match own {
        Some(_) => &rule["validate"]["failureActionOverrides"],
        None => &policy["spec"]["validationFailureActionOverrides"],
    };
    let for_namespace = overrides.as_array().into_iter().flatten().find(|entry| is_about(entry, namespace)).map(|entry| &entry["action"]);
    let action = for_namespace.or(own).unwrap_or(&policy["spec"]["validationFailureAction"]);
    action.as_str().is_some_and(|action| action.eq_ignore_ascii_case("enforce"))
}

fn is_about(entry: &Value, namespace: Option<&Value>) -> bool {
    let Some(namespace) = namespace else { return false };
    let names = entry["namespaces"].as_array().filter(|names| !names.is_empty());
    let selector = Some(&entry["namespaceSelector"]).filter(|selector| selector.is_object());
    let by_name =
        names.is_none_or(|names| names.iter().filter_map(Value::as_str).any(|name| kyverno::wildcard(name, object::name(namespace))));
    let by_label = selector.is_none_or(|selector| LabelSelector::from_object(selector).is_ok_and(|s| s.matches(object::labels(namespace))));
    (names.is_some() || selector.is_some()) && by_name && by_label
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn actions_of_rules_policies_and_namespaces() {
        let namespace = json!({"metadata": {"name": "prod-1", "labels": {"tier": "prod"}}});
        let rule = |validate: Value| json!([{"name": "r", "validate": validate}]);
        for (spec, rule_name, expected) in [
            (json!({"rules": rule(json!({}))}), "r", false),
            (json!({"validationFailureAction": "Enforce", "rules": rule(json!({}))}), "r", true),
            (json!({"validationFailureAction": "enforce", "rules": rule(json!({}))}), "autogen-r", true),
            (json!({"validationFailureAction": "Enforce", "rules": rule(json!({"failureAction": "Audit"}))}), "autogen-cronjob-r", false),
            (json!({"rules": rule(json!({"failureAction": "Enforce"}))}), "r", true),
            (
                json!({"validationFailureAction": "Enforce", "rules": rule(json!({})),
                    "validationFailureActionOverrides": [{"action": "Audit", "namespaces": ["prod-?"]}]}),
                "r",
                false,
            ),
            (
                json!({"rules": rule(json!({"failureAction": "Audit",
                    "failureActionOverrides": [{"action": "Enforce", "namespaceSelector": {"matchLabels": {"tier": "prod"}}}]}))}),
                "r",
                true,
            ),
            (
                json!({"rules": rule(json!({"failureAction": "Audit", "failureActionOverrides": [{"action": "Enforce", "namespaces": ["dev*"]}]}))}),
                "r",
                false,
            ),
        ] {
            assert_eq!(enforces(&json!({"spec": spec}), rule_name, Some(&namespace)), expected, "{spec}");
        }
    }
}
