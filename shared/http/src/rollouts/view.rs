//! A rollout as the API shows it. Stages are counted from 1 here, as people do.

use std::collections::{BTreeMap, BTreeSet};

use lamplighter_core::rollout::{Options, Paused, Rollout, Row, RowStatus, Updating};
use lamplighter_core::update::Way;
use lamplighter_core::{AppName, Moment, RolloutId, ServiceId, Version};
use serde::Serialize;

use super::waits::{due_at, waits_for};

/// An owner's services, by app.
pub(super) type Own = BTreeMap<AppName, BTreeSet<ServiceId>>;

/// A rollout.
#[derive(Debug, Serialize)]
pub(super) struct RolloutView {
    id: RolloutId,
    app: AppName,
    target: Version,
    branch: Option<String>,
    status: &'static str,
    because: String,
    stage: u32,
    stages: Vec<StageView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    services: Option<Vec<ServiceRow>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Option<String>>,
    under_way: Vec<ServiceId>,
    paused: Option<Paused>,
    options: Options,
    plan_hash: String,
    by: String,
    forced: Option<String>,
    retries: Option<RolloutId>,
    waits_for: String,
    due_at: Option<Moment>,
    version: u64,
    created_at: Moment,
    updated_at: Moment,
    ended_at: Option<Moment>,
}

/// One stage.
#[derive(Debug, Serialize)]
struct StageView {
    percent: u32,
    size: u32,
    status: &'static str,
    succeeded: u32,
    failed: u32,
    skipped: u32,
}

/// One service of a rollout.
#[derive(Debug, Serialize)]
pub(super) struct ServiceRow {
    id: ServiceId,
    /// 0 if it was left out when the plan was made.
    stage: u32,
    status: RowStatus,
    step: Option<String>,
    way: Option<Way>,
    previous: Option<Version>,
    current: Option<Version>,
    because: String,
    until: Option<Moment>,
    settled_at: Option<Moment>,
}

impl RolloutView {
    /// A rollout in a list: without its services.
    pub(super) fn of(head: &Rollout, now: Moment) -> Self {
        let stages = head.stages.iter().zip(0..).map(|(stage, number)| StageView {
            percent: stage.percent,
            size: stage.size,
            status: head.stage_status(number),
            succeeded: stage.succeeded,
            failed: stage.failed,
            skipped: stage.skipped,
        });
        Self {
            id: head.id.clone(),
            app: head.app.clone(),
            target: head.target.clone(),
            branch: head.branch.clone(),
            status: head.status(),
            because: head.because.clone(),
            stage: head.stage + 1,
            stages: stages.collect(),
            services: None,
            next: None,
            under_way: head.under_way.clone(),
            paused: head.paused.clone(),
            options: head.options.clone(),
            plan_hash: head.plan_hash.clone(),
            by: head.by.clone(),
            forced: head.forced.clone(),
            retries: head.retries.clone(),
            waits_for: waits_for(head, now),
            due_at: due_at(head),
            version: head.version,
            created_at: head.created_at,
            updated_at: head.updated_at,
            ended_at: head.ended_at,
        }
    }

    /// The same with a page of its services.
    pub(super) fn with_services(self, services: Vec<ServiceRow>, next: Option<String>) -> Self {
        Self { services: Some(services), next: Some(next), ..self }
    }

    /// What an owner may know of it: their own services and the counts of those; nothing that names or counts others.
    pub(super) fn for_owner(self, head: &Rollout, own: &[Row]) -> Self {
        let is_own = |id: &ServiceId| own.iter().any(|row| row.service == *id);
        let under_way: Vec<ServiceId> = head.under_way.iter().filter(|id| is_own(id)).cloned().collect();
        let count = |stage: u32, wanted: &[RowStatus]| {
            let rows = own.iter().filter(|row| row.stage == stage && wanted.contains(&row.status));
            u32::try_from(rows.filter(|row| !under_way.contains(&row.service)).count()).unwrap_or(u32::MAX)
        };
        let size = |stage: u32| {
            u32::try_from(own.iter().filter(|row| row.stage == stage).count()).unwrap_or(u32::MAX)
        };
        let stages = self.stages.into_iter().zip(0..).map(|(stage, number)| StageView {
            size: size(number),
            succeeded: count(number, &[RowStatus::Success]),
            failed: count(number, &[RowStatus::RolledBack, RowStatus::Failed]),
            skipped: count(number, &[RowStatus::Skipped]),
            ..stage
        });
        let because = match self.ended_at {
            Some(_) => format!("it ended: {}", self.status.replace('_', " ")),
            None => format!("it is {}", self.status.replace('_', " ")),
        };
        let waits_for = match self.ended_at {
            Some(_) => "nothing: it is over".to_owned(),
            None if under_way.is_empty() => "none of your services is under way now".to_owned(),
            None => "your services that are under way".to_owned(),
        };
        let mut options = self.options;
        options.canaries.retain(is_own);
        Self { stages: stages.collect(), because, waits_for, under_way, options, forced: None, ..self }
    }
}

impl ServiceRow {
    /// A service that is not under way.
    pub(super) fn of(head: &Rollout, row: &Row) -> Self {
        let stages = u32::try_from(head.stages.len()).unwrap_or(u32::MAX);
        Self {
            id: row.service.clone(),
            stage: if row.stage < stages { row.stage + 1 } else { 0 },
            status: row.status,
            step: None,
            way: None,
            previous: row.previous.clone(),
            current: row.current.clone(),
            because: row.because.clone(),
            until: None,
            settled_at: row.settled_at,
        }
    }

    /// A service under way, with what its watch says of it.
    pub(super) fn under_way(head: &Rollout, row: &Row, update: Option<&Updating>, because: &str) -> Self {
        let row = Self { status: RowStatus::Updating, settled_at: None, ..Self::of(head, row) };
        match update {
            None => row,
            Some(update) => Self {
                step: Some(update.step.to_string()),
                way: Some(update.way),
                previous: Some(update.previous.clone()),
                because: because.to_owned(),
                until: Some(update.until),
                ..row
            },
        }
    }
}
