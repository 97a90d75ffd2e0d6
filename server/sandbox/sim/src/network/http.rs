//! HTTP as values, and as bytes on a raw connection.

use bytes::Bytes;

#[derive(Debug, Clone, Default)]
pub struct Request {
    pub method: String,
    /// Path with query.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Request {
    pub fn get(host: &str, path: &str) -> Self {
        Self { method: "GET".to_owned(), path: path.to_owned(), headers: vec![("Host".to_owned(), host.to_owned())], body: Bytes::new() }
    }

    /// Without the query.
    pub fn path_only(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.body.is_empty() && header(&self.headers, "content-length").is_none() {
            text.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        text.push_str("\r\n");
        [text.as_bytes(), &self.body].concat()
    }

    /// One request out of what a client sent; `None` while there is more to come. Returns how many bytes it took.
    pub fn from_bytes(bytes: &[u8]) -> Option<(Self, usize)> {
        let (head, start) = head(bytes)?;
        let mut lines = head.lines();
        let mut first = lines.next()?.split_whitespace();
        let (method, path) = (first.next()?.to_owned(), first.next().unwrap_or("/").to_owned());
        let headers: Vec<_> = lines.filter_map(field).collect();
        let length = header(&headers, "content-length").and_then(|v| v.parse::<usize>().ok()).unwrap_or(0).min(1 << 20);
        let body = bytes.get(start..start + length)?;
        Some((Self { method, path, headers, body: Bytes::copy_from_slice(body) }, start + length))
    }
}

impl Response {
    pub fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self { status, headers: vec![("Content-Type".to_owned(), content_type.to_owned())], body: body.into() }
    }

    pub fn text(status: u16, body: impl Into<Bytes>) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body)
    }

    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    pub fn reason(&self) -> &'static str {
        match self.status {
            200 => "OK",
            201 => "Created",
            204 => "No Content",
            301 => "Moved Permanently",
            302 => "Found",
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            406 => "Not Acceptable",
            409 => "Conflict",
            410 => "Gone",
            413 => "Request Entity Too Large",
            415 => "Unsupported Media Type",
            422 => "Unprocessable Entity",
            429 => "Too Many Requests",
            500 => "Internal Server Error",
            501 => "Not Implemented",
            502 => "Bad Gateway",
            503 => "Service Unavailable",
            504 => "Gateway Timeout",
            _ => "",
        }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} {}\r\n", self.status, self.reason());
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("Content-Length: {}\r\nConnection: close\r\n\r\n", self.body.len()));
        [text.as_bytes(), &self.body].concat()
    }

    /// What a server sent before it closed.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (head, start) = head(bytes)?;
        let mut lines = head.lines();
        let mut first = lines.next()?.split_whitespace();
        if !first.next()?.starts_with("HTTP/") {
            return None;
        }
        let status = first.next()?.parse().ok()?;
        Some(Self { status, headers: lines.filter_map(field).collect(), body: Bytes::copy_from_slice(&bytes[start..]) })
    }
}

pub fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn head(bytes: &[u8]) -> Option<(String, usize)> {
    let crlf = bytes.windows(4).position(|w| w == b"\r\n\r\n").map(|at| (at, at + 4));
    let lf = bytes.windows(2).position(|w| w == b"\n\n").map(|at| (at, at + 2));
    let (end, start) = match (crlf, lf) {
        (Some(a), Some(b)) => a.min(b),
        (a, b) => a.or(b)?,
    };
    Some((String::from_utf8_lossy(&bytes[..end]).into_owned(), start))
}

fn field(line: &str) -> Option<(String, String)> {
    line.split_once(':').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
}
