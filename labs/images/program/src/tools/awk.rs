//! awk: its command line; the language is awk-rs.

use awk_rs::{Interpreter, Lexer, Parser};
use std::{
    fs::File,
    io::{self, BufRead, BufReader},
};

pub fn run(arguments: &[String]) -> i32 {
    match program(arguments) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("awk: {why}");
            2
        }
    }
}

fn program(arguments: &[String]) -> Result<i32, Box<dyn std::error::Error>> {
    // awk's options end at the program, which getopt would pass over.
    let (mut separator, mut source, mut variables) = (" ".to_owned(), None, Vec::new());
    let mut rest = arguments.iter();
    let mut files = Vec::new();
    while let Some(argument) = rest.next() {
        let (letter, inline) = argument.split_at_checked(2).unwrap_or((argument, ""));
        let mut value =
            || if inline.is_empty() { rest.next().cloned().ok_or("an option lacks its argument") } else { Ok(inline.to_owned()) };
        match letter {
            "-F" => separator = value()?.replace("\\t", "\t"),
            "-v" => variables.push(value()?),
            "-f" => source = Some(std::fs::read_to_string(value()?)?),
            "--" => {}
            _ if source.is_none() => source = Some(argument.clone()),
            _ => files.push(argument.clone()),
        }
    }
    let source = source.ok_or("no program text")?;
    let program = Parser::new(Lexer::new(&source).tokenize()?).parse()?;
    let mut interpreter = Interpreter::new(&program);
    interpreter.set_fs(&separator);
    interpreter.set_args(std::iter::once("awk".to_owned()).chain(files.iter().cloned()).collect());
    for assignment in &variables {
        let (name, value) = assignment.split_once('=').ok_or("-v wants NAME=VALUE")?;
        interpreter.set_variable(name, value);
    }
    if files.is_empty() {
        files.push("-".to_owned());
    }
    let mut inputs: Vec<Box<dyn BufRead>> = Vec::new();
    for file in &files {
        if file == "-" {
            inputs.push(Box::new(BufReader::new(io::stdin())));
        } else {
            inputs.push(Box::new(BufReader::new(File::open(file).map_err(|error| format!("{file}: {}", crate::host::words(&error)))?)));
        }
    }
    interpreter.set_filenames(files);
    Ok(interpreter.run(inputs, &mut io::stdout().lock())?)
}
