//! What the user reads: lines on stdout, errors on stderr. A reader that has gone is no fault.

use std::io::{self, ErrorKind, Write};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

/// Fewest items for which a progress bar is shown.
const BAR_FROM: usize = 4;

/// Where a command prints.
pub(super) struct Console {
    quiet: bool,
    bar: ProgressBar,
}

impl Console {
    /// A console without a progress bar.
    pub(super) fn new(quiet: bool) -> Self {
        Self {
            quiet,
            bar: ProgressBar::hidden(),
        }
    }

    /// The same console with a bar for `items` steps, where there are many and somebody watches.
    pub(super) fn with_progress(&self, items: usize) -> Self {
        let bar = if self.quiet || items < BAR_FROM {
            ProgressBar::hidden()
        } else {
            ProgressBar::new(items as u64)
        };
        if let Ok(style) = ProgressStyle::with_template("{bar:32} {pos}/{len} images, {eta} left") {
            bar.set_style(style);
        }
        Self {
            quiet: self.quiet,
            bar,
        }
    }

    /// One step of the bar is done.
    pub(super) fn advance(&self) {
        self.bar.inc(1);
    }

    /// Prints a line for people; nothing when quiet.
    pub(super) fn say(&self, line: &str) -> anyhow::Result<()> {
        if self.quiet { Ok(()) } else { self.print(line) }
    }

    /// Prints a line of data, also when quiet.
    pub(super) fn print(&self, line: &str) -> anyhow::Result<()> {
        let written = self.bar.suspend(|| writeln!(io::stdout().lock(), "{line}"));
        still_read(written).map(|_| ())
    }

    /// Prints a line about something odd that stops nothing.
    pub(super) fn warn(&self, line: &str) {
        if !self.quiet {
            // Nobody listens where even this cannot be written.
            self.bar
                .suspend(|| drop(writeln!(io::stderr().lock(), "warning: {line}")));
        }
    }

    /// Prints an error with its causes on one line.
    pub(super) fn error(&self, error: &anyhow::Error) {
        self.bar.suspend(|| complain(&one_line(error)));
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Whether the reader of stdout is still there, from the result of a write.
pub(super) fn still_read(written: io::Result<()>) -> anyhow::Result<bool> {
    match written {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(e)
            .context("stdout: cannot write; check the free space or the program that reads it"),
    }
}

/// Prints an error line on stderr.
pub(super) fn complain(text: &str) {
    let words: Vec<&str> = text.split_whitespace().collect();
    // Nobody listens where even this cannot be written.
    let _ = writeln!(io::stderr().lock(), "error: {}", words.join(" "));
}

/// An error and those of its causes that it does not already quote.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_joined_and_never_repeated() {
        let io = io::Error::other("the disk is full");
        assert_eq!(
            one_line(&anyhow::Error::new(io).context("a.json: cannot write")),
            "a.json: cannot write: the disk is full"
        );
        let io = io::Error::other("full");
        assert_eq!(
            one_line(&anyhow::Error::new(io).context("a.json: cannot write (full); free space")),
            "a.json: cannot write (full); free space"
        );
    }
}
