//! sh: a script, a line, or a conversation.

use crate::shell::{Shell, process::Process};

pub async fn run(process: &mut Process, arguments: &[String]) -> i32 {
    let mut shell = Shell::new(process.clone(), &arguments[0]);
    let mut rest = &arguments[1..];
    let mut line = false;
    while let Some(option) = rest.first().filter(|a| a.len() > 1 && a.starts_with(['-', '+'])) {
        if option == "-o" {
            rest = &rest[1..];
        } else if !option.starts_with("--") {
            for letter in option[1..].chars() {
                match letter {
                    'c' => line = true,
                    'e' => shell.errexit = true,
                    'u' => shell.nounset = true,
                    'x' => shell.xtrace = true,
                    'i' | 'l' | 's' => {}
                    _ => {
                        process.err(format!("{}: illegal option -{letter}\n", shell.prefix())).await;
                        return 2;
                    }
                }
            }
        }
        rest = rest.get(1..).unwrap_or_default();
    }
    if line {
        let Some(source) = rest.first() else {
            process.err(format!("{}: -c requires an argument\n", shell.prefix())).await;
            return 2;
        };
        if let Some(name) = rest.get(1) {
            shell.name.clone_from(name);
        }
        shell.positional = rest.get(2..).unwrap_or_default().to_vec();
        shell.last = true;
        return shell.script(source).await;
    }
    if let Some(file) = rest.first() {
        return match process.read(file) {
            Ok(content) => {
                shell.positional = rest[1..].to_vec();
                shell.name.clone_from(file);
                shell.script(&String::from_utf8_lossy(&content)).await
            }
            Err(error) => {
                process.err(format!("{}: can't open '{file}': {error}\n", shell.prefix())).await;
                2
            }
        };
    }
    shell.interactive = process.stdin.terminal;
    shell.interact().await
}

/// A file that was executed: by its first line's interpreter where that is a shell.
pub async fn script(process: &mut Process, arguments: &[String], content: &[u8]) -> i32 {
    let text = String::from_utf8_lossy(content).into_owned();
    let interpreter = text.lines().next().and_then(|l| l.strip_prefix("#!")).unwrap_or("/bin/sh").trim().to_owned();
    if !interpreter.contains("sh") {
        process.err(format!("{}: {interpreter}: this interpreter is not simulated by Cordon (cordon.dev/simulated)\n", arguments[0])).await;
        return 126;
    }
    let mut shell = Shell::new(process.clone(), &arguments[0]);
    shell.positional = arguments[1..].to_vec();
    shell.errexit = interpreter.ends_with("-e");
    shell.script(&text).await
}
