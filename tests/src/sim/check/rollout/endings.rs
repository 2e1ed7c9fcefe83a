//! Endings: what a person's word, a removal and the last verdict leave behind.

use super::*;

impl Seen<'_> {
    /// After an abort no step forward is intended; while paused no service is begun.
    pub(super) fn steered(&self, found: &mut Vec<String>) {
        for watch in &self.history.watches {
            let Some(update) = watch.update.as_ref().filter(|update| update.way == Way::Forward) else {
                continue;
            };
            let before = self.watch_before(watch).and_then(|before| before.update.as_ref());
            if update.stray || before.is_some_and(|before| before.action_no == update.action_no) {
                continue;
            }
            let heads = self.history.heads.iter().rev();
            let Some(head) =
                heads.filter(|head| head.what.id == update.rollout).find(|head| head.order <= watch.order)
            else {
                continue;
            };
            let aborted = matches!(
                head.what.course,
                Course::Stopping { end: End::Aborted, .. }
                    | Course::Undoing { .. }
                    | Course::Ended { end: End::Aborted }
            );
            if aborted {
                found.push(format!(
                    "I22: {} went on with {} at {}, after the abort",
                    watch.service, update.step, watch.at
                ));
            }
            let begins = before.is_none_or(|before| before.rollout != update.rollout);
            if begins && (head.what.paused.is_some() || !matches!(head.what.course, Course::Arriving)) {
                found.push(format!(
                    "I22: {} was begun at {} while the rollout is {}",
                    watch.service,
                    watch.at,
                    head.what.status()
                ));
            }
        }
    }

    /// No command on a removed service.
    pub(super) fn removed(&self, found: &mut Vec<String>) {
        for gone in &self.history.removed {
            for command in self
                .memory
                .commands
                .iter()
                .filter(|command| command.service.as_str() == gone.what && command.order > gone.order)
            {
                if command.at > gone.at + ON_ITS_WAY {
                    found.push(format!(
                        "I27: {} was touched at {}, removed at {}",
                        command.service, command.at, gone.at
                    ));
                }
            }
        }
    }

    /// Each rollout that ended was told of once, and a halted version is quarantined.
    pub(super) fn farewells(&self, found: &mut Vec<String>) {
        let ended: BTreeMap<&RolloutId, &Placed<Rollout>> = self
            .history
            .heads
            .iter()
            .filter(|head| !head.what.is_active())
            .map(|head| (&head.what.id, head))
            .collect();
        for (rollout, head) in ended {
            let told = self.history.notices.iter().filter(|notice| {
                notice.kind.starts_with("rollout") && notice.id.starts_with(&format!("{rollout}."))
            });
            if told.count() != 1 {
                found.push(format!("I11: the end of {rollout} was not told once"));
            }
            let halted = head.what.course == Course::Ended { end: End::Halted };
            let with_it = self.history.apps.iter().find(|app| app.order == head.order);
            let quarantined = with_it.is_some_and(|app| {
                app.what.quarantined.iter().any(|harmful| harmful.version == head.what.target)
            });
            if halted && !quarantined {
                found.push(format!("I17: {rollout} halted, and its version is not quarantined"));
            }
        }
    }
}

/// How it must end: liveness, and the truth of each row.
pub(super) fn of(world: &World, journey: &Journey, found: &mut Vec<String>) {
    let history = world.table.history();
    let mut last: BTreeMap<u64, &Rollout> = BTreeMap::new();
    for head in &history.heads {
        let number = head.what.id.parts().map_or(0, |(_, number)| number);
        last.insert(number, &head.what);
    }
    let ends: Vec<String> = last.values().map(|head| head.status().to_owned()).collect();
    let expected: Vec<String> = journey.end.iter().map(|end| end.as_str().to_owned()).collect();
    if !expected.is_empty() && ends != expected {
        found.push(format!("I23: the rollouts ended as {ends:?}, not {expected:?}"));
    }
    for head in last.values().filter(|head| head.is_active()) {
        found.push(format!("I23: {} is still {} at the end: {}", head.id, head.status(), head.because));
    }
    let active = history.apps.last().and_then(|app| app.what.active.clone());
    if let Some(active) = active.filter(|_| last.values().all(|head| !head.is_active())) {
        found.push(format!("I21: the app is still held by {active}, which is over"));
    }
    let Some(head) = last.values().next_back() else { return };
    let rows = rows_before(&history, &head.id, u64::MAX);
    let gone: BTreeSet<&str> = history.removed.iter().map(|gone| gone.what.as_str()).collect();
    for row in rows.values().filter(|row| !gone.contains(row.service.as_str())) {
        row_is_true(world, &history, head, row, found);
    }
    for (service, status) in journey.rows {
        let row = rows.values().find(|row| row.service == id(service));
        if row.map(|row| row.status) != Some(*status) {
            let is = row.map_or("absent", |row| row.status.as_str());
            found.push(format!("I17: {service} is {is} at the end, not {}", status.as_str()));
        }
    }
}

/// Each row says what an observer on the host sees.
fn row_is_true(world: &World, history: &History, head: &Rollout, row: &Row, found: &mut Vec<String>) {
    let Some(stands) = world.fleet.stands(&row.service) else {
        found.push(format!("I17: {} has no checkout at the end", row.service));
        return;
    };
    let watch = history.watches.iter().rev().find(|watch| watch.service == row.service.as_str());
    let flagged = watch.is_some_and(|watch| watch.flagged);
    let open = watch.and_then(|watch| watch.update.as_ref());
    let runs = |version: &Version| stands.head == *version && stands.running == *version;
    // A rollout that stopped early has not watched everything that arrived; what dies then is recovery's to restart.
    let watched = matches!(head.course, Course::Ended { end: End::Completed | End::CompletedWithFailures });
    let right = match row.status {
        RowStatus::Success => {
            let known = watch.and_then(|watch| watch.current.as_ref()) == Some(&head.target);
            runs(&head.target) && known && (stands.up || !watched)
        }
        RowStatus::RolledBack => {
            row.previous.as_ref().is_none_or(runs) && stands.head != head.target && stands.up
        }
        RowStatus::Failed => flagged,
        RowStatus::Pending | RowStatus::Skipped => stands.head == version(OLD) || row.current.is_some(),
        RowStatus::Updating => false,
    };
    if !right {
        found.push(format!(
            "I17: {} is {} at the end, flagged {flagged}, and in truth {stands:?}",
            row.service,
            row.status.as_str()
        ));
    }
    if let Some(update) = open.filter(|update| !(update.stray && row.status == RowStatus::Failed)) {
        found.push(format!(
            "I23: {} is still at {} of {} at the end",
            row.service, update.step, update.rollout
        ));
    }
    if stands.working {
        found.push(format!("I23: a command is still executing on {} at the end", row.service));
    }
}
