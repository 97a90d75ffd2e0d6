//! Answers to forms: parts of the page for the script, a way back for everybody else.

use super::page::Notice;
use askama::Template;
use axum::{
    Json,
    http::{HeaderMap, header},
    response::{IntoResponse, Redirect, Response},
};
use serde::Serialize;

pub const MEDIA_TYPE: &str = "application/vnd.cordon.update+json";

/// What changes on a page that is open. The script's side is `web/src/fragments.ts`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Update {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fragments: Vec<Fragment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub announce: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tone: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fragment {
    pub id: String,
    pub html: String,
}

impl Update {
    pub fn part(mut self, id: impl Into<String>, template: &impl Template) -> Result<Self, askama::Error> {
        self.fragments.push(Fragment { id: id.into(), html: template.render()? });
        Ok(self)
    }

    pub fn say(mut self, tone: &'static str, text: impl Into<String>) -> Self {
        (self.announce, self.tone) = (Some(text.into()), Some(tone));
        self
    }

    pub fn go(path: impl Into<String>) -> Self {
        Self { redirect: Some(path.into()), ..Self::default() }
    }
}

/// True where the page's script asks, rather than a plain form.
pub fn wants_update(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).is_some_and(|accept| accept.as_bytes() == MEDIA_TYPE.as_bytes())
}

/// The update for the script; for a plain form the way to `back`, where the update's words are shown.
pub fn answer(headers: &HeaderMap, update: Update, back: &str) -> Response {
    if wants_update(headers) {
        return ([(header::CONTENT_TYPE, MEDIA_TYPE), (header::CACHE_CONTROL, "no-store")], Json(update).into_response().into_body())
            .into_response();
    }
    let target = update.redirect.unwrap_or_else(|| back.to_owned());
    let mut answer = Redirect::to(&target).into_response();
    if let Some(text) = update.announce {
        let cookie = notice_cookie(update.tone.unwrap_or("info"), &text);
        if let Ok(value) = cookie.parse() {
            answer.headers_mut().append(header::SET_COOKIE, value);
        }
    }
    answer
}

const NOTICE: &str = "cordon_notice";

/// Words for the next page, in a cookie that the next page takes away again.
fn notice_cookie(tone: &str, text: &str) -> String {
    let mut end = text.len().min(600);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let packed = hex::encode(format!("{tone}:{}", &text[..end]));
    format!("{NOTICE}={packed}; Path=/; HttpOnly; SameSite=Lax; Max-Age=60")
}

/// The words that a redirect left, and the cookie that takes them away.
pub fn take_notice(cookies: &str) -> Option<Notice> {
    let packed = super::cookies::read(cookies, NOTICE)?;
    let text = String::from_utf8(hex::decode(packed).ok()?).ok()?;
    let (tone, text) = text.split_once(':')?;
    let tone = match tone {
        "good" => "good",
        "bad" => "bad",
        _ => "",
    };
    Some(Notice { tone, text: text.to_owned() })
}

pub const FORGET_NOTICE: &str = "cordon_notice=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_survives_a_redirect() {
        let cookie = notice_cookie("bad", "Not “saved”; try again");
        let pair = cookie.split(';').next().unwrap();
        assert_eq!(take_notice(&format!("a=b; {pair}")), Some(Notice { tone: "bad", text: "Not “saved”; try again".to_owned() }));
        for bad in ["", "cordon_notice=zz", "cordon_notice=6162", "cordon_notice=ff3a"] {
            assert_eq!(take_notice(bad), None);
        }
    }

    #[test]
    fn a_plain_form_goes_back() {
        let answer = answer(&HeaderMap::new(), Update::default().say("good", "Done."), "/attempts/1");
        assert_eq!(answer.headers()[header::LOCATION], "/attempts/1");
        assert!(answer.headers().contains_key(header::SET_COOKIE));
    }
}
