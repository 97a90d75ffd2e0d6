//! Cron schedules: five fields or a macro, with a time zone (github.com/robfig/cron, as batch/v1 uses it).

use jiff::{Timestamp, ToSpan, civil, tz::TimeZone};

/// Years without a match after which a schedule counts as never coming due.
const HORIZON_YEARS: i16 = 5;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schedule {
    Fields(Box<Fields>),
    /// `@every 1h30m`, from one start to the next.
    Every(i64),
}

/// One bit for each value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fields {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// `*` in both day fields means that both must match, else either may.
    any_day: bool,
    any_weekday: bool,
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Schedule {
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let text = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other => other,
        };
        if let Some(duration) = text.strip_prefix("@every ") {
            let seconds = go_duration(duration.trim()).filter(|seconds| *seconds > 0);
            return seconds.map(Self::Every).ok_or_else(|| format!("failed to parse duration {text}"));
        }
        let fields: Vec<_> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields.as_slice() else {
            return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
        };
        Ok(Self::Fields(Box::new(Fields {
            minutes: field(minutes, 0, 59, &[])?,
            hours: field(hours, 0, 23, &[])?,
            days: field(days, 1, 31, &[])?,
            months: field(months, 1, 12, &MONTHS)?,
            weekdays: field(weekdays, 0, 6, &WEEKDAYS)?,
            any_day: is_any(days),
            any_weekday: is_any(weekdays),
        })))
    }

    /// The first time after `after` that the schedule names.
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        match self {
            Self::Every(seconds) => after.checked_add((*seconds).seconds()).ok(),
            Self::Fields(fields) => fields.next(after, zone),
        }
    }
}

fn is_any(field: &str) -> bool {
    field.split(',').any(|part| part == "*" || part == "?" || part.starts_with("*/"))
}

fn field(text: &str, least: u32, most: u32, names: &[&str]) -> Result<u64, String> {
    let mut bits = 0_u64;
    let number = |text: &str| -> Result<u32, String> {
        let lower = text.to_ascii_lowercase();
        if let Some(index) = names.iter().position(|name| *name == lower) {
            return Ok(u32::try_from(index).unwrap_or(0) + if names.len() == 12 { 1 } else { 0 });
        }
        text.parse().map_err(|_| format!("failed to parse int from {text}"))
    };
    for part in text.split(',') {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let step = step.map_or(Ok(1), |step| step.parse::<u32>().map_err(|_| format!("failed to parse int from {step}")))?;
        let (first, last) = match range {
            "*" | "?" => (least, most),
            range => match range.split_once('-') {
                Some((first, last)) => (number(first)?, number(last)?),
                None if part.contains('/') => (number(range)?, most),
                None => (number(range)?, number(range)?),
            },
        };
        if step == 0 {
            return Err(format!("step of range should be a positive number: {part}"));
        }
        if first < least {
            return Err(format!("beginning of range ({first}) below minimum ({least}): {part}"));
        }
        if last > most {
            return Err(format!("end of range ({last}) above maximum ({most}): {part}"));
        }
        if first > last {
            return Err(format!("beginning of range ({first}) beyond end of range ({last}): {part}"));
        }
        bits |= (first..=last).step_by(usize::try_from(step).unwrap_or(1)).fold(0, |bits, value| bits | 1 << value);
    }
    Ok(bits)
}

/// Go's `time.ParseDuration`, in whole seconds.
fn go_duration(text: &str) -> Option<i64> {
    let mut seconds = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        seconds += number
            * match &rest[..unit] {
                "h" => 3_600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 0.001,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    (seconds.is_finite() && seconds < 1e12).then_some(seconds as i64)
}

impl Fields {
    fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let start = after.to_zoned(zone.clone()).datetime();
        let mut date = start.date();
        let limit = date.year().checked_add(HORIZON_YEARS)?;
        let mut from = start.time();
        let mut first = true;
        while date.year() <= limit {
            if self.is_day(date) {
                for hour in (0..24_i8).filter(|hour| self.hours & (1 << *hour) != 0) {
                    for minute in (0..60_i8).filter(|minute| self.minutes & (1 << *minute) != 0) {
                        let time = civil::time(hour, minute, 0, 0);
                        if first && time <= from {
                            continue;
                        }
                        if let Ok(at) = date.to_datetime(time).to_zoned(zone.clone())
                            && at.timestamp() > after
                        {
                            return Some(at.timestamp());
                        }
                    }
                }
            }
            first = false;
            from = civil::Time::MIN;
            date = date.tomorrow().ok()?;
        }
        None
    }

    fn is_day(&self, date: civil::Date) -> bool {
        let month = self.months & (1 << date.month()) != 0;
        let day = self.days & (1 << date.day()) != 0;
        let weekday = self.weekdays & (1 << date.weekday().to_sunday_zero_offset()) != 0;
        month && if self.any_day || self.any_weekday { day && weekday } else { day || weekday }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_time() {
        for (schedule, zone, after, expected) in [
            ("*/5 * * * *", "UTC", "2026-01-01T00:01:30Z", "2026-01-01T00:05:00Z"),
            ("0 3 * * *", "UTC", "2026-01-01T03:00:00Z", "2026-01-02T03:00:00Z"),
            ("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("30 8 * * mon-fri", "UTC", "2026-01-02T09:00:00Z", "2026-01-05T08:30:00Z"),
            ("0 0 13 * 5", "UTC", "2026-02-01T00:00:00Z", "2026-02-06T00:00:00Z"),
            ("0 9 * * *", "Europe/Berlin", "2026-07-01T00:00:00Z", "2026-07-01T07:00:00Z"),
            ("@every 1h30m", "UTC", "2026-01-01T00:00:00Z", "2026-01-01T01:30:00Z"),
            ("@weekly", "UTC", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"),
        ] {
            let Ok(zone) = TimeZone::get(zone) else { panic!("no time zone {zone}") };
            let next = Schedule::parse(schedule).unwrap().next(after.parse().unwrap(), &zone);
            assert_eq!(next, Some(expected.parse().unwrap()), "{schedule}");
        }
        assert_eq!(Schedule::parse("0 0 30 2 *").unwrap().next("2026-01-01T00:00:00Z".parse().unwrap(), &TimeZone::UTC), None);
        for bad in ["", "* * * *", "60 * * * *", "*/0 * * * *", "5-1 * * * *", "x * * * *", "@every soon"] {
            assert!(Schedule::parse(bad).is_err(), "{bad}");
        }
    }
}
