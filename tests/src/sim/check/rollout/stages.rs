//! Stages: in which order, how many at once, and what counts as verified.

use super::*;

impl Seen<'_> {
    /// A stage begins only after the one before it passed and soaked, by verdicts that are final.
    pub(super) fn stages(&self, found: &mut Vec<String>) {
        for head in &self.history.heads {
            let Some(before) = self.head_before(head) else { continue };
            let ends_well = matches!(
                head.what.course,
                Course::Ended { end: End::Completed | End::CompletedWithFailures }
            );
            let passes = head.what.stage > before.stage || (ends_well && before.is_active());
            if passes {
                self.passed(head, before.stage, found);
            }
            if head.what.plan_hash != before.plan_hash || head.what.stages.len() != before.stages.len() {
                found.push(format!("I14: the plan of {} changed at {}", head.what.id, head.at));
            }
        }
        for watch in self.beginnings() {
            let Some(update) = &watch.update else { continue };
            let head = self.history.heads.iter().rev().find(|head| head.order <= watch.order);
            let rows = rows_before(self.history, &update.rollout, watch.order);
            let Some((head, row)) = head.zip(rows.get(&update.row)) else {
                found.push(format!("I14: {} was begun by nobody at {}", watch.service, watch.at));
                continue;
            };
            if row.stage > head.what.stage || row.service.as_str() != watch.service {
                found.push(format!(
                    "I14: {} of stage {} was begun in stage {} at {}",
                    watch.service, row.stage, head.what.stage, watch.at
                ));
            }
        }
    }

    fn head_before(&self, head: &Placed<Rollout>) -> Option<&Rollout> {
        let heads = self.history.heads.iter().rev();
        heads
            .filter(|other| other.what.id == head.what.id && other.order < head.order)
            .map(|other| &other.what)
            .next()
    }

    fn passed(&self, head: &Placed<Rollout>, stage: u32, found: &mut Vec<String>) {
        let (rollout, number) = (&head.what.id, stage + 1);
        let rows = rows_before(self.history, rollout, head.order);
        let rows: Vec<&&Row> = rows.values().filter(|row| row.stage == stage).collect();
        for row in rows.iter().filter(|row| !is_final(row)) {
            found.push(format!(
                "I15: {rollout} passed stage {number} at {} while {} is {}",
                head.at,
                row.service,
                row.status.as_str()
            ));
        }
        let bad =
            rows.iter().filter(|row| matches!(row.status, RowStatus::RolledBack | RowStatus::Failed)).count();
        if bad * 10 > rows.len() * 3 {
            found.push(format!("I14: {rollout} passed stage {number} with {bad} of {} not well", rows.len()));
        }
        let arrived = rows.iter().filter(|row| row.status == RowStatus::Success);
        // What falls sick in its soak goes back, and the others need not soak again for it.
        let verified = |row: &Row| {
            let of_it = self.history.rows.iter().filter(|placed| placed.what.0 == *rollout);
            let of_it = of_it.map(|placed| &placed.what.1);
            let mut settled = of_it.filter(|other| other.service == row.service && is_final(other));
            settled.find_map(|first| first.settled_at)
        };
        let last = rows.iter().filter_map(|row| verified(row)).max().unwrap_or(Moment::EPOCH);
        let ripe = last + head.what.options.soak;
        if head.at < ripe {
            found.push(format!("I14: {rollout} passed stage {number} at {}, before {ripe}", head.at));
        }
        for row in arrived {
            if !self.seen_up(&row.service, ripe, head.order) {
                found.push(format!(
                    "I14: {rollout} passed stage {number} and {} was not seen up after its soak",
                    row.service
                ));
            }
        }
    }

    fn seen_up(&self, service: &ServiceId, since: Moment, before: u64) -> bool {
        self.memory.happenings.iter().any(|one| {
            one.service == *service && one.what == What::SeenUp && one.at >= since && one.order < before
        })
    }

    /// Never more services under way than may be, by the watches and on the hosts.
    pub(super) fn at_once(&self, found: &mut Vec<String>) {
        let most = self.history.heads.iter().map(|head| head.what.options.at_once).max().unwrap_or(0);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let mut open: BTreeSet<&str> = BTreeSet::new();
        for watch in &self.history.watches {
            match &watch.update {
                Some(update) if !update.stray => open.insert(&watch.service),
                Some(_) | None => open.remove(watch.service.as_str()),
            };
            if open.len() > most {
                found.push(format!("I16: {} services were updating at once at {}", open.len(), watch.at));
            }
        }
        for command in &self.memory.commands {
            let overlapping = self.memory.commands.iter().filter(|other| {
                other.act != Act::Restart && other.at <= command.at && command.at < other.lands
            });
            let count = overlapping.count();
            if count > most {
                found.push(format!("I16: {count} steps ran on hosts at once at {}", command.at));
            }
        }
    }

    /// Nothing is changed before what was there is written down.
    pub(super) fn previous_first(&self, found: &mut Vec<String>) {
        let mut begun: BTreeSet<(ServiceId, RolloutId)> = BTreeSet::new();
        for command in &self.memory.commands {
            if command.act == Act::Restart {
                continue;
            }
            let Some((rollout, previous)) = self.intent_of(&command.service, command.action_no) else {
                continue;
            };
            if begun.insert((command.service.clone(), rollout.clone()))
                && command.head.as_ref() != Some(previous)
            {
                found.push(format!(
                    "I18: {rollout} found {:?} on {} and remembered {}",
                    command.head.as_ref().map(Version::short),
                    command.service,
                    previous.short()
                ));
            }
        }
    }

    /// A verdict is written only of a new process, of the version it speaks of, that was up after it settled.
    pub(super) fn verified(&self, found: &mut Vec<String>) {
        for placed in &self.history.rows {
            let (rollout, row) = &placed.what;
            let expected = match row.status {
                RowStatus::Success | RowStatus::RolledBack => row.current.as_ref(),
                RowStatus::Pending | RowStatus::Updating | RowStatus::Failed | RowStatus::Skipped => None,
            };
            let mine = self.memory.commands.iter().any(|command| {
                command.service == row.service
                    && command.order < placed.order
                    && self.intent_of(&row.service, command.action_no).is_some_and(|(of, _)| of == rollout)
            });
            let Some(expected) = expected.filter(|_| mine) else { continue };
            let of_it = || {
                self.memory
                    .happenings
                    .iter()
                    .rev()
                    .filter(|one| one.service == row.service && one.order < placed.order)
            };
            let started = of_it().find(|one| matches!(one.what, What::Started(_)));
            let checked_out = of_it().find(|one| matches!(one.what, What::CheckedOut(_)));
            let Some((started, checked_out)) = started.zip(checked_out) else {
                found.push(format!(
                    "I19: {} is {} at {}, and nothing was restarted",
                    row.service,
                    row.status.as_str(),
                    placed.at
                ));
                continue;
            };
            let right = started.what == What::Started(Some(expected.clone()))
                && checked_out.what == What::CheckedOut(expected.clone())
                && started.order > checked_out.order;
            if !right {
                found.push(format!(
                    "I19: {} is {} at {}, and what runs is {:?}, checked out {:?}",
                    row.service,
                    row.status.as_str(),
                    placed.at,
                    started.what,
                    checked_out.what
                ));
            }
            if !self.seen_up(&row.service, started.at + SETTLE, placed.order) {
                found.push(format!(
                    "I19: {} is {} at {}, not seen up after settling",
                    row.service,
                    row.status.as_str(),
                    placed.at
                ));
            }
        }
    }
}
