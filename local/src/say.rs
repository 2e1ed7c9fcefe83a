//! What is printed, and where: data on stdout, everything else on stderr.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

/// How a command's data is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Plain,
    /// For programs: one JSON value.
    Json,
}

/// Prints data for people on stdout, as it is.
///
/// # Errors
/// If stdout cannot be written. A reader that has gone away (`| head`) is no error: it has read enough.
pub fn data(text: &str) -> io::Result<()> {
    forgive_a_gone_reader(io::stdout().lock().write_all(text.as_bytes()))
}

/// As [`data`], for what goes on and on: a reader that has gone away is an error, so that the printing can end.
///
/// # Errors
/// If stdout cannot be written.
pub fn data_while_read(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Prints a value as JSON on stdout, with a line's end.
///
/// # Errors
/// As [`data`].
pub fn json<T: Serialize>(value: &T) -> io::Result<()> {
    let mut text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
    text.push('\n');
    data(&text)
}

/// Prints a line for people on stderr. If stderr is gone there is nobody to tell.
pub fn note(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

fn forgive_a_gone_reader(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// A colour, as terminals know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// All is well.
    Green,
    /// Worth a look.
    Yellow,
    /// Not well.
    Red,
    /// Of less weight.
    Dim,
}

/// `text` in a colour, if stdout is a terminal that wants colours (`NO_COLOR` is respected).
#[must_use]
pub fn ink(ink: Ink, text: &str) -> String {
    painted(ink, text, coloured(io::stdout().is_terminal()))
}

/// The same for what is written to stderr.
#[must_use]
pub(crate) fn ink_on_stderr(ink: Ink, text: &str) -> String {
    painted(ink, text, coloured(io::stderr().is_terminal()))
}

/// Columns of the terminal at stderr, if it is one and says so.
#[must_use]
pub(crate) fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stderr()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

fn painted(ink: Ink, text: &str, coloured: bool) -> String {
    if !coloured {
        return text.to_owned();
    }
    let code = match ink {
        Ink::Green => 32,
        Ink::Yellow => 33,
        Ink::Red => 31,
        Ink::Dim => 2,
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

fn coloured(is_terminal: bool) -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    !unwanted && !dumb && is_terminal
}

/// Lays rows out in columns, two spaces apart, the last column as long as it likes.
#[must_use]
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| visible(cell)).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width.saturating_sub(visible(cell)) + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A cell that takes at least so many columns.
#[must_use]
pub fn padded(cell: &str, columns: usize) -> String {
    format!("{cell}{}", " ".repeat(columns.saturating_sub(visible(cell))))
}

/// How many columns a cell takes on a screen: colour codes take none.
fn visible(cell: &str) -> usize {
    let mut count = 0;
    let mut in_code = false;
    for c in cell.chars() {
        match (in_code, c) {
            (false, '\u{1b}') => in_code = true,
            (false, _) => count += 1,
            (true, 'm') => in_code = false,
            (true, _) => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_their_colour() {
        let rows = [
            vec!["a".to_owned(), "x".to_owned()],
            vec!["\u{1b}[31mlong\u{1b}[0m".to_owned(), "y".to_owned()],
        ];
        assert_eq!(table(&rows), "a     x\n\u{1b}[31mlong\u{1b}[0m  y\n");
        assert_eq!(table(&[]), "");
    }
}
