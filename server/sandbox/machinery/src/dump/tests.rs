//! Templates as a real cluster held them, with the hash that its controller-manager 1.34.4 gave to their ReplicaSets.

use super::{pod_template_hash, revision_hash};
use serde_json::Value;

/// `rand.SafeEncodeString`.
fn spelled(hash: u32) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    hash.to_string().bytes().map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()])).collect()
}

#[test]
fn hashes_are_the_real_controllers() {
    for line in include_str!("recorded.jsonl").lines() {
        let (hash, template) = line.split_once(' ').unwrap();
        let template: Value = serde_json::from_str(template).unwrap();
        assert_eq!(spelled(pod_template_hash(&template, None)), hash, "{template}");
    }
}

#[test]
fn a_revision_of_a_stateful_set() {
    let data = serde_json::json!({"spec": {"template": {
        "$patch": "replace", "metadata": {"labels": {"app": "st"}}, "spec": {
            "containers": [{"args": ["a<b&c"], "image": "busybox:1.37", "imagePullPolicy": "IfNotPresent", "name": "c", "resources": {},
                            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}],
            "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler", "securityContext": {},
            "terminationGracePeriodSeconds": 30}}}});
    assert_eq!(spelled(revision_hash(&data, 0)), "5bbfbcbc89");
}

/// A collision, no matter which, gives another name; nothing that a template may hold breaks the print.
#[test]
fn collisions_and_odd_values() {
    let template: Value = serde_json::json!({"spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "1e3", "memory": "8Ei", "x": "", "y": "é", "z": 0.5}}}]}});
    let hashes = [None, Some(0), Some(1), Some(2)].map(|collisions| pod_template_hash(&template, collisions));
    let different: std::collections::BTreeSet<_> = hashes.iter().collect();
    assert_eq!(different.len(), 4);
}
