//! The API server's port, as pods reach it: `kubernetes.default.svc`, or the control plane's own address.

use super::{Authorities, Handler, Listener, Request, Response, TlsServer};
use apiserver::Server;
use futures::future::BoxFuture;
use machinery::gvr;
use std::{collections::BTreeSet, net::Ipv4Addr, sync::Arc};

#[derive(Debug)]
struct ApiServer(Server);

impl Handler for ApiServer {
    fn handle(&self, request: Request) -> BoxFuture<'_, Response> {
        let server = self.0.clone();
        Box::pin(async move {
            let mut asked = http::Request::builder().method(request.method.as_str()).uri(request.path.as_str());
            for (name, value) in request.headers.iter().filter(|(name, _)| name != "X-Simulated-Peer") {
                asked = asked.header(name.as_str(), value.as_str());
            }
            let Ok(asked) = asked.body(request.body) else { return Response::new(400, "text/plain; charset=utf-8", "400 Bad Request") };
            // A pod's log is sent by a task of the runtime; where there is none, nobody could read it.
            if asked.uri().path().ends_with("/log") && tokio::runtime::Handle::try_current().is_err() {
                return Response::text(503, "logs cannot be read while time is simulated (cordon.dev/simulated)\n");
            }
            let (parts, body) = server.answer_inside(asked).await.into_parts();
            let headers =
                parts.headers.iter().map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
            Response { status: parts.status.as_u16(), headers: headers.collect(), body }
        })
    }
}

/// What listens on port 6443 of the control plane, with the names that kubeadm writes into its certificate.
pub fn api_server(server: &Server, node: &str, address: Ipv4Addr) -> Listener {
    let service = server.client(apiserver::UserInfo::admin(), "kubelet").get(gvr::SERVICES, "default", "kubernetes");
    let service = service.as_ref().and_then(|service| service["spec"]["clusterIP"].as_str()).unwrap_or("10.96.0.1").to_owned();
    let domains = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost"];
    let names: BTreeSet<String> =
        domains.into_iter().chain([node, &address.to_string(), &service, "127.0.0.1"]).map(str::to_owned).collect();
    Listener::Https(Arc::new(TlsServer {
        handler: Arc::new(ApiServer(server.clone())),
        authority: Authorities::parse(server.options().certificate_authority.as_bytes()),
        names,
    }))
}
