//! The API server's way to an admission webhook: Service, ready endpoint, certificate, answer.

use super::{Authorities, Fabric, Failure, Listener, Protocol, Request, TlsClient};
use apiserver::node::WebhookCall;
use bytes::Bytes;
use futures::FutureExt;
use machinery::gvr;
use std::net::Ipv4Addr;

/// Asks at once. A handler that would have to wait for something answers too late, whatever it waits for.
pub fn review(fabric: &Fabric, call: WebhookCall) -> Result<http::Response<Bytes>, String> {
    const TOO_LATE: &str = "context deadline exceeded";
    let service = fabric.client().get(gvr::SERVICES, &call.namespace, &call.service);
    let service = service.ok_or_else(|| format!("service {:?} not found", call.service))?;
    let (port, name) = (call.port, &call.service);
    let ports = service["spec"]["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !ports.iter().any(|held| held["port"] == port) {
        return Err(format!("no service port {port} found for service {name:?}"));
    }
    let address = service["spec"]["clusterIP"].as_str().unwrap_or_default();
    let Ok(address) = address.parse::<Ipv4Addr>() else { return Err(format!("cannot route to service {name:?} without a cluster IP")) };
    // The API server is a process of its node, which no policy binds.
    let listener = fabric.dial("", Ipv4Addr::UNSPECIFIED, address, port, Protocol::Tcp).map_err(|failure| match failure {
        Failure::Refused => format!("dial tcp {address}:{port}: connect: connection refused"),
        Failure::Unreachable => format!("dial tcp {address}:{port}: connect: no route to host"),
        _ => TOO_LATE.to_owned(),
    })?;
    let server = match listener {
        Listener::Https(server) => server,
        Listener::Http(_) => return Err("http: server gave HTTP response to HTTPS client".to_owned()),
        Listener::Stream(_) | Listener::Silent => return Err("EOF".to_owned()),
    };
    let host = format!("{name}.{}.svc", call.namespace);
    let client = TlsClient { host: host.clone(), trusts: Some(Authorities::parse(&call.authority)) };
    server.accepts(&client).map_err(|failure| match failure {
        Failure::OtherName => {
            let names: Vec<_> = server.names.iter().map(String::as_str).collect();
            format!("tls: failed to verify certificate: x509: certificate is valid for {}, not {host}", names.join(", "))
        }
        _ => "tls: failed to verify certificate: x509: certificate signed by unknown authority".to_owned(),
    })?;
    let headers = vec![("Host".to_owned(), format!("{host}:{port}")), ("Content-Type".to_owned(), "application/json".to_owned())];
    let request = Request { method: "POST".to_owned(), path: call.path, headers, body: call.body };
    let response = server.handler.handle(request).now_or_never().ok_or(TOO_LATE)?;
    http::Response::builder().status(response.status).body(response.body).map_err(|error| error.to_string())
}
