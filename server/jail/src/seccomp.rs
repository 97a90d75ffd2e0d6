//! The system call filter of the jail: a small classic BPF program, written out by hand so that it can be read in one sitting.
//!
//! Denied with `EPERM`: the kernel keyring, tracing, mounting, new namespaces, modules, BPF, performance events, io_uring and what
//! else a learner of Kubernetes never needs and an attacker of the kernel likes. Sockets are limited to families that a network
//! namespace contains (`AF_VSOCK`, for one, is not). Source of the numbers: the kernel's own headers, by way of `libc`.

use nix::libc;

/// `AUDIT_ARCH_X86_64` and `AUDIT_ARCH_AARCH64` of `linux/audit.h`.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xC000_00B7;

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const ANY_BIT: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

const NUMBER: u32 = 0; // offsets in struct seccomp_data
const ARCH: u32 = 4;
const ARGUMENT_0: u32 = 16;
const ARGUMENT_1: u32 = 24;

const ALLOW: u32 = 0x7fff_0000;
const KILL: u32 = 0x8000_0000;
const ERRNO: u32 = 0x0005_0000;

/// Namespace flags of `clone`: NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
const NEW_NAMESPACES: u32 = 0x0002_0000 | 0x0200_0000 | 0x0400_0000 | 0x0800_0000 | 0x1000_0000 | 0x2000_0000 | 0x4000_0000;
const TIOCSTI: u32 = 0x5412;
const TIOCLINUX: u32 = 0x541C;
const TIOCSETD: u32 = 0x5423;

/// Families that may be opened: UNIX, INET, INET6, NETLINK. All others are unknown in the jail.
const FAMILIES: [u32; 4] = [1, 2, 10, 16];

fn denied() -> Vec<libc::c_long> {
    let mut list = vec![
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_keyctl,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_kcmp,
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_move_mount,
        libc::SYS_open_tree,
        libc::SYS_fsopen,
        libc::SYS_fsconfig,
        libc::SYS_fsmount,
        libc::SYS_fspick,
        libc::SYS_mount_setattr,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
        libc::SYS_kexec_load,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_delete_module,
        libc::SYS_reboot,
        libc::SYS_swapon,
        libc::SYS_swapoff,
        libc::SYS_acct,
        libc::SYS_quotactl,
        libc::SYS_syslog,
        libc::SYS_open_by_handle_at,
        libc::SYS_name_to_handle_at,
        libc::SYS_io_uring_setup,
        libc::SYS_io_uring_enter,
        libc::SYS_io_uring_register,
        libc::SYS_personality,
        libc::SYS_clock_settime,
        libc::SYS_settimeofday,
        libc::SYS_fanotify_init,
        libc::SYS_sethostname,
        libc::SYS_setdomainname,
        libc::SYS_vhangup,
        libc::SYS_move_pages,
        libc::SYS_migrate_pages,
        libc::SYS_pidfd_getfd,
    ];
    #[cfg(target_arch = "x86_64")]
    list.extend([
        libc::SYS_iopl,
        libc::SYS_ioperm,
        libc::SYS_modify_ldt,
        libc::SYS_uselib,
        libc::SYS_ustat,
        libc::SYS_sysfs,
        libc::SYS_kexec_file_load,
    ]);
    list
}

struct Program(Vec<(u16, u8, u8, u32)>);

impl Program {
    fn add(&mut self, code: u16, if_true: u8, if_false: u8, value: u32) {
        self.0.push((code, if_true, if_false, value));
    }

    /// `if the loaded value equals: return answer`.
    fn answer_if(&mut self, test: u16, value: u32, answer: u32) {
        self.add(test, 0, 1, value);
        self.add(RETURN, 0, 0, answer);
    }

    /// Runs `body` only for the system call `number`, which must be the loaded value; loads it again after.
    fn only_for(&mut self, number: libc::c_long, body: impl FnOnce(&mut Self)) {
        let at = self.0.len();
        self.add(EQUAL, 0, 0, number as u32);
        body(self);
        self.add(LOAD, 0, 0, NUMBER);
        // The body is a handful of instructions by construction.
        self.0[at].2 = (self.0.len() - at - 1) as u8;
    }
}

/// The program as the kernel wants it: `struct sock_filter` after `struct sock_filter`, in the machine's byte order.
pub(crate) fn program() -> Vec<u8> {
    let eperm = ERRNO | libc::EPERM as u32;
    let mut program = Program(Vec::new());
    program.add(LOAD, 0, 0, ARCH);
    program.add(EQUAL, 1, 0, ARCHITECTURE);
    program.add(RETURN, 0, 0, KILL);
    program.add(LOAD, 0, 0, NUMBER);
    // The x32 calls of x86-64, a second door to the same kernel.
    #[cfg(target_arch = "x86_64")]
    program.answer_if(AT_LEAST, 0x4000_0000, eperm);
    for number in denied() {
        program.answer_if(EQUAL, number as u32, eperm);
    }
    // The C library falls back to clone, whose flags we can read.
    program.answer_if(EQUAL, libc::SYS_clone3 as u32, ERRNO | libc::ENOSYS as u32);
    program.only_for(libc::SYS_clone, |program| {
        program.add(LOAD, 0, 0, ARGUMENT_0);
        program.answer_if(ANY_BIT, NEW_NAMESPACES, eperm);
    });
    program.only_for(libc::SYS_ioctl, |program| {
        program.add(LOAD, 0, 0, ARGUMENT_1);
        for request in [TIOCSTI, TIOCLINUX, TIOCSETD] {
            program.answer_if(EQUAL, request, eperm);
        }
    });
    program.only_for(libc::SYS_socket, |program| {
        program.add(LOAD, 0, 0, ARGUMENT_0);
        for family in FAMILIES {
            program.answer_if(EQUAL, family, ALLOW);
        }
        program.add(RETURN, 0, 0, ERRNO | libc::EAFNOSUPPORT as u32);
    });
    program.add(RETURN, 0, 0, ALLOW);
    program.0.iter().flat_map(|(code, if_true, if_false, value)| encode(*code, *if_true, *if_false, *value)).collect()
}

fn encode(code: u16, if_true: u8, if_false: u8, value: u32) -> [u8; 8] {
    let [code_0, code_1] = code.to_ne_bytes();
    let [a, b, c, d] = value.to_ne_bytes();
    [code_0, code_1, if_true, if_false, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tiny interpreter of what we emit, so that the table below judges the bytes and not the intent.
    fn decide(number: u32, arguments: [u32; 2]) -> u32 {
        let bytes = program();
        let code: Vec<&[u8]> = bytes.chunks(8).collect();
        let (mut at, mut loaded) = (0, 0);
        loop {
            let op = u16::from_ne_bytes([code[at][0], code[at][1]]);
            let value = u32::from_ne_bytes([code[at][4], code[at][5], code[at][6], code[at][7]]);
            let jump = |taken: bool| usize::from(if taken { code[at][2] } else { code[at][3] }) + 1;
            match op {
                LOAD => {
                    loaded = match value {
                        NUMBER => number,
                        ARCH => ARCHITECTURE,
                        ARGUMENT_0 => arguments[0],
                        ARGUMENT_1 => arguments[1],
                        other => panic!("offset {other}"),
                    };
                    at += 1;
                }
                EQUAL => at += jump(loaded == value),
                AT_LEAST => at += jump(loaded >= value),
                ANY_BIT => at += jump(loaded & value != 0),
                RETURN => return value,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    #[test]
    fn decides() {
        let eperm = ERRNO | libc::EPERM as u32;
        for (call, arguments, expected) in [
            (libc::SYS_read, [0, 0], ALLOW),
            (libc::SYS_execve, [0, 0], ALLOW),
            (libc::SYS_keyctl, [0, 0], eperm),
            (libc::SYS_ptrace, [0, 0], eperm),
            (libc::SYS_unshare, [0, 0], eperm),
            (libc::SYS_clone, [0x0011, 0], ALLOW),
            (libc::SYS_clone, [0x1000_0011, 0], eperm),
            (libc::SYS_clone3, [0, 0], ERRNO | libc::ENOSYS as u32),
            (libc::SYS_ioctl, [0, 0x5401], ALLOW),
            (libc::SYS_ioctl, [0, TIOCSTI], eperm),
            (libc::SYS_socket, [2, 0], ALLOW),
            (libc::SYS_socket, [10, 0], ALLOW),
            (libc::SYS_socket, [40, 0], ERRNO | libc::EAFNOSUPPORT as u32),
            (libc::SYS_socket, [38, 0], ERRNO | libc::EAFNOSUPPORT as u32),
        ] {
            assert_eq!(decide(call as u32, arguments), expected, "call {call} with {arguments:?}");
        }
        #[cfg(target_arch = "x86_64")]
        assert_eq!(decide(0x4000_0000, [0, 0]), eperm);
    }
}
