//! Fields of a wrong type: the API server would not take them, and a control would read them as unset.

use Shape::*;
use serde_json::Value;

enum Shape {
    Bool,
    Int,
    Text,
    /// Strings by any name.
    Texts,
    Fields(&'static [(&'static str, Shape)]),
    List(&'static Shape),
}

const PROFILE: Shape = Fields(&[("type", Text)]);
const SELINUX: Shape = Fields(&[("type", Text), ("user", Text), ("role", Text)]);
const WINDOWS: Shape = Fields(&[("hostProcess", Bool)]);
const HANDLER: Shape = Fields(&[("httpGet", Fields(&[("host", Text)])), ("tcpSocket", Fields(&[("host", Text)]))]);
const VOLUME: Shape = Fields(&[("name", Text), ("hostPath", Fields(&[("path", Text)]))]);
const CONTAINER: Shape = Fields(&[
    ("name", Text),
    ("image", Text),
    ("ports", List(&Fields(&[("hostPort", Int), ("containerPort", Int)]))),
    ("livenessProbe", HANDLER),
    ("readinessProbe", HANDLER),
    ("startupProbe", HANDLER),
    ("lifecycle", Fields(&[("postStart", HANDLER), ("preStop", HANDLER)])),
    (
        "securityContext",
        Fields(&[
            ("privileged", Bool),
            ("allowPrivilegeEscalation", Bool),
            ("runAsNonRoot", Bool),
            ("readOnlyRootFilesystem", Bool),
            ("runAsUser", Int),
            ("runAsGroup", Int),
            ("procMount", Text),
            ("capabilities", Fields(&[("add", List(&Text)), ("drop", List(&Text))])),
            ("seccompProfile", PROFILE),
            ("appArmorProfile", PROFILE),
            ("seLinuxOptions", SELINUX),
            ("windowsOptions", WINDOWS),
        ]),
    ),
]);
const SPEC: Shape = Fields(&[
    ("hostNetwork", Bool),
    ("hostPID", Bool),
    ("hostIPC", Bool),
    ("hostUsers", Bool),
    ("automountServiceAccountToken", Bool),
    ("os", Fields(&[("name", Text)])),
    ("initContainers", List(&CONTAINER)),
    ("containers", List(&CONTAINER)),
    ("ephemeralContainers", List(&CONTAINER)),
    ("volumes", List(&VOLUME)),
    (
        "securityContext",
        Fields(&[
            ("runAsNonRoot", Bool),
            ("runAsUser", Int),
            ("runAsGroup", Int),
            ("seccompProfile", PROFILE),
            ("appArmorProfile", PROFILE),
            ("seLinuxOptions", SELINUX),
            ("windowsOptions", WINDOWS),
            ("sysctls", List(&Fields(&[("name", Text)]))),
        ]),
    ),
]);

/// A field that cannot be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// `spec.containers[0].securityContext.privileged`.
    pub field: String,
    /// `must be true or false`.
    pub message: &'static str,
}

/// Every field that a control reads and that has a wrong type; a missing or null one is right. A pod without a spec is malformed.
pub fn malformed(metadata: &Value, spec: &Value) -> Vec<Malformed> {
    let mut found = Vec::new();
    if spec.is_null() {
        found.push(Malformed { field: "spec".to_owned(), message: "is missing" });
    }
    visit(metadata, &Fields(&[("annotations", Texts)]), "metadata", &mut found);
    visit(spec, &SPEC, "spec", &mut found);
    found
}

fn visit(value: &Value, shape: &Shape, path: &str, found: &mut Vec<Malformed>) {
    let mut wrong = |message| found.push(Malformed { field: path.to_owned(), message });
    match (shape, value) {
        (_, Value::Null) | (Bool, Value::Bool(_)) | (Text, Value::String(_)) => {}
        (Int, Value::Number(number)) if number.is_i64() => {}
        (Bool, _) => wrong("must be true or false"),
        (Int, _) => wrong("must be a whole number"),
        (Text, _) => wrong("must be a string"),
        (Texts, Value::Object(fields)) => {
            for (key, value) in fields {
                visit(value, &Text, &format!("{path}[{key}]"), found);
            }
        }
        (Fields(known), Value::Object(_)) => {
            for (key, shape) in *known {
                visit(&value[*key], shape, &format!("{path}.{key}"), found);
            }
        }
        (Texts | Fields(_), _) => wrong("must be an object"),
        (List(shape), Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                visit(item, shape, &format!("{path}[{index}]"), found);
            }
        }
        (List(_), _) => wrong("must be an array"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn wrong_types_are_named() {
        for (spec, want) in [
            (json!({"containers": [{"name": "a", "securityContext": {"privileged": true}}]}), vec![]),
            (json!(null), vec!["spec is missing"]),
            (json!({"hostPID": "true"}), vec!["spec.hostPID must be true or false"]),
            (
                json!({"containers": [{"securityContext": {"privileged": "yes", "runAsUser": 0.5}}], "volumes": {}}),
                vec![
                    "spec.containers[0].securityContext.privileged must be true or false",
                    "spec.containers[0].securityContext.runAsUser must be a whole number",
                    "spec.volumes must be an array",
                ],
            ),
        ] {
            let got: Vec<_> = malformed(&Value::Null, &spec).iter().map(|m| format!("{} {}", m.field, m.message)).collect();
            assert_eq!(got, want);
        }
        assert_eq!(malformed(&json!({"annotations": {"a": 1}}), &json!({}))[0].field, "metadata.annotations[a]");
    }
}
