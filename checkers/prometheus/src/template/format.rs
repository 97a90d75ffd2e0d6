//! Go's `printf`.

use super::value::Val;
use crate::number::{format_g, format_g_precision, quote};

/// Widths and precisions end there.
const MAX_WIDTH: usize = 1000;

pub fn printf(format: &str, args: &[Val]) -> String {
    let mut out = String::new();
    let mut letters = format.chars().peekable();
    let mut next = 0;
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        let mut spec = Spec::default();
        while let Some(flag) = letters.peek().copied().filter(|c| "-+# 0".contains(*c)) {
            letters.next();
            match flag {
                '-' => spec.left = true,
                '+' => spec.plus = true,
                '0' => spec.zero = true,
                ' ' => spec.space = true,
                _ => {}
            }
        }
        let digits = |letters: &mut std::iter::Peekable<std::str::Chars<'_>>| {
            let mut text = String::new();
            while let Some(digit) = letters.next_if(char::is_ascii_digit) {
                text.push(digit);
            }
            text.parse::<usize>().ok().map(|value| value.min(MAX_WIDTH))
        };
        spec.width = digits(&mut letters).unwrap_or(0);
        if letters.next_if_eq(&'.').is_some() {
            spec.precision = Some(digits(&mut letters).unwrap_or(0));
        }
        match letters.next() {
            None => out += "%!(NOVERB)",
            Some('%') => out.push('%'),
            Some(verb) => match args.get(next) {
                Some(arg) => {
                    next += 1;
                    out += &spec.format(verb, arg);
                }
                None => out += &format!("%!{verb}(MISSING)"),
            },
        }
    }
    if next < args.len() {
        let extra: Vec<String> = args[next..].iter().map(|arg| format!("{}={}", arg.go_type(), arg.text())).collect();
        out += &format!("%!(EXTRA {})", extra.join(", "));
    }
    out
}

#[derive(Debug, Default)]
struct Spec {
    left: bool,
    plus: bool,
    zero: bool,
    space: bool,
    width: usize,
    precision: Option<usize>,
}

impl Spec {
    fn format(&self, verb: char, arg: &Val) -> String {
        let text = match (verb, arg) {
            ('v' | 'g', Val::Float(value)) => {
                self.signed(*value, &|v| self.precision.map_or_else(|| format_g(v), |p| format_g_precision(v, p)))
            }
            ('f' | 'F', Val::Float(value)) => self.signed(*value, &|v| format!("{v:.*}", self.precision.unwrap_or(6))),
            ('e', Val::Float(value)) => self.signed(*value, &|v| scientific(v, self.precision.unwrap_or(6))),
            ('d' | 'v', Val::Int(value)) => self.signed(*value as f64, &|_| value.unsigned_abs().to_string()),
            ('x', Val::Int(value)) => format!("{value:x}"),
            ('X', Val::Int(value)) => format!("{value:X}"),
            ('o', Val::Int(value)) => format!("{value:o}"),
            ('b', Val::Int(value)) => format!("{value:b}"),
            ('c', Val::Int(value)) => {
                u32::try_from(*value).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER).to_string()
            }
            ('s', Val::Text(text)) => self.precision.map_or_else(|| text.clone(), |count| text.chars().take(count).collect()),
            ('q', Val::Text(text)) => quote(text),
            ('x', Val::Text(text)) => text.bytes().map(|b| format!("{b:02x}")).collect(),
            ('t', Val::Bool(value)) => value.to_string(),
            ('T', value) => value.go_type().to_owned(),
            ('v', Val::Nil) => "<nil>".to_owned(),
            ('v', other) => other.text(),
            ('s', Val::Float(_) | Val::Int(_) | Val::Bool(_)) | (_, Val::Text(_) | Val::Float(_) | Val::Int(_) | Val::Bool(_)) => {
                return format!("%!{verb}({}={})", arg.go_type(), arg.text());
            }
            ('s', other) => other.text(),
            (verb, other) => return format!("%!{verb}({}={})", other.go_type(), other.text()),
        };
        self.pad(text, matches!(arg, Val::Float(_) | Val::Int(_)))
    }

    fn signed(&self, value: f64, digits: &dyn Fn(f64) -> String) -> String {
        if value.is_nan() {
            return "NaN".to_owned();
        }
        if value.is_infinite() {
            return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
        }
        let sign = match (value.is_sign_negative(), self.plus, self.space) {
            (true, ..) => "-",
            (false, true, _) => "+",
            (false, false, true) => " ",
            _ => "",
        };
        format!("{sign}{}", digits(value.abs()))
    }

    fn pad(&self, text: String, is_number: bool) -> String {
        let missing = self.width.saturating_sub(text.chars().count());
        if missing == 0 {
            return text;
        }
        if self.left {
            return text + &" ".repeat(missing);
        }
        if self.zero && is_number && text.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+') {
            let (sign, digits) = text.split_at(text.len() - text.trim_start_matches(['-', '+']).len());
            return format!("{sign}{}{digits}", "0".repeat(missing));
        }
        " ".repeat(missing) + &text
    }
}

fn scientific(value: f64, precision: usize) -> String {
    let text = format!("{value:.precision$e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => {
            let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
            format!("{mantissa}e{sign}{digits:0>2}")
        }
        None => text,
    }
}
