//! nslookup, as busybox asks: for addresses of both families with every domain of the search list, or for one type.

use crate::{
    network::{Failure, Record, RecordType},
    shell::process::Process,
};
use jiff::SignedDuration;
use std::net::Ipv4Addr;

const TYPES: &[(&str, RecordType)] = &[
    ("soa", RecordType::Other),
    ("ns", RecordType::Other),
    ("a", RecordType::A),
    ("aaaa", RecordType::Other),
    ("cname", RecordType::Cname),
    ("mx", RecordType::Other),
    ("txt", RecordType::Other),
    ("ptr", RecordType::Ptr),
    ("srv", RecordType::Srv),
    ("any", RecordType::Other),
];

pub async fn run(process: &Process, arguments: &[String]) -> i32 {
    let mut kinds: Vec<RecordType> = Vec::new();
    let mut words: Vec<&str> = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let kind = match argument.as_str() {
            "-type" | "-querytype" | "-q" | "-t" => rest.next().map(String::as_str),
            option if option.starts_with('-') => {
                ["-type=", "-querytype=", "-q=", "-t="].iter().find_map(|prefix| option.strip_prefix(prefix))
            }
            word => {
                words.push(word);
                continue;
            }
        };
        if let Some(kind) = kind {
            match TYPES.iter().find(|(name, _)| name.eq_ignore_ascii_case(kind)) {
                Some((_, kind)) => kinds.push(*kind),
                None => {
                    process.complain(format!("invalid query type \"{kind}\"")).await;
                    return 1;
                }
            }
        }
    }
    let Some(host) = words.first() else {
        process.err("BusyBox v1.37.0 (simulated by Cordon) multi-call binary.\n\nUsage: nslookup [-type=QUERY_TYPE] [-debug] HOST [DNS_SERVER]\n").await;
        return 1;
    };
    let own = process.machine.network.nameserver();
    let server = match words.get(1) {
        None => own,
        Some(name) => match process.machine.network.resolve(name).ok().and_then(|(_, addresses)| addresses.first().copied()) {
            Some(address) => address,
            None => {
                process.complain(format!("bad address '{name}'")).await;
                return 1;
            }
        },
    };
    let mut status = 0;
    let mut text = format!("Server:\t\t{server}\nAddress:\t{server}:53\n\n");
    for (name, kind) in questions(process, host, &kinds) {
        let reply = if server == own { process.machine.network.query(&name, kind) } else { Err(Failure::TimedOut) };
        match reply {
            Ok(reply) => {
                if reply.exists {
                    text.extend(reply.records.iter().map(|(owner, record)| line(owner, record)));
                } else {
                    text.push_str(&format!("** server can't find {name}: NXDOMAIN\n"));
                    status = 1;
                }
                text.push('\n');
            }
            Err(_) => {
                process.sleep(SignedDuration::from_secs(10)).await;
                process.out(";; connection timed out; no servers could be reached\n\n").await;
                return 1;
            }
        }
    }
    process.out(text).await;
    status
}

fn questions(process: &Process, host: &str, kinds: &[RecordType]) -> Vec<(String, RecordType)> {
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        let [a, b, c, d] = address.octets();
        return vec![(format!("{d}.{c}.{b}.{a}.in-addr.arpa"), RecordType::Ptr)];
    }
    let kinds = if kinds.is_empty() { &[RecordType::A, RecordType::Other] } else { kinds };
    let search = process.machine.network.search();
    let names = if host.contains('.') || search.is_empty() {
        vec![host.trim_end_matches('.').to_owned()]
    } else {
        search.iter().map(|domain| format!("{host}.{domain}")).collect()
    };
    kinds.iter().flat_map(|kind| names.iter().map(|name| (name.clone(), *kind))).collect()
}

fn line(owner: &str, record: &Record) -> String {
    match record {
        Record::A(address) => format!("Name:\t{owner}\nAddress: {address}\n"),
        Record::Cname(target) => format!("{owner}\tcanonical name = {target}\n"),
        Record::Ptr(name) => format!("{owner}\tname = {name}\n"),
        Record::Srv { weight, port, target } => format!("{owner}\tservice = 0 {weight} {port} {target}\n"),
    }
}
