//! Markdown of a lab to HTML: no raw HTML, no foreign pictures, code with buttons to copy it and to send it to the terminal.

use pulldown_cmark::{CodeBlockKind, CowStr, Event, Options, Parser, Tag, TagEnd, html};

/// Languages whose code can be sent to the terminal.
const RUNNABLE: [&str; 5] = ["sh", "bash", "shell", "console", "terminal"];

/// Safe HTML of `text`. Headings sink by `sink` levels, so that a page keeps one `h1`.
pub fn render(text: &str, sink: usize) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut events = Vec::new();
    let mut code: Option<(String, String)> = None;
    for event in Parser::new_ext(text, options) {
        match event {
            Event::Start(Tag::CodeBlock(kind)) => {
                let language = match kind {
                    CodeBlockKind::Fenced(words) => words.split([' ', ',']).next().unwrap_or("").to_owned(),
                    CodeBlockKind::Indented => String::new(),
                };
                code = Some((language, String::new()));
            }
            Event::End(TagEnd::CodeBlock) => {
                let (language, content) = code.take().unwrap_or_default();
                events.push(Event::Html(figure(&language, &content).into()));
            }
            Event::Text(part) if code.is_some() => {
                if let Some((_, content)) = &mut code {
                    content.push_str(&part);
                }
            }
            // What looks like HTML is shown as what it is.
            Event::Html(raw) | Event::InlineHtml(raw) => events.push(Event::Text(raw)),
            Event::Start(Tag::Heading { level, id, classes, attrs }) => {
                events.push(Event::Start(Tag::Heading { level: deeper(level, sink), id, classes, attrs }));
            }
            Event::End(TagEnd::Heading(level)) => events.push(Event::End(TagEnd::Heading(deeper(level, sink)))),
            Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
                events.push(Event::Start(Tag::Link { link_type, dest_url: safe(dest_url), title, id }));
            }
            Event::Start(Tag::Image { link_type, dest_url, title, id }) => {
                // The page's policy lets only this server's pictures in.
                let dest_url = if dest_url.contains(':') || dest_url.starts_with("//") { CowStr::Borrowed("") } else { dest_url };
                events.push(Event::Start(Tag::Image { link_type, dest_url, title, id }));
            }
            other => events.push(other),
        }
    }
    let mut out = String::with_capacity(text.len() * 3 / 2);
    html::push_html(&mut out, events.into_iter());
    out
}

fn figure(language: &str, content: &str) -> String {
    let content = content.trim_end_matches('\n');
    let runnable = RUNNABLE.contains(&language);
    let name = if language.is_empty() { "text" } else { language };
    let run = if runnable { "<button type=\"button\" data-run>To the terminal</button>" } else { "" };
    // A `$ ` prompt in front of a command is for reading, not for running.
    let content = if runnable {
        content.lines().map(|line| line.strip_prefix("$ ").unwrap_or(line)).collect::<Vec<_>>().join("\n")
    } else {
        content.to_owned()
    };
    format!(
        "<figure class=\"code\"><figcaption><span class=\"name\">{}</span>{run}<button type=\"button\" data-copy>Copy</button></figcaption>\
         <pre tabindex=\"0\"><code>{}</code></pre></figure>\n",
        escape(name),
        escape(&content)
    )
}

fn deeper(level: pulldown_cmark::HeadingLevel, by: usize) -> pulldown_cmark::HeadingLevel {
    pulldown_cmark::HeadingLevel::try_from((level as usize + by).min(6)).unwrap_or(level)
}

/// Only http, https and paths: no script in a link.
fn safe(address: CowStr<'_>) -> CowStr<'_> {
    let scheme = address.split_once(':').map(|(scheme, _)| scheme);
    match scheme {
        Some(scheme) if scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http") || scheme.contains(['/', '#', '?']) => {
            address
        }
        None if !address.starts_with("//") => address,
        _ => CowStr::Borrowed("#"),
    }
}

/// Text as HTML.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_safely() {
        for (text, expected, never) in [
            ("# Title", "<h2>Title</h2>", "<h1"),
            ("<script>alert(1)</script>", "&lt;script&gt;", "<script"),
            ("a <b onclick=x>b</b>", "&lt;b onclick=x&gt;", "<b"),
            ("[x](javascript:alert(1))", "href=\"#\"", "javascript"),
            ("[x](https://kubernetes.io/)", "href=\"https://kubernetes.io/\"", "\"#\""),
            ("[x](//evil.example)", "href=\"#\"", "evil"),
            ("[x](#there)", "href=\"#there\"", "blank"),
            ("![x](https://evil.example/pixel)", "src=\"\"", "evil"),
            ("```sh\n$ kubectl get pods\n```", "<code>kubectl get pods</code>", "$ kubectl"),
            ("```sh\nls\n```", "data-run", "$"),
            ("```yaml\na: <b>\n```", "<code>a: &lt;b&gt;</code>", "data-run"),
            ("```\"><script>\nx\n```", "data-copy", "<script"),
            ("| a | b |\n|---|---|\n| 1 | 2 |", "<table>", "|"),
        ] {
            let html = render(text, 1);
            assert!(html.contains(expected) && !html.contains(never), "{text}\n{html}");
        }
    }
}
