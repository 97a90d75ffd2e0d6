//! `$((…))`: integers as C has them.

use std::collections::BTreeMap;

/// Evaluates; a bare name is a variable, unset is 0.
pub fn evaluate(text: &str, variables: &BTreeMap<String, String>) -> Result<i64, String> {
    let mut parser = Parser { text: text.as_bytes(), at: 0, variables, depth: 0 };
    let value = parser.ternary()?;
    parser.space();
    if parser.at < parser.text.len() { Err("arithmetic syntax error".to_owned()) } else { Ok(value) }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    variables: &'a BTreeMap<String, String>,
    depth: u32,
}

const LEVELS: &[&[&str]] =
    &[&["||"], &["&&"], &["|"], &["^"], &["&"], &["==", "!="], &["<=", ">=", "<", ">"], &["<<", ">>"], &["+", "-"], &["*", "/", "%"]];

impl Parser<'_> {
    fn space(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    fn take(&mut self, operator: &str) -> bool {
        self.space();
        let rest = &self.text[self.at.min(self.text.len())..];
        let longer =
            matches!((operator, rest.get(operator.len())), ("<", Some(b'<')) | (">", Some(b'>')) | ("|", Some(b'|')) | ("&", Some(b'&')));
        if rest.starts_with(operator.as_bytes()) && !longer {
            self.at += operator.len();
            return true;
        }
        false
    }

    fn ternary(&mut self) -> Result<i64, String> {
        if self.depth > 50 {
            return Err("expression recursion loop detected".to_owned());
        }
        self.depth += 1;
        let condition = self.binary(0)?;
        let value = if self.take("?") {
            let yes = self.ternary()?;
            if !self.take(":") {
                return Err("malformed ?: operator".to_owned());
            }
            let no = self.ternary()?;
            if condition != 0 { yes } else { no }
        } else {
            condition
        };
        self.depth -= 1;
        Ok(value)
    }

    fn binary(&mut self, level: usize) -> Result<i64, String> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        'again: loop {
            for operator in *operators {
                if self.take(operator) {
                    let right = self.binary(level + 1)?;
                    left = apply(operator, left, right)?;
                    continue 'again;
                }
            }
            return Ok(left);
        }
    }

    fn unary(&mut self) -> Result<i64, String> {
        if self.depth > 50 {
            return Err("expression recursion loop detected".to_owned());
        }
        self.space();
        match self.text.get(self.at) {
            Some(sign @ (b'-' | b'+' | b'!' | b'~')) => {
                self.at += 1;
                self.depth += 1;
                let value = self.unary()?;
                self.depth -= 1;
                Ok(match sign {
                    b'-' => value.wrapping_neg(),
                    b'!' => i64::from(value == 0),
                    b'~' => !value,
                    _ => value,
                })
            }
            Some(b'(') => {
                self.at += 1;
                let value = self.ternary()?;
                if self.take(")") { Ok(value) } else { Err("arithmetic syntax error".to_owned()) }
            }
            Some(c) if c.is_ascii_digit() => {
                let start = self.at;
                while self.text.get(self.at).is_some_and(u8::is_ascii_alphanumeric) {
                    self.at += 1;
                }
                number(&String::from_utf8_lossy(&self.text[start..self.at]))
            }
            Some(c) if c.is_ascii_alphabetic() || *c == b'_' => {
                let start = self.at;
                while self.text.get(self.at).is_some_and(|c| c.is_ascii_alphanumeric() || *c == b'_') {
                    self.at += 1;
                }
                let name = String::from_utf8_lossy(&self.text[start..self.at]);
                self.variables.get(name.as_ref()).filter(|v| !v.trim().is_empty()).map_or(Ok(0), |value| number(value.trim()))
            }
            _ => Err("arithmetic syntax error".to_owned()),
        }
    }
}

fn number(text: &str) -> Result<i64, String> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let value = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => i64::from_str_radix(hex, 16),
        None if digits.len() > 1 && digits.starts_with('0') => i64::from_str_radix(digits, 8),
        None => digits.parse(),
    };
    value.map(|v| if negative { -v } else { v }).map_err(|_| "arithmetic syntax error".to_owned())
}

fn apply(operator: &str, a: i64, b: i64) -> Result<i64, String> {
    let shift = u32::try_from(b & 63).unwrap_or(0);
    Ok(match operator {
        "||" => i64::from(a != 0 || b != 0),
        "&&" => i64::from(a != 0 && b != 0),
        "|" => a | b,
        "^" => a ^ b,
        "&" => a & b,
        "==" => i64::from(a == b),
        "!=" => i64::from(a != b),
        "<=" => i64::from(a <= b),
        ">=" => i64::from(a >= b),
        "<" => i64::from(a < b),
        ">" => i64::from(a > b),
        "<<" => a.wrapping_shl(shift),
        ">>" => a.wrapping_shr(shift),
        "+" => a.wrapping_add(b),
        "-" => a.wrapping_sub(b),
        "*" => a.wrapping_mul(b),
        "/" | "%" if b == 0 => return Err("divide by zero".to_owned()),
        "/" => a.wrapping_div(b),
        _ => a.wrapping_rem(b),
    })
}
