//! The types of events: what `evt.type` may be compared with.
//!
//! Each table is sorted, so that a name is found by halving.

/// System calls, named as Falco names them.
#[rustfmt::skip]
const SYSCALLS: &[&str] = &[
    "accept", "accept4", "access", "acct", "add_key", "adjtimex", "alarm", "arch_prctl", "arch_specific_syscall", "bdflush", "bind",
    "bpf", "breakpoint", "brk", "cachestat", "capget", "capset", "chdir", "chmod", "chown", "chown32", "chroot", "clock_adjtime",
    "clock_getres", "clock_gettime", "clock_nanosleep", "clock_settime", "clone", "clone3", "close", "close_range", "connect",
    "copy_file_range", "creat", "create_module", "delete_module", "dup", "dup2", "dup3", "epoll_create", "epoll_create1",
    "epoll_ctl", "epoll_ctl_old", "epoll_pwait", "epoll_pwait2", "epoll_wait", "epoll_wait_old", "eventfd", "eventfd2", "execve",
    "execveat", "exit", "exit_group", "faccessat", "faccessat2", "fadvise64", "fadvise64_64", "fallocate", "fanotify_init",
    "fanotify_mark", "fchdir", "fchmod", "fchmodat", "fchmodat2", "fchown", "fchown32", "fchownat", "fcntl", "fcntl64", "fdatasync",
    "fgetxattr", "finit_module", "flistxattr", "flock", "fork", "fremovexattr", "fsconfig", "fsetxattr", "fsmount", "fsopen",
    "fspick", "fstat", "fstat64", "fstatat64", "fstatfs", "fstatfs64", "fsync", "ftruncate", "ftruncate64", "futex",
    "futex_requeue", "futex_wait", "futex_waitv", "futex_wake", "futimesat", "get_kernel_syms", "get_mempolicy", "get_robust_list",
    "get_thread_area", "getcpu", "getcwd", "getdents", "getdents64", "getegid", "getegid32", "geteuid", "geteuid32", "getgid",
    "getgid32", "getgroups", "getgroups32", "getitimer", "getpeername", "getpgid", "getpgrp", "getpid", "getpmsg", "getppid",
    "getpriority", "getrandom", "getresgid", "getresgid32", "getresuid", "getresuid32", "getrlimit", "getrusage", "getsid",
    "getsockname", "getsockopt", "gettid", "gettimeofday", "getuid", "getuid32", "getxattr", "getxattrat", "idle", "init_module",
    "inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch", "io_cancel", "io_destroy", "io_getevents",
    "io_pgetevents", "io_setup", "io_submit", "io_uring_enter", "io_uring_register", "io_uring_setup", "ioctl", "ioperm", "iopl",
    "ioprio_get", "ioprio_set", "ipc", "kcmp", "kexec_file_load", "kexec_load", "keyctl", "kill", "landlock_add_rule",
    "landlock_create_ruleset", "landlock_restrict_self", "lchown", "lchown32", "lgetxattr", "link", "linkat", "listen", "listmount",
    "listxattr", "listxattrat", "llistxattr", "llseek", "lookup_dcookie", "lremovexattr", "lseek", "lsetxattr", "lsm_get_self_attr",
    "lsm_list_modules", "lsm_set_self_attr", "lstat", "lstat64", "madvise", "map_shadow_stack", "mbind", "membarrier",
    "memfd_create", "memfd_secret", "migrate_pages", "mincore", "mkdir", "mkdirat", "mknod", "mknodat", "mlock", "mlock2",
    "mlockall", "mmap", "mmap2", "modify_ldt", "mount", "mount_setattr", "move_mount", "move_pages", "mprotect", "mq_getsetattr",
    "mq_notify", "mq_open", "mq_timedreceive", "mq_timedsend", "mq_unlink", "mremap", "mseal", "msgctl", "msgget", "msgrcv",
    "msgsnd", "msync", "multiplexer", "munlock", "munlockall", "munmap", "name_to_handle_at", "nanosleep", "newfstatat",
    "newselect", "nfsservctl", "nice", "oldfstat", "oldlstat", "oldolduname", "oldstat", "oldumount", "olduname", "open",
    "open_by_handle_at", "open_tree", "openat", "openat2", "pause", "pciconfig_iobase", "pciconfig_read", "pciconfig_write",
    "perf_event_open", "perfctr", "personality", "pidfd_getfd", "pidfd_open", "pidfd_send_signal", "pipe", "pipe2", "pivot_root",
    "pkey_alloc", "pkey_free", "pkey_mprotect", "poll", "ppoll", "prctl", "pread64", "preadv", "preadv2", "prlimit64",
    "process_madvise", "process_mrelease", "process_vm_readv", "process_vm_writev", "pselect6", "ptrace", "pwrite64", "pwritev",
    "pwritev2", "query_module", "quotactl", "quotactl_fd", "read", "readahead", "readdir", "readlink", "readlinkat", "readv",
    "reboot", "recv", "recvfrom", "recvmmsg", "recvmsg", "remap_file_pages", "removexattr", "removexattrat", "rename", "renameat",
    "renameat2", "request_key", "restart_syscall", "rmdir", "rseq", "rt_sigaction", "rt_sigpending", "rt_sigprocmask",
    "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait", "rt_tgsigqueueinfo", "rtas", "s390_guarded_storage",
    "s390_pci_mmio_read", "s390_pci_mmio_write", "s390_runtime_instr", "s390_sthyi", "sched_get_affinity", "sched_get_priority_max",
    "sched_get_priority_min", "sched_getaffinity", "sched_getattr", "sched_getparam", "sched_getscheduler", "sched_rr_get_interval",
    "sched_set_affinity", "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler", "sched_yield", "seccomp",
    "security", "select", "semctl", "semget", "semop", "semtimedop", "send", "sendfile", "sendfile64", "sendmmsg", "sendmsg",
    "sendto", "set_mempolicy", "set_mempolicy_home_node", "set_robust_list", "set_thread_area", "set_tid_address", "setdomainname",
    "setfsgid", "setfsgid32", "setfsuid", "setfsuid32", "setgid", "setgid32", "setgroups", "setgroups32", "sethostname",
    "setitimer", "setns", "setpgid", "setpriority", "setregid", "setregid32", "setresgid", "setresgid32", "setresuid",
    "setresuid32", "setreuid", "setreuid32", "setrlimit", "setsid", "setsockopt", "settimeofday", "setuid", "setuid32", "setxattr",
    "setxattrat", "sgetmask", "shmat", "shmctl", "shmdt", "shmget", "shutdown", "sigaction", "sigaltstack", "signal", "signalfd",
    "signalfd4", "sigpending", "sigprocmask", "sigreturn", "sigsuspend", "socket", "socketcall", "socketpair", "splice",
    "spu_create", "spu_run", "ssetmask", "stat", "stat64", "statfs", "statfs64", "statmount", "statx", "stime", "stty",
    "subpage_prot", "swapcontext", "swapoff", "swapon", "switch_endian", "symlink", "symlinkat", "sync", "sync_file_range",
    "sync_file_range2", "syncfs", "sys_debug_setcontext", "sysctl", "sysfs", "sysinfo", "syslog", "tee", "tgkill", "time",
    "timer_create", "timer_delete", "timer_getoverrun", "timer_gettime", "timer_settime", "timerfd", "timerfd_create",
    "timerfd_gettime", "timerfd_settime", "times", "tkill", "truncate", "truncate64", "tuxcall", "ugetrlimit", "ulimit", "umask",
    "umount", "umount2", "uname", "unlink", "unlinkat", "unshare", "uretprobe", "uselib", "userfaultfd", "ustat", "utime",
    "utimensat", "utimes", "vfork", "vhangup", "vm86", "vmsplice", "vserver", "wait4", "waitid", "waitpid", "write", "writev",
];

/// Events that are no system call, and events whose name is not their system call's.
#[rustfmt::skip]
const OTHERS: &[&str] = &[
    "asyncevent", "container", "container_added", "container_removed", "cpu_hotplug", "drop", "groupadded", "groupdeleted",
    "infra", "k8s", "mesos", "notification", "page_fault", "pluginevent", "pread", "prlimit", "procexit", "procinfo", "pwrite",
    "scapevent", "signaldeliver", "switch", "syscall", "tracer", "useradded", "userdeleted",
];

/// System calls that have an event of their own; all others share one, called `generic`.
#[rustfmt::skip]
const DECODED: &[&str] = &[
    "accept", "accept4", "access", "bind", "bpf", "brk", "capset", "chdir", "chmod", "chown", "chroot", "clone", "clone3", "close",
    "connect", "copy_file_range", "creat", "delete_module", "dup", "dup2", "dup3", "epoll_create", "epoll_create1", "epoll_wait",
    "eventfd", "eventfd2", "execve", "execveat", "fchdir", "fchmod", "fchmodat", "fchown", "fchownat", "fcntl", "finit_module",
    "flock", "fork", "fsconfig", "fstat", "fstat64", "futex", "getcwd", "getdents", "getdents64", "getegid", "geteuid", "getgid",
    "getpeername", "getresgid", "getresuid", "getrlimit", "getsockname", "getsockopt", "getuid", "init_module", "inotify_init",
    "inotify_init1", "io_uring_enter", "io_uring_register", "io_uring_setup", "ioctl", "kill", "lchown", "link", "linkat", "listen",
    "llseek", "lseek", "lstat", "lstat64", "memfd_create", "mkdir", "mkdirat", "mknod", "mknodat", "mlock", "mlock2", "mlockall",
    "mmap", "mmap2", "mount", "mprotect", "munlock", "munlockall", "munmap", "nanosleep", "newfstatat", "open", "open_by_handle_at",
    "openat", "openat2", "pidfd_getfd", "pidfd_open", "pipe", "pipe2", "poll", "ppoll", "prctl", "pread", "preadv", "prlimit",
    "process_vm_readv", "process_vm_writev", "ptrace", "pwrite", "pwritev", "quotactl", "read", "readv", "recv", "recvfrom",
    "recvmmsg", "recvmsg", "rename", "renameat", "renameat2", "rmdir", "seccomp", "select", "semctl", "semget", "semop", "send",
    "sendfile", "sendmmsg", "sendmsg", "sendto", "setgid", "setns", "setpgid", "setregid", "setresgid", "setresuid", "setreuid",
    "setrlimit", "setsid", "setsockopt", "setuid", "shutdown", "signalfd", "signalfd4", "socket", "socketpair", "splice", "stat",
    "stat64", "symlink", "symlinkat", "tgkill", "timerfd_create", "tkill", "umount", "umount2", "unlink", "unlinkat", "unshare",
    "userfaultfd", "vfork", "write", "writev",
];

/// A value that `evt.type` can have.
pub fn is_event_type(name: &str) -> bool {
    is_syscall(name) || OTHERS.binary_search(&name).is_ok()
}

pub fn is_syscall(name: &str) -> bool {
    SYSCALLS.binary_search(&name).is_ok()
}

/// How many of Falco's event codes the names stand for: an event has one for entry and one for exit.
pub(crate) fn event_codes<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    let mut codes = 0;
    let mut generic = 0;
    for name in names {
        if DECODED.binary_search(&name).is_ok() {
            codes += 2;
        } else if is_syscall(name) {
            generic = 2;
        } else {
            codes += 1;
        }
    }
    codes + generic
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_sorted() {
        assert!([SYSCALLS, OTHERS, DECODED].into_iter().all(<[_]>::is_sorted));
    }

    #[test]
    fn names() {
        for name in ["open", "execveat", "container", "asyncevent", "pread", "pread64"] {
            assert!(is_event_type(name), "{name}");
        }
        assert!(!is_event_type("list_a") && !is_event_type("") && !is_syscall("container"));
        assert_eq!(event_codes(["open", "openat", "syncfs", "uname", "container"].into_iter()), 7);
    }
}
