//! What is wrong with a policy, before any object is looked at: field, mistake, remedy.

use super::Finding;
use crate::condition::{DEPRECATED, OPERATORS};
use serde_json::Value;

struct Lint {
    document: usize,
    findings: Vec<Finding>,
}

const RULE_TYPES: [&str; 4] = ["validate", "mutate", "generate", "verifyImages"];
const VALIDATIONS: [&str; 8] = ["pattern", "anyPattern", "deny", "foreach", "podSecurity", "cel", "manifests", "assert"];
const RULE_FIELDS: [&str; 13] = [
    "name",
    "context",
    "match",
    "exclude",
    "imageExtractors",
    "preconditions",
    "celPreconditions",
    "mutate",
    "validate",
    "generate",
    "verifyImages",
    "skipBackgroundRequests",
    "reportProperties",
];
const MOST_RULES: usize = 1_000;

impl Lint {
    fn wrong(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.findings.push(Finding { document: self.document, field: field.into(), message: message.into(), warning: false });
    }

    fn warn(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.findings.push(Finding { document: self.document, field: field.into(), message: message.into(), warning: true });
    }
}

pub fn policy(document: usize, object: &Value) -> Vec<Finding> {
    let mut lint = Lint { document, findings: Vec::new() };
    if object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().is_empty() {
        lint.wrong("metadata.name", "a policy needs a name");
    }
    let Some(rules) = object.pointer("/spec/rules").and_then(Value::as_array) else {
        lint.wrong("spec.rules", "a policy needs a list of rules");
        return lint.findings;
    };
    if rules.is_empty() {
        lint.wrong("spec.rules", "a policy without rules does nothing; add one");
    }
    if rules.len() > MOST_RULES {
        lint.wrong("spec.rules", format!("more than {MOST_RULES} rules"));
        return lint.findings;
    }
    if let Some(action) = object.pointer("/spec/validationFailureAction") {
        lint.action(action, "spec.validationFailureAction");
        lint.warn("spec.validationFailureAction", "deprecated; write failureAction below validate of each rule");
    }
    let mut names: Vec<&str> = Vec::new();
    for (i, rule) in rules.iter().enumerate() {
        let field = format!("spec.rules[{i}]");
        let name = rule.get("name").and_then(Value::as_str).unwrap_or_default();
        if name.is_empty() {
            lint.wrong(format!("{field}.name"), "a rule needs a name");
        } else if names.contains(&name) {
            lint.wrong(format!("{field}.name"), format!("duplicate rule name: '{name}'; names of rules have to be unique in a policy"));
        } else if name.chars().count() > 63 {
            lint.wrong(format!("{field}.name"), format!("the name '{name}' is longer than 63 letters"));
        }
        names.push(name);
        lint.rule(rule, &field);
    }
    lint.findings
}

pub fn cleanup(document: usize, object: &Value) -> Vec<Finding> {
    let mut lint = Lint { document, findings: Vec::new() };
    if object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().is_empty() {
        lint.wrong("metadata.name", "a policy needs a name");
    }
    match object.pointer("/spec/schedule").and_then(Value::as_str) {
        None => lint.wrong("spec.schedule", "a cleanup policy needs a schedule in cron format, such as \"*/5 * * * *\""),
        Some(schedule) if schedule.split_whitespace().count() != 5 && !schedule.starts_with('@') => {
            lint.wrong("spec.schedule", format!("schedule spec {schedule:?} is no cron format: five fields, such as \"*/5 * * * *\""));
        }
        Some(_) => {}
    }
    lint.block(object.pointer("/spec/match"), "spec.match", true);
    lint.block(object.pointer("/spec/exclude"), "spec.exclude", false);
    lint.conditions(object.pointer("/spec/conditions"), "spec.conditions");
    lint.findings
}

impl Lint {
    fn action(&mut self, action: &Value, field: &str) {
        if !matches!(action.as_str(), Some("Audit" | "Enforce" | "audit" | "enforce")) {
            self.wrong(field, format!("{action} is no failure action; write Audit or Enforce"));
        }
    }

    fn rule(&mut self, rule: &Value, field: &str) {
        let Some(fields) = rule.as_object() else {
            self.wrong(field, "a rule has to be a map with name, match and what it does");
            return;
        };
        for name in fields.keys().filter(|name| !RULE_FIELDS.contains(&name.as_str())) {
            let near = RULE_FIELDS.iter().find(|known| known.eq_ignore_ascii_case(name) || known.starts_with(name.as_str()));
            let hint = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
            self.wrong(format!("{field}.{name}"), format!("a rule has no field {name}{hint}"));
        }
        let given = |name: &str| fields.get(name).is_some_and(|v| !v.is_null() && v.as_object().is_none_or(|m| !m.is_empty()));
        let types: Vec<_> = RULE_TYPES.into_iter().filter(|name| given(name)).collect();
        match types.as_slice() {
            [] => self.wrong(field, "no operation defined in the rule; write one of validate, mutate, generate, verifyImages"),
            [_] => {}
            several => {
                self.wrong(field, format!("only one operation is allowed in a rule, not {}; write a rule for each", several.join(" and ")))
            }
        }
        self.block(rule.get("match"), &format!("{field}.match"), true);
        self.block(rule.get("exclude"), &format!("{field}.exclude"), false);
        self.conditions(rule.get("preconditions"), &format!("{field}.preconditions"));
        self.context(rule.get("context"), &format!("{field}.context"));
        if let Some(validate) = rule.get("validate").filter(|v| !v.is_null()) {
            self.validate(validate, &format!("{field}.validate"));
        }
        if let Some(mutate) = rule.get("mutate").filter(|v| !v.is_null()) {
            self.mutate(mutate, &format!("{field}.mutate"));
        }
        if let Some(generate) = rule.get("generate").filter(|v| !v.is_null()) {
            self.generate(generate, &format!("{field}.generate"));
        }
    }

    /// `match` or `exclude`.
    fn block(&mut self, block: Option<&Value>, field: &str, required: bool) {
        let Some(block) = block.filter(|block| !block.is_null()) else {
            if required {
                self.wrong(field, "match resources not specified; say which kinds the rule is about");
            }
            return;
        };
        let list = |name: &str| block.get(name).and_then(Value::as_array).map(Vec::len).unwrap_or_default();
        if list("any") > 0 && list("all") > 0 {
            self.wrong(field, "any and all cannot stand together; write one of them");
        }
        if (list("any") > 0 || list("all") > 0) && block.get("resources").is_some_and(|r| r.as_object().is_none_or(|m| !m.is_empty())) {
            self.wrong(format!("{field}.resources"), "resources cannot stand beside any or all; move it into the list");
        }
        for name in ["any", "all"] {
            for (i, filter) in block.get(name).and_then(Value::as_array).into_iter().flatten().enumerate() {
                self.filter(filter, &format!("{field}.{name}[{i}]"));
            }
        }
        if list("any") == 0 && list("all") == 0 {
            if block.get("resources").is_some() {
                self.filter(block, field);
            } else if required && !["subjects", "roles", "clusterRoles"].iter().any(|name| block.get(*name).is_some()) {
                self.wrong(field, "nothing is matched; write any or all with a list of resources");
            }
        }
    }

    fn filter(&mut self, filter: &Value, field: &str) {
        let Some(resources) = filter.get("resources") else { return };
        let kinds = resources.get("kinds").and_then(Value::as_array);
        for (i, kind) in kinds.into_iter().flatten().enumerate() {
            let place = format!("{field}.resources.kinds[{i}]");
            match kind.as_str() {
                None => self.wrong(place, format!("{kind} is no kind; write a name such as Pod")),
                Some("") => self.wrong(place, "a kind has a name"),
                Some(kind) if kind.split('/').count() > 4 => {
                    self.wrong(place, format!("{kind} has too many parts; a kind is written group/version/Kind/subresource"));
                }
                Some(kind) if kind.chars().next().is_some_and(char::is_lowercase) && !kind.contains('/') => {
                    self.warn(place, format!("kinds begin with a capital letter; {kind} matches nothing"));
                }
                Some(_) => {}
            }
        }
        if resources.get("name").is_some() && resources.get("names").is_some() {
            self.wrong(format!("{field}.resources"), "name and names cannot stand together; write names");
        }
    }

    fn conditions(&mut self, conditions: Option<&Value>, field: &str) {
        match conditions {
            None | Some(Value::Null) => {}
            Some(Value::Array(list)) => list.iter().enumerate().for_each(|(i, c)| self.condition(c, &format!("{field}[{i}]"))),
            Some(Value::Object(map)) => {
                for (name, value) in map {
                    if !matches!(name.as_str(), "any" | "all") {
                        self.wrong(
                            format!("{field}.{name}"),
                            format!("{name} is not known here; write any or all with a list of conditions"),
                        );
                        continue;
                    }
                    match value {
                        Value::Null => {}
                        Value::Array(list) => list.iter().enumerate().for_each(|(i, c)| self.condition(c, &format!("{field}.{name}[{i}]"))),
                        _ => self.wrong(format!("{field}.{name}"), "has to be a list of conditions"),
                    }
                }
            }
            Some(_) => self.wrong(field, "conditions are a map with any and all"),
        }
    }

    fn condition(&mut self, condition: &Value, field: &str) {
        if !condition.is_object() {
            self.wrong(field, "a condition is a map with key, operator and value");
            return;
        }
        if condition.get("key").is_none() {
            self.wrong(format!("{field}.key"), "a condition needs a key");
        }
        let place = format!("{field}.operator");
        match condition.get("operator").and_then(Value::as_str) {
            None => self.wrong(place, format!("a condition needs an operator, one of {}", OPERATORS.join(", "))),
            Some(operator) if !OPERATORS.contains(&operator) => {
                let near = OPERATORS.iter().find(|known| known.eq_ignore_ascii_case(operator));
                let hint = near.map_or_else(|| format!("one of {}", OPERATORS.join(", ")), |near| (*near).to_owned());
                self.wrong(place, format!("entered value of `operator` {operator} is invalid; write {hint}"));
            }
            Some(operator) => {
                if let Some((_, instead)) = DEPRECATED.iter().find(|(old, _)| *old == operator) {
                    self.warn(place, format!("{operator} is deprecated; write {instead}"));
                }
            }
        }
    }

    fn context(&mut self, context: Option<&Value>, field: &str) {
        let kinds = ["configMap", "apiCall", "imageRegistry", "variable", "globalReference"];
        for (i, entry) in context.and_then(Value::as_array).into_iter().flatten().enumerate() {
            let field = format!("{field}[{i}]");
            if entry.get("name").and_then(Value::as_str).unwrap_or_default().is_empty() {
                self.wrong(format!("{field}.name"), "a context entry needs a name");
            }
            let given: Vec<_> = kinds.into_iter().filter(|kind| entry.get(*kind).is_some_and(|v| !v.is_null())).collect();
            if given.len() != 1 {
                self.wrong(
                    field.clone(),
                    format!("exactly one of {} is needed in a context entry, found {}", kinds.join(", "), given.len()),
                );
            }
            if let Some(path) = given.first().and_then(|kind| entry.get(*kind)).and_then(|v| v.get("jmesPath")).and_then(Value::as_str) {
                self.query(path, &format!("{field}.{}.jmesPath", given[0]));
            }
        }
    }

    fn query(&mut self, query: &str, field: &str) {
        // A query with variables in it is known when they are.
        if query.contains("{{") {
            return;
        }
        if let Err(error) = kyverno_jmespath::compile(query.trim()) {
            self.wrong(field, format!("{query:?} is no JMESPath query: {error}"));
        }
    }

    fn validate(&mut self, validate: &Value, field: &str) {
        let Some(fields) = validate.as_object() else {
            self.wrong(field, "validate has to be a map");
            return;
        };
        let given: Vec<_> = VALIDATIONS.into_iter().filter(|name| fields.get(*name).is_some_and(|value| !value.is_null())).collect();
        match given.as_slice() {
            [] => self.wrong(field, format!("validate rule has nothing to check; write one of {}", VALIDATIONS.join(", "))),
            [_] => {}
            several => self.wrong(field, format!("only one of {} can stand in a rule", several.join(" and "))),
        }
        if let Some(action) = fields.get("failureAction") {
            self.action(action, &format!("{field}.failureAction"));
        }
        self.checks(fields.get("deny"), validate, field);
        if fields.get("pattern").is_some_and(Value::is_array) {
            self.wrong(
                format!("{field}.pattern"),
                "a pattern is a map, as the object that it is compared with; alternatives go to anyPattern",
            );
        }
        if fields.get("anyPattern").is_some_and(|value| !value.is_array() && !value.is_null()) {
            self.wrong(format!("{field}.anyPattern"), "anyPattern is a list of patterns");
        }
        if let Some(level) = fields.get("podSecurity") {
            self.pod_security(level, &format!("{field}.podSecurity"));
        }
    }

    /// What loops of all rules share.
    fn loop_head(&mut self, each: &Value, field: &str) {
        match each.get("list").and_then(Value::as_str) {
            None | Some("") => {
                self.wrong(format!("{field}.list"), "a loop needs a list: a JMESPath query such as request.object.spec.containers")
            }
            Some(list) => self.query(list, &format!("{field}.list")),
        }
        self.conditions(each.get("preconditions"), &format!("{field}.preconditions"));
    }

    /// What a rule and its loops share.
    fn checks(&mut self, deny: Option<&Value>, block: &Value, field: &str) {
        self.conditions(deny.and_then(|deny| deny.get("conditions")), &format!("{field}.deny.conditions"));
        for (i, each) in block.get("foreach").and_then(Value::as_array).into_iter().flatten().enumerate() {
            let field = format!("{field}.foreach[{i}]");
            self.loop_head(each, &field);
            self.context(each.get("context"), &format!("{field}.context"));
            if field.matches("foreach").count() < 20 {
                self.checks(each.get("deny"), each, &field);
            }
        }
    }

    fn pod_security(&mut self, rule: &Value, field: &str) {
        let level = rule.get("level").and_then(Value::as_str).unwrap_or_default();
        if !matches!(level, "privileged" | "baseline" | "restricted") {
            self.wrong(format!("{field}.level"), format!("{level:?} is no level; write privileged, baseline or restricted"));
        }
        if let Some(version) = rule.get("version").and_then(Value::as_str)
            && version.parse::<pod_security::Version>().is_err()
        {
            self.wrong(format!("{field}.version"), format!("{version:?} is no version; write latest or v1.N"));
        }
        for (i, exclude) in rule.get("exclude").and_then(Value::as_array).into_iter().flatten().enumerate() {
            let control = exclude.get("controlName").and_then(Value::as_str).unwrap_or_default();
            if crate::validate::pod_security::checks_of(control).is_empty() {
                let known = crate::validate::pod_security::CONTROLS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
                self.wrong(format!("{field}.exclude[{i}].controlName"), format!("{control:?} is no control; write one of {known}"));
            }
        }
    }

    fn mutate(&mut self, mutate: &Value, field: &str) {
        let known = ["patchStrategicMerge", "patchesJson6902", "foreach"];
        let given: Vec<_> =
            known.into_iter().filter(|name| mutate.get(*name).is_some_and(|v| !v.is_null() && v.as_str() != Some(""))).collect();
        match given.as_slice() {
            [] => self.wrong(field, format!("mutate rule changes nothing; write one of {}", known.join(", "))),
            [_] => {}
            several => self.wrong(field, format!("only one of {} can stand in a rule", several.join(" and "))),
        }
        if mutate.get("patchesJson6902").is_some_and(|patch| !patch.is_string() && !patch.is_null()) {
            self.wrong(format!("{field}.patchesJson6902"), "the patches are one text: write |- before the list");
        }
        for (i, each) in mutate.get("foreach").and_then(Value::as_array).into_iter().flatten().enumerate() {
            let field = format!("{field}.foreach[{i}]");
            self.loop_head(each, &field);
        }
    }

    fn generate(&mut self, generate: &Value, field: &str) {
        let known = ["data", "clone", "cloneList", "foreach"];
        let given = |name: &str| generate.get(name).is_some_and(|v| !v.is_null() && v.as_object().is_none_or(|m| !m.is_empty()));
        let several: Vec<_> = known.into_iter().filter(|name| given(name)).collect();
        match several.as_slice() {
            [] => self.wrong(field, format!("generate rule makes nothing; write one of {}", known.join(", "))),
            [_] => {}
            several => self.wrong(field, format!("only one of {} can stand in a rule", several.join(" and "))),
        }
        if (given("data") || given("clone")) && generate.get("kind").and_then(Value::as_str).unwrap_or_default().is_empty() {
            self.wrong(format!("{field}.kind"), "the kind of what is generated is missing");
        }
    }
}
