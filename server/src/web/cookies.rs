//! Cookies: reading them, and writing the two that this server sets.

/// The value of a cookie in a `Cookie` header.
pub fn read<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    header.split(';').filter_map(|pair| pair.trim().split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// Names and attributes follow from whether the site is served by HTTPS: then the `__Host-` prefix makes the browser insist on
/// `Secure`, no `Domain` and the whole path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cookies {
    pub secure: bool,
}

impl Cookies {
    pub fn session_name(self) -> &'static str {
        if self.secure { "__Host-cordon" } else { "cordon" }
    }

    /// A visitor without a session still needs something that a form's token can be bound to.
    pub fn visit_name(self) -> &'static str {
        if self.secure { "__Host-cordon-visit" } else { "cordon-visit" }
    }

    pub fn set(self, name: &str, value: &str, seconds: i64) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}")
    }

    pub fn forget(self, name: &str) -> String {
        self.set(name, "", 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        for (header, expected) in [
            ("cordon=a", Some("a")),
            ("x=1; cordon=b; y=2", Some("b")),
            ("xcordon=1", None),
            ("cordon", None),
            ("", None),
            ("cordon=a=b", Some("a=b")),
        ] {
            assert_eq!(read(header, "cordon"), expected, "{header}");
        }
        assert_eq!(Cookies { secure: true }.set("n", "v", 60), "n=v; Path=/; HttpOnly; SameSite=Lax; Max-Age=60; Secure");
        assert!(!Cookies { secure: false }.forget("n").contains("Secure"));
    }
}
