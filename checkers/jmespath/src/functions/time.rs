//! Functions on times.

use super::string;
use crate::{
    Error, go_duration,
    go_time::{self, RFC3339, Time},
    interpreter::{Answer, Run},
    value::Value,
};

type Given<'a> = Vec<Value<'a>>;

fn time(value: &Value<'_>) -> Result<Time, Error> {
    go_time::parse(RFC3339, string(value)).map_err(Error::Failed)
}

fn duration(value: &Value<'_>) -> Result<i64, Error> {
    go_duration::parse(string(value)).map_err(Error::Failed)
}

fn shown<'a>(time: Time) -> Answer<'a> {
    Ok(Value::text(time.to_string()))
}

fn current(run: &Run<'_>) -> Time {
    Time { nanos: i64::from(run.env.now.subsec_nanosecond()), ..Time::unix(run.env.now.as_second()) }
}

/// The clock's time zone is UTC.
pub(super) fn now<'a>(run: &mut Run<'a>, _: Given<'a>) -> Answer<'a> {
    shown(current(run))
}

pub(super) fn since<'a>(run: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    let layout = match string(&given[0]) {
        "" => RFC3339,
        layout => layout,
    };
    let read = |value: &Value<'_>| go_time::parse(layout, string(value)).map_err(Error::Failed);
    let begin = read(&given[1])?;
    let end = if string(&given[2]).is_empty() { current(run) } else { read(&given[2])? };
    Ok(Value::text(go_duration::format(end.since(&begin))))
}

/// Minute, hour, day, month and day of the week.
pub(super) fn to_cron<'a>(_: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    let at = time(&given[0])?.civil();
    Ok(Value::text(format!("{} {} {} {} {}", at.minute, at.hour, at.day, at.month, at.weekday)))
}

pub(super) fn add<'a>(_: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    let begin = time(&given[0])?;
    shown(begin.plus(duration(&given[1])?))
}

/// A layout that is a number stands for seconds since 1970.
pub(super) fn parse<'a>(_: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    let (layout, text) = (string(&given[0]), string(&given[1]));
    if layout.parse::<i64>().is_ok() {
        let invalid = |_| Error::Failed(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"));
        return shown(Time::unix(text.parse().map_err(invalid)?));
    }
    shown(go_time::parse(layout, text).map_err(Error::Failed)?)
}

pub(super) fn utc<'a>(_: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    shown(time(&given[0])?.utc())
}

pub(super) fn diff<'a>(_: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    let begin = time(&given[0])?;
    Ok(Value::text(go_duration::format(time(&given[1])?.since(&begin))))
}

pub(super) fn before<'a>(_: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    let first = time(&given[0])?;
    Ok(Value::Bool(first.is_before(&time(&given[1])?)))
}

pub(super) fn after<'a>(_: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    let first = time(&given[0])?;
    Ok(Value::Bool(time(&given[1])?.is_before(&first)))
}

pub(super) fn between<'a>(_: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    let (at, begin, end) = (time(&given[0])?, time(&given[1])?, time(&given[2])?);
    Ok(Value::Bool(begin.is_before(&at) && at.is_before(&end)))
}

pub(super) fn truncate<'a>(_: &mut Run<'a>, given: Given<'a>) -> Answer<'a> {
    let at = time(&given[0])?;
    shown(at.truncated(duration(&given[1])?))
}
