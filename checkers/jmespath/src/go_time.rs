//! Go's times: read by a layout that shows the time 2006-01-02 15:04:05, written as RFC 3339.

use std::fmt;

pub const RFC3339: &str = "2006-01-02T15:04:05Z07:00";

const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
/// 0001-01-01, where Go begins to count.
const FIRST: i64 = -62_135_596_800;

/// A point in time and the offset that it is shown with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// Since 1970 in UTC.
    pub seconds: i64,
    pub nanos: i64,
    /// East of Greenwich, in seconds.
    pub offset: i64,
}

/// Date and time of day as they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    pub year: i64,
    pub month: i64,
    pub day: i64,
    pub hour: i64,
    pub minute: i64,
    pub second: i64,
    /// From Sunday, which is 0.
    pub weekday: i64,
}

impl Time {
    pub fn unix(seconds: i64) -> Self {
        Self { seconds, nanos: 0, offset: 0 }
    }

    pub fn civil(&self) -> Civil {
        let shown = self.seconds.saturating_add(self.offset);
        let (days, time) = (shown.div_euclid(86_400), shown.rem_euclid(86_400));
        let (year, month, day) = date(days);
        Civil { year, month, day, hour: time / 3600, minute: time / 60 % 60, second: time % 60, weekday: (days + 4).rem_euclid(7) }
    }

    pub fn utc(self) -> Self {
        Self { offset: 0, ..self }
    }

    #[must_use]
    pub fn plus(self, nanoseconds: i64) -> Self {
        let nanos = self.nanos + nanoseconds.rem_euclid(1_000_000_000);
        let seconds = self.seconds.saturating_add(nanoseconds.div_euclid(1_000_000_000) + nanos / 1_000_000_000);
        Self { seconds, nanos: nanos % 1_000_000_000, ..self }
    }

    /// Nanoseconds from `earlier` to here, held at what a duration can say.
    pub fn since(&self, earlier: &Self) -> i64 {
        let nanos = |time: &Self| i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
        let difference = nanos(self) - nanos(earlier);
        i64::try_from(difference).unwrap_or(if difference < 0 { i64::MIN } else { i64::MAX })
    }

    /// Down to a multiple of so many nanoseconds since the year 1.
    #[must_use]
    pub fn truncated(self, nanoseconds: i64) -> Self {
        if nanoseconds <= 0 {
            return self;
        }
        let since_first = (i128::from(self.seconds) - i128::from(FIRST)) * 1_000_000_000 + i128::from(self.nanos);
        let over = since_first.rem_euclid(i128::from(nanoseconds));
        self.plus(-i64::try_from(over).unwrap_or(0))
    }

    fn instant(&self) -> (i64, i64) {
        (self.seconds, self.nanos)
    }

    pub fn is_before(&self, other: &Self) -> bool {
        self.instant() < other.instant()
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Civil { year, month, day, hour, minute, second, .. } = self.civil();
        let sign = if year < 0 { "-" } else { "" };
        write!(f, "{sign}{:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}", year.abs())?;
        match self.offset / 60 {
            _ if self.offset == 0 => f.write_str("Z"),
            minutes => {
                let sign = if self.offset < 0 { '-' } else { '+' };
                write!(f, "{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
            }
        }
    }
}

/// Days since 1970 of a date (Howard Hinnant's algorithm, with eras of 400 years).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let in_era = year.rem_euclid(400);
    let in_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719_468
}

fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let in_era = days.rem_euclid(146_097);
    let year = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year + year / 4 - year / 100);
    let month = (5 * in_year + 2) / 153;
    let day = in_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// What a part of a layout stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    LongMonth,
    Month,
    /// Whether it has two digits in any case.
    MonthNumber(bool),
    LongWeekday,
    Weekday,
    Day(bool),
    PaddedDay,
    YearDay,
    Hour,
    Hour12(bool),
    Minute(bool),
    Second(bool),
    LongYear,
    Year,
    UpperHalf,
    LowerHalf,
    ZoneName,
    /// Whether `Z` stands for UTC, and what an offset looks like.
    Zone(bool, &'static str),
    /// Decimal places, with the point.
    Fraction(usize),
    /// As many decimal places as there are, or none.
    AnyFraction,
}

const NAMED: [(&str, Part); 23] = [
    ("January", Part::LongMonth),
    ("Monday", Part::LongWeekday),
    ("MST", Part::ZoneName),
    ("2006", Part::LongYear),
    ("__2", Part::YearDay),
    ("002", Part::YearDay),
    ("_2", Part::PaddedDay),
    ("01", Part::MonthNumber(true)),
    ("02", Part::Day(true)),
    ("03", Part::Hour12(true)),
    ("04", Part::Minute(true)),
    ("05", Part::Second(true)),
    ("06", Part::Year),
    ("15", Part::Hour),
    ("PM", Part::UpperHalf),
    ("pm", Part::LowerHalf),
    ("1", Part::MonthNumber(false)),
    ("2", Part::Day(false)),
    ("3", Part::Hour12(false)),
    ("4", Part::Minute(false)),
    ("5", Part::Second(false)),
    ("Jan", Part::Month),
    ("Mon", Part::Weekday),
];

const OFFSETS: [&str; 5] = ["070000", "07:00:00", "0700", "07:00", "07"];

/// The next part of a layout: what stands before it, itself, what it stands for, and what stands behind.
fn next_part(layout: &str) -> Option<(&str, &str, Part, &str)> {
    layout.char_indices().find_map(|(at, _)| {
        let (before, rest) = layout.split_at(at);
        let (length, part) = part_at(rest)?;
        // An underscore before a year stands for itself.
        let skipped = if part == Part::LongYear && rest.starts_with('_') { 1 } else { 0 };
        Some((&layout[..before.len() + skipped], &rest[skipped..length], part, &rest[length..]))
    })
}

fn part_at(rest: &str) -> Option<(usize, Part)> {
    if rest.starts_with("_2006") {
        return Some((5, Part::LongYear));
    }
    let zone = rest.strip_prefix(['-', 'Z']).and_then(|tail| OFFSETS.iter().find(|shape| tail.starts_with(**shape)));
    if let Some(shape) = zone {
        return Some((shape.len() + 1, Part::Zone(rest.starts_with('Z'), shape)));
    }
    if let Some(digits) = rest.strip_prefix(['.', ',']) {
        let digit = digits.chars().next().filter(|digit| matches!(digit, '0' | '9'))?;
        let places = digits.find(|c| c != digit).unwrap_or(digits.len());
        if digits[places..].starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        return Some((places + 1, if digit == '0' { Part::Fraction(places + 1) } else { Part::AnyFraction }));
    }
    let (name, part) = NAMED.iter().find(|(name, _)| rest.starts_with(name))?;
    // `Janet` and `Monk` are words.
    let is_word = matches!(part, Part::Month | Part::Weekday) && rest[name.len()..].starts_with(|c: char| c.is_ascii_lowercase());
    (!is_word).then_some((name.len(), *part))
}

/// What has been read so far.
#[derive(Debug, Default)]
struct Fields {
    year: i64,
    month: Option<i64>,
    day: Option<i64>,
    year_day: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    nanos: i64,
    afternoon: Option<bool>,
    offset: i64,
    out_of_range: Option<&'static str>,
}

/// As `time.Parse`, with its messages.
pub fn parse(layout: &str, text: &str) -> Result<Time, String> {
    let mut fields = Fields::default();
    let mut layout_rest = layout;
    let mut rest = text;
    loop {
        let (before, name, part, behind) = match next_part(layout_rest) {
            Some((before, name, part, behind)) => (before, name, Some(part), behind),
            None => (layout_rest, "", None, ""),
        };
        let cannot = |rest: &str, element: &str| format!("parsing time {text:?} as {layout:?}: cannot parse {rest:?} as {element:?}");
        rest = skip(rest, before).map_err(|rest| cannot(rest, before))?;
        let Some(part) = part else {
            if !rest.is_empty() {
                return Err(format!("parsing time {text:?}: extra text: {rest:?}"));
            }
            break;
        };
        layout_rest = behind;
        rest = fields.read(part, rest, behind).ok_or_else(|| cannot(rest, name))?;
        if let Some(what) = fields.out_of_range {
            return Err(format!("parsing time {text:?}: {what} out of range"));
        }
    }
    fields.time().map_err(|what| format!("parsing time {text:?}: {what}"))
}

/// The literal part of a layout; a space stands for any number of them.
fn skip<'a>(mut text: &'a str, literal: &str) -> Result<&'a str, &'a str> {
    let mut rest = literal;
    while let Some(letter) = rest.chars().next() {
        if letter == ' ' {
            if !text.is_empty() && !text.starts_with(' ') {
                return Err(text);
            }
            rest = rest.trim_start_matches(' ');
            text = text.trim_start_matches(' ');
            continue;
        }
        text = text.strip_prefix(letter).ok_or(text)?;
        rest = &rest[letter.len_utf8()..];
    }
    Ok(text)
}

/// A number of one or two digits; of two in any case where `fixed`.
fn number(text: &str, fixed: bool) -> Option<(i64, &str)> {
    let digits = text.bytes().take(2).take_while(u8::is_ascii_digit).count();
    if digits == 0 || (fixed && digits < 2) {
        return None;
    }
    Some((text[..digits].parse().ok()?, &text[digits..]))
}

/// A name of a list, in any case, by its first `length` letters or whole.
fn name<'a>(text: &'a str, names: &[&str], length: usize) -> Option<(i64, &'a str)> {
    names.iter().enumerate().find_map(|(index, name)| {
        let name = &name[..name.len().min(length)];
        let begins = text.get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name));
        begins.then(|| (i64::try_from(index).unwrap_or(0), &text[name.len()..]))
    })
}

fn nanoseconds(digits: &str) -> Option<i64> {
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let kept = &digits[..digits.len().min(9)];
    Some(format!("{kept:0<9}").parse().unwrap_or(0))
}

fn begins_with_fraction(text: &str) -> bool {
    text.strip_prefix(['.', ',']).is_some_and(|digits| digits.starts_with(|c: char| c.is_ascii_digit()))
}

impl Fields {
    /// Reads one part and returns what stands behind it.
    fn read<'a>(&mut self, part: Part, text: &'a str, layout_behind: &str) -> Option<&'a str> {
        let mut ranged = |value: i64, least: i64, most: i64, what: &'static str| {
            if value < least || value > most {
                self.out_of_range = Some(what);
            }
            value
        };
        Some(match part {
            Part::Year => {
                let (year, rest) = number(text, true)?;
                self.year = if year >= 69 { year + 1900 } else { year + 2000 };
                rest
            }
            Part::LongYear => {
                let digits = text.get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
                self.year = digits.parse().ok()?;
                &text[4..]
            }
            Part::Month | Part::LongMonth => {
                let (index, rest) = name(text, &MONTHS, if part == Part::Month { 3 } else { 9 })?;
                self.month = Some(index + 1);
                rest
            }
            Part::MonthNumber(fixed) => {
                let (month, rest) = number(text, fixed)?;
                self.month = Some(ranged(month, 1, 12, "month"));
                rest
            }
            Part::Weekday | Part::LongWeekday => name(text, &DAYS, if part == Part::Weekday { 3 } else { 9 })?.1,
            Part::Day(fixed) => {
                let (day, rest) = number(text, fixed)?;
                self.day = Some(day);
                rest
            }
            Part::PaddedDay => {
                let (day, rest) = number(text.strip_prefix(' ').unwrap_or(text), false)?;
                self.day = Some(day);
                rest
            }
            Part::YearDay => {
                let digits = text.get(..3)?;
                self.year_day = Some(digits.trim_start_matches(' ').parse().ok()?);
                &text[3..]
            }
            Part::Hour => {
                let (hour, rest) = number(text, false)?;
                self.hour = ranged(hour, 0, 23, "hour");
                rest
            }
            Part::Hour12(fixed) => {
                let (hour, rest) = number(text, fixed)?;
                self.hour = ranged(hour, 0, 12, "hour");
                rest
            }
            Part::Minute(fixed) => {
                let (minute, rest) = number(text, fixed)?;
                self.minute = ranged(minute, 0, 59, "minute");
                rest
            }
            Part::Second(fixed) => {
                let (second, rest) = number(text, fixed)?;
                self.second = ranged(second, 0, 59, "second");
                // A fraction may follow though the layout has none.
                let has_own = next_part(layout_behind)
                    .is_some_and(|(before, _, part, _)| before.is_empty() && matches!(part, Part::Fraction(_) | Part::AnyFraction));
                if has_own { rest } else { self.any_fraction(rest) }
            }
            Part::Fraction(length) => {
                let fraction = text.get(..length).filter(|fraction| fraction.starts_with(['.', ',']))?;
                self.nanos = nanoseconds(&fraction[1..])?;
                &text[length..]
            }
            Part::AnyFraction => self.any_fraction(text),
            Part::UpperHalf | Part::LowerHalf => {
                let (half, rest) = (text.get(..2)?, &text[2..]);
                let words = if part == Part::UpperHalf { ["AM", "PM"] } else { ["am", "pm"] };
                self.afternoon = Some(words.iter().position(|word| *word == half)? == 1);
                rest
            }
            Part::ZoneName => {
                let length = zone_name(text)?;
                let hours = text[..length].strip_prefix("GMT").and_then(|hours| hours.parse::<i64>().ok());
                self.offset = hours.unwrap_or(0) * 3600;
                &text[length..]
            }
            Part::Zone(true, _) if text.starts_with('Z') => &text[1..],
            Part::Zone(_, shape) => {
                let sign = match text.bytes().next()? {
                    b'+' => 1,
                    b'-' => -1,
                    _ => return None,
                };
                let given = text.get(1..=shape.len())?;
                let mut parts = [0; 3];
                if !given.bytes().zip(shape.bytes()).all(|(a, b)| (b == b':') == (a == b':') && (a == b':' || a.is_ascii_digit())) {
                    return None;
                }
                let digits: String = given.chars().filter(|c| *c != ':').collect();
                for (index, part) in parts.iter_mut().enumerate() {
                    *part = digits.get(2 * index..2 * index + 2).and_then(|pair| pair.parse().ok()).unwrap_or(0);
                }
                let [hours, minutes, seconds] = parts;
                ranged(hours, 0, 24, "time zone offset hour");
                ranged(minutes, 0, 60, "time zone offset minute");
                ranged(seconds, 0, 60, "time zone offset second");
                self.offset = sign * (hours * 3600 + minutes * 60 + seconds);
                &text[1 + shape.len()..]
            }
        })
    }

    fn any_fraction<'a>(&mut self, text: &'a str) -> &'a str {
        if !begins_with_fraction(text) {
            return text;
        }
        let digits = text[1..].bytes().take_while(u8::is_ascii_digit).count();
        self.nanos = nanoseconds(&text[1..=digits]).unwrap_or(0);
        &text[1 + digits..]
    }

    fn time(&self) -> Result<Time, String> {
        let hour = match self.afternoon {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let day = match self.year_day {
            Some(day) => {
                if day < 1 || day > 337 + days_in(self.year, 2) {
                    return Err("day-of-year out of range".to_owned());
                }
                let day = days(self.year, 1, 1) + day - 1;
                let (_, month, of_month) = date(day);
                if self.month.is_some_and(|given| given != month) {
                    return Err("day-of-year does not match month".to_owned());
                }
                if self.day.is_some_and(|given| given != of_month) {
                    return Err("day-of-year does not match day".to_owned());
                }
                day
            }
            None => {
                let (month, day) = (self.month.unwrap_or(1), self.day.unwrap_or(1));
                if day < 1 || day > days_in(self.year, month) {
                    return Err("day out of range".to_owned());
                }
                days(self.year, month, day)
            }
        };
        let seconds = day * 86_400 + hour * 3600 + self.minute * 60 + self.second - self.offset;
        Ok(Time { seconds, nanos: self.nanos, offset: self.offset })
    }
}

/// How long the abbreviation of a time zone is: three letters, four that end in `T`, `GMT+3`, or a signed number.
fn zone_name(text: &str) -> Option<usize> {
    if text.starts_with("ChST") || text.starts_with("MeST") {
        return Some(4);
    }
    let offset = |text: &str| {
        let digits = text.strip_prefix(['+', '-'])?;
        let length = digits.bytes().take_while(u8::is_ascii_digit).count();
        digits[..length].parse::<u32>().ok().filter(|hours| *hours < 24)?;
        Some(length + 1)
    };
    if let Some(behind) = text.strip_prefix("GMT") {
        return Some(3 + offset(behind).unwrap_or(0));
    }
    if text.starts_with(['+', '-']) {
        return offset(text);
    }
    match text.bytes().take(6).take_while(u8::is_ascii_uppercase).count() {
        3 => Some(3),
        4 if text.as_bytes()[3] == b'T' || text.starts_with("WITA") => Some(4),
        5 if text.as_bytes()[4] == b'T' => Some(5),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts() {
        for (layout, text, shown) in [
            (RFC3339, "2023-01-12T19:37:56Z", "2023-01-12T19:37:56Z"),
            (RFC3339, "2023-01-12T12:37:56.123-07:00", "2023-01-12T12:37:56-07:00"),
            ("Mon, 02 Jan 2006 15:04:05 MST", "Thu, 12 Jan 2023 19:37:56 UTC", "2023-01-12T19:37:56Z"),
            ("Mon Jan 02 2006 15:04:05 -0700", "Fri Jun 22 2022 17:45:00 +0100", "2022-06-22T17:45:00+01:00"),
            ("Jan _2 2006 3:04PM", "Feb  3 2009 1:30AM", "2009-02-03T01:30:00Z"),
            ("2006-002", "2024-060", "2024-02-29T00:00:00Z"),
            ("02/01/06", "31/12/69", "1969-12-31T00:00:00Z"),
            ("15:04:05.000", "01:02:03.004", "0000-01-01T01:02:03Z"),
            ("January 2, 2006", "february 29, 2000", "2000-02-29T00:00:00Z"),
        ] {
            assert_eq!(parse(layout, text).map(|time| time.to_string()).as_deref(), Ok(shown), "{text} as {layout}");
        }
    }

    #[test]
    fn what_is_wrong() {
        for (layout, text, problem) in [
            (RFC3339, "", r#"parsing time "" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "2006""#),
            (RFC3339, "2023-13-01T00:00:00Z", r#"parsing time "2023-13-01T00:00:00Z": month out of range"#),
            (RFC3339, "2023-02-30T00:00:00Z", r#"parsing time "2023-02-30T00:00:00Z": day out of range"#),
            (
                RFC3339,
                "2023-01-12 19:37:56Z",
                r#"parsing time "2023-01-12 19:37:56Z" as "2006-01-02T15:04:05Z07:00": cannot parse " 19:37:56Z" as "T""#,
            ),
            ("2006-01-02", "2023-01-12T", r#"parsing time "2023-01-12T": extra text: "T""#),
        ] {
            assert_eq!(parse(layout, text).map(|time| time.to_string()), Err(problem.to_owned()));
        }
    }

    #[test]
    fn dates_count_days() {
        for at in [-719_528, -1, 0, 59, 60, 11_016, 19_782, 2_932_896] {
            let (year, month, day) = date(at);
            assert_eq!(days(year, month, day), at, "{year}-{month}-{day}");
        }
        assert_eq!(Time::unix(0).civil().weekday, 4);
        let time = parse(RFC3339, "2023-01-12T19:37:56Z").expect("a time");
        assert_eq!(time.truncated(3_600_000_000_000).to_string(), "2023-01-12T19:00:00Z");
        assert_eq!(time.plus(-86_400_000_000_000).to_string(), "2023-01-11T19:37:56Z");
    }
}
