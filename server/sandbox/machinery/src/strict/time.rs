//! RFC 3339 as Go's `time.Parse` reads it, with its complaints.

use jiff::{Timestamp, civil::DateTime, tz::Offset};

const LAYOUT: &str = "2006-01-02T15:04:05Z07:00";
const MICRO_LAYOUT: &str = "2006-01-02T15:04:05.000000Z07:00";

struct Reader<'a> {
    layout: &'static str,
    text: &'a str,
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn fail(&self, element: &str) -> String {
        format!("parsing time {:?} as {:?}: cannot parse {:?} as {element:?}", self.text, self.layout, self.rest)
    }

    fn range(&self, what: &str) -> String {
        format!("parsing time {:?}: {what} out of range", self.text)
    }

    fn skip(&mut self, prefix: &str) -> Result<(), String> {
        self.rest = self.rest.strip_prefix(prefix).ok_or_else(|| self.fail(prefix))?;
        Ok(())
    }

    fn digits(&mut self, least: usize, most: usize, element: &str) -> Result<i32, String> {
        let count = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        if count < least {
            return Err(self.fail(element));
        }
        let (number, rest) = self.rest.split_at(count);
        let number = number.parse().map_err(|_| self.fail(element))?;
        self.rest = rest;
        Ok(number)
    }

    fn fraction(&mut self, digits: &'a str) -> i32 {
        let nano = digits.bytes().chain(std::iter::repeat(b'0')).take(9).fold(0, |sum, digit| sum * 10 + i32::from(digit - b'0'));
        self.rest = self.rest.get(1 + digits.len()..).unwrap_or_default();
        nano
    }
}

/// A `metav1.Time`, or with `micro` a `metav1.MicroTime`, which must have six decimals.
pub(super) fn parse(text: &str, micro: bool) -> Result<Timestamp, String> {
    let mut reader = Reader { layout: if micro { MICRO_LAYOUT } else { LAYOUT }, text, rest: text };
    let year = reader.digits(4, 4, "2006")?;
    reader.skip("-")?;
    let month = reader.digits(2, 2, "01")?;
    if !(1..=12).contains(&month) {
        return Err(reader.range("month"));
    }
    reader.skip("-")?;
    let day = reader.digits(2, 2, "02")?;
    reader.skip("T")?;
    let hour = reader.digits(1, 2, "15")?;
    if hour >= 24 {
        return Err(reader.range("hour"));
    }
    reader.skip(":")?;
    let minute = reader.digits(2, 2, "04")?;
    if minute >= 60 {
        return Err(reader.range("minute"));
    }
    reader.skip(":")?;
    let second = reader.digits(2, 2, "05")?;
    if second >= 60 {
        return Err(reader.range("second"));
    }
    let after = reader.rest.strip_prefix(['.', ',']);
    let digits = after.map(|after| after.split_at(after.bytes().take_while(u8::is_ascii_digit).count()).0).unwrap_or_default();
    let nano = if micro {
        let six = digits.get(..6).filter(|_| reader.rest.starts_with('.'));
        let Some(six) = six else { return Err(reader.fail(".000000")) };
        reader.fraction(six)
    } else if digits.is_empty() {
        0
    } else {
        reader.fraction(digits)
    };
    let mut offset = 0;
    if let Some(rest) = reader.rest.strip_prefix('Z') {
        reader.rest = rest;
    } else {
        let zone = reader.rest.as_bytes();
        let number = |from: usize| {
            let two = reader.rest.get(from..from + 2)?;
            two.bytes().all(|b| b.is_ascii_digit()).then(|| two.parse::<i32>().ok())?
        };
        let sign = match zone.first() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return Err(reader.fail("Z07:00")),
        };
        let (Some(hours), Some(b':'), Some(minutes)) = (number(1), zone.get(3), number(4)) else { return Err(reader.fail("Z07:00")) };
        if hours > 24 {
            return Err(reader.range("time zone offset hour"));
        }
        if minutes > 60 {
            return Err(reader.range("time zone offset minute"));
        }
        offset = sign * (hours * 3600 + minutes * 60);
        reader.rest = reader.rest.get(6..).unwrap_or_default();
    }
    if !reader.rest.is_empty() {
        return Err(format!("parsing time {text:?}: extra text: {:?}", reader.rest));
    }
    let part = |number: i32| i8::try_from(number).unwrap_or(0);
    let year = i16::try_from(year).unwrap_or(0);
    let date = DateTime::new(year, part(month), part(day), part(hour), part(minute), part(second), nano);
    let instant = date.ok().and_then(|date| Offset::from_seconds(offset).ok()?.to_timestamp(date).ok());
    instant.ok_or_else(|| reader.range("day"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn times() {
        let texts = [
            "2026-01-02T03:04:05Z",
            "2026-01-02T03:04:05.123456789Z",
            "2026-01-02T03:04:05+02:00",
            "2026-01-02T3:04:05Z",
            "yesterday",
            "",
            "2026-01-02",
            "2026-13-02T03:04:05Z",
            "2026-02-30T03:04:05Z",
            "2026-01-02T25:04:05Z",
            "2026-01-02T03:04:05",
            "2026-01-02T03:04:05Zx",
            "2026-01-02 03:04:05Z",
            "2026-01-02T03:04:05+2:00",
            "20é6",
            "9999-12-31T23:59:59-24:00",
        ];
        let lines: String =
            texts.iter().map(|text| format!("{text}: {}\n", parse(text, false).map_or_else(|e| e, |t| t.to_string()))).collect();
        expect![[r#"
            2026-01-02T03:04:05Z: 2026-01-02T03:04:05Z
            2026-01-02T03:04:05.123456789Z: 2026-01-02T03:04:05.123456789Z
            2026-01-02T03:04:05+02:00: 2026-01-02T01:04:05Z
            2026-01-02T3:04:05Z: 2026-01-02T03:04:05Z
            yesterday: parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"
            : parsing time "" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "2006"
            2026-01-02: parsing time "2026-01-02" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "T"
            2026-13-02T03:04:05Z: parsing time "2026-13-02T03:04:05Z": month out of range
            2026-02-30T03:04:05Z: parsing time "2026-02-30T03:04:05Z": day out of range
            2026-01-02T25:04:05Z: parsing time "2026-01-02T25:04:05Z": hour out of range
            2026-01-02T03:04:05: parsing time "2026-01-02T03:04:05" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "Z07:00"
            2026-01-02T03:04:05Zx: parsing time "2026-01-02T03:04:05Zx": extra text: "x"
            2026-01-02 03:04:05Z: parsing time "2026-01-02 03:04:05Z" as "2006-01-02T15:04:05Z07:00": cannot parse " 03:04:05Z" as "T"
            2026-01-02T03:04:05+2:00: parsing time "2026-01-02T03:04:05+2:00" as "2006-01-02T15:04:05Z07:00": cannot parse "+2:00" as "Z07:00"
            20é6: parsing time "20é6" as "2006-01-02T15:04:05Z07:00": cannot parse "20é6" as "2006"
            9999-12-31T23:59:59-24:00: parsing time "9999-12-31T23:59:59-24:00": day out of range
        "#]].assert_eq(&lines);
        for (text, expected) in [
            ("2026-01-02T03:04:05.123456Z", "2026-01-02T03:04:05.123456Z"),
            (
                "2026-01-02T03:04:05Z",
                "parsing time \"2026-01-02T03:04:05Z\" as \"2006-01-02T15:04:05.000000Z07:00\": cannot parse \"Z\" as \".000000\"",
            ),
        ] {
            assert_eq!(parse(text, true).map_or_else(|e| e, |t| t.to_string()), expected);
        }
    }
}
