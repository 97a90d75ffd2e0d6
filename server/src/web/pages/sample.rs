//! Sample data for tests of templates: awkward on purpose.

use super::super::page::{Frame, FrameUser, Notice};

/// Text that must never reach a page as HTML.
pub const AWKWARD: &str = "<img src=x onerror=alert(1)> \"quoted\" & 'more'";

pub fn frame() -> Frame {
    Frame {
        nonce: "bm9uY2U".to_owned(),
        csrf: "token".to_owned(),
        user: Some(FrameUser { name: AWKWARD.to_owned(), guest: false, admin: true }),
        here: "labs",
        notice: Some(Notice { tone: "good", text: AWKWARD.to_owned() }),
        may_register: true,
        guest_will_start: true,
    }
}

/// What holds for every page: text stays text, no inline script or style, ids are used once, every form that changes something
/// carries its token, one first heading.
pub fn judge(html: &str) {
    assert!(!html.contains("<img src=x"), "text became HTML:\n{html}");
    assert!(!html.contains("{{") && !html.contains("{%"), "template syntax in the page");
    for inline in [" style=\"", " onclick=", " onsubmit=", "javascript:"] {
        assert!(!html.contains(inline), "{inline} is against the page's policy");
    }
    for part in html.split("<script").skip(1).chain(html.split("<link rel=\"stylesheet\"").skip(1)) {
        let tag = part.split('>').next().unwrap_or("");
        assert!(tag.contains("nonce=\"bm9uY2U\""), "without nonce: {tag}");
    }
    for form in html.split("<form").skip(1) {
        let body = form.split("</form>").next().unwrap_or("");
        assert!(!body.contains("method=\"post\"") || body.contains("name=\"csrf\" value=\"token\""), "a form without its token: {body}");
    }
    let mut seen = std::collections::BTreeSet::new();
    for id in html.split(" id=\"").skip(1).filter_map(|part| part.split('"').next()) {
        assert!(seen.insert(id), "the id {id} is used twice");
    }
    if html.contains("<html") {
        assert_eq!(html.matches("<h1").count(), 1, "one first heading");
        assert!(html.contains("<main") && html.contains("lang=\"en\""));
    }
}
