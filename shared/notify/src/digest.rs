//! One letter for much that happened at once.

use lamplighter_core::notice::{Notice, NoticeKind};
use lamplighter_core::sight::one_line;
use lamplighter_core::{EnvName, Mailbox, Moment};

use crate::letter::{Letter, Place, id};
use crate::page::{Block, Page, Tone};
use crate::{html, rollout, text, wording};

/// Most services listed in one digest: a longer letter is not read, and some servers refuse it.
pub const MAX_DIGEST_LINES: usize = 200;
/// Most characters of a reason in a row of the table.
const MAX_ROW_CHARS: usize = 140;
/// What is told first, under which heading, and how one and many of it are counted.
const ORDER: [(NoticeKind, &str, [&str; 2]); 7] = [
    (NoticeKind::Blind, "Restarts paused", ["paused"; 2]),
    (NoticeKind::RolloutHalted, "Rollouts halted", ["rollout halted", "rollouts halted"]),
    (NoticeKind::BreakerOpen, "Not restarted any more", ["not restarted any more"; 2]),
    (NoticeKind::Down, "Down", ["down"; 2]),
    (NoticeKind::PushRefused, "Pushes not rolled out", ["push not rolled out", "pushes not rolled out"]),
    (NoticeKind::RolloutFinished, "Rollouts ended", ["rollout ended", "rollouts ended"]),
    (NoticeKind::Recovered, "Recovered", ["recovered"; 2]),
];

/// The one letter that tells `to` of all of `notices`, in whatever order they come.
///
/// Its id is made of the digest's name, which the notices carry, and the recipient.
#[must_use]
pub fn digest(env: &EnvName, notices: &[Notice], to: &Mailbox, place: &Place) -> Letter {
    let name = notices.iter().find_map(|notice| notice.digest.clone());
    let name =
        name.unwrap_or_else(|| notices.iter().map(|notice| notice.tick).max().unwrap_or(0).to_string());
    // The name may hold the recipient already; where several share one name, each still needs an id of their own.
    let own = if name.ends_with(to.as_str()) {
        id(&[env.as_str(), "digest", &name])
    } else {
        id(&[env.as_str(), "digest", &name, to.as_str()])
    };
    let at = notices.iter().map(|notice| notice.at).max().unwrap_or(Moment::EPOCH);
    let counts = counts(notices);
    let page = Page {
        tone: if notices.iter().all(|notice| wording::tone(notice) == Tone::Good) {
            Tone::Good
        } else {
            Tone::Bad
        },
        place: env.to_string(),
        headline: format!("{} changes at once: {counts}", notices.len()),
        blocks: blocks(env, notices, at, place),
        footer: wording::footer(env, to, &own),
    };
    Letter {
        message_id: own,
        in_reply_to: None,
        references: Vec::new(),
        to: to.clone(),
        at,
        subject: format!("[{env}] {} changes at once: {counts}", notices.len()),
        text: text::render(&page),
        html: html::render(&page),
    }
}

/// `12 down, 2 recovered`.
fn counts(notices: &[Notice]) -> String {
    let counted = ORDER
        .iter()
        .map(|(kind, _, words)| (notices.iter().filter(|notice| notice.kind == *kind).count(), words));
    let words: Vec<String> = counted
        .filter(|(count, _)| *count > 0)
        .map(|(count, [one, many])| format!("{count} {}", if count == 1 { one } else { many }))
        .collect();
    words.join(", ")
}

fn blocks(env: &EnvName, notices: &[Notice], at: Moment, place: &Place) -> Vec<Block> {
    let mut blocks = vec![Block::Facts(vec![("when", wording::clock(at))])];
    let mut room = MAX_DIGEST_LINES;
    for (kind, heading, _) in ORDER {
        let mut rows: Vec<[String; 3]> =
            notices.iter().filter(|notice| notice.kind == kind).map(row).collect();
        if rows.is_empty() {
            continue;
        }
        // Equal reasons stand together: a shared cause shows at a glance.
        rows.sort_by(|a, b| (&a[2], &a[0]).cmp(&(&b[2], &b[0])));
        let heading = format!("{heading} ({})", rows.len());
        rows.truncate(room);
        room -= rows.len();
        if !rows.is_empty() {
            blocks.push(Block::Table { heading, rows });
        }
    }
    let left_out = notices.len().saturating_sub(MAX_DIGEST_LINES);
    let cli = one_line(&place.cli, MAX_ROW_CHARS);
    if left_out > 0 {
        blocks.push(Block::Prose {
            heading: format!("… and {left_out} more"),
            text: format!("`{cli} services` lists them all."),
        });
    }
    blocks.push(Block::Prose {
        heading: "What happens next".to_owned(),
        text:
            "Each service goes on being looked after by itself; what changes from here on is told as usual."
                .to_owned(),
    });
    let mut commands = vec![format!("{cli} health"), format!("{cli} services"), format!("{cli} why SERVICE")];
    if notices.iter().any(|notice| rollout::news(notice).is_some()) {
        commands.push(format!("{cli} rollout list"));
    }
    blocks.push(Block::Actions {
        heading: "Look closer",
        commands,
        links: place.link(env, None).into_iter().collect(),
    });
    blocks
}

fn row(notice: &Notice) -> [String; 3] {
    let clock = wording::clock(notice.at);
    let time = clock.split(' ').nth(1).unwrap_or_default().to_owned();
    [wording::who(notice), time, one_line(&wording::what_happened(notice), MAX_ROW_CHARS)]
}
