//! One service's state table, row by row: `match (way, step, outcome)`.

mod back;
mod forward;
mod waiting;

use std::time::Duration;

use super::*;
use crate::breaker::Breaker;
use crate::decision::{Decision, Effect};
use crate::moment::Moment;
use crate::notice::NoticeKind;
use crate::rollout::course::Event;
use crate::rollout::course::Started;
use crate::rollout::plan::{Plan, Planned, PlannedStage};
use crate::rollout::{HeadPart, RowStatus};
use crate::rollout::{Options, course};
use crate::settings::Settings;
use crate::sight::{DownKind, GuardParts};
use crate::sight::{Fault, UnreachableKind};
use crate::spec::ServiceSpec;
use crate::watch::Status;

const OLD: &str = "0000000000000000000000000000000000000000";
const NEW: &str = "1111111111111111111111111111111111111111";

fn at(seconds: u64) -> Moment {
    Moment::from_millis(1_767_312_000_000) + Duration::from_secs(seconds)
}

fn run(name: &str) -> Option<ProcessId> {
    Some(name.to_owned().try_into().unwrap())
}

/// Everything a decision is made from.
struct Stand {
    settings: Settings,
    spec: ServiceSpec,
    watch: Watch,
    head: Rollout,
    row: Row,
}

impl Stand {
    fn new() -> Stand {
        Stand::updated_by(r#"{ "dir": "/srv/shop", "install": "bun install" }"#)
    }

    fn updated_by(update: &str) -> Stand {
        let spec: ServiceSpec = serde_json::from_str(&format!(
            r#"{{ "id": "vps-001", "app": "shop", "address": "203.0.113.7", "user": "shop", "key": "file:key",
                 "host_key": "ssh-ed25519 AAAAAAAAAAAAAAAAAAAAAAAA", "check": {{ "systemd": "shop" }},
                 "restart": {{ "systemd": "shop" }}, "owner": "ada@example.com", "update": {update} }}"#
        ))
        .unwrap();
        spec.check().unwrap();
        let mut watch = Watch::new(spec.id.clone(), at(0));
        watch.status = Status::Healthy;
        watch.action_no = 100;
        let plan = Plan {
            hash: "0".to_owned(),
            app: "shop".parse().unwrap(),
            target: NEW.parse().unwrap(),
            branch: None,
            options: Options::default(),
            stages: vec![PlannedStage {
                percent: 100,
                services: vec![Planned { id: spec.id.clone(), spec_version: 1 }],
            }],
            skipped: Vec::new(),
            commands: Vec::new(),
            worst_case_seconds: 0,
            write_units: 0,
            micro_dollars: 0,
        };
        let started = Started { by: "ada".to_owned(), forced: None, retries: None };
        let (head, rows) = course::start(&plan, "shop-1".parse().unwrap(), started, at(0));
        let row = rows.into_iter().next().unwrap();
        let settings = Settings { admins: vec!["ops@example.com".parse().unwrap()], ..Settings::default() };
        Stand { settings, spec, watch, head, row }
    }

    fn scene(&self, now: Moment) -> Scene<'_> {
        let case = Case { settings: &self.settings, spec: &self.spec, tick: 7, now };
        Scene { case, spec_version: 1, head: Some(&self.head), row: &self.row }
    }

    fn updating(&self) -> Updating {
        *self.watch.update.clone().expect("an update is open")
    }

    /// Takes over what a move says, as a commit would.
    fn take(&mut self, next: Move) -> Move {
        if let Some(decision) = &next.service {
            assert_eq!(decision.next.version, self.watch.version + 1);
            self.watch = decision.next.clone();
        }
        if let HeadPart::Becomes(head) = &next.head {
            assert_eq!(head.version, self.head.version + 1);
            self.head = (**head).clone();
        }
        if let Some(row) = &next.row {
            self.row = row.clone();
        }
        next
    }

    fn begin(&mut self) -> Move {
        let standing = standing(OLD, "run-1");
        let next = begin(self.scene(at(1)), &self.watch, &standing).unwrap();
        self.take(next)
    }

    fn follow(&mut self, outcome: &StepOutcome) -> Next {
        let next = after_step(self.scene(at(2)), &self.watch, &self.updating(), outcome, None);
        if let Next::Commit(next) = &next {
            self.take((**next).clone());
        }
        next
    }

    fn settle(&mut self, sight: Sight, version: &str, process: &str, started: &str) -> Next {
        let seen = Settled { look: look(sight), standing: standing(version, process), started: run(started) };
        let next = after_settle(self.scene(at(3)), &self.watch, &self.updating(), &seen);
        if let Next::Commit(next) = &next {
            self.take((**next).clone());
        }
        next
    }

    /// Where the service stands, in one line: its open step, or how its row ended.
    fn story(&self) -> String {
        match &self.watch.update {
            Some(update) if update.stray => format!("stray {:?}", self.watch.status),
            Some(update) => format!("{:?} {}", update.way, update.step),
            None => format!("{} {}", self.row.status.as_str(), self.watch.status),
        }
    }
}

fn standing(version: &str, process: &str) -> Result<Standing, NoStanding> {
    Ok(Standing { version: version.parse().unwrap(), process: run(process), obstacle: None })
}

fn look(sight: Sight) -> Look {
    Look { sight, at: at(3), took: Duration::ZERO, process: None, evidence: Some("out of memory".to_owned()) }
}

fn done(process: &str) -> StepOutcome {
    StepOutcome::Done { parts: GuardParts::ALL, process: run(process) }
}

fn away() -> StepOutcome {
    StepOutcome::NotSent(Fault::new(UnreachableKind::Connect, "refused"))
}

fn down() -> Sight {
    Sight::Down(Fault::new(DownKind::NotActive, "failed"))
}

fn audited(decision: &Decision) -> Vec<(String, Option<u64>)> {
    decision
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Record(entry) => Some((entry.action.clone(), entry.action_no)),
            Effect::OpenStep(_)
            | Effect::CloseStep(_)
            | Effect::Tell(_)
            | Effect::Publish(_)
            | Effect::Stray(_)
            | Effect::Found(_) => None,
        })
        .collect()
}

fn told(next: &Move) -> Vec<NoticeKind> {
    let service = next.service.iter().flat_map(|decision| &decision.effects);
    service
        .chain(&next.effects)
        .filter_map(|effect| if let Effect::Tell(notice) = effect { Some(notice.kind) } else { None })
        .collect()
}
