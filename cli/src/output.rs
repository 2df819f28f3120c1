//! What commands print: aligned tables, server-side tables, objects in the form `-o` asks for.

pub(crate) mod form;

pub(crate) mod grid;

pub(crate) mod table;

use std::io::{self, Write};

use crate::exit::Outcome;

pub(crate) use form::Form;
pub(crate) use grid::Grid;

/// Prints one line on standard output.
pub(crate) fn line(text: &str) -> Outcome {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// Prints text as it is on standard output.
pub(crate) fn raw(bytes: &[u8]) -> Outcome {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    Ok(out.flush()?)
}

/// Prints the server's warnings on standard error.
pub(crate) fn warn(warnings: &[String]) {
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
}
