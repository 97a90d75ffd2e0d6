//! What keeps a node to its own GPUs. A node is a privileged container and gets the device nodes of every GPU of the host, whatever
//! was asked for; those of others are removed in it, by minor number.
//!
//! This is order, not a wall: who is root in the node can make the device nodes again, because its control group allows all devices.

use crate::gpu::choose::Device;
use std::collections::BTreeMap;

/// The script in the node.
pub const SCRIPT: &str = "/kind/cordon-gpus";
/// Before every start of the kubelet, since a node that starts again gets all device nodes again.
const DROP_IN: &str = "/etc/systemd/system/kubelet.service.d/20-cordon-gpus.conf";

/// The files of a node that holds these devices: paths, texts, modes.
pub fn files(devices: &[Device]) -> BTreeMap<String, (String, u32)> {
    BTreeMap::from([
        (SCRIPT.to_owned(), (script(devices), 0o755)),
        (DROP_IN.to_owned(), (format!("[Service]\nExecStartPre={SCRIPT}\n"), 0o644)),
    ])
}

/// May run again and again. Fails where something of another learner stays.
fn script(devices: &[Device]) -> String {
    let minors: Vec<String> = devices.iter().map(|device| device.minor.to_string()).collect();
    let capabilities: Vec<String> = devices
        .iter()
        .filter_map(|device| device.slice.as_ref().map(|slice| (device.minor, slice)))
        .flat_map(|(minor, slice)| {
            let instance = format!("gpu{minor}/gi{}", slice.gpu_instance);
            [format!("{instance}/access"), format!("{instance}/ci{}/access", slice.compute_instance)]
        })
        .collect();
    format!("#!/bin/sh\nset -eu\nminors=' {} '\ncapabilities='{}'\n{BODY}", minors.join(" "), capabilities.join(" "))
}

/// `params` is masked so that the driver's tools do not make the device nodes again (`ModifyDeviceFiles`). Container toolkits up to
/// 1.17 lay a folder of their own over `/proc/driver/nvidia`, later ones only a file over `params`, or nothing.
const BODY: &str = r#"proc=/proc/driver/nvidia
masked() { grep -qs '^ModifyDeviceFiles: 0' $proc/params; }
if ! masked || { [ -n "$capabilities" ] && [ ! -d $proc/capabilities ]; }; then
    umount -R $proc 2>/dev/null || true
fi
if [ -e $proc/params ] && ! masked; then
    sed 's/^ModifyDeviceFiles: .*/ModifyDeviceFiles: 0/' $proc/params > /run/cordon-nvidia-params
    mount --bind /run/cordon-nvidia-params $proc/params
    masked
fi

remove() {
    while umount "$1" 2>/dev/null; do :; done
    rm -f "$1"
}
for file in /dev/nvidia[0-9]*; do
    [ -e "$file" ] || continue
    minor=${file#/dev/nvidia}
    case "$minors" in
    *" $minor "*) ;;
    *)
        remove "$file"
        rm -f "/dev/char/195:$minor"
        ;;
    esac
done

own=' '
for capability in $capabilities; do
    minor=$(awk -v name="$capability" '$1 == name { print $2 }' /proc/driver/nvidia-caps/mig-minors)
    [ -n "$minor" ] || { echo "the kernel knows no MIG capability $capability" >&2; exit 1; }
    own="$own$minor "
done
for file in /dev/nvidia-caps/nvidia-cap*; do
    [ -e "$file" ] || continue
    case "$own" in
    *" ${file#/dev/nvidia-caps/nvidia-cap} "*) ;;
    *) remove "$file" ;;
    esac
done

# runc looks devices up by these links where systemd keeps the control groups.
mkdir -p /dev/char
for file in /dev/nvidia[0-9]* /dev/nvidiactl /dev/nvidia-uvm /dev/nvidia-uvm-tools /dev/nvidia-modeset /dev/nvidia-caps/nvidia-cap*; do
    [ -c "$file" ] || continue
    numbers=$(stat -c '%t %T' "$file")
    link=/dev/char/$((0x${numbers% *})):$((0x${numbers#* }))
    [ -e "$link" ] || ln -sf "$file" "$link"
done
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::choose::tests::{divided, gpu, inventory};

    #[test]
    fn the_script_names_what_stays() {
        let inventory = inventory(vec![gpu(0), gpu(3), divided(1)]);
        let device = |uuid: &str| inventory.device(uuid).unwrap();
        let rows = [
            (vec![], "minors='  '\ncapabilities=''\n"),
            (vec![device("GPU-0"), device("GPU-3")], "minors=' 7 4 '\ncapabilities=''\n"),
            (vec![device("MIG-1-2")], "minors=' 6 '\ncapabilities='gpu6/gi2/access gpu6/gi2/ci0/access'\n"),
        ];
        for (devices, expected) in rows {
            let files = files(&devices);
            let (text, mode) = &files[SCRIPT];
            assert!(text.starts_with(&format!("#!/bin/sh\nset -eu\n{expected}")), "{text}");
            assert_eq!(*mode, 0o755);
            assert!(files[DROP_IN].0.contains(SCRIPT));
        }
    }
}
