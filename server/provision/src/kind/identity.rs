//! In whose name a request goes on: learners are administrators under the guard, and may act as others where RBAC lets them.

use crate::kind::{api::Api, guard};
use http::HeaderMap;
use sandbox::UserInfo;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const MASTERS: &str = "system:masters";

/// Who asks, as the cluster sees them. The engine's own administrator (the application, when it puts a lab in or collects evidence)
/// stays above the guard; everybody else's `system:masters` becomes the learners' group, which RBAC makes cluster-admin.
pub fn of(user: &UserInfo, trusted: bool) -> UserInfo {
    let mut user = user.clone();
    if !trusted && user != UserInfo::admin() {
        for group in &mut user.groups {
            if group == MASTERS {
                guard::LEARNERS.clone_into(group);
            }
        }
    }
    user
}

/// As whom a request wants to act (`kubectl --as`), from its own headers.
pub fn wanted(headers: &HeaderMap) -> Option<UserInfo> {
    let one = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let groups: Vec<String> =
        headers.get_all("impersonate-group").iter().filter_map(|value| value.to_str().ok()).map(str::to_owned).collect();
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        if let (Some(key), Ok(value)) = (name.as_str().strip_prefix("impersonate-extra-"), value.to_str()) {
            extra.entry(key.to_owned()).or_default().push(value.to_owned());
        }
    }
    let uid = one("impersonate-uid").unwrap_or_default();
    let name = one("impersonate-user").unwrap_or_default();
    let any = !name.is_empty() || !groups.is_empty() || !uid.is_empty() || !extra.is_empty();
    any.then_some(UserInfo { name, uid, groups, extra })
}

/// What has to be allowed for that: the questions that the API server itself would put to its authorizers
/// (<https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation>).
fn questions(wanted: &UserInfo) -> Vec<Value> {
    let ask = |group: &str, resource: &str, subresource: &str, namespace: &str, name: &str| {
        json!({"verb": "impersonate", "group": group, "version": "v1", "resource": resource, "subresource": subresource,
            "namespace": namespace, "name": name})
    };
    let mut all = Vec::new();
    match wanted.name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':')) {
        Some((namespace, name)) => all.push(ask("", "serviceaccounts", "", namespace, name)),
        None => all.push(ask("", "users", "", "", &wanted.name)),
    }
    all.extend(wanted.groups.iter().map(|group| ask("", "groups", "", "", group)));
    if !wanted.uid.is_empty() {
        all.push(ask("authentication.k8s.io", "uids", "", "", &wanted.uid));
    }
    for (key, values) in &wanted.extra {
        all.extend(values.iter().map(|value| ask("authentication.k8s.io", "userextras", key, "", value)));
    }
    all
}

/// `Err`: what the API server would say. The guard's own word comes first, and does not come from the cluster.
pub async fn may_impersonate(api: &Api, user: &UserInfo, wanted: &UserInfo, trusted: bool) -> Result<(), String> {
    let refused = |group: &str, resource: &str, name: &str| {
        let dot = if group.is_empty() { "" } else { "." };
        let user = &user.name;
        format!(
            "{resource}{dot}{group} \"{name}\" is forbidden: User \"{user}\" cannot impersonate resource \"{resource}\" in API group \"{group}\" at the cluster scope"
        )
    };
    if let Some((resource, name)) = guard::closed_identity(wanted).filter(|_| !trusted) {
        return Err(refused("", resource, name));
    }
    for question in questions(wanted) {
        let extra: BTreeMap<&String, &Vec<String>> = user.extra.iter().collect();
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"resourceAttributes": question, "user": user.name, "groups": user.groups, "uid": user.uid, "extra": extra},
        });
        let answer = api.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", &review).await.map_err(|error| error.to_string())?;
        if answer["status"]["allowed"] != true {
            let field = |name: &str| question[name].as_str().unwrap_or_default();
            return Err(refused(field("group"), field("resource"), field("name")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_but_the_engine_is_above_the_guard() {
        let learner = UserInfo { name: "learner".to_owned(), ..UserInfo::admin() };
        let below = vec![guard::LEARNERS.to_owned(), "system:authenticated".to_owned()];
        assert_eq!(of(&learner, false).groups, below);
        assert_eq!(of(&learner, true), learner);
        assert_eq!(of(&UserInfo::admin(), false), UserInfo::admin());
        let account = UserInfo::service_account("ml", "trainer");
        assert_eq!(of(&account, false), account);
    }

    #[test]
    fn what_a_request_asks_to_be() {
        let headers = |rows: &[(&'static str, &str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in rows {
                map.append(*name, value.parse().unwrap());
            }
            map
        };
        assert_eq!(wanted(&headers(&[("accept", "x")])), None);
        let user = wanted(&headers(&[
            ("impersonate-user", "system:serviceaccount:ml:trainer"),
            ("impersonate-group", "a"),
            ("impersonate-group", "b"),
            ("impersonate-uid", "1"),
            ("impersonate-extra-scopes", "view"),
        ]))
        .unwrap();
        assert_eq!((user.name.as_str(), user.groups.len(), user.uid.as_str()), ("system:serviceaccount:ml:trainer", 2, "1"));
        let asked: Vec<String> = questions(&user)
            .iter()
            .map(|question| {
                format!("{}/{} {} {}", question["group"], question["resource"], question["namespace"], question["name"]).replace('"', "")
            })
            .collect();
        assert_eq!(
            asked,
            [
                "/serviceaccounts ml trainer",
                "/groups  a",
                "/groups  b",
                "authentication.k8s.io/uids  1",
                "authentication.k8s.io/userextras  view"
            ]
        );
        assert_eq!(questions(&UserInfo { name: "ada".to_owned(), ..UserInfo::default() })[0]["resource"], "users");
    }
}
