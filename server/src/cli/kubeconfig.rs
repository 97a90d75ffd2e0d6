//! Kubeconfig files.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

/// What a kubeconfig says.
#[derive(Debug, Clone)]
pub struct Kubeconfig<'a> {
    /// With the path prefix, as `https://127.0.0.1:8443/clusters/a1`.
    pub server: &'a str,
    /// PEM; `None` leaves it to what the machine trusts.
    pub authority: Option<&'a str>,
    pub user: &'a str,
    pub token: &'a str,
    /// Context name, cluster name; shown by `kubectl config`.
    pub name: &'a str,
    pub namespace: Option<&'a str>,
}

impl Kubeconfig<'_> {
    /// YAML, as kubectl reads and rewrites it (`kubectl config set-context` works on it).
    pub fn to_yaml(&self) -> String {
        let quote = |text: &str| json!(text).to_string();
        let authority = match self.authority {
            Some(pem) => format!("    certificate-authority-data: {}\n", STANDARD.encode(pem)),
            None => String::new(),
        };
        let namespace = match self.namespace {
            Some(namespace) => format!("    namespace: {}\n", quote(namespace)),
            None => String::new(),
        };
        let (name, user) = (quote(self.name), quote(self.user));
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: {name}\nclusters:\n- name: {name}\n  cluster:\n    server: {server}\n{authority}\
             users:\n- name: {user}\n  user:\n    token: {token}\ncontexts:\n- name: {name}\n  context:\n    cluster: {name}\n    user: {user}\n{namespace}",
            server = quote(self.server),
            token = quote(self.token),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_what_kubectl_reads() {
        let yaml = Kubeconfig {
            server: "https://127.0.0.1:1/clusters/a",
            authority: Some("PEM"),
            user: "admin",
            token: "t",
            name: "lab",
            namespace: Some("ml"),
        }
        .to_yaml();
        expect_test::expect![[r#"
            apiVersion: v1
            kind: Config
            current-context: "lab"
            clusters:
            - name: "lab"
              cluster:
                server: "https://127.0.0.1:1/clusters/a"
                certificate-authority-data: UEVN
            users:
            - name: "admin"
              user:
                token: "t"
            contexts:
            - name: "lab"
              context:
                cluster: "lab"
                user: "admin"
                namespace: "ml"
        "#]]
        .assert_eq(&yaml);
    }
}
