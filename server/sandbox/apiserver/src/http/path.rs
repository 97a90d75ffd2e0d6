//! The request's path taken apart, as `RequestInfo` of k8s.io/apiserver.

/// `/api/v1/namespaces/x/pods/p/log` and its like; anything else is a non-resource path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RequestPath {
    pub is_resource: bool,
    pub group: String,
    pub version: String,
    pub namespace: String,
    pub resource: String,
    pub name: String,
    pub subresource: String,
    /// Behind the subresource: what a proxy is asked for.
    pub rest: String,
    /// The whole path.
    pub path: String,
}

/// Subresources of namespaces, which would else read as resources within one.
const OF_NAMESPACES: &[&str] = &["status", "finalize"];

pub(super) fn parse(path: &str) -> RequestPath {
    let plain = RequestPath { path: path.to_owned(), ..RequestPath::default() };
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
        ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
        _ => return plain,
    };
    let mut info = RequestPath { is_resource: true, group: group.to_owned(), version: version.to_owned(), ..plain };
    let rest = match rest {
        // Deprecated prefix: /api/v1/watch/…
        ["watch", rest @ ..] if !rest.is_empty() => rest,
        other => other,
    };
    let rest = match rest {
        ["namespaces", namespace, resource, ..] if !OF_NAMESPACES.contains(resource) => {
            (*namespace).clone_into(&mut info.namespace);
            &rest[2..]
        }
        ["namespaces", namespace, ..] if group.is_empty() => {
            (*namespace).clone_into(&mut info.namespace);
            rest
        }
        other => other,
    };
    if let Some(resource) = rest.first() {
        (*resource).clone_into(&mut info.resource);
    }
    if let Some(name) = rest.get(1) {
        info.name = decode(name);
    }
    if let Some(subresource) = rest.get(2) {
        (*subresource).clone_into(&mut info.subresource);
    }
    if rest.len() > 3 {
        info.rest = rest[3..].join("/");
        if path.ends_with('/') {
            info.rest.push('/');
        }
    }
    info
}

/// Percent-decoding; what does not decode stays as it is.
pub(super) fn decode(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok())).flatten();
        if let Some(byte) = hex {
            out.push(byte);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let table = [
            ("/api/v1/pods", "", "", "pods", "", "", ""),
            ("/api/v1/namespaces", "", "", "namespaces", "", "", ""),
            ("/api/v1/namespaces/x", "", "x", "namespaces", "x", "", ""),
            ("/api/v1/namespaces/x/finalize", "", "x", "namespaces", "x", "finalize", ""),
            ("/api/v1/namespaces/x/pods/p/proxy/a/b/", "", "x", "pods", "p", "proxy", "a/b/"),
            ("/apis/apps/v1/namespaces/x/deployments/d/scale", "apps", "x", "deployments", "d", "scale", ""),
            (
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
                "rbac.authorization.k8s.io",
                "",
                "clusterroles",
                "system:node",
                "",
                "",
            ),
        ];
        for (path, group, namespace, resource, name, subresource, rest) in table {
            let info = parse(path);
            assert!(info.is_resource, "{path}");
            assert_eq!(
                (
                    info.group.as_str(),
                    info.namespace.as_str(),
                    info.resource.as_str(),
                    info.name.as_str(),
                    info.subresource.as_str(),
                    info.rest.as_str()
                ),
                (group, namespace, resource, name, subresource, rest),
                "{path}"
            );
        }
        for path in ["/", "/api", "/api/v1", "/apis/apps/v1", "/healthz", "/openapi/v3/api/v1"] {
            assert!(!parse(path).is_resource, "{path}");
        }
    }
}
