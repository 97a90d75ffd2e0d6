//! Encodings and digests.

use super::string;
use crate::{
    Error,
    interpreter::{Answer, Run},
    lexer::json_message,
    value::{Numbers, Value},
};
use base64::{
    Engine, alphabet,
    engine::{GeneralPurpose, GeneralPurposeConfig},
};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

type Given<'a> = Vec<Value<'a>>;

/// Padding must be there; bits left over need not be zero.
const STANDARD: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// Bytes that are no UTF-8 are replaced: what Go keeps of them cannot be written as JSON either.
pub(super) fn base64_decode<'a>(run: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    let text: String = string(&given[0]).chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    match STANDARD.decode(&text) {
        Ok(bytes) => run.text(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) => {
            let at = match error {
                base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => at,
                _ => text.len(),
            };
            Err(Error::Failed(format!("illegal base64 data at input byte {at}")))
        }
    }
}

pub(super) fn base64_encode<'a>(run: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    run.text(STANDARD.encode(string(&given[0])))
}

pub(super) fn sha256<'a>(run: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    digest::<Sha256>(run, &given)
}

pub(super) fn sha1<'a>(run: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    digest::<Sha1>(run, &given)
}

pub(super) fn md5<'a>(run: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    digest::<Md5>(run, &given)
}

fn digest<'a, D: Digest>(run: &mut Run<'a>, given: &[Value<'a>]) -> Answer<'a> {
    run.charge(string(&given[0]).len())?;
    Ok(Value::text(hex::encode(D::digest(string(&given[0])))))
}

pub(super) fn parse_json<'a>(run: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    let text = string(&given[0]);
    run.charge(text.len())?;
    let json = serde_json::from_str(text).map_err(|error| Error::Failed(json_message(text, &error)))?;
    Ok(Value::owned(json, Numbers::Floats))
}

pub(super) fn parse_yaml<'a>(run: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    let text = string(&given[0]);
    run.charge(text.len())?;
    let json = machinery::strict::from_yaml(text).map_err(Error::Failed)?;
    Ok(Value::owned(json, Numbers::Floats))
}
