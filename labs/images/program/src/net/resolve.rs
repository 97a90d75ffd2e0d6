//! Names by `/etc/resolv.conf` and `/etc/hosts`, without the C library's resolver: a static program has none of its plug-ins.

use hickory_resolver::{
    TokioResolver,
    config::{LookupIpStrategy, ResolverOpts},
    net::NetError,
    proto::rr::RecordType,
};
use std::net::IpAddr;

/// Why a name leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    NoSuchName,
    /// No server has answered.
    TimedOut,
}

fn resolver(change: impl FnOnce(&mut ResolverOpts)) -> Result<TokioResolver, Failure> {
    let mut builder = TokioResolver::builder_tokio().map_err(|_| Failure::NoSuchName)?;
    change(builder.options_mut());
    builder.build().map_err(|_| Failure::NoSuchName)
}

fn failure(error: &NetError) -> Failure {
    if error.is_no_records_found() || error.is_nx_domain() { Failure::NoSuchName } else { Failure::TimedOut }
}

/// The addresses of a host, IPv4 first, through the search list as a pod's `ndots:5` asks.
pub async fn addresses(host: &str) -> Result<Vec<IpAddr>, Failure> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    let found = resolver(|options| options.ip_strategy = LookupIpStrategy::Ipv4thenIpv6)?.lookup_ip(host).await;
    let addresses: Vec<IpAddr> = found.map_err(|error| failure(&error))?.iter().collect();
    if addresses.is_empty() { Err(Failure::NoSuchName) } else { Ok(addresses) }
}

/// One answer: the name that owns it, its type and its data as zone files spell it.
pub type Answer = (String, RecordType, String);

/// One question, of the name as it is.
pub async fn query(name: &str, kind: RecordType) -> Result<Vec<Answer>, Failure> {
    let name = format!("{}.", name.trim_end_matches('.'));
    let found = resolver(|options| options.ndots = 0)?.lookup(name.as_str(), kind).await.map_err(|error| failure(&error))?;
    let owner = |name: String| name.trim_end_matches('.').to_owned();
    Ok(found.answers().iter().map(|record| (owner(record.name.to_string()), record.record_type(), record.data.to_string())).collect())
}

/// The first nameserver and the search list of a resolv.conf.
pub fn settings(text: &str) -> (String, Vec<String>) {
    let (mut server, mut search) = (String::new(), Vec::new());
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") if server.is_empty() => server = words.next().unwrap_or_default().to_owned(),
            Some("search") => search = words.map(str::to_owned).collect(),
            _ => {}
        }
    }
    (server, search)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pods_settings_are_read() {
        let text = "search default.svc.cluster.local svc.cluster.local\nnameserver 10.96.0.10\nnameserver 10.96.0.11\noptions ndots:5\n";
        let (server, search) = settings(text);
        assert_eq!((server.as_str(), search.join(" ").as_str()), ("10.96.0.10", "default.svc.cluster.local svc.cluster.local"));
        assert_eq!(settings("# nothing"), (String::new(), vec![]));
    }
}
