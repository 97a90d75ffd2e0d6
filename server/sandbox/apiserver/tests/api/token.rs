//! Tokens of ServiceAccounts: what is in them, how long they hold, whom they open the door for, and how a pod shows them.

use crate::kit::{self, Kit};
use base64::{Engine as _, prelude::*};
use bytes::Bytes;
use machinery::gvr;
use serde_json::{Value, json};

const TOKEN: &str = "/api/v1/namespaces/default/serviceaccounts/default/token";
const REVIEW: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

fn request(spec: Value) -> Value {
    json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec})
}

async fn token(kit: &Kit, spec: Value) -> String {
    kit.post(TOKEN, request(spec)).await.expect(201).json()["status"]["token"].as_str().unwrap().to_owned()
}

/// Header and claims.
fn read(token: &str) -> [Value; 2] {
    let mut parts = token.split('.').map(|part| BASE64_URL_SAFE_NO_PAD.decode(part).unwrap());
    std::array::from_fn(|_| serde_json::from_slice(&parts.next().unwrap()).unwrap())
}

async fn review(kit: &Kit, token: &str, audiences: Value) -> Value {
    let spec = json!({"token": token, "audiences": audiences});
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec});
    kit.post(REVIEW, body).await.expect(201).json()["status"].clone()
}

fn pod(kit: &Kit, name: &str) -> Value {
    let pod =
        json!({"metadata": {"name": name, "namespace": "default"}, "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]}});
    (*kit.client().create(gvr::PODS, pod).unwrap()).clone()
}

#[tokio::test]
async fn a_token_says_who_until_when_for_whom_and_bound_to_what() {
    let kit = Kit::new();
    let node = kit.client().create(gvr::NODES, json!({"metadata": {"name": "n"}})).unwrap();
    let pod = pod(&kit, "p");
    let account = kit.client().get(gvr::SERVICE_ACCOUNTS, "default", "default").unwrap();
    let now = kit::start().as_second();

    let answer = kit.post(TOKEN, request(json!({"expirationSeconds": 600}))).await.expect(201).json();
    assert_eq!(answer["status"]["expirationTimestamp"], "2026-01-02T03:14:05Z");
    assert_eq!(answer["spec"], json!({"audiences": [ISSUER], "expirationSeconds": 600, "boundObjectRef": null}));
    assert_eq!(answer["metadata"]["uid"], account["metadata"]["uid"]);
    let [header, claims] = read(answer["status"]["token"].as_str().unwrap());
    let keys = kit.get("/openid/v1/jwks").await.expect(200);
    assert_eq!(keys.headers["content-type"], "application/jwk-set+json");
    let key = keys.json()["keys"][0].clone();
    assert_eq!((&header["alg"], &header["kid"], header.as_object().unwrap().len()), (&key["alg"], &key["kid"], 2));
    assert_eq!((&claims["iat"], &claims["exp"], &claims["nbf"]), (&json!(now), &json!(now + 600), &json!(now)));
    assert_eq!(claims["sub"], "system:serviceaccount:default:default");
    assert_eq!(
        claims["kubernetes.io"],
        json!({"namespace": "default", "serviceaccount": {"name": "default", "uid": account["metadata"]["uid"]}})
    );

    // As the kubelet asks: the token outlives what it says, and names its pod and node.
    let bound = json!({"expirationSeconds": 3607, "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p"}});
    let answer = kit.post(TOKEN, request(bound)).await.expect(201).json();
    assert_eq!(answer["status"]["expirationTimestamp"], "2026-01-02T04:04:12Z");
    let mounted = answer["status"]["token"].as_str().unwrap();
    let [_, claims] = read(mounted);
    assert_eq!(claims["exp"], now + 365 * 24 * 3600);
    let kubernetes = &claims["kubernetes.io"];
    assert_eq!(kubernetes["warnafter"], now + 3607);
    assert_eq!(kubernetes["pod"], json!({"name": "p", "uid": pod["metadata"]["uid"]}));
    assert_eq!(kubernetes["node"], json!({"name": "n", "uid": node["metadata"]["uid"]}));
    let status = review(&kit, mounted, Value::Null).await;
    let extra = |key: &str| &status["user"]["extra"][format!("authentication.kubernetes.io/{key}")][0];
    assert_eq!((extra("pod-name"), extra("node-name")), (&json!("p"), &json!("n")));
    assert_eq!(extra("credential-id"), &json!(format!("JTI={}", claims["jti"].as_str().unwrap())));
    assert_eq!(status["audiences"], json!([ISSUER]));
}

#[tokio::test]
async fn requests_that_are_refused() {
    let kit = Kit::new();
    pod(&kit, "p");
    kit.client().create(gvr::SERVICE_ACCOUNTS, json!({"metadata": {"name": "other", "namespace": "default"}})).unwrap();
    let bind = |kind: &str, version: &str, name: &str, uid: &str| {
        request(json!({"boundObjectRef": {"kind": kind, "apiVersion": version, "name": name, "uid": uid}}))
    };
    let named =
        |metadata: Value| json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": metadata, "spec": {}});
    let other = TOKEN.replace("default/token", "other/token");
    let rows = [
        (
            TOKEN,
            request(json!({"expirationSeconds": 599})),
            422,
            "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes",
        ),
        (
            TOKEN,
            request(json!({"expirationSeconds": 4_294_967_297_i64})),
            422,
            "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds",
        ),
        (TOKEN, bind("ConfigMap", "v1", "p", ""), 400, "cannot bind token to object of type /v1, Kind=ConfigMap"),
        (TOKEN, bind("Pod", "apps/v1", "p", ""), 400, "cannot bind token to object of type apps/v1, Kind=Pod"),
        (TOKEN, bind("Pod", "v1", "nope", ""), 404, "pods \"nope\" not found"),
        (
            TOKEN,
            bind("Pod", "v1", "p", "another"),
            409,
            "Operation cannot be fulfilled on Pod \"p\": the UID in the bound object reference (another) does not match the UID in record. The object might have been deleted and then recreated",
        ),
        (
            &other,
            bind("Pod", "v1", "p", ""),
            400,
            "cannot bind token for serviceaccount \"other\" to pod running with different serviceaccount name.",
        ),
        (
            TOKEN,
            request(json!({"expirationSeconds": "x"})),
            400,
            "TokenRequest in version \"v1\" cannot be handled as a TokenRequest: json: cannot unmarshal string into Go struct field TokenRequestSpec.spec.expirationSeconds of type int64",
        ),
        (
            TOKEN,
            request(json!({"audiences": "x"})),
            400,
            "TokenRequest in version \"v1\" cannot be handled as a TokenRequest: json: cannot unmarshal string into Go struct field TokenRequestSpec.spec.audiences of type []string",
        ),
        (
            TOKEN,
            named(json!({"name": "x"})),
            422,
            "TokenRequest.authentication.k8s.io \"default\" is invalid: metadata.name: Invalid value: \"x\": must match the service account name if specified",
        ),
        (
            TOKEN,
            named(json!({"namespace": "x"})),
            422,
            "TokenRequest.authentication.k8s.io \"default\" is invalid: metadata.namespace: Invalid value: \"x\": must match the service account namespace if specified",
        ),
        ("/api/v1/namespaces/default/serviceaccounts/nope/token", request(json!({})), 404, "serviceaccounts \"nope\" not found"),
    ];
    for (path, body, code, message) in rows {
        assert_eq!(kit.post(path, body).await.expect(code).message(), message, "{path}");
    }
}

#[tokio::test]
async fn tokens_hold_as_long_as_what_they_are_bound_to() {
    let kit = Kit::new();
    let client = kit.client();
    let none = json!({"user": {}, "error": "invalid bearer token"});
    let refused = |why: &str| json!({"user": {}, "error": format!("[invalid bearer token, {why}]")});
    for text in ["nonsense", "a.b.c", "eyJhbGciOiJub25lIn0.e30."] {
        assert_eq!(review(&kit, text, Value::Null).await, none, "{text}");
    }
    let plain = token(&kit, json!({"expirationSeconds": 600})).await;
    let user = kit.server.authenticate(&plain).unwrap();
    assert_eq!(user.name, "system:serviceaccount:default:default");
    assert!(user.groups.contains(&"system:serviceaccounts:default".to_owned()));
    let mut forged = plain.clone();
    forged.replace_range(forged.len() - 4.., "AAAA");
    assert_eq!(review(&kit, &forged, Value::Null).await, refused("go-jose/go-jose: error in cryptographic primitive"));

    // Another cluster, though it began from the same state and knows the same ServiceAccounts by the same uids.
    let options = apiserver::Options { token_secret: [8; 32], ..kit::options(&kit.clock) };
    let other = apiserver::Server::open(options).unwrap();
    other.restore(&kit.server.snapshot()).unwrap();
    let other = Kit { server: other, clock: kit.clock.clone(), user: kit.user.clone() };
    assert_eq!(review(&other, &plain, Value::Null).await, refused("invalid signature, no keys found"));
    let again = apiserver::Server::open(kit::options(&kit.clock)).unwrap();
    again.restore(&kit.server.snapshot()).unwrap();
    assert!(again.authenticate(&plain).is_some(), "the same cluster knows it after a restart");

    let vault = token(&kit, json!({"audiences": ["vault"]})).await;
    assert!(kit.server.authenticate(&vault).is_none(), "a token for somebody else is none for the API server");
    assert_eq!(
        review(&kit, &vault, Value::Null).await,
        refused(&format!("token audiences [\"vault\"] is invalid for the target audiences [\"{ISSUER}\"]"))
    );
    assert_eq!(review(&kit, &vault, json!(["vault", "x"])).await["audiences"], json!(["vault"]));

    pod(&kit, "p");
    client.create(gvr::SECRETS, json!({"metadata": {"name": "s", "namespace": "default"}})).unwrap();
    client.create(gvr::NODES, json!({"metadata": {"name": "m"}})).unwrap();
    for (kind, gvr, space, name) in
        [("Pod", gvr::PODS, "default", "p"), ("Secret", gvr::SECRETS, "default", "s"), ("Node", gvr::NODES, "", "m")]
    {
        let bound = token(&kit, json!({"boundObjectRef": {"kind": kind, "apiVersion": "v1", "name": name}})).await;
        assert!(kit.server.authenticate(&bound).is_some(), "{kind}");
        let now = apiserver::client::DeleteOptions { grace_period_seconds: Some(0), ..Default::default() };
        client.delete(gvr, space, name, &now).unwrap();
        assert_eq!(review(&kit, &bound, Value::Null).await, refused("service account token has been invalidated"), "{kind}");
    }
    // Clocks may differ by a minute.
    kit.clock.advance_to("2026-01-02T03:15:05Z".parse().unwrap());
    assert!(kit.server.authenticate(&plain).is_some());
    kit.clock.advance_to("2026-01-02T03:15:06Z".parse().unwrap());
    assert_eq!(review(&kit, &plain, Value::Null).await, refused("service account token has expired"));

    let fresh = token(&kit, json!({})).await;
    kit.delete("/api/v1/namespaces/default/serviceaccounts/default").await.expect(200);
    assert_eq!(review(&kit, &fresh, Value::Null).await, refused("serviceaccounts \"default\" not found"));
    client.create(gvr::SERVICE_ACCOUNTS, json!({"metadata": {"name": "default", "namespace": "default"}})).unwrap();
    let error = review(&kit, &fresh, Value::Null).await["error"].as_str().unwrap().to_owned();
    assert!(error.contains("service account UID (") && error.contains(") does not match claim ("), "{error}");
}

#[tokio::test]
async fn the_token_in_a_secret_has_no_end_but_its_secrets() {
    let kit = Kit::new();
    let client = kit.client();
    let token = client.secret_token("default", "default", "s").unwrap();
    let [_, claims] = read(&token);
    assert_eq!((claims["iss"].as_str(), claims["exp"].as_i64()), (Some("kubernetes/serviceaccount"), None));
    let why = async |expected: &str| {
        assert_eq!(review(&kit, &token, Value::Null).await["error"], format!("[invalid bearer token, {expected}]"));
    };
    why("Token has been invalidated").await;
    let secret = json!({"metadata": {"name": "s", "namespace": "default"}, "data": {"token": BASE64_STANDARD.encode("another")}});
    client.create(gvr::SECRETS, secret).unwrap();
    why("Token does not match server's copy").await;
    let held = json!({"data": {"token": BASE64_STANDARD.encode(&token)}});
    client.merge_patch(gvr::SECRETS, "default", "s", held).unwrap();
    kit.clock.advance_to("2046-01-02T00:00:00Z".parse().unwrap());
    let user = kit.server.authenticate(&token).unwrap();
    assert_eq!((user.name.as_str(), user.extra.len()), ("system:serviceaccount:default:default", 0));
    let used = client.get(gvr::SECRETS, "default", "s").unwrap();
    assert_eq!(used["metadata"]["labels"]["kubernetes.io/legacy-token-last-used"], "2046-01-02");
}

/// What a pod gets that sends a request to `kubernetes.default.svc`.
#[tokio::test]
async fn the_servers_own_port_asks_who_it_is_by_itself() {
    let kit = Kit::new();
    let good = token(&kit, json!({})).await;
    let pods = "/api/v1/namespaces/default/pods";
    let anonymous =
        "pods is forbidden: User \"system:anonymous\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"";
    let account = "pods is forbidden: User \"system:serviceaccount:default:default\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"";
    let rows = [
        (pods, String::new(), 403, anonymous),
        (pods, "Basic YTpi".to_owned(), 403, anonymous),
        (pods, "Bearer ".to_owned(), 403, anonymous),
        (pods, "Bearer nonsense".to_owned(), 401, "Unauthorized"),
        (pods, format!("Bearer {good}"), 403, account),
        (pods, format!("bearer {good}"), 403, account),
        ("/version", String::new(), 200, ""),
        ("/api", String::new(), 403, "forbidden: User \"system:anonymous\" cannot get path \"/api\""),
        (
            "/api/v1/namespaces/default/pods?watch=1",
            format!("Bearer {good}"),
            501,
            "watches and sessions from inside a pod are not simulated by Cordon (cordon.dev/simulated)",
        ),
    ];
    for (path, authorization, code, message) in rows {
        let request = http::Request::get(path).header("authorization", authorization.as_str()).header("user-agent", "curl/8.17.0");
        let answer = kit.server.answer_inside(request.body(Bytes::new()).unwrap()).await;
        let body: Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!((answer.status().as_u16(), body["message"].as_str().unwrap_or_default()), (code, message), "{path} {authorization}");
        assert!(answer.body().starts_with(b"{\n  \""), "curl is answered prettily: {body}");
    }
    // What RBAC allows, the token opens.
    let role = json!({"metadata": {"name": "reader", "namespace": "default"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]});
    kit.client().create(gvr::ROLES, role).unwrap();
    let binding = json!({"metadata": {"name": "reads", "namespace": "default"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}]});
    kit.client().create(gvr::ROLE_BINDINGS, binding).unwrap();
    let request = http::Request::get(pods).header("authorization", format!("Bearer {good}")).body(Bytes::new()).unwrap();
    assert_eq!(kit.server.answer_inside(request).await.status(), 200);
}

#[tokio::test]
async fn whoever_checks_tokens_elsewhere_finds_the_keys() {
    let kit = Kit::new();
    let answer = kit.get("/.well-known/openid-configuration").await.expect(200);
    assert_eq!(answer.headers["cache-control"], "public, max-age=3600");
    assert_eq!(
        answer.text,
        format!(
            r#"{{"issuer":"{ISSUER}","jwks_uri":"{ISSUER}/openid/v1/jwks","response_types_supported":["id_token"],"subject_types_supported":["public"],"id_token_signing_alg_values_supported":["ES256"]}}"#
        )
    );
    // Every ServiceAccount may read them; nobody else may.
    for path in ["/.well-known/openid-configuration", "/openid/v1/jwks"] {
        kit.as_user("dev", &[]).get(path).await.expect(403);
    }
}
