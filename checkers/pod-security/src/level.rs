//! Levels and policy versions.

use std::fmt;

/// The newest policy version with controls of its own; `latest` means this one.
pub const NEWEST_VERSION: u32 = 37;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    Privileged,
    Baseline,
    Restricted,
}

/// Why a level or version was not understood, in Kubernetes' words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseError(&'static str);

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for ParseError {}

impl Level {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Level {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "privileged" => Ok(Self::Privileged),
            "baseline" => Ok(Self::Baseline),
            "restricted" => Ok(Self::Restricted),
            _ => Err(ParseError("must be one of privileged, baseline, restricted")),
        }
    }
}

/// `latest` or `v1.N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    Minor(u32),
    Latest,
}

impl Version {
    /// The minor version whose controls hold.
    pub fn minor(self) -> u32 {
        match self {
            Self::Minor(minor) => minor.min(NEWEST_VERSION),
            Self::Latest => NEWEST_VERSION,
        }
    }

    /// What a server of minor version `server` makes of this version: it knows no newer controls than its own.
    pub fn on_server(self, server: u32) -> Self {
        Self::Minor(self.minor().min(server))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Minor(minor) => write!(f, "v1.{minor}"),
            Self::Latest => f.write_str("latest"),
        }
    }
}

impl std::str::FromStr for Version {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        const ERROR: ParseError = ParseError("must be \"latest\" or \"v1.x\"");
        if text == "latest" {
            return Ok(Self::Latest);
        }
        let digits = text.strip_prefix("v1.").ok_or(ERROR)?;
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
        if !plain {
            return Err(ERROR);
        }
        digits.parse().map(Self::Minor).map_err(|_| ERROR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (text, want) in [
            ("latest", Ok(Version::Latest)),
            ("v1.0", Ok(Version::Minor(0))),
            ("v1.25", Ok(Version::Minor(25))),
            ("v1.10000", Ok(Version::Minor(10000))),
            ("v1.01", Err(())),
            ("v1.", Err(())),
            ("v2.1", Err(())),
            ("1.25", Err(())),
            ("v1.99999999999999999999", Err(())),
            ("", Err(())),
        ] {
            assert_eq!(text.parse::<Version>().map_err(|_| ()), want, "{text}");
        }
        assert_eq!(Version::Minor(10000).minor(), NEWEST_VERSION);
        assert_eq!(Version::Latest.on_server(34), Version::Minor(34));
    }
}
