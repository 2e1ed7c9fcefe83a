//! What has changed between two looks at a rollout, one thing a line.

use std::collections::BTreeMap;

use lamplighter_core::ServiceId;
use lamplighter_core::moment::Moment;
use lamplighter_core::rollout::RowStatus;
use serde_json::{Value, json};

use crate::command::rollout::seen::{self, Rollout, Service, Stage};
use crate::command::rollout::show::story;
use crate::command::when;
use crate::say::{self, Ink};

/// One thing that has changed, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// The rollout as a whole: its status, or what it waits for.
    Rollout(Box<Rollout>),
    /// A stage, by its number from 1.
    Stage { rollout: String, number: usize, of: usize, stage: Stage },
    /// A service.
    Service { rollout: String, service: Box<Service> },
}

/// What `now` has that `before` had not; all that is under way or settled if there was nothing before. In the order in
/// which one follows from the other: services that are done, their stages, services that begin, the rollout.
pub(super) fn changes(before: Option<&Rollout>, now: &Rollout) -> Vec<Change> {
    let known: BTreeMap<&ServiceId, &Service> =
        before.iter().flat_map(|rollout| &rollout.services).map(|service| (&service.id, service)).collect();
    let has_changed = |service: &&Service| match known.get(&service.id) {
        Some(known) => told_of(known) != told_of(service),
        None => service.status != RowStatus::Pending,
    };
    let (busy, done): (Vec<&Service>, Vec<&Service>) =
        now.services.iter().filter(has_changed).partition(|service| service.status == RowStatus::Updating);
    let change = |service: &Service| Change::Service {
        rollout: now.id.to_string(),
        service: Box::new(service.clone()),
    };
    let mut changes = Vec::new();
    if before.is_none() {
        changes.push(whole(now));
    }
    changes.extend(done.into_iter().map(change));
    changes.extend(stages(before, now));
    changes.extend(busy.into_iter().map(change));
    if before.is_some_and(|before| before.status != now.status) {
        changes.push(whole(now));
    }
    changes
}

fn stages(before: Option<&Rollout>, now: &Rollout) -> Vec<Change> {
    let known = before.map(|rollout| rollout.stages.as_slice()).unwrap_or_default();
    let has_changed = |index: usize, stage: &Stage| match known.get(index) {
        Some(known) => known.status != stage.status,
        None => stage.status != "pending",
    };
    now.stages
        .iter()
        .enumerate()
        .filter(|(index, stage)| has_changed(*index, stage))
        .map(|(index, stage)| Change::Stage {
            rollout: now.id.to_string(),
            number: index + 1,
            of: now.stages.len(),
            stage: stage.clone(),
        })
        .collect()
}

fn whole(rollout: &Rollout) -> Change {
    Change::Rollout(Box::new(Rollout { services: Vec::new(), ..rollout.clone() }))
}

/// What of a service is news: a lease that was renewed is none.
fn told_of(service: &Service) -> (RowStatus, Option<&str>, bool, &str) {
    let back = service.way == Some(lamplighter_core::update::Way::Back);
    let because = match service.status {
        RowStatus::Updating => "",
        RowStatus::Pending
        | RowStatus::Success
        | RowStatus::RolledBack
        | RowStatus::Failed
        | RowStatus::Skipped => service.because.as_str(),
    };
    (service.status, service.step.as_deref(), back, because)
}

impl Change {
    /// True for what stays on a terminal above the picture: not each step, and not each success.
    pub(super) fn is_of_note(&self) -> bool {
        match self {
            Change::Rollout(_) | Change::Stage { .. } => true,
            Change::Service { service, .. } => match service.status {
                RowStatus::RolledBack | RowStatus::Failed | RowStatus::Skipped => true,
                RowStatus::Pending | RowStatus::Updating | RowStatus::Success => false,
            },
        }
    }

    /// As a line: `05:12:01  vps-001  updating  install`.
    pub(super) fn line(&self, now: Moment, paint: impl Fn(Ink, &str) -> String) -> String {
        let (who, status, ink, what) = match self {
            Change::Rollout(rollout) => {
                let what = format!("{}: {}", rollout.target_named(), rollout.reason());
                (rollout.id.to_string(), seen::words(&rollout.status), seen::ink_of(&rollout.status), what)
            }
            Change::Stage { number, of, stage, .. } => {
                let tally = match stage.tally() {
                    tally if tally.is_empty() => {
                        seen::services(usize::try_from(stage.size).unwrap_or(usize::MAX))
                    }
                    tally => tally,
                };
                let who = format!("stage {number} of {of}");
                (who, seen::words(&stage.status), seen::ink_of(&stage.status), tally)
            }
            Change::Service { service, .. } => {
                let what = match service.status {
                    RowStatus::Updating => service.doing(),
                    RowStatus::Pending
                    | RowStatus::Success
                    | RowStatus::RolledBack
                    | RowStatus::Failed
                    | RowStatus::Skipped => story(service, now),
                };
                let word = seen::words(service.status.as_str());
                (service.id.to_string(), word, seen::ink_of_row(service.status), what)
            }
        };
        let at = when::clock(now, now);
        format!("{at}  {}  {}  {what}", say::padded(&who, 12), say::padded(&paint(ink, &status), 11))
            .trim_end()
            .to_owned()
    }

    /// As a value that a program reads.
    pub(super) fn json(&self, now: Moment) -> Value {
        match self {
            Change::Rollout(rollout) => json!({
                "type": "rollout", "rollout": rollout.id, "status": rollout.status, "because": rollout.because,
                "app": rollout.app, "target": rollout.target, "stage": rollout.stage,
                "waits_for": rollout.waits_for, "due_at": rollout.due_at, "timestamp": now,
            }),
            Change::Stage { rollout, number, stage, .. } => json!({
                "type": "stage", "rollout": rollout, "stage": number, "percent": stage.percent, "size": stage.size,
                "status": stage.status, "succeeded": stage.succeeded, "failed": stage.failed,
                "skipped": stage.skipped, "timestamp": now,
            }),
            Change::Service { rollout, service } => json!({
                "type": "service", "rollout": rollout, "service": service.id, "stage": service.stage,
                "status": service.status, "way": service.way, "step": service.step, "because": service.because,
                "previous": service.previous, "current": service.current, "timestamp": now,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::rollout::sample;

    /// 2026-01-02T02:30:50Z.
    fn now() -> Moment {
        Moment::from_millis(1_767_321_050_000)
    }

    fn lines(before: Option<&Rollout>, after: &Rollout) -> String {
        let changes = changes(before, after);
        changes.iter().map(|change| format!("{}\n", change.line(now(), |_, text| text.to_owned()))).collect()
    }

    #[test]
    fn the_first_look_tells_how_it_stands_and_the_next_only_what_has_changed() {
        let (before, after) = (sample::rollout(&sample::under_way()), sample::rollout(&sample::halted()));
        insta::assert_snapshot!(lines(None, &before), @r#"
        02:30:50  shop-3        running      main at 1a2b3c4: stage 2 of 3: 2 services are under way
        02:30:50  vps-001       success      9f8e7d6 → 1a2b3c4
        02:30:50  vps-005       rolled back  install failed: bun: command not found; runs 9f8e7d6
        02:30:50  stage 1 of 3  passed       1 succeeded
        02:30:50  stage 2 of 3  arriving     1 failed
        02:30:50  vps-004       updating     install
        02:30:50  vps-006       updating     back: check out
        "#);
        assert_eq!(lines(Some(&before), &before), "");
        insta::assert_snapshot!(lines(Some(&before), &after), @r#"
        02:30:50  vps-004       success      9f8e7d6 → 1a2b3c4
        02:30:50  vps-006       failed       install failed: exit 1; going back: check out failed: No space left on device; ran 9f8e7d6
        02:30:50  stage 2 of 3  halted       1 succeeded, 2 failed
        02:30:50  shop-3        halted       main at 1a2b3c4: 2 of 4 failed in stage 2
        "#);
    }

    #[test]
    fn a_renewed_lease_is_no_news_and_a_new_step_is() {
        let before = sample::rollout(&sample::under_way());
        let mut after = before.clone();
        after.services[1].until = Some(now());
        after.waits_for = "something else".to_owned();
        assert_eq!(lines(Some(&before), &after), "");
        after.services[1].step = Some("restart".to_owned());
        assert_eq!(lines(Some(&before), &after), "02:30:50  vps-004       updating     restart\n");
    }

    #[test]
    fn a_program_reads_one_value_a_line_each_with_its_type() {
        let after = sample::rollout(&sample::halted());
        let told: Vec<Value> = changes(None, &after).iter().map(|change| change.json(now())).collect();
        let types: Vec<&str> = told.iter().filter_map(|value| value["type"].as_str()).collect();
        assert_eq!(types, ["rollout", "service", "service", "service", "service", "stage", "stage"]);
        assert_eq!(told[0]["status"], "halted");
        assert_eq!(told[3]["service"], "vps-005");
        assert!(told.iter().all(|value| value["rollout"] == "shop-3" && !value.to_string().contains('\n')));
    }
}
