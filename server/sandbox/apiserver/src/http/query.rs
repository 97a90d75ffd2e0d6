//! The query string.

use super::path::decode;
use machinery::{ApiError, FieldError, strict::FieldValidation};
use serde_json::json;

/// Decoded parameters in the order in which they came.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub fn parse(text: Option<&str>) -> Self {
        let pairs = text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(&key.replace('+', " ")), decode(&value.replace('+', " ")))
        });
        Self(pairs.collect())
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    pub fn text(&self, key: &str) -> &str {
        self.get(key).unwrap_or_default()
    }

    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// Whatever is not `false` or `0` counts as true, nothing at all too, as for Go's flags in a query.
    pub fn flag(&self, key: &str) -> bool {
        self.get(key).is_some_and(|text| !text.eq_ignore_ascii_case("false") && text != "0")
    }

    pub fn number(&self, key: &str) -> Result<Option<i64>, ApiError> {
        match self.get(key) {
            None | Some("") => Ok(None),
            Some(text) => {
                text.parse().map(Some).map_err(|_| ApiError::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")))
            }
        }
    }

    /// `?dryRun=All`, or nothing.
    pub fn dry_run(&self, kind: &str) -> Result<bool, ApiError> {
        let mut dry = false;
        for value in self.all("dryRun") {
            if value != "All" {
                let error = FieldError::not_supported("dryRun", &json!([value]), &["All"]);
                return Err(ApiError::invalid("meta.k8s.io", kind, "", &[error]));
            }
            dry = true;
        }
        Ok(dry)
    }

    pub fn field_validation(&self, kind: &str) -> Result<FieldValidation, ApiError> {
        match self.text("fieldValidation") {
            "" | "Warn" => Ok(FieldValidation::Warn),
            "Ignore" => Ok(FieldValidation::Ignore),
            "Strict" => Ok(FieldValidation::Strict),
            other => {
                let error = FieldError::not_supported("fieldValidation", &json!(other), &["", "Ignore", "Strict", "Warn"]);
                Err(ApiError::invalid("meta.k8s.io", kind, "", &[error]))
            }
        }
    }
}
