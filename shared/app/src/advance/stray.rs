//! Strays: services given up half-way through an update, since their host went away. They are sought until it answers.

use lamplighter_core::recovery::Case;
use lamplighter_core::rollout::update::{Scene, find};
use lamplighter_core::update::NoStanding;
use lamplighter_core::watch::Status;
use lamplighter_core::{Moment, ServiceId};
use lamplighter_store::{Commit, StoreError};

use super::service::Carried;
use super::{ASK_AGAIN, Pass, SEEK_AGAIN, store};

impl Pass<'_> {
    /// Asks a stray's host, and rolls the service back if that answers. Answers when to seek it again.
    pub(super) async fn seek(&self, service: &ServiceId) -> Result<Option<Moment>, StoreError> {
        let env = self.env;
        let later = |env: &crate::Env| Ok(Some(env.clock().now() + SEEK_AGAIN));
        let Some(mut placed) = store(env).load_service(service).await? else { return later(env) };
        let Some(updating) = placed.watch.update.clone().filter(|updating| updating.stray) else {
            return later(env);
        };
        let Some(row) = store(env).row(&updating.rollout, updating.row).await? else {
            tracing::error!(env = %env.name(), %service, rollout = %updating.rollout, "a stray's rollout is not in the table");
            return later(env);
        };
        let settings = store(env).settings().await?.1;
        // One that is on its way back already goes on from the step that its watch names.
        if placed.watch.status != Status::Updating {
            let process = match self.standing(&placed).await {
                Err(NoStanding::Unreachable(_)) => return later(env),
                Ok(standing) => standing.process,
                Err(NoStanding::Nothing(_)) => None,
            };
            let now = env.clock().now();
            let case = Case { settings: &settings, spec: &placed.spec, tick: now.tick(settings.every), now };
            let scene = Scene { case, spec_version: placed.spec_version, head: None, row: &row };
            let Some(next) = find(scene, &placed.watch, &updating, process) else { return later(env) };
            match (self.commit_service(&placed, &next).await?, next.service) {
                (Commit::Done { .. }, Some(decision)) => placed.watch = decision.next,
                (Commit::Done { .. } | Commit::Stale, _) => return later(env),
            }
        }
        match self.steps(&settings, placed, &row, None).await? {
            Carried::ToItsEnd => later(env),
            Carried::Overtaken | Carried::Unheard => Ok(Some(env.clock().now() + ASK_AGAIN)),
        }
    }
}
