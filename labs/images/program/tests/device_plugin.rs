//! Tier: sockets. The device plugin against a kubelet of the test's own: it registers, lists, grants and registers again.

use hyper_util::rt::TokioIo;
use images::gpu::{self, GIVEN, Gpu};
use lab_image::{
    components::device_plugin::{Places, serve},
    device_api::{
        AllocateRequest, ContainerAllocateRequest, Empty, RegisterRequest,
        services::{
            device_plugin_client::DevicePluginClient,
            registration_server::{Registration, RegistrationServer},
        },
    },
};
use std::{path::Path, time::Duration};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_stream::{StreamExt, wrappers::UnixListenerStream};
use tonic::{Request, Response, Status};

struct Kubelet(mpsc::UnboundedSender<RegisterRequest>);

#[tonic::async_trait]
impl Registration for Kubelet {
    async fn register(&self, request: Request<RegisterRequest>) -> Result<Response<Empty>, Status> {
        self.0.send(request.into_inner()).map_err(|_| Status::cancelled("the test is over"))?;
        Ok(Response::new(Empty {}))
    }
}

/// A kubelet that has just started: its socket is a new file.
fn kubelet(socket: &Path) -> (mpsc::UnboundedReceiver<RegisterRequest>, JoinHandle<()>) {
    let _ = std::fs::remove_file(socket);
    let listener = UnixListener::bind(socket).unwrap();
    let (sender, receiver) = mpsc::unbounded_channel();
    let server = tonic::transport::Server::builder().add_service(RegistrationServer::new(Kubelet(sender)));
    let task = tokio::spawn(async move { server.serve_with_incoming(UnixListenerStream::new(listener)).await.unwrap() });
    (receiver, task)
}

async fn registration(receiver: &mut mpsc::UnboundedReceiver<RegisterRequest>) -> RegisterRequest {
    tokio::time::timeout(Duration::from_secs(30), receiver.recv()).await.expect("the plugin registers").unwrap()
}

fn places(folder: &Path) -> Places {
    Places { kubelet: folder.join("kubelet.sock"), socket: folder.join("nvidia-gpu.sock"), inventory: folder.join("gpus.json") }
}

#[tokio::test]
async fn a_kubelet_learns_of_the_gpus() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    let gpus = gpu::of_node("gpu-node", 2, "NVIDIA-H100-80GB-HBM3");
    std::fs::write(&places.inventory, serde_json::to_vec(&gpus).unwrap()).unwrap();
    let (mut registered, first) = kubelet(&places.kubelet);
    let plugin = tokio::spawn({
        let places = places.clone();
        async move { serve(&places, true).await }
    });
    let request = registration(&mut registered).await;
    assert_eq!(
        (request.version.as_str(), request.endpoint.as_str(), request.resource_name.as_str()),
        ("v1beta1", "nvidia-gpu.sock", "nvidia.com/gpu")
    );

    let socket = places.socket.clone();
    let connector = tower::service_fn(move |_: tonic::transport::Uri| {
        let socket = socket.clone();
        async move { Ok::<_, std::io::Error>(TokioIo::new(UnixStream::connect(socket).await?)) }
    });
    let channel = tonic::transport::Endpoint::from_static("http://plugin").connect_with_connector(connector).await.unwrap();
    let mut client = DevicePluginClient::new(channel);
    let options = client.get_device_plugin_options(Empty {}).await.unwrap().into_inner();
    assert!(!options.pre_start_required && !options.get_preferred_allocation_available);
    let mut watch = client.list_and_watch(Empty {}).await.unwrap().into_inner();
    let listed = watch.next().await.unwrap().unwrap();
    let seen: Vec<_> = listed.devices.iter().map(|device| (device.id.as_str(), device.health.as_str())).collect();
    assert_eq!(seen, [(gpus[0].uuid.as_str(), "Healthy"), (gpus[1].uuid.as_str(), "Healthy")]);

    let ask = |ids: &[&str]| AllocateRequest {
        container_requests: vec![ContainerAllocateRequest { device_ids: ids.iter().map(|id| (*id).to_owned()).collect() }],
    };
    let granted = client.allocate(ask(&[&gpus[1].uuid])).await.unwrap().into_inner();
    let envs = &granted.container_responses[0].envs;
    assert_eq!(envs["NVIDIA_VISIBLE_DEVICES"], gpus[1].uuid);
    assert_eq!(serde_json::from_str::<Vec<Gpu>>(&envs[GIVEN]).unwrap(), gpus[1..]);
    let refused = client.allocate(ask(&["GPU-nobodys"])).await.unwrap_err();
    assert!(refused.message().contains("unknown device"), "{refused}");

    // The kubelet starts again: it has forgotten everything, and removes the sockets that it finds.
    first.abort();
    std::fs::remove_file(&places.socket).unwrap();
    let (mut registered, _second) = kubelet(&places.kubelet);
    assert_eq!(registration(&mut registered).await.resource_name, "nvidia.com/gpu");
    UnixStream::connect(&places.socket).await.expect("its socket is there again");
    assert!(!plugin.is_finished());
}

#[tokio::test]
async fn where_something_lacks_it_ends_as_the_real_one() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    assert_eq!(serve(&places, true).await, 1, "no kubelet's folder");
    let (_registered, _task) = kubelet(&places.kubelet);
    assert_eq!(serve(&places, true).await, 1, "no GPU");
    std::fs::write(&places.inventory, "nonsense").unwrap();
    assert_eq!(serve(&places, true).await, 1, "an inventory that nobody can read");
    let waits = tokio::time::timeout(Duration::from_millis(200), serve(&places, false)).await;
    assert!(waits.is_err(), "without a GPU it waits where it was told to");
    let nowhere = Places { socket: folder.path().join("none/nvidia-gpu.sock"), ..places };
    assert_eq!(serve(&nowhere, true).await, 1, "no socket");
}
