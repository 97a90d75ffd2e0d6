//! test, `[`: conditions.

use crate::shell::{filesystem::Kind, process::Process};

pub async fn run(process: &Process, name: &str, arguments: &[String]) -> i32 {
    let mut arguments = arguments;
    if name == "[" {
        match arguments.split_last() {
            Some((last, rest)) if last == "]" => arguments = rest,
            _ => {
                process.err("[: missing ]\n").await;
                return 2;
            }
        }
    }
    let mut test = Test { process, words: arguments, at: 0, error: None, depth: 0 };
    let value = !arguments.is_empty() && test.or();
    if test.error.is_none() && test.at < arguments.len() {
        test.error = Some(format!("{}: unknown operand", arguments[test.at]));
    }
    match test.error {
        Some(error) => {
            process.err(format!("{name}: {error}\n")).await;
            2
        }
        None => i32::from(!value),
    }
}

struct Test<'a> {
    process: &'a Process,
    words: &'a [String],
    at: usize,
    error: Option<String>,
    depth: u32,
}

impl Test<'_> {
    fn word(&self, ahead: usize) -> Option<&str> {
        self.words.get(self.at + ahead).map(String::as_str)
    }

    fn or(&mut self) -> bool {
        let mut value = self.and();
        while self.word(0) == Some("-o") {
            self.at += 1;
            value |= self.and();
        }
        value
    }

    fn and(&mut self) -> bool {
        let mut value = self.not();
        while self.word(0) == Some("-a") {
            self.at += 1;
            value &= self.not();
        }
        value
    }

    fn not(&mut self) -> bool {
        self.depth += 1;
        if self.depth > 100 {
            self.error = Some("too deep".to_owned());
            return false;
        }
        if self.word(0) == Some("!") && self.words.len() > self.at + 1 {
            self.at += 1;
            return !self.not();
        }
        self.primary()
    }

    fn primary(&mut self) -> bool {
        let Some(first) = self.word(0).map(str::to_owned) else {
            self.error = Some("argument expected".to_owned());
            return false;
        };
        if let (Some(operator), Some(right)) = (self.word(1).map(str::to_owned), self.word(2).map(str::to_owned))
            && let Some(value) = self.binary(&first, &operator, &right)
        {
            self.at += 3;
            return value;
        }
        if first == "(" {
            self.at += 1;
            let value = self.or();
            self.at += 1;
            return value;
        }
        if first.len() == 2
            && first.starts_with('-')
            && let Some(operand) = self.word(1).map(str::to_owned)
        {
            self.at += 2;
            return self.unary(&first, &operand);
        }
        self.at += 1;
        !first.is_empty()
    }

    fn unary(&mut self, operator: &str, operand: &str) -> bool {
        match operator {
            "-n" => return !operand.is_empty(),
            "-z" => return operand.is_empty(),
            "-t" => return self.process.stdin.terminal,
            _ => {}
        }
        let link = matches!(operator, "-h" | "-L");
        let Ok(found) = self.process.find(operand, !link) else {
            if !matches!(
                operator,
                "-e" | "-f" | "-d" | "-r" | "-w" | "-x" | "-s" | "-h" | "-L" | "-b" | "-c" | "-p" | "-S" | "-O" | "-G" | "-u" | "-g" | "-k"
            ) {
                self.error = Some(format!("{operator}: unknown operand"));
            }
            return false;
        };
        let who = &self.process.who;
        match operator {
            "-f" => matches!(found.inode.kind, Kind::File(_)),
            "-d" => found.inode.is_directory(),
            "-r" => who.allows(&found.inode, 4),
            "-w" => who.allows(&found.inode, 2) && !found.mount.read_only,
            "-x" => who.allows(&found.inode, 1),
            "-s" => found.inode.size() > 0,
            "-h" | "-L" => matches!(found.inode.kind, Kind::Symlink(_)),
            "-b" => matches!(found.inode.kind, Kind::Device { block: true, .. }),
            "-c" => matches!(found.inode.kind, Kind::Device { block: false, .. }),
            "-p" => matches!(found.inode.kind, Kind::Pipe),
            "-S" => matches!(found.inode.kind, Kind::Socket),
            "-O" => found.inode.uid == who.uid,
            "-G" => found.inode.gid == who.gid,
            "-e" => true,
            _ => false,
        }
    }

    fn binary(&mut self, left: &str, operator: &str, right: &str) -> Option<bool> {
        let mut numbers = || -> Option<(i64, i64)> {
            let mut one = |text: &str| match text.trim().parse() {
                Ok(n) => Some(n),
                Err(_) => {
                    self.error = Some(format!("{text}: bad number"));
                    None
                }
            };
            Some((one(left)?, one(right)?))
        };
        Some(match operator {
            "=" | "==" => left == right,
            "!=" => left != right,
            "<" => left < right,
            ">" => left > right,
            "-eq" => numbers().is_some_and(|(a, b)| a == b),
            "-ne" => numbers().is_some_and(|(a, b)| a != b),
            "-lt" => numbers().is_some_and(|(a, b)| a < b),
            "-le" => numbers().is_some_and(|(a, b)| a <= b),
            "-gt" => numbers().is_some_and(|(a, b)| a > b),
            "-ge" => numbers().is_some_and(|(a, b)| a >= b),
            _ => return None,
        })
    }
}
