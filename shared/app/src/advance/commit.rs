//! Commits moves of a rollout, and adds to one that ends it what follows from the end.

use std::time::Duration;

use lamplighter_core::RolloutId;
use lamplighter_core::rollout::{HeadPart, Move, Rollout, Row, RowStatus, course};
use lamplighter_store::{Commit, Fence, Placed, Store, StoreError};

use super::Pass;
use crate::Env;

/// Commits are tried this often before what they say is left to the next pass, which asks the host again.
const TRIES: u32 = 3;
/// Wait before a commit is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(500);
/// Rows read at once when a rollout ends.
const ROWS_AT_ONCE: usize = 500;
/// Most rows that are named at the end; the letter names fewer still.
const MAX_HARMED: usize = 1_000;

impl Pass<'_> {
    /// Commits what `decide` makes of the rollout as it is now. `None`: it decides that nothing is to be done.
    ///
    /// Deciding and committing are one under the pass's lock, since every service's end changes the same head.
    pub(super) async fn commit(
        &self,
        id: &RolloutId,
        placed: Option<&Placed>,
        decide: impl Fn(&Rollout) -> Option<Move>,
    ) -> Result<Option<(Commit, Move)>, StoreError> {
        let _one_at_a_time = self.committing.lock().await;
        let store = super::store(self.env);
        let Some(head) = store.rollout(id).await? else { return Ok(None) };
        let Some(next) = decide(&head) else { return Ok(None) };
        let next = sealed(self.env, &store, next).await?;
        let done = commit(self.env, &store, placed, &next).await?;
        Ok(Some((done, next)))
    }

    /// Commits a move that concerns one service alone.
    pub(super) async fn commit_service(&self, placed: &Placed, next: &Move) -> Result<Commit, StoreError> {
        commit(self.env, &super::store(self.env), Some(placed), next).await
    }
}

/// Commits a person's move of a head.
pub(crate) async fn commit_head(env: &Env, store: &Store, next: Move) -> Result<Commit, StoreError> {
    let next = sealed(env, store, next).await?;
    commit(env, store, None, &next).await
}

/// Adds what follows from the end of a rollout, if `next` ends it.
async fn sealed(env: &Env, store: &Store, next: Move) -> Result<Move, StoreError> {
    let Some(rollout) = next.ends() else { return Ok(next) };
    let app = store.app_state(&rollout.app).await?;
    let settings = store.settings().await?.1;
    let mut harmed = harmed_rows(store, rollout).await?;
    if let Some(row) = next.row.as_ref().filter(|row| is_harmed(row)) {
        harmed.retain(|other| other.index != row.index);
        harmed.push(row.clone());
    }
    Ok(course::conclude(next, &app, &settings, &harmed, env.clock().now()))
}

async fn harmed_rows(store: &Store, rollout: &Rollout) -> Result<Vec<Row>, StoreError> {
    let mut harmed = Vec::new();
    let mut from = 0;
    while from < rollout.begun && harmed.len() < MAX_HARMED {
        let rows = store.rows(&rollout.id, from, ROWS_AT_ONCE).await?;
        let Some(last) = rows.last() else { break };
        from = last.index + 1;
        harmed.extend(rows.into_iter().filter(is_harmed));
    }
    Ok(harmed)
}

fn is_harmed(row: &Row) -> bool {
    match row.status {
        RowStatus::RolledBack | RowStatus::Failed => true,
        RowStatus::Pending | RowStatus::Updating | RowStatus::Success | RowStatus::Skipped => false,
    }
}

/// Commits, and carries out what the commit asks of this process. The versions are the fence: whoever read what is
/// decided upon, and is the first to commit, is right.
async fn commit(
    env: &Env,
    store: &Store,
    placed: Option<&Placed>,
    next: &Move,
) -> Result<Commit, StoreError> {
    let mut tries = 0;
    let done = loop {
        tries += 1;
        match store.commit_move(Fence::Person, placed, next).await {
            Ok(done) => break done,
            Err(error) if tries == TRIES => return Err(error),
            Err(_) => tokio::time::sleep(TRY_AGAIN).await,
        }
    };
    if done == Commit::Stale {
        return Ok(done);
    }
    if let Some(decision) = &next.service {
        let (service, status) = (&decision.next.service, decision.next.status);
        tracing::info!(env = %env.name(), %service, %status, "{service} {}", decision.because());
        env.act_on(decision);
    }
    if let HeadPart::Becomes(head) = &next.head
        && !next.effects.is_empty()
    {
        tracing::info!(env = %env.name(), rollout = %head.id, status = head.status(), "rollout {}: {}", head.id, head.because);
    }
    env.carry_out(&next.effects);
    Ok(done)
}
