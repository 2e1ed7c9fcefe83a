//! What a letter says about one notice, written for somebody who was asleep a minute ago.

use lamplighter_core::moment::spoken;
use lamplighter_core::notice::{Notice, NoticeKind};
use lamplighter_core::sight::{evidence, one_line};
use lamplighter_core::{EnvName, Mailbox, Moment};

use crate::letter::Place;
use crate::page::{Block, Page, Tone};

/// Most characters of a subject: phones show half of it, servers refuse lines above 998.
const MAX_SUBJECT_CHARS: usize = 140;
/// Most characters of one sentence in a letter; the engine's own are far shorter, hostile ones need not be.
const MAX_SENTENCE_CHARS: usize = 400;
/// Most attempts listed; the oldest are left out.
const MAX_TRIED: usize = 12;
/// Most services of a rollout listed; a command lists them all.
const MAX_SERVICES: usize = 12;

/// The subject: env, service, what.
pub(crate) fn subject(env: &EnvName, notice: &Notice) -> String {
    let because = cause(notice);
    let subject = match notice.kind {
        NoticeKind::Down => format!("{} is DOWN: {because}", who(notice)),
        NoticeKind::Recovered => format!("{} recovered{}", who(notice), after(notice)),
        NoticeKind::BreakerOpen => {
            format!("{} is NOT restarted any more: {because}", who(notice))
        }
        NoticeKind::Blind => format!("restarts are PAUSED: {because}"),
        NoticeKind::RolloutHalted => format!("rollout {} HALTED: {because}", who(notice)),
        NoticeKind::RolloutFinished => ended(notice, &because),
        NoticeKind::PushRefused => format!("a push to {} was NOT rolled out: {because}", who(notice)),
    };
    one_line(&format!("[{env}] {subject}"), MAX_SUBJECT_CHARS)
}

/// The body.
pub(crate) fn page(env: &EnvName, notice: &Notice, to: &Mailbox, place: &Place, message_id: &str) -> Page {
    let headline = match notice.kind {
        NoticeKind::Down => format!("{} is down", who(notice)),
        NoticeKind::Recovered => format!("{} recovered{}", who(notice), after(notice)),
        NoticeKind::BreakerOpen => format!("{} is not restarted any more", who(notice)),
        NoticeKind::Blind => "too much failed at once; restarts are paused".to_owned(),
        NoticeKind::RolloutHalted => format!("rollout {} halted", who(notice)),
        NoticeKind::RolloutFinished => {
            let ended = ended(notice, &notice.because);
            ended.split_once(": ").map_or(ended.as_str(), |(how, _)| how).to_owned()
        }
        NoticeKind::PushRefused => format!("a push to {} was not rolled out", who(notice)),
    };
    let mut blocks = vec![Block::Facts(facts(notice))];
    blocks.extend(if is_of_a_rollout(notice.kind) { services(notice, place) } else { tried(notice) });
    let next = one_line(&notice.next, MAX_SENTENCE_CHARS);
    if !next.is_empty() {
        blocks.push(Block::Prose { heading: "What happens next".to_owned(), text: next });
    }
    if let Some(lines) = notice.evidence.as_deref().and_then(evidence) {
        let lines = lines.lines().map(str::to_owned).collect();
        blocks.push(Block::Quote { heading: "Last lines it wrote", lines });
    }
    blocks.extend(actions(env, notice, place));
    Page {
        tone: tone(notice),
        place: env.to_string(),
        headline: one_line(&headline, MAX_SENTENCE_CHARS),
        blocks,
        footer: footer(env, to, message_id),
    }
}

/// True for news of a rollout, which belongs to no one service.
pub(crate) fn is_of_a_rollout(kind: NoticeKind) -> bool {
    match kind {
        NoticeKind::Down | NoticeKind::Recovered | NoticeKind::BreakerOpen | NoticeKind::Blind => false,
        NoticeKind::RolloutHalted | NoticeKind::RolloutFinished | NoticeKind::PushRefused => true,
    }
}

/// The colour of the news. A rollout that ended well leaves no service to speak of.
pub(crate) fn tone(notice: &Notice) -> Tone {
    match notice.kind {
        NoticeKind::Down | NoticeKind::RolloutHalted => Tone::Bad,
        NoticeKind::Recovered => Tone::Good,
        NoticeKind::RolloutFinished if notice.tried.is_empty() && has_completed(notice) => Tone::Good,
        NoticeKind::BreakerOpen
        | NoticeKind::Blind
        | NoticeKind::RolloutFinished
        | NoticeKind::PushRefused => Tone::Warning,
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

/// What happened, without a leading `down: ` or `halted: ` that the subject has said already.
pub(crate) fn what_happened(notice: &Notice) -> String {
    let because = one_line(&notice.because, MAX_SENTENCE_CHARS);
    match because.strip_prefix("down: ").or_else(|| because.strip_prefix("halted: ")) {
        Some(rest) => rest.to_owned(),
        None => because,
    }
}

/// `rollout rachel8-17 completed: all 10 services run 1a2b3c4`: a reason that says itself how it ended is not told twice.
fn ended(notice: &Notice, because: &str) -> String {
    let says_how = ["completed", "aborted"].iter().any(|how| because.starts_with(how));
    if says_how {
        format!("rollout {} {because}", who(notice))
    } else {
        format!("rollout {} has ended: {because}", who(notice))
    }
}

/// True unless a person stopped it or a service was left behind.
fn has_completed(notice: &Notice) -> bool {
    notice.because.starts_with("completed") && !notice.because.starts_with("completed with failures")
}

/// What happened, without the last clause: that says what is done about it, which has its own place in the letter.
fn cause(notice: &Notice) -> String {
    let happened = what_happened(notice);
    match happened.rsplit_once("; ") {
        Some((cause, _)) if !notice.next.is_empty() => cause.to_owned(),
        Some(_) | None => happened,
    }
}

/// The service or the rollout a notice is about; the env stands before it anyway.
pub(crate) fn who(notice: &Notice) -> &str {
    match notice.kind {
        NoticeKind::Down | NoticeKind::Recovered | NoticeKind::BreakerOpen | NoticeKind::Blind => {
            notice.service.as_ref().map_or("the fleet", |service| service.as_str())
        }
        NoticeKind::RolloutHalted | NoticeKind::RolloutFinished => &notice.thread,
        // Its thread is the app's pushes: `shop.push`.
        NoticeKind::PushRefused => {
            notice.thread.split_once('.').map_or(notice.thread.as_str(), |(app, _)| app)
        }
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
    let happened = match notice.kind {
        NoticeKind::Down | NoticeKind::BreakerOpen => cause(notice),
        NoticeKind::Recovered
        | NoticeKind::Blind
        | NoticeKind::RolloutHalted
        | NoticeKind::RolloutFinished
        | NoticeKind::PushRefused => what_happened(notice),
    };
    let happened = match (notice.kind, happened.split_once(": ")) {
        // The headline has said how it ended.
        (NoticeKind::RolloutFinished, Some((_, what))) => what.to_owned(),
        (
            NoticeKind::Down
            | NoticeKind::Recovered
            | NoticeKind::BreakerOpen
            | NoticeKind::Blind
            | NoticeKind::RolloutHalted
            | NoticeKind::RolloutFinished
            | NoticeKind::PushRefused,
            Some(_) | None,
        ) => happened,
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

/// What became of the services that need a word, the first of them; the rest is a command away.
fn services(notice: &Notice, place: &Place) -> Option<Block> {
    let mut items: Vec<String> =
        notice.tried.iter().take(MAX_SERVICES).map(|line| one_line(line, MAX_SENTENCE_CHARS)).collect();
    let more = notice.tried.len().saturating_sub(items.len());
    if more > 0 {
        let cli = one_line(&place.cli, MAX_SENTENCE_CHARS);
        items.push(format!("… and {more} more: `{cli} rollout show {}` lists them", who(notice)));
    }
    (!items.is_empty()).then_some(Block::Steps { heading: "What became of its services", items })
}

fn actions(env: &EnvName, notice: &Notice, place: &Place) -> Vec<Block> {
    let cli = one_line(&place.cli, MAX_SENTENCE_CHARS);
    if let Some(blocks) = rollout_actions(env, notice, place, &cli) {
        return blocks;
    }
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

/// What can be typed about a rollout; `None` for news of a service.
fn rollout_actions(env: &EnvName, notice: &Notice, place: &Place, cli: &str) -> Option<Vec<Block>> {
    let links = || place.link(env, None).into_iter().collect();
    let rollout = who(notice);
    let look =
        |command: String| Block::Actions { heading: "Look closer", commands: vec![command], links: links() };
    let again = || Block::Actions {
        heading: "Once it is mended, try the services that are left",
        commands: vec![format!("{cli} rollout retry {rollout}")],
        links: Vec::new(),
    };
    match notice.kind {
        NoticeKind::Down | NoticeKind::Recovered | NoticeKind::BreakerOpen | NoticeKind::Blind => None,
        // The version that halted it is refused from now on, so only its cause can be looked for.
        NoticeKind::RolloutHalted => Some(vec![look(format!("{cli} rollout show {rollout}"))]),
        NoticeKind::RolloutFinished if tone(notice) == Tone::Good => {
            Some(vec![look(format!("{cli} rollout show {rollout}"))])
        }
        NoticeKind::RolloutFinished => Some(vec![look(format!("{cli} rollout show {rollout}")), again()]),
        NoticeKind::PushRefused => Some(vec![look(format!("{cli} rollout list --app {rollout}"))]),
    }
}
