//! Which subnet and which port a new cluster gets. Docker's own pools end after about thirty networks, so we choose.

use ipnet::Ipv4Net;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

/// How many pieces of `pool` are free.
pub fn free(pool: Ipv4Net, prefix: u8, taken: &[Ipv4Net]) -> u64 {
    let pieces = pool.subnets(prefix).into_iter().flatten();
    let overlaps = |a: &Ipv4Net, b: &Ipv4Net| a.contains(b) || b.contains(a);
    pieces.filter(|piece| !taken.iter().any(|other| overlaps(piece, other))).count() as u64
}

/// A free piece of `pool`, searched from a place that `seed` names, so that two starts at once rarely meet.
pub fn choose(pool: Ipv4Net, prefix: u8, taken: &[Ipv4Net], seed: u64) -> Option<Ipv4Net> {
    let pieces = 1_u64.checked_shl(u32::from(prefix.checked_sub(pool.prefix_len())?))?;
    let size = 1_u64.checked_shl(32 - u32::from(prefix.min(32)))?;
    (0..pieces).find_map(|step| {
        let offset = ((seed % pieces) + step) % pieces * size;
        let address = u32::try_from(u64::from(u32::from(pool.network())) + offset).ok()?;
        let piece = Ipv4Net::new(Ipv4Addr::from(address), prefix).ok()?;
        let overlaps = |other: &Ipv4Net| other.contains(&piece.network()) || piece.contains(&other.network());
        (!taken.iter().any(overlaps)).then_some(piece)
    })
}

/// The networks that the machine has routes to, from `/proc/net/route`; the default route is none of them.
pub fn routes(text: &str) -> Vec<Ipv4Net> {
    let hexadecimal = |field: &str| u32::from_str_radix(field, 16).ok().map(u32::swap_bytes);
    let route = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (destination, mask) = (hexadecimal(fields.get(1)?)?, hexadecimal(fields.get(7)?)?);
        let prefix = u8::try_from(mask.leading_ones()).ok()?;
        (prefix > 0).then(|| Ipv4Net::new(Ipv4Addr::from(destination), prefix).ok()).flatten()
    };
    text.lines().skip(1).filter_map(route).collect()
}

/// A free port of `range`, searched from a place that `seed` names.
pub fn port(range: &RangeInclusive<u16>, taken: &[u16], seed: u64) -> Option<u16> {
    let count = u64::from(range.end().checked_sub(*range.start())?) + 1;
    (0..count)
        .filter_map(|step| u16::try_from(u64::from(*range.start()) + (seed % count + step) % count).ok())
        .find(|port| !taken.contains(port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_free() {
        let net = |text: &str| text.parse::<Ipv4Net>().unwrap();
        for (taken, expected) in [(vec![], 16), (vec![net("10.0.0.16/28"), net("10.0.0.64/27")], 13), (vec![net("10.0.0.0/8")], 0)] {
            assert_eq!(free(net("10.0.0.0/24"), 28, &taken), expected);
        }
        assert_eq!(free(net("10.0.0.0/24"), 20, &[]), 0);
    }

    #[test]
    fn subnets() {
        type Row<'a> = (&'a str, u8, &'a [&'a str], u64, Option<&'a str>);
        let rows: &[Row] = &[
            ("10.201.0.0/16", 28, &[], 0, Some("10.201.0.0/28")),
            ("10.201.0.0/16", 28, &[], 4095, Some("10.201.255.240/28")),
            ("10.201.0.0/16", 28, &[], 4096, Some("10.201.0.0/28")),
            ("10.201.0.0/16", 28, &["10.201.0.0/28", "10.201.0.16/28"], 0, Some("10.201.0.32/28")),
            // Somebody else's network is larger than a piece, or smaller.
            ("10.201.0.0/16", 28, &["10.201.0.0/24"], 3, Some("10.201.1.0/28")),
            ("10.201.0.0/30", 32, &["10.201.0.1/32"], 1, Some("10.201.0.2/32")),
            // The search goes around.
            ("10.201.0.0/27", 28, &["10.201.0.16/28"], 1, Some("10.201.0.0/28")),
            ("10.201.0.0/27", 28, &["10.0.0.0/8"], 1, None),
            ("10.201.0.0/28", 24, &[], 0, None),
            ("0.0.0.0/0", 32, &[], u64::MAX, Some("255.255.255.255/32")),
        ];
        for (pool, prefix, taken, seed, expected) in rows {
            let taken: Vec<Ipv4Net> = taken.iter().map(|text| net(text)).collect();
            assert_eq!(choose(net(pool), *prefix, &taken, *seed), expected.map(net), "{pool} {taken:?} {seed}");
        }
    }

    #[test]
    fn routes_of_the_machine() {
        let text = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                    eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                    eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
                    br-1\t0000C90A\t00000000\t0001\t0\t0\t0\tF0FFFFFF\t0\t0\t0\nbroken\n";
        assert_eq!(routes(text), [net("172.17.0.0/16"), net("10.201.0.0/28")]);
        assert_eq!(routes(""), []);
    }

    #[test]
    fn ports() {
        type Row<'a> = (RangeInclusive<u16>, &'a [u16], u64, Option<u16>);
        let rows: &[Row] = &[
            (21_000..=21_002, &[], 0, Some(21_000)),
            (21_000..=21_002, &[], 5, Some(21_002)),
            (21_000..=21_002, &[21_002], 5, Some(21_000)),
            (21_000..=21_002, &[21_000, 21_001, 21_002], 1, None),
            (65_535..=65_535, &[], 9, Some(65_535)),
            #[expect(clippy::reversed_empty_ranges, reason = "an operator may write it")]
            (2..=1, &[], 0, None),
        ];
        for (range, taken, seed, expected) in rows {
            assert_eq!(port(range, taken, *seed), *expected, "{range:?} {taken:?} {seed}");
        }
    }
}
