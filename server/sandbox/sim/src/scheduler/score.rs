//! Which of the nodes that would do is the best.

use super::{affinity, filters, inter_pod, resources, spread, state::Cluster};
use crate::{
    controllers::common::{items, text},
    step::Context,
};
use serde_json::Value;

/// Index of the best node; of equal ones, one by chance.
pub fn best(context: &mut Context<'_>, cluster: &Cluster, feasible: &[usize], pod: &Value) -> Option<usize> {
    match feasible {
        [] => return None,
        [only] => return Some(*only),
        _ => {}
    }
    let raw: Vec<[i64; 4]> = feasible
        .iter()
        .map(|index| {
            let node = &cluster.nodes[*index];
            [
                affinity::preference(node, pod),
                inter_pod::preference(cluster, node, pod),
                -spread::crowding(cluster, node, pod),
                -untolerated_preferences(&node.node, pod),
            ]
        })
        .collect();
    // Each of these is stretched to 0..=100 over the nodes, then weighed as the default profile weighs its plug-ins.
    let stretched = |column: usize, row: usize| {
        let (least, most) = raw.iter().fold((i64::MAX, i64::MIN), |(least, most), row| (least.min(row[column]), most.max(row[column])));
        if most == least { 100 } else { (raw[row][column] - least).saturating_mul(100) / (most - least) }
    };
    let scores: Vec<i64> = feasible
        .iter()
        .enumerate()
        .map(|(row, index)| {
            let (free, balance) = resources::least_allocated_and_balance(&cluster.nodes[*index], pod);
            free + balance + 2 * stretched(0, row) + 2 * stretched(1, row) + 2 * stretched(2, row) + 3 * stretched(3, row)
        })
        .collect();
    let most = scores.iter().max()?;
    let winners: Vec<_> = scores.iter().zip(feasible).filter(|(score, _)| *score == most).map(|(_, index)| *index).collect();
    let chance = context.rng.next_u32() as usize % winners.len();
    winners.get(chance).copied()
}

fn untolerated_preferences(node: &Value, pod: &Value) -> i64 {
    let untolerated = items(&node["spec"]["taints"])
        .iter()
        .filter(|taint| text(&taint["effect"]) == "PreferNoSchedule" && !filters::tolerates(pod, taint));
    i64::try_from(untolerated.count()).unwrap_or(i64::MAX)
}
