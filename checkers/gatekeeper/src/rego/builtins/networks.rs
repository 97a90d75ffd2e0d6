//! `net.*`: addresses and networks.

use super::{Entry, or_undefined, text};
use crate::rego::limits::grow;
use ipnet::IpNet;
use regorus::Value;
use std::{collections::BTreeSet, net::IpAddr};

/// Most addresses that one network may be expanded to.
const MOST_ADDRESSES: u32 = 1 << 16;

pub(super) const FUNCTIONS: &[Entry] = &[
    ("net.cidr_is_valid", 1, |given| Ok(Value::from(text(&given[0]).is_some_and(|text| text.parse::<IpNet>().is_ok())))),
    ("net.cidr_contains", 2, |given| or_undefined(pair(given).map(|(a, b)| Value::from(a.contains(&b))))),
    ("net.cidr_intersects", 2, |given| or_undefined(pair(given).map(|(a, b)| Value::from(intersect(&a, &b))))),
    ("net.cidr_overlap", 2, |given| or_undefined(pair(given).map(|(a, b)| Value::from(a.contains(&b))))),
    ("net.cidr_expand", 1, |given| {
        let Some(network) = network(&given[0]) else { return Ok(Value::Undefined) };
        let bits = u32::from(network.max_prefix_len() - network.prefix_len());
        if bits > MOST_ADDRESSES.ilog2() {
            anyhow::bail!("net.cidr_expand: {network} has too many addresses");
        }
        grow(48 << bits)?;
        let all = addresses(network.network(), 1_u32 << bits);
        Ok(Value::from(all.map(|address| Value::from(address.to_string())).collect::<BTreeSet<_>>()))
    }),
    ("net.cidr_merge", 1, |given| {
        let listed: Option<Vec<_>> = match &given[0] {
            Value::Array(list) => list.iter().map(network).collect(),
            Value::Set(set) => set.iter().map(network).collect(),
            _ => None,
        };
        let merged = listed.map(|networks| IpNet::aggregate(&networks.iter().map(IpNet::trunc).collect()));
        or_undefined(
            merged.map(|networks| Value::from(networks.into_iter().map(|one| Value::from(one.to_string())).collect::<BTreeSet<_>>())),
        )
    }),
    ("net.cidr_contains_matches", 2, |given| {
        let (Some(left), Some(right)) = (keyed(&given[0]), keyed(&given[1])) else { return Ok(Value::Undefined) };
        let mut found = BTreeSet::new();
        for (key, outer) in &left {
            for (other, _) in right.iter().filter(|(_, inner)| outer.contains(inner)) {
                grow(64)?;
                found.insert(Value::from(vec![key.clone(), other.clone()]));
            }
        }
        Ok(Value::from(found))
    }),
];

fn addresses(first: IpAddr, count: u32) -> impl Iterator<Item = IpAddr> {
    (0..count).map(move |offset| match first {
        IpAddr::V4(first) => IpAddr::V4(u32::from(first).wrapping_add(offset).into()),
        IpAddr::V6(first) => IpAddr::V6(u128::from(first).wrapping_add(offset.into()).into()),
    })
}

/// A network, or an address as the network that holds nothing else.
fn network(value: &Value) -> Option<IpNet> {
    let text = text(value)?;
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

fn pair(given: &[Value]) -> Option<(IpNet, IpNet)> {
    Some((text(&given[0])?.parse().ok()?, network(&given[1])?))
}

fn intersect(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

/// The networks of a text, a list, a set or an object, each with what it is found by.
fn keyed(value: &Value) -> Option<Vec<(Value, IpNet)>> {
    // An element that is a list has its network in front.
    let of = |held: &Value| network(held).or_else(|| held.as_array().ok().and_then(|list| list.first().and_then(network)));
    match value {
        Value::String(_) => Some(vec![(value.clone(), network(value)?)]),
        Value::Array(list) => list.iter().enumerate().map(|(index, held)| Some((Value::from(index as u64), of(held)?))).collect(),
        Value::Set(set) => set.iter().map(|held| Some((held.clone(), of(held)?))).collect(),
        Value::Object(object) => object.iter().map(|(key, held)| Some((key.clone(), of(held)?))).collect(),
        _ => None,
    }
}
