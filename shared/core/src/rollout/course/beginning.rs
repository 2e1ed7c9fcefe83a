//! How a rollout begins: a head, and a row for each service of its plan.

use super::MAX_BECAUSE_CHARS;
use crate::moment::Moment;
use crate::name::ServiceId;
use crate::rollout::plan::Plan;
use crate::rollout::{Course, Rollout, Row, RowStatus, Stage};
use crate::sight::one_line;
use crate::version::RolloutId;

/// Who began a rollout, and on what terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// A person by the name of their token, or a hook.
    pub by: String,
    /// Why it may bring a quarantined version.
    pub forced: Option<String>,
    /// The rollout whose failed and skipped services it takes up again.
    pub retries: Option<RolloutId>,
}

/// A rollout that is to begin, with a row for each service of its plan; skipped ones come last.
#[must_use]
pub fn start(plan: &Plan, id: RolloutId, started: Started, now: Moment) -> (Rollout, Vec<Row>) {
    let row = |index: usize, service: &ServiceId, stage: usize, spec_version| Row {
        index: u32::try_from(index).unwrap_or(u32::MAX),
        service: service.clone(),
        stage: u32::try_from(stage).unwrap_or(u32::MAX),
        spec_version,
        status: RowStatus::Pending,
        because: "its turn has not come".to_owned(),
        previous: None,
        current: None,
        process: None,
        settled_at: None,
    };
    let planned = plan
        .stages
        .iter()
        .enumerate()
        .flat_map(|(stage, planned)| planned.services.iter().map(move |one| (stage, one)));
    let mut rows: Vec<Row> = planned
        .enumerate()
        .map(|(index, (stage, one))| row(index, &one.id, stage, one.spec_version))
        .collect();
    let planned = rows.len();
    rows.extend(plan.skipped.iter().enumerate().map(|(index, skip)| Row {
        status: RowStatus::Skipped,
        because: one_line(&skip.because, MAX_BECAUSE_CHARS),
        settled_at: Some(now),
        ..row(planned + index, &skip.id, plan.stages.len(), 0)
    }));
    let stages = plan.stages.iter().map(|stage| Stage {
        percent: stage.percent,
        size: u32::try_from(stage.services.len()).unwrap_or(u32::MAX),
        succeeded: 0,
        failed: 0,
        skipped: 0,
    });
    let rollout = Rollout {
        id,
        app: plan.app.clone(),
        target: plan.target.clone(),
        branch: plan.branch.clone(),
        version: 1,
        steering: 0,
        course: Course::Arriving,
        paused: None,
        because: format!("started by {}", started.by),
        stages: stages.collect(),
        stage: 0,
        options: plan.options.clone(),
        begun: 0,
        under_way: Vec::new(),
        plan_hash: plan.hash.clone(),
        by: started.by,
        forced: started.forced,
        retries: started.retries,
        created_at: now,
        updated_at: now,
        ended_at: None,
    };
    (rollout, rows)
}
