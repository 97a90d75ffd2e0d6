//! A JSON reader that keeps duplicates and numbers as written, and complains in the words of Go's encoding/json.

use super::node::Node;

/// How deep a body may nest. Real objects stay below 50; a CustomResourceDefinition's schema may reach 100.
pub(super) const MAX_DEPTH: usize = 200;

pub(super) fn parse(text: &[u8]) -> Result<Node, String> {
    let mut reader = Reader { text, at: 0 };
    reader.space();
    let node = reader.value(0)?;
    reader.space();
    match reader.peek() {
        None => Ok(node),
        Some(byte) => Err(invalid(byte, "after top-level value")),
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

fn invalid(byte: u8, context: &str) -> String {
    let shown = match byte {
        b'\'' => r"'\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        b'\\' => r"'\\'".to_owned(),
        b'\n' => r"'\n'".to_owned(),
        b'\r' => r"'\r'".to_owned(),
        b'\t' => r"'\t'".to_owned(),
        byte if byte < 0x20 || byte == 0x7f => format!("'\\x{byte:02x}'"),
        byte => format!("'{}'", char::from(byte)),
    };
    format!("invalid character {shown} {context}")
}

fn ended() -> String {
    "unexpected end of JSON input".to_owned()
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, String> {
        if depth > MAX_DEPTH {
            return Err("exceeded max depth".to_owned());
        }
        match self.peek().ok_or_else(ended)? {
            b'{' => self.object(depth),
            b'[' => self.list(depth),
            b'"' => self.string().map(Node::Text),
            b't' => self.literal("true", Node::Bool(true)),
            b'f' => self.literal("false", Node::Bool(false)),
            b'n' => self.literal("null", Node::Null),
            b'-' | b'0'..=b'9' => self.number(),
            byte => Err(invalid(byte, "looking for beginning of value")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Node, String> {
        self.at += 1;
        let mut entries = Vec::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Node::Object(entries));
        }
        loop {
            self.space();
            match self.peek().ok_or_else(ended)? {
                b'"' => {}
                byte => return Err(invalid(byte, "looking for beginning of object key string")),
            }
            let key = self.string()?;
            self.space();
            match self.peek().ok_or_else(ended)? {
                b':' => self.at += 1,
                byte => return Err(invalid(byte, "after object key")),
            }
            self.space();
            entries.push((key, self.value(depth + 1)?));
            self.space();
            match self.peek().ok_or_else(ended)? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(Node::Object(entries));
                }
                byte => return Err(invalid(byte, "after object key:value pair")),
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Node, String> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Node::List(items));
        }
        loop {
            self.space();
            items.push(self.value(depth + 1)?);
            self.space();
            match self.peek().ok_or_else(ended)? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Ok(Node::List(items));
                }
                byte => return Err(invalid(byte, "after array element")),
            }
        }
    }

    fn literal(&mut self, word: &str, node: Node) -> Result<Node, String> {
        for expected in word.bytes() {
            match self.peek().ok_or_else(ended)? {
                byte if byte == expected => self.at += 1,
                byte => return Err(invalid(byte, &format!("in literal {word} (expecting '{}')", char::from(expected)))),
            }
        }
        Ok(node)
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Result<Node, String> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek().ok_or_else(ended)? {
            b'0' => self.at += 1,
            b'1'..=b'9' => _ = self.digits(),
            byte => return Err(invalid(byte, "in numeric literal")),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return Err(self.peek().map_or_else(ended, |byte| invalid(byte, "after decimal point in numeric literal")));
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return Err(self.peek().map_or_else(ended, |byte| invalid(byte, "in exponent of numeric literal")));
            }
        }
        Ok(Node::Number(String::from_utf8_lossy(self.text.get(start..self.at).unwrap_or_default()).into_owned()))
    }

    fn string(&mut self) -> Result<String, String> {
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            let byte = self.peek().ok_or_else(ended)?;
            self.at += 1;
            match byte {
                b'"' => {
                    return Ok(match String::from_utf8(bytes) {
                        Ok(text) => text,
                        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
                    });
                }
                b'\\' => {
                    let escaped = self.peek().ok_or_else(ended)?;
                    self.at += 1;
                    let plain = match escaped {
                        b'"' | b'\\' | b'/' => escaped,
                        b'b' => 0x08,
                        b'f' => 0x0c,
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        b'u' => {
                            let character = self.unicode()?;
                            bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                            continue;
                        }
                        byte => return Err(invalid(byte, "in string escape code")),
                    };
                    bytes.push(plain);
                }
                byte if byte < 0x20 => return Err(invalid(byte, "in string literal")),
                byte => bytes.push(byte),
            }
        }
    }

    fn hexadecimal(&mut self) -> Result<u32, String> {
        let mut code = 0;
        for _ in 0..4 {
            let byte = self.peek().ok_or_else(ended)?;
            let digit = char::from(byte).to_digit(16).ok_or_else(|| invalid(byte, "in \\u hexadecimal character escape"))?;
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }

    /// After `\u`; a lone half of a surrogate pair becomes U+FFFD.
    fn unicode(&mut self) -> Result<char, String> {
        let first = self.hexadecimal()?;
        if (0xd800..0xdc00).contains(&first) && self.text.get(self.at..self.at + 2) == Some(b"\\u") {
            let back = self.at;
            self.at += 2;
            let second = self.hexadecimal()?;
            if (0xdc00..0xe000).contains(&second) {
                return Ok(char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)).unwrap_or('\u{fffd}'));
            }
            self.at = back;
        }
        Ok(char::from_u32(first).unwrap_or('\u{fffd}'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_serde_reads() {
        for text in [
            "{}",
            "[]",
            " [1, -2.5e3 ,true,false,null] ",
            r#"{"a":{"b":[{}]},"c":"\u00e9\n\ud83d\ude00\\\/"}"#,
            "\"\\\"\"",
            "0",
            "-0.1E+2",
            "[[[]]]",
        ] {
            let expected: serde_json::Value = serde_json::from_str(text).expect(text);
            let found = parse(text.as_bytes()).expect(text).to_value();
            assert_eq!(found, expected, "{text}");
        }
        assert_eq!(parse(b"\"\xff\"").expect("lossy"), Node::Text("\u{fffd}".into()));
        assert_eq!(parse(br#""\ud800x""#).expect("lossy"), Node::Text("\u{fffd}x".into()));
        assert_eq!(parse(br#"{"a":1,"a":2}"#).expect("kept").get("a"), Some(&Node::Number("2".into())));
    }

    #[test]
    fn complains_as_go_does() {
        let deep = "[".repeat(100_000);
        for (text, expected) in [
            ("", "unexpected end of JSON input"),
            ("{", "unexpected end of JSON input"),
            ("{\"a\"", "unexpected end of JSON input"),
            ("{\"a\":}", "invalid character '}' looking for beginning of value"),
            ("{a:1}", "invalid character 'a' looking for beginning of object key string"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("{\"a\":1 \"b\"}", "invalid character '\"' after object key:value pair"),
            ("{\"a\":1,}", "invalid character '}' looking for beginning of object key string"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            ("[1 2]", "invalid character '2' after array element"),
            ("{} x", "invalid character 'x' after top-level value"),
            ("trux", "invalid character 'x' in literal true (expecting 'e')"),
            ("01", "invalid character '1' after top-level value"),
            ("-x", "invalid character 'x' in numeric literal"),
            ("1.x", "invalid character 'x' after decimal point in numeric literal"),
            ("1ex", "invalid character 'x' in exponent of numeric literal"),
            ("\"\\x\"", "invalid character 'x' in string escape code"),
            ("\"\\u00zz\"", "invalid character 'z' in \\u hexadecimal character escape"),
            ("\"\n\"", "invalid character '\\n' in string literal"),
            ("'a'", "invalid character '\\'' looking for beginning of value"),
            (&deep, "exceeded max depth"),
        ] {
            assert_eq!(parse(text.as_bytes()), Err(expected.to_owned()), "{}", text.chars().take(40).collect::<String>());
        }
    }
}
