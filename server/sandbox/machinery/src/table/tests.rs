use super::*;
use crate::resource::CustomDefinition;
use expect_test::{Expect, expect};

fn resource(group: &'static str, kind: &'static str) -> Resource {
    Resource {
        group: group.into(),
        version: "v1".into(),
        plural: "things".into(),
        singular: "thing".into(),
        kind: kind.into(),
        namespaced: true,
        short_names: vec![],
        categories: vec![],
        verbs: &[],
        subresources: vec![],
        storage: None,
        custom: None,
    }
}

fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

fn cells(resource: &Resource, object: Value) -> String {
    let table = render(resource, json!({}), &[Arc::new(object)], IncludeObject::None, true, now());
    let columns: Vec<_> = table["columnDefinitions"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    let cells: Vec<_> = table["rows"][0]["cells"].as_array().unwrap().iter().map(ToString::to_string).collect();
    columns.iter().zip(&cells).map(|(name, cell)| format!("{name}={cell}")).collect::<Vec<_>>().join(" ")
}

fn check(group: &'static str, kind: &'static str, mut object: Value, expected: Expect) {
    object["kind"] = kind.into();
    if !object["metadata"].is_object() {
        object["metadata"] = json!({"name": "a", "creationTimestamp": "2026-01-02T03:00:00Z"});
    }
    expected.assert_eq(&cells(&resource(group, kind), object));
}

#[test]
fn durations() {
    let cases = [
        (-2, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (121, "2m1s"),
        (599, "9m59s"),
        (600, "10m"),
        (10_799, "179m"),
        (10_800, "3h"),
        (10_860, "3h1m"),
        (28_800, "8h"),
        (172_799, "47h"),
        (172_800, "2d"),
        (176_400, "2d1h"),
        (691_200, "8d"),
        (63_072_000, "2y"),
        (63_158_400, "2y1d"),
        (252_288_000, "8y"),
        (i64::MAX, "292471208677y"),
        (i64::MIN, "<invalid>"),
    ];
    for (seconds, text) in cases {
        assert_eq!(human_duration(seconds), text, "{seconds}");
    }
}

/// (spec, status, READY, STATUS, RESTARTS)
#[test]
fn pod_states() {
    let waiting = |reason: &str| {
        json!([{"name": "a", "restartCount": 3, "state": {"waiting": {"reason": reason}},
        "lastState": {"terminated": {"finishedAt": "2026-01-02T03:03:00Z"}}}])
    };
    let plain = json!({"containers": [{"name": "a"}]});
    let with_init = json!({"containers": [{"name": "a"}], "initContainers": [{"name": "i"}]});
    let with_sidecar = json!({"containers": [{"name": "a"}], "initContainers": [{"name": "i", "restartPolicy": "Always"}]});
    let running = json!([{"name": "a", "ready": true, "restartCount": 0, "state": {"running": {}}}]);
    let cases = [
        (plain.clone(), json!({"phase": "Pending"}), "0/1 Pending 0"),
        (plain.clone(), json!({"phase": "Failed", "reason": "Evicted"}), "0/1 Evicted 0"),
        (plain.clone(), json!({"phase": "Running", "containerStatuses": running}), "1/1 Running 0"),
        (plain.clone(), json!({"phase": "Running", "containerStatuses": waiting("CrashLoopBackOff")}), "0/1 CrashLoopBackOff 3 (65s ago)"),
        (
            plain.clone(),
            json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "reason": "SchedulingGated"}]}),
            "0/1 SchedulingGated 0",
        ),
        (
            plain.clone(),
            json!({"phase": "Failed", "containerStatuses": [{"name": "a", "state": {"terminated": {"exitCode": 3}}}]}),
            "0/1 ExitCode:3 0",
        ),
        (
            plain,
            json!({"phase": "Failed", "containerStatuses": [{"name": "a", "state": {"terminated": {"exitCode": 137, "signal": 9}}}]}),
            "0/1 Signal:9 0",
        ),
        (
            with_init.clone(),
            json!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"running": {}}}]}),
            "0/1 Init:0/1 0",
        ),
        (
            with_init.clone(),
            json!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]}),
            "0/1 Init:ImagePullBackOff 0",
        ),
        (
            with_init.clone(),
            json!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "restartCount": 2, "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}]}),
            "0/1 Init:Error 2",
        ),
        (
            with_init,
            json!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"terminated": {"exitCode": 0}}}],
                "containerStatuses": [{"name": "a", "state": {"waiting": {"reason": "PodInitializing"}}}]}),
            "0/1 PodInitializing 0",
        ),
        (
            with_sidecar,
            json!({"phase": "Running", "initContainerStatuses": [{"name": "i", "started": true, "ready": true, "restartCount": 1, "state": {"running": {}}}],
                "containerStatuses": running}),
            "2/2 Running 1",
        ),
    ];
    for (spec, status, expected) in cases {
        let row = pod::cells(&json!({"metadata": {"name": "a"}, "spec": spec, "status": status}), now());
        let shown: Vec<_> = row[1..4].iter().map(|c| c.as_str().unwrap()).collect();
        assert_eq!(shown.join(" "), expected, "{status}");
    }
}

#[test]
fn a_deleted_pod_terminates() {
    let pod = json!({"metadata": {"name": "a", "deletionTimestamp": "2026-01-02T03:04:00Z"}, "status": {"phase": "Running"}});
    assert_eq!(pod::cells(&pod, now())[2], "Terminating");
    let lost = json!({"metadata": {"name": "a", "deletionTimestamp": "2026-01-02T03:04:00Z"}, "status": {"phase": "Running", "reason": "NodeLost"}});
    assert_eq!(pod::cells(&lost, now())[2], "Unknown");
}

#[test]
fn kinds() {
    check(
        "",
        "Pod",
        json!({"spec": {"nodeName": "n", "containers": [{"name": "c"}], "readinessGates": [{"conditionType": "x"}]}, "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}]}}),
        expect![[
            r#"Name="a" Ready="0/1" Status="Running" Restarts="0" Age="4m5s" IP="10.0.0.1" Node="n" Nominated Node="<none>" Readiness Gates="0/1""#
        ]],
    );
    check(
        "apps",
        "Deployment",
        json!({"spec": {"replicas": 2, "selector": {"matchLabels": {"b": "1", "a": "2"}, "matchExpressions": [{"key": "c", "operator": "In", "values": ["y", "x"]}]}, "template": {"spec": {"containers": [{"name": "c", "image": "i"}, {"name": "d", "image": "j"}]}}}, "status": {"readyReplicas": 1}}),
        expect![[
            r#"Name="a" Ready="1/2" Up-to-date=0 Available=0 Age="4m5s" Containers="c,d" Images="i,j" Selector="a=2,b=1,c in (x,y)""#
        ]],
    );
    check(
        "",
        "Service",
        json!({"spec": {"type": "LoadBalancer", "clusterIPs": ["10.96.0.1"], "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]}}),
        expect![[
            r#"Name="a" Type="LoadBalancer" Cluster-IP="10.96.0.1" External-IP="<pending>" Port(s)="80:30080/TCP,53/UDP" Age="4m5s" Selector="<none>""#
        ]],
    );
    check(
        "",
        "Node",
        json!({"metadata": {"name": "n", "labels": {"node-role.kubernetes.io/control-plane": ""}}, "spec": {"unschedulable": true}, "status": {"conditions": [{"type": "Ready", "status": "True"}], "addresses": [{"type": "InternalIP", "address": "1.2.3.4"}], "nodeInfo": {"kubeletVersion": "v1.34.4", "osImage": "Debian"}}}),
        expect![[
            r#"Name="n" Status="Ready,SchedulingDisabled" Roles="control-plane" Age="<unknown>" Version="v1.34.4" Internal-IP="1.2.3.4" External-IP="<none>" OS-Image="Debian" Kernel-Version="<unknown>" Container-Runtime="<unknown>""#
        ]],
    );
    check(
        "batch",
        "Job",
        json!({"spec": {"completions": 3, "selector": {}, "template": {"spec": {}}}, "status": {"succeeded": 1, "startTime": "2026-01-02T03:01:05Z", "conditions": [{"type": "Suspended", "status": "True"}]}}),
        expect![[r#"Name="a" Status="Suspended" Completions="1/3" Duration="3m" Age="4m5s" Containers="" Images="" Selector="<none>""#]],
    );
    check(
        "rbac.authorization.k8s.io",
        "RoleBinding",
        json!({"roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "namespace": "n", "name": "s"}, {"kind": "User", "name": "v"}]}),
        expect![[r#"Name="a" Role="Role/r" Age="4m5s" Users="u, v" Groups="" ServiceAccounts="n/s""#]],
    );
    check("rbac.authorization.k8s.io", "Role", json!({}), expect![[r#"Name="a" Created At="2026-01-02T03:00:00Z""#]]);
    check(
        "",
        "Event",
        json!({"involvedObject": {"kind": "Pod", "name": "p", "fieldPath": "spec"}, "type": "Normal", "reason": "Started", "message": "ok\n", "source": {"component": "kubelet", "host": "n"}, "firstTimestamp": "2026-01-02T03:00:00Z", "lastTimestamp": "2026-01-02T03:04:00Z", "count": 2}),
        expect![[
            r#"Last Seen="5s" Type="Normal" Reason="Started" Object="pod/p" Subobject="spec" Source="kubelet, n" Message="ok" First Seen="4m5s" Count=2 Name="a""#
        ]],
    );
    check(
        "autoscaling",
        "HorizontalPodAutoscaler",
        json!({"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "d"}, "minReplicas": 1, "maxReplicas": 3, "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 80}}}]}}),
        expect![[r#"Name="a" Reference="Deployment/d" Targets="cpu: <unknown>/80%" MinPods="1" MaxPods=3 Replicas=0 Age="4m5s""#]],
    );
    check(
        "discovery.k8s.io",
        "EndpointSlice",
        json!({"addressType": "IPv4", "ports": [{"port": 80}], "endpoints": [{"addresses": ["1.1.1.1"]}, {"addresses": ["1.1.1.2", "1.1.1.3"]}, {"addresses": ["1.1.1.4"]}]}),
        expect![[r#"Name="a" AddressType="IPv4" Ports="80" Endpoints="1.1.1.1,1.1.1.2,1.1.1.3 + 1 more..." Age="4m5s""#]],
    );
    check(
        "",
        "ResourceQuota",
        json!({"status": {"hard": {"pods": "5", "limits.cpu": "2"}, "used": {"pods": "1"}}}),
        expect![[r#"Name="a" Request="pods: 1/5" Limit="limits.cpu: 0/2" Age="4m5s""#]],
    );
}

#[test]
fn custom_columns() {
    let mut resource = resource("lab.example.com", "GpuJob");
    let columns = vec![
        json!({"name": "GPUs", "type": "integer", "jsonPath": ".spec.gpus"}),
        json!({"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}),
        json!({"name": "Names", "type": "string", "jsonPath": ".spec.names"}),
        json!({"name": "Missing", "type": "boolean", "jsonPath": ".spec.nothing"}),
        json!({"name": "Started", "type": "date", "jsonPath": ".status.startTime", "priority": 1}),
    ];
    resource.custom = Some(Arc::new(CustomDefinition::new(Value::Null, columns, false, Vec::new())));
    let object = json!({"metadata": {"name": "a"}, "spec": {"gpus": 2, "names": ["x", "y"]},
        "status": {"startTime": "2026-01-02T03:04:00Z", "conditions": [{"type": "Other", "status": "False"}, {"type": "Ready", "status": "True"}]}});
    expect![[r#"Name="a" GPUs=2 Ready="True" Names="[x y]" Missing=null Started="5s""#]].assert_eq(&cells(&resource, object));
    resource.custom = Some(Arc::new(CustomDefinition::new(Value::Null, Vec::new(), false, Vec::new())));
    let object = json!({"metadata": {"name": "a", "creationTimestamp": "2026-01-02T03:00:00Z"}});
    expect![[r#"Name="a" Age="4m5s""#]].assert_eq(&cells(&resource, object));
}

#[test]
fn a_row_carries_what_was_asked_for() {
    let object = Arc::new(json!({"kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}}));
    let row =
        |include| render(&resource("", "ConfigMap"), json!({"resourceVersion": "7"}), std::slice::from_ref(&object), include, false, now());
    let table = row(IncludeObject::Metadata);
    assert_eq!(table["metadata"], json!({"resourceVersion": "7"}));
    assert_eq!(table["columnDefinitions"], Value::Null);
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    assert_eq!(row(IncludeObject::Object)["rows"][0]["object"]["data"]["k"], "v");
    assert_eq!(row(IncludeObject::None)["rows"][0]["object"], Value::Null);
}

#[test]
fn paths_that_no_one_can_read_leave_the_column_empty() {
    for text in ["..a", "[", "[?(@.a", ".a[", "[?(.a==1)]", "[x]"] {
        assert_eq!(jsonpath::Path::parse(text), None, "{text}");
    }
    let object = json!({"a": {"b.c": [1, 2, 3]}, "l": [{"n": 1}, {"n": 5, "v": "x"}]});
    for (text, value) in [
        (".a['b.c'][-1]", json!(3)),
        (r".a.b\.c[0]", json!(1)),
        (".a.*[1]", json!(2)),
        (".l[?(@.n>2)].v", json!("x")),
        ("$.l[*].n", json!(1)),
    ] {
        assert_eq!(jsonpath::Path::parse(text).unwrap().first(&object), Some(&value), "{text}");
    }
}
