//! A program's way to the API server of its own cluster: with the token and the certificate that are mounted into its container.

use crate::{
    network::{Authorities, Failure, Request, Response, TlsClient, fetch},
    shell::process::Process,
};
use bytes::Bytes;
use jiff::SignedDuration;
use serde_json::Value;

const MOUNTED: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const PATIENCE: SignedDuration = SignedDuration::from_secs(30);

/// client-go's `InClusterConfig`.
#[derive(Debug)]
pub struct InCluster<'a> {
    process: &'a Process,
    host: String,
    port: u16,
    token: String,
    authorities: Authorities,
}

/// The API server's refusal, or why it could not be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// 0 where there was no answer.
    pub code: u16,
    pub message: String,
}

impl<'a> InCluster<'a> {
    pub fn new(process: &'a Process) -> Result<Self, String> {
        let variable = |name: &str| process.environment.get(name).filter(|value| !value.is_empty());
        let address = variable("KUBERNETES_SERVICE_HOST").zip(variable("KUBERNETES_SERVICE_PORT").and_then(|port| port.parse().ok()));
        let Some((host, port)) = address else {
            return Err(
                "unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be defined".to_owned()
            );
        };
        let read = |name: &str| {
            let path = format!("{MOUNTED}/{name}");
            process.read(&path).map_err(|error| format!("open {path}: {}", error.to_string().to_lowercase()))
        };
        let token = String::from_utf8_lossy(&read("token")?).trim().to_owned();
        let authorities = Authorities::parse(&read("ca.crt")?);
        Ok(Self { process, host: host.clone(), port, token, authorities })
    }

    pub async fn get(&self, path: &str) -> Result<Value, Refused> {
        self.call("GET", path, None).await
    }

    pub async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Refused> {
        let content = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let headers = [("Host", self.host.as_str()), ("Authorization", &format!("Bearer {}", self.token)), ("Content-Type", content)];
        let request = Request {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            body: body.map_or_else(Bytes::new, |body| body.to_string().into()),
        };
        // As net/http says it: `Get`, `Patch`.
        let verb = format!("{}{}", &method[..1], method[1..].to_lowercase());
        let silent = |why: String| Refused { code: 0, message: format!("{verb} \"https://{}:{}{path}\": {why}", self.host, self.port) };
        let Ok(address) = self.host.parse() else { return Err(silent(format!("lookup {}: no such host", self.host))) };
        let tls = TlsClient { host: self.host.clone(), trusts: Some(self.authorities.clone()) };
        let answer = fetch(&self.process.machine, address, self.port, request, Some(&tls), PATIENCE).await;
        let response: Response = answer.map_err(|failure| {
            silent(match failure {
                Failure::TimedOut => format!("dial tcp {address}:{}: i/o timeout", self.port),
                Failure::UnknownIssuer => "tls: failed to verify certificate: x509: certificate signed by unknown authority".to_owned(),
                other => format!("dial tcp {address}:{}: connect: {}", self.port, other.to_string().to_lowercase()),
            })
        })?;
        let said: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        if (200..300).contains(&response.status) {
            return Ok(said);
        }
        let message = said["message"].as_str().map_or_else(|| String::from_utf8_lossy(&response.body).trim().to_owned(), str::to_owned);
        Err(Refused { code: response.status, message })
    }

    /// Makes the object, or changes it where it is there with another content.
    pub async fn put(&self, collection: &str, object: &Value) -> Result<Value, Refused> {
        let path = format!("{collection}/{}", machinery::object::name(object));
        match self.get(&path).await {
            Ok(held) => {
                let mut object = object.clone();
                machinery::object::set_meta(&mut object, "resourceVersion", held["metadata"]["resourceVersion"].clone());
                self.call("PUT", &path, Some(&object)).await
            }
            Err(Refused { code: 404, .. }) => self.call("POST", collection, Some(object)).await,
            Err(refused) => Err(refused),
        }
    }
}
