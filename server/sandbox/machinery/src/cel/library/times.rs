//! Parts of times and durations, and numbers of them. Zones are offsets such as `+02:00`, and `UTC`: names would need the machine's
//! table of zones.

use super::standard;
use crate::cel::{Answer, value::string};
use jiff::{
    Timestamp, Zoned,
    tz::{Offset, TimeZone},
};
use kube_cel::cel::Value as Cel;

/// Nothing where there is no such function here.
pub(super) fn call(name: &str, arguments: &[Cel]) -> Option<Answer> {
    let [first, others @ ..] = arguments else { return None };
    Some(match (name, first, others) {
        ("timestamp" | "duration", Cel::Timestamp(_) | Cel::Duration(_), []) => Ok(first.clone()),
        ("timestamp", Cel::Int(seconds), []) => match Timestamp::from_second(*seconds) {
            Ok(time) => standard("timestamp", false, vec![string(&time.to_string())]),
            Err(_) => Err("timestamp overflow".to_owned()),
        },
        ("duration", Cel::Int(nanoseconds), []) => standard("duration", false, vec![string(&format!("{nanoseconds}ns"))]),
        ("int", Cel::Timestamp(time), []) => Ok(Cel::Int(time.timestamp())),
        ("int", Cel::Duration(length), []) => length.num_nanoseconds().map(Cel::Int).ok_or_else(|| "integer overflow".to_owned()),
        ("getHours", Cel::Duration(length), []) => Ok(Cel::Int(length.num_hours())),
        ("getMinutes", Cel::Duration(length), []) => Ok(Cel::Int(length.num_minutes())),
        ("getSeconds", Cel::Duration(length), []) => Ok(Cel::Int(length.num_seconds())),
        ("getMilliseconds", Cel::Duration(length), []) => Ok(Cel::Int(length.num_milliseconds())),
        (name, Cel::Timestamp(time), others) if name.starts_with("get") => {
            let zone = match others {
                [] => Ok(TimeZone::UTC),
                [Cel::String(zone)] => zone_of(zone),
                _ => return None,
            };
            let time = Timestamp::new(time.timestamp(), i32::try_from(time.timestamp_subsec_nanos()).unwrap_or(0));
            match (time, zone) {
                (Ok(time), Ok(zone)) => Ok(Cel::Int(part(name, &time.to_zoned(zone))?)),
                (Err(_), _) => Err("timestamp overflow".to_owned()),
                (_, Err(error)) => Err(error),
            }
        }
        _ => return None,
    })
}

fn part(name: &str, time: &Zoned) -> Option<i64> {
    Some(match name {
        "getFullYear" => i64::from(time.year()),
        "getMonth" => i64::from(time.month()) - 1,
        "getDayOfYear" => i64::from(time.day_of_year()) - 1,
        "getDayOfMonth" => i64::from(time.day()) - 1,
        "getDate" => i64::from(time.day()),
        "getDayOfWeek" => i64::from(time.weekday().to_sunday_zero_offset()),
        "getHours" => i64::from(time.hour()),
        "getMinutes" => i64::from(time.minute()),
        "getSeconds" => i64::from(time.second()),
        "getMilliseconds" => i64::from(time.millisecond()),
        _ => return None,
    })
}

fn zone_of(name: &str) -> Result<TimeZone, String> {
    let unknown = || format!("unknown time zone {name}");
    if matches!(name, "" | "UTC") {
        return Ok(TimeZone::UTC);
    }
    let (sign, rest) = match name.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, name.strip_prefix('+').unwrap_or(name)),
    };
    let (hours, minutes) = rest.split_once(':').ok_or_else(unknown)?;
    let (Ok(hours), Ok(minutes)) = (hours.parse::<u8>(), minutes.parse::<u8>()) else { return Err(unknown()) };
    let offset = Offset::from_seconds(sign * (i32::from(hours) * 3600 + i32::from(minutes) * 60)).map_err(|_| unknown())?;
    Ok(TimeZone::fixed(offset))
}
