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

#[cfg(test)]
mod tests {
    use lamplighter_core::rollout::End;
    use serde_json::json;

    use super::*;

    fn at(secs: i64) -> Moment {
        Moment::from_millis(secs * 1_000)
    }

    /// A rollout of ten services, with these under way.
    fn rollout(course: Course, stage: u32, begun: u32, under_way: &[&str]) -> Rollout {
        let stage_of = |percent, size| json!({"percent": percent, "size": size});
        let mut head: Rollout = serde_json::from_value(json!({
            "id": "shop-1", "app": "shop", "target": "a".repeat(40), "version": 7, "steering": 0,
            "course": {"course": "arriving"}, "because": "", "stage": stage, "options": {}, "begun": begun,
            "stages": [stage_of(10, 1), stage_of(50, 4), stage_of(100, 5)], "under_way": under_way,
            "plan_hash": "", "by": "ada", "created_at": at(0), "updated_at": at(0),
        }))
        .unwrap();
        head.course = course;
        head
    }

    #[test]
    fn each_course_says_what_it_waits_for_and_what_comes_next() {
        let five = ["vps-1", "vps-2", "vps-3", "vps-4", "vps-5"];
        let soaking = |stage, ids| rollout(Course::Soaking { since: at(100) }, stage, 5, ids);
        let stopping = |undo, ids| rollout(Course::Stopping { end: End::Halted, undo }, 1, 5, ids);
        for (head, now, sentence) in [
            (rollout(Course::Arriving, 1, 1, &[]), 0, "the next service of stage 2 of 3 begins at once"),
            (
                rollout(Course::Arriving, 1, 3, &five[..2]),
                0,
                "`vps-1`, `vps-2`; 2 more of stage 2 of 3 follow",
            ),
            (
                rollout(Course::Arriving, 2, 10, &five),
                0,
                "`vps-1`, `vps-2`, `vps-3` and 2 more; then stage 3 of 3 is watched for 30 s",
            ),
            (soaking(1, &[]), 110, "stage 2 of 3 is watched for another 20 s; then stage 3 begins"),
            (
                soaking(2, &[]),
                140,
                "a healthy look at every service of stage 3 of 3, for at most 9 min 20 s; then it ends",
            ),
            (
                soaking(1, &five[..1]),
                110,
                "`vps-1`, which fell sick while stage 2 was watched; then stage 3 begins",
            ),
            (stopping(false, &five[..1]), 0, "`vps-1`; then it ends"),
            (stopping(true, &five[..1]), 0, "`vps-1`; then what it updated is rolled back"),
            (
                rollout(Course::Undoing { end: End::Aborted, left: 1 }, 1, 5, &five[..2]),
                0,
                "what it updated is rolled back, the newest first: 2 under way, 1 row to look at",
            ),
            (
                rollout(Course::Ended { end: End::CompletedWithFailures }, 2, 10, &[]),
                0,
                "nothing: it is over (completed with failures)",
            ),
        ] {
            assert_eq!(waits_for(&head, at(now)), sentence);
        }
        let mut paused = rollout(Course::Arriving, 1, 3, &five[..1]);
        paused.paused = Some(lamplighter_core::rollout::Paused { by: "ada".to_owned(), at: at(0) });
        assert_eq!(waits_for(&paused, at(0)), "`vps-1`; nothing else is begun until it is resumed");
        paused.under_way.clear();
        assert!(waits_for(&paused, at(0)).starts_with("a person: "));
        assert_eq!((due_at(&soaking(1, &[])), due_at(&paused)), (Some(at(130)), None));
    }
}
