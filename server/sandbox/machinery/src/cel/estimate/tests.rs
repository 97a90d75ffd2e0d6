//! What a kube-apiserver 1.34 said of rules: the factor by which each exceeds what a rule may cost.

use super::Bounds;
use crate::cel::{compile_bounded, kind};
use serde_json::json;

#[test]
fn costs_are_those_of_an_api_server() {
    let schema = json!({"type": "object", "properties": {
        "s": {"type": "string"}, "m": {"type": "string", "maxLength": 100}, "i": {"type": "integer"},
        "l": {"type": "array", "items": {"type": "string"}},
        "lb": {"type": "array", "maxItems": 50, "items": {"type": "string", "maxLength": 20}},
        "o": {"type": "array", "maxItems": 1000, "items": {"type": "object", "required": ["name"], "properties": {
            "name": {"type": "string", "maxLength": 63}, "n": {"type": "integer"}, "v": {"type": "string"},
        }}},
        "mp": {"type": "object", "additionalProperties": {"type": "string"}},
        "mb": {"type": "object", "maxProperties": 20, "additionalProperties": {"type": "string", "maxLength": 10}},
        "e": {"type": "string", "enum": ["aa", "bbbb"]}, "t": {"type": "string", "format": "date-time"},
        "d": {"type": "string", "format": "duration"}, "ios": {"x-kubernetes-int-or-string": true},
        "li": {"type": "array", "items": {"type": "integer"}},
    }});
    let kind = kind::of_schema(&schema, false);
    let variables = [("self".to_owned(), kind.clone()), ("oldSelf".to_owned(), kind)].into();
    let bounds = Bounds::of_schema(&schema, false).expect("a schema");
    let said: Vec<_> = RULES
        .iter()
        .map(|(rule, _)| {
            let factor = match compile_bounded(rule, &variables, &bounds) {
                Ok((_, cost)) => cost as f64 / 1e7,
                Err(error) => return (*rule, error),
            };
            let factor = match factor {
                _ if factor <= 1.0 => "fits".to_owned(),
                _ if factor > 100.0 => "more".to_owned(),
                _ if factor < 1.5 => format!("{factor:.6}"),
                _ => format!("{factor:.1}"),
            };
            (*rule, factor)
        })
        .collect();
    let wrong: Vec<_> = said.iter().zip(RULES).filter(|((_, said), (_, real))| said != real).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

const RULES: &[(&str, &str)] = &[
    ("self.s.matches('^[a-z]+$')", "fits"),
    ("self.s.contains('abc') && self.s.contains(self.m)", "1.289750"),
    ("self.l.all(x, x.startsWith('a'))", "fits"),
    ("self.l.all(x, self.l.all(y, x == y))", "more"),
    ("self.lb.all(x, self.lb.all(y, x == y))", "fits"),
    ("self.lb.all(x, self.lb.all(y, self.lb.all(z, x + y == z)))", "fits"),
    ("self.l.exists(x, x == self.s)", "more"),
    ("self.o.all(x, self.o.exists_one(y, x.name == y.name))", "3.2"),
    ("self.o.all(x, self.o.filter(y, y.name == x.name).size() == 1)", "4.3"),
    ("self.o.map(x, x.name).all(n, n.matches('^[a-z0-9]+$'))", "fits"),
    ("self.l.map(x, x.lowerAscii()).all(n, n.matches('^[a-z0-9]+$'))", "more"),
    ("self.mp.all(k, k.size() < 5)", "fits"),
    ("self.mp.all(k, self.mp[k].matches('a+b'))", "more"),
    ("self.mb.all(k, self.mb[k].matches('a+b'))", "fits"),
    ("self.l.isSorted() && self.li.sum() > 3 && self.l.all(x, self.l.indexOf(x) > 1)", "more"),
    ("self.l.join(',').matches('a.*b')", "more"),
    ("self.lb.join(',').matches('a.*b')", "fits"),
    ("self.s.split(',').all(x, x.find('a+') == 'a')", "1.6"),
    ("self.s.replace('a', 'bcd').matches('xx')", "fits"),
    ("self.l.all(x, x in self.l)", "more"),
    ("self.l.all(x, x in ['a', 'b', 'c'])", "1.8"),
    ("self.o.all(x, x.n > 3 || x.v.contains('z'))", "31.5"),
    ("self.l.all(x, has(self.m) ? x == self.m : x == self.s)", "more"),
    ("self.ios == 5 || self.l.all(x, string(self.ios) == x)", "more"),
    ("self.l.all(x, quantity(x).isGreaterThan(quantity('5')))", "more"),
    ("self.l.all(x, isIP(x) && ip(x).family() == 4)", "more"),
    ("self.l.all(x, cidr('10.0.0.0/8').containsIP(x))", "more"),
    ("self.l.all(x, url(x).getHost() == 'a')", "more"),
    ("self.l.all(x, self.?m.orValue('q') == x)", "more"),
    ("self.l.all(i, x, x == self.s)", "more"),
    ("self.l.transformList(i, x, x + 'a').all(y, y == self.s)", "more"),
    ("self.l.all(x, self.e == x)", "fits"),
    ("self.li.all(x, self.li.all(y, x == y))", "more"),
    ("self.li.all(x, self.li.all(y, x < y))", "more"),
    ("self.l.all(x, self.l[0] == x)", "more"),
    ("self.o.all(x, self.o[0].v == x.v)", "31.5"),
    ("self.l.map(x, x + x).map(x, x + x).all(x, x.matches('aa'))", "more"),
    ("self.l.all(x, x.size() > self.l.size() && self.t > timestamp('2020-01-01T00:00:00Z') && self.d < duration('1h'))", "1.8"),
    ("self.l.all(x, [x, x, 'a'].all(y, y == x))", "3.3"),
    ("self.l.all(x, {'a': x}.all(k, k == x))", "4.2"),
    (r#"self.l.all(x, "%s".format([x]) == x)"#, "more"),
    ("self.l.all(x, !format.dns1123Label().validate(x).hasValue())", "more"),
    ("self.l.all(x, x.trim().substring(1).replace('', 'bb') == x)", "more"),
    ("self.l.all(x, bytes(x) == b'a')", "more"),
    ("self.l.all(x, string(bytes(x)) == x)", "more"),
    ("self.l.all(x, dyn(x) == 1)", "fits"),
    ("oldSelf.l.all(x, x == self.s)", "more"),
    ("self.l.exists(x, self.l.exists(y, x < y))", "more"),
    ("sets.contains(self.l, ['a']) && self.l.all(x, sets.intersects(self.l, [x]))", "more"),
    ("self.l.all(x, semver(x).major() > 1)", "more"),
    ("self.l.first().orValue('') == ''", "fits"),
    ("self.?m.optMap(x, x + self.s).orValue('') == self.s", "more"),
];
