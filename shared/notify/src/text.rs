//! A page as plain text, readable in any client and on a watch.

use crate::page::{Block, Page};

/// Prose is folded before this column: long lines are hard to read, and some clients never fold.
const WIDTH_CHARS: usize = 76;
const INDENT: &str = "  ";

/// The page as plain text, lines ending with `\n`.
pub(crate) fn render(page: &Page) -> String {
    let mut out = String::new();
    fold(&mut out, &format!("{}: {}", page.place, page.headline), "", "");
    for block in &page.blocks {
        out.push('\n');
        match block {
            Block::Facts(facts) => render_facts(&mut out, facts),
            Block::Prose { heading, text } => {
                line(&mut out, heading);
                fold(&mut out, text, INDENT, INDENT);
            }
            Block::Steps { heading, items } => {
                line(&mut out, heading);
                for item in items {
                    fold(&mut out, item, &format!("{INDENT}- "), &format!("{INDENT}{INDENT}"));
                }
            }
            Block::Quote { heading, lines } => {
                line(&mut out, heading);
                for quoted in lines {
                    line(&mut out, &format!("{INDENT}| {quoted}"));
                }
            }
            Block::Actions { heading, commands, links } => {
                line(&mut out, heading);
                for action in commands.iter().chain(links) {
                    line(&mut out, &format!("{INDENT}{action}"));
                }
            }
            Block::Table { heading, rows } => render_table(&mut out, heading, rows),
        }
    }
    // `-- ` begins a signature: clients grey it out and leave it off when answering.
    out.push_str("\n-- \n");
    fold(&mut out, &page.footer, "", "");
    out
}

fn render_facts(out: &mut String, facts: &[(&'static str, String)]) {
    let width = facts.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
    for (label, fact) in facts {
        let first = format!("{INDENT}{label:width$}{INDENT}");
        fold(out, fact, &first, &" ".repeat(first.chars().count()));
    }
}

fn render_table(out: &mut String, heading: &str, rows: &[[String; 3]]) {
    line(out, heading);
    let width = rows.iter().map(|row| row[0].chars().count()).max().unwrap_or(0);
    for [service, time, because] in rows {
        line(out, format!("{INDENT}{service:width$}{INDENT}{time}{INDENT}{because}").trim_end());
    }
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

/// Writes `text` folded at spaces, the first line after `first`, the others after `rest`. A word that does not fit
/// stands alone on its line: a command or an address that was cut could not be copied.
fn fold(out: &mut String, text: &str, first: &str, rest: &str) {
    out.push_str(first);
    let mut column = first.chars().count();
    let mut fresh = true;
    for word in text.split(' ') {
        let width = word.chars().count();
        if !fresh && column + 1 + width > WIDTH_CHARS {
            out.push('\n');
            out.push_str(rest);
            column = rest.chars().count();
            fresh = true;
        }
        if !fresh {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width;
        fresh = false;
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_prose_is_folded_at_spaces_and_never_inside_a_word() {
        let long = "x".repeat(100);
        let prose = format!("{} {long} {}", ["lantern"; 20].join(" "), ["lantern"; 20].join(" "));
        let mut out = String::new();
        fold(&mut out, &prose, "  - ", "    ");
        assert!(out.lines().all(|l| l.chars().count() <= WIDTH_CHARS || l.trim() == long), "{out}");
        assert_eq!(out.lines().filter(|l| l.trim() == long).count(), 1, "{out}");
        assert!(
            out.starts_with("  - lantern") && out.lines().skip(1).all(|l| l.starts_with("    ")),
            "{out}"
        );
        assert_eq!(out.split_whitespace().skip(1).collect::<Vec<_>>().join(" "), prose);
    }
}
