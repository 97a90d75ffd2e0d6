//! Why a control matters where GPUs are, and where to read on.

const STANDARDS: &str = "https://kubernetes.io/docs/concepts/security/pod-security-standards/";
const SECURITY_CONTEXT: &str = "https://kubernetes.io/docs/tasks/configure-pod-container/security-context/";
const POLICIES: &str = "https://kubernetes.io/docs/concepts/services-networking/network-policies/";
const GPUS: &str = "https://kubernetes.io/docs/tasks/manage-gpus/scheduling-gpus/";
const PLUGIN: &str = "https://github.com/NVIDIA/k8s-device-plugin";
const TOOLKIT: &str = "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/docker-specialized.html";
const TRIVY: &str = "https://trivy.dev/latest/docs/scanner/vulnerability/";

/// Why, and where to read on.
pub(crate) fn of(control: &str) -> (&'static str, &'static str) {
    let (family, id) = control.split_once('/').unwrap_or((control, ""));
    match (family, id) {
        ("restricted", "allowPrivilegeEscalation") => (
            "A setuid program in a large CUDA image is all it takes to become root, and root in a container is one driver bug away from the node and everybody's GPU memory.",
            SECURITY_CONTEXT,
        ),
        ("restricted" | "baseline", "capabilities_restricted" | "capabilities_baseline") => (
            "Serving a model needs no Linux capability. Each one that is kept is a tool for whoever breaks into the process, against the kernel that also runs the GPU driver.",
            SECURITY_CONTEXT,
        ),
        ("restricted", "runAsNonRoot" | "runAsUser") => (
            "Root inside is root outside as soon as isolation fails; escapes through GPU container tooling (CVE-2024-0132) gave the node to whoever was root in the container.",
            SECURITY_CONTEXT,
        ),
        ("restricted" | "baseline", "seccompProfile_restricted" | "seccompProfile_baseline") => (
            "The GPU driver adds hundreds of ioctls to the kernel. A seccomp profile takes away the system calls that serving never makes and exploits need.",
            "https://kubernetes.io/docs/tutorials/security/seccomp/",
        ),
        ("baseline", "privileged") => (
            "A privileged container sees every device of the node: all GPUs, those of other tenants too, whatever the device plugin assigned.",
            STANDARDS,
        ),
        ("baseline", "hostNamespaces") => {
            ("With the node's namespaces a pod reads other tenants' processes and traffic, and no NetworkPolicy holds for it.", STANDARDS)
        }
        ("baseline" | "restricted", "hostPathVolumes" | "restrictedVolumes") => {
            ("The node's file system holds the driver, the kubelet's credentials and other tenants' model caches.", STANDARDS)
        }
        ("baseline" | "restricted", _) => (
            "It is one of the controls that keep a container apart from the node, and on a GPU node the neighbours' models and data are on that node.",
            STANDARDS,
        ),
        ("rootfs", _) => (
            "An intruder who cannot write cannot keep tools, replace the server's binaries or poison a cached model. What must be written goes to an emptyDir.",
            SECURITY_CONTEXT,
        ),
        ("token", _) => (
            "A model server never calls the Kubernetes API. Its token only serves whoever reads it through a hole in the server.",
            "https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/",
        ),
        ("gpu", "limits") => (
            "The scheduler counts GPUs by their limits. Without one, a pod waits for no GPU and accounts for none, and a request that differs is refused.",
            GPUS,
        ),
        ("gpu", "devicePaths") => (
            "A device file that comes by a mount was never assigned: the scheduler does not know of it, and the GPU may belong to somebody else.",
            PLUGIN,
        ),
        ("gpu", "visibleDevices" | "cdiAnnotations") => (
            "Asking the container runtime directly gives a pod GPUs that nobody assigned to it, all of them if it likes, past limits and quotas.",
            TOOLKIT,
        ),
        ("gpu", _) => {
            ("Without the device plugin Kubernetes knows of no GPU: nothing can ask for one, and nothing counts who uses it.", PLUGIN)
        }
        ("reachability", _) => (
            "A model server answers everybody who reaches it. Whoever can, may steal the model by asking, spend your GPU hours, or attack the parser of its requests.",
            POLICIES,
        ),
        ("reachability-group", _) => ("Who can reach a workload can only be judged while it runs.", POLICIES),
        ("works", _) => (
            "Security that stops the service is switched off by the first person on call. It counts only when the model still answers.",
            "https://www.tensorflow.org/tfx/serving/api_rest",
        ),
        ("scan", "exception") => {
            ("An exception that names no image, no reason, no owner or no end is a vulnerability that somebody forgot.", TRIVY)
        }
        ("scan", _) => (
            "Model servers parse what strangers send, in native code, beside the GPU driver. A known critical hole in them is the shortest way onto the node; looking after deployment is too late.",
            TRIVY,
        ),
        ("workload", _) => ("There is nothing to judge until the workload is there.", "https://kubernetes.io/docs/concepts/workloads/"),
        ("namespace", _) => (
            "A namespace that enforces a standard refuses the next careless pod, whoever deploys it.",
            "https://kubernetes.io/docs/concepts/security/pod-security-admission/",
        ),
        ("plugin", _) => (
            "The device plugin holds the node's GPU device files and the kubelet's socket. Whoever takes it over decides which pod gets which GPU, so it keeps no more privilege than that needs.",
            PLUGIN,
        ),
        // A family that a lab named itself.
        _ => (
            "The task describes what the cluster must hold, because that is what Kubernetes enforces: not what a file says that was never applied.",
            "https://kubernetes.io/docs/concepts/overview/working-with-objects/",
        ),
    }
}
