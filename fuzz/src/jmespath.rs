//! JMESPath with Kyverno's functions: an expression, and behind a line of three dashes a document in JSON.

use kyverno_jmespath::{Env, Limits, Numbers};
use serde_json::Value;

pub fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (source, document) = text.split_once("\n---\n").unwrap_or((&text, "{}"));
    let expression = match kyverno_jmespath::compile(source) {
        Ok(expression) => expression,
        Err(error) => {
            assert!(error.offset().is_none_or(|offset| offset <= source.len()), "a mistake lies within the expression");
            return;
        }
    };
    let document: Value = serde_json::from_str(document).unwrap_or_default();
    for numbers in [Numbers::Floats, Numbers::Typed] {
        let env = Env { numbers, limits: Limits { work: 100_000 }, ..Env::new(jiff::Timestamp::UNIX_EPOCH, 7) };
        let _ = expression.search(&document, &env);
    }
}
