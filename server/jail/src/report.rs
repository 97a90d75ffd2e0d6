//! What the jail can do on this machine, for `cordon doctor` and for the page that says so.

use serde::Serialize;
use std::{fs, path::Path};

/// Whether shells can be had here, and which limits hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JailReport {
    pub available: bool,
    /// Why not, in words, as the system said it; empty where it is.
    pub problem: String,
    /// What would help; empty where nothing is needed.
    pub hint: String,
    /// Bubblewrap's own version line.
    pub bubblewrap: String,
    /// A uid of its own for every learner: only where the server runs as root.
    pub own_uid: bool,
    pub limits: Vec<LimitReport>,
    /// Programs that the shell has and lacks.
    pub programs: Vec<(String, bool)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LimitReport {
    pub name: String,
    pub holds: bool,
    /// How it is held, or why it is not.
    pub how: String,
}

/// Ubuntu 24.04 lets only programs with an AppArmor profile make user namespaces; newer ones come with one for bubblewrap.
/// Source: `apparmor-profiles`, which has it among its extra profiles, and Ubuntu's notes on restricted user namespaces.
pub(crate) const APPARMOR_HINT: &str = "AppArmor restricts user namespaces on this machine (as Ubuntu 24.04 does), and bubblewrap has no profile that allows them.\n\
    Load the one that Ubuntu has for it, bwrap-userns-restrict:\n\
    \n    sudo apt-get install apparmor-profiles\n    \
    sudo cp /usr/share/apparmor/extra-profiles/bwrap-userns-restrict /etc/apparmor.d/\n    \
    sudo apparmor_parser -r /etc/apparmor.d/bwrap-userns-restrict\n\
    \nIt is for /usr/bin/bwrap only. Check with: cordon doctor";

/// A profile that AppArmor has for bubblewrap: its name and file, or its name alone where it is loaded from elsewhere.
pub fn apparmor_profile() -> Option<String> {
    let file =
        ["bwrap-userns-restrict", "bwrap"].iter().map(|name| format!("/etc/apparmor.d/{name}")).find(|path| Path::new(path).exists());
    // Readable for root alone.
    let loaded = fs::read_to_string("/sys/kernel/security/apparmor/profiles").ok();
    match (loaded.as_deref().map(names_bubblewrap), file) {
        (Some(true), Some(file)) => Some(format!("bwrap, from {file}")),
        (Some(true), None) => Some("bwrap".to_owned()),
        (Some(false), _) => None,
        (None, file) => file,
    }
}

/// A line of the kernel's list is `name (mode)`.
fn names_bubblewrap(list: &str) -> bool {
    list.lines().any(|line| line.split(" (").next().is_some_and(|name| matches!(name, "bwrap" | "/usr/bin/bwrap")))
}

/// What helps, judged by what the system said and is set to.
pub(crate) fn hint(problem: &str, apparmor_restricts: bool, user_namespaces: Option<u64>, in_container: bool) -> String {
    if problem.contains("not found") || problem.contains("No such file") {
        "Install it: apt-get install bubblewrap".to_owned()
    } else if apparmor_restricts {
        APPARMOR_HINT.to_owned()
    } else if user_namespaces == Some(0) {
        "User namespaces are switched off: sysctl -w user.max_user_namespaces=15000".to_owned()
    } else if in_container && (problem.contains("proc") || problem.contains("namespace")) {
        "This is a container without the right to make user namespaces and to mount /proc. Run it with --security-opt seccomp=unconfined --security-opt systempaths=unconfined (Docker), or run Cordon on the host.".to_owned()
    } else if problem.contains("namespace") || problem.contains("Operation not permitted") {
        "This machine does not let an unprivileged program make user namespaces (kernel.unprivileged_userns_clone, a container's seccomp profile or a security module).".to_owned()
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_profile_of_bubblewrap() {
        for (list, expected) in [
            ("", false),
            ("1password (unconfined)\nbwrap (enforce)\nunpriv_bwrap (enforce)\n", true),
            ("/usr/bin/bwrap (unconfined)\n", true),
            ("unpriv_bwrap (enforce)\nbwrap//&unpriv (enforce)\n", false),
        ] {
            assert_eq!(names_bubblewrap(list), expected, "{list:?}");
        }
    }

    #[test]
    fn hints_follow_from_what_was_seen() {
        for (problem, apparmor, namespaces, container, expected) in [
            ("bwrap: not found", false, None, false, "apt-get install bubblewrap"),
            ("bwrap: setting up uid map: Permission denied", true, Some(10), false, "apparmor_parser -r"),
            ("bwrap: No permissions to create new namespace", false, Some(0), false, "max_user_namespaces"),
            ("bwrap: Can't mount proc on /newroot/proc: Operation not permitted", false, Some(10), true, "systempaths=unconfined"),
            ("bwrap: Creating new namespace failed: Operation not permitted", false, Some(10), false, "unprivileged_userns_clone"),
            ("the disk burns", false, Some(10), false, ""),
        ] {
            let given = hint(problem, apparmor, namespaces, container);
            assert!(given.contains(expected) && given.is_empty() == expected.is_empty(), "{problem}: {given}");
        }
    }
}
