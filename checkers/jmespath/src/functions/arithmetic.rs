//! Arithmetic on numbers, quantities and durations.

use super::{
    failed, integer, number,
    quantity::{Amount, whole},
};
use crate::{
    Error, go_duration,
    interpreter::{Answer, Run},
    number::general,
    value::Value,
};

enum Operand {
    Scalar(f64),
    Quantity(Amount),
    /// In nanoseconds.
    Duration(i64),
}

use Operand::{Duration, Quantity, Scalar};

/// A text is a quantity where it can be one (`5m` are five thousandths), else a duration.
fn operand(function: &str, value: &Value<'_>) -> Result<Operand, Error> {
    match value {
        Value::Number(number) => return Ok(Scalar(*number)),
        Value::Text(text) => {
            if let Some(amount) = Amount::parse(text) {
                return Ok(Quantity(amount));
            }
            if let Ok(nanoseconds) = go_duration::parse(text) {
                return Ok(Duration(nanoseconds));
            }
        }
        _ => {}
    }
    Err(failed(function, "invalid operand"))
}

fn operands(function: &str, given: &[Value<'_>]) -> Result<(Operand, Operand), Error> {
    Ok((operand(function, &given[0])?, operand(function, &given[1])?))
}

fn mismatch(function: &str) -> Error {
    failed(function, "Types mismatch")
}

fn zero(function: &str) -> Error {
    failed(function, "Zero divisor passed")
}

fn duration<'a>(nanoseconds: i64) -> Value<'a> {
    Value::text(go_duration::format(nanoseconds))
}

fn from_seconds<'a>(seconds: f64) -> Value<'a> {
    duration((seconds * 1e9) as i64)
}

fn seconds(nanoseconds: i64) -> f64 {
    (nanoseconds / 1_000_000_000) as f64 + (nanoseconds % 1_000_000_000) as f64 / 1e9
}

fn sum_of<'a>(function: &str, left: Operand, right: Operand) -> Answer<'a> {
    Ok(match (left, right) {
        (Scalar(left), Scalar(right)) => Value::Number(left + right),
        (Quantity(left), Quantity(right)) => Value::text(left.quantity.plus(&right.quantity).to_string()),
        (Duration(left), Duration(right)) => duration(left.wrapping_add(right)),
        _ => return Err(mismatch(function)),
    })
}

pub(super) fn add<'a>(_: &mut Run<'a>, given: Vec<Value<'a>>) -> Answer<'a> {
    let (left, right) = operands("add", &given)?;
    sum_of("add", left, right)
}

/// One element is its own sum, whatever it is.
pub(super) fn sum<'a>(run: &mut Run<'a>, given: Vec<Value<'a>>) -> Answer<'a> {
    let Some(items) = given[0].any_elements() else { return Err(mismatch("sum")) };
    let mut items = items.into_iter();
    let Some(mut total) = items.next() else { return Err(failed("sum", "at least one element in the array is required")) };
    for item in items {
        run.charge(4)?;
        total = sum_of("sum", operand("sum", &total)?, operand("sum", &item)?)?;
    }
    Ok(total)
}

pub(super) fn subtract<'a>(_: &mut Run<'a>, given: Vec<Value<'a>>) -> Answer<'a> {
    Ok(match operands("subtract", &given)? {
        (Scalar(left), Scalar(right)) => Value::Number(left - right),
        (Quantity(left), Quantity(right)) => Value::text(left.quantity.minus(&right.quantity).to_string()),
        (Duration(left), Duration(right)) => duration(left.wrapping_sub(right)),
        _ => return Err(mismatch("subtract")),
    })
}

pub(super) fn multiply<'a>(_: &mut Run<'a>, given: Vec<Value<'a>>) -> Answer<'a> {
    Ok(match operands("multiply", &given)? {
        (Scalar(left), Scalar(right)) => Value::Number(left * right),
        (Quantity(amount), Scalar(factor)) | (Scalar(factor), Quantity(amount)) => Value::text(amount.times(&scalar(factor)?).to_string()),
        (Duration(length), Scalar(factor)) | (Scalar(factor), Duration(length)) => from_seconds(seconds(length) * factor),
        _ => return Err(mismatch("multiply")),
    })
}

pub(super) fn divide<'a>(_: &mut Run<'a>, given: Vec<Value<'a>>) -> Answer<'a> {
    const NAME: &str = "divide";
    Ok(match operands(NAME, &given)? {
        (Scalar(_) | Quantity(_) | Duration(_), Scalar(0.0)) => return Err(zero(NAME)),
        (Scalar(left), Scalar(right)) => Value::Number(left / right),
        (Quantity(left), Scalar(right)) => Value::text(left.divided_by(&scalar(right)?).to_string()),
        (Duration(left), Scalar(right)) => from_seconds(seconds(left) / right),
        (Quantity(left), Quantity(right)) if right.approximate() != 0.0 => Value::Number(left.approximate() / right.approximate()),
        (Duration(left), Duration(right)) if right != 0 => Value::Number(seconds(left) / seconds(right)),
        (Quantity(_), Quantity(_)) | (Duration(_), Duration(_)) => return Err(zero(NAME)),
        _ => return Err(mismatch(NAME)),
    })
}

pub(super) fn modulo<'a>(_: &mut Run<'a>, given: Vec<Value<'a>>) -> Answer<'a> {
    const NAME: &str = "modulo";
    let whole_numbers = |left: f64, right: f64| {
        let integers = integer(left).and_then(|left| Ok((left, integer(right)?)));
        match integers.map_err(|_| failed(NAME, "Non-integer argument(s) passed for modulo"))? {
            (_, 0) => Err(zero(NAME)),
            (left, right) => Ok(left.wrapping_rem(right)),
        }
    };
    Ok(match operands(NAME, &given)? {
        (Scalar(left), Scalar(right)) => Value::Number(whole_numbers(left, right)? as f64),
        (Quantity(left), Quantity(right)) => {
            Value::text(whole(whole_numbers(left.approximate(), right.approximate())?, left.quantity.format).to_string())
        }
        (Duration(_), Duration(0)) => return Err(zero(NAME)),
        (Duration(left), Duration(right)) => duration(left.wrapping_rem(right)),
        _ => return Err(mismatch(NAME)),
    })
}

pub(super) fn round<'a>(_: &mut Run<'a>, given: Vec<Value<'a>>) -> Answer<'a> {
    let Ok(places) = integer(number(&given[1])) else { return Err(failed("round", "Non-integer argument(s) passed for round off")) };
    if places < 0 {
        // Kyverno's own text, which lacks the numbers that it means to print.
        return Err(failed("round", "%!d(MISSING) argument is out of bounds (%!d(MISSING))"));
    }
    let shift = 10_f64.powi(i32::try_from(places).unwrap_or(i32::MAX));
    Ok(Value::Number((number(&given[0]) * shift).round() / shift))
}

fn scalar(number: f64) -> Result<Amount, Error> {
    let unparsable =
        || Error::Failed("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'".to_owned());
    Amount::parse(&general(number)).ok_or_else(unparsable)
}
