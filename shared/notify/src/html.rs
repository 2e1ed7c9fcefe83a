//! A page as HTML: no images, no scripts, nothing fetched, and readable on light and dark screens.

use crate::page::{Block, Page, Tone};

// Mail clients drop much of CSS, so what matters stands in `style` attributes; the sheet only serves dark screens.
const STYLE: &str = "\
:root{color-scheme:light dark;supported-color-schemes:light dark}\
@media (prefers-color-scheme:dark){\
.back{background:#14161a!important}\
.card{background:#1e2127!important;color:#e6e8eb!important;border-left-color:#343942!important;\
border-right-color:#343942!important;border-bottom-color:#343942!important}\
.dim{color:#a3abb6!important}\
.code{background:#14161a!important;color:#e6e8eb!important;border-color:#343942!important}\
.link{color:#7fb4ff!important}\
.bad{color:#ff8f86!important}.warning{color:#f5b94e!important}.good{color:#6cd391!important}}";

const FONT: &str = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif";
const MONO: &str =
    "font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:13px;line-height:1.5";
const CODE: &str = "background:#f3f4f6;color:#1c1f23;border:1px solid #e1e4e8;border-radius:6px;padding:8px 12px;\
                    margin:0 0 6px;white-space:pre-wrap;overflow-wrap:anywhere";
const HEADING: &str = "margin:20px 0 6px;font-size:13px;font-weight:600;color:#57606a";
const CELL: &str = "padding:3px 14px 3px 0;vertical-align:top";

/// The page as an HTML document.
pub(crate) fn render(page: &Page) -> String {
    let (class, colour) = match page.tone {
        Tone::Bad => ("bad", "#c0271c"),
        Tone::Warning => ("warning", "#935f00"),
        Tone::Good => ("good", "#1a7f3c"),
    };
    let mut body = String::new();
    for block in &page.blocks {
        body.push_str(&render_block(block));
    }
    let (title, place, footer) = (escape(&page.headline), escape(&page.place), escape(&page.footer));
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <meta name=\"color-scheme\" content=\"light dark\"><meta name=\"supported-color-schemes\" content=\"light dark\">\
         <title>{title}</title><style>{STYLE}</style></head>\n\
         <body class=\"back\" style=\"margin:0;padding:24px 12px;background:#f3f4f6\">\n\
         <div class=\"card\" style=\"max-width:640px;margin:0 auto;padding:22px 26px;background:#ffffff;color:#1c1f23;\
         border:1px solid #e1e4e8;border-top:4px solid {colour};border-radius:8px;{FONT};font-size:15px;line-height:1.5\">\n\
         <div class=\"dim\" style=\"font-size:13px;color:#57606a\">{place}</div>\n\
         <h1 class=\"{class}\" style=\"margin:2px 0 14px;font-size:21px;line-height:1.3;color:{colour}\">{title}</h1>\n\
         {body}\
         <p class=\"dim\" style=\"margin:24px 0 0;font-size:12px;color:#57606a;overflow-wrap:anywhere\">{footer}</p>\n\
         </div></body></html>\n"
    )
}

fn render_block(block: &Block) -> String {
    match block {
        Block::Facts(facts) => {
            let row = |(label, fact): &(&'static str, String)| {
                let (label, fact) = (escape(label), escape(fact));
                format!(
                    "<tr><td class=\"dim\" style=\"{CELL};color:#57606a;white-space:nowrap\">{label}</td>\
                     <td style=\"{CELL};overflow-wrap:anywhere\">{fact}</td></tr>\n"
                )
            };
            let rows: String = facts.iter().map(row).collect();
            format!(
                "<table role=\"presentation\" style=\"border-collapse:collapse;font-size:15px\">\n{rows}</table>\n"
            )
        }
        Block::Prose { heading, text } => {
            format!(
                "{}<p style=\"margin:0;overflow-wrap:anywhere\">{}</p>\n",
                render_heading(heading),
                escape(text)
            )
        }
        Block::Steps { heading, items } => {
            let items: String = items
                .iter()
                .map(|item| format!("<li style=\"overflow-wrap:anywhere\">{}</li>\n", escape(item)))
                .collect();
            format!("{}<ul style=\"margin:0;padding-left:22px\">\n{items}</ul>\n", render_heading(heading))
        }
        Block::Quote { heading, lines } => {
            format!(
                "{}<pre class=\"code\" style=\"{CODE};{MONO}\">{}</pre>\n",
                render_heading(heading),
                escape(&lines.join("\n"))
            )
        }
        Block::Actions { heading, commands, links } => {
            let command = |command: &String| {
                format!("<pre class=\"code\" style=\"{CODE};{MONO}\">{}</pre>\n", escape(command))
            };
            let link = |link: &String| {
                let link = escape(link);
                format!(
                    "<p style=\"margin:0;overflow-wrap:anywhere\"><a class=\"link\" style=\"color:#0b57d0\" href=\"{link}\">{link}</a></p>\n"
                )
            };
            let commands: String = commands.iter().map(command).collect();
            let links: String = links.iter().map(link).collect();
            format!("{}{commands}{links}", render_heading(heading))
        }
        Block::Table { heading, rows } => {
            let rows: String = rows.iter().map(render_row).collect();
            format!(
                "{}<table style=\"border-collapse:collapse;font-size:14px\">\n{rows}</table>\n",
                render_heading(heading)
            )
        }
    }
}

fn render_row([service, time, because]: &[String; 3]) -> String {
    let (service, time, because) = (escape(service), escape(time), escape(because));
    format!(
        "<tr><td style=\"{CELL};font-weight:600;white-space:nowrap\">{service}</td>\
         <td class=\"dim\" style=\"{CELL};color:#57606a;white-space:nowrap\">{time}</td>\
         <td style=\"{CELL};overflow-wrap:anywhere\">{because}</td></tr>\n"
    )
}

fn render_heading(heading: &str) -> String {
    format!("<h2 class=\"dim\" style=\"{HEADING}\">{}</h2>\n", escape(heading))
}

/// Text as it may stand between tags and in double-quoted attributes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
