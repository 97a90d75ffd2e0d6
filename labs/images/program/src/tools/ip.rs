//! ip: it shows addresses, links and routes, and changes nothing.

/// The kernel's interface to it is netlink; what `/proc` and `/sys` say is enough to look at.
pub fn run(arguments: &[String]) -> i32 {
    let words: Vec<&str> = arguments.iter().map(String::as_str).filter(|argument| !argument.starts_with('-')).collect();
    match words.as_slice() {
        [_, verb, ..] if matches!(*verb, "add" | "del" | "delete" | "set" | "flush" | "change" | "replace") => {
            eprintln!("ip: changing the network is not in Cordon's lab images (cordon.dev/simulated)");
            2
        }
        [what, ..] if !what.is_empty() && "route".starts_with(what) => {
            print!("{}", routes(&std::fs::read_to_string("/proc/net/route").unwrap_or_default()));
            0
        }
        _ => {
            for (number, name) in interfaces() {
                let read = |file: &str| std::fs::read_to_string(format!("/sys/class/net/{name}/{file}")).unwrap_or_default();
                println!("{number}: {name}: mtu {} state {}", read("mtu").trim(), read("operstate").trim().to_uppercase());
                println!("    link/ether {}", read("address").trim());
            }
            for address in local_addresses(&std::fs::read_to_string("/proc/net/fib_trie").unwrap_or_default()) {
                println!("    inet {address}");
            }
            0
        }
    }
}

fn interfaces() -> Vec<(String, String)> {
    let names = std::fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let mut found: Vec<(String, String)> = names
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let number = std::fs::read_to_string(entry.path().join("ifindex")).unwrap_or_default();
            (number.trim().to_owned(), name)
        })
        .collect();
    found.sort();
    found
}

/// Addresses that are the host's own, out of the kernel's table of routes.
fn local_addresses(trie: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut last = "";
    for line in trie.lines() {
        if let Some((_, address)) = line.split_once("|-- ") {
            last = address;
        } else if line.contains("/32 host LOCAL") && !found.iter().any(|known| known == last) {
            found.push(last.to_owned());
        }
    }
    found
}

fn routes(table: &str) -> String {
    let address = |hex: &str| u32::from_str_radix(hex, 16).map(|number| std::net::Ipv4Addr::from(number.to_le_bytes())).ok();
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [device, to, via, .., mask, _, _, _] = words.as_slice() else { return None };
        let (to, via, length) = (address(to)?, address(via)?, u32::from_str_radix(mask, 16).ok()?.count_ones());
        let to = if length == 0 { "default".to_owned() } else { format!("{to}/{length}") };
        let via = if via.is_unspecified() { String::new() } else { format!(" via {via}") };
        Some(format!("{to}{via} dev {device}\n"))
    };
    table.lines().skip(1).filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_shown_as_ip_shows_them() {
        let table = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
            eth0\t00000000\t0100F40A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            eth0\t0000F40A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        assert_eq!(routes(table), "default via 10.244.0.1 dev eth0\n10.244.0.0/24 dev eth0\n");
    }

    #[test]
    fn own_addresses_are_found() {
        let trie = "Local:\n     |-- 10.244.0.5\n        /32 host LOCAL\n     |-- 10.244.0.255\n        /32 link BROADCAST\n";
        assert_eq!(local_addresses(trie), ["10.244.0.5"]);
    }
}
