//! Runs parsed scripts: the shell itself.

use super::{
    builtins, commands, glob,
    machine::{Control, ProcessEntry},
    parser::parse,
    process::Process,
    streams::{Input, Output},
    syntax::{Command, Compound, Redirect, RedirectKind, SyntaxError, Word},
};
use crate::catalogue::ToolSet;
use futures::future::BoxFuture;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
};

/// What leaves a command's normal course.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    Break(u32),
    Continue(u32),
    Return(i32),
    Exit(i32),
}

/// How deep commands, functions, substitutions and programs may call each other: they share one stack.
pub const MOST_DEPTH: u32 = 40;

#[derive(Debug, Clone)]
pub struct Shell {
    pub process: Process,
    pub variables: BTreeMap<String, String>,
    pub exported: BTreeSet<String>,
    pub functions: BTreeMap<String, Arc<Command>>,
    pub positional: Vec<String>,
    pub name: String,
    pub status: i32,
    pub errexit: bool,
    pub nounset: bool,
    pub xtrace: bool,
    pub interactive: bool,
    /// By signal; 0 is EXIT.
    pub traps: BTreeMap<i32, String>,
    pub flow: Option<Flow>,
    pub last_background: Option<u32>,
    pub background: Vec<(u32, tokio::sync::watch::Receiver<Option<i32>>)>,
    /// Inside a condition, where a failure does not end the shell.
    tested: u32,
    /// What runs now is the last that the shell has to do: a program takes its place instead of becoming its child.
    pub last: bool,
}

impl Shell {
    pub fn new(process: Process, name: &str) -> Self {
        Self {
            variables: process.environment.clone(),
            // What is no name to a shell, it does not hand on.
            exported: process.environment.keys().filter(|name| is_name(name)).cloned().collect(),
            process,
            functions: BTreeMap::new(),
            positional: Vec::new(),
            name: name.to_owned(),
            status: 0,
            errexit: false,
            nounset: false,
            xtrace: false,
            interactive: false,
            traps: BTreeMap::new(),
            flow: None,
            last_background: None,
            background: Vec::new(),
            tested: 0,
            last: false,
        }
    }

    pub fn subshell(&self) -> Self {
        let mut shell = Self { traps: BTreeMap::new(), interactive: false, last: false, ..self.clone() };
        shell.process.depth += 1;
        shell
    }

    pub fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    pub fn assign(&mut self, name: &str, value: String) {
        if value.len() > super::streams::CAPTURE_LIMIT && self.process.is_too_much(64 << 20) {
            // A value that doubles with every turn is through the container's memory a few turns later.
            self.process.run_out_of_memory();
        } else if value.len() <= super::streams::CAPTURE_LIMIT && (self.variables.len() < 5_000 || self.variables.contains_key(name)) {
            self.variables.insert(name.to_owned(), value);
        }
    }

    /// How this shell begins a message: dash counts lines, ash does not.
    pub fn prefix(&self) -> String {
        let name = self.name.rsplit('/').next().unwrap_or("sh").trim_start_matches('-').to_owned();
        match (self.process.machine.tools.set, name.as_str()) {
            (ToolSet::Debian, "sh" | "dash") => format!("{name}: 1"),
            (_, "bash") => "bash: line 1".to_owned(),
            _ => name,
        }
    }

    async fn complain(&self, text: &str) {
        self.process.err(format!("{}: {text}\n", self.prefix())).await;
    }

    /// A whole script with its traps; returns the exit code.
    pub async fn script(&mut self, source: &str) -> i32 {
        match parse(source) {
            Ok(command) => {
                self.run(&command).await;
            }
            Err(SyntaxError::Incomplete(message) | SyntaxError::Unexpected(message)) => {
                self.complain(&format!("syntax error: {message}")).await;
                self.status = 2;
            }
        }
        self.end().await
    }

    /// Runs the EXIT trap and tells the exit code.
    pub async fn end(&mut self) -> i32 {
        let code = match self.flow.take() {
            Some(Flow::Exit(code) | Flow::Return(code)) => code,
            _ => self.status,
        };
        if let Some(trap) = self.traps.remove(&0)
            && let Ok(command) = parse(&trap)
        {
            self.status = code;
            self.run(&command).await;
            if let Some(Flow::Exit(code)) = self.flow.take() {
                return code;
            }
        }
        code
    }

    pub fn run<'a>(&'a mut self, command: &'a Command) -> BoxFuture<'a, i32> {
        Box::pin(async move {
            if self.process.depth > MOST_DEPTH {
                self.complain("maximum nesting level exceeded").await;
                self.flow = Some(Flow::Exit(2));
                return 2;
            }
            if !self.process.step().await && !self.signal().await {
                return self.status;
            }
            self.process.depth += 1;
            let status = self.dispatch(command).await;
            self.process.depth -= 1;
            self.status = status;
            if self.process.control.pending().is_some() {
                self.signal().await;
            }
            self.status
        })
    }

    /// A pending signal: runs its trap, or ends the shell. True: go on.
    async fn signal(&mut self) -> bool {
        let Some(signal) = self.process.control.pending() else {
            self.status = 137;
            self.flow = Some(Flow::Exit(137));
            return false;
        };
        if let Some(trap) = self.traps.get(&signal).cloned() {
            self.process.control.take();
            let before = self.status;
            if let Ok(command) = parse(&trap) {
                self.run(&command).await;
            }
            self.status = before;
            return self.flow.is_none();
        }
        if self.interactive && signal == 2 {
            self.process.control.take();
            self.status = 130;
            self.flow = Some(Flow::Return(130));
            return false;
        }
        self.status = 128 + signal;
        self.flow = Some(Flow::Exit(self.status));
        false
    }

    async fn dispatch(&mut self, command: &Command) -> i32 {
        match command {
            Command::List(commands) => {
                let last = std::mem::take(&mut self.last);
                for (at, (command, background)) in commands.iter().enumerate() {
                    self.last = last && at + 1 == commands.len();
                    if *background {
                        self.start_background(command);
                        self.status = 0;
                        continue;
                    }
                    let status = self.run(command).await;
                    if self.flow.is_some() {
                        return status;
                    }
                    let may_fail = matches!(command, Command::And(..) | Command::Or(..) | Command::Pipeline { negated: true, .. });
                    if status != 0 && self.errexit && self.tested == 0 && !may_fail {
                        self.flow = Some(Flow::Exit(status));
                        return status;
                    }
                }
                self.status
            }
            Command::And(left, right) => {
                let status = self.condition(left).await;
                if status == 0 && self.flow.is_none() { self.run(right).await } else { status }
            }
            Command::Or(left, right) => {
                let status = self.condition(left).await;
                if status != 0 && self.flow.is_none() { self.run(right).await } else { status }
            }
            Command::Pipeline { commands, negated } => {
                let status = match commands.as_slice() {
                    [only] if *negated => self.condition(only).await,
                    [only] => {
                        self.tested += 1;
                        let status = self.run(only).await;
                        self.tested -= 1;
                        status
                    }
                    _ => self.pipeline(commands).await,
                };
                if *negated { i32::from(status == 0) } else { status }
            }
            Command::Function { name, body } => {
                self.functions.insert(name.clone(), Arc::new((**body).clone()));
                0
            }
            Command::Compound { body, redirects } => self.compound(body, redirects).await,
            Command::Simple { assignments, words, redirects } => self.simple(assignments, words, redirects).await,
        }
    }

    async fn condition(&mut self, command: &Command) -> i32 {
        let last = std::mem::take(&mut self.last);
        self.tested += 1;
        let status = self.run(command).await;
        self.tested -= 1;
        self.last = last;
        status
    }

    async fn pipeline(&mut self, commands: &[Command]) -> i32 {
        let mut stages = Vec::new();
        let mut input = self.process.stdin.clone();
        for (i, command) in commands.iter().enumerate() {
            let mut shell = self.subshell();
            shell.process.stdin = input;
            let last = i + 1 == commands.len();
            if last {
                input = Input::empty();
            } else {
                let (output, next) = Output::pipe();
                shell.process.stdout = output;
                input = next;
            }
            stages.push(async move {
                shell.run(command).await;
                // The pipe's ends close with the stage.
                shell.end().await
            });
        }
        let statuses = futures::future::join_all(stages).await;
        statuses.last().copied().unwrap_or(0)
    }

    fn start_background(&mut self, command: &Command) {
        if self.process.machine.processes.count() >= 512 {
            self.status = 254;
            return;
        }
        let mut shell = self.subshell();
        shell.process.control = Arc::new(Control::default());
        shell.process.stdin = Input::empty();
        let pid = shell.register(std::slice::from_ref(&self.name));
        shell.process.pid = pid;
        let command = command.clone();
        let (ended, receiver) = tokio::sync::watch::channel(None);
        self.last_background = Some(pid);
        self.background.push((pid, receiver));
        let machine = Arc::clone(&self.process.machine);
        machine.clone().spawner.spawn(Box::pin(async move {
            shell.run(&command).await;
            let code = shell.end().await;
            ended.send_replace(Some(code));
            machine.processes.remove(pid);
        }));
    }

    fn register(&self, arguments: &[String]) -> u32 {
        self.process.machine.processes.add(ProcessEntry {
            pid: 0,
            parent: self.process.pid,
            arguments: arguments.to_vec(),
            who: self.process.who.clone(),
            environment: Arc::new(self.environment().into_iter().collect()),
            started: self.process.now(),
            control: Arc::clone(&self.process.control),
            init: false,
            container: String::new(),
            root: Some(Arc::clone(&self.process.machine.view)),
            from_outside: false,
        })
    }

    fn environment(&self) -> BTreeMap<String, String> {
        self.exported.iter().filter_map(|name| Some((name.clone(), self.variables.get(name)?.clone()))).collect()
    }

    async fn compound(&mut self, body: &Compound, redirects: &[Redirect]) -> i32 {
        let saved = (self.process.stdin.clone(), self.process.stdout.clone(), self.process.stderr.clone());
        if let Err(message) = self.redirect(redirects).await {
            self.complain(&message).await;
            (self.process.stdin, self.process.stdout, self.process.stderr) = saved;
            return 1;
        }
        let status = self.compound_body(body).await;
        (self.process.stdin, self.process.stdout, self.process.stderr) = saved;
        status
    }

    async fn compound_body(&mut self, body: &Compound) -> i32 {
        match body {
            Compound::Group(list) => self.run(list).await,
            Compound::Subshell(list) => {
                let mut shell = self.subshell();
                shell.run(list).await;
                shell.end().await
            }
            Compound::If { branches, otherwise } => {
                for (condition, then) in branches {
                    let status = self.condition(condition).await;
                    if self.flow.is_some() {
                        return status;
                    }
                    if status == 0 {
                        return self.run(then).await;
                    }
                }
                match otherwise {
                    Some(otherwise) => self.run(otherwise).await,
                    None => 0,
                }
            }
            Compound::While { condition, body, until } => {
                self.last = false;
                let mut status = 0;
                loop {
                    let outcome = self.condition(condition).await;
                    if self.flow.is_some() || (outcome == 0) == *until {
                        break;
                    }
                    status = self.run(body).await;
                    if self.leave_loop() {
                        break;
                    }
                }
                status
            }
            Compound::For { variable, words, body } => {
                self.last = false;
                let values = match words {
                    Some(words) => match self.expand_fields(words).await {
                        Ok(values) => values,
                        Err(message) => return self.fatal(&message).await,
                    },
                    None => self.positional.clone(),
                };
                let mut status = 0;
                for value in values {
                    self.assign(variable, value);
                    status = self.run(body).await;
                    if self.leave_loop() {
                        break;
                    }
                }
                status
            }
            Compound::Case { word, arms } => {
                let text = match self.expand_text(word).await {
                    Ok(text) => text,
                    Err(message) => return self.fatal(&message).await,
                };
                for (patterns, list) in arms {
                    for pattern in patterns {
                        let pattern = self.expand_pattern(pattern).await.unwrap_or_default();
                        if glob::matches(&pattern, &text) {
                            return self.run(list).await;
                        }
                    }
                }
                0
            }
        }
    }

    /// After a loop's body: whether to leave the loop.
    fn leave_loop(&mut self) -> bool {
        match self.flow {
            Some(Flow::Break(n)) => {
                self.flow = (n > 1).then(|| Flow::Break(n - 1));
                true
            }
            Some(Flow::Continue(n)) => {
                self.flow = (n > 1).then(|| Flow::Continue(n - 1));
                n > 1
            }
            Some(_) => true,
            None => false,
        }
    }

    async fn fatal(&mut self, message: &str) -> i32 {
        self.complain(message).await;
        if !self.interactive {
            self.flow = Some(Flow::Exit(2));
        }
        2
    }

    async fn redirect(&mut self, redirects: &[Redirect]) -> Result<(), String> {
        for redirect in redirects {
            let target = self.expand_text(&redirect.target).await?;
            match redirect.kind {
                RedirectKind::Here => self.process.stdin = Input::bytes(target),
                RedirectKind::Read => {
                    let input = self.process.open(&target).map_err(|e| format!("can't open {target}: {}", softened(e, "no such file")))?;
                    if redirect.descriptor == 0 {
                        self.process.stdin = input;
                    }
                }
                RedirectKind::Write | RedirectKind::Append => {
                    let append = redirect.kind == RedirectKind::Append;
                    let output = self
                        .process
                        .create(&target, append)
                        .map_err(|e| format!("can't create {target}: {}", softened(e, "nonexistent directory")))?;
                    match redirect.descriptor {
                        1 => self.process.stdout = output,
                        2 => self.process.stderr = output,
                        _ => {}
                    }
                }
                RedirectKind::Duplicate => match (redirect.descriptor, target.as_str()) {
                    (1, "2") => self.process.stdout = self.process.stderr.clone(),
                    (2, "1") => self.process.stderr = self.process.stdout.clone(),
                    (1, "-") => self.process.stdout = Output::Null,
                    (2, "-") => self.process.stderr = Output::Null,
                    (0, "-") => self.process.stdin = Input::empty(),
                    (_, digits) if digits.parse::<u32>().is_ok() => {}
                    (_, other) => return Err(format!("{other}: bad file descriptor")),
                },
            }
        }
        Ok(())
    }

    async fn simple(&mut self, assignments: &[(String, Word)], words: &[Word], redirects: &[Redirect]) -> i32 {
        self.status = if words.is_empty() { 0 } else { self.status };
        let arguments = match self.expand_fields(words).await {
            Ok(arguments) => arguments,
            Err(message) => return self.fatal(&message).await,
        };
        let mut values = Vec::new();
        for (name, word) in assignments {
            match self.expand_text(word).await {
                Ok(value) => values.push((name.clone(), value)),
                Err(message) => return self.fatal(&message).await,
            }
        }
        if self.xtrace {
            let line: Vec<_> = values.iter().map(|(n, v)| format!("{n}={v}")).chain(arguments.iter().cloned()).collect();
            self.process.err(format!("+ {}\n", line.join(" "))).await;
        }
        let saved = (self.process.stdin.clone(), self.process.stdout.clone(), self.process.stderr.clone());
        if let Err(message) = self.redirect(redirects).await {
            (self.process.stdin, self.process.stdout, self.process.stderr) = saved;
            self.complain(&message).await;
            return 1;
        }
        let Some(name) = arguments.first().cloned() else {
            let status = self.status;
            for (name, value) in values {
                self.assign(&name, value);
            }
            (self.process.stdin, self.process.stdout, self.process.stderr) = saved;
            return status;
        };
        let keeps = name == "exec" && arguments.len() == 1;
        let status = self.call(&name, &arguments, values).await;
        if !keeps {
            (self.process.stdin, self.process.stdout, self.process.stderr) = saved;
        }
        status
    }

    async fn call(&mut self, name: &str, arguments: &[String], values: Vec<(String, String)>) -> i32 {
        if let Some(body) = self.functions.get(name).cloned() {
            self.last = false;
            let saved = std::mem::replace(&mut self.positional, arguments[1..].to_vec());
            let mut status = self.run(&body).await;
            if let Some(Flow::Return(code)) = self.flow {
                self.flow = None;
                status = code;
            }
            self.positional = saved;
            return status;
        }
        if builtins::is_special(name) {
            for (name, value) in values {
                self.assign(&name, value);
            }
            return builtins::run(self, arguments).await;
        }
        if name == "kill" {
            // The shell's own: it complains in the shell's name.
            let process = Process { name: self.prefix(), ..self.process.clone() };
            return commands::kill::run(&process, name, &arguments[1..]).await;
        }
        let mut environment = self.environment();
        environment.extend(values);
        self.external(arguments, environment).await
    }

    /// Runs a program as a child and waits for it.
    pub async fn external(&mut self, arguments: &[String], environment: BTreeMap<String, String>) -> i32 {
        let name = &arguments[0];
        match commands::locate(&self.process, name, environment.get("PATH").map(String::as_str)) {
            commands::Located::Program => {}
            commands::Located::Denied => {
                self.complain(&format!("{name}: Permission denied")).await;
                return 126;
            }
            commands::Located::Missing => {
                let bash = self.prefix().starts_with("bash");
                self.complain(&format!("{name}: {}not found", if bash { "command " } else { "" })).await;
                return 127;
            }
        }
        let mut child = self.process.clone();
        child.environment = environment;
        if std::mem::take(&mut self.last) && self.traps.is_empty() && self.process.pid != 0 {
            self.process.machine.processes.rename(self.process.pid, arguments.to_vec());
            return Box::pin(commands::run(&mut child, arguments)).await;
        }
        child.parent = self.process.pid;
        child.pid = self.register(arguments);
        let pid = child.pid;
        let status = Box::pin(commands::run(&mut child, arguments)).await;
        self.process.machine.processes.remove(pid);
        if status == 130 && self.interactive {
            self.process.out("\n").await;
        }
        status
    }

    /// Lines from the input, one complete command after the other; prompts where a person sits there.
    pub async fn interact(&mut self) -> i32 {
        let mut source = String::new();
        if self.interactive {
            self.process.control.handled.fetch_or(1 << 2, Ordering::SeqCst);
        }
        loop {
            if self.interactive {
                let prompt = if source.is_empty() { self.prompt() } else { "> ".to_owned() };
                self.process.out(prompt).await;
            }
            let input = self.process.stdin.clone();
            let Some(line) = super::machine::unless_signalled(&self.process, input.line()).await else {
                if self.interactive && self.process.control.pending() == Some(2) {
                    self.process.control.take();
                    self.process.out("\n").await;
                    source.clear();
                    continue;
                }
                self.signal().await;
                return self.end().await;
            };
            let at_end = line.is_none();
            source.push_str(&String::from_utf8_lossy(&line.unwrap_or_default()));
            match parse(&source) {
                Err(SyntaxError::Incomplete(_)) if !at_end => continue,
                Err(SyntaxError::Incomplete(message) | SyntaxError::Unexpected(message)) => {
                    self.complain(&format!("syntax error: {message}")).await;
                    self.status = 2;
                    if !self.interactive {
                        return self.end().await;
                    }
                }
                Ok(command) => {
                    self.run(&command).await;
                    match self.flow {
                        Some(Flow::Exit(_)) => return self.end().await,
                        Some(_) => self.flow = None,
                        None => {}
                    }
                }
            }
            source.clear();
            if at_end {
                if self.interactive {
                    self.process.out("\n").await;
                }
                return self.end().await;
            }
        }
    }

    fn prompt(&self) -> String {
        let mark = if self.process.who.uid == 0 { '#' } else { '$' };
        let base = self.name.rsplit('/').next().unwrap_or("sh");
        if base.trim_start_matches('-') == "bash" {
            let user = self.process.user_name(self.process.who.uid).unwrap_or_else(|| "I have no name!".to_owned());
            return format!("{user}@{}:{}{mark} ", self.process.machine.facts.hostname, self.process.directory);
        }
        match self.process.machine.tools.set {
            ToolSet::Debian => format!("{mark} "),
            _ => {
                let home = self.variables.get("HOME").cloned().unwrap_or_default();
                let directory = match self.process.directory.strip_prefix(&home) {
                    Some(rest) if home.len() > 1 && (rest.is_empty() || rest.starts_with('/')) => format!("~{rest}"),
                    _ => self.process.directory.clone(),
                };
                format!("{directory} {mark} ")
            }
        }
    }
}

fn is_name(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && !text.starts_with(|c: char| c.is_ascii_digit())
}

/// ash's own words where a path does not exist.
fn softened(error: super::filesystem::Errno, missing: &str) -> String {
    if error == super::filesystem::Errno::NotFound { missing.to_owned() } else { error.to_string() }
}
