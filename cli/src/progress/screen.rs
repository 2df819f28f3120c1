//! The display: on a terminal a block of lines that is redrawn in place, otherwise plain lines.

use std::io::{IsTerminal, Write, stdout};

use super::board::Line;

/// Lines of a terminal that tells no size.
const USUAL: (usize, usize) = (24, 100);

/// Standard output as a display.
#[derive(Debug)]
pub(crate) struct Screen {
    live: bool,
    drawn: usize,
}

impl Screen {
    /// Live when standard output is a terminal that can move its cursor.
    pub(crate) fn detect() -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self {
            live: stdout().is_terminal() && !dumb,
            drawn: 0,
        }
    }

    /// Prints lines of the board; a live display keeps only the lasting ones.
    pub(crate) fn print(&mut self, lines: &[Line]) {
        let live = self.live;
        for line in lines.iter().filter(|line| line.lasting || !live) {
            self.say(&line.text);
        }
    }

    /// Prints a line above the block.
    pub(crate) fn say(&mut self, text: &str) {
        self.clear();
        write(&format!("{text}\n"));
    }

    /// Puts `lines` in place of the block drawn before.
    pub(crate) fn draw(&mut self, lines: &[String]) {
        if !self.live {
            return;
        }
        let (height, width) = size();
        let room = height.saturating_sub(2).max(1);
        let mut text = self.erase();
        for line in lines.iter().take(room) {
            text.extend(line.chars().take(width));
            text.push('\n');
        }
        self.drawn = lines.len().min(room);
        write(&text);
    }

    /// Removes the block.
    pub(crate) fn clear(&mut self) {
        let erase = self.erase();
        self.drawn = 0;
        write(&erase);
    }

    fn erase(&self) -> String {
        match self.drawn {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\x1b[J"),
        }
    }
}

fn size() -> (usize, usize) {
    let Ok(size) = rustix::termios::tcgetwinsize(stdout()) else {
        return USUAL;
    };
    let or = |told: u16, usual: usize| if told == 0 { usual } else { usize::from(told) };
    (or(size.ws_row, USUAL.0), or(size.ws_col, USUAL.1))
}

/// A display that nobody can see any more is no reason to stop the work.
fn write(text: &str) {
    let mut out = stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        tracing::debug!(%error, "standard output");
    }
}
