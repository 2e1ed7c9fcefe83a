//! What a rollout waits for, and what comes next, in one sentence.

use lamplighter_core::Moment;
use lamplighter_core::moment::spoken;
use lamplighter_core::rollout::course::{Work, work};
use lamplighter_core::rollout::{Course, Rollout, SOAK_MOST};

/// Most services named in a sentence.
const NAMED: usize = 3;

/// The sentence.
pub(crate) fn waits_for(head: &Rollout, now: Moment) -> String {
    let half_way = head.under_way.len();
    match &head.course {
        Course::Ended { end } => format!("nothing: it is over ({})", end.as_str().replace('_', " ")),
        Course::Stopping { undo, .. } => match undo {
            true => format!("{}; then what it updated is rolled back", finishing(head)),
            false => format!("{}; then it ends", finishing(head)),
        },
        Course::Undoing { left, .. } => {
            let rows = if *left == 1 { "1 row".to_owned() } else { format!("{left} rows") };
            format!(
                "what it updated is rolled back, the newest first: {half_way} under way, {rows} to look at"
            )
        }
        Course::Arriving | Course::Soaking { .. } if head.paused.is_some() => match half_way {
            0 => "a person: it is paused, and nothing is begun until it is resumed".to_owned(),
            _ => format!("{}; nothing else is begun until it is resumed", finishing(head)),
        },
        Course::Arriving => arriving(head),
        Course::Soaking { since } => soaking(head, *since, now),
    }
}

/// When the next thing is due, where that is a matter of time.
pub(crate) fn due_at(head: &Rollout) -> Option<Moment> {
    match work(head) {
        Work::Watch { ripe, .. } => Some(ripe),
        Work::Begin(_) | Work::Undo(_) | Work::Wait | Work::Over => None,
    }
}

fn arriving(head: &Rollout) -> String {
    let left = head.stage_end(head.stage).saturating_sub(head.begun);
    let (stage, stages) = (head.stage + 1, head.stages.len());
    match (head.under_way.len(), left) {
        (0, _) => format!("the next service of stage {stage} of {stages} begins at once"),
        (_, 0) => format!(
            "{}; then stage {stage} of {stages} is watched for {}",
            finishing(head),
            spoken(head.options.soak)
        ),
        (_, left) => format!("{}; {left} more of stage {stage} of {stages} follow", finishing(head)),
    }
}

fn soaking(head: &Rollout, since: Moment, now: Moment) -> String {
    let (stage, stages) = (head.stage + 1, head.stages.len());
    let next = match usize::try_from(stage).is_ok_and(|stage| stage < stages) {
        true => format!("then stage {} begins", stage + 1),
        false => "then it ends".to_owned(),
    };
    if !head.under_way.is_empty() {
        return format!("{}, which fell sick while stage {stage} was watched; {next}", finishing(head));
    }
    let (ripe, latest) = (since + head.options.soak, since + SOAK_MOST);
    if now < ripe {
        let wait = spoken(now.until(ripe));
        return format!("stage {stage} of {stages} is watched for another {wait}; {next}");
    }
    let wait = spoken(now.until(latest));
    format!("a healthy look at every service of stage {stage} of {stages}, for at most {wait}; {next}")
}

/// The services under way, by name where they are few.
fn finishing(head: &Rollout) -> String {
    let ids: Vec<String> = head.under_way.iter().take(NAMED).map(|id| format!("`{id}`")).collect();
    match (head.under_way.len(), ids.as_slice()) {
        (0, _) => "what is under way".to_owned(),
        (count, ids) if count > ids.len() => format!("{} and {} more", ids.join(", "), count - ids.len()),
        (_, ids) => ids.join(", "),
    }
}
