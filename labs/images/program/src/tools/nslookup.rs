//! nslookup as busybox asks, host and dig for what people read of them.

use crate::net::resolve::{self, Failure};
use hickory_resolver::proto::rr::RecordType;
use std::net::{IpAddr, Ipv4Addr};

const NOBODY: &str = ";; connection timed out; no servers could be reached\n";

pub async fn run(name: &str, arguments: &[String]) -> i32 {
    match name {
        "nslookup" => nslookup(arguments).await,
        _ => lookup(name, arguments).await,
    }
}

async fn nslookup(arguments: &[String]) -> i32 {
    let mut kinds: Vec<RecordType> = Vec::new();
    let mut words: Vec<&str> = Vec::new();
    for argument in arguments {
        let Some(option) = argument.strip_prefix('-') else {
            words.push(argument);
            continue;
        };
        let kind = ["type=", "querytype=", "q=", "t="].iter().find_map(|prefix| option.strip_prefix(prefix));
        match kind.map(|kind| kind.to_uppercase().parse()) {
            Some(Ok(kind)) => kinds.push(kind),
            Some(Err(_)) => {
                eprintln!("nslookup: invalid query type \"{}\"", kind.unwrap_or_default());
                return 1;
            }
            None => {}
        }
    }
    let Some(host) = words.first() else {
        eprintln!("BusyBox (simulated by Cordon) multi-call binary.\n\nUsage: nslookup [-type=QUERY_TYPE] [-debug] HOST");
        return 1;
    };
    if words.len() > 1 {
        eprintln!("nslookup: a DNS server of one's own choice cannot be asked here (cordon.dev/simulated)");
        return 1;
    }
    let (server, search) = resolve::settings(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default());
    print!("Server:\t\t{server}\nAddress:\t{server}:53\n\n");
    let mut status = 0;
    for (name, kind) in questions(host, &search, &kinds) {
        match resolve::query(&name, kind).await {
            Ok(records) => records.iter().for_each(|record| print!("{}", line(record))),
            Err(Failure::NoSuchName) => {
                println!("** server can't find {name}: NXDOMAIN");
                status = 1;
            }
            Err(Failure::TimedOut) => {
                println!("{NOBODY}");
                return 1;
            }
        }
        println!();
    }
    status
}

/// A name without dots is asked for with every domain of the search list; both families where no type is said.
fn questions(host: &str, search: &[String], kinds: &[RecordType]) -> Vec<(String, RecordType)> {
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        let [a, b, c, d] = address.octets();
        return vec![(format!("{d}.{c}.{b}.{a}.in-addr.arpa"), RecordType::PTR)];
    }
    let kinds = if kinds.is_empty() { &[RecordType::A] } else { kinds };
    let names = if host.contains('.') || search.is_empty() {
        vec![host.trim_end_matches('.').to_owned()]
    } else {
        search.iter().map(|domain| format!("{host}.{domain}")).collect()
    };
    kinds.iter().flat_map(|kind| names.iter().map(|name| (name.clone(), *kind))).collect()
}

fn line((owner, kind, data): &resolve::Answer) -> String {
    let data = data.trim_end_matches('.');
    match *kind {
        RecordType::A | RecordType::AAAA => format!("Name:\t{owner}\nAddress: {data}\n"),
        RecordType::CNAME => format!("{owner}\tcanonical name = {data}\n"),
        RecordType::PTR => format!("{owner}\tname = {data}\n"),
        RecordType::SRV => format!("{owner}\tservice = {data}\n"),
        other => format!("{owner}\t{other} = {data}\n"),
    }
}

async fn lookup(name: &str, arguments: &[String]) -> i32 {
    let Some(host) = arguments.iter().find(|argument| !argument.starts_with(['-', '+', '@'])) else { return 1 };
    let found = resolve::addresses(host).await;
    let v4 = |addresses: Vec<IpAddr>| addresses.into_iter().filter(IpAddr::is_ipv4).collect::<Vec<_>>();
    match (found.map(v4), name) {
        (Ok(addresses), "dig") if arguments.iter().any(|argument| argument == "+short") => {
            addresses.iter().for_each(|address| println!("{address}"));
        }
        (Ok(addresses), "dig") => {
            println!(";; ANSWER SECTION:");
            addresses.iter().for_each(|address| println!("{host}.\t30\tIN\tA\t{address}"));
        }
        (Ok(addresses), _) => addresses.iter().for_each(|address| println!("{host} has address {address}")),
        (Err(Failure::TimedOut), _) => {
            println!("{NOBODY}");
            return 1;
        }
        (Err(Failure::NoSuchName), "dig") => {}
        (Err(Failure::NoSuchName), _) => {
            println!("Host {host} not found: 3(NXDOMAIN)");
            return 1;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_name_is_asked_for_in_every_domain() {
        let search = ["ns.svc.cluster.local".to_owned(), "svc.cluster.local".to_owned()];
        let asked = |host: &str, kinds: &[RecordType]| {
            questions(host, &search, kinds).iter().map(|(name, kind)| format!("{name} {kind}")).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(asked("resnet", &[]), "resnet.ns.svc.cluster.local A, resnet.svc.cluster.local A");
        assert_eq!(asked("resnet.other.", &[RecordType::SRV]), "resnet.other SRV");
        assert_eq!(asked("10.96.0.10", &[]), "10.0.96.10.in-addr.arpa PTR");
    }
}
