//! Rules files as trees of YAML in which every node knows its place, within bounds.

use granit_parser::{Event, Parser, ScalarStyle, Span};
use rustc_hash::FxHashMap;
use thiserror::Error;

/// Largest text that is read.
pub const MAX_BYTES: usize = 8 << 20;
const MAX_NODES: usize = 400_000;
const MAX_DEPTH: usize = 64;

/// A place in a file, counted from 0 as Falco counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    pub offset: usize,
    pub line: usize,
    pub column: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub content: Content,
    pub mark: Mark,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Null,
    Scalar(String),
    Sequence(Vec<Node>),
    Mapping(Vec<(Node, Node)>),
}

/// Why a text is no YAML.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("error at line {}, column {}: {message}", mark.line + 1, mark.column + 1)]
pub struct YamlError {
    pub message: String,
    pub mark: Mark,
}

impl Node {
    pub fn scalar(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(text) => Some(text),
            _ => None,
        }
    }

    pub fn sequence(&self) -> Option<&[Node]> {
        match &self.content {
            Content::Sequence(items) => Some(items),
            _ => None,
        }
    }

    pub fn mapping(&self) -> Option<&[(Node, Node)]> {
        match &self.content {
            Content::Mapping(entries) => Some(entries),
            _ => None,
        }
    }

    pub fn is_null(&self) -> bool {
        self.content == Content::Null
    }

    /// The value of a key; the first one where it is written twice.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.mapping()?.iter().find(|(name, _)| name.scalar() == Some(key)).map(|(_, value)| value)
    }

    fn size(&self) -> usize {
        match &self.content {
            Content::Null | Content::Scalar(_) => 1,
            Content::Sequence(items) => 1 + items.iter().map(Self::size).sum::<usize>(),
            Content::Mapping(entries) => 1 + entries.iter().map(|(key, value)| key.size() + value.size()).sum::<usize>(),
        }
    }
}

/// Reads every document of a text.
pub fn documents(text: &str) -> Result<Vec<Node>, YamlError> {
    if text.len() > MAX_BYTES {
        return Err(YamlError { message: format!("the file has more than {MAX_BYTES} bytes"), mark: Mark::default() });
    }
    let mut reader = Reader { parser: Parser::new_from_str(text), anchors: FxHashMap::default(), nodes: 0 };
    let mut documents = Vec::new();
    while let Some((event, span)) = reader.next()? {
        match event {
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            Event::DocumentStart(..) => reader.anchors.clear(),
            event => documents.push(reader.node(event, span, 0)?),
        }
    }
    Ok(documents)
}

struct Reader<'a> {
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    anchors: FxHashMap<usize, Node>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    /// The next event that is no comment.
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, YamlError> {
        loop {
            match self.parser.next_event() {
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok(event)) => return Ok(Some(event)),
                Some(Err(error)) => {
                    let marker = error.marker();
                    let mark = Mark { offset: marker.index(), line: marker.line().saturating_sub(1), column: marker.col() };
                    return Err(YamlError { message: error.info(), mark });
                }
                None => return Ok(None),
            }
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, YamlError> {
        let marker = span.start;
        let mark = Mark { offset: marker.index(), line: marker.line().saturating_sub(1), column: marker.col() };
        let fail = |message: &str| YamlError { message: message.to_owned(), mark };
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(fail("too many nodes"));
        }
        if depth > MAX_DEPTH {
            return Err(fail("nested too deeply"));
        }
        let (content, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let null = style == ScalarStyle::Plain && tag.is_none() && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                (if null { Content::Null } else { Content::Scalar(text.into_owned()) }, anchor)
            }
            Event::SequenceStart(_, anchor, _) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        None | Some((Event::SequenceEnd, _)) => break,
                        Some((event, span)) => items.push(self.node(event, span, depth + 1)?),
                    }
                }
                (Content::Sequence(items), anchor)
            }
            Event::MappingStart(_, anchor, _) => {
                let mut entries = Vec::new();
                loop {
                    let key = match self.next()? {
                        None | Some((Event::MappingEnd, _)) => break,
                        Some((event, span)) => self.node(event, span, depth + 1)?,
                    };
                    match self.next()? {
                        None | Some((Event::MappingEnd, _)) => break,
                        Some((event, span)) => entries.push((key, self.node(event, span, depth + 1)?)),
                    }
                }
                (Content::Mapping(entries), anchor)
            }
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned().ok_or_else(|| fail("the alias leads nowhere"))?;
                self.nodes += node.size();
                if self.nodes > MAX_NODES {
                    return Err(fail("too many nodes"));
                }
                return Ok(node);
            }
            _ => return Err(fail("unexpected content")),
        };
        let node = Node { content, mark };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_know_their_places() {
        let documents = documents("- rule: a\n  condition: >\n    x\n- ~\n---\nb: *c\n");
        assert_eq!(documents.map_err(|error| error.mark.line), Err(5), "an alias without an anchor");
        let nodes = super::documents("- rule: &n a\n  name: *n\n  empty:\n---\n[]\n").expect("YAML");
        let item = &nodes[0].sequence().expect("a sequence")[0];
        assert_eq!(item.get("name").and_then(Node::scalar), Some("a"));
        assert!(item.get("empty").is_some_and(Node::is_null));
        assert_eq!((item.mark.line, item.mark.column, item.get("name").map(|node| node.mark.line)), (0, 2, Some(0)));
        assert_eq!(nodes.len(), 2);
    }

    #[test]
    fn bounds_hold() {
        assert!(documents(&"[".repeat(1000)).is_err());
        let bomb = (1..30).fold("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned(), |text, n| {
            let alias = format!("*a{}", n - 1);
            text + &format!("a{n}: &a{n} [{}]\n", vec![alias; 10].join(","))
        });
        assert!(documents(&bomb).is_err());
    }
}
