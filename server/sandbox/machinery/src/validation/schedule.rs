//! Schedules in cron's format, with the messages of the library that Kubernetes uses (robfig/cron).

/// Minute, hour, day of month, month, day of week.
const FIELDS: [(u32, u32, &[&str]); 5] = [
    (0, 59, &[]),
    (0, 23, &[]),
    (1, 31, &[]),
    (1, 12, &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]),
    (0, 6, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
];

pub(super) fn parse(expression: &str) -> Result<(), String> {
    let mut rest = expression;
    if rest.starts_with("TZ=") || rest.starts_with("CRON_TZ=") {
        let (zone, after) = rest.split_once(' ').unwrap_or((rest, ""));
        let name = zone.split_once('=').map_or("", |(_, name)| name);
        if jiff::tz::TimeZone::get(name).is_err() {
            return Err(format!("provided bad location {name}: unknown time zone {name}"));
        }
        rest = after.trim();
    }
    if rest.starts_with('@') {
        return descriptor(rest);
    }
    let parts: Vec<_> = rest.split_whitespace().collect();
    if parts.len() != 5 {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", parts.len(), parts.join(" ")));
    }
    parts.iter().zip(FIELDS).try_for_each(|(part, (low, high, names))| {
        part.split(',').filter(|range| !range.is_empty()).try_for_each(|range| self::range(range, low, high, names))
    })
}

fn descriptor(text: &str) -> Result<(), String> {
    match text {
        "@yearly" | "@annually" | "@monthly" | "@weekly" | "@daily" | "@midnight" | "@hourly" => Ok(()),
        _ => match text.strip_prefix("@every ") {
            Some(duration) if is_go_duration(duration) => Ok(()),
            Some(duration) => {
                let quoted = crate::field::go_quote(duration);
                Err(format!("failed to parse duration {text}: time: invalid duration {quoted}"))
            }
            None => Err(format!("unrecognized descriptor: {text}")),
        },
    }
}

/// `1h30m`
fn is_go_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return true;
    }
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        if digits == 0 || rest[..digits].matches('.').count() > 1 || &rest[..digits] == "." {
            return false;
        }
        rest = &rest[digits..];
        match ["ns", "us", "µs", "ms", "s", "m", "h"].iter().find_map(|unit| rest.strip_prefix(unit)) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    true
}

fn range(text: &str, low: u32, high: u32, names: &[&str]) -> Result<(), String> {
    let number = |value: &str| -> Result<u32, String> {
        let lower = value.to_lowercase();
        if let Some(index) = names.iter().position(|name| *name == lower) {
            return Ok(u32::try_from(index).unwrap_or_default() + low);
        }
        match value.parse::<i64>() {
            Ok(number) if number < 0 => Err(format!("negative number ({number}) not allowed: {value}")),
            Ok(number) => Ok(u32::try_from(number).unwrap_or(u32::MAX)),
            Err(_) => {
                let quoted = crate::field::go_quote(value);
                Err(format!("failed to parse int from {value}: strconv.Atoi: parsing {quoted}: invalid syntax"))
            }
        }
    };
    let parts: Vec<_> = text.split('/').collect();
    let bounds: Vec<_> = parts[0].split('-').collect();
    let (start, mut end);
    if bounds[0] == "*" || bounds[0] == "?" {
        (start, end) = (low, high);
    } else {
        start = number(bounds[0])?;
        end = match bounds.as_slice() {
            [_] => start,
            [_, end] => number(end)?,
            _ => return Err(format!("too many hyphens: {text}")),
        };
    }
    let mut step = 1;
    match parts.as_slice() {
        [_] => {}
        [_, every] => {
            step = number(every)?;
            if bounds.len() == 1 && bounds[0] != "*" && bounds[0] != "?" {
                end = high;
            }
        }
        _ => return Err(format!("too many slashes: {text}")),
    }
    if start < low {
        return Err(format!("beginning of range ({start}) below minimum ({low}): {text}"));
    }
    if end > high {
        return Err(format!("end of range ({end}) above maximum ({high}): {text}"));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {text}"));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {text}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn schedules() {
        for good in ["* * * * *", "*/5 0-6 1,15 JAN-mar sun", "@hourly", "@every 1h30m", "5/15 * ? * *"] {
            assert_eq!(parse(good), Ok(()), "{good}");
        }
        for (bad, message) in [
            ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
            ("60 * * * *", "end of range (60) above maximum (59): 60"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            ("x * * * *", "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax"),
            ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
            ("*/0 * * * *", "step of range should be a positive number: */0"),
            ("@often", "unrecognized descriptor: @often"),
        ] {
            assert_eq!(parse(bad), Err(message.to_owned()), "{bad}");
        }
    }
}
