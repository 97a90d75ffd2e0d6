//! A monitoring agent: it scrapes the URLs of `TARGETS` (or its arguments) every `INTERVAL` seconds, logs what came of it, and
//! shows it at `/metrics`.

use super::Answer;
use std::collections::BTreeMap;

/// Status of the last scrape of each target; `Err` with the reason.
pub type Outcomes = BTreeMap<String, Result<u16, String>>;

/// What it was asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub targets: Vec<String>,
    /// Seconds.
    pub interval: u32,
    pub port: u16,
}

impl Plan {
    /// By its arguments (the first is the program) and its environment.
    pub fn read(arguments: &[String], variable: impl Fn(&str) -> Option<String>) -> Self {
        let listed = variable("TARGETS").unwrap_or_default();
        let mut targets: Vec<String> = listed.split([',', ' ', '\n']).filter(|t| !t.is_empty()).map(str::to_owned).collect();
        targets.extend(arguments.iter().skip(1).filter(|a| !a.starts_with('-')).cloned());
        targets.truncate(50);
        let interval = variable("INTERVAL").and_then(|i| i.trim_end_matches('s').parse().ok()).unwrap_or(15_u32).clamp(1, 3600);
        let port = variable("PORT").and_then(|p| p.parse().ok()).unwrap_or(9090);
        Self { targets, interval, port }
    }

    pub fn opening(&self) -> String {
        let Self { targets, interval, port } = self;
        format!("scraper (simulated by Cordon): {} targets every {interval}s, metrics on :{port}\n", targets.len())
    }
}

/// The log line of one scrape.
pub fn said(target: &str, outcome: &Result<u16, String>) -> String {
    match outcome {
        Ok(status) => format!("target={target} up={} status={status}\n", u8::from((200..300).contains(status))),
        Err(error) => format!("target={target} up=0 error={error:?}\n"),
    }
}

pub fn answer(path: &str, outcomes: &Outcomes) -> Answer {
    match path {
        "/healthz" | "/-/ready" => Answer::text(200, "ok\n"),
        "/metrics" => {
            let mut text = "# HELP up Whether the last scrape of the target was answered with 2xx.\n# TYPE up gauge\n".to_owned();
            for (target, outcome) in outcomes {
                text.push_str(&format!("up{{target=\"{target}\"}} {}\n", u8::from(matches!(outcome, Ok(200..=299)))));
            }
            Answer::new(200, "text/plain; version=0.0.4", text)
        }
        _ => Answer::text(404, "not found\n"),
    }
}

/// Host, port and path of a URL as `http://host:8501/v1`.
pub fn place(url: &str) -> (&str, u16, &str) {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let (host, port) = authority.rsplit_once(':').map_or((authority, 80), |(host, port)| (host, port.parse().unwrap_or(80)));
    (host, port, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_come_from_both_sides() {
        let arguments = ["/scraper", "-v", "http://c/"].map(str::to_owned);
        let plan = Plan::read(&arguments, |name| match name {
            "TARGETS" => Some("http://a:1/x,\nhttp://b".to_owned()),
            "INTERVAL" => Some("0s".to_owned()),
            _ => None,
        });
        assert_eq!(plan, Plan { targets: ["http://a:1/x", "http://b", "http://c/"].map(str::to_owned).to_vec(), interval: 1, port: 9090 });
    }

    #[test]
    fn a_target_is_up_where_it_answered_well() {
        let rows = [
            (Ok(200), "target=t up=1 status=200\n", "up{target=\"t\"} 1\n"),
            (Ok(404), "target=t up=0 status=404\n", "up{target=\"t\"} 0\n"),
            (Err("refused".to_owned()), "target=t up=0 error=\"refused\"\n", "up{target=\"t\"} 0\n"),
        ];
        for (outcome, log, metric) in rows {
            assert_eq!(said("t", &outcome), log);
            let shown = answer("/metrics", &Outcomes::from([("t".to_owned(), outcome)]));
            let shown = String::from_utf8(shown.body).unwrap();
            assert!(shown.ends_with(metric), "{shown}");
        }
        assert_eq!(answer("/healthz", &Outcomes::new()).status, 200);
        assert_eq!(answer("/", &Outcomes::new()).status, 404);
    }

    #[test]
    fn a_url_is_taken_apart() {
        assert_eq!(place("http://a.b:8501/v1/models/x"), ("a.b", 8501, "/v1/models/x"));
        assert_eq!(place("a"), ("a", 80, "/"));
    }
}
