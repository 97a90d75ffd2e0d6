//! How many decoded events a second one core holds against a hundred rules: `cargo bench -p falco --bench rules`.
//!
//! The rules have the shape of the published ones: macros, lists of dozens of names, exceptions, globs and networks, over a handful of
//! event types. `-- --rules FILE` measures with rules of your own. Nothing here passes or fails.

use falco::{
    Engine, Event, Scratch,
    fields::Source,
    rules::{File, load},
};
use serde_json::{Map, Value, json};
use std::{
    fmt::Write,
    hint::black_box,
    time::{Duration, Instant},
};

const RULES: usize = 100;
const EVENTS: usize = 4_000;
const ROUNDS: usize = 250;

#[expect(clippy::disallowed_methods, reason = "a benchmark is an edge: it measures real time")]
fn now() -> Instant {
    Instant::now()
}

/// A hundred rules, a fifth of them on each kind of event.
fn rules() -> String {
    let names = |prefix: &str, count: usize| (0..count).map(|n| format!("{prefix}{n}")).collect::<Vec<_>>().join(", ");
    let mut text = format!(
        "- list: shells\n  items: [ash, bash, csh, ksh, sh, tcsh, zsh, dash]\n\
         - list: trusted\n  items: [{}]\n\
         - list: sensitive\n  items: [/etc/shadow, /etc/sudoers, /etc/pam.conf, {}]\n\
         - macro: open_read\n  condition: (evt.type in (open, openat, openat2) and evt.is_open_read=true and fd.typechar='f' and fd.num>=0)\n\
         - macro: open_write\n  condition: (evt.type in (open, openat, openat2) and evt.is_open_write=true and fd.typechar='f' and fd.num>=0)\n\
         - macro: spawned\n  condition: (evt.type in (execve, execveat))\n\
         - macro: outbound\n  condition: >\n    (((evt.type = connect) or (evt.type in (sendto, sendmsg) and fd.l4proto != tcp)) and (fd.typechar = 4 or fd.typechar = 6)\n\
         \x20   and (fd.ip != \"0.0.0.0\" and fd.net != \"127.0.0.0/8\") and (evt.rawres >= 0 or evt.res = EINPROGRESS))\n\
         - macro: container\n  condition: (container.id != host)\n",
        names("trusted-", 60),
        names("/etc/secret-", 40)
    );
    for n in 0..RULES {
        let condition = match n % 5 {
            0 => format!(
                "open_read and (fd.name in (sensitive) or fd.name startswith /opt/model-{n}/ or fd.name glob /home/*/.ssh/{n}*) \
                 and not proc.name in (trusted) and not proc.pname in (shells)"
            ),
            1 => format!(
                "open_write and container and fd.directory in (/bin, /sbin, /usr/bin, /usr/sbin-{n}) and not proc.name in (trusted)"
            ),
            2 => format!(
                "spawned and container and proc.name in (shells) and proc.tty != 0 and not proc.aname in (sshd-{n}) \
                 and not proc.cmdline contains \"entry{n}\""
            ),
            3 => format!("outbound and container and not fd.snet in (10.{n}.0.0/16, 172.16.0.0/12) and not fd.sport in (53, 443, {n})"),
            _ => format!(
                "evt.type in (unlink, unlinkat, rename, renameat) and container and evt.arg.name endswith .log{n} and proc.name != logrotate"
            ),
        };
        let _ = write!(
            text,
            "- rule: Rule {n}\n  desc: A rule\n  condition: {condition}\n  output: Rule {n} (command=%proc.cmdline file=%fd.name)\n  \
             priority: WARNING\n  exceptions:\n    - name: known\n      fields: [proc.name, fd.name]\n      comps: [in, startswith]\n      \
             values:\n        - [[tool-{n}, helper-{n}], /var/cache/{n}]\n"
        );
    }
    text
}

/// Events as a node of a cluster has them: mostly files, some processes and connections, and some that no rule is about.
fn events() -> Vec<Map<String, Value>> {
    let event = |n: usize| {
        let mut event = json!({
            "evt.num": n, "evt.type": "openat", "evt.rawres": 3, "evt.res": "SUCCESS", "container.id": if n.is_multiple_of(4) { "host" } else { "3ad7b26ded6d" },
            "proc.name": format!("python{}", n % 7), "proc.pname": "containerd-shim", "proc.aname": ["python3", "containerd-shim", "systemd"],
            "proc.cmdline": format!("python{} train.py --epochs {n}", n % 7), "proc.tty": n % 3, "user.name": "root",
        });
        let more = match n % 10 {
            0..=4 => json!({"fd.name": format!("/data/shard-{n}.bin"), "fd.directory": "/data", "fd.typechar": "f", "fd.num": 7,
                            "evt.is_open_read": true, "evt.is_open_write": false}),
            5 => json!({"fd.name": format!("/usr/bin/tool-{n}"), "fd.directory": "/usr/bin", "fd.typechar": "f", "fd.num": 7,
                        "evt.is_open_read": false, "evt.is_open_write": true}),
            6 => json!({"evt.type": "execve", "proc.name": if n.is_multiple_of(20) { "bash" } else { "nvidia-smi" }}),
            7 => {
                json!({"evt.type": "connect", "fd.typechar": "4", "fd.l4proto": "tcp", "fd.cip": "10.244.0.5", "fd.sip": format!("10.1.{}.9", n % 250),
                        "fd.cport": 43_210, "fd.sport": 443})
            }
            8 => json!({"evt.type": "unlinkat", "evt.arg.name": format!("/tmp/{n}.tmp")}),
            _ => json!({"evt.type": "futex"}),
        };
        event.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        event.as_object().expect("an object").clone()
    };
    (0..EVENTS).map(event).collect()
}

fn per_second(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// Prints how many events a second one piece of work holds that sees all of them.
fn rounds(what: &str, mut work: impl FnMut()) {
    let mut measured: Vec<f64> = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let began = now();
        work();
        measured.push(per_second(EVENTS, began.elapsed()));
    }
    measured.sort_by(f64::total_cmp);
    let at = |share: f64| measured[((measured.len() - 1) as f64 * share) as usize];
    println!("{what:<11} {:>12.0} events/s (median of {ROUNDS} rounds of {EVENTS}; p10 {:.0}, p90 {:.0})", at(0.5), at(0.1), at(0.9));
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let own = arguments.iter().position(|argument| argument == "--rules").and_then(|at| arguments.get(at + 1));
    let text = own.map_or_else(rules, |path| std::fs::read_to_string(path).expect("a rules file"));
    let began = now();
    let (loaded, reports) = load(&[File { name: "bench", text: &text }], &[Source::Syscall]);
    let loaded = loaded.unwrap_or_else(|| panic!("the rules load:\n{}", reports[0].to_text(&text)));
    let engine = Engine::new(&loaded).expect("an engine");
    println!("load        {} rules in {:.1} ms", loaded.rules.len(), began.elapsed().as_secs_f64() * 1e3);

    let raw = events();
    let decoded: Vec<Event> = raw.iter().map(|fields| engine.decode(fields)).collect();
    rounds("decode", || raw.iter().for_each(|fields| drop(black_box(engine.decode(black_box(fields))))));
    let (mut fired, mut scratch) = (0, Scratch::default());
    rounds("match", || {
        fired += decoded.iter().map(|event| engine.matching(black_box(event), &mut scratch).len()).sum::<usize>();
    });
    rounds("both", || {
        black_box(raw.iter().map(|fields| engine.matching(&engine.decode(black_box(fields)), &mut scratch).len()).sum::<usize>());
    });
    println!("            {:>12.1} alerts per 1000 events", fired as f64 * 1e3 / (ROUNDS * EVENTS) as f64);
}
