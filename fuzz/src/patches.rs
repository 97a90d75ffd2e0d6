//! Patches: `v1 pods merge`, the live object in JSON and the patch, divided by lines of three dashes.

use super::input::{parts, resource};
use machinery::{
    patch::{self, PatchKind},
    strict::{self, FieldValidation, Format},
};

pub fn run(input: &[u8]) {
    let parts = parts(input);
    let [first, live, body] = parts.as_slice() else { return };
    let resource = resource(first);
    let kind = match first.split_whitespace().nth(2) {
        Some("json") => PatchKind::Json,
        Some("strategic") => PatchKind::Strategic,
        _ => PatchKind::Merge,
    };
    let Ok(live) = strict::decode(resource, Format::Json, live.as_bytes(), FieldValidation::Ignore) else { return };
    let _ = patch::apply(resource, &live.object, kind, body.as_bytes(), FieldValidation::Strict);
    let patched = patch::apply(resource, &live.object, kind, body.as_bytes(), FieldValidation::Ignore);
    if let (PatchKind::Merge, Ok(patched)) = (kind, patched) {
        let again = patch::apply(resource, &patched.object, kind, body.as_bytes(), FieldValidation::Ignore);
        assert_eq!(again.map(|again| again.object), Ok(patched.object), "a merge patch that was applied changes nothing more");
    }
}
