//! The only functions that write to the terminal: data to stdout, everything else to stderr.

use std::io::{self, IsTerminal, Write};

use crate::environment;

/// Width where stdout is no terminal, in columns.
const PLAIN_WIDTH: usize = 120;

/// Writes data. A closed pipe is an error that ends the command quietly.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        stdout.write_all(b"\n")?;
    }
    stdout.flush()
}

/// Writes for the person who watches. Nobody to read it is no reason to stop.
pub(crate) fn say(text: &str) {
    if !text.is_empty() {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}

pub(crate) fn stdout_has_color() -> bool {
    io::stdout().is_terminal() && !environment::no_color()
}

pub(crate) fn stderr_has_color() -> bool {
    io::stderr().is_terminal() && !environment::no_color()
}

/// How many columns stdout has.
pub(crate) fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok();
    size.map(|size| usize::from(size.ws_col)).filter(|width| *width > 0).unwrap_or(PLAIN_WIDTH)
}
