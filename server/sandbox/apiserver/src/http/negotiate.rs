//! What the client takes: media type and transformation by the `Accept` header.

use http::{HeaderMap, header};
use machinery::ApiError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Json,
    Yaml,
}

/// `;as=…;g=meta.k8s.io;v=v1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Object,
    Table,
    /// `PartialObjectMetadata`, and for a list `PartialObjectMetadataList`.
    Metadata,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Accepted {
    pub encoding: Encoding,
    pub shape: Shape,
    pub pretty: bool,
}

impl Accepted {
    pub const JSON: Self = Self { encoding: Encoding::Json, shape: Shape::Object, pretty: false };
}

/// Media type in lower case, parameters, and quality in thousandths.
type Clause = (String, Vec<(String, String)>, u32);

fn clauses(headers: &HeaderMap) -> Vec<Clause> {
    let mut clauses = Vec::new();
    for value in headers.get_all(header::ACCEPT) {
        for clause in value.to_str().unwrap_or_default().split(',') {
            let mut parts = clause.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            if kind.is_empty() {
                continue;
            }
            let parameters: Vec<_> =
                parts.filter_map(|part| part.split_once('=')).map(|(k, v)| (k.to_ascii_lowercase(), v.to_owned())).collect();
            let quality = parameters.iter().find(|(key, _)| key == "q").and_then(|(_, q)| q.parse::<f32>().ok()).unwrap_or(1.0);
            // In thousandths, as far as a quality value goes.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped between 0 and 1000")]
            let quality = (quality * 1000.0).clamp(0.0, 1000.0) as u32;
            clauses.push((kind, parameters, quality));
        }
    }
    // Stable: clauses of the same quality stay in the client's order.
    clauses.sort_by_key(|(_, _, quality)| std::cmp::Reverse(*quality));
    clauses
}

/// JSON, indented for who reads it with their own eyes: what is answered where nothing could be negotiated.
pub(super) fn plain(headers: &HeaderMap, pretty: Option<&str>) -> Accepted {
    let pretty = match pretty {
        Some(text) => !matches!(text, "false" | "0"),
        None => {
            let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
            ["curl", "Wget", "Mozilla/"].iter().any(|start| agent.starts_with(start))
        }
    };
    Accepted { pretty, ..Accepted::JSON }
}

/// The first clause that this server can honour. Binary forms (protobuf, CBOR) are none of them.
pub(super) fn accepted(headers: &HeaderMap, pretty: Option<&str>, tables: bool) -> Result<Accepted, ApiError> {
    let Accepted { pretty, .. } = plain(headers, pretty);
    let clauses = clauses(headers);
    if clauses.is_empty() {
        return Ok(Accepted { pretty, ..Accepted::JSON });
    }
    for (kind, parameters, quality) in &clauses {
        let encoding = match kind.as_str() {
            "application/json" | "application/*" | "*/*" => Encoding::Json,
            "application/yaml" => Encoding::Yaml,
            _ => continue,
        };
        if *quality == 0 {
            continue;
        }
        let parameter = |name: &str| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let known = matches!(parameter("g"), None | Some("meta.k8s.io")) && matches!(parameter("v"), None | Some("v1" | "v1beta1"));
        let shape = match parameter("as") {
            None => Shape::Object,
            Some("Table") if tables && known => Shape::Table,
            Some("PartialObjectMetadata" | "PartialObjectMetadataList") if tables && known => Shape::Metadata,
            Some(_) => continue,
        };
        return Ok(Accepted { encoding, shape, pretty });
    }
    const KINDS: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
    // A media type that no route gives is refused before anything else; a form of one that it has, by the form.
    if !clauses.iter().any(|(kind, _, _)| KINDS.split(", ").any(|known| known == kind)) {
        let mut error = ApiError::new(406, "NotAcceptable", format!("406: Not Acceptable\n\nAvailable representations: {KINDS}"));
        error.details = serde_json::json!({});
        return Err(error);
    }
    Err(ApiError::new(406, "NotAcceptable", format!("only the following media types are accepted: {KINDS}")))
}

/// Media type of a body, without parameters; JSON where the client names none.
pub(super) fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind.is_empty() { "application/json".to_owned() } else { kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(accept: &str) -> Result<(Encoding, Shape), u16> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        accepted(&headers, None, true).map(|a| (a.encoding, a.shape)).map_err(|error| error.code)
    }

    #[test]
    fn clauses_are_tried_in_order() {
        let table = [
            ("application/json", Ok((Encoding::Json, Shape::Object))),
            ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", Ok((Encoding::Json, Shape::Table))),
            ("application/json;as=Table;v=v9;g=meta.k8s.io,application/json", Ok((Encoding::Json, Shape::Object))),
            ("application/vnd.kubernetes.protobuf,application/json", Ok((Encoding::Json, Shape::Object))),
            (
                "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json",
                Ok((Encoding::Json, Shape::Metadata)),
            ),
            ("application/yaml", Ok((Encoding::Yaml, Shape::Object))),
            ("text/html, application/yaml;q=0.5, */*;q=0.1", Ok((Encoding::Yaml, Shape::Object))),
            ("application/vnd.kubernetes.protobuf", Err(406)),
            ("text/html", Err(406)),
        ];
        for (accept, expected) in table {
            assert_eq!(judge(accept), expected, "{accept}");
        }
    }
}
