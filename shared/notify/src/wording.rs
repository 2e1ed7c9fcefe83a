//! What a letter says about one notice, written for somebody who was asleep a minute ago.

use lamplighter_core::moment::spoken;
use lamplighter_core::notice::{Notice, NoticeKind};
use lamplighter_core::sight::{evidence, one_line};
use lamplighter_core::{EnvName, Mailbox, Moment};

use crate::letter::Place;
use crate::page::{Block, Page, Tone};
use crate::rollout;

/// Most characters of a subject: phones show half of it, servers refuse lines above 998.
const MAX_SUBJECT_CHARS: usize = 140;
/// Most characters of one sentence in a letter; the engine's own are far shorter, hostile ones need not be.
pub(crate) const MAX_SENTENCE_CHARS: usize = 400;
/// Most attempts listed; the oldest are left out.
const MAX_TRIED: usize = 12;

/// The subject: env, service, what.
pub(crate) fn subject(env: &EnvName, notice: &Notice) -> String {
    let because = cause(notice);
    let subject = match (notice.kind, rollout::news(notice)) {
        (_, Some(news)) => news.subject(),
        (NoticeKind::Down, None) => format!("{} is DOWN: {because}", who(notice)),
        (NoticeKind::Recovered, None) => format!("{} recovered{}", who(notice), after(notice)),
        (NoticeKind::BreakerOpen, None) => {
            format!("{} is NOT restarted any more: {because}", who(notice))
        }
        (NoticeKind::Blind, None) => format!("restarts are PAUSED: {because}"),
        (NoticeKind::RolloutHalted | NoticeKind::RolloutFinished | NoticeKind::PushRefused, None) => because,
    };
    one_line(&format!("[{env}] {subject}"), MAX_SUBJECT_CHARS)
}

/// The body.
pub(crate) fn page(env: &EnvName, notice: &Notice, to: &Mailbox, place: &Place, message_id: &str) -> Page {
    let news = rollout::news(notice);
    let headline = match (notice.kind, &news) {
        (_, Some(news)) => news.headline(),
        (NoticeKind::Down, None) => format!("{} is down", who(notice)),
        (NoticeKind::Recovered, None) => format!("{} recovered{}", who(notice), after(notice)),
        (NoticeKind::BreakerOpen, None) => format!("{} is not restarted any more", who(notice)),
        (NoticeKind::Blind, None) => "too much failed at once; restarts are paused".to_owned(),
        (NoticeKind::RolloutHalted | NoticeKind::RolloutFinished | NoticeKind::PushRefused, None) => {
            what_happened(notice)
        }
    };
    let mut blocks = vec![Block::Facts(facts(notice))];
    blocks.extend(news.as_ref().map_or_else(|| tried(notice), |news| news.services(place)));
    let next = one_line(&notice.next, MAX_SENTENCE_CHARS);
    if !next.is_empty() {
        blocks.push(Block::Prose { heading: "What happens next".to_owned(), text: next });
    }
    if let Some(lines) = notice.evidence.as_deref().and_then(evidence) {
        let lines = lines.lines().map(str::to_owned).collect();
        blocks.push(Block::Quote { heading: "Last lines it wrote", lines });
    }
    blocks.extend(news.map_or_else(|| actions(env, notice, place), |news| news.actions(env, place)));
    Page {
        tone: tone(notice),
        place: env.to_string(),
        headline: one_line(&headline, MAX_SENTENCE_CHARS),
        blocks,
        footer: footer(env, to, message_id),
    }
}

/// The colour of the news.
pub(crate) fn tone(notice: &Notice) -> Tone {
    match (notice.kind, rollout::news(notice)) {
        (_, Some(news)) => news.tone(),
        (NoticeKind::Down, None) => Tone::Bad,
        (NoticeKind::Recovered, None) => Tone::Good,
        (
            NoticeKind::BreakerOpen
            | NoticeKind::Blind
            | NoticeKind::RolloutHalted
            | NoticeKind::RolloutFinished
            | NoticeKind::PushRefused,
            None,
        ) => Tone::Warning,
    }
}

/// The small print of every letter.
pub(crate) fn footer(env: &EnvName, to: &Mailbox, message_id: &str) -> String {
    format!("Written to {to} by Lamplighter, which looks after {env}. Letter {message_id}")
}

/// A moment for people: to the second, in UTC, and saying so.
pub(crate) fn clock(at: Moment) -> String {
    let seconds = Moment::from_millis(at.as_secs().saturating_mul(1_000)).to_string();
    format!("{} UTC", seconds.trim_end_matches('Z').replace('T', " "))
}

/// What happened, without a leading `down: ` that the subject has said already.
pub(crate) fn what_happened(notice: &Notice) -> String {
    if let Some(news) = rollout::news(notice) {
        return news.happened();
    }
    let because = one_line(&notice.because, MAX_SENTENCE_CHARS);
    match because.strip_prefix("down: ") {
        Some(rest) => rest.to_owned(),
        None => because,
    }
}

/// What happened, without the last clause: that says what is done about it, which has its own place in the letter.
fn cause(notice: &Notice) -> String {
    let happened = what_happened(notice);
    match happened.rsplit_once("; ") {
        Some((cause, _)) if !notice.next.is_empty() => cause.to_owned(),
        Some(_) | None => happened,
    }
}

/// What a notice is about: a service, a rollout, an app that was pushed to. The env stands before it anyway.
pub(crate) fn who(notice: &Notice) -> String {
    match rollout::news(notice) {
        Some(news) => news.who().to_owned(),
        None => notice.service.as_ref().map_or("the fleet", |service| service.as_str()).to_owned(),
    }
}

/// ` after 12 s`, if it is known since when.
fn after(notice: &Notice) -> String {
    notice
        .incident_since
        .map(|since| format!(" after {}", spoken(notice.at.since(since))))
        .unwrap_or_default()
}

fn facts(notice: &Notice) -> Vec<(&'static str, String)> {
    let happened = match (notice.kind, rollout::news(notice)) {
        (_, Some(news)) => news.why(),
        (NoticeKind::Down | NoticeKind::BreakerOpen, None) => cause(notice),
        (
            NoticeKind::Recovered
            | NoticeKind::Blind
            | NoticeKind::RolloutHalted
            | NoticeKind::RolloutFinished
            | NoticeKind::PushRefused,
            None,
        ) => what_happened(notice),
    };
    let mut facts = vec![("what happened", happened)];
    let since = notice.incident_since.filter(|since| *since < notice.at);
    match (notice.kind, since) {
        (NoticeKind::Recovered, Some(since)) => {
            facts.push(("down since", clock(since)));
            facts.push(("up again", clock(notice.at)));
        }
        (
            NoticeKind::Down
            | NoticeKind::BreakerOpen
            | NoticeKind::Blind
            | NoticeKind::RolloutHalted
            | NoticeKind::RolloutFinished
            | NoticeKind::PushRefused,
            Some(since),
        ) => {
            facts.push(("when", clock(notice.at)));
            facts.push(("began", format!("{} ({} before)", clock(since), spoken(notice.at.since(since)))));
        }
        (
            NoticeKind::Down
            | NoticeKind::BreakerOpen
            | NoticeKind::Blind
            | NoticeKind::Recovered
            | NoticeKind::RolloutHalted
            | NoticeKind::RolloutFinished
            | NoticeKind::PushRefused,
            None,
        ) => facts.push(("when", clock(notice.at))),
    }
    facts
}

fn tried(notice: &Notice) -> Option<Block> {
    let skipped = notice.tried.len().saturating_sub(MAX_TRIED);
    let items: Vec<String> =
        notice.tried.iter().skip(skipped).map(|step| one_line(step, MAX_SENTENCE_CHARS)).collect();
    match (items.is_empty(), skipped) {
        (true, _) => None,
        (false, 0) => Some(Block::Steps { heading: "What was tried", items }),
        (false, _) => Some(Block::Steps { heading: "What was tried last", items }),
    }
}

fn actions(env: &EnvName, notice: &Notice, place: &Place) -> Vec<Block> {
    let cli = one_line(&place.cli, MAX_SENTENCE_CHARS);
    let Some(service) = &notice.service else {
        let commands = vec![format!("{cli} health"), format!("{cli} services")];
        let links = place.link(env, None).into_iter().collect();
        return vec![Block::Actions { heading: "Look closer", commands, links }];
    };
    let links = place.link(env, Some(service.as_str())).into_iter().collect();
    let look =
        Block::Actions { heading: "Look closer", commands: vec![format!("{cli} why {service}")], links };
    let act =
        |heading, command: String| Block::Actions { heading, commands: vec![command], links: Vec::new() };
    let hold = || act("Make automation leave it alone", format!("{cli} hold {service} --reason \"…\""));
    match notice.kind {
        NoticeKind::Down | NoticeKind::Blind => vec![look, hold()],
        NoticeKind::BreakerOpen => {
            vec![look, act("Try once more, now", format!("{cli} restart {service}")), hold()]
        }
        // Nothing needs doing, so nothing is offered.
        NoticeKind::Recovered
        | NoticeKind::RolloutHalted
        | NoticeKind::RolloutFinished
        | NoticeKind::PushRefused => vec![look],
    }
}
