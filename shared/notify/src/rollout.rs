//! What a letter says about a rollout: how it ended, for which services it went wrong, what can be typed.

use lamplighter_core::EnvName;
use lamplighter_core::notice::{Notice, NoticeKind};
use lamplighter_core::sight::one_line;

use crate::letter::Place;
use crate::page::{Block, Tone};
use crate::wording::MAX_SENTENCE_CHARS;

/// Most services listed; a command lists them all.
const MAX_SERVICES: usize = 12;
/// How a rollout may have ended, as reasons begin with it; the longer ones first.
const ENDS: [&str; 4] = ["completed with failures", "completed", "halted", "aborted"];
/// What the thread of an app's refused pushes ends with.
const PUSH_THREAD: &str = ".push";

/// The end of a rollout, or a push that was refused.
pub(crate) struct News<'n> {
    notice: &'n Notice,
    /// How it ended: `halted`.
    how: &'static str,
    /// Why, without that word; begins with a space if it continues it, as in `aborted` ` by ada`.
    why: String,
}

/// The news of a rollout; `None` if the notice is about a service or the fleet.
pub(crate) fn news(notice: &Notice) -> Option<News<'_>> {
    let usual = match notice.kind {
        NoticeKind::Down | NoticeKind::Recovered | NoticeKind::BreakerOpen | NoticeKind::Blind => {
            return None;
        }
        NoticeKind::RolloutHalted => "halted",
        NoticeKind::RolloutFinished => "has ended",
        NoticeKind::PushRefused => "was not rolled out",
    };
    let because = one_line(&notice.because, MAX_SENTENCE_CHARS);
    let because = because.strip_prefix(&format!("rollout {} ", notice.thread)).unwrap_or(&because);
    let said =
        ENDS.into_iter().find(|end| because.starts_with(end) && notice.kind != NoticeKind::PushRefused);
    let how = said.unwrap_or(usual);
    // The reason of the engine may begin with the same word once more.
    let mut why = because;
    while let Some(rest) = why.strip_prefix(how) {
        why = rest.strip_prefix(": ").unwrap_or(rest);
    }
    Some(News { notice, how, why: why.to_owned() })
}

impl News<'_> {
    /// The rollout, or the app that was pushed to.
    pub(crate) fn who(&self) -> &str {
        let thread = &self.notice.thread;
        thread.strip_suffix(PUSH_THREAD).filter(|_| self.is_push()).unwrap_or(thread)
    }

    /// The subject, and with the service it is about the row of a digest.
    pub(crate) fn subject(&self) -> String {
        match self.notice.kind {
            NoticeKind::PushRefused => format!("a push to {} was NOT rolled out: {}", self.who(), self.why),
            NoticeKind::RolloutHalted => format!("rollout {} HALTED: {}", self.who(), self.why.trim_start()),
            NoticeKind::RolloutFinished
            | NoticeKind::Down
            | NoticeKind::Recovered
            | NoticeKind::BreakerOpen
            | NoticeKind::Blind => format!("rollout {} {}", self.who(), self.happened()),
        }
    }

    /// The news in a few words.
    pub(crate) fn headline(&self) -> String {
        match (self.is_push(), self.why.starts_with(' ')) {
            (true, _) => format!("a push to {} was not rolled out", self.who()),
            (false, true) => format!("rollout {} {}{}", self.who(), self.how, self.why),
            (false, false) => format!("rollout {} {}", self.who(), self.how),
        }
    }

    /// How it ended and why: `completed: all 10 services run 1a2b3c4`, `aborted by ada`.
    pub(crate) fn happened(&self) -> String {
        if self.is_push() || self.why.is_empty() {
            return if self.why.is_empty() { self.how.to_owned() } else { self.why.clone() };
        }
        let between = if self.why.starts_with(' ') { "" } else { ": " };
        format!("{}{between}{}", self.how, self.why)
    }

    /// Why alone, where a headline has said how.
    pub(crate) fn why(&self) -> String {
        if self.why.is_empty() || self.why.starts_with(' ') { self.happened() } else { self.why.clone() }
    }

    /// The colour of the news.
    pub(crate) fn tone(&self) -> Tone {
        match self.how {
            "halted" => Tone::Bad,
            // One that ended well leaves no service to speak of.
            "completed" if self.notice.tried.is_empty() => Tone::Good,
            _ => Tone::Warning,
        }
    }

    /// What became of the services that need a word, the first of them; the rest is a command away.
    pub(crate) fn services(&self, place: &Place) -> Option<Block> {
        let tried = &self.notice.tried;
        // Why a service was rolled back begins with that word, too.
        let line = |line: &String| {
            one_line(&line.replacen(" rolled back: rolled back ", " rolled back ", 1), MAX_SENTENCE_CHARS)
        };
        let mut items: Vec<String> = tried.iter().take(MAX_SERVICES).map(line).collect();
        let more = tried.len().saturating_sub(items.len());
        if more > 0 {
            let cli = one_line(&place.cli, MAX_SENTENCE_CHARS);
            items.push(format!("… and {more} more: `{cli} rollout show {}` lists them", self.who()));
        }
        (!items.is_empty()).then_some(Block::Steps { heading: "What became of its services", items })
    }

    /// What can be typed.
    pub(crate) fn actions(&self, env: &EnvName, place: &Place) -> Vec<Block> {
        let cli = one_line(&place.cli, MAX_SENTENCE_CHARS);
        let who = self.who();
        let act =
            |heading, command: String, links| Block::Actions { heading, commands: vec![command], links };
        let look = |command| act("Look closer", command, place.link(env, None).into_iter().collect());
        if self.is_push() {
            return vec![look(format!("{cli} rollout list --app {who}"))];
        }
        let mut blocks = vec![look(format!("{cli} rollout show {who}"))];
        // The version that halted it is refused from now on: trying again is not what comes next.
        if self.tone() == Tone::Warning {
            let heading = "Once it is mended, try the services that are left";
            blocks.push(act(heading, format!("{cli} rollout retry {who}"), Vec::new()));
        }
        blocks
    }

    fn is_push(&self) -> bool {
        self.notice.kind == NoticeKind::PushRefused
    }
}
