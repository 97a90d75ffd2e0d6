//! Bodies of writes. The first line names what is written (`apps/v1 deployments`), the rest is the body, JSON or YAML.

use machinery::{
    Resource, Scheme, defaults, strategy,
    strict::{self, FieldValidation, Format},
    validation,
};

/// The resource that the first line names, or pods; and what follows.
fn resource(input: &[u8]) -> (&'static Resource, &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let first = String::from_utf8_lossy(&input[..end]);
    let (version, plural) = first.split_once(' ').unwrap_or(("", ""));
    let named = Scheme::builtin().iter().find(|resource| resource.api_version() == version && resource.plural == plural);
    let resource = named.or_else(|| Scheme::find_builtin("", "v1", "pods")).expect("there are pods");
    (resource, &input[(end + 1).min(input.len())..])
}

pub fn run(input: &[u8]) {
    let (resource, body) = resource(input);
    for format in [Format::Json, Format::Yaml] {
        let _ = strict::decode(resource, format, body, FieldValidation::Strict);
        let Ok(decoded) = strict::decode(resource, format, body, FieldValidation::Warn) else { continue };
        let mut object = decoded.object;
        let again = strict::decode(resource, Format::Json, object.to_string().as_bytes(), FieldValidation::Warn).map(|again| again.object);
        assert_eq!(again.as_ref(), Ok(&object), "what was decoded is decoded to the same again");
        defaults::set(resource, &mut object);
        strategy::prepare_create(resource, &mut object);
        let _ = validation::create(resource, &object);
        let _ = validation::update(resource, "", &object, &object);
        let _ = validation::warnings(resource, &object, None);
    }
}
