//! Tier: real containers. Ways from cluster-admin to root on the node, each tried on a real cluster, and what stays allowed.

#[expect(dead_code, reason = "other suites use more of it")]
mod common;
#[expect(dead_code, reason = "other suites use more of it")]
mod desk;

use common::{not_run, turn};
use desk::{Desk, is_ready, learner, pod};
use http::{Method, Request};
use provision::{Body, Provisioner, UserInfo};
use serde_json::{Value, json};

const PODS: &str = "/api/v1/namespaces/guard/pods";
/// A request for a certificate as the node `gpu-node`; nobody has its key.
const REQUEST: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlId01JR1lBZ0VBTURZeEZUQVRCZ05WQkFvTURITjVjM1JsYlRwdWIyUmxjek\
    VkTUJzR0ExVUVBd3dVYzNsegpkR1Z0T201dlpHVTZaM0IxTFc1dlpHVXdXVEFUQmdjcWhrak9QUUlCQmdncWhrak9QUU1CQndOQ0FBUmJyVXIv\
    CkYrcHMybTZhOUxYVmRuQWtuNnhyVVg5OUJmd2swR3ZSL29CR29wSXVRU1pzaGpIdTFXaGJOL2NsLzVCSUY3MTUKWDVQM2hvZ3BJMElGWDFWSG\
    9BQXdDZ1lJS29aSXpqMEVBd0lEUndBd1JBSWdEUVViM1FQa1U4RUJzM3ZnTFFWUAo0UGlCbHZ4ZkdrL20rTDJCMmJ2bk5GOENJQTZEc3JpL3B3\
    alg0TjQreDhjTk5MVkQ5Qm90RDNFZ0x2UVlpcjZPClIraEYKLS0tLS1FTkQgQ0VSVElGSUNBVEUgUkVRVUVTVC0tLS0tCg==";
const OWN_PODS: &str = "/api/v1/namespaces/kube-system/pods";

#[tokio::test(flavor = "multi_thread")]
async fn cluster_admin_is_not_root_on_the_node() {
    let _turn = turn().await;
    let desk = match Desk::new().await {
        Ok(desk) => desk,
        Err(why) => return not_run("the guard of a kind cluster", &why),
    };
    desk.make("/api/v1/namespaces", json!({"metadata": {"name": "guard"}})).await;
    desk.make("/api/v1/namespaces/guard/serviceaccounts", json!({"metadata": {"name": "trainer"}})).await;
    pods(&desk).await;
    volumes(&desk).await;
    doors(&desk).await;
    identities(&desk).await;
    own_pods_come_again(&desk).await;
    device_plugin(&desk).await;
    changed_on_the_way(&desk).await;
    storage(&desk).await;
    desk.provisioner.delete("a").await.unwrap();
    assert!(desk.world.left().await.is_empty());
}

fn with(pointer: &str, value: Value) -> Value {
    changed(pod("p", &["true"]), pointer, value)
}

/// With another value at `pointer`, or one more.
fn changed(mut object: Value, pointer: &str, value: Value) -> Value {
    match object.pointer_mut(pointer) {
        Some(place) => *place = value,
        None => {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            object.pointer_mut(parent).unwrap()[key] = value;
        }
    }
    object
}

impl Desk {
    /// Admission says no, in these words.
    async fn refused(&self, user: UserInfo, method: Method, path: &str, body: &Value, words: &str) {
        let (code, answer) = self.ask(user, method.clone(), path, body).await;
        let message = answer["message"].as_str().unwrap_or_default();
        assert!(code == 422 && message.contains(words), "{method} {path} {body}\n{code} {answer}\nexpected {words:?}");
    }

    async fn allowed(&self, user: UserInfo, path: &str, body: &Value) {
        // Tried, and not done.
        let (code, answer) = self.ask(user, Method::POST, &format!("{path}?dryRun=All"), body).await;
        assert_eq!(code, 201, "{path} {body}\n{answer}");
    }
}

async fn pods(desk: &Desk) {
    let container = "/spec/containers/0/securityContext";
    let volume = |source: Value| {
        let mut volume = source;
        volume["name"] = json!("v");
        with("/spec/volumes", json!([volume]))
    };
    let elsewhere = "volumes that the node itself mounts from elsewhere are refused";
    let refused = [
        (with(container, json!({"privileged": true})), "privileged containers are refused"),
        (
            with("/spec/initContainers", json!([{"name": "i", "image": "busybox:1.37", "securityContext": {"privileged": true}}])),
            "privileged containers are refused",
        ),
        (with(container, json!({"capabilities": {"add": ["SYS_ADMIN"]}})), "capabilities beyond"),
        (with("/spec/hostPID", json!(true)), "hostNetwork, hostPID and hostIPC are refused"),
        (with("/spec/hostIPC", json!(true)), "hostNetwork, hostPID and hostIPC are refused"),
        (with("/spec/hostNetwork", json!(true)), "hostNetwork, hostPID and hostIPC are refused"),
        (changed(with(container, json!({"procMount": "Unmasked"})), "/spec/hostUsers", json!(false)), "an unmasked /proc is refused"),
        (volume(json!({"hostPath": {"path": "/"}})), "hostPath volumes are refused"),
        (volume(json!({"nfs": {"server": "10.0.0.1", "path": "/"}})), elsewhere),
        (volume(json!({"iscsi": {"targetPortal": "10.0.0.1", "iqn": "iqn.2001-04.com.example:x", "lun": 0}})), elsewhere),
        (volume(json!({"flexVolume": {"driver": "example.com/x"}})), elsewhere),
        (volume(json!({"gitRepo": {"repository": "https://example.com/x"}})), elsewhere),
        (volume(json!({"fc": {"targetWWNs": ["50060e801049cfd1"], "lun": 0}})), elsewhere),
    ];
    for (pod, words) in refused {
        desk.refused(learner(), Method::POST, PODS, &pod, words).await;
        // The same for whoever asks, in any way of asking.
        desk.refused(UserInfo::admin(), Method::POST, &format!("{PODS}?dryRun=All"), &pod, words).await;
        desk.refused(learner(), Method::PATCH, &format!("{PODS}/p?fieldManager=x&force=true"), &pod, "root on the host").await;
    }
    let allowed = [
        with(container, json!({"capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]}})),
        with("/spec/securityContext", json!({"runAsUser": 1000, "sysctls": [{"name": "net.ipv4.ping_group_range", "value": "0 0"}]})),
        with("/spec/containers/0/ports", json!([{"containerPort": 80, "hostPort": 8080}])),
        volume(json!({"emptyDir": {}})),
        volume(json!({"configMap": {"name": "x"}})),
        volume(json!({"secret": {"secretName": "x"}})),
        volume(json!({"persistentVolumeClaim": {"claimName": "x"}})),
        volume(json!({"projected": {"sources": [{"serviceAccountToken": {"path": "t", "audience": "vault"}}]}})),
    ];
    for pod in allowed {
        desk.allowed(learner(), PODS, &pod).await;
    }
    // A container that is put into a running pod.
    desk.make(PODS, pod("target", &["sleep", "3600"])).await;
    let debug = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "target"}, "spec": {"ephemeralContainers": [
        {"name": "d", "image": "busybox:1.37", "securityContext": {"privileged": true}}]}});
    let path = format!("{PODS}/target/ephemeralcontainers?fieldManager=x");
    desk.refused(learner(), Method::PATCH, &path, &debug, "privileged containers are refused").await;
}

/// What a node mounts by itself can be anything: `mount -t nfs -o bind` of a link that a pod has left behind is the node's root.
async fn volumes(desk: &Desk) {
    let volume = |source: Value| {
        let mut spec = json!({"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany"]});
        spec.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
        json!({"metadata": {"name": "v"}, "spec": spec})
    };
    let near = json!({"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "kubernetes.io/os", "operator": "Exists"}]}]}});
    let path = "/api/v1/persistentvolumes";
    let binder = || UserInfo::service_account("kube-system", "persistent-volume-binder");
    for source in [
        json!({"hostPath": {"path": "/"}}),
        json!({"hostPath": {"path": "/tmp/hostpath_pv"}}),
        json!({"hostPath": {"path": "/tmp/hostpath_pv/."}}),
        json!({"hostPath": {"path": "/tmp/hostpath_pv/0a-1/link"}}),
        json!({"hostPath": {"path": "/var/local-path-provisioner/"}}),
        json!({"local": {"path": "/etc"}, "nodeAffinity": near}),
        json!({"nfs": {"server": "/var/lib/kubelet/pods/u/volumes/kubernetes.io~empty-dir/v/x", "path": "/y"}, "mountOptions": ["bind"]}),
        json!({"iscsi": {"targetPortal": "10.0.0.1", "iqn": "iqn.2001-04.com.example:x", "lun": 0}, "volumeMode": "Block"}),
        json!({"flexVolume": {"driver": "example.com/x"}}),
    ] {
        for user in [learner(), UserInfo::admin(), binder()] {
            desk.refused(user, Method::POST, path, &volume(source.clone()), "its own disk or from elsewhere are refused").await;
        }
    }
    desk.allowed(learner(), path, &volume(json!({"csi": {"driver": "example.com", "volumeHandle": "h"}}))).await;
    // As the controller manager's own provisioner makes them.
    desk.allowed(binder(), path, &volume(json!({"hostPath": {"path": "/tmp/hostpath_pv/6f1c3a50-0000-4000-8000-000000000000"}}))).await;
    let request = json!({"metadata": {"name": "me"}, "spec": {"request": REQUEST, "usages": ["digital signature", "client auth"],
        "signerName": "kubernetes.io/kube-apiserver-client-kubelet"}});
    let requests = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    desk.refused(learner(), Method::POST, requests, &request, "own signers are refused").await;
    desk.allowed(learner(), requests, &changed(request, "/spec/signerName", json!("example.com/own"))).await;
}

/// Ways around admission. An account that a learner makes cluster-admin asks from inside a pod, where no gateway is: the cluster itself
/// refuses it.
async fn doors(desk: &Desk) {
    let bind = |name: &str, namespace: &str, account: &str| {
        json!({
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
        })
    };
    let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    desk.make(bindings, bind("all", "guard", "trainer")).await;
    desk.make(bindings, bind("dns", "kube-system", "coredns")).await;
    let policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
    let system = "/api/v1/namespaces/kube-system";
    let token = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let named = |name: &str| json!({"metadata": {"name": name}});
    let doors = [
        (Method::DELETE, format!("{policies}/cordon-pods"), Value::Null),
        (Method::DELETE, policies.to_owned(), Value::Null),
        (Method::PUT, format!("{policies}/cordon-pods/status"), named("cordon-pods")),
        (Method::DELETE, "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/cordon-pods".to_owned(), Value::Null),
        (Method::GET, "/api/v1/nodes/gpu-node/proxy/pods".to_owned(), Value::Null),
        (Method::GET, "/api/v1/nodes/gpu-node/proxy/configz".to_owned(), Value::Null),
        (Method::POST, OWN_PODS.to_owned(), pod("p", &["true"])),
        (Method::PATCH, format!("{OWN_PODS}/etcd-gpu-node/ephemeralcontainers?fieldManager=x"), pod("etcd-gpu-node", &["true"])),
        (Method::GET, format!("{OWN_PODS}/etcd-gpu-node/exec?command=sh&stdout=true"), Value::Null),
        (Method::GET, format!("{OWN_PODS}/etcd-gpu-node/attach?stdout=true"), Value::Null),
        (Method::GET, format!("{OWN_PODS}/etcd-gpu-node/portforward?ports=2381"), Value::Null),
        (Method::POST, format!("{system}/serviceaccounts/daemon-set-controller/token"), token),
        (Method::POST, format!("{system}/serviceaccounts"), named("s")),
        (Method::POST, format!("{system}/secrets"), named("s")),
        (Method::POST, format!("{system}/persistentvolumeclaims"), named("c")),
        (Method::PUT, format!("{system}/configmaps/kube-proxy"), named("kube-proxy")),
        (Method::PUT, format!("{system}/configmaps/kubeadm-config"), named("kubeadm-config")),
        (Method::DELETE, format!("{system}/configmaps/kube-root-ca.crt"), Value::Null),
        (Method::DELETE, format!("{system}/configmaps"), Value::Null),
        (Method::POST, "/apis/apps/v1/namespaces/kube-system/deployments".to_owned(), named("d")),
        (Method::POST, "/apis/batch/v1/namespaces/kube-system/jobs".to_owned(), named("j")),
        (Method::PUT, "/apis/apps/v1/namespaces/kube-system/deployments/coredns/scale".to_owned(), named("coredns")),
        (Method::POST, "/api/v1/namespaces/local-path-storage/pods".to_owned(), pod("p", &["true"])),
        (Method::PUT, "/apis/certificates.k8s.io/v1/certificatesigningrequests/x/approval".to_owned(), named("x")),
        (Method::DELETE, "/apis/apiregistration.k8s.io/v1/apiservices/v1.admissionregistration.k8s.io".to_owned(), Value::Null),
        (Method::DELETE, "/apis/apiregistration.k8s.io/v1/apiservices/v1.".to_owned(), Value::Null),
    ];
    // CoreDNS' account stands for those of all pods in kube-system, whose tokens a learner may get at.
    for user in [learner(), UserInfo::service_account("guard", "trainer"), UserInfo::service_account("kube-system", "coredns")] {
        for (method, path, body) in &doors {
            let (code, answer) = desk.ask(user.clone(), method.clone(), path, body).await;
            assert_eq!(code, 403, "{} {method} {path}: {answer}", user.name);
            assert!(answer["message"].as_str().unwrap_or_default().contains("around the guard"), "{answer}");
        }
    }
    assert!(desk.get(&format!("{policies}/cordon-pods")).await["metadata"]["uid"].is_string());
    let proxy = "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy";
    desk.refused(learner(), Method::DELETE, proxy, &Value::Null, "stay as they are").await;

    // What an administrator does stays allowed.
    for path in ["/api/v1/nodes", "/api/v1/namespaces/kube-system/configmaps/kubeadm-config", policies] {
        assert_eq!(desk.ask(learner(), Method::GET, path, &Value::Null).await.0, 200, "{path}");
    }
    let policy =
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "n"}, "spec": {"podSelector": {}}});
    desk.allowed(learner(), "/apis/networking.k8s.io/v1/namespaces/kube-system/networkpolicies", &policy).await;
    let own = json!({"metadata": {"name": "mine"}, "spec": {"matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"],
        "operations": ["CREATE"], "resources": ["pods"]}]}, "validations": [{"expression": "true"}]}});
    desk.allowed(learner(), policies, &own).await;
    // A kubelet takes certificates only: what it asks about a token, a learner's webhook could answer.
    let (_, config) = desk.world.sh(&desk.world.node("a"), "grep -A2 -w webhook: /var/lib/kubelet/config.yaml").await;
    assert!(config.contains("enabled: false"), "{config}");
}

/// Who nobody becomes, whatever the cluster says: a learner's webhook may change a SubjectAccessReview on its way.
async fn identities(desk: &Desk) {
    let act_as = async |user: UserInfo, name: &str, group: &str| {
        let mut request = Request::get("/api/v1/namespaces/guard/pods").header("impersonate-user", name);
        if !group.is_empty() {
            request = request.header("impersonate-group", group);
        }
        desk.cluster.serve(user, request.body(Body::empty()).unwrap()).await.status().as_u16()
    };
    // The application itself stands for a learner whose questions the cluster answers with yes.
    for user in [learner(), UserInfo::admin()] {
        for (name, group) in [
            ("kubernetes-admin", ""),
            ("x", "system:masters"),
            ("x", "kubeadm:cluster-admins"),
            ("x", "system:nodes"),
            ("x", "system:serviceaccounts:kube-system"),
            ("system:node:gpu-node", "system:nodes"),
            ("system:kube-controller-manager", ""),
            ("system:serviceaccount:kube-system:daemon-set-controller", ""),
        ] {
            assert_eq!(act_as(user.clone(), name, group).await, 403, "{} as {name} {group}", user.name);
        }
    }
    assert_eq!(act_as(learner(), "system:serviceaccount:guard:trainer", "").await, 200);
}

/// The cluster's own pods come again, exactly as they were.
async fn own_pods_come_again(desk: &Desk) {
    for label in ["k8s-app%3Dkube-proxy", "k8s-app%3Dkube-dns"] {
        let pods = format!("/api/v1/namespaces/kube-system/pods?labelSelector={label}");
        let old = desk.get(&pods).await["items"][0]["metadata"]["name"].as_str().unwrap().to_owned();
        assert_eq!(desk.ask(learner(), Method::DELETE, &format!("/api/v1/namespaces/kube-system/pods/{old}"), &Value::Null).await.0, 200);
        desk.until("the pod's successor", &pods, |pods| {
            let items = pods["items"].as_array().cloned().unwrap_or_default();
            items.iter().any(|pod| pod["metadata"]["name"] != old.as_str() && is_ready(pod))
        })
        .await;
    }
}

/// The lab's device plugin gets its pod; the same with a word of the learner's own does not.
async fn device_plugin(desk: &Desk) {
    let container = "/spec/template/spec/containers/0";
    let plugin = |name: &str, changes: &[(&str, Value)]| {
        let mut set = json!({
            "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": name, "namespace": "kube-system"},
            "spec": {"selector": {"matchLabels": {"name": name}}, "template": {
                "metadata": {"labels": {"name": name}},
                "spec": {
                    "containers": [{"name": "c", "image": "nvcr.io/nvidia/k8s-device-plugin:v0.17.4", "imagePullPolicy": "Never",
                        "securityContext": {"privileged": true},
                        "volumeMounts": [{"name": "d", "mountPath": "/var/lib/kubelet/device-plugins"}]}],
                    "volumes": [{"name": "d", "hostPath": {"path": "/var/lib/kubelet/device-plugins"}}],
                },
            }},
        });
        for (field, value) in changes {
            let pointer = if field.starts_with('/') { (*field).to_owned() } else { format!("{container}/{field}") };
            set = changed(set, &pointer, value.clone());
        }
        set
    };
    let sets = "/apis/apps/v1/namespaces/kube-system/daemonsets";
    let name = "nvidia-device-plugin-daemonset";
    let rows = [
        (name, vec![], true),
        (name, vec![("env", json!([{"name": "FAIL_ON_INIT_ERROR", "value": "false"}]))], true),
        ("other", vec![], false),
        (name, vec![("command", json!(["sh"]))], false),
        // Its configuration file would be the account's token, and the complaint about it in the log the token itself.
        (name, vec![("args", json!(["--config-file=/var/run/secrets/kubernetes.io/serviceaccount/token"]))], false),
        (name, vec![("env", json!([{"name": "MPS_ROOT", "value": "/"}]))], false),
        (name, vec![("image", json!("busybox:1.37"))], false),
        (name, vec![("lifecycle", json!({"postStart": {"exec": {"command": ["sh"]}}}))], false),
        (name, vec![("/spec/template/spec/serviceAccountName", json!("coredns"))], false),
        (name, vec![("/spec/template/spec/hostPID", json!(true))], false),
        (name, vec![("/spec/template/spec/volumes/0/hostPath/path", json!("/"))], false),
    ];
    for (name, changes, gets_a_pod) in rows {
        desk.make(sets, plugin(name, &changes)).await;
        if gets_a_pod {
            let of_it = format!("{OWN_PODS}?labelSelector=name%3D{name}");
            desk.until("the plugin's pod", &of_it, |pods| pods["items"].as_array().is_some_and(|all| all.len() == 1)).await;
        } else {
            let events = format!("/api/v1/namespaces/kube-system/events?fieldSelector=reason%3DFailedCreate,involvedObject.name%3D{name}");
            let refused = desk.until("the refusal", &events, |events| events["items"].as_array().is_some_and(|all| !all.is_empty())).await;
            assert!(refused.to_string().contains("root on the host"), "{refused}");
        }
        assert_eq!(desk.ask(learner(), Method::DELETE, &format!("{sets}/{name}"), &Value::Null).await.0, 200);
        desk.until("its end", &format!("{sets}/{name}"), |set| set["code"] == 404).await;
        desk.until("the end of its pod", &format!("{OWN_PODS}?labelSelector=name%3D{name}"), |pods| {
            pods["items"].as_array().is_some_and(Vec::is_empty)
        })
        .await;
        let events = "/api/v1/namespaces/kube-system/events";
        assert_eq!(desk.ask(UserInfo::admin(), Method::DELETE, events, &Value::Null).await.0, 200);
    }
}

/// A learner's webhook may change pods that the cluster's own controllers make: what is not exactly as it should be does not pass.
async fn changed_on_the_way(desk: &Desk) {
    let controller = || UserInfo::service_account("kube-system", "daemon-set-controller");
    let set = desk.get("/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy").await;
    let mut genuine = set["spec"]["template"].clone();
    genuine["metadata"]["name"] = json!("as-it-is");
    // No node takes it: a second kube-proxy is not what is tested.
    genuine["spec"]["nodeSelector"] = json!({"none": "such"});
    let pods = OWN_PODS;
    let (code, answer) = desk.ask(controller(), Method::POST, pods, &genuine).await;
    assert_eq!(code, 201, "{answer}");
    let changes = [
        ("/spec/containers/0/image", json!("busybox:1.37")),
        ("/spec/containers/0/command", json!(["sh"])),
        ("/spec/containers/0/args", json!(["more"])),
        ("/spec/containers/0/env", json!([{"name": "LD_PRELOAD", "value": "/tmp/x.so"}])),
        ("/spec/containers/0/lifecycle", json!({"postStart": {"exec": {"command": ["sh"]}}})),
        ("/spec/containers/0/livenessProbe", json!({"exec": {"command": ["sh"]}})),
        ("/spec/containers/0/volumeMounts", json!([{"name": "xtables-lock", "mountPath": "/usr/local/bin"}])),
        ("/spec/initContainers", json!([{"name": "i", "image": "busybox:1.37"}])),
        ("/spec/containers/0/volumeMounts/0/subPath", json!("x")),
        ("/spec/containers/0/env/0", json!({"name": "NODE_NAME", "value": "x"})),
        ("/spec/containers/0/securityContext/capabilities", json!({"add": ["SYS_ADMIN"]})),
        ("/spec/serviceAccountName", json!("default")),
        ("/spec/hostPID", json!(true)),
        ("/spec/dnsConfig", json!({"nameservers": ["10.0.0.1"]})),
        // Its configuration, which may name a program to run, out of the pod's own annotations.
        (
            "/spec/volumes/0",
            json!({"name": "kube-proxy", "downwardAPI": {"items": [
            {"path": "config.conf", "fieldRef": {"fieldPath": "metadata.annotations['x']"}}]}}),
        ),
        ("/spec/volumes/2/hostPath/path", json!("/")),
    ];
    for (pointer, value) in changes {
        let mut pod = changed(genuine.clone(), pointer, value);
        pod["metadata"]["name"] = json!("changed");
        if pointer.ends_with("serviceAccountName") {
            pod["spec"].as_object_mut().unwrap().remove("serviceAccount");
        }
        let (code, answer) = desk.ask(controller(), Method::POST, pods, &pod).await;
        assert!(code == 422 && answer.to_string().contains("root on the host"), "{pointer}: {code} {answer}");
    }
    // And the same pod from anybody else's hand, or elsewhere.
    for (user, pods) in
        [(UserInfo::service_account("kube-system", "job-controller"), pods), (controller(), "/api/v1/namespaces/guard/pods")]
    {
        let mut pod = genuine.clone();
        pod["metadata"]["name"] = json!("elsewhere");
        let code = desk.ask(user, Method::POST, pods, &pod).await.0;
        assert!(code == 422 || code == 403, "{pods}: {code}");
    }
    // What a webhook makes of a change that a controller asks for, once the pod is there.
    let path = format!("{pods}/as-it-is");
    let mut there = desk.get(&path).await;
    there["metadata"]["labels"]["x"] = json!("y");
    assert_eq!(desk.ask(UserInfo::admin(), Method::PUT, &path, &there).await.0, 200);
    there = changed(desk.get(&path).await, "/spec/containers/0/image", json!("busybox:1.37"));
    desk.refused(UserInfo::admin(), Method::PUT, &path, &there, "own pods stay as they are").await;
    // And of a mirror pod, so that the kubelet would run it.
    let node = UserInfo {
        name: "system:node:gpu-node".to_owned(),
        groups: vec!["system:nodes".to_owned(), "system:authenticated".to_owned()],
        ..UserInfo::default()
    };
    let mut mirror = changed(pod("mirror", &["sh"]), "/spec/nodeName", json!("gpu-node"));
    mirror["spec"]["hostPID"] = json!(true);
    let (code, answer) = desk.ask(node, Method::POST, pods, &mirror).await;
    assert!(code == 403 || code == 422, "{code} {answer}");
    assert_eq!(desk.ask(learner(), Method::DELETE, &path, &Value::Null).await.0, 200);
}

/// Where an image brings local-path: its pods make directories by its own script, and nothing else.
async fn storage(desk: &Desk) {
    let admin = UserInfo::admin;
    let text = "spec: {containers: [{name: helper-pod, image: \"helper:1\"}]}";
    let config = json!({"metadata": {"name": "local-path-config"}, "data": {"helperPod.yaml": text}});
    for (path, body) in [
        ("/api/v1/namespaces", json!({"metadata": {"name": "local-path-storage"}})),
        ("/api/v1/namespaces/local-path-storage/configmaps", config),
    ] {
        assert_eq!(desk.ask(admin(), Method::POST, path, &body).await.0, 201, "{path}");
    }
    let provisioner = || UserInfo::service_account("local-path-storage", "local-path-provisioner-service-account");
    let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    let binding = json!({
        "metadata": {"name": "local-path"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "local-path-provisioner-service-account", "namespace": "local-path-storage"}],
    });
    desk.make(bindings, binding).await;
    // This image has none: nobody is let in as its provisioner, and its account, if a learner gets at it, opens no door.
    let pods = "/api/v1/namespaces/local-path-storage/pods";
    desk.refused(provisioner(), Method::POST, pods, &pod("p", &["true"]), "the cluster's own namespaces are refused").await;
    let policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
    assert_eq!(desk.ask(provisioner(), Method::DELETE, &format!("{policies}/cordon-pods"), &Value::Null).await.0, 403);
    assert_eq!(desk.ask(provisioner(), Method::POST, OWN_PODS, &pod("p", &["true"])).await.0, 403);
}
