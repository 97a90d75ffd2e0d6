//! Tier: real containers. Whether NetworkPolicies are enforced is found out by connections, and not taken on trust.

#[expect(dead_code, reason = "other suites use more of it")]
mod common;
#[expect(dead_code, reason = "other suites use more of it")]
mod desk;

use common::{edge, not_run, turn};
use desk::Desk;
use jiff::Timestamp;
use provision::{
    Provisioner,
    kind::{self, KindProvisioner, preflight::Grade},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_does_not_enforce_policies_is_found_out() {
    let _turn = turn().await;
    let desk = match Desk::new().await {
        Ok(desk) => desk,
        Err(why) => return not_run("whether a pod network enforces policies", &why),
    };
    // The first cluster of an image tries it out by itself, beside its learner.
    desk.provisioner.finished().await;
    assert_eq!(desk.provisioner.capabilities().network_policy_enforced, Some(true));
    desk.until("the end of its namespace", "/api/v1/namespaces/cordon-network", |namespace| namespace["code"] == 404).await;
    let remembered = async || {
        let next = KindProvisioner::connect(desk.world.settings.clone(), edge()).await.unwrap();
        next.capabilities().network_policy_enforced
    };
    assert_eq!(remembered().await, Some(true));

    // Packets go past the plug-in's rules, as where a plug-in has none.
    let node = desk.world.node("a");
    let (_, own) = desk.world.sh(&node, "iptables-legacy -t mangle -S FORWARD").await;
    if !own.contains("-j PODNET") {
        return not_run("a pod network that does not enforce policies", "this node image's rules are not where they can be passed by");
    }
    let (code, said) = desk.world.sh(&node, "iptables-legacy -t mangle -I FORWARD -j ACCEPT").await;
    assert_eq!(code, 0, "{said}");
    let verdict = async || {
        let verdicts = kind::examine(&desk.world.settings, Timestamp::UNIX_EPOCH).await.unwrap();
        verdicts.into_iter().find(|verdict| verdict.what == "NetworkPolicy").unwrap()
    };
    let found = verdict().await;
    assert!(found.grade == Grade::Narrow && found.says.contains("not enforced") && found.remedy.contains("kind.image"), "{found}");
    assert_eq!(remembered().await, Some(false), "what doctor finds out is remembered");
    assert!(!desk.provisioner.measure_network("a").await.unwrap());
    assert_eq!(desk.provisioner.capabilities().network_policy_enforced, Some(false));

    // Mended, it is found to be so; without a cluster it is what was found last.
    desk.world.sh(&node, "iptables-legacy -t mangle -D FORWARD -j ACCEPT").await;
    desk.until("the end of its namespace", "/api/v1/namespaces/cordon-network", |namespace| namespace["code"] == 404).await;
    assert!(desk.provisioner.measure_network("a").await.unwrap());

    // What the cluster takes is measured, and remembered when it is gone.
    let room = async || kind::will_fit(&desk.world.settings, 1, Timestamp::UNIX_EPOCH).await.unwrap().remove(0).says;
    let said = room().await;
    assert!(said.contains("as the cluster that is here was measured"), "{said}");
    desk.provisioner.delete("a").await.unwrap();
    assert_eq!(verdict().await.grade, Grade::Fine);
    let said = room().await;
    assert!(said.contains("as clusters were measured at 1970-01-01"), "{said}");
    assert!(desk.world.left().await.is_empty());
}
