//! The supervisor as a program of its own: what `stoa supervise` is, without the rest of `stoa`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1).peekable();
    let _named_as_in_stoa = words.next_if(|word| word == "supervise");
    agent::supervise(words)
}
