//! The editor's Apply button: YAML through the API, as the learner; no program ever runs on it.

use crate::app::{App, AppError, kube};
use provision::UserInfo;
use serde::Serialize;
use serde_json::Value;
use store::User;

/// What came of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    /// `Deployment/ml/web`.
    pub object: String,
    /// `created`, `configured` or `unchanged`; empty where there is a problem.
    pub action: String,
    /// The API server's own words.
    pub problem: Option<String>,
}

/// Bytes of one Apply.
pub const LIMIT: usize = 1024 * 1024;
const DOCUMENTS: usize = 200;

impl App {
    /// Applies all documents of `yaml` in their order. `AppError::Invalid` where it is no YAML.
    pub async fn apply(&self, user: &User, attempt: &str, yaml: &str, dry_run: bool) -> Result<Vec<Applied>, AppError> {
        let attempt = self.running_attempt(user, attempt).await?;
        let objects = documents(yaml)?;
        let cluster = self.engine.open(&attempt.id).await?;
        self.touch(&attempt).await?;
        let caller = kube::Caller { cluster: &*cluster, user: learner() };
        let namespace = self.namespace_of(&attempt);
        Ok(kube::apply_all(&caller, "cordon-editor", &namespace, objects, dry_run).await)
    }

    /// Applies a file of the workspace.
    pub async fn apply_file(&self, user: &User, attempt: &str, path: &str, dry_run: bool) -> Result<Vec<Applied>, AppError> {
        let bytes = self.read_file(user, attempt, path).await?;
        let yaml = String::from_utf8(bytes).map_err(|_| AppError::invalid("path", "the file is not UTF-8 text"))?;
        self.apply(user, attempt, &yaml, dry_run).await
    }

    /// What a GET of `path` (as `/openapi/v3` or `/apis/apps/v1/…`) answers the learner. For the editor's schemas.
    pub async fn cluster_get(&self, user: &User, attempt: &str, path: &str) -> Result<bytes::Bytes, AppError> {
        let attempt = self.running_attempt(user, attempt).await?;
        if !path.starts_with('/') || path.len() > 1_000 {
            return Err(AppError::invalid("path", "no path of the API"));
        }
        let cluster = self.engine.open(&attempt.id).await?;
        kube::Caller { cluster: &*cluster, user: learner() }.bytes(path).await.map_err(|error| match error {
            kube::CallError::Refused { code: 404, .. } => AppError::NotFound("resource"),
            other => AppError::Unavailable(other.to_string()),
        })
    }

    pub(crate) fn namespace_of(&self, attempt: &store::Attempt) -> String {
        let start = self.course.start(&attempt.lab, &attempt.params).ok();
        start.and_then(|start| start.namespace).unwrap_or_else(|| "default".to_owned())
    }
}

/// The learner is the administrator of their own cluster, under a name of their own.
pub fn learner() -> UserInfo {
    UserInfo {
        name: "learner".to_owned(),
        groups: vec!["system:masters".to_owned(), "system:authenticated".to_owned()],
        ..UserInfo::default()
    }
}

/// The parser draws the place below its words; the editor marks it already.
fn in_one_line(error: &str) -> String {
    let line = error.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// The objects of a multi-document YAML text; a `List` counts as its items. Bounded in size and number; anchors may not multiply.
pub fn documents(yaml: &str) -> Result<Vec<Value>, AppError> {
    if yaml.len() > LIMIT {
        return Err(AppError::invalid("yaml", format!("larger than {} KiB", LIMIT / 1024)));
    }
    let parsed: Vec<Value> =
        serde_saphyr::from_multiple(yaml).map_err(|error| AppError::invalid("yaml", in_one_line(&error.to_string())))?;
    let mut objects = Vec::new();
    for document in parsed {
        match document {
            Value::Null => {}
            Value::Object(_) if document["kind"] == "List" && document["items"].is_array() => {
                objects.extend(document["items"].as_array().cloned().unwrap_or_default());
            }
            Value::Object(_) => objects.push(document),
            _ => return Err(AppError::invalid("yaml", "every document must be an object with apiVersion and kind")),
        }
    }
    if objects.is_empty() {
        return Err(AppError::invalid("yaml", "there is no object in it"));
    }
    if objects.len() > DOCUMENTS {
        return Err(AppError::invalid("yaml", format!("more than {DOCUMENTS} objects at once")));
    }
    Ok(objects)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_becomes_objects_or_a_clear_error() {
        let count = |yaml: &str| documents(yaml).map(|objects| objects.len()).map_err(|error| error.to_string());
        assert_eq!(count("a: 1\n---\n---\nb: 2\n"), Ok(2));
        assert_eq!(count("kind: List\nitems:\n- {kind: A}\n- {kind: B}\n"), Ok(2));
        assert_eq!(count(""), Err("there is no object in it".to_owned()));
        assert!(count("- 1\n").unwrap_err().contains("must be an object"));
        let unclosed = count("a: [1\nb: 2\n").unwrap_err();
        assert!(unclosed.starts_with("line 2") && !unclosed.contains('\n'), "{unclosed}");
        assert!(count(&"a".repeat(LIMIT + 1)).unwrap_err().contains("larger"));
        assert!(count(&"---\na: 1\n".repeat(201)).unwrap_err().contains("more than"));
        let bomb = (0..40).fold("x0: &x0 [1,1,1,1,1,1,1,1,1,1]\n".to_owned(), |text, n| {
            let (a, b) = (n, n + 1);
            format!("{text}x{b}: &x{b} [*x{a},*x{a},*x{a},*x{a},*x{a},*x{a},*x{a},*x{a},*x{a}]\n")
        });
        assert!(count(&bomb).is_err(), "an anchor bomb is refused");
        assert!(count(&"[".repeat(100_000)).is_err(), "so is nesting without end");
    }
}
