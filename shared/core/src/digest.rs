//! One letter instead of many, when much happens in one tick.

use std::collections::BTreeMap;

use crate::decision::{Decision, Effect};
use crate::name::Mailbox;
use crate::notice::Notice;

/// Transitions in one tick above which a recipient gets one digest instead of single letters.
pub const DIGEST_ABOVE: usize = 10;

/// Marks the notices of one sweep that are to travel together: all those for a recipient who would get more than
/// [`DIGEST_ABOVE`]. Done before anything is committed, so that no crash can split a digest. `name` is the sweep's own.
pub fn gather(name: &str, decisions: &mut [Decision]) {
    let mut letters: BTreeMap<Mailbox, usize> = BTreeMap::new();
    for notice in notices(decisions) {
        for to in &notice.to {
            *letters.entry(to.clone()).or_default() += 1;
        }
    }
    letters.retain(|_, count| *count > DIGEST_ABOVE);
    for notice in notices(decisions) {
        if let Some(to) = notice.to.iter().find(|to| letters.contains_key(to)) {
            notice.digest = Some(format!("{name}.{to}"));
        }
    }
}

fn notices(decisions: &mut [Decision]) -> impl Iterator<Item = &mut Notice> {
    decisions.iter_mut().flat_map(|decision| &mut decision.effects).filter_map(|effect| match effect {
        Effect::Tell(notice) => Some(notice),
        Effect::OpenStep(_)
        | Effect::CloseStep(_)
        | Effect::Publish(_)
        | Effect::Record(_)
        | Effect::Stray(_)
        | Effect::Found(_) => None,
    })
}
