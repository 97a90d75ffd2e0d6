//! How an input names what it is about.

use machinery::{Resource, Scheme};

/// Parts of an input, divided by lines of three dashes.
pub fn parts(input: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(input).split("\n---\n").map(str::to_owned).collect()
}

/// `apps/v1 deployments …`; pods where it names nothing.
pub fn resource(line: &str) -> &'static Resource {
    let mut words = line.split_whitespace();
    let (version, plural) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let named = Scheme::builtin().iter().find(|resource| resource.api_version() == version && resource.plural == plural);
    named.or_else(|| Scheme::find_builtin("", "v1", "pods")).expect("there are pods")
}
