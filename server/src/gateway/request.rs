//! What a request to the Kubernetes API asks for, read from its method and path
//! (k8s.io/apiserver/pkg/endpoints/request, RequestInfo).

use http::{Method, Uri};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestInfo {
    pub verb: String,
    pub group: String,
    pub resource: String,
    pub namespace: String,
    pub name: String,
}

/// Splits `/clusters/<id>/rest` into the id and `/rest`. Ids are lower-case letters, digits and dashes.
pub fn split_prefix(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix("/clusters/")?;
    let end = rest.find('/').unwrap_or(rest.len());
    let (id, rest) = rest.split_at(end);
    let fine = !id.is_empty() && id.len() <= 64 && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    fine.then_some((id, if rest.is_empty() { "/" } else { rest }))
}

/// `path` without the cluster's prefix.
pub fn describe(method: &Method, path: &str, query: Option<&str>) -> RequestInfo {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let (group, mut rest) = match parts.as_slice() {
        ["api", "v1", rest @ ..] if !rest.is_empty() => ("", rest),
        ["apis", group, _version, rest @ ..] if !rest.is_empty() => (*group, rest),
        _ => {
            let verb = method.as_str().to_ascii_lowercase();
            return RequestInfo { verb, resource: clip(path, 200), ..RequestInfo::default() };
        }
    };
    let mut namespace = "";
    if let ["namespaces", name, tail @ ..] = rest {
        namespace = name;
        if !tail.is_empty() && !matches!(tail, ["status" | "finalize"]) {
            rest = tail;
        }
    }
    let watch = query.is_some_and(|query| query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1" | "watch")));
    let name = rest.get(1).copied().unwrap_or_default();
    let verb = match *method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if name.is_empty() => "deletecollection",
        Method::DELETE => "delete",
        _ if watch => "watch",
        _ if name.is_empty() => "list",
        _ => "get",
    };
    let resource = match rest.get(2) {
        Some(subresource) => format!("{}/{subresource}", rest[0]),
        None => rest[0].to_owned(),
    };
    RequestInfo {
        verb: verb.to_owned(),
        group: clip(group, 200),
        resource: clip(&resource, 200),
        namespace: clip(namespace, 200),
        name: clip(name, 253),
    }
}

/// The same request without the prefix; `None` where the rest is no path and query.
pub fn without_prefix(uri: &Uri, rest: &str) -> Option<Uri> {
    let path_and_query = match uri.query() {
        Some(query) => format!("{rest}?{query}"),
        None => rest.to_owned(),
    };
    Uri::builder().path_and_query(path_and_query).build().ok()
}

fn clip(text: &str, limit: usize) -> String {
    text.chars().take(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes() {
        for (path, expected) in [
            ("/clusters/a1-b/api/v1/pods", Some(("a1-b", "/api/v1/pods"))),
            ("/clusters/a", Some(("a", "/"))),
            ("/clusters/a/", Some(("a", "/"))),
            ("/clusters//api", None),
            ("/clusters/../api", None),
            ("/clusters/A/api", None),
            ("/clusters/%2e/api", None),
            ("/api/v1", None),
            ("/", None),
        ] {
            assert_eq!(split_prefix(path), expected, "{path}");
        }
    }

    #[test]
    fn verbs_and_names() {
        let rows = [
            ("GET", "/api/v1/namespaces/ml/pods/a", "get||pods|ml|a"),
            ("GET", "/api/v1/namespaces/ml/pods", "list||pods|ml|"),
            ("GET", "/api/v1/namespaces/ml/pods?limit=500&watch=true", "watch||pods|ml|"),
            ("GET", "/api/v1/namespaces", "list||namespaces||"),
            ("GET", "/api/v1/namespaces/ml", "get||namespaces|ml|ml"),
            ("PUT", "/api/v1/namespaces/ml/finalize", "update||namespaces/finalize|ml|ml"),
            ("POST", "/apis/apps/v1/namespaces/ml/deployments", "create|apps|deployments|ml|"),
            ("PATCH", "/apis/apps/v1/namespaces/ml/deployments/web/scale", "patch|apps|deployments/scale|ml|web"),
            ("GET", "/api/v1/namespaces/ml/pods/a/exec?command=id", "get||pods/exec|ml|a"),
            (
                "DELETE",
                "/apis/networking.k8s.io/v1/namespaces/ml/networkpolicies",
                "deletecollection|networking.k8s.io|networkpolicies|ml|",
            ),
            ("DELETE", "/api/v1/nodes/n", "delete||nodes||n"),
            ("GET", "/version", "get||/version||"),
            ("GET", "/apis/apps/v1", "get||/apis/apps/v1||"),
            ("GET", "/api/v1", "get||/api/v1||"),
        ];
        for (method, path, expected) in rows {
            let uri: Uri = path.parse().unwrap();
            let info = describe(&method.parse().unwrap(), uri.path(), uri.query());
            let line = [info.verb, info.group, info.resource, info.namespace, info.name].join("|");
            assert_eq!(line, expected, "{method} {path}");
        }
    }
}
