//! Services, Endpoints and EndpointSlices; what every namespace has.

use crate::{bootstrap::NodeSpec, controllers::common::text, testing::Lab};
use expect_test::expect;
use machinery::{gvr, object};
use serde_json::json;

#[test]
fn endpoints_follow_readiness_names_and_selectors() {
    let mut lab = Lab::bare(&[NodeSpec::with_gpus("a", 0)]);
    lab.apply(
        gvr::SERVICES,
        "{apiVersion: v1, kind: Service, metadata: {name: web, labels: {l: v}}, spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: serve}]}}",
    );
    let slices = lab.list(gvr::ENDPOINT_SLICES);
    assert_eq!(slices.len(), 1, "an empty Service has a placeholder");
    for (name, image) in [("p1", "i"), ("p2", "unready")] {
        lab.apply(
            gvr::PODS,
            &format!(
                "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, labels: {{app: web}}}}, spec: {{containers: \
                 [{{name: c, image: {image}, ports: [{{name: serve, containerPort: 8080}}]}}]}}}}"
            ),
        );
    }
    let slice = &lab.list(gvr::ENDPOINT_SLICES)[0];
    assert!(object::name(slice).starts_with("web-"));
    let seen: Vec<_> = slice["endpoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|endpoint| format!("{} {} {}", text(&endpoint["targetRef"]["name"]), endpoint["addresses"], endpoint["conditions"]))
        .collect();
    expect![[r#"
        p1 ["10.244.0.11"] {"ready":true,"serving":true,"terminating":false}
        p2 ["10.244.0.12"] {"ready":false,"serving":false,"terminating":false}"#]]
    .assert_eq(&seen.join("\n"));
    assert_eq!(slice["ports"], json!([{"name": "http", "port": 8080, "protocol": "TCP"}]));
    assert_eq!(
        slice["metadata"]["labels"],
        json!({"l": "v", "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io", "kubernetes.io/service-name": "web"})
    );
    let endpoints = lab.get(gvr::ENDPOINTS, "web");
    assert_eq!(endpoints["subsets"][0]["addresses"][0]["ip"], "10.244.0.11");
    assert_eq!(endpoints["subsets"][0]["notReadyAddresses"][0]["ip"], "10.244.0.12");
    lab.delete(gvr::PODS, "p1", &Default::default());
    assert_eq!(lab.list(gvr::ENDPOINT_SLICES)[0]["endpoints"].as_array().unwrap().len(), 1);
    lab.delete(gvr::SERVICES, "web", &Default::default());
    assert_eq!((lab.list(gvr::ENDPOINT_SLICES).len(), lab.list(gvr::ENDPOINTS).len()), (0, 0));
}

#[test]
fn every_namespace_has_its_account_and_its_authority() {
    let mut lab = Lab::bare(&[]);
    lab.apply(gvr::NAMESPACES, "{apiVersion: v1, kind: Namespace, metadata: {name: team}}");
    assert!(lab.client.get(gvr::SERVICE_ACCOUNTS, "team", "default").is_some());
    let authority = lab.client.get(gvr::CONFIG_MAPS, "team", "kube-root-ca.crt").unwrap();
    assert_eq!(authority["data"]["ca.crt"], "-----BEGIN CERTIFICATE-----\n");
    lab.client.delete(gvr::SERVICE_ACCOUNTS, "team", "default", &Default::default()).unwrap();
    lab.client.delete(gvr::CONFIG_MAPS, "team", "kube-root-ca.crt", &Default::default()).unwrap();
    lab.step();
    assert!(lab.client.get(gvr::SERVICE_ACCOUNTS, "team", "default").is_some(), "they come again");
    assert!(lab.client.get(gvr::CONFIG_MAPS, "team", "kube-root-ca.crt").is_some());
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
                        "metadata": {"name": "t", "namespace": "team", "annotations": {"kubernetes.io/service-account.name": "default"}}});
    lab.client.create(gvr::SECRETS, secret).unwrap();
    lab.step();
    let secret = lab.client.get(gvr::SECRETS, "team", "t").unwrap();
    assert!(["token", "ca.crt", "namespace"].iter().all(|key| !text(&secret["data"][*key]).is_empty()), "{secret}");
}

#[test]
fn endpoints_written_by_hand_are_mirrored() {
    let mut lab = Lab::bare(&[]);
    lab.apply(gvr::SERVICES, "{apiVersion: v1, kind: Service, metadata: {name: outside}, spec: {ports: [{port: 80}]}}");
    lab.apply(
        gvr::ENDPOINTS,
        "{apiVersion: v1, kind: Endpoints, metadata: {name: outside}, subsets: [{addresses: [{ip: 192.0.2.7}], ports: [{port: 8080}]}]}",
    );
    let slices = lab.list(gvr::ENDPOINT_SLICES);
    assert_eq!((slices.len(), &slices[0]["endpoints"][0]["addresses"][0]), (1, &json!("192.0.2.7")));
    lab.edit(gvr::ENDPOINTS, "outside", |endpoints| endpoints["subsets"][0]["addresses"][0]["ip"] = "192.0.2.8".into());
    let slices = lab.list(gvr::ENDPOINT_SLICES);
    assert_eq!((slices.len(), &slices[0]["endpoints"][0]["addresses"][0]), (1, &json!("192.0.2.8")));
    lab.delete(gvr::ENDPOINTS, "outside", &Default::default());
    assert_eq!(lab.list(gvr::ENDPOINT_SLICES).len(), 0);
}
