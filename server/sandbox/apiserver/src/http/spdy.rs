//! As much of SPDY/3.1 as port forwarding needs: streams, data, pings, half-close and reset. kubectl tunnels it through a
//! WebSocket (`SPDY/3.1+portforward.k8s.io`). Its library (moby/spdystream) knows no flow control, and so this knows none.
//! <https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1/>

use bytes::{Buf, BufMut, Bytes, BytesMut};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

const VERSION: u16 = 3;
/// The FIN flag: the sender has no more to say on this stream.
const FIN: u8 = 1;
/// Longest frame that is taken, and longest header block that is inflated.
const LONGEST: usize = 1 << 20;

const WORDS: &[&str] = &[
    "options",
    "head",
    "post",
    "put",
    "delete",
    "trace",
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "age",
    "allow",
    "authorization",
    "cache-control",
    "connection",
    "content-base",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-md5",
    "content-range",
    "content-type",
    "date",
    "etag",
    "expect",
    "expires",
    "from",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "location",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "referer",
    "retry-after",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "method",
    "get",
    "status",
    "200 OK",
    "version",
    "HTTP/1.1",
    "url",
    "public",
    "set-cookie",
    "keep-alive",
    "origin",
];
const TAIL: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505\
203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found\
500 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 \
Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,\
text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

/// The dictionary of the protocol's header compression.
fn dictionary() -> Vec<u8> {
    let mut out = Vec::with_capacity(1423);
    for word in WORDS {
        out.put_u32(u32::try_from(word.len()).unwrap_or_default());
        out.extend_from_slice(word.as_bytes());
    }
    out.extend_from_slice(TAIL.as_bytes());
    out
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Open {
        stream: u32,
        headers: Vec<(String, String)>,
        fin: bool,
    },
    Data {
        stream: u32,
        data: Bytes,
        fin: bool,
    },
    Reset {
        stream: u32,
    },
    Ping {
        id: u32,
    },
    GoAway,
    /// Settings, window updates, replies: nothing to do.
    Other,
}

/// Both directions of one connection; header compression keeps state in each.
pub(super) struct Connection {
    buffer: BytesMut,
    inflate: Decompress,
    deflate: Compress,
}

#[derive(Debug, thiserror::Error)]
#[error("SPDY: {0}")]
pub(super) struct Broken(&'static str);

impl Connection {
    pub fn new() -> Result<Self, Broken> {
        let mut deflate = Compress::new(Compression::fast(), true);
        deflate.set_dictionary(&dictionary()).map_err(|_| Broken("the header dictionary was refused"))?;
        Ok(Self { buffer: BytesMut::new(), inflate: Decompress::new(true), deflate })
    }

    pub fn receive(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame that has been received.
    pub fn next(&mut self) -> Result<Option<Frame>, Broken> {
        let Some(head) = self.buffer.get(..8) else { return Ok(None) };
        let first = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let (flags, length) = (head[4], u32::from_be_bytes([0, head[5], head[6], head[7]]) as usize);
        if length > LONGEST {
            return Err(Broken("a frame is too long"));
        }
        if self.buffer.len() < 8 + length {
            return Ok(None);
        }
        self.buffer.advance(8);
        let mut body = self.buffer.split_to(length).freeze();
        if first & 0x8000_0000 == 0 {
            return Ok(Some(Frame::Data { stream: first, data: body, fin: flags & FIN != 0 }));
        }
        if (first >> 16) as u16 & 0x7fff != VERSION {
            return Err(Broken("another version of the protocol"));
        }
        let word = |body: &mut Bytes| if body.len() >= 4 { Ok(body.get_u32()) } else { Err(Broken("a frame is too short")) };
        Ok(Some(match first & 0xffff {
            1 => {
                let stream = word(&mut body)? & 0x7fff_ffff;
                if body.len() < 6 {
                    return Err(Broken("a frame is too short"));
                }
                body.advance(6);
                Frame::Open { stream, headers: self.read_headers(&body)?, fin: flags & FIN != 0 }
            }
            2 | 8 => {
                // Replies carry headers too, and the inflater must see them all.
                word(&mut body)?;
                self.read_headers(&body)?;
                Frame::Other
            }
            3 => Frame::Reset { stream: word(&mut body)? & 0x7fff_ffff },
            6 => Frame::Ping { id: word(&mut body)? },
            7 => Frame::GoAway,
            _ => Frame::Other,
        }))
    }

    fn read_headers(&mut self, block: &[u8]) -> Result<Vec<(String, String)>, Broken> {
        let mut plain = Vec::with_capacity(1024);
        let mut rest = block;
        loop {
            plain.reserve(1024);
            let (read, written) = (self.inflate.total_in(), plain.len());
            let outcome = self.inflate.decompress_vec(rest, &mut plain, FlushDecompress::Sync);
            let used = usize::try_from(self.inflate.total_in() - read).unwrap_or(rest.len());
            rest = rest.get(used..).unwrap_or_default();
            match outcome {
                Err(error) if error.needs_dictionary().is_some() => {
                    self.inflate.set_dictionary(&dictionary()).map_err(|_| Broken("another header dictionary"))?;
                }
                Err(_) => return Err(Broken("a header block cannot be inflated")),
                Ok(Status::StreamEnd) => break,
                Ok(_) if plain.len() > LONGEST => return Err(Broken("a header block is too long")),
                Ok(_) if used == 0 && plain.len() == written => break,
                Ok(_) => {}
            }
        }
        let mut plain = plain.as_slice();
        let count = take_u32(&mut plain)?;
        let mut headers = Vec::new();
        for _ in 0..count {
            headers.push((take_text(&mut plain)?, take_text(&mut plain)?));
        }
        Ok(headers)
    }

    /// `SYN_REPLY` without headers.
    pub fn reply(&mut self, stream: u32) -> Result<Bytes, Broken> {
        let mut block = Vec::with_capacity(256);
        let outcome = self.deflate.compress_vec(&0_u32.to_be_bytes(), &mut block, FlushCompress::Sync);
        outcome.map_err(|_| Broken("headers cannot be deflated"))?;
        let mut payload = BytesMut::new();
        payload.put_u32(stream);
        payload.extend_from_slice(&block);
        Ok(control(2, 0, &payload))
    }
}

fn take_u32(from: &mut &[u8]) -> Result<u32, Broken> {
    if from.len() < 4 {
        return Err(Broken("a header block is too short"));
    }
    Ok(from.get_u32())
}

fn take_text(from: &mut &[u8]) -> Result<String, Broken> {
    let length = take_u32(from)? as usize;
    if from.len() < length {
        return Err(Broken("a header block is too short"));
    }
    let text = String::from_utf8_lossy(&from[..length]).into_owned();
    from.advance(length);
    Ok(text)
}

fn head(first: u32, flags: u8, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(8 + payload.len());
    frame.put_u32(first);
    frame.put_u32(u32::from(flags) << 24 | u32::try_from(payload.len()).unwrap_or_default() & 0x00ff_ffff);
    frame.extend_from_slice(payload);
    frame.freeze()
}

fn control(kind: u16, flags: u8, payload: &[u8]) -> Bytes {
    head(0x8000_0000 | u32::from(VERSION) << 16 | u32::from(kind), flags, payload)
}

/// At most 16 MiB of data; an empty one with `fin` closes this side.
pub(super) fn data(stream: u32, payload: &[u8], fin: bool) -> Bytes {
    head(stream & 0x7fff_ffff, if fin { FIN } else { 0 }, payload)
}

pub(super) fn ping(id: u32) -> Bytes {
    control(6, 0, &id.to_be_bytes())
}

pub(super) fn reset(stream: u32) -> Bytes {
    let mut payload = BytesMut::new();
    payload.put_u32(stream);
    // CANCEL
    payload.put_u32(5);
    control(3, 0, &payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Opens a stream as a client does.
    fn open(deflate: &mut Compress, stream: u32, headers: &[(&str, &str)]) -> Vec<u8> {
        let mut plain = Vec::new();
        plain.put_u32(headers.len() as u32);
        for (name, value) in headers {
            for text in [name, value] {
                plain.put_u32(text.len() as u32);
                plain.extend_from_slice(text.as_bytes());
            }
        }
        let mut block = Vec::with_capacity(4096);
        deflate.compress_vec(&plain, &mut block, FlushCompress::Sync).unwrap();
        let mut payload = Vec::new();
        payload.put_u32(stream);
        payload.put_u32(0);
        payload.put_u16(0);
        payload.extend_from_slice(&block);
        control(1, 0, &payload).to_vec()
    }

    #[test]
    fn the_dictionary_is_the_protocols() {
        // Its Adler-32 as zlib names it in a stream that needs it.
        let (mut a, mut b) = (1_u32, 0_u32);
        for byte in dictionary() {
            a = (a + u32::from(byte)) % 65521;
            b = (b + a) % 65521;
        }
        assert_eq!((dictionary().len(), b << 16 | a), (1423, 0xe3c6_a7c2));
    }

    #[test]
    fn frames_are_read_however_they_arrive() {
        let mut deflate = Compress::new(Compression::default(), true);
        deflate.set_dictionary(&dictionary()).unwrap();
        let mut bytes = open(&mut deflate, 1, &[("streamtype", "error"), ("port", "80"), ("requestid", "0")]);
        bytes.extend(open(&mut deflate, 3, &[("streamtype", "data"), ("port", "80"), ("requestid", "0")]));
        bytes.extend_from_slice(&data(3, b"hello", true));
        bytes.extend_from_slice(&ping(7));
        for size in [1, 7, bytes.len()] {
            let mut connection = Connection::new().unwrap();
            let mut frames = Vec::new();
            for part in bytes.chunks(size) {
                connection.receive(part);
                while let Some(frame) = connection.next().unwrap() {
                    frames.push(frame);
                }
            }
            assert_eq!(frames.len(), 4, "in parts of {size}");
            let Frame::Open { stream: 3, headers, fin: false } = &frames[1] else { panic!("{:?}", frames[1]) };
            assert_eq!(headers[0], ("streamtype".to_owned(), "data".to_owned()));
            assert_eq!(frames[2], Frame::Data { stream: 3, data: Bytes::from_static(b"hello"), fin: true });
            assert_eq!(frames[3], Frame::Ping { id: 7 });
        }
    }

    #[test]
    fn rubbish_is_an_error() {
        for bytes in [&[0x80, 9, 0, 1, 0, 0, 0, 0][..], &[0x80, 3, 0, 1, 0, 0, 0, 4, 0, 0, 0, 1], &[0, 0, 0, 1, 0, 0xff, 0xff, 0xff]] {
            let mut connection = Connection::new().unwrap();
            connection.receive(bytes);
            assert!(connection.next().is_err(), "{bytes:?}");
        }
    }
}
