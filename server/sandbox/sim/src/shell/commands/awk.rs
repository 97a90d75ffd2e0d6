//! awk: said to be missing, but for the printing of fields that everybody types.

use crate::shell::process::Process;

/// `{print $1, $3}` with an optional `/pattern/` before it and `-F`; anything else is refused.
pub async fn run(process: &Process, arguments: &[String]) -> i32 {
    let mut rest = arguments;
    let mut separator = None;
    while let Some(option) = rest.first().and_then(|a| a.strip_prefix("-F")) {
        if option.is_empty() {
            separator = rest.get(1).cloned();
            rest = rest.get(2..).unwrap_or_default();
        } else {
            separator = Some(option.to_owned());
            rest = &rest[1..];
        }
    }
    let program = rest.first().map_or("", |p| p.trim());
    let (pattern, action) = match program.strip_prefix('/').and_then(|p| p.rsplit_once('/')) {
        Some((pattern, action)) => (regex::Regex::new(pattern).ok(), action.trim()),
        None => (None, program),
    };
    let fields = action
        .strip_prefix('{')
        .and_then(|a| a.strip_suffix('}'))
        .map(|a| a.trim().trim_end_matches(';'))
        .and_then(|a| a.strip_prefix("print"));
    let parts: Option<Vec<Part>> = match fields.map(str::trim) {
        Some("") => Some(vec![Part::Field(0)]),
        Some(list) => list.split(',').map(|p| Part::parse(p.trim())).collect(),
        None => None,
    };
    let Some(parts) = parts else {
        process.err("awk: only '{print $N, …}' is simulated by Cordon (cordon.dev/simulated)\n").await;
        return 2;
    };
    let (contents, status) = super::inputs(process, rest.get(1..).unwrap_or_default()).await;
    for (_, content) in contents {
        let text = String::from_utf8_lossy(&content).into_owned();
        for line in text.lines().filter(|l| pattern.as_ref().is_none_or(|p| p.is_match(l))) {
            let fields: Vec<&str> = match &separator {
                Some(separator) => line.split(separator.as_str()).collect(),
                None => line.split_whitespace().collect(),
            };
            let out: Vec<String> = parts.iter().map(|part| part.of(line, &fields)).collect();
            process.out(format!("{}\n", out.join(" "))).await;
        }
    }
    status
}

enum Part {
    Field(usize),
    Last,
    Count,
    Text(String),
}

impl Part {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "$NF" => Some(Self::Last),
            "NF" => Some(Self::Count),
            _ => match text.strip_prefix('$') {
                Some(n) => n.parse().ok().map(Self::Field),
                None => text.strip_prefix('"')?.strip_suffix('"').map(|t| Self::Text(t.to_owned())),
            },
        }
    }

    fn of(&self, line: &str, fields: &[&str]) -> String {
        match self {
            Self::Field(0) => line.to_owned(),
            Self::Field(n) => fields.get(n - 1).copied().unwrap_or_default().to_owned(),
            Self::Last => fields.last().copied().unwrap_or_default().to_owned(),
            Self::Count => fields.len().to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}
