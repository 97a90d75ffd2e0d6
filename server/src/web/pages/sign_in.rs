//! GET and POST /sign-in, POST /sign-out.

use super::super::page::Frame;
use askama::Template;

#[derive(Debug, Template)]
#[template(path = "pages/sign_in.html")]
pub struct SignInPage {
    pub frame: Frame,
    pub problem: Option<String>,
    pub login: String,
    pub next: String,
}

/// A path on this server to go to after signing in; anything else is the catalogue.
pub fn safe_next(next: &str) -> &str {
    let local = next.starts_with('/') && !next.starts_with("//") && !next.contains(['\\', '\r', '\n']) && next.len() < 512;
    if local { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{AWKWARD, frame, judge};
    use super::*;

    #[test]
    fn renders() {
        for problem in [None, Some(AWKWARD.to_owned())] {
            judge(&SignInPage { frame: frame(), problem, login: AWKWARD.to_owned(), next: AWKWARD.to_owned() }.render().unwrap());
        }
    }

    #[test]
    fn stays_on_this_server() {
        for (next, expected) in [
            ("/attempts/1", "/attempts/1"),
            ("//evil.example", "/"),
            ("https://evil.example", "/"),
            ("/\\evil", "/"),
            ("", "/"),
            ("/a\r\nb", "/"),
        ] {
            assert_eq!(safe_next(next), expected);
        }
    }
}
