//! The supervisor as a program of its own: what `stoa supervise` is, without the rest of `stoa`.

use std::process::ExitCode;

fn main() -> ExitCode {
    agent::supervise(std::env::args_os().skip(1))
}
