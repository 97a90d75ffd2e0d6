//! The values that a condition compares with, read by the type of the field. Ranges and messages are Falco's.

use crate::{event::Value, fields::Kind};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A constant of a condition.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    Value(Value),
    Network(IpNet),
}

/// Names of ports, as `/etc/services` has the common ones.
const SERVICES: &[(&str, u16)] = &[
    ("echo", 7),
    ("discard", 9),
    ("daytime", 13),
    ("chargen", 19),
    ("ftp-data", 20),
    ("ftp", 21),
    ("ssh", 22),
    ("telnet", 23),
    ("smtp", 25),
    ("time", 37),
    ("whois", 43),
    ("domain", 53),
    ("bootps", 67),
    ("bootpc", 68),
    ("tftp", 69),
    ("gopher", 70),
    ("finger", 79),
    ("http", 80),
    ("kerberos", 88),
    ("pop3", 110),
    ("sunrpc", 111),
    ("ntp", 123),
    ("imap2", 143),
    ("imap", 143),
    ("snmp", 161),
    ("snmp-trap", 162),
    ("bgp", 179),
    ("irc", 194),
    ("ldap", 389),
    ("https", 443),
    ("microsoft-ds", 445),
    ("submission", 587),
    ("ldaps", 636),
    ("imaps", 993),
    ("pop3s", 995),
    ("openvpn", 1194),
    ("ms-sql-s", 1433),
    ("nfs", 2049),
    ("mysql", 3306),
    ("postgresql", 5432),
    ("amqp", 5672),
    ("x11", 6000),
    ("redis", 6379),
    ("http-alt", 8080),
];

pub fn parse(kind: Kind, text: &str) -> Result<Literal, String> {
    let value = if kind == Kind::Port {
        Value::Number(port(text)?)
    } else if let Some((bits, signed)) = kind.integer() {
        Value::Number(integer(text, bits, signed)?)
    } else {
        match kind {
            Kind::Bool => match text {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                _ => return Err(format!("filter error: unrecognized boolean value {text}")),
            },
            Kind::Double => Value::Double(text.trim_start().parse().map_err(|_| format!("{text} is not a valid number"))?),
            Kind::Ipaddr => Value::Address(address(text)?),
            Kind::Ipnet => return network(text).map(Literal::Network),
            Kind::Bytebuf => Value::Bytes(text.as_bytes().into()),
            _ => Value::Text(text.into()),
        }
    };
    Ok(Literal::Value(value))
}

/// Reads as C does: blanks in front, a sign, digits to the end; what is too large is cut to the width of the type.
fn integer(text: &str, bits: u32, signed: bool) -> Result<i128, String> {
    let invalid = || format!("{text} is not a valid number");
    let trimmed = text.trim_start();
    let digits = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid());
    }
    let magnitude = digits.parse::<i128>().unwrap_or(i128::MAX);
    let negative = trimmed.starts_with('-');
    Ok(if signed {
        let limit = if negative { 1 << 63 } else { (1 << 63) - 1 };
        let value = magnitude.min(limit) * if negative { -1 } else { 1 };
        let shift = 128 - bits;
        (value << shift) >> shift
    } else {
        let whole = magnitude.min((1 << 64) - 1);
        let value = if negative { (1i128 << 64) - whole } else { whole };
        value & ((1i128 << bits) - 1)
    })
}

pub fn port(text: &str) -> Result<i128, String> {
    if text.is_empty() {
        return Ok(0);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number = text.parse::<i32>().map_err(|_| format!("{text} is not a valid number"))?;
        return Ok(i128::from(number) & 0xffff);
    }
    let service = SERVICES.iter().find(|(name, _)| *name == text);
    service.map(|(_, number)| i128::from(*number)).ok_or_else(|| format!("unrecognized protocol {text}"))
}

fn address(text: &str) -> Result<IpAddr, String> {
    if text.contains('.') {
        text.parse::<Ipv4Addr>().map(IpAddr::V4).map_err(|_| format!("unrecognized IPv4 address {text}"))
    } else {
        text.parse::<Ipv6Addr>().map(IpAddr::V6).map_err(|_| format!("unrecognized IPv6 address {text}"))
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    let Some((ip, mask)) = text.split_once('/') else { return Err(format!("unrecognized IP network {text}")) };
    let bits = integer(mask, 8, false)?;
    let ip = address(ip).map_err(|_| format!("unrecognized IP address {text}"))?;
    let bits = u8::try_from(bits).unwrap_or(u8::MAX);
    IpNet::new(ip, bits).map_err(|_| format!("invalid netmask {mask}"))
}

/// The bytes that a hexadecimal string stands for.
pub fn unhex(text: &str) -> Option<Box<[u8]>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0 && !digits.is_empty())?;
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_c_reads_them() {
        let table = [
            ("42", 16, true, Ok(42)),
            ("-1", 64, true, Ok(-1)),
            (" +7", 32, true, Ok(7)),
            ("70000", 16, true, Ok(4464)),
            ("-1", 32, false, Ok(4_294_967_295)),
            ("99999999999999999999999", 64, true, Ok(i128::from(i64::MAX))),
            ("99999999999999999999999", 64, false, Ok(i128::from(u64::MAX))),
            ("0x10", 32, false, Err("0x10 is not a valid number".to_owned())),
            ("1.5", 32, false, Err("1.5 is not a valid number".to_owned())),
            ("", 32, false, Err(" is not a valid number".to_owned())),
        ];
        for (text, bits, signed, expected) in table {
            assert_eq!(integer(text, bits, signed), expected, "{text} as {bits} bits");
        }
    }

    #[test]
    fn literals_of_each_type() {
        let ok =
            [(Kind::Ipaddr, "::1"), (Kind::Ipaddr, "10.0.0.1"), (Kind::Ipnet, "10.1.2.3/8"), (Kind::Port, "ssh"), (Kind::Bool, "true")];
        for (kind, text) in ok {
            assert!(parse(kind, text).is_ok(), "{text} is a {}", kind.as_str());
        }
        let wrong = [
            (Kind::Bool, "yes", "filter error: unrecognized boolean value yes"),
            (Kind::Ipaddr, "10.0.0", "unrecognized IPv4 address 10.0.0"),
            (Kind::Ipaddr, "host", "unrecognized IPv6 address host"),
            (Kind::Ipnet, "10.0.0.0", "unrecognized IP network 10.0.0.0"),
            (Kind::Ipnet, "10.0.0.0/33", "invalid netmask 33"),
            (Kind::Port, "nothing", "unrecognized protocol nothing"),
            (Kind::Uint32, "many", "many is not a valid number"),
        ];
        for (kind, text, message) in wrong {
            assert_eq!(parse(kind, text), Err(message.to_owned()), "{text}");
        }
    }

    #[test]
    fn hexadecimal() {
        assert_eq!(unhex("48545450").as_deref(), Some(&b"HTTP"[..]));
        for wrong in ["", "2", "2g"] {
            assert_eq!(unhex(wrong), None, "{wrong}");
        }
    }
}
