//! Anchors of patterns: `(key)`, `<(key)`, `=(key)`, `^(key)`, `X(key)`, `+(key)`.

/// <https://kyverno.io/docs/policy-types/cluster-policy/validate/#anchors>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Condition,
    Global,
    Negation,
    AddIfNotPresent,
    Equality,
    Existence,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor<'a> {
    pub kind: Kind,
    pub key: &'a str,
}

impl Anchor<'_> {
    /// The same anchor around another key.
    pub fn around(&self, key: &str) -> String {
        let modifier = match self.kind {
            Kind::Condition => "",
            Kind::Global => "<",
            Kind::Negation => "X",
            Kind::AddIfNotPresent => "+",
            Kind::Equality => "=",
            Kind::Existence => "^",
        };
        format!("{modifier}({key})")
    }
}

/// The anchor that a key is, if it is one.
pub fn parse(key: &str) -> Option<Anchor<'_>> {
    let key = key.trim();
    let (kind, rest) = match key.as_bytes().first()? {
        b'(' => (Kind::Condition, key),
        b'<' => (Kind::Global, &key[1..]),
        b'X' => (Kind::Negation, &key[1..]),
        b'+' => (Kind::AddIfNotPresent, &key[1..]),
        b'=' => (Kind::Equality, &key[1..]),
        b'^' => (Kind::Existence, &key[1..]),
        _ => return None,
    };
    let key = rest.strip_prefix('(')?.strip_suffix(')')?;
    (!key.is_empty()).then_some(Anchor { kind, key })
}

pub fn is(key: &str, kinds: &[Kind]) -> bool {
    parse(key).is_some_and(|anchor| kinds.contains(&anchor.kind))
}

/// Anchors that decide whether something applies.
pub fn is_conditional(key: &str) -> bool {
    is(key, &[Kind::Condition, Kind::Global])
}
