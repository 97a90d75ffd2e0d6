//! `crypto.*`: hashes and message authentication codes, in hexadecimal.

use super::{Entry, or_undefined, text};
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use regorus::Value;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

pub(super) const FUNCTIONS: &[Entry] = &[
    ("crypto.md5", 1, |given| or_undefined(text(&given[0]).map(|text| hex_of(Md5::digest(text.as_bytes()))))),
    ("crypto.sha1", 1, |given| or_undefined(text(&given[0]).map(|text| hex_of(Sha1::digest(text.as_bytes()))))),
    ("crypto.sha256", 1, |given| or_undefined(text(&given[0]).map(|text| hex_of(Sha256::digest(text.as_bytes()))))),
    ("crypto.hmac.md5", 2, |given| or_undefined(mac::<Hmac<Md5>>(given))),
    ("crypto.hmac.sha1", 2, |given| or_undefined(mac::<Hmac<Sha1>>(given))),
    ("crypto.hmac.sha256", 2, |given| or_undefined(mac::<Hmac<Sha256>>(given))),
    ("crypto.hmac.sha512", 2, |given| or_undefined(mac::<Hmac<Sha512>>(given))),
    ("crypto.hmac.equal", 2, |given| or_undefined(text(&given[0]).zip(text(&given[1])).map(|(a, b)| Value::from(a == b)))),
];

fn hex_of(bytes: impl AsRef<[u8]>) -> Value {
    Value::from(hex::encode(bytes))
}

fn mac<M: Mac + KeyInit>(given: &[Value]) -> Option<Value> {
    let mut mac = <M as KeyInit>::new_from_slice(text(&given[1])?.as_bytes()).ok()?;
    mac.update(text(&given[0])?.as_bytes());
    Some(hex_of(mac.finalize().into_bytes()))
}
