//! The kubelet's gRPC services for device plugins, from their names: the two files of `.proto` need no compiler of their own.
//! (k8s.io/kubelet, pkg/apis/deviceplugin/v1beta1/api.proto)

use tonic_build::manual::{Builder, Method, Service};

fn method(name: &str, route: &str, input: &str, output: &str) -> tonic_build::manual::MethodBuilder {
    Method::builder()
        .name(name)
        .route_name(route)
        .input_type(format!("crate::device_api::{input}"))
        .output_type(format!("crate::device_api::{output}"))
        .codec_path("tonic_prost::ProstCodec")
}

fn main() {
    let registration = Service::builder()
        .package("v1beta1")
        .name("Registration")
        .method(method("register", "Register", "RegisterRequest", "Empty").build())
        .build();
    let plugin = Service::builder()
        .package("v1beta1")
        .name("DevicePlugin")
        .method(method("get_device_plugin_options", "GetDevicePluginOptions", "Empty", "DevicePluginOptions").build())
        .method(method("list_and_watch", "ListAndWatch", "Empty", "ListAndWatchResponse").server_streaming().build())
        .method(
            method("get_preferred_allocation", "GetPreferredAllocation", "PreferredAllocationRequest", "PreferredAllocationResponse")
                .build(),
        )
        .method(method("allocate", "Allocate", "AllocateRequest", "AllocateResponse").build())
        .method(method("pre_start_container", "PreStartContainer", "PreStartContainerRequest", "Empty").build())
        .build();
    Builder::new().compile(&[registration, plugin]);
}
