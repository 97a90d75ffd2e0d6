//! What may be called, and with what: `functions.txt`.

use super::kind::{Bindings, Kind, fits, substitute};
use std::{collections::HashMap, sync::LazyLock};

#[derive(Debug)]
struct Overload {
    /// Called on its first argument: `a.f(b)`.
    member: bool,
    arguments: Vec<Kind>,
    result: Kind,
}

static FUNCTIONS: LazyLock<HashMap<&'static str, Vec<Overload>>> = LazyLock::new(|| {
    let mut functions = HashMap::new();
    for line in include_str!("functions.txt").lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ');
        let (Some(name), overloads) = (words.next(), words.collect::<Vec<_>>()) else { continue };
        if overloads == ["(ordered)"] {
            for name in ["_<_", "_<=_", "_>_", "_>=_"] {
                functions.insert(name, ordered());
            }
        } else {
            functions.insert(name, overloads.into_iter().map(overload).collect());
        }
    }
    functions
});

/// Comparisons: numbers of all kinds with one another, everything else with its own kind.
fn ordered() -> Vec<Overload> {
    let numbers = ["int", "uint", "double"];
    let mixed = numbers.iter().flat_map(|a| numbers.iter().map(move |b| (*a, *b)));
    let same = ["bool", "string", "bytes", "timestamp", "duration"].into_iter().map(|a| (a, a));
    let of = |(a, b)| Overload { member: false, arguments: vec![Kind::Named(a), Kind::Named(b)], result: super::kind::BOOL };
    mixed.chain(same).map(of).collect()
}

fn overload(text: &'static str) -> Overload {
    let mut reader = Reader { rest: text };
    let member = !text.starts_with('(');
    let mut arguments = Vec::new();
    if member {
        arguments.push(reader.kind());
        reader.eat('.');
    }
    reader.eat('(');
    while !reader.eat(')') {
        arguments.push(reader.kind());
        reader.eat(',');
    }
    Overload { member, arguments, result: reader.kind() }
}

/// Reads types such as `map(string,list(A))`.
struct Reader {
    rest: &'static str,
}

impl Reader {
    fn eat(&mut self, wanted: char) -> bool {
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn kind(&mut self) -> Kind {
        let end = self.rest.find(['(', ')', ',']).unwrap_or(self.rest.len());
        // The dot before `(` ends the receiver; other dots are part of a name.
        let name = self.rest[..end].strip_suffix('.').unwrap_or(&self.rest[..end]);
        self.rest = &self.rest[name.len()..];
        let generic = matches!(name, "list" | "map" | "optional");
        if !generic {
            return match name {
                "dyn" => Kind::Dyn,
                "A" => Kind::Parameter('A'),
                "B" => Kind::Parameter('B'),
                name => Kind::Named(name),
            };
        }
        self.eat('(');
        let first = Box::new(self.kind());
        let kind = match name {
            "list" => Kind::List(first),
            "optional" => Kind::Optional(first),
            _ => {
                self.eat(',');
                Kind::Map(first, Box::new(self.kind()))
            }
        };
        self.eat(')');
        kind
    }
}

pub(super) fn exists(name: &str) -> bool {
    FUNCTIONS.contains_key(name)
}

/// The type of a call, or `None` where no overload takes the arguments.
pub(super) fn resolve(name: &str, member: bool, arguments: &[Kind]) -> Option<Kind> {
    let mut results = Vec::new();
    for overload in FUNCTIONS.get(name)?.iter().filter(|o| o.member == member && o.arguments.len() == arguments.len()) {
        let mut bound = Bindings::new();
        if overload.arguments.iter().zip(arguments).all(|(to, from)| fits(to, from, &mut bound)) {
            results.push(substitute(&overload.result, &bound));
        }
    }
    let first = results.first()?.clone();
    let same = results.iter().all(|kind| kind.to_string() == first.to_string());
    Some(if same { first } else { Kind::Dyn })
}
