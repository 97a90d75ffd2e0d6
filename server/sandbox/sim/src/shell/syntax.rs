//! What a shell script is made of.

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Literal(String),
    /// Protected from splitting and globbing.
    Quoted(String),
    Double(Vec<Part>),
    Parameter {
        name: String,
        operator: Option<String>,
        word: Word,
        length: bool,
    },
    Command(String),
    Arithmetic(Word),
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Word(pub Vec<Part>);

impl Word {
    pub fn literal(text: &str) -> Self {
        Self(vec![Part::Literal(text.to_owned())])
    }

    /// The text of a word without quotes and expansions.
    pub fn plain(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedirectKind {
    Read,
    Write,
    Append,
    /// `>&2`, `2>&1`, `<&-`.
    Duplicate,
    /// Content of a here-document.
    Here,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    pub descriptor: u32,
    pub kind: RedirectKind,
    pub target: Word,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Simple { assignments: Vec<(String, Word)>, words: Vec<Word>, redirects: Vec<Redirect> },
    Pipeline { commands: Vec<Command>, negated: bool },
    And(Box<Command>, Box<Command>),
    Or(Box<Command>, Box<Command>),
    List(Vec<(Command, bool)>),
    Compound { body: Box<Compound>, redirects: Vec<Redirect> },
    Function { name: String, body: Box<Command> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compound {
    Subshell(Command),
    Group(Command),
    If { branches: Vec<(Command, Command)>, otherwise: Option<Command> },
    While { condition: Command, body: Command, until: bool },
    For { variable: String, words: Option<Vec<Word>>, body: Command },
    Case { word: Word, arms: Vec<(Vec<Word>, Command)> },
}

/// Why a script does not parse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyntaxError {
    /// More input could complete it.
    Incomplete(String),
    Unexpected(String),
}
