//! Patterns: `glob` and `iglob` match as `fnmatch` does without flags, `pmatch` finds paths below other paths.

/// A shell pattern, over whole characters; `*` and `?` match a slash too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    tokens: Vec<Token>,
    ignore_case: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    One(char),
    Any,
    Many,
    Class { negated: bool, ranges: Vec<(char, char)>, names: Vec<Name> },
}

/// `[:alpha:]` and its like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Alnum,
    Alpha,
    Blank,
    Cntrl,
    Digit,
    Graph,
    Lower,
    Print,
    Punct,
    Space,
    Upper,
    Xdigit,
}

impl Name {
    fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "alnum" => Self::Alnum,
            "alpha" => Self::Alpha,
            "blank" => Self::Blank,
            "cntrl" => Self::Cntrl,
            "digit" => Self::Digit,
            "graph" => Self::Graph,
            "lower" => Self::Lower,
            "print" => Self::Print,
            "punct" => Self::Punct,
            "space" => Self::Space,
            "upper" => Self::Upper,
            "xdigit" => Self::Xdigit,
            _ => return None,
        })
    }

    fn holds(self, c: char) -> bool {
        match self {
            Self::Alnum => c.is_ascii_alphanumeric(),
            Self::Alpha => c.is_ascii_alphabetic(),
            Self::Blank => matches!(c, ' ' | '\t'),
            Self::Cntrl => c.is_ascii_control(),
            Self::Digit => c.is_ascii_digit(),
            Self::Graph => c.is_ascii_graphic(),
            Self::Lower => c.is_ascii_lowercase(),
            Self::Print => c.is_ascii_graphic() || c == ' ',
            Self::Punct => c.is_ascii_punctuation(),
            Self::Space => c.is_ascii_whitespace() || c == '\u{b}',
            Self::Upper => c.is_ascii_uppercase(),
            Self::Xdigit => c.is_ascii_hexdigit(),
        }
    }
}

impl Glob {
    pub fn new(pattern: &str, ignore_case: bool) -> Self {
        let chars: Vec<char> = pattern.chars().collect();
        let mut tokens = Vec::new();
        let mut at = 0;
        while at < chars.len() {
            let (token, next) = match chars[at] {
                '*' => (Token::Many, at + 1),
                '?' => (Token::Any, at + 1),
                '\\' if at + 1 < chars.len() => (Token::One(chars[at + 1]), at + 2),
                '[' => class(&chars, at).unwrap_or((Token::One('['), at + 1)),
                other => (Token::One(other), at + 1),
            };
            if token != Token::Many || tokens.last() != Some(&Token::Many) {
                tokens.push(token);
            }
            at = next;
        }
        Self { tokens, ignore_case }
    }

    /// What every text that it matches begins with.
    pub fn literal_start(&self) -> String {
        self.literals(self.tokens.iter()).collect()
    }

    /// What every text that it matches ends with.
    pub fn literal_end(&self) -> String {
        let end: Vec<char> = self.literals(self.tokens.iter().rev()).collect();
        end.into_iter().rev().collect()
    }

    fn literals<'a>(&self, tokens: impl Iterator<Item = &'a Token>) -> impl Iterator<Item = char> {
        let ignore_case = self.ignore_case;
        tokens.map_while(move |token| match token {
            Token::One(c) if !ignore_case => Some(*c),
            _ => None,
        })
    }

    /// Linear in the text for each star: the last star alone is tried again.
    pub fn matches(&self, text: &str) -> bool {
        let mut rest = text.chars();
        let mut token = 0;
        let mut star: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            let before = rest.clone();
            match (self.tokens.get(token), rest.next()) {
                (Some(Token::Many), _) => {
                    rest = before;
                    token += 1;
                    if token == self.tokens.len() {
                        return true;
                    }
                    star = Some((token, rest.clone()));
                }
                (Some(wanted), Some(c)) if self.one(wanted, c) => token += 1,
                (None, None) => return true,
                _ => match &mut star {
                    Some((after, from)) => {
                        if from.next().is_none() {
                            return false;
                        }
                        token = *after;
                        rest = from.clone();
                    }
                    None => return false,
                },
            }
        }
    }

    fn one(&self, token: &Token, c: char) -> bool {
        let variants = if self.ignore_case { [c.to_ascii_lowercase(), c.to_ascii_uppercase()] } else { [c, c] };
        match token {
            Token::One(wanted) => variants.contains(wanted),
            Token::Any => true,
            Token::Many => false,
            Token::Class { negated, ranges, names } => {
                let inside = variants
                    .iter()
                    .any(|c| ranges.iter().any(|(from, to)| from <= c && c <= to) || names.iter().any(|name| name.holds(*c)));
                inside != *negated
            }
        }
    }
}

/// A bracket expression and where it ends; none where it has no end.
fn class(chars: &[char], open: usize) -> Option<(Token, usize)> {
    let mut at = open + 1;
    let negated = matches!(chars.get(at), Some('!' | '^'));
    at += usize::from(negated);
    let first = at;
    let (mut ranges, mut names) = (Vec::new(), Vec::new());
    loop {
        match *chars.get(at)? {
            ']' if at > first => return Some((Token::Class { negated, ranges, names }, at + 1)),
            '[' if chars.get(at + 1) == Some(&':') => {
                let end = (at + 2..chars.len().saturating_sub(1)).find(|index| chars[*index] == ':' && chars[*index + 1] == ']')?;
                let word: String = chars[at + 2..end].iter().collect();
                names.push(Name::from_word(&word)?);
                at = end + 2;
            }
            mut from => {
                if from == '\\' {
                    at += 1;
                    from = *chars.get(at)?;
                }
                if chars.get(at + 1) == Some(&'-') && chars.get(at + 2).is_some_and(|c| *c != ']') {
                    ranges.push((from, chars[at + 2]));
                    at += 3;
                } else {
                    ranges.push((from, from));
                    at += 1;
                }
            }
        }
    }
}

/// Paths; one matches what equals it or lies below it, component by component, each of which may be a pattern.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paths {
    paths: Vec<Vec<Component>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Component {
    Exact(Box<str>),
    Pattern(Glob),
}

impl Paths {
    pub fn new<'a>(paths: impl IntoIterator<Item = &'a str>) -> Self {
        let component = |part: &str| match part.contains(['*', '?', '[']) {
            true => Component::Pattern(Glob::new(part, false)),
            false => Component::Exact(part.into()),
        };
        Self { paths: paths.into_iter().map(|path| components(path).map(component).collect()).collect() }
    }

    pub fn matches(&self, path: &str) -> bool {
        self.paths.iter().any(|wanted| {
            let mut parts = components(path);
            wanted.iter().all(|component| match (component, parts.next()) {
                (Component::Exact(name), Some(part)) => **name == *part,
                (Component::Pattern(glob), Some(part)) => glob.matches(part),
                (_, None) => false,
            })
        })
    }
}

fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let table = [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("/etc/*", "/etc/a/b", true),
            ("*.log", "x.log", true),
            ("*.log", "x.log1", false),
            ("a*b*c", "aXbYbZc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]x]", "]", true),
            ("[[:digit:]]*", "7up", true),
            ("[", "[", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("????", "日本語x", true),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(Glob::new(pattern, false).matches(text), expected, "{pattern} on {text}");
        }
        assert!(Glob::new("MY*[X-Z]", true).matches("mythingy"));
        for (pattern, ignore_case, start, end) in
            [("/home/*/.ssh/x?", false, "/home/", ""), ("*\\*.log", false, "", "*.log"), ("/a*", true, "", ""), ("é", false, "é", "é")]
        {
            let glob = Glob::new(pattern, ignore_case);
            assert_eq!((glob.literal_start().as_str(), glob.literal_end().as_str()), (start, end), "{pattern}");
        }
        assert!(!Glob::new("MY*", false).matches("my"));
    }

    #[test]
    fn a_pattern_of_stars_ends() {
        let glob = Glob::new(&"*a".repeat(50), false);
        assert!(!glob.matches(&"a".repeat(49)));
        assert!(glob.matches(&"ba".repeat(50)));
    }

    #[test]
    fn paths_match_what_is_below_them() {
        let table: [(&[&str], &str, bool); 8] = [
            (&["/var/run"], "/var/run/docker.sock", true),
            (&["/var/run/docker"], "/var/run", false),
            (&["/var/run"], "/var/runner", false),
            (&["/opt/*/subdir"], "/opt/dir/subdir/file", true),
            (&["/opt/di[r]/x", "/etc"], "/etc/shadow", true),
            (&["tmp/filename.txt"], "tmp/filename.txt", true),
            (&[""], "/anything", true),
            (&[], "/anything", false),
        ];
        for (paths, path, expected) in table {
            assert_eq!(Paths::new(paths.iter().copied()).matches(path), expected, "{paths:?} on {path}");
        }
    }
}
