//! The device plugin: it registers the node's simulated GPUs with the real kubelet. It needs the kubelet's folder of sockets and
//! nothing else: no privilege, no device, no library.
//!
//! ```text
//! cordon-gpus.json ──► plugin ── Register ──► kubelet.sock
//!                        ▲  nvidia-gpu.sock ◄── ListAndWatch, Allocate ── kubelet
//! ```

use super::told_to_end;
use crate::{
    device_api::{
        AllocateRequest, AllocateResponse, ContainerAllocateResponse, Device, DevicePluginOptions, Empty, ListAndWatchResponse,
        PreStartContainerRequest, PreferredAllocationRequest, PreferredAllocationResponse, RegisterRequest,
        services::{
            device_plugin_server::{DevicePlugin, DevicePluginServer},
            registration_client::RegistrationClient,
        },
    },
    host::{self, Host},
};
use hyper_util::rt::TokioIo;
use images::{
    behaviour::device_plugin as plugin,
    gpu::{GIVEN, Gpu, INVENTORY},
};
use std::{collections::HashMap, io, os::unix::fs::MetadataExt, path::PathBuf, pin::Pin, sync::Arc, time::Duration};
use tokio::net::{UnixListener, UnixStream};
use tokio_stream::{Stream, wrappers::UnixListenerStream};
use tonic::{Request, Response, Status, transport::Server};

/// How often it looks whether the kubelet has made its socket anew.
const LOOKS_EVERY: Duration = Duration::from_secs(2);

/// Where sockets and the inventory lie: the kubelet's folder, or a test's.
#[derive(Debug, Clone)]
pub struct Places {
    pub kubelet: PathBuf,
    pub socket: PathBuf,
    pub inventory: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self { kubelet: plugin::KUBELET_SOCKET.into(), socket: plugin::SOCKET.into(), inventory: INVENTORY.into() }
    }
}

fn log(level: char, text: &str) {
    eprint!("{}", plugin::line(level, &host::now().strftime("%m%d %H:%M:%S%.6f").to_string(), text));
}

pub async fn run(host: &Host, arguments: &[String]) -> i32 {
    let places = Places::default();
    let fails = plugin::fails_without_gpu(arguments, host.variable("FAIL_ON_INIT_ERROR").as_deref());
    tokio::select! {
        code = told_to_end() => {
            let _ = std::fs::remove_file(plugin::SOCKET);
            code
        }
        code = serve(&places, fails) => code,
    }
}

/// Serves until it cannot any more.
pub async fn serve(places: &Places, fails_without_gpu: bool) -> i32 {
    log('I', plugin::STARTING);
    log('I', plugin::STARTING_WATCHER);
    if !places.kubelet.exists() {
        log('E', plugin::NO_FOLDER);
        return 1;
    }
    let mut listener = match listen(places) {
        Ok(listener) => listener,
        Err(code) => return code,
    };
    for text in plugin::LOADING {
        log('I', text);
    }
    let gpus = std::fs::read(&places.inventory).ok().and_then(|json| serde_json::from_slice::<Vec<Gpu>>(&json).ok()).unwrap_or_default();
    if gpus.is_empty() {
        for text in plugin::NO_GPU {
            log('E', text);
        }
        if fails_without_gpu {
            log('E', plugin::FAILS);
            return 1;
        }
        log('I', plugin::WAITS);
        return std::future::pending().await;
    }
    let gpus = Arc::new(gpus);
    loop {
        for text in plugin::SERVING {
            log('I', text);
        }
        let server = Server::builder().add_service(DevicePluginServer::new(Plugin(Arc::clone(&gpus))));
        tokio::select! {
            ended = server.serve_with_incoming(UnixListenerStream::new(listener)) => {
                log('E', &format!("the gRPC server ended: {ended:?}"));
                return 1;
            }
            () = one_kubelet(places) => log('I', "The kubelet has started again, restarting."),
        }
        // A kubelet that starts removes the sockets that it finds.
        listener = match listen(places) {
            Ok(listener) => listener,
            Err(code) => return code,
        };
    }
}

/// `Err`: the exit code, its reason said.
fn listen(places: &Places) -> Result<UnixListener, i32> {
    // What another one left; the kubelet has forgotten it.
    let _ = std::fs::remove_file(&places.socket);
    UnixListener::bind(&places.socket).map_err(|error| {
        log('E', &plugin::cannot_listen(&host::words(&error).to_lowercase()));
        1
    })
}

/// Which file the kubelet's socket is; another one after it has started again.
fn identity(places: &Places) -> Option<(u64, i64, i64)> {
    std::fs::metadata(&places.kubelet).ok().map(|file| (file.ino(), file.ctime(), file.ctime_nsec()))
}

/// Registers, and returns when there is another kubelet.
async fn one_kubelet(places: &Places) {
    let mut registered = None;
    loop {
        let present = identity(places);
        match registered {
            Some(_) if present.is_some() && present != registered => return,
            None if present.is_some() => match register(places).await {
                Ok(()) => {
                    log('I', plugin::REGISTERED);
                    registered = present;
                }
                Err(error) => log('E', &format!("Could not register with the kubelet, and will try again: {error}")),
            },
            _ => {}
        }
        tokio::time::sleep(LOOKS_EVERY).await;
    }
}

async fn register(places: &Places) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let path = places.kubelet.clone();
    let connector = tower::service_fn(move |_: tonic::transport::Uri| {
        let path = path.clone();
        async move { Ok::<_, io::Error>(TokioIo::new(UnixStream::connect(path).await?)) }
    });
    let channel = tonic::transport::Endpoint::from_static("http://kubelet").timeout(Duration::from_secs(5));
    let mut client = RegistrationClient::new(channel.connect_with_connector(connector).await?);
    let endpoint = places.socket.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let request = RegisterRequest {
        version: "v1beta1".to_owned(),
        endpoint,
        resource_name: plugin::RESOURCE.to_owned(),
        options: Some(DevicePluginOptions::default()),
    };
    client.register(request).await?;
    Ok(())
}

#[derive(Debug)]
struct Plugin(Arc<Vec<Gpu>>);

#[tonic::async_trait]
impl DevicePlugin for Plugin {
    type ListAndWatchStream = Pin<Box<dyn Stream<Item = Result<ListAndWatchResponse, Status>> + Send>>;

    async fn get_device_plugin_options(&self, _: Request<Empty>) -> Result<Response<DevicePluginOptions>, Status> {
        Ok(Response::new(DevicePluginOptions::default()))
    }

    /// All of them, once; the stream stays open, for its end means that the plugin has gone.
    async fn list_and_watch(&self, _: Request<Empty>) -> Result<Response<Self::ListAndWatchStream>, Status> {
        let devices = self.0.iter().map(|gpu| Device { id: gpu.uuid.clone(), health: "Healthy".to_owned() }).collect();
        let first = tokio_stream::once(Ok(ListAndWatchResponse { devices }));
        Ok(Response::new(Box::pin(tokio_stream::StreamExt::chain(first, tokio_stream::pending()))))
    }

    async fn get_preferred_allocation(
        &self,
        _: Request<PreferredAllocationRequest>,
    ) -> Result<Response<PreferredAllocationResponse>, Status> {
        Err(Status::unimplemented("this plugin has no preferences"))
    }

    /// What a container runtime with NVIDIA's toolkit acts on, and what stands in for a driver; no device, no mount.
    async fn allocate(&self, request: Request<AllocateRequest>) -> Result<Response<AllocateResponse>, Status> {
        let mut container_responses = Vec::new();
        for wanted in request.into_inner().container_requests {
            let ids = wanted.device_ids;
            let granted: Vec<&Gpu> = self.0.iter().filter(|gpu| ids.contains(&gpu.uuid)).collect();
            if granted.len() != ids.len() {
                return Err(Status::invalid_argument(format!("invalid allocation request for '{}': unknown device", plugin::RESOURCE)));
            }
            let given = serde_json::to_string(&granted).map_err(|error| Status::internal(error.to_string()))?;
            let envs = HashMap::from([("NVIDIA_VISIBLE_DEVICES".to_owned(), ids.join(",")), (GIVEN.to_owned(), given)]);
            container_responses.push(ContainerAllocateResponse { envs });
        }
        Ok(Response::new(AllocateResponse { container_responses }))
    }

    async fn pre_start_container(&self, _: Request<PreStartContainerRequest>) -> Result<Response<Empty>, Status> {
        Ok(Response::new(Empty {}))
    }
}
