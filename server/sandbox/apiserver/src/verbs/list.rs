//! `list`: selectors, resourceVersion and its match, pages.

use crate::{call::Call, convert::Served, store::State};
use base64::{
    DecodeError, Engine, alphabet,
    engine::general_purpose::{GeneralPurpose, NO_PAD, URL_SAFE_NO_PAD},
};
use machinery::{
    ApiError, FieldError, object,
    selector::{FieldSelector, LabelSelector},
};
use serde_json::{Value, json};
use std::sync::Arc;

/// Go's decoder does not look at the bits behind the last byte.
const TOKEN: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));

/// Label and field selectors of one request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    pub labels: Option<LabelSelector>,
    pub fields: Option<FieldSelector>,
}

/// `ListOptions` that concern a list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    pub selection: Selection,
    pub resource_version: String,
    pub resource_version_match: String,
    /// 0: everything in one answer.
    pub limit: usize,
    pub token: String,
    /// Only a watch may ask for them.
    pub send_initial_events: bool,
}

/// One page, or everything.
#[derive(Debug)]
pub(crate) struct Listed {
    pub items: Vec<Served>,
    pub resource_version: u64,
    /// Token of the next page, and how many objects lie behind it.
    pub rest: Option<(String, usize)>,
}

impl Selection {
    pub fn parse(call: &Call, labels: Option<&str>, fields: Option<&str>) -> Result<Self, ApiError> {
        Ok(Self {
            labels: labels.filter(|text| !text.is_empty()).map(LabelSelector::parse).transpose()?,
            fields: fields.filter(|text| !text.is_empty()).map(|text| FieldSelector::parse(&call.resource, text)).transpose()?,
        })
    }

    /// Judges an object as it is served.
    pub fn matches(&self, object: &Value) -> bool {
        self.labels.as_ref().is_none_or(|selector| selector.matches(object::labels(object)))
            && self.fields.as_ref().is_none_or(|selector| selector.matches(object))
    }

    /// Everything that it chooses.
    pub fn choose(&self, state: &State, call: &Call) -> Vec<Served> {
        state
            .list_stored(call.storage_group(), &call.resource.plural, Some(&call.namespace), None)
            .map(|(_, stored)| Served::new(&call.resource, stored))
            .filter(|object| self.takes(object))
            .collect()
    }

    /// As [`Self::matches`], without reading an object where everything is chosen.
    fn takes(&self, object: &Served) -> bool {
        (self.labels.is_none() && self.fields.is_none()) || self.matches(&object.tree())
    }
}

impl Listed {
    /// `metadata` of the list.
    pub fn metadata(&self) -> Value {
        let mut metadata = json!({"resourceVersion": self.resource_version.to_string()});
        if let Some((token, count)) = &self.rest {
            metadata["continue"] = token.as_str().into();
            metadata["remainingItemCount"] = (*count).into();
        }
        metadata
    }
}

pub(crate) fn list(call: &Call, options: &Options) -> Result<Listed, ApiError> {
    check(options)?;
    let current = call.server.state();
    let (state, after) = if options.token.is_empty() {
        let wanted =
            version(&options.resource_version).map_err(|error| ApiError::bad_request(format!("invalid resource version: {error}")))?;
        if wanted > current.resource_version() {
            return Err(too_large(wanted, current.resource_version()));
        }
        if options.resource_version_match == "Exact" && wanted != current.resource_version() {
            let state = call.server.store().page(wanted);
            (state.ok_or_else(expired_exact)?, None)
        } else {
            (current, None)
        }
    } else {
        let (wanted, after) = read_token(&options.token)?;
        (call.server.store().page(wanted).ok_or_else(expired_token)?, Some(after))
    };
    let objects = state.list_stored(call.storage_group(), &call.resource.plural, Some(&call.namespace), after.as_deref());
    let mut items = Vec::new();
    let mut last: Option<&Arc<str>> = None;
    let mut rest = 0;
    for (key, stored) in objects {
        let object = Served::new(&call.resource, stored);
        if !options.selection.takes(&object) {
            continue;
        }
        if options.limit > 0 && items.len() >= options.limit {
            rest += 1;
            continue;
        }
        items.push(object);
        last = Some(key);
    }
    let rest = match (rest, last) {
        (1.., Some(last)) => {
            call.server.store().keep_page(&state);
            Some((write_token(state.resource_version(), last), rest))
        }
        _ => None,
    };
    Ok(Listed { items, resource_version: state.resource_version(), rest })
}

/// What is wrong with the options, all of it (`ValidateListOptions`).
fn check(options: &Options) -> Result<(), ApiError> {
    const MATCH: &str = "resourceVersionMatch";
    let mut errors = Vec::new();
    let matching = options.resource_version_match.as_str();
    if !matching.is_empty() {
        if options.resource_version.is_empty() {
            errors.push(FieldError::forbidden(MATCH, "resourceVersionMatch is forbidden unless resourceVersion is provided"));
        }
        if !options.token.is_empty() {
            errors.push(FieldError::forbidden(MATCH, "resourceVersionMatch is forbidden when continue is provided"));
        }
        if !matches!(matching, "Exact" | "NotOlderThan") {
            errors.push(FieldError::not_supported(MATCH, &json!(matching), &["Exact", "NotOlderThan", ""]));
        }
        if matching == "Exact" && options.resource_version == "0" {
            let message = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            errors.push(FieldError::forbidden(MATCH, message));
        }
    }
    if options.send_initial_events {
        errors.push(FieldError::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
    if !errors.is_empty() {
        return Err(ApiError::invalid("meta.k8s.io", "ListOptions", "", &errors));
    }
    if !options.token.is_empty() && !matches!(options.resource_version.as_str(), "" | "0") {
        return Err(ApiError::bad_request("specifying resource version is not allowed when using continue"));
    }
    Ok(())
}

/// A resource version of a query; empty is 0.
pub(crate) fn version(text: &str) -> Result<u64, FieldError> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().map_err(|_| {
        let detail = format!("strconv.ParseUint: parsing {text:?}: invalid syntax");
        FieldError::invalid("resourceVersion", &json!(text), detail)
    })
}

/// Refuses a version that this cluster has not reached, as the cache of a real server does when it has waited for it in vain.
pub(crate) fn not_ahead(call: &Call, wanted: &str) -> Result<(), ApiError> {
    let current = call.server.state().resource_version();
    match version(wanted) {
        Ok(wanted) if wanted > current => Err(too_large(wanted, current)),
        _ => Ok(()),
    }
}

fn too_large(wanted: u64, current: u64) -> ApiError {
    let mut error = ApiError::new(504, "Timeout", format!("Timeout: Too large resource version: {wanted}, current: {current}"));
    error.details = json!({
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    });
    error
}

/// 410, as a watch of a forgotten version gets it.
pub(crate) fn expired(wanted: u64, oldest: u64) -> ApiError {
    ApiError::new(410, "Expired", format!("too old resource version: {wanted} ({oldest})"))
}

fn expired_exact() -> ApiError {
    ApiError::new(410, "Expired", "The resourceVersion for the provided list is too old.")
}

fn expired_token() -> ApiError {
    ApiError::new(
        410,
        "Expired",
        "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.",
    )
}

/// The server's own form: base64 of `{"v":"meta.k8s.io/v1","rv":…,"start":"…"}`.
fn write_token(resource_version: u64, last: &str) -> String {
    let token = json!({"v": "meta.k8s.io/v1", "rv": resource_version, "start": format!("{last}\u{0}")});
    URL_SAFE_NO_PAD.encode(token.to_string())
}

fn read_token(token: &str) -> Result<(u64, String), ApiError> {
    let refuse = |why: &str| ApiError::bad_request(format!("invalid continue token: continue key is not valid: {why}"));
    let bytes = TOKEN.decode(token).map_err(|error| refuse(&not_base64(&error)))?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| refuse(&not_json(&bytes, &error)))?;
    if value["v"] != "meta.k8s.io/v1" {
        return Err(refuse("server does not recognize this encoded version"));
    }
    let start =
        value["start"].as_str().filter(|start| !start.is_empty()).ok_or_else(|| refuse("incorrect encoded start resourceVersion"))?;
    let resource_version = value["rv"].as_u64().filter(|rv| *rv > 0).ok_or_else(|| refuse("incorrect encoded start resourceVersion"))?;
    Ok((resource_version, start.trim_end_matches('\u{0}').to_owned()))
}

/// In the words of Go's decoder.
fn not_base64(error: &DecodeError) -> String {
    match error {
        DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) => format!("illegal base64 data at input byte {at}"),
        DecodeError::InvalidLength(length) => format!("illegal base64 data at input byte {length}"),
        DecodeError::InvalidPadding => "illegal base64 data".to_owned(),
    }
}

/// The same for what was encoded, where it does not even begin as JSON; else as our own parser says it.
fn not_json(bytes: &[u8], error: &serde_json::Error) -> String {
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => "unexpected end of JSON input".to_owned(),
        Some(first) if !b"{[\"-tfn0123456789".contains(first) => {
            let shown = if first.is_ascii_graphic() { char::from(*first).to_string() } else { format!("\\u{first:04x}") };
            format!("invalid character '{shown}' looking for beginning of value")
        }
        Some(_) => error.to_string(),
    }
}
