//! `sprintf` as Go prints: what does not fit is said in the text (`%!d(string=a)`, `%!s(MISSING)`, `%!(EXTRA int=1)`), and never an error.

use super::bounded::{WIDEST, weigh};
use crate::rego::limits::grow;
use regorus::Value;
use std::fmt::Write;

/// An argument, as OPA hands it to Go: numbers and texts, everything else as its text.
enum Argument {
    Integer(String),
    Float(f64),
    Text(String),
}

/// What stands between `%` and the verb.
#[derive(Default)]
struct Flags {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

pub(super) fn sprintf(given: &[Value]) -> anyhow::Result<Value> {
    let (Some(format), Ok(list)) = (super::text(&given[0]), given[1].as_array()) else { return Ok(Value::Undefined) };
    grow(format.len() + weigh(&given[1])?)?;
    let arguments: Vec<_> = list.iter().map(Argument::of).collect();
    let mut printer = Printer { arguments: &arguments, next: 0, reordered: false, out: String::new() };
    printer.run(format)?;
    grow(printer.out.len())?;
    Ok(Value::from(printer.out))
}

struct Printer<'a> {
    arguments: &'a [Argument],
    next: usize,
    reordered: bool,
    out: String,
}

impl Printer<'_> {
    fn run(&mut self, format: &str) -> anyhow::Result<()> {
        let mut rest = format;
        while let Some(at) = rest.find('%') {
            self.out.push_str(&rest[..at]);
            rest = self.directive(&rest[at + 1..]);
            if self.out.len() > super::bounded::HEAVIEST {
                anyhow::bail!("a text is larger than {} MiB", super::bounded::HEAVIEST >> 20);
            }
        }
        self.out.push_str(rest);
        if !self.reordered && self.next < self.arguments.len() {
            let extra = self.arguments[self.next..].iter().map(|argument| format!("{}={}", argument.kind(), argument.plain()));
            let extra: Vec<_> = extra.collect();
            let _ = write!(self.out, "%!(EXTRA {})", extra.join(", "));
        }
        Ok(())
    }

    /// Prints one directive, whose text begins behind the `%`; returns what follows it.
    fn directive<'t>(&mut self, mut rest: &'t str) -> &'t str {
        let mut flags = Flags::default();
        while let Some(first) = rest.chars().next() {
            match first {
                '+' => flags.plus = true,
                '-' => flags.minus = true,
                '#' => flags.sharp = true,
                ' ' => flags.space = true,
                '0' => flags.zero = true,
                _ => break,
            }
            rest = &rest[1..];
        }
        let mut good = true;
        rest = self.index(rest, &mut good);
        if let Some(after) = rest.strip_prefix('*') {
            match self.number() {
                Some(width) => {
                    flags.minus |= width < 0;
                    flags.width = usize::try_from(width.unsigned_abs()).ok();
                }
                None => self.out.push_str("%!(BADWIDTH)"),
            }
            rest = after;
        } else {
            (flags.width, rest) = digits(rest);
        }
        if let Some(after) = rest.strip_prefix('.') {
            rest = self.index(after, &mut good);
            if let Some(after) = rest.strip_prefix('*') {
                match self.number().map(usize::try_from) {
                    Some(Ok(precision)) if precision <= WIDEST => flags.precision = Some(precision),
                    Some(_) => {}
                    None => self.out.push_str("%!(BADPREC)"),
                }
                rest = after;
            } else {
                let precision;
                (precision, rest) = digits(rest);
                flags.precision = Some(precision.unwrap_or(0));
            }
        }
        rest = self.index(rest, &mut good);
        let Some(verb) = rest.chars().next() else {
            self.out.push_str("%!(NOVERB)");
            return rest;
        };
        let after = &rest[verb.len_utf8()..];
        if verb == '%' {
            self.out.push('%');
        } else if !good {
            let _ = write!(self.out, "%!{verb}(BADINDEX)");
        } else if let Some(argument) = self.arguments.get(self.next) {
            self.next += 1;
            let printed = argument.print(verb, &flags);
            self.out.push_str(&printed);
        } else {
            let _ = write!(self.out, "%!{verb}(MISSING)");
        }
        after
    }

    /// `[2]`: the number of the argument that follows.
    fn index<'t>(&mut self, rest: &'t str, good: &mut bool) -> &'t str {
        let Some((inner, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) else { return rest };
        self.reordered = true;
        match inner.parse::<usize>() {
            Ok(number) if number >= 1 && number <= self.arguments.len() => self.next = number - 1,
            _ => *good = false,
        }
        after
    }

    /// The next argument as a width or a precision.
    fn number(&mut self) -> Option<i64> {
        let argument = self.arguments.get(self.next);
        self.next += 1;
        match argument {
            Some(Argument::Integer(digits)) => digits.parse().ok().filter(|number: &i64| number.unsigned_abs() <= WIDEST as u64),
            _ => None,
        }
    }
}

fn digits(rest: &str) -> (Option<usize>, &str) {
    let end = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
    let number = rest[..end].parse().ok().filter(|number| *number <= WIDEST);
    (number, &rest[end..])
}

impl Argument {
    fn of(value: &Value) -> Self {
        match value {
            Value::String(text) => Self::Text(text.to_string()),
            Value::Number(_) => {
                let digits = value.to_string();
                if digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
                    return Self::Integer(digits);
                }
                digits.parse().map_or(Self::Text(digits), Self::Float)
            }
            other => {
                let mut text = String::new();
                show(other, &mut text);
                Self::Text(text)
            }
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Integer(_) => "int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
        }
    }

    /// As `%v`.
    fn plain(&self) -> String {
        self.print('v', &Flags::default())
    }

    fn print(&self, verb: char, flags: &Flags) -> String {
        if verb == 'T' {
            return pad(self.kind().to_owned(), flags, false);
        }
        let printed = match self {
            Self::Integer(digits) => integer(digits, verb, flags),
            Self::Float(number) => float(*number, verb, flags),
            Self::Text(text) => string(text, verb, flags),
        };
        printed.unwrap_or_else(|| format!("%!{verb}({}={})", self.kind(), self.plain()))
    }
}

/// Pads to the width; `number` may be padded with zeros behind its sign.
fn pad(text: String, flags: &Flags, number: bool) -> String {
    let missing = flags.width.unwrap_or(0).saturating_sub(text.chars().count());
    if missing == 0 {
        text
    } else if flags.minus {
        text + &" ".repeat(missing)
    } else if flags.zero && number {
        let sign = text.len() - text.trim_start_matches(['-', '+', ' ']).len();
        format!("{}{}{}", &text[..sign], "0".repeat(missing), &text[sign..])
    } else if flags.zero {
        "0".repeat(missing) + &text
    } else {
        " ".repeat(missing) + &text
    }
}

fn signed(negative: bool, digits: &str, flags: &Flags) -> String {
    let sign = match (negative, flags.plus, flags.space) {
        (true, ..) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        (false, false, false) => "",
    };
    format!("{sign}{digits}")
}

fn integer(digits: &str, verb: char, flags: &Flags) -> Option<String> {
    let (negative, digits) = digits.strip_prefix('-').map_or((false, digits), |digits| (true, digits));
    let small = digits.parse::<u128>().ok();
    let prefix = |prefix: &'static str| if flags.sharp { prefix } else { "" };
    let body = match verb {
        'v' | 'd' => digits.to_owned(),
        'b' => format!("{}{:b}", prefix("0b"), small?),
        'o' => format!("{}{:o}", prefix("0"), small?),
        'O' => format!("0o{:o}", small?),
        'x' => format!("{}{:x}", prefix("0x"), small?),
        'X' => format!("{}{:X}", prefix("0X"), small?),
        'c' | 'q' => {
            let character = u32::try_from(small?).ok().filter(|_| !negative).and_then(char::from_u32).unwrap_or('\u{fffd}');
            return Some(pad(if verb == 'c' { character.to_string() } else { format!("'{character}'") }, flags, false));
        }
        'U' => format!("U+{:04X}", small?),
        _ => return None,
    };
    let least = flags.precision.unwrap_or(0);
    let body = if body.len() < least { "0".repeat(least - body.len()) + &body } else { body };
    Some(pad(signed(negative, &body, flags), flags, flags.precision.is_none()))
}

fn float(number: f64, verb: char, flags: &Flags) -> Option<String> {
    let size = number.abs();
    let body = match (verb, flags.precision) {
        ('v' | 'g' | 'G', precision) => general(size, precision),
        ('e' | 'E', precision) => exponent(&format!("{size:.*e}", precision.unwrap_or(6))),
        ('f' | 'F', precision) => format!("{size:.*}", precision.unwrap_or(6)),
        _ => return None,
    };
    let body = if verb.is_ascii_uppercase() { body.to_uppercase() } else { body };
    Some(pad(signed(number.is_sign_negative(), &body, flags), flags, true))
}

/// Rust's `1.5e6` as Go's `1.5e+06`.
fn exponent(text: &str) -> String {
    let Some((digits, power)) = text.split_once('e') else { return text.to_owned() };
    let (sign, power) = power.strip_prefix('-').map_or(('+', power), |power| ('-', power));
    format!("{digits}e{sign}{power:0>2}")
}

/// `%g`: the shortest digits, with an exponent where the number is very small or large.
fn general(size: f64, precision: Option<usize>) -> String {
    let scientific = match precision {
        None => format!("{size:e}"),
        Some(precision) => format!("{size:.*e}", precision.max(1) - 1),
    };
    let Some((digits, power)) = scientific.split_once('e') else { return scientific };
    let power: i32 = power.parse().unwrap_or(0);
    let digits = if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
    let most = precision.map_or(6, |precision| i32::try_from(precision.max(1)).unwrap_or(i32::MAX));
    if power < -4 || power >= most {
        return exponent(&format!("{digits}e{power}"));
    }
    let decimals = digits.len().saturating_sub(2) as i32 - power;
    format!("{:.*}", usize::try_from(decimals.max(0)).unwrap_or(0), size)
}

fn string(text: &str, verb: char, flags: &Flags) -> Option<String> {
    let cut: String = flags.precision.map_or_else(|| text.to_owned(), |precision| text.chars().take(precision).collect());
    let body = match verb {
        'v' | 's' => cut,
        'q' if flags.sharp && !text.contains('`') => format!("`{cut}`"),
        'q' => machinery::field::go_quote(&cut),
        'x' => hex::encode(text),
        'X' => hex::encode_upper(text),
        _ => return None,
    };
    Some(pad(body, flags, false))
}

/// A value as OPA writes it.
fn show(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => out.push_str(&machinery::field::go_quote(text)),
        Value::Array(items) => {
            out.push('[');
            list(items.iter(), out);
            out.push(']');
        }
        Value::Set(set) if set.is_empty() => out.push_str("set()"),
        Value::Set(set) => {
            out.push('{');
            list(set.iter_sorted(), out);
            out.push('}');
        }
        Value::Object(object) => {
            out.push('{');
            for (index, (key, held)) in object.iter_sorted().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                show(key, out);
                out.push_str(": ");
                show(held, out);
            }
            out.push('}');
        }
        other => {
            let _ = write!(out, "{other}");
        }
    }
}

fn list<'a>(items: impl Iterator<Item = &'a Value>, out: &mut String) {
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        show(item, out);
    }
}
