//! The types of fields, and which operators each of them has.

use crate::syntax::Operator;

/// The type of a field or an event's parameter, named as Falco names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Int8,
    Int16,
    Int32,
    Int64,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Errno,
    Fd,
    Pid,
    Uid,
    Gid,
    Sigtype,
    Mode,
    Flags8,
    Flags16,
    Flags32,
    Enumflags8,
    Enumflags16,
    Enumflags32,
    Reltime,
    Abstime,
    Port,
    Bool,
    Double,
    Charbuf,
    Fspath,
    Fsrelpath,
    Bytebuf,
    Ipaddr,
    Ipnet,
    Sockaddr,
    Socktuple,
    Fdlist,
    Sigset,
    CharbufArray,
    CharbufPairArray,
    /// The type is that of the event's parameter.
    Dynamic,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Uint8 => "UINT8",
            Self::Uint16 => "UINT16",
            Self::Uint32 => "UINT32",
            Self::Uint64 => "UINT64",
            Self::Errno => "ERRNO",
            Self::Fd => "FD",
            Self::Pid => "PID",
            Self::Uid => "UID",
            Self::Gid => "GID",
            Self::Sigtype => "SIGTYPE",
            Self::Mode => "MODE",
            Self::Flags8 => "FLAGS8",
            Self::Flags16 => "FLAGS16",
            Self::Flags32 => "FLAGS32",
            Self::Enumflags8 => "ENUMFLAGS8",
            Self::Enumflags16 => "ENUMFLAGS16",
            Self::Enumflags32 => "ENUMFLAGS32",
            Self::Reltime => "RELTIME",
            Self::Abstime => "ABSTIME",
            Self::Port => "PORT",
            Self::Bool => "BOOL",
            Self::Double => "DOUBLE",
            Self::Charbuf => "CHARBUF",
            Self::Fspath => "FSPATH",
            Self::Fsrelpath => "FSRELPATH",
            Self::Bytebuf => "BYTEBUF",
            Self::Ipaddr => "IPADDR",
            Self::Ipnet => "IPNET",
            Self::Sockaddr => "SOCKADDR",
            Self::Socktuple => "SOCKTUPLE",
            Self::Fdlist => "FDLIST",
            Self::Sigset => "SIGSET",
            Self::CharbufArray => "CHARBUFARRAY",
            Self::CharbufPairArray => "CHARBUF_PAIR_ARRAY",
            Self::Dynamic => "DYNAMIC",
        }
    }

    /// Bits and sign of an integer.
    pub fn integer(self) -> Option<(u32, bool)> {
        Some(match self {
            Self::Int8 => (8, true),
            Self::Int16 => (16, true),
            Self::Int32 => (32, true),
            Self::Int64 | Self::Errno | Self::Fd | Self::Pid => (64, true),
            Self::Uint8 | Self::Sigtype | Self::Flags8 | Self::Enumflags8 => (8, false),
            Self::Uint16 | Self::Flags16 | Self::Enumflags16 | Self::Port => (16, false),
            Self::Uint32 | Self::Uid | Self::Gid | Self::Mode | Self::Flags32 | Self::Enumflags32 => (32, false),
            Self::Uint64 | Self::Reltime | Self::Abstime => (64, false),
            _ => return None,
        })
    }

    pub fn is_text(self) -> bool {
        matches!(self, Self::Charbuf | Self::Fspath | Self::Fsrelpath)
    }

    /// Printed in hexadecimal by Falco.
    pub fn is_flags(self) -> bool {
        matches!(self, Self::Flags8 | Self::Flags16 | Self::Flags32 | Self::Enumflags8 | Self::Enumflags16 | Self::Enumflags32)
    }

    /// Whether an operator may be used; the message is Falco's.
    pub fn allows(self, operator: Operator, list: bool) -> Result<(), String> {
        use Operator as O;
        let word = operator.as_str();
        if operator == O::Exists {
            return Ok(());
        }
        if list {
            let kinds =
                matches!(self, Self::Charbuf | Self::Uint64 | Self::Reltime | Self::Abstime | Self::Bool | Self::Ipaddr | Self::Ipnet);
            return match (kinds, operator) {
                (false, _) => Err(format!("list filters are not supported for type '{}'", self.as_str())),
                (true, O::In | O::Intersects) => Ok(()),
                (true, _) => Err(format!("'{word}' operator not supported list filters")),
            };
        }
        let equality = matches!(operator, O::Equal | O::NotEqual | O::In | O::Intersects);
        let order = matches!(operator, O::Less | O::LessOrEqual | O::Greater | O::GreaterOrEqual);
        let (allowed, filters) = if self.integer().is_some() || self == Self::Double {
            (equality || order, "numeric filters")
        } else if self == Self::Bool {
            (equality, "numeric filters")
        } else if matches!(self, Self::Ipaddr | Self::Ipnet) {
            (equality, "ip address and network filters")
        } else if self.is_text() {
            (!matches!(operator, O::BContains | O::BStartsWith), "string filters")
        } else if self == Self::Bytebuf {
            let bytes = matches!(operator, O::Contains | O::StartsWith | O::EndsWith | O::BContains | O::BStartsWith);
            (equality || bytes, "buffer filters")
        } else {
            return Err(format!("'{word}' operator not supported for type '{}'", self.as_str()));
        };
        if allowed { Ok(()) } else { Err(format!("'{word}' operator not supported for {filters}")) }
    }
}
