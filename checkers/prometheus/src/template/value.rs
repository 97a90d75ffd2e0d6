//! What a template computes with.

use crate::{
    histogram::Histogram,
    labels::Labels,
    number::{format_g, quote},
};
use std::{collections::BTreeMap, sync::Arc};

#[derive(Debug, Clone)]
pub enum Val {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// Labels: what is missing is empty.
    Labels(Labels),
    /// What `args` makes: what is missing has no value.
    Map(BTreeMap<String, Val>),
    List(Vec<Val>),
    Sample {
        labels: Labels,
        value: Box<Val>,
    },
    Histogram(Arc<Histogram>),
    /// The data that a template begins with.
    Root(Arc<BTreeMap<&'static str, Val>>),
    /// Seconds since the epoch.
    Time(f64),
}

impl Val {
    pub fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Labels(labels) => !labels.is_empty(),
            Self::Map(map) => !map.is_empty(),
            Self::List(list) => !list.is_empty(),
            Self::Sample { .. } | Self::Histogram(_) | Self::Root(_) | Self::Time(_) => true,
        }
    }

    /// As Go's `%v` prints it.
    pub fn text(&self) -> String {
        match self {
            Self::Nil => "<no value>".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Float(value) => format_g(*value),
            Self::Text(text) => text.clone(),
            Self::Labels(labels) => {
                let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}:{value}")).collect();
                format!("map[{}]", pairs.join(" "))
            }
            Self::Map(map) => {
                let pairs: Vec<String> = map.iter().map(|(name, value)| format!("{name}:{}", value.text())).collect();
                format!("map[{}]", pairs.join(" "))
            }
            Self::List(list) => format!("[{}]", list.iter().map(Self::text).collect::<Vec<_>>().join(" ")),
            Self::Sample { labels, value } => format!("{{{} {}}}", Self::Labels(labels.clone()).text(), value.text()),
            Self::Histogram(histogram) => histogram.to_string(),
            Self::Root(_) => "{}".to_owned(),
            Self::Time(seconds) => super::functions::go_time(*seconds).unwrap_or_else(|| format_g(*seconds)),
        }
    }

    pub fn go_type(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::Labels(_) => "map[string]string",
            Self::Map(_) => "map[string]interface {}",
            Self::List(_) => "template.queryResult",
            Self::Sample { .. } => "*template.sample",
            Self::Histogram(_) => "*histogram.FloatHistogram",
            Self::Root(_) => "struct",
            Self::Time(_) => "*time.Time",
        }
    }

    /// A field or the entry of a map.
    pub fn field(&self, name: &str) -> Result<Self, String> {
        match self {
            Self::Labels(labels) => Ok(Self::Text(labels.get(name).to_owned())),
            Self::Map(map) => Ok(map.get(name).cloned().unwrap_or(Self::Nil)),
            Self::Root(fields) => fields.get(name).cloned().ok_or_else(|| format!("can't evaluate field {name} in type struct")),
            Self::Sample { labels, .. } if name == "Labels" => Ok(Self::Labels(labels.clone())),
            Self::Sample { value, .. } if name == "Value" => Ok((**value).clone()),
            Self::Histogram(histogram) => match name {
                "Count" => Ok(Self::Float(histogram.count)),
                "Sum" => Ok(Self::Float(histogram.sum)),
                "ZeroCount" => Ok(Self::Float(histogram.zero_count)),
                "ZeroThreshold" => Ok(Self::Float(histogram.zero_threshold)),
                "Schema" => Ok(Self::Int(histogram.schema.into())),
                _ => Err(format!("can't evaluate field {name} in type *histogram.FloatHistogram")),
            },
            Self::Time(seconds) if name == "Unix" => Ok(Self::Int(seconds.floor() as i64)),
            Self::Nil => Err(format!("nil data; no entry for key {}", quote(name))),
            other => Err(format!("can't evaluate field {name} in type {}", other.go_type())),
        }
    }

    pub fn float(&self) -> Result<f64, String> {
        match self {
            Self::Float(value) => Ok(*value),
            Self::Int(value) => Ok(*value as f64),
            Self::Text(text) => crate::number::parse_float(text),
            other => Err(format!("can't convert {} to float", other.go_type())),
        }
    }
}
