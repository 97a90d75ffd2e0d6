//! A condition back as text, as Falco describes a compiled one.

use super::{Check, Expr, FieldName, Operand, Transformed, escape::escape};
use std::fmt;

fn joined<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T], separator: &str) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        item.fmt(f)?;
    }
    Ok(())
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(children, _) | Self::Or(children, _) => {
                f.write_str("(")?;
                joined(f, children, if matches!(self, Self::And(..)) { " and " } else { " or " })?;
                f.write_str(")")
            }
            Self::Not(child, _) => write!(f, "not {child}"),
            Self::Macro(name, _) => f.write_str(name),
            Self::Check(check) => check.fmt(f),
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.left, self.operator.as_str())?;
        if let Some(modifier) = self.modifier {
            write!(f, " {}", modifier.as_str())?;
        }
        match &self.right {
            Some(right) => write!(f, " {right}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(field) => field.fmt(f),
            Self::Transformed(transformed) => transformed.fmt(f),
            Self::Value(value, _) => f.write_str(&escape(value)),
            Self::List(values, _) => {
                f.write_str("(")?;
                joined(f, &values.iter().map(|value| escape(value)).collect::<Vec<_>>(), ", ")?;
                f.write_str(")")
            }
            Self::Operands(operands, _) => {
                f.write_str("(")?;
                joined(f, operands, ", ")?;
                f.write_str(")")
            }
        }
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if self.argument.is_empty() { Ok(()) } else { write!(f, "[{}]", self.argument) }
    }
}

impl fmt::Display for Transformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.transformer)?;
        joined(f, &self.arguments, ", ")?;
        f.write_str(")")?;
        match &self.selector {
            Some(selector) => write!(f, "[{selector}]"),
            None => Ok(()),
        }
    }
}
