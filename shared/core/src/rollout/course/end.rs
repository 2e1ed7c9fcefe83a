//! What follows from the end of a rollout: the app is free, a harmful version is quarantined, the admins are told.

use crate::decision::Effect;
use crate::moment::Moment;
use crate::notice::{Notice, NoticeKind};
use crate::rollout::{AppState, Course, End, HeadPart, MAX_QUARANTINED, Move, Quarantined, Rollout, Row};
use crate::settings::Settings;

/// Most services named in the letter that ends a rollout; `rollout show` names them all.
const MAX_NAMED: usize = 10;

impl Move {
    /// The rollout that this move ends, if it ends one.
    #[must_use]
    pub fn ends(&self) -> Option<&Rollout> {
        match &self.head {
            HeadPart::Becomes(next) if !next.is_active() => Some(next),
            HeadPart::Becomes(_) | HeadPart::GoesOn { .. } | HeadPart::Leave => None,
        }
    }
}

/// Adds to a move that ends a rollout what follows from its end: the app is free, a harmful version is quarantined, and
/// the admins are told. `harmed` are rows that do not run the target.
#[must_use]
pub fn conclude(ending: Move, app: &AppState, settings: &Settings, harmed: &[Row], now: Moment) -> Move {
    let Some(rollout) = ending.ends().cloned() else { return ending };
    let mut next = AppState { version: app.version + 1, active: None, ..app.clone() };
    let end = match rollout.course {
        Course::Ended { end } => end,
        Course::Arriving | Course::Soaking { .. } | Course::Stopping { .. } | Course::Undoing { .. } => {
            return ending;
        }
    };
    if end == End::Halted && app.quarantine_of(&rollout.target).is_none() {
        next.quarantined.push(Quarantined {
            version: rollout.target.clone(),
            rollout: rollout.id.clone(),
            because: rollout.because.clone(),
            at: now,
        });
        let surplus = next.quarantined.len().saturating_sub(MAX_QUARANTINED);
        next.quarantined.drain(..surplus);
    }
    if end == End::Completed {
        // Somebody forced it, and was right.
        next.quarantined.retain(|harmful| harmful.version != rollout.target);
    }
    let mut effects = ending.effects.clone();
    effects.push(Effect::Tell(farewell(&rollout, end, settings, harmed, now)));
    Move { app: Some(next), effects, ..ending }
}

fn farewell(rollout: &Rollout, end: End, settings: &Settings, harmed: &[Row], now: Moment) -> Notice {
    let kind = match end {
        End::Halted => NoticeKind::RolloutHalted,
        End::Completed | End::CompletedWithFailures | End::Aborted => NoticeKind::RolloutFinished,
    };
    let mut tried: Vec<String> = harmed
        .iter()
        .take(MAX_NAMED)
        .map(|row| format!("{} {}: {}", row.service, row.status.as_str().replace('_', " "), row.because))
        .collect();
    if harmed.len() > MAX_NAMED {
        tried.push(format!("and {} more", harmed.len() - MAX_NAMED));
    }
    let (id, target) = (&rollout.id, rollout.target.short());
    let next = match end {
        End::Halted => format!(
            "nothing goes on by itself; {target} is quarantined for `{}`: mend it and start a rollout of the next commit",
            rollout.app
        ),
        End::CompletedWithFailures => {
            format!("`lamplighter rollout retry {id}` takes up again what failed or was left alone")
        }
        End::Completed => "nothing needs doing".to_owned(),
        End::Aborted => {
            "services that were updated keep the version they have now; the rest was not touched".to_owned()
        }
    };
    Notice {
        id: format!("{id}.{kind}"),
        kind,
        service: None,
        thread: id.to_string(),
        tick: now.tick(settings.every),
        at: now,
        to: settings.admins.clone(),
        because: format!("rollout {id} {}: {}", end.as_str().replace('_', " "), rollout.because),
        tried,
        next,
        evidence: None,
        incident_since: Some(rollout.created_at),
        digest: None,
    }
}
